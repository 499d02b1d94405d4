//! The utterance whose turn it is: its sentences, what of them is ready, what the leg has of it.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use offhook_media::control::{Bus, Chunk, Epoch, LegCommand};
use tokio::time::Instant;

use super::super::output::{Outbox, Output, Preparation};
use super::super::sentences;
use super::super::turn_metrics::UtteranceTimes;
use super::super::utterance::{NewUtterance, Source, UtteranceFailure};
use crate::pii::Pii;
use crate::provider::{Audio, ProviderError};

/// Audio handed to the leg ahead of what is heard; well within the bound of its speech bus.
const LOOKAHEAD: Duration = Duration::from_secs(20);
/// The longest piece handed to the leg at once.
const PIECE: Duration = Duration::from_secs(10);
/// Pieces prepared but not yet handed over, before the next sentence is asked for.
const READY_BOUND: usize = 2;
/// How long the leg may owe a started or drained mark beyond the time it should have come.
const MARK_PATIENCE: Duration = Duration::from_secs(10);

/// An utterance on its way to the caller.
pub(super) struct Playing {
    pub(super) utterance: NewUtterance,
    pub(super) epoch: Epoch,
    pub(super) clock: PlayClock,
    /// The audio ends before the text does, because of this.
    pub(super) failure: Option<UtteranceFailure>,
    sample_rate_hz: u32,
    sentences: Vec<Range<usize>>,
    /// Durations of the sentences prepared so far.
    lengths_ms: Vec<u64>,
    preparing: bool,
    ready: VecDeque<Arc<[i16]>>,
    /// Samples handed to the leg.
    sent_samples: u64,
    /// Whether the last chunk was handed over.
    all_sent: bool,
}

impl Playing {
    pub(super) fn new(utterance: NewUtterance, epoch: Epoch, sample_rate_hz: u32) -> Self {
        Self {
            sentences: sentences_of(&utterance),
            utterance,
            epoch,
            clock: PlayClock::default(),
            failure: None,
            sample_rate_hz,
            lengths_ms: Vec::new(),
            preparing: false,
            ready: VecDeque::new(),
            sent_samples: 0,
            all_sent: false,
        }
    }

    /// Its text has grown, or is complete.
    pub(super) fn text_came(&mut self) {
        self.sentences = sentences_of(&self.utterance);
    }

    /// Hands over what is ready and asks for what is missing.
    pub(super) fn advance(&mut self, now: Instant, out: &mut Outbox) {
        self.feed(now, out);
        self.prepare_next(now, out);
        // Ready audio needs no preparation: it can go at once.
        self.feed(now, out);
    }

    /// The sentence under way is made, or never will be. Answers whether it was this one's.
    pub(super) fn prepared(
        &mut self,
        sentence: usize,
        result: Result<Arc<[i16]>, ProviderError>,
        now: Instant,
    ) -> bool {
        if !self.preparing || self.lengths_ms.len() != sentence {
            return false;
        }
        self.preparing = false;
        match result {
            Ok(samples) => {
                self.clock.ready_at.get_or_insert(now);
                self.add_sentence(samples);
            }
            Err(error) => self.failure = Some(UtteranceFailure::Voice(error)),
        }
        true
    }

    /// Whether a sentence is being made.
    pub(super) fn is_preparing(&self) -> bool {
        self.preparing
    }

    /// Whether the leg has the last of it.
    pub(super) fn is_all_sent(&self) -> bool {
        self.all_sent
    }

    /// Whether there is no audio in it at all.
    pub(super) fn is_void(&self) -> bool {
        self.is_prepared() && self.ready.is_empty() && self.clock.handed_at.is_none()
    }

    /// How much was heard, by our own estimate, in milliseconds.
    pub(super) fn estimate_ms(&self, now: Instant) -> u64 {
        let heard = self.clock.position(now).min(self.sent());
        u64::try_from(heard.as_millis()).unwrap_or(u64::MAX)
    }

    /// The part of the text that `played_ms` of its audio hold.
    pub(super) fn heard(&self, played_ms: u64) -> &str {
        let text = text_of(&self.utterance);
        sentences::heard(text, &self.sentences, &self.lengths_ms, played_ms)
    }

    /// The part of the text that was made audio.
    pub(super) fn heard_all(&self) -> &str {
        self.heard(self.made_ms())
    }

    /// Duration of all of it that was made, in milliseconds.
    pub(super) fn made_ms(&self) -> u64 {
        self.lengths_ms.iter().sum()
    }

    /// When what happened to it.
    pub(super) fn times(&self) -> UtteranceTimes {
        UtteranceTimes {
            asked_at: self.clock.asked_at,
            ready_at: self.clock.ready_at,
            handed_at: self.clock.handed_at,
            started_at: self.clock.started_at,
        }
    }

    /// When it needs feeding, or a mark of the leg's is overdue.
    pub(super) fn timeout(&self) -> Option<Instant> {
        let handed_at = self.clock.handed_at?;
        if self.clock.held_by_reflex {
            return None;
        }
        let Some(started_at) = self.clock.started_at else {
            return Some(handed_at + MARK_PATIENCE);
        };
        let heard_at = started_at + self.clock.stood_for + self.sent();
        if self.all_sent {
            return Some(heard_at + MARK_PATIENCE);
        }
        // With nothing ready the next sentence is under way, and that has a deadline of its own.
        let behind = heard_at.checked_sub(LOOKAHEAD).unwrap_or(started_at);
        (!self.ready.is_empty()).then_some(behind)
    }

