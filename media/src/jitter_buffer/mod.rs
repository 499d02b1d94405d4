//! The adaptive jitter buffer: packets in as the network brings them, out when they are due.
//!
//! Everything happens on one time line, the *position*: [`UNITS_PER_SECOND`] since the stream's first packet,
//! continuous even where the far end's timestamps jump or the codec brings another clock. A packet's transit time is its arrival minus its
//! position; the least of late is the path's delay (`base`), the spread above it is what playout waits
//! for (`target`). The *cursor* is the position that is decoded next.
//!
//! ```text
//!            arrival ──► position ──► delay spread ──► target
//!               │                                        │
//!   insert ─────┴──► packet store ──► next: due packet / stretch / missing ◄── cursor
//! ```
//!
//! It decides *what* comes next; decoding, inventing and cross-fading are the receiver's.
//!
//! - The actual delay is `now - base - (what was played so far)`. Below the spread, time is
//!   [`Next::Stretch`]ed at the next packet boundary; above the target by 15 ms for 100 ms, [`Excess`]
//!   asks the receiver to leave out 10 ms where it is not heard.
//! - A gap is passed at the pace of time: what comes after it plays when it is due, so neither losses nor
//!   silence (DTX) nor digits in place of audio change the delay.

mod delay_spread;
mod packet_store;
mod timeline;

use std::time::Duration;

use crate::codec::CodecKind;
use delay_spread::DelaySpread;
use packet_store::PacketStore;
pub use timeline::UNITS_PER_SECOND;
use timeline::{Placing, TICK, Timeline, WOBBLE, microseconds, units};

/// After this long without a packet the path's delay is measured anew, in microseconds.
const IDLE_US: i64 = 500_000;
/// Packets that come too late in a row before the path is taken for another one.
const LATE_IN_A_ROW: u32 = 2;
/// Packets in a row that took longer than may be waited for before the path is taken for another one.
const BEYOND_IN_A_ROW: u32 = 5;
/// The minimum delay is a cushion that may wear thin by this much, in microseconds; the spread is not.
const CUSHION_US: i64 = 10_000;
/// The delay may exceed its target by this much, in microseconds.
const SHRINK_ABOVE_US: i64 = 15_000;
/// Playout that is too early by this much, after the path became longer, begins anew.
const RESTART_BELOW_US: i64 = 150_000;
/// A longer excess is shortened even where it is heard.
const SHRINK_ANYWHERE_ABOVE_US: i64 = 60_000;
/// A backlog this large is skipped.
const SKIP_ABOVE_US: i64 = 250_000;
/// The excess must last for so many ticks: one late tick of the media thread is none.
const SHRINK_AFTER_TICKS: u32 = 10;
/// Ticks between two shortenings.
const SHRINK_EVERY_TICKS: u32 = 3;

/// What a waiting packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadKind {
    /// Audio of this codec.
    Audio(CodecKind),
    /// No audio, and none is missing: a digit, or comfort noise.
    Pause,
}

/// A packet to keep.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// The extended sequence number, rising by one a packet across wrap-arounds and new sources.
    pub sequence: i64,
    /// The RTP timestamp.
    pub timestamp: u32,
    /// What the timestamp counts in, in hertz.
    pub clock_rate_hz: u32,
    /// Whether the timestamp counts from elsewhere than the packet's before (a new source).
    pub new_source: bool,
    /// When it arrived, in microseconds on the caller's scale.
    pub arrival_us: i64,
    /// What it carries.
    pub kind: PayloadKind,
    /// How much audio it holds, in units.
    pub duration: u32,
    /// The payload.
    pub payload: &'a [u8],
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Insertion {
    /// It waits for its turn.
    Kept,
    /// Its turn is over.
    Late,
}

/// What is to be heard next.
#[derive(Clone, Copy, Debug)]
pub enum Next<'a> {
    /// Nothing has begun: silence.
    NotStarted,
    /// This packet, without its first `skip` units.
    Packet {
        /// The codec.
        kind: CodecKind,
        /// The payload.
        payload: &'a [u8],
        /// Units whose time has passed.
        skip: u32,
    },
    /// Something that takes 10 ms and no position: the delay must grow.
    Stretch,
    /// Something in place of audio that is not there.
    Missing {
        /// How much, in units: 10 ms, or with `next` exactly what is missing.
        duration: u32,
        /// The packet behind the gap, when it may carry a copy of what is missing.
        next: Option<(CodecKind, &'a [u8])>,
        /// Whether the far end said that it would pause, so that nothing is lost.
        pause: bool,
    },
}

