//! The reflex that silences an agent who is talked over.

use crate::control::BargeInPolicy;
use crate::voice_activity::Speaking;

/// The barge-in policy and what it needs to remember.
#[derive(Debug, Default)]
pub(crate) struct BargeIn {
    policy: Option<BargeInPolicy>,
    /// When the speech bus began to play, while it plays.
    sounding_since_ms: Option<u64>,
    /// The reflex acts once in a stretch of speech; the session may have resumed on purpose.
    acted: bool,
}

impl BargeIn {
    /// Arms the reflex, or disarms it.
    pub(crate) fn arm(&mut self, policy: Option<BargeInPolicy>) {
        self.policy = policy;
    }

    /// Whether the caller has now talked over the agent for as long as the policy asks. To be asked
    /// every tick.
    pub(crate) fn talked_over(
        &mut self,
        speaking: Option<Speaking>,
        sounding: bool,
        at_ms: u64,
    ) -> bool {
        if speaking.is_none() {
            self.acted = false;
        }
        let Some(policy) = self.policy else {
            self.sounding_since_ms = None;
            return false;
        };
        self.sounding_since_ms = sounding.then(|| self.sounding_since_ms.unwrap_or(at_ms));
        let Some(Speaking {
            since_ms,
            last_voiced_ms,
        }) = speaking
        else {
            return false;
        };
        let Some(sounding_since_ms) = self.sounding_since_ms else {
            return false;
        };
        let both_ms = last_voiced_ms.saturating_sub(since_ms.max(sounding_since_ms));
        if self.acted || both_ms < u64::from(policy.min_speech_ms) || both_ms == 0 {
            return false;
        }
        self.acted = true;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn armed(min_speech_ms: u32) -> BargeIn {
        let mut barge_in = BargeIn::default();
        barge_in.arm(Some(BargeInPolicy { min_speech_ms }));
        barge_in
    }

    fn speech(since_ms: u64, last_voiced_ms: u64) -> Option<Speaking> {
        Some(Speaking {
            since_ms,
            last_voiced_ms,
        })
    }

    #[test]
    fn only_the_time_both_speak_counts() {
        let mut barge_in = armed(300);
        // The caller speaks since 0, the agent begins at 1,000.
        assert!(!barge_in.talked_over(speech(0, 990), false, 990));
        assert!(!barge_in.talked_over(speech(0, 1010), true, 1000));
        assert!(!barge_in.talked_over(speech(0, 1290), true, 1290));
        assert!(barge_in.talked_over(speech(0, 1300), true, 1300));
    }

    #[test]
    fn it_acts_once_in_a_stretch_of_speech() {
        let mut barge_in = armed(100);
        barge_in.talked_over(None, true, 0);
        assert!(barge_in.talked_over(speech(500, 600), true, 600));
        assert!(!barge_in.talked_over(speech(500, 900), true, 900));
        assert!(!barge_in.talked_over(None, true, 1200));
        assert!(barge_in.talked_over(speech(1500, 1700), true, 1700));
    }

    #[test]
    fn a_stretch_that_ended_while_disarmed_does_not_spend_the_next_one() {
        let policy = Some(BargeInPolicy { min_speech_ms: 100 });
        let mut barge_in = armed(100);
        barge_in.talked_over(None, true, 0);
        assert!(barge_in.talked_over(speech(500, 600), true, 600));
        barge_in.arm(None);
        assert!(!barge_in.talked_over(None, false, 1200));
        barge_in.arm(policy);
        assert!(!barge_in.talked_over(speech(1500, 1550), true, 1500));
        assert!(barge_in.talked_over(speech(1500, 1700), true, 1700));
    }

    #[test]
    fn the_hang_over_is_no_speech() {
        let mut barge_in = armed(300);
        barge_in.talked_over(None, true, 0);
        assert!(!barge_in.talked_over(speech(500, 750), true, 900));
    }

    #[test]
    fn disarmed_it_never_acts() {
        let mut barge_in = BargeIn::default();
        assert!(!barge_in.talked_over(speech(0, 9000), true, 9000));
    }
}
