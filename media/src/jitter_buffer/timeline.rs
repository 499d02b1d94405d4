//! One time line for a stream whose timestamps may jump, restart, wrap around, and change their clock with the
//! codec.

/// Positions count in this many units a second, whatever the RTP clock: every codec's clock and sample rate
/// divides it.
pub const UNITS_PER_SECOND: i64 = 48_000;
/// 10 ms in units.
pub(super) const TICK: i64 = UNITS_PER_SECOND / 100;
/// 8 ms in units. Timestamps taken from a clock wobble; a step below this is no gap and no overlap.
pub(super) const WOBBLE: i64 = UNITS_PER_SECOND / 125;
/// A packet of another clock that follows its predecessor within this time, in units, follows it at once.
const CLOCK_CHANGE_PAUSE: i64 = UNITS_PER_SECOND / 10;

/// A transit time this far off the path's is no delay but another clock, in microseconds.
const DISCONTINUITY_US: i64 = 1_000_000;

/// Gives packets their positions: units since the stream's first packet.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    reference: Option<Reference>,
    /// The arrival and timestamp of a packet out of all proportion, until a second one confirms it.
    suspect: Option<(i64, u32)>,
}

/// A timestamp, the clock it is of, and its position.
#[derive(Clone, Copy, Debug)]
struct Reference {
    clock_rate_hz: u32,
    timestamp: u32,
    position: i64,
}

/// A packet to be placed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placing {
    pub(super) timestamp: u32,
    /// What the timestamp counts in, in hertz.
    pub(super) clock_rate_hz: u32,
    pub(super) arrival_us: i64,
    /// Whether the timestamp counts from elsewhere than the one before.
    pub(super) new_source: bool,
    /// Whether the packet directly follows the newest one.
    pub(super) in_order: bool,
    /// Whether the packet is newer than all before it.
    pub(super) newest: bool,
    /// The path's own transit time, in microseconds, when known.
    pub(super) base_us: Option<i64>,
}

impl Timeline {
    /// The packet's position. Where its timestamp is out of all proportion to its arrival, the stream
    /// goes on as if the packet had come in no time: at once behind its predecessor, or when a second
    /// packet confirms the jump; `None` until then. It never begins before `end_of_waiting`.
    ///
    /// With another clock timestamps count anew (RFC 7160 section 4.2): a packet of it is placed like the
    /// first of a new source, and one of the old clock that comes after it has no place any more.
    pub(super) fn place(&mut self, packet: Placing, end_of_waiting: i64) -> Option<i64> {
        let position = match self.reference {
            None => 0,
            Some(reference) if reference.clock_rate_hz != packet.clock_rate_hz => {
                if !packet.newest {
                    return None;
                }
                let by_arrival = by_arrival(packet, end_of_waiting);
                if packet.in_order && by_arrival.saturating_sub(end_of_waiting) < CLOCK_CHANGE_PAUSE
                {
                    end_of_waiting
                } else {
                    by_arrival
                }
            }
            Some(reference) => self.counted_from(reference, packet, end_of_waiting)?,
        };
        self.suspect = None;
        self.reference = Some(Reference {
            clock_rate_hz: packet.clock_rate_hz,
            timestamp: packet.timestamp,
            position,
        });
        Some(position)
    }

    fn counted_from(
        &mut self,
        reference: Reference,
        packet: Placing,
        end_of_waiting: i64,
    ) -> Option<i64> {
        let step = packet.timestamp.wrapping_sub(reference.timestamp);
        let counted = reference.position + of_clock(step, packet.clock_rate_hz);
        let transit = packet.arrival_us - microseconds(counted);
        let jumped = packet
            .base_us
            .is_some_and(|base| (transit - base).abs() > DISCONTINUITY_US);
        if !packet.new_source && !jumped {
            Some(counted)
        } else if packet.new_source || packet.in_order || self.is_confirmed_by(packet) {
            Some(by_arrival(packet, end_of_waiting))
        } else {
            self.suspect = Some((packet.arrival_us, packet.timestamp));
            None
        }
    }

    fn is_confirmed_by(&self, packet: Placing) -> bool {
        self.suspect.is_some_and(|(arrival_us, timestamp)| {
            let step = packet.timestamp.wrapping_sub(timestamp);
            let theirs = microseconds(of_clock(step, packet.clock_rate_hz));
            let ours = packet.arrival_us - arrival_us;
            (theirs - ours).abs() < DISCONTINUITY_US / 4
        })
    }
}