/// How pressing it is to leave out 10 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    /// Not at all.
    None,
    /// Where it is not heard.
    WhereQuiet,
    /// Anywhere.
    Anywhere,
}

/// The adaptive jitter buffer.
#[derive(Debug)]
pub struct JitterBuffer {
    timeline: Timeline,
    minimum_us: i64,
    maximum_us: i64,
    store: PacketStore,
    spread: DelaySpread,
    last_arrival_us: i64,
    highest: i64,
    /// The lowest sequence number that may still play.
    next_sequence: i64,
    /// The position decoded next, `None` until playout begins.
    cursor: Option<i64>,
    /// Whether playout ever began.
    begun: bool,
    pausing: bool,
    late_in_a_row: u32,
    beyond_in_a_row: u32,
    ticks_above: u32,
    skipped: u64,
}

impl JitterBuffer {
    /// A buffer with playout delays from `minimum` to `maximum` and `capacity_bytes` for payloads.
    #[must_use]
    pub fn new(minimum: Duration, maximum: Duration, capacity_bytes: usize) -> Self {
        let microseconds = |d: Duration| i64::try_from(d.as_micros()).unwrap_or(i64::MAX);
        Self {
            timeline: Timeline::default(),
            minimum_us: microseconds(minimum),
            maximum_us: microseconds(maximum.max(minimum)),
            store: PacketStore::new(capacity_bytes),
            spread: DelaySpread::new(),
            last_arrival_us: 0,
            highest: i64::MIN,
            next_sequence: i64::MIN,
            cursor: None,
            begun: false,
            pausing: false,
            late_in_a_row: 0,
            beyond_in_a_row: 0,
            ticks_above: 0,
            skipped: 0,
        }
    }

    /// Keeps a packet until its turn.
    pub fn insert(&mut self, packet: Arrival<'_>) -> Insertion {
        if self.highest == i64::MIN {
            self.highest = packet.sequence - 1;
            self.next_sequence = packet.sequence;
        }
        if packet.sequence < self.next_sequence {
            // Before playout began, the stream may turn out to have begun earlier.
            if self.begun || self.next_sequence - packet.sequence > PacketStore::SPAN / 2 {
                return Insertion::Late;
            }
            self.next_sequence = packet.sequence;
        }
        let in_order = packet.sequence == self.highest + 1;
        let newest = packet.sequence > self.highest;
        self.highest = self.highest.max(packet.sequence);
        self.next_sequence = self.next_sequence.max(self.highest - PacketStore::SPAN + 1);
        match packet.kind {
            PayloadKind::Audio(_) => self.insert_audio(&packet, in_order, newest),
            PayloadKind::Pause => {
                self.store.insert(packet.sequence, 0, 0, packet.kind, &[]);
                Insertion::Kept
            }
        }
    }

    fn insert_audio(&mut self, packet: &Arrival<'_>, in_order: bool, newest: bool) -> Insertion {
        let placing = Placing {
            timestamp: packet.timestamp,
            clock_rate_hz: packet.clock_rate_hz,
            arrival_us: packet.arrival_us,
            new_source: packet.new_source,
            in_order,
            newest,
            base_us: self.spread.base(),
        };
        let Some(position) = self.timeline.place(placing, self.end_of_waiting()) else {
            return Insertion::Late;
        };
        let transit = packet.arrival_us - microseconds(position);
        let is_path_unknown =
            self.cursor.is_none() && self.is_path_unknown(packet.arrival_us, transit);
        if self.is_path_longer(transit) || is_path_unknown {
            self.spread.forget();
        }
        self.last_arrival_us = packet.arrival_us;
        let ends = position + i64::from(packet.duration);
        if self.cursor.is_some_and(|cursor| ends <= cursor) {
            self.late_in_a_row += 1;
            if self.late_in_a_row >= LATE_IN_A_ROW {
                self.spread.forget();
            }
            self.spread.add(transit);
            return Insertion::Late;
        }
        self.late_in_a_row = 0;
        self.spread.add(transit);
        let Arrival {
            sequence,
            duration,
            kind,
            payload,
            ..
        } = *packet;
        if self
            .store
            .insert(sequence, position, duration, kind, payload)
        {
            Insertion::Kept
        } else {
            Insertion::Late
        }
    }

