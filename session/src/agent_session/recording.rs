//! What of a call is recorded, by all who have a say in it: the consent prompt, whoever paused it, and
//! digits that nobody may learn.
//!
//! Each says so for itself, and none takes back what another said:
//!
//! | who | what is left out | from, to |
//! |---|---|---|
//! | the consent prompt | the caller; both, where it was not heard to its end | the leg's or a new far end's beginning; its last frame |
//! | the agent, an operator | both sides | their pause; their own resume |
//! | a sensitive collection | the caller | its beginning; a second after its end |

use std::sync::Arc;
use std::time::Duration;

use offhook_media::control::RecordMode;
use tokio::time::Instant;

use super::utterance::{NewUtterance, QueueMode, Resolver, Source, UtteranceId};
use crate::pii::Pii;
use crate::provider::Audio;

/// Whether a call is recorded.
#[derive(Clone, Debug, Default)]
pub enum RecordPlan {
    /// It is not.
    #[default]
    Off,
    /// From its beginning.
    On,
    /// The agent from the beginning, the caller when the prompt was heard to its end.
    AfterConsent(Arc<ConsentPrompt>),
}

impl RecordPlan {
    /// What is recorded until the session says otherwise; `None` for a call that is not recorded. The leg's
    /// recorder begins with it.
    #[must_use]
    pub fn first_mode(&self) -> Option<RecordMode> {
        match self {
            Self::Off => None,
            Self::On => Some(RecordMode::Both),
            Self::AfterConsent(_) => Some(RecordMode::CallerMuted),
        }
    }
}

/// What a caller is told before they are recorded.
#[derive(Clone, Debug)]
pub struct ConsentPrompt {
    /// What is said, and what the transcript shows.
    pub text: Arc<str>,
    /// A recording of it, played instead of synthesising it.
    pub audio: Option<Audio>,
}

impl ConsentPrompt {
    /// It as an utterance that nothing stops.
    pub(super) fn utterance(&self) -> NewUtterance {
        let (resolver, _nobody_waits) = Resolver::pair(UtteranceId::CONSENT);
        NewUtterance {
            id: UtteranceId::CONSENT,
            text: Some(Pii::new(self.text.as_ref().to_owned())),
            source: self.audio.clone().map_or(Source::Text, Source::Audio),
            interruptible: false,
            add_to_transcript: true,
            add_to_chat_context: false,
            part_of: None,
            queue: QueueMode::After,
            resolver,
        }
    }
}

/// A key's tone is heard for as long after the digit as it is held, and later than the digit that came as
/// an event by what the jitter buffer holds. So long after a sensitive collection the caller stays muted;
/// the leg waits for tones that last longer.
const SENSITIVE_TAIL: Duration = Duration::from_secs(1);

/// How far the consent prompt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Consent {
    /// There is none to be said, or it was heard.
    Settled,
    /// So many are still to be heard: more than one where somebody else took the far end's place meanwhile.
    Owed(u8),
    /// It could not be said: the caller does not know, and is not recorded.
    Missed,
}

/// Whose pause it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PausedBy {
    Agent,
    Operator,
}

/// The recording as the session steers it.
#[derive(Debug)]
pub(super) struct Recording {
    /// What the leg was told last; `None` for a call that is not recorded.
    told: Option<RecordMode>,
    consent: Consent,
    paused_by_agent: bool,
    paused_by_operator: bool,
    /// A sensitive collection is open.
    sensitive: bool,
    /// When what a sensitive collection left behind has died away.
    quiet_at: Option<Instant>,
}

impl Recording {
    pub(super) fn new(plan: &RecordPlan) -> Self {
        Self {
            told: plan.first_mode(),
            consent: match plan {
                RecordPlan::Off | RecordPlan::On => Consent::Settled,
                RecordPlan::AfterConsent(_) => Consent::Owed(1),
            },
            paused_by_agent: false,
            paused_by_operator: false,
            sensitive: false,
            quiet_at: None,
        }
    }

    /// The consent prompt ended, with its last frame or before.
    pub(super) fn consent_ended(&mut self, was_heard: bool) {
        self.consent = match self.consent {
            Consent::Owed(owed @ 2..) if was_heard => Consent::Owed(owed - 1),
            Consent::Settled | Consent::Owed(_) if was_heard => Consent::Settled,
            Consent::Settled | Consent::Owed(_) | Consent::Missed => Consent::Missed,
        };
    }

