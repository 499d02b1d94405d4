//! The agent's speech: one utterance at a time on the leg, the others waiting in order.
//!
//! ```text
//! say ─► queue ─► current: sentence ─► prepare ─► pieces ─► Play ─► leg ─► Started … Drained ─► Completed
//!                    │ cut: Flush ─► leg ─► Flushed{played_ms} ─► Interrupted{heard}
//! ```
//!
//! Each utterance plays under an epoch of its own, so what was cut can never be heard later, and two
//! in a row never complete together. Audio goes to the leg at most twenty seconds ahead of what is
//! heard. A handle is resolved by the leg's own marks; where the leg owes one for too long, by our
//! estimate.

mod playing;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use offhook_media::control::{Bus, Epoch, LegCommand};
use tokio::time::Instant;

use super::output::{Outbox, Output};
use super::utterance::{NewUtterance, Outcome, QueueMode, Source, UtteranceFailure, UtteranceId};
use crate::pii::Pii;
use crate::provider::ProviderError;
use playing::Playing;

/// Utterances that may wait behind the current one.
const QUEUE_BOUND: usize = 8;
/// How long the leg may owe the figure for a flush.
const FLUSH_PATIENCE: Duration = Duration::from_millis(300);

/// How an utterance ended, with what the transcript needs.
pub(super) struct Ended {
    pub(super) id: UtteranceId,
    pub(super) outcome: Outcome,
    /// When its first frame was sent.
    pub(super) started_at: Option<Instant>,
    /// What the transcript says, if it is to say anything.
    pub(super) transcript: Option<String>,
}

/// The speech bus as the session uses it.
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

/// A flushed utterance.
struct Cut {
    playing: Box<Playing>,
    failure: Option<UtteranceFailure>,
    estimate_ms: u64,
    deadline: Instant,
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
            self.advance(now, out);
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
            self.advance(now, out);
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
        let current = self.current.as_mut();
        let taken = current
            .filter(|playing| playing.utterance.id == id)
            .is_some_and(|playing| playing.prepared(sentence, result));
        if taken {
            self.advance(now, out);
        }
    }

    /// The first frame of `epoch` was sent; answers whether that is news.
    pub(super) fn leg_started(&mut self, epoch: Epoch, now: Instant, out: &mut Outbox) -> bool {
        match &mut self.current {
            Some(playing) if playing.epoch == epoch && playing.clock.started_at.is_none() => {
                playing.clock.started_at = Some(now);
                self.advance(now, out);
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
            .take_if(|playing| playing.epoch == epoch && playing.is_all_sent())
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
            let played_ms = match cut_epoch {
                Some(epoch) if epoch == cut.playing.epoch => played_ms,
                // Begun, but between two of its sentences: the leg had nothing of it to cut.
                Some(_) | None => cut.estimate_ms,
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
        cuts.into_iter().chain(self.current_timeout()).min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) {
        while let Some(at) = self.cuts.iter().position(|cut| cut.deadline <= now) {
            let cut = self.cuts.remove(at);
            let estimate_ms = cut.estimate_ms;
            self.end_cut(cut, estimate_ms);
        }
        if self
            .current_timeout()
            .is_some_and(|deadline| deadline <= now)
        {
            self.advance(now, out);
        }
        // Nothing was left to hand over: it is the leg that is late.
        if self
            .current_timeout()
            .is_some_and(|deadline| deadline <= now)
        {
            tracing::warn!("the leg owes a mark for an utterance; it is given up");
            self.cut(Some(UtteranceFailure::NotPlayed), now, out);
            self.begin_next(now, out);
        }
    }

    /// When the current utterance wants something; on hold nothing does.
    fn current_timeout(&self) -> Option<Instant> {
        let playing = self.current.as_ref().filter(|_| !self.on_hold)?;
        playing.timeout()
    }

    /// Starts the next utterance if none is current.
    fn begin_next(&mut self, now: Instant, out: &mut Outbox) {
        while self.open && self.current.is_none() {
            let Some(utterance) = self.queue.pop_front() else {
                return;
            };
            let epoch = self.next_epoch();
            let playing = Playing::new(utterance, epoch, self.sample_rate_hz);
            self.current = Some(Box::new(playing));
            self.advance(now, out);
        }
    }

    /// Takes the current utterance a step further; one that has nothing to play ends here.
    fn advance(&mut self, now: Instant, out: &mut Outbox) {
        let Some(playing) = &mut self.current else {
            return;
        };
        playing.advance(now, out);
        if let Some(void) = self.current.take_if(|playing| playing.is_void()) {
            self.end_played(*void);
            self.begin_next(now, out);
        }
    }

    /// Cuts the current utterance: nothing of it is heard from here on but the fade.
    fn cut(&mut self, failure: Option<UtteranceFailure>, now: Instant, out: &mut Outbox) {
        let Some(playing) = self.current.take() else {
            return;
        };
        if playing.is_preparing() {
            out.push(Output::CancelPreparation);
        }
        let estimate_ms = playing.estimate_ms(now);
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
        let text = playing.heard_all().to_owned();
        let outcome = playing.failure.map_or(Outcome::Completed, Outcome::Failed);
        self.end(
            playing.utterance,
            outcome,
            playing.clock.started_at,
            Some(text),
        );
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
