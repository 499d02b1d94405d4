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
//!
//! A reply of the language model's waits in the same queue. When its turn comes it has the floor: what is said until it
//! is done is part of it, piece by piece as the model writes them, and nothing else.

mod floor;
mod playing;
mod replying;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use offhook_media::control::{Bus, Epoch, LegCommand};
use tokio::time::Instant;

use super::output::{Outbox, Output};
use super::reply::NewReply;
use super::turn_metrics::UtteranceTimes;
use super::utterance::{NewUtterance, Outcome, QueueMode, Source, UtteranceFailure, UtteranceId};
use crate::pii::Pii;
use crate::provider::ProviderError;
use floor::OpenReply;
use playing::Playing;

pub(super) use floor::ReplyNews;

/// Utterances that may wait behind the current one.
const QUEUE_BOUND: usize = 8;
/// How long the leg may owe the figure for a flush.
const FLUSH_PATIENCE: Duration = Duration::from_millis(300);

/// How an utterance ended, with what the transcript needs.
pub(super) struct Ended {
    pub(super) id: UtteranceId,
    pub(super) outcome: Outcome,
    /// When what happened to it.
    pub(super) times: UtteranceTimes,
    /// How much was sent, in milliseconds.
    pub(super) heard_ms: u64,
    /// What was heard of its text, if anything.
    pub(super) heard: Option<String>,
    pub(super) add_to_transcript: bool,
    pub(super) add_to_chat_context: bool,
    /// Whether it is a piece of a reply that nobody follows by itself.
    pub(super) is_piece: bool,
}

/// What was heard of an utterance.
#[derive(Default)]
struct Heard {
    times: UtteranceTimes,
    ms: u64,
    text: String,
}

/// What waits for the floor.
enum Waiting {
    Utterance(NewUtterance),
    Reply(NewReply),
}

impl Waiting {
    fn id(&self) -> UtteranceId {
        match self {
            Self::Utterance(utterance) => utterance.id,
            Self::Reply(reply) => reply.id,
        }
    }

    fn is_interruptible(&self) -> bool {
        match self {
            Self::Utterance(utterance) => utterance.interruptible,
            Self::Reply(reply) => reply.interruptible,
        }
    }
}

