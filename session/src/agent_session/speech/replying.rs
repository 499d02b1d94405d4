//! Replies on the speech bus: their parts, as they come, and what stops them.

use tokio::time::Instant;

use super::super::output::Outbox;
use super::super::reply::NewReply;
use super::super::turn_metrics::UtteranceTimes;
use super::super::utterance::{NewUtterance, Outcome, Source, UtteranceFailure, UtteranceId};
use super::floor::{OpenReply, ReplyNews};
use super::{Ended, Heard, QUEUE_BOUND, Speech, Waiting, unheard};
use crate::pii::Pii;

impl Speech {
    /// Whether a reply has the floor and none of it is on its way to the caller.
    pub(in super::super) fn is_waiting_for_reply(&self) -> bool {
        self.floor.is_some() && self.current.is_none()
    }

    /// The reply that has the floor, if it answers a turn of the caller's and may be interrupted.
    pub(in super::super) fn answering(&self) -> Option<UtteranceId> {
        let floor = self.floor.as_ref()?;
        (floor.reply.to_turn && floor.reply.interruptible).then_some(floor.reply.id)
    }

    /// Takes a reply, behind all that speaks or waits.
    pub(in super::super) fn reply(&mut self, reply: NewReply, now: Instant, out: &mut Outbox) {
        if !self.has_voice {
            return self.end_reply(reply, Outcome::Failed(UtteranceFailure::NoVoice));
        }
        if self.queue.len() >= QUEUE_BOUND {
            return self.end_reply(reply, Outcome::Failed(UtteranceFailure::QueueFull));
        }
        self.queue.push_back(Waiting::Reply(reply));
        self.begin_next(now, out);
    }

    /// A part of the reply that has the floor, behind its others. One of a reply that is over is not heard any more.
    pub(super) fn say_within(
        &mut self,
        reply: UtteranceId,
        mut utterance: NewUtterance,
        now: Instant,
        out: &mut Outbox,
    ) {
        if let Some(floor) = &self.floor {
            // What cuts a part cuts the whole.
            utterance.interruptible &= floor.reply.interruptible;
        }
        match &mut self.floor {
            Some(floor) if floor.reply.id == reply && !floor.complete => {
                if floor.parts.len() >= QUEUE_BOUND {
                    // It counts among those that end, so that it has to have come.
                    floor.outstanding += 1;
                    return self.refuse(utterance, UtteranceFailure::QueueFull);
                }
                floor.add(utterance);
                self.begin_next(now, out);
            }
            Some(_) | None => self.end(utterance, unheard(), Heard::default()),
        }
    }

    /// More of the text of a part came.
    pub(in super::super) fn text_came(
        &mut self,
        part: UtteranceId,
        text: &str,
        now: Instant,
        out: &mut Outbox,
    ) {
        self.change_stream(part, now, out, |utterance| {
            let known = utterance.text.take().map(Pii::into_inner);
            utterance.text = Some(Pii::new(known.unwrap_or_default() + text));
        });
    }

    /// All of the text of a part is there.
    pub(in super::super) fn text_ended(
        &mut self,
        part: UtteranceId,
        now: Instant,
        out: &mut Outbox,
    ) {
        self.change_stream(part, now, out, |utterance| {
            utterance.source = Source::Stream { complete: true };
        });
    }

    fn change_stream(
        &mut self,
        part: UtteranceId,
        now: Instant,
        out: &mut Outbox,
        change: impl FnOnce(&mut NewUtterance),
    ) {
        if let Some(playing) = &mut self.current
            && playing.utterance.id == part
        {
            change(&mut playing.utterance);
            playing.text_came();
            return self.advance(now, out);
        }
        let parts = self.floor.iter_mut().flat_map(|floor| &mut floor.parts);
        if let Some(waiting) = parts.into_iter().find(|waiting| waiting.id == part) {
            change(waiting);
        }
    }

    /// No part of a reply comes any more: all of it was made, or it failed.
    pub(in super::super) fn reply_made(
        &mut self,
        reply: UtteranceId,
        failure: Option<UtteranceFailure>,
        now: Instant,
        out: &mut Outbox,
    ) {
        if let Some(floor) = &mut self.floor
            && floor.reply.id == reply
        {
            floor.complete = true;
            floor.failure = floor.failure.take().or(failure);
            self.begin_next(now, out);
        }
    }

    /// What there is of the reply that has the floor is all that is said of it; replies that wait are given up.
    pub(in super::super) fn seal(&mut self, now: Instant, out: &mut Outbox) {
        if let Some(floor) = &mut self.floor
            && !floor.complete
        {
            floor.complete = true;
            self.reply_news
                .push_back(ReplyNews::Unwanted(floor.reply.id));
            // The words that are there are all there will be.
            let current = self.current.as_deref_mut();
            let current = current.map(|playing| &mut playing.utterance);
            for part in current.into_iter().chain(&mut floor.parts) {
                if let Source::Stream { complete } = &mut part.source {
                    *complete = true;
                }
            }
            if let Some(playing) = &mut self.current {
                playing.text_came();
            }
            self.advance(now, out);
        }
        self.drop_waiting(|waiting| matches!(waiting, Waiting::Reply(_)));
        self.begin_next(now, out);
    }

    /// The reply that has the floor.
    pub(in super::super) fn floor_reply(&self) -> Option<&NewReply> {
        self.floor.as_ref().map(|floor| &floor.reply)
    }

    /// What is new of replies, in order.
    pub(in super::super) fn poll_reply_news(&mut self) -> Option<ReplyNews> {
        self.reply_news.pop_front()
    }

    /// Stops what speaks of a reply, which goes on: what it waits for has come.
    pub(in super::super) fn interrupt_part(&mut self, now: Instant, out: &mut Outbox) {
        if self.is_interruptible() {
            self.cut(None, now, out);
            self.begin_next(now, out);
        }
    }

    /// Stops the current utterance and the reply that it is part of.
    pub(super) fn stop_current(&mut self, now: Instant, out: &mut Outbox) {
        let Some(mut floor) = self.floor.take() else {
            return self.cut(None, now, out);
        };
        if !floor.complete {
            self.reply_news
                .push_back(ReplyNews::Unwanted(floor.reply.id));
        }
        floor.interrupt();
        let parts = std::mem::take(&mut floor.parts);
        self.leaving.push(*floor);
        for part in parts {
            self.end(part, unheard(), Heard::default());
        }
        self.cut(None, now, out);
        self.resolve_replies();
    }

    /// Ends the replies of which nothing is outstanding.
    pub(super) fn resolve_replies(&mut self) {
        let done = self.floor.take_if(|floor| floor.is_done());
        let done: Vec<OpenReply> = done
            .map(|floor| *floor)
            .into_iter()
            .chain(self.leaving.extract_if(.., |leaving| leaving.is_done()))
            .collect();
        for open in done {
            let outcome = open.outcome();
            self.end_reply(open.reply, outcome);
        }
    }

    pub(super) fn end_reply(&mut self, reply: NewReply, outcome: Outcome) {
        reply.resolver.resolve(outcome.clone());
        self.ended.push_back(Ended {
            id: reply.id,
            outcome,
            times: UtteranceTimes::default(),
            heard_ms: 0,
            heard: None,
            add_to_transcript: false,
            add_to_chat_context: false,
            is_piece: false,
        });
    }
}