    /// Hands ready pieces to the leg, as far ahead as the bound allows.
    pub(super) fn feed(&mut self, now: Instant, out: &mut Outbox) {
        while !self.all_sent {
            let position = self.clock.position(now);
            let ahead = self.sent().saturating_sub(position);
            let last = self.is_prepared() && self.ready.len() <= 1;
            let samples = match self.ready.front() {
                Some(_) if ahead > LOOKAHEAD => return,
                Some(samples) => Arc::clone(samples),
                // The end came to be known after the last piece was sent: an empty chunk says so.
                None if last && self.clock.handed_at.is_some() => Arc::from([]),
                None => return,
            };
            self.ready.pop_front();
            // The leg had run dry: for that long nothing was heard.
            self.clock.stood_for += position.saturating_sub(self.sent());
            self.clock.handed_at.get_or_insert(now);
            self.sent_samples += samples.len() as u64;
            self.all_sent = last;
            let chunk = Chunk {
                epoch: self.epoch,
                samples,
                last,
            };
            out.leg(LegCommand::Play {
                bus: Bus::Speech,
                chunk,
            });
        }
    }

    fn prepare_next(&mut self, now: Instant, out: &mut Outbox) {
        if self.preparing || self.ready.len() > READY_BOUND {
            return;
        }
        let Some(sentence) = self.next_sentence() else {
            return;
        };
        let work = match &self.utterance.source {
            Source::Audio(audio) if audio.sample_rate_hz == self.sample_rate_hz => {
                let samples = Arc::clone(&audio.samples);
                return self.add_sentence(samples);
            }
            Source::Audio(audio) => Preparation::Convert(Audio::clone(audio)),
            Source::Text | Source::Stream { .. } => {
                let text = &text_of(&self.utterance)[self.sentences[sentence].clone()];
                Preparation::Synthesise(Pii::new(text.to_owned()))
            }
        };
        self.preparing = true;
        self.clock.asked_at.get_or_insert(now);
        let utterance = self.utterance.id;
        out.push(Output::Prepare {
            utterance,
            sentence,
            work,
        });
    }

    /// Adds a sentence's samples, in pieces no longer than [`PIECE`].
    fn add_sentence(&mut self, samples: Arc<[i16]>) {
        self.lengths_ms
            .push(samples.len() as u64 * 1_000 / u64::from(self.sample_rate_hz));
        let piece_samples = self.sample_rate_hz as usize * PIECE.as_secs() as usize;
        if samples.len() > piece_samples {
            // Only what is too long for the bus is copied.
            let pieces = samples.chunks(piece_samples).map(Arc::from);
            self.ready.extend(pieces);
        } else if !samples.is_empty() {
            self.ready.push_back(samples);
        }
    }

    fn next_sentence(&self) -> Option<usize> {
        let next = self.lengths_ms.len();
        (next < self.sentences.len() && self.failure.is_none()).then_some(next)
    }

    fn is_prepared(&self) -> bool {
        let grows = matches!(self.utterance.source, Source::Stream { complete: false });
        !self.preparing && self.next_sentence().is_none() && (!grows || self.failure.is_some())
    }

    /// Duration of what was handed over.
    fn sent(&self) -> Duration {
        Duration::from_micros(self.sent_samples * 1_000_000 / u64::from(self.sample_rate_hz))
    }
}

/// What can be made audio, piece by piece.
fn sentences_of(utterance: &NewUtterance) -> Vec<Range<usize>> {
    let text = text_of(utterance);
    match &utterance.source {
        Source::Text | Source::Stream { complete: true } => sentences::split(text),
        Source::Stream { complete: false } => {
            // What comes next may still belong to the last.
            let mut sentences = sentences::split(text);
            sentences.pop();
            sentences
        }
        Source::Audio(audio) if audio.samples.is_empty() => Vec::new(),
        // One piece of audio, whatever its text.
        Source::Audio(_) => std::iter::once(0..text.len()).collect(),
    }
}

fn text_of(utterance: &NewUtterance) -> &str {
    let text = utterance.text.as_ref();
    text.map_or("", |text| text.expose().as_str())
}

/// Estimates how far the leg is with an utterance.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PlayClock {
    /// When the voice was asked for the first sentence, and when that was ready.
    pub(super) asked_at: Option<Instant>,
    pub(super) ready_at: Option<Instant>,
    /// When the first chunk was handed over.
    pub(super) handed_at: Option<Instant>,
    pub(super) started_at: Option<Instant>,
    /// The reflex holds the utterance.
    pub(super) held_by_reflex: bool,
    /// Since when it stands still, by the reflex or because the call is on hold.
    stands_since: Option<Instant>,
    stood_for: Duration,
}

impl PlayClock {
    pub(super) fn stand(&mut self, now: Instant) {
        self.stands_since.get_or_insert(now);
    }

    pub(super) fn go_on(&mut self, now: Instant) {
        if let Some(since) = self.stands_since.take()
            && self.started_at.is_some()
        {
            self.stood_for += now.saturating_duration_since(since);
        }
    }

    fn position(&self, now: Instant) -> Duration {
        let Some(started_at) = self.started_at else {
            return Duration::ZERO;
        };
        let until = self.stands_since.unwrap_or(now);
        until
            .saturating_duration_since(started_at)
            .saturating_sub(self.stood_for)
    }
}