/// The speech bus as the session uses it.
pub(super) struct Speech {
    sample_rate_hz: u32,
    has_voice: bool,
    fade_ms: u32,
    open: bool,
    /// The caller does not hear the agent: the leg plays nothing, and owes nothing.
    on_hold: bool,
    last_epoch: Epoch,
    current: Option<Box<Playing>>,
    queue: VecDeque<Waiting>,
    /// The reply that has the floor; `current` is part of it, or nothing.
    floor: Option<Box<OpenReply>>,
    /// Replies of which a part was cut whose figure the leg owes.
    leaving: Vec<OpenReply>,
    reply_news: VecDeque<ReplyNews>,
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
            floor: None,
            leaving: Vec::new(),
            reply_news: VecDeque::new(),
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
        self.current.is_some() || !self.queue.is_empty() || self.floor.is_some()
    }

    /// Whether it is known how much of everything that was cut was heard.
    pub(super) fn is_accounted_for(&self) -> bool {
        self.cuts.is_empty()
    }

    /// Whether an utterance is not resolved yet.
    pub(super) fn holds(&self, id: UtteranceId) -> bool {
        let current = self.current.iter().map(|playing| playing.utterance.id);
        let cuts = self.cuts.iter().map(|cut| cut.playing.utterance.id);
        let waiting = self.queue.iter().map(Waiting::id);
        let open = self.floor.iter().map(|floor| floor.as_ref());
        let open = open.chain(&self.leaving);
        let replies = open.flat_map(|open| {
            std::iter::once(open.reply.id).chain(open.parts.iter().map(|part| part.id))
        });
        current
            .chain(cuts)
            .chain(waiting)
            .chain(replies)
            .any(|known| known == id)
    }

    /// The utterance the caller hears right now, held or not.
    pub(super) fn audible(&self) -> Option<UtteranceId> {
        let playing = self.current.as_ref()?;
        playing.clock.started_at.map(|_| playing.utterance.id)
    }

    /// Whether the current utterance, or the reply that has the floor, may be interrupted; `false` when there is none.
    pub(super) fn is_interruptible(&self) -> bool {
        match (&self.current, &self.floor) {
            (Some(playing), _) => playing.utterance.interruptible,
            (None, Some(floor)) => floor.reply.interruptible,
            (None, None) => false,
        }
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

    /// Takes an utterance that is said before all that wait; nothing may speak yet.
    pub(super) fn say_first(&mut self, utterance: NewUtterance) {
        if matches!(utterance.source, Source::Text) && !self.has_voice {
            return self.refuse(utterance, UtteranceFailure::NoVoice);
        }
        self.queue.push_front(Waiting::Utterance(utterance));
    }

    /// Takes a new utterance.
    pub(super) fn say(&mut self, utterance: NewUtterance, now: Instant, out: &mut Outbox) {
        if matches!(utterance.source, Source::Text) && !self.has_voice {
            return self.refuse(utterance, UtteranceFailure::NoVoice);
        }
        if let Some(reply) = utterance.part_of {
            return self.say_within(reply, utterance, now, out);
        }
        if utterance.queue == QueueMode::Replace {
            self.drop_waiting(Waiting::is_interruptible);
            if self.is_interruptible() {
                self.stop_current(now, out);
            }
        }
        if self.queue.len() >= QUEUE_BOUND {
            return self.refuse(utterance, UtteranceFailure::QueueFull);
        }
        self.queue.push_back(Waiting::Utterance(utterance));
        self.begin_next(now, out);
    }

    /// Stops the current utterance and what waits. Without `force` what may not be interrupted stays;
    /// answers whether nothing did.
    pub(super) fn interrupt(&mut self, force: bool, now: Instant, out: &mut Outbox) -> bool {
        self.drop_waiting(|waiting| force || waiting.is_interruptible());
        if force || self.is_interruptible() {
            self.stop_current(now, out);
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
                self.resume_bus(out);
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
            self.resume_bus(out);
            self.advance(now, out);
        }
    }

    /// The caller is not to hear the agent, or is again: what is queued waits in the leg meanwhile.
    pub(super) fn set_on_hold(&mut self, on_hold: bool, now: Instant, out: &mut Outbox) {
        self.on_hold = on_hold;
        if on_hold {
            out.leg(LegCommand::Pause(Bus::Speech));
        } else if !self.is_held() {
            out.leg(LegCommand::Resume(Bus::Speech));
        }
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
            .is_some_and(|playing| playing.prepared(sentence, result, now));
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
            self.begin_next(now, out);
        }
    }

    /// The leg carried out a flush.
    pub(super) fn leg_flushed(
        &mut self,
        through: Epoch,
        cut_epoch: Option<Epoch>,
        played_ms: u64,
        now: Instant,
        out: &mut Outbox,
    ) {
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
        self.begin_next(now, out);
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
        if self.current.is_some() || self.floor.is_some() {
            self.stop_current(now, out);
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
            self.begin_next(now, out);
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
        self.resolve_replies();
        while self.open && self.current.is_none() {
            let next = match &mut self.floor {
                Some(floor) => floor.parts.pop_front().map(Waiting::Utterance),
                None => self.queue.pop_front(),
            };
            let utterance = match next {
                None => return,
                Some(Waiting::Utterance(utterance)) => utterance,
                Some(Waiting::Reply(reply)) => {
                    self.reply_news.push_back(ReplyNews::HasFloor(reply.id));
                    self.floor = Some(Box::new(OpenReply::new(reply)));
                    return;
                }
            };
            let epoch = self.next_epoch();
            let playing = Playing::new(utterance, epoch, self.sample_rate_hz);
            self.current = Some(Box::new(playing));
            self.advance(now, out);
            self.resolve_replies();
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
        if self.on_hold {
            // A bus that was emptied is paused no longer.
            out.leg(LegCommand::Pause(Bus::Speech));
        } else if was_held {
            out.leg(LegCommand::Resume(Bus::Speech));
        }
        self.cuts.push(cut);
    }

    /// The reflex holds the bus no more; on hold it stays paused.
    fn resume_bus(&self, out: &mut Outbox) {
        if !self.on_hold {
            out.leg(LegCommand::Resume(Bus::Speech));
        }
    }

    /// Drops what waits and `dropped` picks: nothing of it was heard.
    fn drop_waiting(&mut self, dropped: impl Fn(&Waiting) -> bool) {
        let (gone, kept): (VecDeque<Waiting>, _) = std::mem::take(&mut self.queue)
            .into_iter()
            .partition(dropped);
        self.queue = kept;
        for waiting in gone {
            match waiting {
                Waiting::Utterance(utterance) => self.end(utterance, unheard(), Heard::default()),
                Waiting::Reply(reply) => {
                    // It may have been begun early.
                    self.reply_news.push_back(ReplyNews::Unwanted(reply.id));
                    self.end_reply(reply, unheard());
                }
            }
        }
    }

    fn refuse(&mut self, utterance: NewUtterance, failure: UtteranceFailure) {
        self.end(utterance, Outcome::Failed(failure), Heard::default());
    }

    /// An utterance was heard as far as its audio went.
    fn end_played(&mut self, playing: Playing) {
        let heard = Heard {
            times: playing.times(),
            ms: playing.made_ms(),
            text: playing.heard_all().to_owned(),
        };
        let outcome = playing.failure.map_or(Outcome::Completed, Outcome::Failed);
        self.end(playing.utterance, outcome, heard);
    }

    fn end_cut(&mut self, cut: Cut, played_ms: u64) {
        let playing = *cut.playing;
        let heard = Heard {
            times: playing.times(),
            ms: played_ms,
            text: playing.heard(played_ms).to_owned(),
        };
        let outcome = match cut.failure {
            Some(failure) => Outcome::Failed(failure),
            None => Outcome::Interrupted {
                heard_text: Pii::new(heard.text.clone()),
                heard_ms: played_ms,
            },
        };
        self.end(playing.utterance, outcome, heard);
    }

    fn end(&mut self, utterance: NewUtterance, outcome: Outcome, heard: Heard) {
        let Heard { times, ms, text } = heard;
        let heard = Some(text).filter(|text| times.started_at.is_some() && !text.is_empty());
        if let Some(reply) = utterance.part_of {
            let open = self.floor.iter_mut().map(|floor| floor.as_mut());
            let mut open = open.chain(&mut self.leaving);
            if let Some(open) = open.find(|open| open.reply.id == reply) {
                open.part_ended(&outcome, heard.as_deref());
            }
        }
        utterance.resolver.resolve(outcome.clone());
        self.ended.push_back(Ended {
            id: utterance.id,
            outcome,
            times,
            heard_ms: ms,
            heard,
            add_to_transcript: utterance.add_to_transcript,
            add_to_chat_context: utterance.add_to_chat_context,
            is_piece: matches!(utterance.source, Source::Stream { .. }),
        });
        self.resolve_replies();
    }
}

/// What becomes of something that was not begun.
fn unheard() -> Outcome {
    Outcome::Interrupted {
        heard_text: Pii::new(String::new()),
        heard_ms: 0,
    }
}
