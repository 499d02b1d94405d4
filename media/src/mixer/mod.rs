//! Three buses into one: what the caller hears.
//!
//! The mixer owns the queues of the speech, thinking and background bus and turns them into one frame
//! of 10 ms at a time. It knows nothing of packets but their boundaries: the leg says when a packet was
//! completed and takes the marks (utterances begun and ended) that belong to it, so that an utterance is
//! reported when its frame is really on its way and not a frame earlier.
//!
//! ```text
//! speech     ─ queue ─ gain ──────────────────┐
//!   └ level ─► ducker ─┐                      ├─ sum ─ limiter ─► frame
//! thinking   ─ queue ─ gain ─ duck ───────────┤
//! background ─ queue ─ gain ─ duck ───────────┘
//! ```
//!
//! Most of a call's frames need none of that arithmetic: with nothing playing the answer is
//! [`MixedFrame::Silence`] and no sample is touched, and a single bus at 0 dB is copied.

mod bus_queue;
mod ducking;
mod marks;
mod ramps;
#[cfg(test)]
mod tests;

use std::time::Duration;

use dasp::Sample;

use self::bus_queue::BusQueue;
pub use self::bus_queue::Flush;
pub use self::bus_queue::Refusal;
use self::ducking::Ducker;
pub use self::marks::Mark;
pub use self::ramps::with_loop_beneath;
use crate::control::{Bus, Chunk, Epoch};
use crate::frame_converter::LONGEST_FRAME;
use crate::limiter::Limiter;

/// Mixing goes in steps of this many milliseconds, whatever the packet time.
pub const MIX_FRAME_MS: u32 = 10;

/// How much audio each bus may hold in its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BusBounds {
    /// Bound of the speech bus.
    pub speech: Duration,
    /// Bound of the thinking bus.
    pub thinking: Duration,
    /// Bound of the background bus.
    pub background: Duration,
}

impl Default for BusBounds {
    /// One minute of speech, 30 s of thinking sounds, ten minutes of background (queued samples are
    /// shared, so a long piece of music costs a call nothing).
    fn default() -> Self {
        Self {
            speech: Duration::from_secs(60),
            thinking: Duration::from_secs(30),
            background: Duration::from_secs(600),
        }
    }
}

/// Whether a mixed frame holds anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MixedFrame {
    /// Nothing plays: the output frame was not written, its content means nothing.
    Silence,
    /// The output frame was written.
    Audio,
}

/// The three buses of one leg and the arithmetic between them and the encoder.
#[derive(Debug)]
pub struct Mixer {
    speech: BusQueue,
    thinking: BusQueue,
    background: BusQueue,
    ducker: Ducker,
    limiter: Limiter,
}

impl Mixer {
    /// An empty mixer for frames at `sample_rate_hz` (8,000 to 48,000).
    #[must_use]
    pub fn new(sample_rate_hz: u32, bounds: BusBounds) -> Self {
        Self {
            speech: BusQueue::new(sample_rate_hz, bounds.speech),
            thinking: BusQueue::new(sample_rate_hz, bounds.thinking),
            background: BusQueue::new(sample_rate_hz, bounds.background),
            ducker: Ducker::new(),
            limiter: Limiter::new(),
        }
    }

    /// Queues a chunk.
    ///
    /// # Errors
    /// [`Refusal`] when the bus is full, or when the chunk's utterance is older than one already queued
    /// or had its last chunk. A chunk of a flushed utterance is dropped and is no error.
    pub fn play(&mut self, bus: Bus, chunk: Chunk) -> Result<(), Refusal> {
        self.bus_mut(bus).push(chunk)
    }

    /// Replaces what a bus plays by an endless loop; says what was flushed for it, if anything was there.
    ///
    /// # Errors
    /// [`Refusal`] when `samples` is empty or the epoch is not newer than all before it on the bus.
    pub fn play_loop(
        &mut self,
        bus: Bus,
        epoch: Epoch,
        samples: std::sync::Arc<[i16]>,
    ) -> Result<Option<Flush>, Refusal> {
        self.bus_mut(bus).replace_by_loop(epoch, samples)
    }

    /// Drops everything on a bus up to and including `through`, fading out what sounds. When that was
    /// all, or what a pause held, the bus is no longer paused.
    pub fn flush(&mut self, bus: Bus, through: Epoch, fade_ms: u32) -> Flush {
        self.bus_mut(bus).flush(through, fade_ms)
    }

    /// Holds a bus at its current sample.
    pub fn pause(&mut self, bus: Bus) {
        self.bus_mut(bus).pause();
    }

    /// Lets a bus go on at the sample where it was paused.
    pub fn resume(&mut self, bus: Bus) {
        self.bus_mut(bus).resume();
    }

    /// Sets a bus's gain in dB (-60 to +12, taken to the nearest of these; -60 is silence). The change is
    /// spread over the next frame.
    pub fn set_gain(&mut self, bus: Bus, decibels: f32) {
        self.bus_mut(bus).gain.set_decibels(decibels);
    }

