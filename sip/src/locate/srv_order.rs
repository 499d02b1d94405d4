//! The order in which SRV records are used (RFC 2782).

use super::SrvRecord;
use crate::identifiers::Identifiers;

/// The first `most` of `records`, in the order in which to use them: by priority, and among equal
/// priorities by a draw in which a record's chance is its share of the weights.
///
/// What belongs to a record (its host, already looked at) comes along.
pub(super) fn order_of_use<'a, With>(
    mut records: Vec<(&'a SrvRecord, With)>,
    most: usize,
    chance: &mut Identifiers,
) -> Vec<(&'a SrvRecord, With)> {
    shuffle(&mut records, chance);
    // Weight 0 stands first within its priority: there it is drawn only when the lot falls on
    // nothing else, which is the "very small chance" that it is meant to have.
    records.sort_by_key(|(srv, _)| (srv.priority, srv.weight != 0));
    let mut ordered = Vec::new();
    while ordered.len() < most
        && let Some((first, _)) = records.first()
    {
        let priority = first.priority;
        let ends = records.iter().position(|(srv, _)| srv.priority != priority);
        let group = &records[..ends.unwrap_or(records.len())];
        let drawn = draw(group.iter().map(|(srv, _)| srv.weight), chance);
        ordered.push(records.remove(drawn));
    }
    ordered
}

/// Which of `weights` the lot falls on.
fn draw(weights: impl Iterator<Item = u16> + Clone, chance: &mut Identifiers) -> usize {
    let sum: u64 = weights.clone().map(u64::from).sum();
    // The lot 0 is there for weight 0. Where nobody has it, it would be one more for whoever stands
    // first, which small weights notice: of 1 and 1, the first would win two times in three.
    let least = u64::from(weights.clone().all(|weight| weight != 0));
    let lot = least + chance.below(sum + 1 - least);
    let mut running_sum = 0;
    weights
        .map(u64::from)
        .position(|weight| {
            running_sum += weight;
            running_sum >= lot
        })
        .expect("the sum of all weights is not below the lot")
}

/// Records of equal weight have equal chances, those of weight 0 among them, wherever the server
/// put them.
fn shuffle<Item>(items: &mut [Item], chance: &mut Identifiers) {
    for end in (2..=items.len()).rev() {
        let other = chance.below(end as u64) as usize;
        items.swap(end - 1, other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ports, which name the records here, in the order that `seed` gives.
    fn ports_in_order(records: &[(u16, u16, u16)], most: usize, seed: u64) -> Vec<u16> {
        let record = |&(priority, weight, port): &(u16, u16, u16)| SrvRecord {
            priority,
            weight,
            port,
            target: None,
        };
        let records: Vec<SrvRecord> = records.iter().map(record).collect();
        let records = records.iter().map(|srv| (srv, ())).collect();
        let ordered = order_of_use(records, most, &mut Identifiers::new(seed));
        ordered.iter().map(|(srv, ())| srv.port).collect()
    }

    /// How often in 10,000 seeds `port` comes first.
    fn times_first(records: &[(u16, u16, u16)], port: u16) -> usize {
        (0..10_000)
            .filter(|seed| ports_in_order(records, 1, *seed) == [port])
            .count()
    }

    #[test]
    fn a_lower_priority_value_is_always_used_first() {
        for seed in 0..100 {
            let ports = ports_in_order(&[(20, 65_535, 1), (10, 0, 2), (30, 1, 3)], 32, seed);
            assert_eq!(ports, [2, 1, 3]);
        }
    }

    #[test]
    fn among_equal_priorities_the_first_is_drawn_by_weight() {
        let records = [(1, 60, 1), (1, 30, 2), (1, 10, 3)];
        for (port, expected) in [(1, 6_000), (2, 3_000), (3, 1_000)] {
            let times = times_first(&records, port);
            assert!(times.abs_diff(expected) < 250, "{port}: {times}");
        }
    }

    #[test]
    fn small_weights_have_their_exact_shares() {
        let times = times_first(&[(1, 1, 1), (1, 3, 2)], 1);
        assert!(times.abs_diff(2_500) < 250, "{times}");
        // RFC 2782 has it that zero is as good as one.
        let times = times_first(&[(1, 0, 1), (1, 1, 2)], 1);
        assert!(times.abs_diff(5_000) < 250, "{times}");
    }

    #[test]
    fn what_is_left_is_drawn_by_weight_again() {
        let records = [(1, 60, 1), (1, 30, 2), (1, 10, 3)];
        // After 1 was drawn, 2 has three quarters of what is left: 60 % of 75 %.
        let times = (0..10_000)
            .filter(|seed| ports_in_order(&records, 32, *seed) == [1, 2, 3])
            .count();
        assert!(times.abs_diff(4_500) < 250, "{times}");
    }

    #[test]
    fn weight_zero_beside_others_is_used_first_very_rarely_but_not_never() {
        let times = times_first(&[(1, 0, 1), (1, 99, 2)], 1);
        assert!((50..200).contains(&times), "{times} of about 100");
    }

    #[test]
    fn records_of_weight_zero_alone_take_turns() {
        for port in [1, 2, 3, 4] {
            let times = times_first(&[(1, 0, 1), (1, 0, 2), (1, 0, 3), (1, 0, 4)], port);
            assert!(times.abs_diff(2_500) < 250, "{port}: {times}");
        }
    }

    #[test]
    fn a_seed_repeats_its_order() {
        let records: Vec<_> = (0..20).map(|port| (1, port, port)).collect();
        assert_eq!(
            ports_in_order(&records, 32, 7),
            ports_in_order(&records, 32, 7)
        );
        assert_ne!(
            ports_in_order(&records, 32, 7),
            ports_in_order(&records, 32, 8)
        );
    }

    #[test]
    fn no_more_records_are_drawn_than_are_wanted() {
        let records: Vec<_> = (0..1_000).map(|port| (1, 1, port)).collect();
        assert_eq!(ports_in_order(&records, 32, 1).len(), 32);
        assert!(ports_in_order(&records, 0, 1).is_empty());
    }
}
