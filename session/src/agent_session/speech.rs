//! The agent's speech: one utterance at a time on the leg, the others waiting in order.
//!
//! ```text
//! say ─► queue ─► current: sentence ─► prepare ─► pieces ─► Play ─► leg ─► Started … Drained ─► Completed
//!                    │ cut: Flush ─► leg ─► Flushed{played_ms} ─► Interrupted{heard}
//! ```
//!
//! Each utterance plays under an epoch of its own, so what was cut can never be heard later, and two
//! in a row never complete together. Audio goes to the leg at most [`LOOKAHEAD`] ahead of what is
//! heard. A handle is resolved by the leg's own marks; where the leg owes one for too long, by our
//! estimate.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use offhook_media::control::{Bus, Chunk, Epoch, LegCommand};
use tokio::time::Instant;

use super::output::{Outbox, Output, Preparation};
use super::sentences;
use super::utterance::{NewUtterance, Outcome, QueueMode, Source, UtteranceFailure, UtteranceId};
use crate::pii::Pii;
use crate::provider::{Audio, ProviderError};

/// Utterances that may wait behind the current one.
const QUEUE_BOUND: usize = 8;
/// Audio handed to the leg ahead of what is heard; well within the bound of its speech bus.
const LOOKAHEAD: Duration = Duration::from_secs(20);
/// The longest piece handed to the leg at once.
const PIECE: Duration = Duration::from_secs(10);
/// Pieces prepared but not yet handed over, before the next sentence is asked for.
const READY_BOUND: usize = 2;
/// How long the leg may owe the figure for a flush.
const FLUSH_PATIENCE: Duration = Duration::from_millis(300);
/// How long the leg may owe a started or drained mark beyond the time it should have come.
const MARK_PATIENCE: Duration = Duration::from_secs(10);

/// How an utterance ended, with what the transcript needs.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) id: UtteranceId,
    pub(super) outcome: Outcome,
    /// When its first frame was sent.
    pub(super) started_at: Option<Instant>,
    /// What the transcript says, if it is to say anything.
    pub(super) transcript: Option<String>,
}

/// The speech bus as the session uses it.
#[derive(Debug)]
pub(super) struct Speech {
    sample_rate_hz: u32,
    has_voice: bool,
    fade_ms: u32,
    open: bool,
    /// The call is on hold: the leg plays nothing, and owes nothing.
    on_hold: bool,
    last_epoch: Epoch,
    current: Option<Box<Playing>>,
    queue: VecDeque<NewUtterance>,
    /// Flushed utterances whose figure the leg owes.
    cuts: Vec<Cut>,
    ended: VecDeque<Ended>,
}

/// The utterance whose turn it is.
#[derive(Debug)]
struct Playing {
    utterance: NewUtterance,
    epoch: Epoch,
    sentences: Vec<Range<usize>>,
    /// Durations of the sentences prepared so far.
    lengths_ms: Vec<u64>,
    preparing: bool,
    ready: VecDeque<Arc<[i16]>>,
    /// Samples handed to the leg.
    sent_samples: u64,
    /// Whether the last chunk was handed over.
    all_sent: bool,
    /// The audio ends before the text does, because of this.
    failure: Option<UtteranceFailure>,
    clock: PlayClock,
}

#[derive(Debug)]
struct Cut {
    playing: Box<Playing>,
    failure: Option<UtteranceFailure>,
    estimate_ms: u64,
    deadline: Instant,
}

/// Estimates how far the leg is with an utterance.
#[derive(Clone, Copy, Debug, Default)]
struct PlayClock {
    /// When the first chunk was handed over.
    handed_at: Option<Instant>,
    started_at: Option<Instant>,
    /// The reflex holds the utterance.
    held_by_reflex: bool,
    /// Since when it stands still, by the reflex or because the call is on hold.
    stands_since: Option<Instant>,
    stood_for: Duration,
}

impl PlayClock {
    fn stand(&mut self, now: Instant) {
        self.stands_since.get_or_insert(now);
    }

