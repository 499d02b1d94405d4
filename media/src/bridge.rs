//! Two legs that hear each other.
//!
//! Each leg has one end. What it hears from its far end, and what its agent says, goes into a ring to the other
//! end; what comes from there is added to what its own far end hears, and to what its agent listens to. So of the
//! two far ends and the agent each hears the other two, and nobody themselves.
//!
//! ```text
//! far end A ─► leg A ─ caller + agent ─► ring ─► leg B ─► far end B
//! far end A ◄─ leg A ◄─ ring ◄─ caller + agent ─ leg B ◄─ far end B
//! ```
//!
//! The legs may live on different media threads: the rings need no lock and nobody waits. Both threads tick by the
//! same clock, so what the rings hold stays the same but for ticks that come late; 20 ms are kept for those.

use dasp::Sample;

use crate::frame_converter::{FrameConverter, LONGEST_FRAME};
use crate::limiter::Limiter;
use crate::resampler::UnsupportedRates;

/// How much a ring holds.
const RING_MS: usize = 200;
/// How many frames are kept for late ticks.
const KEPT_FRAMES: usize = 2;
/// With more than this, a frame that is quiet is left out.
const MANY_FRAMES: usize = 4;
/// With more than this, all but those kept are left out.
const TOO_MANY_FRAMES: usize = 12;
/// What counts as quiet: below -50 dBFS.
const QUIET: u16 = 100;

/// One end of a bridge; given to a leg.
pub struct BridgeEnd {
    to: Direction,
    from: Direction,
    writer: rtrb::Producer<i16>,
    reader: rtrb::Consumer<i16>,
    agent_takes_part: bool,
    to_limiter: Limiter,
    from_limiter: Limiter,
    /// Whether frames are played; until then the ring fills up to those that are kept.
    playing: bool,
    /// What the other end's side says now; meaningful while `audible`.
    frame: [i16; LONGEST_FRAME],
    audible: bool,
    /// What the agent hears: both far ends.
    both: [i16; LONGEST_FRAME],
    statistics: BridgeStatistics,
}

/// What an end counted, in frames of 10 ms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BridgeStatistics {
    /// Frames of the other side that came too late, and were silence.
    pub missing: u64,
    /// Frames of the other side left out, to catch up.
    pub left_out: u64,
    /// Frames of this side that the other did not take.
    pub untaken: u64,
}

impl std::ops::AddAssign for BridgeStatistics {
    fn add_assign(&mut self, other: Self) {
        self.missing += other.missing;
        self.left_out += other.left_out;
        self.untaken += other.untaken;
    }
}

/// One direction, seen from one end.
#[derive(Debug)]
struct Direction {
    /// The ring's rate, which stays.
    ring_hz: u32,
    converter: FrameConverter,
}

impl Direction {
    fn new(ring_hz: u32, from_hz: u32, to_hz: u32) -> Result<Self, UnsupportedRates> {
        Ok(Self {
            ring_hz,
            converter: FrameConverter::new(from_hz, to_hz)?,
        })
    }

    fn ring_tick(&self) -> usize {
        self.ring_hz as usize / 100
    }
}

/// A bridge between a leg at `first_hz` and one at `second_hz` (8,000 to 48,000): the ends for each. Agents that do not
/// take part are not heard by anybody until it is gone.
///
/// # Errors
/// [`UnsupportedRates`] when one rate cannot become the other.
pub fn bridge(
    first_hz: u32,
    second_hz: u32,
    agents_take_part: bool,
) -> Result<(BridgeEnd, BridgeEnd), UnsupportedRates> {
    let samples = |rate: u32| rate as usize / 1_000 * RING_MS;
    let (first_writer, second_reader) = rtrb::RingBuffer::new(samples(first_hz));
    let (second_writer, first_reader) = rtrb::RingBuffer::new(samples(second_hz));
    let end = |writer, reader, own_hz, other_hz| {
        Ok(BridgeEnd {
            // A ring has the rate of the leg that writes it.
            to: Direction::new(own_hz, own_hz, own_hz)?,
            from: Direction::new(other_hz, other_hz, own_hz)?,
            writer,
            reader,
            agent_takes_part: agents_take_part,
            to_limiter: Limiter::new(),
            from_limiter: Limiter::new(),
            playing: false,
            frame: [0; LONGEST_FRAME],
            audible: false,
            both: [0; LONGEST_FRAME],
            statistics: BridgeStatistics::default(),
        })
    };
    Ok((
        end(first_writer, first_reader, first_hz, second_hz)?,
        end(second_writer, second_reader, second_hz, first_hz)?,
    ))
}

impl BridgeEnd {
    /// Whether the leg's agent takes part. One that does not is neither heard nor advanced: what it was saying waits.
    pub(crate) fn agent_takes_part(&self) -> bool {
        self.agent_takes_part
    }

