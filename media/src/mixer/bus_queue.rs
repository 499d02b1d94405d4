//! One bus: the utterances waiting to be heard, in order, and where playing stands.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::marks::{Mark, Marks};
use super::ramps::{LOOP_SEAM_MS, copy_loop, ramp_down, ramp_up};
use super::{Gain, MixedFrame};
use crate::control::{Chunk, Epoch};

/// A queue of shared chunks. Chunks of one utterance (one epoch) follow each other; utterances come in
/// rising epochs; whatever is at or below a flushed epoch is dropped, whenever it arrives.
#[derive(Debug)]
pub(crate) struct BusQueue {
    pub(super) gain: Gain,
    pub(super) marks: Marks,
    items: VecDeque<Item>,
    /// The next sample of the front item.
    position: usize,
    queued_samples: usize,
    bound_samples: usize,
    /// The utterance that has begun and not ended.
    current: Option<Utterance>,
    /// The newest utterance accepted, and whether its last chunk is here.
    newest: Option<(Epoch, bool)>,
    flushed_through: Option<Epoch>,
    hold: Hold,
    fade: Option<Fade>,
    samples_per_ms: usize,
}

/// A chunk was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The bus holds as much audio as it may.
    #[error("the bus is full")]
    Full,
    /// The utterance is older than one already queued, or has had its last chunk.
    #[error("the utterance is over or overtaken")]
    OutOfOrder,
    /// A loop without samples.
    #[error("the loop is empty")]
    Empty,
}

/// What a flush did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flush {
    /// The newest epoch that was dropped.
    pub through: Epoch,
    /// The youngest utterance that had begun and was cut.
    pub cut: Option<Epoch>,
    /// How much of it was played, in milliseconds.
    pub played_ms: u64,
}

#[derive(Debug)]
struct Item {
    epoch: Epoch,
    samples: Arc<[i16]>,
    last: bool,
    repeats: bool,
}

#[derive(Clone, Copy, Debug)]
struct Utterance {
    epoch: Epoch,
    played: u64,
}

/// Pausing reads a few milliseconds ahead for a ramp down without consuming them, so that resuming
/// really goes on at the sample where the pause fell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    Playing,
    Pausing,
    Paused,
    Resuming,
}

/// The rest of a flushed utterance while it fades out. Its items are still at the front of the queue.
#[derive(Clone, Copy, Debug)]
struct Fade {
    remaining: usize,
    total: usize,
}

/// How many chunks a bus holds at most, whatever their length.
const MOST_ITEMS: usize = 1024;
/// Room made ready at once; a longer queue grows when a chunk is queued, never while mixing.
const READY_ITEMS: usize = 16;
const LONGEST_FADE_MS: u32 = 400;
const PAUSE_RAMP_MS: usize = 5;
/// The fade of what a loop replaces.
const REPLACE_FADE_MS: u32 = 10;

impl BusQueue {
    pub(crate) fn new(sample_rate_hz: u32, bound: Duration) -> Self {
        let samples_per_ms = sample_rate_hz as usize / 1000;
        Self {
            gain: Gain::unity(),
            marks: Marks::default(),
            items: VecDeque::with_capacity(READY_ITEMS),
            position: 0,
            queued_samples: 0,
            bound_samples: usize::try_from(bound.as_millis())
                .unwrap_or(usize::MAX)
                .saturating_mul(samples_per_ms),
            current: None,
            newest: None,
            flushed_through: None,
            hold: Hold::Playing,
            fade: None,
            samples_per_ms,
        }
    }

    pub(crate) fn push(&mut self, chunk: Chunk) -> Result<(), Refusal> {
        if self
            .flushed_through
            .is_some_and(|through| chunk.epoch <= through)
        {
            return Ok(());
        }
        if let Some((newest, complete)) = self.newest
            && (chunk.epoch < newest || (chunk.epoch == newest && complete))
        {
            return Err(Refusal::OutOfOrder);
        }
        if chunk.samples.is_empty() {
            if !chunk.last {
                return Ok(());
            }
            // The end of what is already queued needs no room, so a full bus takes it too.
            if let Some(back) = self.items.back_mut()
                && back.epoch == chunk.epoch
            {
                back.last = true;
                self.newest = Some((chunk.epoch, true));
                return Ok(());
            }
        }
        let end_alone = chunk.samples.is_empty();
        if !end_alone && self.queued_samples >= self.bound_samples || self.items.len() >= MOST_ITEMS
        {
            return Err(Refusal::Full);
        }
        self.queued_samples += chunk.samples.len();
        self.newest = Some((chunk.epoch, chunk.last));
        self.items.push_back(Item {
            epoch: chunk.epoch,
            samples: chunk.samples,
            last: chunk.last,
            repeats: false,
        });
        Ok(())
    }

