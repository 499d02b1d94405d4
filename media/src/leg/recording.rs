//! A leg's recorders, while it has them: of both sides, and of a caller who leaves a message.

use crate::control::RecordMode;
use crate::recorder::{MessageTap, RecorderTap};

/// The taps into recordings, and what former ones lost.
#[derive(Debug, Default)]
pub(super) struct Recording {
    tap: Option<RecorderTap>,
    message: Option<MessageTap>,
    /// Whether a key sounds in the caller's frame.
    key_sounds: bool,
    lost: u64,
}

impl Recording {
    /// Records into `ring` from now on, in place of an earlier one.
    pub(super) fn begin(&mut self, ring: rtrb::Producer<i16>, mode: RecordMode) {
        self.end();
        self.tap = Some(RecorderTap::new(ring, mode));
    }

    /// Ends the recording; the writer sees its ring abandoned.
    pub(super) fn end(&mut self) {
        if let Some(tap) = self.tap.take() {
            self.lost += tap.lost_samples();
        }
    }

    /// Records the caller alone from now on, in place of an earlier message; `None` ends it, and the writer sees its
    /// ring abandoned.
    pub(super) fn take_message(&mut self, ring: Option<rtrb::Producer<i16>>) {
        if let Some(message) = self.message.take() {
            self.lost += message.lost_samples();
        }
        self.message = ring.map(MessageTap::new);
    }

    /// What is recorded from now on.
    pub(super) fn set_mode(&mut self, mode: RecordMode) {
        if let Some(tap) = &mut self.tap {
            tap.set_mode(mode);
        }
    }

    /// A frame of the caller's was heard, in which a key sounds or none does.
    pub(super) fn heard(&mut self, key_sounds: bool) {
        self.key_sounds = key_sounds;
        if let Some(tap) = &mut self.tap {
            tap.heard(key_sounds);
        }
    }

    /// Records one frame of each side, `None` for silence; `returned` says that the agent's side plays the
    /// caller back. A writer that gave up is given no more.
    pub(super) fn record(
        &mut self,
        caller: Option<&[i16]>,
        agent: Option<&[i16]>,
        returned: bool,
        length: usize,
    ) {
        if let Some(message) = &mut self.message {
            // The key that ends a message is none of it.
            message.record(caller.filter(|_| !self.key_sounds), length);
            if message.is_abandoned() {
                self.take_message(None);
            }
        }
        let Some(tap) = &mut self.tap else {
            return;
        };
        if tap.is_abandoned() {
            return self.end();
        }
        let agent = agent.filter(|_| !returned || !tap.mutes_the_caller());
        tap.record(caller, agent, length);
    }

    /// Records silence of both sides for slots the clock missed.
    pub(super) fn skip(&mut self, samples: usize) {
        if let Some(message) = &mut self.message {
            message.skip(samples);
        }
        if let Some(tap) = &mut self.tap {
            tap.skip(samples);
        }
    }

    /// Samples (a side) that full rings had no room for.
    pub(super) fn lost_samples(&self) -> u64 {
        let message = self.message.as_ref().map_or(0, MessageTap::lost_samples);
        self.lost + message + self.tap.as_ref().map_or(0, RecorderTap::lost_samples)
    }
}