    /// Somebody who was not told is there; answers whether telling them changes anything.
    pub(super) fn owe_consent(&mut self) -> bool {
        self.consent = match self.consent {
            Consent::Settled => Consent::Owed(1),
            Consent::Owed(owed) => Consent::Owed(owed.saturating_add(1)),
            Consent::Missed => return false,
        };
        true
    }

    /// Whether the call is not recorded because its caller could not be told.
    pub(super) fn is_forgone(&self) -> bool {
        self.told.is_some() && self.consent == Consent::Missed
    }

    pub(super) fn set_paused(&mut self, by: PausedBy, paused: bool) {
        match by {
            PausedBy::Agent => self.paused_by_agent = paused,
            PausedBy::Operator => self.paused_by_operator = paused,
        }
    }

    /// Digits that were pressed already were taken by a sensitive collection: the last may still sound.
    pub(super) fn sensitive_digits_were_pressed(&mut self, now: Instant) {
        self.quiet_at = Some(now + SENSITIVE_TAIL);
    }

    /// Brings it up to date; `sensitive`: such a collection is open.
    pub(super) fn follow(&mut self, sensitive: bool, now: Instant) {
        if sensitive {
            self.quiet_at = None;
        } else if self.sensitive {
            self.quiet_at = Some(now + SENSITIVE_TAIL);
        }
        self.sensitive = sensitive;
        self.quiet_at.take_if(|quiet_at| *quiet_at <= now);
    }

    /// The call ends: it is recorded to its end as it is.
    pub(super) fn stop(&mut self) {
        self.quiet_at = None;
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.quiet_at.filter(|_| self.told.is_some())
    }

    /// What the leg is to be told, if it is not what it was told last.
    pub(super) fn poll_change(&mut self) -> Option<RecordMode> {
        let told = self.told.as_mut()?;
        let paused = self.paused_by_agent || self.paused_by_operator;
        let mode = match self.consent {
            Consent::Missed => RecordMode::Paused,
            Consent::Settled | Consent::Owed(_) if paused => RecordMode::Paused,
            Consent::Owed(_) => RecordMode::CallerMuted,
            Consent::Settled if self.sensitive || self.quiet_at.is_some() => {
                RecordMode::CallerMuted
            }
            Consent::Settled => RecordMode::Both,
        };
        (std::mem::replace(told, mode) != mode).then_some(mode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on() -> Recording {
        Recording::new(&RecordPlan::On)
    }

    #[test]
    fn each_takes_back_only_what_they_said() {
        use PausedBy::{Agent, Operator};
        let now = Instant::now();
        let mut recording = on();
        recording.set_paused(Operator, true);
        assert_eq!(recording.poll_change(), Some(RecordMode::Paused));
        recording.set_paused(Agent, true);
        recording.set_paused(Operator, false);
        assert_eq!(recording.poll_change(), None, "the agent's goes on");
        recording.follow(true, now);
        recording.set_paused(Agent, false);
        assert_eq!(recording.poll_change(), Some(RecordMode::CallerMuted));
        recording.follow(false, now);
        assert_eq!(recording.poll_change(), None, "the last key may be held");
        assert_eq!(recording.poll_timeout(), Some(now + SENSITIVE_TAIL));
        recording.follow(false, now + SENSITIVE_TAIL);
        assert_eq!(recording.poll_change(), Some(RecordMode::Both));
        assert_eq!(recording.poll_timeout(), None);
    }

    #[test]
    fn a_second_collection_goes_on_with_the_muting_of_the_first() {
        let now = Instant::now();
        let mut recording = on();
        recording.follow(true, now);
        recording.follow(false, now);
        recording.follow(true, now + SENSITIVE_TAIL / 2);
        assert_eq!(recording.poll_timeout(), None);
        recording.follow(true, now + SENSITIVE_TAIL * 9);
        assert_eq!(recording.poll_change(), Some(RecordMode::CallerMuted));
    }

    #[test]
    fn a_call_that_is_not_recorded_is_told_nothing() {
        let mut recording = Recording::new(&RecordPlan::Off);
        recording.set_paused(PausedBy::Agent, true);
        recording.follow(true, Instant::now());
        recording.follow(false, Instant::now());
        assert_eq!(recording.poll_change(), None);
        assert_eq!(recording.poll_timeout(), None);
    }
}