    pub(crate) fn replace_by_loop(
        &mut self,
        epoch: Epoch,
        samples: Arc<[i16]>,
    ) -> Result<Option<Flush>, Refusal> {
        if samples.is_empty() {
            return Err(Refusal::Empty);
        }
        if self.flushed_through.is_some_and(|through| epoch <= through) {
            return Ok(None);
        }
        let flushed = match self.newest {
            Some((newest, _)) if epoch <= newest => return Err(Refusal::OutOfOrder),
            Some((newest, _)) if self.current.is_some() || !self.items.is_empty() => {
                let hold = self.hold;
                let flush = self.flush(newest, REPLACE_FADE_MS);
                self.hold = hold;
                Some(flush)
            }
            Some(_) | None => None,
        };
        self.newest = Some((epoch, true));
        self.items.push_back(Item {
            epoch,
            samples,
            last: false,
            repeats: true,
        });
        Ok(flushed)
    }

    pub(crate) fn flush(&mut self, through: Epoch, fade_ms: u32) -> Flush {
        let withdrawn = self.marks.withdraw(through);
        let sounding = match self.current {
            Some(utterance) if utterance.epoch <= through => {
                self.current = None;
                Some(utterance)
            }
            Some(_) | None => None,
        };
        let cut = sounding
            .map(|utterance| (utterance.epoch, utterance.played))
            .or(withdrawn);

        self.drop_queued(through, sounding.is_some(), fade_ms);
        if self.flushed_through.is_none_or(|flushed| flushed < through) {
            self.flushed_through = Some(through);
        }
        if sounding.is_some() || self.items.is_empty() {
            self.hold = Hold::Playing;
        }
        Flush {
            through,
            cut: cut.map(|(epoch, _)| epoch),
            played_ms: cut.map_or(0, |(_, played)| played / self.samples_per_ms as u64),
        }
    }

    /// Removes the items up to `through`, but for as many samples as sound on while they fade out: those
    /// of the utterance that is `sounding` now, or those of a fade already under way.
    fn drop_queued(&mut self, through: Epoch, sounding: bool, fade_ms: u32) {
        let fading_through = self.fade.and(self.flushed_through);
        let mut fade_left = 0;
        let audible = matches!(self.hold, Hold::Playing | Hold::Pausing);
        if sounding && audible && self.fade.is_none() {
            fade_left = fade_ms.min(LONGEST_FADE_MS) as usize * self.samples_per_ms;
        }
        let wanted = fade_left;
        let mut position = self.position;
        let mut front = true;
        let mut front_kept = true;
        let mut queued = 0;
        self.items.retain(|item| {
            let keep = if item.epoch > through
                || fading_through.is_some_and(|flushed| item.epoch <= flushed)
            {
                true
            } else if fade_left == 0 {
                false
            } else {
                let available = if item.repeats {
                    fade_left
                } else {
                    item.samples.len() - position
                };
                fade_left -= available.min(fade_left);
                // One that is played out and waits for the next packet to end in was cut like the others.
                available > 0
            };
            if front {
                front_kept = keep;
                front = false;
            }
            position = 0;
            if keep && !item.repeats {
                queued += item.samples.len();
            }
            keep
        });
        if !front_kept {
            self.position = 0;
        }
        self.queued_samples = queued;
        let total = wanted - fade_left;
        if total > 0 {
            self.fade = Some(Fade {
                remaining: total,
                total,
            });
        }
    }

    pub(crate) fn pause(&mut self) {
        self.hold = match self.hold {
            Hold::Playing | Hold::Pausing => Hold::Pausing,
            Hold::Paused | Hold::Resuming => Hold::Paused,
        };
    }

    pub(crate) fn resume(&mut self) {
        self.hold = match self.hold {
            Hold::Playing | Hold::Pausing => Hold::Playing,
            Hold::Paused | Hold::Resuming => Hold::Resuming,
        };
    }

    pub(crate) fn sounding(&self) -> Option<Epoch> {
        match self.hold {
            Hold::Playing | Hold::Resuming => self.current.map(|utterance| utterance.epoch),
            Hold::Pausing | Hold::Paused => None,
        }
    }

    /// Whether [`pull`](Self::pull) may yield samples or marks.
    pub(crate) fn has_work(&self) -> bool {
        !self.items.is_empty() && self.hold != Hold::Paused
    }

    /// Whether the bus is silent for want of audio, so that the caller's own may be played instead.
    pub(crate) fn lets_loopback_through(&self) -> bool {
        self.items.is_empty() && matches!(self.hold, Hold::Playing | Hold::Resuming)
    }