    /// Whether packets take longer beyond the path's delay than playout may ever wait: no wait makes up for that, and
    /// with the old delay all of them would be cut, or skipped. Of packets that were only held up those behind will say
    /// so. Timestamps that step back a little look the same, and are treated so.
    fn is_path_longer(&mut self, transit: i64) -> bool {
        let base = self.spread.base();
        if base.is_none_or(|base| transit - base <= self.maximum_us) {
            self.beyond_in_a_row = 0;
            return false;
        }
        self.beyond_in_a_row += 1;
        self.cursor.is_none() || self.beyond_in_a_row >= BEYOND_IN_A_ROW
    }

    /// Whether the first packet after silence shows that the path's delay is to be measured anew: it
    /// comes after a long time, or later than the path explains. If it was only held up, the packets
    /// behind it will say so.
    fn is_path_unknown(&self, arrival_us: i64, transit: i64) -> bool {
        if self.store.first(self.next_sequence, self.highest).is_some() {
            return false;
        }
        let unexplained = self
            .spread
            .base()
            .is_some_and(|b| transit - b > self.spread.spread());
        arrival_us - self.last_arrival_us > IDLE_US || (self.begun && unexplained)
    }

    fn end_of_waiting(&self) -> i64 {
        let newest = (self.next_sequence..=self.highest)
            .rev()
            .find_map(|sequence| self.store.get(sequence))
            .map(|waiting| waiting.position + i64::from(waiting.duration));
        newest.or(self.cursor).unwrap_or(i64::MIN)
    }