/// Where a packet belongs that came in the path's own time.
fn by_arrival(packet: Placing, end_of_waiting: i64) -> i64 {
    let path = packet.base_us.unwrap_or(0);
    units(packet.arrival_us - path).max(end_of_waiting)
}

/// A step of timestamps, forward or back, in units.
fn of_clock(step: u32, clock_rate_hz: u32) -> i64 {
    i64::from(step.cast_signed()) * UNITS_PER_SECOND / i64::from(clock_rate_hz.max(1_000))
}

/// Units in microseconds.
pub(super) const fn microseconds(units: i64) -> i64 {
    units.saturating_mul(1_000_000) / UNITS_PER_SECOND
}

/// Microseconds in units.
pub(super) const fn units(microseconds: i64) -> i64 {
    microseconds.saturating_mul(UNITS_PER_SECOND) / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(timestamp: u32, arrival_us: i64, in_order: bool) -> Placing {
        Placing {
            timestamp,
            clock_rate_hz: 8_000,
            arrival_us,
            new_source: false,
            in_order,
            newest: true,
            base_us: Some(0),
        }
    }

    #[test]
    fn positions_go_on_across_the_wrap_around_and_back_for_reordered_packets() {
        let mut timeline = Timeline::default();
        assert_eq!(
            timeline.place(packet(u32::MAX - 79, 0, true), i64::MIN),
            Some(0)
        );
        assert_eq!(
            timeline.place(packet(240, 40_000, false), i64::MIN),
            Some(1920)
        );
        assert_eq!(
            timeline.place(packet(80, 41_000, false), i64::MIN),
            Some(960)
        );
    }

    #[test]
    fn a_jump_behind_its_predecessor_is_bridged_at_once() {
        let mut timeline = Timeline::default();
        timeline.place(packet(0, 0, true), i64::MIN);
        assert_eq!(
            timeline.place(packet(9_000_000, 20_000, true), i64::MIN),
            Some(960)
        );
        assert_eq!(
            timeline.place(packet(9_000_160, 40_000, true), i64::MIN),
            Some(1920)
        );
    }

    #[test]
    fn a_jump_elsewhere_waits_for_a_second_packet() {
        let mut timeline = Timeline::default();
        timeline.place(packet(0, 0, true), i64::MIN);
        assert_eq!(
            timeline.place(packet(9_000_000, 60_000, false), i64::MIN),
            None
        );
        assert_eq!(
            timeline.place(packet(160, 61_000, false), i64::MIN),
            Some(960)
        );
        assert_eq!(
            timeline.place(packet(9_000_320, 100_000, false), i64::MIN),
            None
        );
        assert_eq!(
            timeline.place(packet(9_000_480, 120_000, false), i64::MIN),
            Some(5760)
        );
    }

    #[test]
    fn nothing_is_placed_over_what_waits() {
        let mut timeline = Timeline::default();
        timeline.place(packet(0, 0, true), i64::MIN);
        let other = Placing {
            new_source: true,
            ..packet(77, 20_000, true)
        };
        assert_eq!(timeline.place(other, 2_880), Some(2880));
    }

    #[test]
    fn another_clock_goes_on_where_the_first_one_ended() {
        let mut timeline = Timeline::default();
        timeline.place(packet(0, 0, true), i64::MIN);
        let wideband = |timestamp, arrival_us, in_order| Placing {
            clock_rate_hz: 48_000,
            ..packet(timestamp, arrival_us, in_order)
        };
        // 20 ms of the first were there; the next came 7 ms late and follows at once.
        assert_eq!(timeline.place(wideband(77, 27_000, true), 960), Some(960));
        assert_eq!(
            timeline.place(wideband(77 + 960, 40_000, true), 1_920),
            Some(1_920)
        );
        // A straggler of the first clock.
        let late = Placing {
            newest: false,
            ..packet(160, 41_000, false)
        };
        assert_eq!(timeline.place(late, 2_880), None);
        assert_eq!(
            timeline.place(wideband(77 + 1_920, 60_000, true), 2_880),
            Some(2_880)
        );
    }

    #[test]
    fn another_clock_behind_a_loss_or_a_pause_is_placed_by_its_arrival() {
        for (in_order, arrival_us, expected) in [(false, 60_000, 2_880), (true, 500_000, 24_000)] {
            let mut timeline = Timeline::default();
            timeline.place(packet(0, 0, true), i64::MIN);
            let placing = Placing {
                clock_rate_hz: 48_000,
                ..packet(9, arrival_us, in_order)
            };
            assert_eq!(timeline.place(placing, 960), Some(expected));
        }
    }
}