    fn go_on(&mut self, now: Instant) {
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

impl Playing {
    fn next_sentence(&self) -> Option<usize> {
        let next = self.lengths_ms.len();
        (next < self.sentences.len() && self.failure.is_none()).then_some(next)
    }

    fn is_prepared(&self) -> bool {
        !self.preparing && self.next_sentence().is_none()
    }

    fn heard(&self, played_ms: u64) -> &str {
        let text = self
            .utterance
            .text
            .as_ref()
            .map_or("", |text| text.expose().as_str());
        sentences::heard(text, &self.sentences, &self.lengths_ms, played_ms)
    }
}

impl Speech {
    pub(super) fn new(sample_rate_hz: u32, has_voice: bool, fade_ms: u32) -> Self {
        Self {
            sample_rate_hz: sample_rate_hz.max(1),
            has_voice,
            fade_ms: fade_ms.min(400),
            open: false,
            on_hold: false,
            last_epoch: Epoch(0),
            current: None,
            queue: VecDeque::new(),
            cuts: Vec::new(),
            ended: VecDeque::new(),
        }
    }

    /// A new epoch. The other buses use them too, so that a mark of theirs is never taken for speech.
    pub(super) fn next_epoch(&mut self) -> Epoch {
        self.last_epoch = Epoch(self.last_epoch.0 + 1);
        self.last_epoch
    }

    /// Whether something is speaking, being prepared, or waiting.
    pub(super) fn is_busy(&self) -> bool {
        self.current.is_some() || !self.queue.is_empty()
    }

    /// Whether an utterance is not resolved yet.
    pub(super) fn holds(&self, id: UtteranceId) -> bool {
        let current = self.current.iter().map(|playing| playing.utterance.id);
        let cuts = self.cuts.iter().map(|cut| cut.playing.utterance.id);
        let waiting = self.queue.iter().map(|waiting| waiting.id);
        current.chain(cuts).chain(waiting).any(|known| known == id)
    }

    /// The utterance the caller hears right now, held or not.
    pub(super) fn audible(&self) -> Option<UtteranceId> {
        let playing = self.current.as_ref()?;
        playing.clock.started_at.map(|_| playing.utterance.id)
    }

    /// Whether the current utterance may be interrupted; `false` when there is none.
    pub(super) fn is_interruptible(&self) -> bool {
        self.current
            .as_ref()
            .is_some_and(|playing| playing.utterance.interruptible)
    }

    /// Whether the current utterance is held.
    pub(super) fn is_held(&self) -> bool {
        self.current
            .as_ref()
            .is_some_and(|playing| playing.clock.held_by_reflex)
    }

    /// The next utterance that ended, in order.
    pub(super) fn poll_ended(&mut self) -> Option<Ended> {
        self.ended.pop_front()
    }

    /// The gate is open: what waits may be heard.
    pub(super) fn open(&mut self, now: Instant, out: &mut Outbox) {
        self.open = true;
        self.begin_next(now, out);
    }

    /// Takes a new utterance.
    pub(super) fn say(&mut self, utterance: NewUtterance, now: Instant, out: &mut Outbox) {
        if matches!(utterance.source, Source::Text) && !self.has_voice {
            return self.refuse(utterance, UtteranceFailure::NoVoice);
        }
        if utterance.queue == QueueMode::Replace {
            self.drop_waiting(|waiting| waiting.interruptible);
            if self.is_interruptible() {
                self.cut(None, now, out);
            }
        }
        if self.queue.len() >= QUEUE_BOUND {
            return self.refuse(utterance, UtteranceFailure::QueueFull);
        }
        self.queue.push_back(utterance);
        self.begin_next(now, out);
    }

    /// Stops the current utterance and what waits. Without `force` what may not be interrupted stays;
    /// answers whether nothing did.
    pub(super) fn interrupt(&mut self, force: bool, now: Instant, out: &mut Outbox) -> bool {
        self.drop_waiting(|waiting| force || waiting.interruptible);
        if force || self.is_interruptible() {
            self.cut(None, now, out);
            self.begin_next(now, out);
        }
        !self.is_busy()
    }

    /// The reflex held the bus while `epoch` played. Answers whether that is the current utterance and
    /// it may be held; otherwise the bus goes on at once.
    pub(super) fn hold(&mut self, epoch: Epoch, now: Instant, out: &mut Outbox) -> bool {
        match &mut self.current {
            Some(playing) if playing.epoch == epoch && playing.utterance.interruptible => {
                playing.clock.held_by_reflex = true;
                playing.clock.stand(now);
                true
            }
            Some(_) | None => {
                out.leg(LegCommand::Resume(Bus::Speech));
                false
            }
        }
    }

    /// Goes on at the sample where it was held.
    pub(super) fn resume(&mut self, now: Instant, out: &mut Outbox) {
        let Some(playing) = &mut self.current else {
            return;
        };
        if std::mem::take(&mut playing.clock.held_by_reflex) {
            if !self.on_hold {
                playing.clock.go_on(now);
            }
            out.leg(LegCommand::Resume(Bus::Speech));
            self.feed(now, out);
        }
    }

    /// The call went on hold, or came back: what is queued waits in the leg meanwhile.
    pub(super) fn set_on_hold(&mut self, on_hold: bool, now: Instant, out: &mut Outbox) {
        self.on_hold = on_hold;
        let Some(playing) = &mut self.current else {
            return;
        };
        if on_hold {
            playing.clock.stand(now);
        } else if !playing.clock.held_by_reflex {
            playing.clock.go_on(now);
            // What was handed over and not yet begun has its time anew.
            playing.clock.handed_at = playing.clock.handed_at.map(|_| now);
            self.feed(now, out);
        }
    }

    /// A sentence is ready, or will never be.
    pub(super) fn prepared(
        &mut self,
        id: UtteranceId,
        sentence: usize,
        result: Result<Arc<[i16]>, ProviderError>,
        now: Instant,
        out: &mut Outbox,
    ) {
        let Some(playing) = &mut self.current else {
            return;
        };
        if playing.utterance.id != id || playing.lengths_ms.len() != sentence || !playing.preparing
        {
            return;
        }
        playing.preparing = false;
        match result {
            Ok(samples) => self.add_sentence(samples),
            Err(error) => playing.failure = Some(UtteranceFailure::Voice(error)),
        }
        self.advance(now, out);
    }

    /// The first frame of `epoch` was sent; answers whether that is news.
    pub(super) fn leg_started(&mut self, epoch: Epoch, now: Instant, out: &mut Outbox) -> bool {
        match &mut self.current {
            Some(playing) if playing.epoch == epoch && playing.clock.started_at.is_none() => {
                playing.clock.started_at = Some(now);
                self.feed(now, out);
                true
            }
            Some(_) | None => {
                if let Some(cut) = self.cuts.iter_mut().find(|cut| cut.playing.epoch == epoch) {
                    cut.playing.clock.started_at.get_or_insert(now);
                }
                false
            }
        }
    }

    /// The last frame of `epoch` was sent.
    pub(super) fn leg_drained(&mut self, epoch: Epoch, now: Instant, out: &mut Outbox) {
        if let Some(mut playing) = self
            .current
            .take_if(|playing| playing.epoch == epoch && playing.all_sent)
        {
            playing.clock.started_at.get_or_insert(now);
            self.end_played(*playing);
            self.begin_next(now, out);
        } else if let Some(at) = self.cuts.iter().position(|cut| cut.playing.epoch == epoch) {
            // The flush came too late: it was heard to its end.
            let cut = self.cuts.remove(at);
            self.end_played(*cut.playing);
        }
    }

    /// The leg carried out a flush.
    pub(super) fn leg_flushed(&mut self, through: Epoch, cut_epoch: Option<Epoch>, played_ms: u64) {
        while let Some(at) = self
            .cuts
            .iter()
            .position(|cut| cut.playing.epoch <= through)
        {
            let cut = self.cuts.remove(at);
            let played_ms = if cut_epoch == Some(cut.playing.epoch) {
                played_ms
            } else {
                0
            };
            self.end_cut(cut, played_ms);
        }
    }

    /// The leg refused a chunk: what follows it cannot be heard in order.
    pub(super) fn leg_refused(&mut self, epoch: Epoch, now: Instant, out: &mut Outbox) {
        if self
            .current
            .as_ref()
            .is_some_and(|playing| playing.epoch == epoch)
        {
            self.cut(Some(UtteranceFailure::Refused), now, out);
            self.begin_next(now, out);
        }
    }

    /// The call is over or about to be: everything ends here, by our own estimate of what was heard.
    pub(super) fn abandon(&mut self, now: Instant, out: &mut Outbox) {
        if self.current.is_some() {
            self.cut(None, now, out);
        }
        for cut in std::mem::take(&mut self.cuts) {
            let estimate_ms = cut.estimate_ms;
            self.end_cut(cut, estimate_ms);
        }
        self.drop_waiting(|_| true);
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let cuts = self.cuts.iter().map(|cut| cut.deadline).min();
        let current = self
            .current
            .as_ref()
            .and_then(|playing| self.current_timeout(playing));
        cuts.into_iter().chain(current).min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) {
        while let Some(at) = self.cuts.iter().position(|cut| cut.deadline <= now) {
            let cut = self.cuts.remove(at);
            let estimate_ms = cut.estimate_ms;
            self.end_cut(cut, estimate_ms);
        }
        let due = |playing: &Playing| {
            self.current_timeout(playing)
                .is_some_and(|deadline| deadline <= now)
        };
        if self.current.as_deref().is_some_and(due) {
            self.feed(now, out);
            // Nothing was left to feed, or nothing came of it: the leg owes us a mark.
            if self.current.as_deref().is_some_and(|playing| {
                self.current_timeout(playing)
                    .is_some_and(|deadline| deadline <= now)
            }) {
                tracing::warn!("the leg owes a mark for an utterance; it is given up");
                self.cut(Some(UtteranceFailure::NotPlayed), now, out);
                self.begin_next(now, out);
            }
        }
    }

    /// When the current utterance needs feeding, or its mark is overdue.
    fn current_timeout(&self, playing: &Playing) -> Option<Instant> {
        let clock = &playing.clock;
        let handed_at = clock.handed_at?;
        if self.on_hold || clock.held_by_reflex {
            return None;
        }
        let Some(started_at) = clock.started_at else {
            return Some(handed_at + MARK_PATIENCE);
        };
        let sent = started_at + clock.stood_for + self.duration(playing.sent_samples);
        if playing.all_sent {
            return Some(sent + MARK_PATIENCE);
        }
        // With nothing ready the next sentence is under way, and that has a deadline of its own.
        let behind = sent.checked_sub(LOOKAHEAD).unwrap_or(started_at);
        (!playing.ready.is_empty()).then_some(behind)
    }

    fn duration(&self, samples: u64) -> Duration {
        Duration::from_micros(samples * 1_000_000 / u64::from(self.sample_rate_hz))
    }

    /// Starts the next utterance if none is current.
    fn begin_next(&mut self, now: Instant, out: &mut Outbox) {
        while self.open && self.current.is_none() {
            let Some(utterance) = self.queue.pop_front() else {
                return;
            };
            let epoch = self.next_epoch();
            let text = utterance
                .text
                .as_ref()
                .map_or("", |text| text.expose().as_str());
            let sentences = match &utterance.source {
                Source::Text => sentences::split(text),
                // One piece of audio, whatever its text.
                Source::Audio(audio) if audio.samples.is_empty() => Vec::new(),
                Source::Audio(_) => Vec::from([0..text.len()]),
            };
            self.current = Some(Box::new(Playing {
                utterance,
                epoch,
                sentences,
                lengths_ms: Vec::new(),
                preparing: false,
                ready: VecDeque::new(),
                sent_samples: 0,
                all_sent: false,
                failure: None,
                clock: PlayClock::default(),
            }));
            self.advance(now, out);
        }
    }

    /// Hands over what is ready, asks for the next sentence, and ends an utterance that has nothing
    /// to play.
    fn advance(&mut self, now: Instant, out: &mut Outbox) {
        self.feed(now, out);
        self.prepare_next(now, out);
        let nothing_to_play = |playing: &mut Box<Playing>| {
            playing.is_prepared() && playing.ready.is_empty() && playing.clock.handed_at.is_none()
        };
        if let Some(playing) = self.current.take_if(nothing_to_play) {
            self.end_played(*playing);
            self.begin_next(now, out);
        }
    }

    fn prepare_next(&mut self, now: Instant, out: &mut Outbox) {
        let rate_hz = self.sample_rate_hz;
        let Some(playing) = &mut self.current else {
            return;
        };
        if playing.preparing || playing.ready.len() > READY_BOUND {
            return;
        }
        let Some(sentence) = playing.next_sentence() else {
            return;
        };
        let text = playing
            .utterance
            .text
            .as_ref()
            .map_or("", |text| text.expose().as_str());
        let work = match &playing.utterance.source {
            Source::Audio(audio) if audio.sample_rate_hz == rate_hz => {
                let samples = Arc::clone(&audio.samples);
                self.add_sentence(samples);
                return self.feed(now, out);
            }
            Source::Audio(audio) => Preparation::Convert(Audio::clone(audio)),
            Source::Text => {
                Preparation::Synthesise(text[playing.sentences[sentence].clone()].to_owned())
            }
        };
        playing.preparing = true;
        out.push(Output::Prepare {
            utterance: playing.utterance.id,
            sentence,
            work,
        });
    }

    /// Adds a sentence's samples, in pieces no longer than [`PIECE`].
    fn add_sentence(&mut self, samples: Arc<[i16]>) {
        let length_ms = samples.len() as u64 * 1_000 / u64::from(self.sample_rate_hz);
        let piece_samples = self.sample_rate_hz as usize * PIECE.as_secs() as usize;
        let Some(playing) = &mut self.current else {
            return;
        };
        playing.lengths_ms.push(length_ms);
        if samples.len() <= piece_samples {
            // The whole is shared with the cache; only what is too long for the bus is copied.
            if !samples.is_empty() {
                playing.ready.push_back(samples);
            }
        } else {
            playing
                .ready
                .extend(samples.chunks(piece_samples).map(Arc::from));
        }
    }

    /// Hands ready pieces to the leg, as far ahead as the bound allows.
    fn feed(&mut self, now: Instant, out: &mut Outbox) {
        let rate_hz = u64::from(self.sample_rate_hz);
        let Some(playing) = &mut self.current else {
            return;
        };
        let mut fed = false;
        while !playing.all_sent {
            let sent = Duration::from_micros(playing.sent_samples * 1_000_000 / rate_hz);
            let ahead = sent.saturating_sub(playing.clock.position(now));
            let last = playing.is_prepared() && playing.ready.len() <= 1;
            let samples = match playing.ready.front() {
                Some(_) if ahead > LOOKAHEAD => break,
                Some(samples) => Arc::clone(samples),
                // The end came to be known after the last piece was sent: an empty chunk says so.
                None if last && playing.clock.handed_at.is_some() => Arc::from([]),
                None => break,
            };
            playing.ready.pop_front();
            playing.sent_samples += samples.len() as u64;
            playing.clock.handed_at.get_or_insert(now);
            playing.all_sent = last;
            fed = true;
            let chunk = Chunk {
                epoch: playing.epoch,
                samples,
                last,
            };
            out.leg(LegCommand::Play {
                bus: Bus::Speech,
                chunk,
            });
        }
        if fed {
            self.prepare_next(now, out);
        }
    }

    /// Cuts the current utterance: nothing of it is heard from here on but the fade.
    fn cut(&mut self, failure: Option<UtteranceFailure>, now: Instant, out: &mut Outbox) {
        let Some(playing) = self.current.take() else {
            return;
        };
        if playing.preparing {
            out.push(Output::CancelPreparation);
        }
        let position_ms = playing
            .clock
            .position(now)
            .min(self.duration(playing.sent_samples))
            .as_millis();
        let estimate_ms = u64::try_from(position_ms).unwrap_or(u64::MAX);
        let was_handed_over = playing.clock.handed_at.is_some();
        let was_held = playing.clock.held_by_reflex;
        let cut = Cut {
            failure,
            estimate_ms,
            deadline: now + FLUSH_PATIENCE,
            playing,
        };
        if !was_handed_over {
            return self.end_cut(cut, 0);
        }
        let through = cut.playing.epoch;
        out.leg(LegCommand::Flush {
            bus: Bus::Speech,
            through,
            fade_ms: self.fade_ms,
        });
        if was_held {
            out.leg(LegCommand::Resume(Bus::Speech));
        }
        self.cuts.push(cut);
    }

    /// Drops waiting utterances that `dropped` picks: nothing of them was heard.
    fn drop_waiting(&mut self, dropped: impl Fn(&NewUtterance) -> bool) {
        let (gone, kept) = std::mem::take(&mut self.queue)
            .into_iter()
            .partition(dropped);
        self.queue = kept;
        let gone: VecDeque<NewUtterance> = gone;
        for utterance in gone {
            let outcome = Outcome::Interrupted {
                heard_text: Pii::new(String::new()),
                heard_ms: 0,
            };
            self.end(utterance, outcome, None, None);
        }
    }

    fn refuse(&mut self, utterance: NewUtterance, failure: UtteranceFailure) {
        self.end(utterance, Outcome::Failed(failure), None, None);
    }

    /// An utterance was heard as far as its audio went.
    fn end_played(&mut self, playing: Playing) {
        let all = playing.lengths_ms.iter().sum();
        let text = playing
            .utterance
            .text
            .as_ref()
            .map(|_| playing.heard(all).to_owned());
        let outcome = playing.failure.map_or(Outcome::Completed, Outcome::Failed);
        self.end(playing.utterance, outcome, playing.clock.started_at, text);
    }

    fn end_cut(&mut self, cut: Cut, played_ms: u64) {
        let playing = *cut.playing;
        let text = playing.heard(played_ms).to_owned();
        let outcome = match cut.failure {
            Some(failure) => Outcome::Failed(failure),
            None => Outcome::Interrupted {
                heard_text: Pii::new(text.clone()),
                heard_ms: played_ms,
            },
        };
        self.end(
            playing.utterance,
            outcome,
            playing.clock.started_at,
            Some(text),
        );
    }

    fn end(
        &mut self,
        utterance: NewUtterance,
        outcome: Outcome,
        started_at: Option<Instant>,
        text: Option<String>,
    ) {
        let transcript = text
            .filter(|text| utterance.add_to_transcript && started_at.is_some() && !text.is_empty());
        utterance.resolver.resolve(outcome.clone());
        self.ended.push_back(Ended {
            id: utterance.id,
            outcome,
            started_at,
            transcript,
        });
    }
}