    /// Takes what the other side says in this tick, `length` samples at the leg's rate.
    pub(crate) fn receive(&mut self, length: usize) {
        let tick = self.from.ring_tick();
        let waiting = self.reader.slots() / tick;
        self.playing |= waiting >= KEPT_FRAMES;
        self.audible = false;
        if waiting == 0 || !self.playing {
            self.statistics.missing += u64::from(self.playing);
            self.playing = false;
            return;
        }
        let mut came = [0; LONGEST_FRAME];
        let came = &mut came[..tick];
        self.take(came);
        let quiet = |frame: &[i16]| frame.iter().all(|sample| sample.unsigned_abs() < QUIET);
        if waiting > TOO_MANY_FRAMES {
            for _ in KEPT_FRAMES..waiting {
                self.statistics.left_out += 1;
                self.take(came);
            }
        } else if waiting > MANY_FRAMES && quiet(came) {
            self.statistics.left_out += 1;
            self.take(came);
        }
        self.audible = came.iter().any(|sample| *sample != 0);
        self.from.converter.convert(came, &mut self.frame[..length]);
        self.audible |= self.frame[..length].iter().any(|sample| *sample != 0);
    }

    fn take(&mut self, frame: &mut [i16]) {
        if let Ok(chunk) = self.reader.read_chunk(frame.len()) {
            let (first, second) = chunk.as_slices();
            frame[..first.len()].copy_from_slice(first);
            frame[first.len()..].copy_from_slice(second);
            chunk.commit_all();
        }
    }

    /// Adds what the other side says to `frame`, which holds sound where `audible`; answers whether it does then.
    pub(crate) fn add_to(&mut self, frame: &mut [i16], audible: bool) -> bool {
        if !self.audible {
            self.from_limiter.rest();
            return audible;
        }
        let other = &self.frame[..frame.len()];
        if audible {
            add(&mut self.from_limiter, other, frame);
        } else {
            frame.copy_from_slice(other);
        }
        true
    }

    /// Slots are caught up in which nothing was taken from the other side.
    pub(crate) fn pass_over(&mut self) {
        self.audible = false;
    }

    /// What the agent hears while the leg's own far end says `caller`, and whether that is anything.
    pub(crate) fn ear<'a>(&'a mut self, caller: &'a [i16], audible: bool) -> (&'a [i16], bool) {
        let other = &self.frame[..caller.len()];
        match (audible, self.audible) {
            (_, false) => (caller, audible),
            (false, true) => (other, true),
            (true, true) => {
                let both = &mut self.both[..caller.len()];
                for ((both, caller), other) in both.iter_mut().zip(caller).zip(other) {
                    *both = caller.saturating_add(*other);
                }
                (both, true)
            }
        }
    }

    /// Passes on one frame: what the far end said and what the agent says, each where there is anything.
    pub(crate) fn send(&mut self, caller: Option<&[i16]>, agent: Option<&[i16]>, length: usize) {
        let mut sum = [0; LONGEST_FRAME];
        let sum = &mut sum[..length];
        match (caller, agent) {
            (Some(frame), None) | (None, Some(frame)) => sum.copy_from_slice(frame),
            (Some(caller), Some(agent)) => {
                sum.copy_from_slice(caller);
                add(&mut self.to_limiter, agent, sum);
            }
            (None, None) => self.to_limiter.rest(),
        }
        let mut passed = [0; LONGEST_FRAME];
        let passed = &mut passed[..self.to.ring_tick()];
        self.to.converter.convert(sum, passed);
        match self.writer.write_chunk_uninit(passed.len()) {
            Ok(chunk) => {
                chunk.fill_from_iter(passed.iter().copied());
            }
            Err(_) => self.statistics.untaken += 1,
        }
    }

    /// How many frames of the other side wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.reader.slots() / self.from.ring_tick()
    }

    /// Whether the other end is gone.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.reader.is_abandoned()
    }

    /// What was counted so far.
    pub(crate) fn statistics(&self) -> BridgeStatistics {
        self.statistics
    }
}

/// Adds one frame onto another, within full scale.
fn add(limiter: &mut Limiter, other: &[i16], frame: &mut [i16]) {
    let mut sum = [0f32; LONGEST_FRAME];
    let sum = &mut sum[..frame.len()];
    for ((sum, one), other) in sum.iter_mut().zip(&*frame).zip(other) {
        *sum = one.to_sample::<f32>() + other.to_sample::<f32>();
    }
    limiter.apply(sum, frame);
}

impl std::fmt::Debug for BridgeEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BridgeEnd")
            .field("to_hz", &self.to.ring_hz)
            .field("from_hz", &self.from.ring_hz)
            .field("statistics", &self.statistics)
            .finish_non_exhaustive()
    }
}
