//! The caller leaves a message: the leg is told, and hears when that is over.

use offhook_media::control::LegCommand;
use tokio::time::Instant;

use super::super::line::CallRequest;
use super::super::message::NewMessageTaking;
use super::super::taking_message::{LeftMessage, MessageEnd, TakingMessage};
use super::callbacks::Press;
use super::{Phase, Session};

impl Session {
    /// A second message takes the place of the first. Where no agent has the caller, none is taken: the reply is dropped.
    pub(super) fn take_message(&mut self, new: NewMessageTaking, now: Instant) {
        self.cut_message();
        if self.phase != Phase::Open || self.stands_aside() || self.is_handing_off() {
            return;
        }
        // Keys that were pressed on the way are no part of it, and mean nothing after it.
        while let Some(press) = self.callbacks.take_digit() {
            self.note_press(press);
        }
        let speaking = self.caller.is_some();
        let taking = TakingMessage::new(new.options, speaking, new.reply, now);
        self.taking_message = Some(Box::new(taking));
        self.out.leg(LegCommand::TakeMessage(Some(new.ring)));
    }

    /// Ends the message, if there is one.
    pub(super) fn end_message(&mut self, end: MessageEnd) {
        if let Some(taking) = self.taking_message.take() {
            self.out.leg(LegCommand::TakeMessage(None));
            taking.finish(end);
        }
    }

    /// The caller is somebody else's now, or gone.
    pub(super) fn cut_message(&mut self) {
        self.end_message(MessageEnd::Cut);
    }

    /// Ends a message that is over, or that nobody waits for.
    pub(super) fn settle_message(&mut self, now: Instant) {
        let Some(taking) = self.taking_message.as_deref() else {
            return;
        };
        if !taking.is_wanted() {
            self.cut_message();
        } else if let Some(end) = taking.due(now) {
            self.end_message(end);
        }
    }

    /// Gives a press to the message under way; answers whether there is one.
    pub(super) fn press_into_message(&mut self, press: Press) -> bool {
        let Some(taking) = self.taking_message.as_deref() else {
            return false;
        };
        let ends = taking.is_ended_by(press.digit);
        self.note_press(press);
        if ends {
            self.end_message(MessageEnd::Key);
        }
        true
    }

    /// A message is there: for what is shown of the call.
    pub(super) fn message_left(&mut self, message: LeftMessage) {
        let request = CallRequest::MessageLeft(Box::new(message));
        self.out.push(super::Output::Call(request));
    }
}
