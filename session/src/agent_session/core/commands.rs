//! What handles ask of the session.

use tokio::time::Instant;

use super::super::digits::Collector;
use super::super::line::CallRequest;
use super::super::message::Command;
use super::super::output::Output;
use super::super::pressing::refuse;
use super::super::recording::PausedBy;
use super::Session;

impl Session {
    /// A handle asks for something.
    pub(in super::super) fn handle_command(&mut self, command: Command, now: Instant) {
        match command {
            Command::Transcript(reply) => {
                // Whoever asked may have gone; that is no fault.
                let _gone = reply.send(self.transcript.clone());
            }
            Command::ChatContext(reply) => {
                let _gone = reply.send(self.replies.context.clone());
            }
            // Replies and handles resolve by being dropped: the call is ending.
            _ if self.phase.is_ending() => {}
            Command::Say(utterance) if self.phase.accepts_speech() => {
                self.speech.say(utterance, now, &mut self.out);
            }
            Command::Reply(reply) if self.phase.accepts_speech() => {
                self.speech.reply(reply, now, &mut self.out);
            }
            Command::Say(_) | Command::Reply(_) => {}
            Command::SetInstructions(instructions) => {
                self.replies.instructions = instructions;
                self.forget_early_reply();
            }
            Command::HandOff { to, reply } => {
                let taken = self.begin_hand_off(to, now);
                let _gone = reply.send(taken);
            }
            Command::Interrupt { force, reply } => {
                let stopped = self.interrupt(force, now);
                let _gone = reply.send(stopped);
            }
            Command::HangUp { reason, drain } => self.hang_up(reason, drain, now),
            Command::Close => self.close(now),
            Command::Collect {
                options,
                after,
                reply,
            } if self.phase.accepts_speech() && !self.stands_aside() => {
                // A prompt that ended already is nothing to wait for.
                let after = after.filter(|prompt| self.speech.holds(*prompt));
                let collector = Collector::new(options, after, reply, now);
                self.collect(Box::new(collector), now);
            }
            Command::Collect { .. } => {}
            Command::Press(sequence) if self.phase.accepts_speech() => {
                self.presser.add(sequence, now);
            }
            Command::Press(sequence) => refuse(sequence),
            Command::Transfer(new) => self.begin_transfer(new),
            Command::SecondLeg(answer) => {
                self.out.push(Output::Call(CallRequest::SecondLeg(answer)));
            }
            Command::Leave(reason) => self.leave(reason, now),
            Command::TakeMessage(new) => self.take_message(new, now),
            Command::MessageLeft(message) => self.message_left(message),
            Command::SetWakeUp(after) => self.silence.set(after, now),
            Command::Expect(grammar) => {
                let speaking = self.caller.is_some();
                self.hearing.expect(grammar, speaking, &mut self.out);
            }
            Command::Loopback(on) => self.set_loopback(on),
            Command::Background(background) => self.set_background(background),
            Command::PauseRecording(paused) => self.recording.set_paused(PausedBy::Agent, paused),
            Command::SetThinking(thinking) => self.set_thinking(thinking, now),
            Command::Thinking(true) => self.start_thinking(),
            Command::Thinking(false) => self.stop_thinking(),
        }
        self.settle(now);
    }
}