    /// The utterance that has begun on a bus and has neither ended nor been flushed; `None` also while
    /// the bus is paused.
    #[must_use]
    pub fn sounding(&self, bus: Bus) -> Option<Epoch> {
        self.bus(bus).sounding()
    }

    /// Mixes the next frame into `out` (10 ms). `loopback` stands in for the speech bus while that has
    /// nothing of its own to say.
    pub fn mix(&mut self, loopback: Option<&[i16]>, out: &mut [i16]) -> MixedFrame {
        let loopback = loopback.filter(|_| self.speech.lets_loopback_through());
        let speech = self.speech.has_work() || loopback.is_some();
        let thinking = self.thinking.has_work();
        let background = self.background.has_work();

        let undisturbed = self.limiter.is_idle();
        match (speech, thinking, background) {
            (false, false, false) => {
                self.ducker.rest();
                self.limiter.rest();
                MixedFrame::Silence
            }
            (true, false, false) if undisturbed && self.speech.gain.is_unity() => {
                self.ducker.speech_alone();
                let Some(frame) = loopback else {
                    return self.speech.pull(out);
                };
                out.copy_from_slice(frame);
                MixedFrame::Audio
            }
            (false, true, false) if undisturbed && self.plays_as_it_is(Bus::Thinking) => {
                self.thinking.pull(out)
            }
            (false, false, true) if undisturbed && self.plays_as_it_is(Bus::Background) => {
                self.background.pull(out)
            }
            _ => self.mix_sum(loopback, out),
        }
    }

    fn plays_as_it_is(&self, ducked: Bus) -> bool {
        self.bus(ducked).gain.is_unity() && self.ducker.is_at_rest()
    }

    fn mix_sum(&mut self, loopback: Option<&[i16]>, out: &mut [i16]) -> MixedFrame {
        let mut scratch = [0i16; LONGEST_FRAME];
        let mut sum = [0f32; LONGEST_FRAME];
        let scratch = &mut scratch[..out.len()];
        let sum = &mut sum[..out.len()];

        let spoken = match loopback {
            Some(frame) => {
                scratch.copy_from_slice(frame);
                MixedFrame::Audio
            }
            None => self.speech.pull(scratch),
        };
        let mut audible = spoken;
        let speech_level = match spoken {
            MixedFrame::Audio => {
                self.speech.gain.add_scaled(scratch, sum, 1.0, 1.0);
                root_mean_square(sum)
            }
            MixedFrame::Silence => 0.0,
        };
        let duck = self.ducker.next(speech_level);
        for bus in [&mut self.thinking, &mut self.background] {
            if bus.pull(scratch) == MixedFrame::Audio {
                bus.gain.add_scaled(scratch, sum, duck.from, duck.to);
                audible = MixedFrame::Audio;
            }
        }
        if audible == MixedFrame::Audio {
            self.limiter.apply(sum, out);
        }
        audible
    }

    /// What began and ended since the last call, oldest first; the leg calls it when it completed a
    /// packet.
    pub fn take_marks(&mut self, mut report: impl FnMut(Bus, Mark)) {
        for bus in [Bus::Speech, Bus::Thinking, Bus::Background] {
            self.bus_mut(bus).marks.drain(|mark| report(bus, mark));
        }
    }

    fn bus(&self, bus: Bus) -> &BusQueue {
        match bus {
            Bus::Speech => &self.speech,
            Bus::Thinking => &self.thinking,
            Bus::Background => &self.background,
        }
    }

    fn bus_mut(&mut self, bus: Bus) -> &mut BusQueue {
        match bus {
            Bus::Speech => &mut self.speech,
            Bus::Thinking => &mut self.thinking,
            Bus::Background => &mut self.background,
        }
    }
}

/// The level of a frame, 0 to 1 of full scale.
fn root_mean_square(frame: &[f32]) -> f32 {
    let power: f32 = frame.iter().map(|sample| sample * sample).sum();
    (power / frame.len() as f32).sqrt()
}

/// A bus's gain: the linear factor in force and the one it moves to during the next frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gain {
    now: f32,
    target: f32,
}

impl Gain {
    const SILENT_AT_DECIBELS: f32 = -60.0;
    const LOUDEST_DECIBELS: f32 = 12.0;

    fn unity() -> Self {
        Self {
            now: 1.0,
            target: 1.0,
        }
    }

    fn set_decibels(&mut self, decibels: f32) {
        self.target = if decibels > Self::SILENT_AT_DECIBELS {
            10f32.powf(decibels.min(Self::LOUDEST_DECIBELS) / 20.0)
        } else {
            0.0
        };
    }

    fn is_unity(&self) -> bool {
        self.now == 1.0 && self.target == 1.0
    }

    /// Adds `samples`, scaled by the gain times a factor that moves from `from` to `to`, onto `sum`.
    fn add_scaled(&mut self, samples: &[i16], sum: &mut [f32], from: f32, to: f32) {
        let mut factor = self.now * from;
        let step = (self.target * to - factor) / samples.len() as f32;
        for (total, sample) in sum.iter_mut().zip(samples) {
            factor += step;
            *total += sample.to_sample::<f32>() * factor;
        }
        self.now = self.target;
    }
}
