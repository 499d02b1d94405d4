//! One agent gives the conversation to another.
//!
//! The old agent's `on_exit` runs, with a deadline, then the new one's `on_enter`. The call, its transcript and its
//! recording go on; the chat context is the new agent's, or begins anew.

use std::sync::Arc;

use tokio::time::Instant;

use super::super::event::{CallbackKind, EndCause, SessionEvent};
use super::super::line::{CallRequest, NewAgent};
use super::super::output::{Callback, Output};
use super::{Phase, Session, Timer};
use crate::chat::ChatItem;
use crate::grammar::Grammar;
use crate::tool::{HandOff, Inherited};

/// A conversation that is being given to another agent.
#[derive(Debug)]
pub(super) struct HandingOff {
    to: HandOff,
    /// Whether the old agent's `on_exit` is over.
    has_left: bool,
}

impl HandingOff {
    pub(super) fn has_left(&self) -> bool {
        self.has_left
    }
}

impl Session {
    /// Begins to give the conversation to another agent, and answers whether it does: a second one waits for nobody, and
    /// outside the conversation there is nothing to give.
    pub(super) fn begin_hand_off(&mut self, hand_off: HandOff, now: Instant) -> bool {
        if self.phase != Phase::Open || self.hand_off.is_some() {
            let to = hand_off.name;
            tracing::warn!(to, "the conversation is not given to another agent now");
            return false;
        }
        self.cut_message();
        self.hand_off = Some(Box::new(HandingOff {
            to: hand_off,
            has_left: false,
        }));
        self.timers
            .set(Timer::Exit, now + self.config.exit_deadline);
        self.run(Callback::Exit(EndCause::HandedOff.into()));
        true
    }

    /// Whether the old agent is leaving.
    pub(super) fn is_handing_off(&self) -> bool {
        self.hand_off.is_some()
    }

    /// The old agent has left, or was given up.
    pub(super) fn old_agent_left(&mut self) {
        self.timers.stop(Timer::Exit);
        self.callbacks.returned(CallbackKind::Exit);
        if let Some(hand_off) = &mut self.hand_off {
            hand_off.has_left = true;
        }
    }

    /// What the old agent was saying when it left is heard to its end; then the new one enters.
    pub(super) fn settle_hand_off(&mut self, now: Instant) {
        let may_enter =
            self.phase == Phase::Open && !self.speech.is_busy() && self.speech.is_accounted_for();
        let hand_off = self
            .hand_off
            .take_if(|hand_off| may_enter && hand_off.has_left);
        if let Some(hand_off) = hand_off {
            self.enter_new_agent(hand_off.to, now);
        }
    }

    fn enter_new_agent(&mut self, hand_off: HandOff, now: Instant) {
        let HandOff {
            agent,
            name,
            context,
        } = hand_off;
        self.forget_early_reply();
        // What the old one was asking for, and what of it still runs, is nobody's any more.
        if let Some(collector) = self.collector.take() {
            self.finish_collection(collector.cancel(), now);
        }
        self.cut_message();
        self.callbacks.forget_running();
        self.replies.follow(&*agent);
        self.means.listens = agent.listens();
        match context {
            Inherited::Whole => {}
            Inherited::Nothing => self.replies.context.clear(),
        }
        self.replies
            .context
            .push(ChatItem::HandOff { to: name.clone() });
        self.out.push(Output::ChangeAgent(agent));
        tracing::info!(to = name, "another agent takes over");
        let new_agent = NewAgent {
            name: name.as_str().into(),
        };
        let known = CallRequest::HandedOver(Box::new(new_agent));
        self.out.push(Output::Call(known));
        let at = self.at(now);
        self.event(SessionEvent::HandedOff { to: name, at });
        self.expect(None);
        self.open_hearing();
        self.run(Callback::Enter);
    }

    /// An agent whose turns the model answers wants to hear whatever is said.
    pub(super) fn open_hearing(&mut self) {
        if self.replies.answers_turns {
            self.expect(Some(Grammar::anything()));
        }
    }

    fn expect(&mut self, grammar: Option<Grammar>) {
        let speaking = self.caller.is_some();
        self.hearing
            .expect(grammar.map(Arc::new), speaking, &mut self.out);
    }
}
