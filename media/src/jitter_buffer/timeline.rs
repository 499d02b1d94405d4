//! One time line for a stream whose timestamps may jump, restart and wrap around.

/// A transit time this far off the path's is no delay but another clock, in microseconds.
const DISCONTINUITY_US: i64 = 1_000_000;

/// Gives packets their positions: clock units since the stream's first packet.
#[derive(Debug)]
pub(super) struct Timeline {
    clock_rate_hz: i64,
    /// A timestamp and its position.
    reference: Option<(u32, i64)>,
    /// The arrival and timestamp of a packet out of all proportion, until a second one confirms it.
    suspect: Option<(i64, u32)>,
}

/// A packet to be placed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placing {
    pub(super) timestamp: u32,
    pub(super) arrival_us: i64,
    /// Whether the timestamp counts from elsewhere than the one before.
    pub(super) new_source: bool,
    /// Whether the packet directly follows the newest one.
    pub(super) in_order: bool,
    /// The path's own transit time, in microseconds, when known.
    pub(super) base_us: Option<i64>,
}

impl Timeline {
    pub(super) fn new(clock_rate_hz: u32) -> Self {
        Self {
            clock_rate_hz: i64::from(clock_rate_hz.max(1_000)),
            reference: None,
            suspect: None,
        }
    }

    /// The packet's position. Where its timestamp is out of all proportion to its arrival, the stream
    /// goes on as if the packet had come in no time: at once behind its predecessor, or when a second
    /// packet confirms the jump; `None` until then. It never begins before `end_of_waiting`.
    pub(super) fn place(&mut self, packet: Placing, end_of_waiting: i64) -> Option<i64> {
        let Some((timestamp, position)) = self.reference else {
            self.reference = Some((packet.timestamp, 0));
            return Some(0);
        };
        let step = packet.timestamp.wrapping_sub(timestamp).cast_signed();
        let counted = position + i64::from(step);
        let transit = packet.arrival_us - self.microseconds(counted);
        let jumped = packet
            .base_us
            .is_some_and(|base| (transit - base).abs() > DISCONTINUITY_US);
        let position = if !packet.new_source && !jumped {
            counted
        } else if packet.new_source || packet.in_order || self.is_confirmed_by(packet) {
            let path = packet.base_us.unwrap_or(0);
            self.units(packet.arrival_us - path).max(end_of_waiting)
        } else {
            self.suspect = Some((packet.arrival_us, packet.timestamp));
            return None;
        };
        self.suspect = None;
        self.reference = Some((packet.timestamp, position));
        Some(position)
    }

    fn is_confirmed_by(&self, packet: Placing) -> bool {
        self.suspect.is_some_and(|(arrival_us, timestamp)| {
            let theirs = i64::from(packet.timestamp.wrapping_sub(timestamp).cast_signed());
            let ours = packet.arrival_us - arrival_us;
            (self.microseconds(theirs) - ours).abs() < DISCONTINUITY_US / 4
        })
    }

    /// Clock units in microseconds.
    pub(super) fn microseconds(&self, units: i64) -> i64 {
        units.saturating_mul(1_000_000) / self.clock_rate_hz
    }

    /// Microseconds in clock units.
    pub(super) fn units(&self, microseconds: i64) -> i64 {
        microseconds.saturating_mul(self.clock_rate_hz) / 1_000_000
    }

    /// 10 ms in clock units.
    pub(super) fn tick(&self) -> i64 {
        self.clock_rate_hz / 100
    }

    /// 8 ms in clock units. Timestamps taken from a clock wobble; a step below this is no gap and no
    /// overlap.
    pub(super) fn wobble(&self) -> i64 {
        self.clock_rate_hz / 125
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(timestamp: u32, arrival_us: i64, in_order: bool) -> Placing {
        Placing {
            timestamp,
            arrival_us,
            new_source: false,
            in_order,
            base_us: Some(0),
        }
    }

    #[test]
    fn positions_go_on_across_the_wrap_around_and_back_for_reordered_packets() {
        let mut timeline = Timeline::new(8_000);
        assert_eq!(
            timeline.place(packet(u32::MAX - 79, 0, true), i64::MIN),
            Some(0)
        );
        assert_eq!(
            timeline.place(packet(240, 40_000, false), i64::MIN),
            Some(320)
        );
        assert_eq!(
            timeline.place(packet(80, 41_000, false), i64::MIN),
            Some(160)
        );
    }

    #[test]
    fn a_jump_behind_its_predecessor_is_bridged_at_once() {
        let mut timeline = Timeline::new(8_000);
        timeline.place(packet(0, 0, true), i64::MIN);
        assert_eq!(
            timeline.place(packet(9_000_000, 20_000, true), i64::MIN),
            Some(160)
        );
        assert_eq!(
            timeline.place(packet(9_000_160, 40_000, true), i64::MIN),
            Some(320)
        );
    }

    #[test]
    fn a_jump_elsewhere_waits_for_a_second_packet() {
        let mut timeline = Timeline::new(8_000);
        timeline.place(packet(0, 0, true), i64::MIN);
        assert_eq!(
            timeline.place(packet(9_000_000, 60_000, false), i64::MIN),
            None
        );
        assert_eq!(
            timeline.place(packet(160, 61_000, false), i64::MIN),
            Some(160)
        );
        assert_eq!(
            timeline.place(packet(9_000_320, 100_000, false), i64::MIN),
            None
        );
        assert_eq!(
            timeline.place(packet(9_000_480, 120_000, false), i64::MIN),
            Some(960)
        );
    }

    #[test]
    fn nothing_is_placed_over_what_waits() {
        let mut timeline = Timeline::new(8_000);
        timeline.place(packet(0, 0, true), i64::MIN);
        let other = Placing {
            new_source: true,
            ..packet(77, 20_000, true)
        };
        assert_eq!(timeline.place(other, 480), Some(480));
    }
}
