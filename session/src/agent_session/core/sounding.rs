//! When the sounds beside the agent's speech begin and end.

use offhook_media::control::{Bus, LegCommand};
use tokio::time::Instant;

use super::super::sounds::{Background, InPlace, THINKING_IN_SILENCE, Thinking};
use super::super::state::AgentState;
use super::super::transfer::Meanwhile;
use super::{Session, Timer};

impl Session {
    /// The gate opens.
    pub(super) fn open_sounds(&mut self) {
        self.sounds.open(|| self.speech.next_epoch(), &mut self.out);
        self.keep_background_held();
    }

    pub(super) fn set_background(&mut self, background: Option<Background>) {
        self.sounds
            .set_background(background, || self.speech.next_epoch(), &mut self.out);
        self.keep_background_held();
    }

    pub(super) fn set_thinking(&mut self, thinking: Option<Thinking>, now: Instant) {
        self.sounds
            .set_thinking(thinking, || self.speech.next_epoch(), &mut self.out);
        if self.sounds.thinks && !self.sounds.thinking_plays() {
            self.await_long_thinking(now);
        }
    }

    pub(super) fn start_thinking(&mut self) {
        self.sounds
            .start_thinking(|| self.speech.next_epoch(), &mut self.out);
    }

    /// Somebody wants no more of it, the agent speaks, or the call ends.
    pub(super) fn stop_thinking(&mut self) {
        self.timers.stop(Timer::Thinking);
        self.sounds.stop_thinking(&mut self.out);
    }

    /// Nothing is heard beside the message that is left on a machine.
    pub(super) fn quieten_sounds(&mut self) {
        self.stop_thinking();
        if self.sounds.is_open() {
            self.set_background(None);
        }
    }

    pub(super) fn thinking_is_long(&mut self) {
        self.sounds
            .thinking_is_long(|| self.speech.next_epoch(), &mut self.out);
    }

    /// Follows the agent's state. It is looked at when everything that follows from an input has been done, so that an
    /// agent who goes from one turn to the next thinks on.
    pub(super) fn follow_thinking(&mut self, now: Instant) {
        let thinks = self.states.0 == AgentState::Thinking;
        if thinks == self.sounds.thinks {
            return;
        }
        self.sounds.thinks = thinks;
        if thinks {
            self.await_long_thinking(now);
        } else {
            self.timers.stop(Timer::Thinking);
            self.sounds.thinking_is_over(&mut self.out);
        }
    }

    fn await_long_thinking(&mut self, now: Instant) {
        if self.sounds.has_thinking() {
            self.timers.set(Timer::Thinking, now + THINKING_IN_SILENCE);
        }
    }

    /// What the far end hears in the agent's place, on hold or while somebody is called for it.
    fn in_place_of_agent(&self) -> Option<InPlace> {
        match self.transfer.parked() {
            _ if self.on_hold => Some(InPlace::Music),
            Some(Meanwhile::Music) if self.sounds.has_music() => Some(InPlace::Music),
            Some(Meanwhile::Music | Meanwhile::Ringing) => Some(InPlace::Ringing),
            Some(Meanwhile::Agent) | None => None,
        }
    }

    /// The far end is on hold or waits for somebody, or does so no more.
    pub(super) fn hold_background(&mut self, now: Instant) {
        let in_place = self.in_place_of_agent();
        self.timers.stop(Timer::Thinking);
        self.sounds
            .set_on_hold(in_place, || self.speech.next_epoch(), &mut self.out);
        if in_place.is_none() {
            self.out.leg(LegCommand::Resume(Bus::Background));
        }
        if in_place.is_none() && self.sounds.thinks && !self.sounds.thinking_plays() {
            self.await_long_thinking(now);
        }
        self.keep_background_held();
    }

    /// A bus that was emptied is paused no longer.
    fn keep_background_held(&mut self) {
        if self.in_place_of_agent().is_some() {
            self.out.leg(LegCommand::Pause(Bus::Background));
        }
    }
}