    /// What comes next at `now_us`. `pending` units are decoded and not yet played.
    pub fn next(&mut self, now_us: i64, pending: u32) -> Next<'_> {
        self.pass_pauses();
        let Some(cursor) = self.cursor.or_else(|| self.start(now_us)) else {
            return Next::NotStarted;
        };
        let cursor = self.skip_backlog(cursor, now_us, pending);
        self.cursor = Some(cursor);
        let below_us = self.least_us() - self.delay_us(now_us, pending);
        if below_us > RESTART_BELOW_US {
            self.cursor = None;
            return Next::NotStarted;
        }
        if below_us > 0 {
            return Next::Stretch;
        }
        while let Some(waiting) = self.store.first(self.next_sequence, self.highest).copied() {
            let PayloadKind::Audio(kind) = waiting.kind else {
                // A pause behind a gap is over when the audio behind it is due.
                match self.first_audio_behind(waiting.sequence) {
                    Some(position) if position - cursor < WOBBLE => {
                        self.next_sequence = waiting.sequence + 1;
                        continue;
                    }
                    Some(_) | None => break,
                }
            };
            let ends = waiting.position + i64::from(waiting.duration);
            if ends <= cursor {
                self.next_sequence = waiting.sequence + 1;
                continue;
            }
            let ahead = waiting.position - cursor;
            if ahead < WOBBLE {
                let skip = if ahead <= -WOBBLE { -ahead } else { 0 };
                self.next_sequence = waiting.sequence + 1;
                self.cursor = Some(ends);
                self.pausing = false;
                let skip = u32::try_from(skip).unwrap_or(0);
                return Next::Packet {
                    kind,
                    payload: self.store.payload(&waiting),
                    skip,
                };
            }
            let lost = waiting.sequence > self.next_sequence;
            if lost && ahead <= i64::from(waiting.duration) {
                self.cursor = Some(waiting.position);
                // Opus counts in steps of 2.5 ms.
                let duration = u32::try_from(ahead - ahead % (TICK / 4)).unwrap_or(0);
                let next = Some((kind, self.store.payload(&waiting)));
                return Next::Missing {
                    duration,
                    next,
                    pause: false,
                };
            }
            if !lost {
                self.pausing = true;
            }
            break;
        }
        self.cursor = Some(cursor + TICK);
        let duration = u32::try_from(TICK).unwrap_or(0);
        Next::Missing {
            duration,
            next: None,
            pause: self.pausing,
        }
    }

    /// Playout stops until the next packet, which then begins anew with the full delay. To be called
    /// when a gap has become silence.
    pub fn rest(&mut self) {
        if self.store.first(self.next_sequence, self.highest).is_none() {
            self.next_sequence = self.highest + 1;
            self.cursor = None;
        }
    }

    /// Whether the next packet waits, so that decoding ahead invents nothing.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let Some(cursor) = self.cursor else {
            return false;
        };
        self.store.get(self.next_sequence).is_some_and(|waiting| {
            matches!(waiting.kind, PayloadKind::Audio(_)) && waiting.position - cursor < WOBBLE
        })
    }

    /// Whether the delay is longer than it need be. To be called once a tick.
    pub fn excess(&mut self, now_us: i64, pending: u32) -> Excess {
        if self.cursor.is_none() {
            self.ticks_above = 0;
            return Excess::None;
        }
        let above = self.delay_us(now_us, pending) - self.target_us();
        if above <= SHRINK_ABOVE_US {
            self.ticks_above = 0;
            return Excess::None;
        }
        self.ticks_above += 1;
        if self.ticks_above < SHRINK_AFTER_TICKS {
            Excess::None
        } else if above > SHRINK_ANYWHERE_ABOVE_US {
            Excess::Anywhere
        } else {
            Excess::WhereQuiet
        }
    }

    /// The receiver left out 10 ms.
    pub fn shrunk(&mut self) {
        self.ticks_above = SHRINK_AFTER_TICKS.saturating_sub(SHRINK_EVERY_TICKS);
    }

    /// The playout delay aimed at, in microseconds: the spread, within the bounds.
    #[must_use]
    pub fn target_us(&self) -> i64 {
        self.spread.spread().clamp(self.minimum_us, self.maximum_us)
    }

    /// The shortest delay that needs no stretching, in microseconds.
    fn least_us(&self) -> i64 {
        self.spread
            .spread()
            .clamp(self.minimum_us - CUSHION_US, self.maximum_us)
    }

    /// Audio skipped because a backlog grew beyond use, in units.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// How long ago, at the path's own delay, what is played at `now_us` could have been played.
    fn delay_us(&self, now_us: i64, pending: u32) -> i64 {
        let base = self.spread.base().unwrap_or(now_us);
        let played = self.cursor.unwrap_or(0) - i64::from(pending);
        now_us - base - microseconds(played)
    }

    /// Begins with the first waiting packet once it has waited for the target delay.
    fn start(&mut self, now_us: i64) -> Option<i64> {
        let base = self.spread.base()?;
        let first = (self.next_sequence..=self.highest)
            .take(PacketStore::SPAN as usize)
            .filter_map(|sequence| self.store.get(sequence))
            .find(|waiting| matches!(waiting.kind, PayloadKind::Audio(_)))?;
        let (sequence, position) = (first.sequence, first.position);
        if now_us - base - microseconds(position) < self.target_us() {
            return None;
        }
        self.next_sequence = sequence;
        self.begun = true;
        Some(position)
    }

    /// After a stall of the network or of ourselves, old audio is of no use to a conversation.
    fn skip_backlog(&mut self, cursor: i64, now_us: i64, pending: u32) -> i64 {
        self.cursor = Some(cursor);
        let above_us = self.delay_us(now_us, pending) - self.target_us();
        if above_us <= SKIP_ABOVE_US {
            return cursor;
        }
        let skipped = units(above_us);
        self.skipped += skipped.unsigned_abs();
        cursor + skipped
    }

    /// Digits and comfort noise at the head of the line have had their turn.
    fn pass_pauses(&mut self) {
        while let Some(waiting) = self.store.get(self.next_sequence) {
            if waiting.kind != PayloadKind::Pause {
                return;
            }
            self.next_sequence += 1;
            self.pausing = true;
        }
    }

    fn first_audio_behind(&self, sequence: i64) -> Option<i64> {
        (sequence + 1..=self.highest)
            .take(PacketStore::SPAN as usize)
            .filter_map(|sequence| self.store.get(sequence))
            .find(|waiting| matches!(waiting.kind, PayloadKind::Audio(_)))
            .map(|waiting| waiting.position)
    }
}