    /// The next frame of this bus, before its gain.
    pub(crate) fn pull(&mut self, out: &mut [i16]) -> MixedFrame {
        if self.items.is_empty() {
            return MixedFrame::Silence;
        }
        if self.fade.is_some() {
            return self.pull_fading(out);
        }
        let written = match self.hold {
            Hold::Playing => self.pull_playing(out),
            Hold::Resuming => {
                let written = self.pull_playing(out);
                let ramp = (PAUSE_RAMP_MS * self.samples_per_ms).min(written);
                ramp_up(&mut out[..ramp]);
                self.hold = Hold::Playing;
                written
            }
            Hold::Pausing => {
                self.hold = Hold::Paused;
                let ramp = PAUSE_RAMP_MS * self.samples_per_ms;
                let written = if self.current.is_some() {
                    self.peek(&mut out[..ramp])
                } else {
                    0
                };
                ramp_down(&mut out[..written], written, written);
                written
            }
            Hold::Paused => 0,
        };
        if written == 0 {
            return MixedFrame::Silence;
        }
        out[written..].fill(0);
        MixedFrame::Audio
    }

    /// Consumes up to a frame; returns how many samples there were.
    fn pull_playing(&mut self, out: &mut [i16]) -> usize {
        let mut written = 0;
        while let Some(front) = self.items.front() {
            if let Some(utterance) = self.current
                && utterance.epoch != front.epoch
            {
                // The next utterance follows though this one's last chunk never came.
                if !self.end_current(utterance.epoch) {
                    break;
                }
                continue;
            }
            let took = copy_from(
                front,
                &mut self.position,
                self.samples_per_ms,
                &mut out[written..],
            );
            let (epoch, last) = (front.epoch, front.last);
            let exhausted = !front.repeats && self.position == front.samples.len();
            if took > 0 {
                let begun = self.current.get_or_insert_with(|| {
                    self.marks.push(Mark::Started(epoch));
                    Utterance { epoch, played: 0 }
                });
                begun.played += took as u64;
                written += took;
            }
            if exhausted {
                if last && !self.end_current(epoch) {
                    break;
                }
                self.pop_front();
            }
            if written == out.len() {
                break;
            }
        }
        written
    }

    /// Notes the end of an utterance, unless another one already ended in this packet: then it stays
    /// where it is until the next.
    fn end_current(&mut self, epoch: Epoch) -> bool {
        if !self.marks.may_end() {
            return false;
        }
        let played = self.current.take().map_or(0, |utterance| utterance.played);
        self.marks.push(Mark::Ended { epoch, played });
        true
    }

    fn pull_fading(&mut self, out: &mut [i16]) -> MixedFrame {
        let Some(Fade { remaining, total }) = self.fade else {
            return MixedFrame::Silence;
        };
        let take = remaining.min(out.len());
        let mut written = 0;
        while written < take {
            let Some(front) = self.items.front() else {
                break;
            };
            written += copy_from(
                front,
                &mut self.position,
                self.samples_per_ms,
                &mut out[written..take],
            );
            if !front.repeats && self.position == front.samples.len() {
                self.pop_front();
            }
        }
        ramp_down(&mut out[..written], remaining, total);
        out[written..].fill(0);
        self.fade = Some(Fade {
            remaining: remaining - take,
            total,
        });
        if remaining == take {
            self.finish_fade();
        }
        MixedFrame::Audio
    }

    fn finish_fade(&mut self) {
        self.fade = None;
        while let (Some(front), Some(through)) = (self.items.front(), self.flushed_through) {
            if front.epoch > through {
                break;
            }
            self.pop_front();
        }
    }

    fn pop_front(&mut self) {
        if let Some(item) = self.items.pop_front()
            && !item.repeats
        {
            self.queued_samples -= item.samples.len();
        }
        self.position = 0;
    }

    /// Copies what comes next without consuming it.
    fn peek(&self, out: &mut [i16]) -> usize {
        let mut written = 0;
        let mut position = self.position;
        for item in &self.items {
            if self
                .current
                .is_some_and(|utterance| utterance.epoch != item.epoch)
            {
                break;
            }
            written += copy_from(
                item,
                &mut position,
                self.samples_per_ms,
                &mut out[written..],
            );
            if written == out.len() {
                break;
            }
            position = 0;
        }
        written
    }
}

/// Copies from an item at `position` and moves the position on; fewer than asked for only at the end.
fn copy_from(item: &Item, position: &mut usize, samples_per_ms: usize, out: &mut [i16]) -> usize {
    if item.repeats {
        copy_loop(&item.samples, position, LOOP_SEAM_MS * samples_per_ms, out);
        return out.len();
    }
    let rest = &item.samples[*position..];
    let count = rest.len().min(out.len());
    out[..count].copy_from_slice(&rest[..count]);
    *position += count;
    count
}
