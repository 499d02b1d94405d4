//! Who answered, as the API takes and shows it.

use std::time::Duration;

use offhook_session::agent_session::evidence_text;
use offhook_session::pii::Pii;
use offhook_session::voicemail::VoicemailVerdict;
use serde::{Deserialize, Serialize};

use super::milliseconds;
use crate::config::MachinePolicy;
use crate::voicemail::CallVoicemail;

/// The longest message: some two minutes of speech.
const LONGEST_TEXT: usize = 2_000;

/// `voicemail` in the body of `POST /v1/calls`.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "voicemail should be true, false, a policy (hangup, leave_message, continue, callback), or an object with \
                 policy, text, max_decision_s, speak_while_detecting"
)]
pub(super) enum VoicemailBody {
    Switch(bool),
    Policy(MachinePolicy),
    Table(VoicemailTable),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VoicemailTable {
    policy: Option<MachinePolicy>,
    text: Option<String>,
    max_decision_s: Option<u32>,
    speak_while_detecting: Option<bool>,
}

impl VoicemailBody {
    pub(super) fn of_call(self) -> Result<CallVoicemail, String> {
        let as_configured = CallVoicemail::On {
            policy: None,
            text: None,
            max_decision: None,
            speak_while_detecting: None,
        };
        Ok(match self {
            Self::Switch(false) => CallVoicemail::Off,
            Self::Switch(true) => as_configured,
            Self::Policy(policy) => CallVoicemail::On {
                policy: Some(policy),
                text: None,
                max_decision: None,
                speak_while_detecting: None,
            },
            Self::Table(VoicemailTable {
                text: Some(text), ..
            }) if text.chars().count() > LONGEST_TEXT => {
                return Err(format!(
                    "voicemail.text: is longer than {LONGEST_TEXT} characters"
                ));
            }
            Self::Table(table) => CallVoicemail::On {
                policy: table.policy,
                text: table
                    .text
                    .filter(|text| !text.trim().is_empty())
                    .map(Pii::new),
                max_decision: table
                    .max_decision_s
                    .map(|seconds| Duration::from_secs(u64::from(seconds.clamp(1, 20)))),
                speak_while_detecting: table.speak_while_detecting,
            },
        })
    }
}

/// Who answered.
#[derive(Debug, Serialize)]
pub(super) struct VerdictEntry {
    verdict: &'static str,
    /// 0 to 1.
    confidence: f64,
    evidence: Vec<String>,
    /// Milliseconds from the moment when media was live.
    after_ms: u64,
}

impl VerdictEntry {
    pub(super) fn of(verdict: &VoicemailVerdict) -> Self {
        // As a hundredth, and not as the float that is nearest to it.
        let hundredths = f64::from(verdict.confidence.value() * 100.0).round();
        Self {
            verdict: verdict.far_end.as_str(),
            confidence: hundredths / 100.0,
            evidence: verdict.evidence.iter().map(evidence_text).collect(),
            after_ms: milliseconds(verdict.at),
        }
    }
}

#[cfg(test)]
mod tests {
    use offhook_media::control::{CallTone, CallToneKind, Confidence};
    use offhook_session::voicemail::{Evidence, FarEnd};
    use serde_json::{Value, json};

    use super::*;

    fn read(body: Value) -> Result<CallVoicemail, String> {
        let body: VoicemailBody =
            serde_json::from_value(body).map_err(|error| error.to_string())?;
        body.of_call()
    }

    #[test]
    fn a_call_says_yes_or_no_or_a_policy_or_more() {
        let on = |policy| CallVoicemail::On {
            policy,
            text: None,
            max_decision: None,
            speak_while_detecting: None,
        };
        assert_eq!(read(json!(false)), Ok(CallVoicemail::Off));
        assert_eq!(read(json!(true)), Ok(on(None)));
        assert_eq!(
            read(json!("callback")),
            Ok(on(Some(MachinePolicy::Callback)))
        );
        assert_eq!(
            read(json!({
                "policy": "leave_message",
                "text": "Call back.",
                "max_decision_s": 6,
                "speak_while_detecting": true
            })),
            Ok(CallVoicemail::On {
                policy: Some(MachinePolicy::LeaveMessage),
                text: Some(Pii::new("Call back.".to_owned())),
                max_decision: Some(Duration::from_secs(6)),
                speak_while_detecting: Some(true),
            })
        );
        for wrong in [json!("shout"), json!({ "file": "/etc/passwd" }), json!(3)] {
            let error = read(wrong).unwrap_err();
            assert!(error.contains("voicemail should be"), "{error}");
        }
        let long = read(json!({ "text": "a".repeat(2_001) })).unwrap_err();
        assert!(long.contains("2000 characters"), "{long}");
    }

    #[test]
    fn a_verdict_is_shown_with_what_spoke_for_it() {
        let tone = CallTone {
            kind: CallToneKind::Beep,
            confidence: Confidence::CERTAIN,
            at_ms: 400,
            duration_ms: 300,
        };
        let cadence = Evidence::Cadence {
            voiced: Duration::from_millis(5_200),
            pieces: 3,
        };
        let entry = VerdictEntry::of(&VoicemailVerdict {
            far_end: FarEnd::MachineBeep,
            confidence: Confidence::new(0.93),
            evidence: vec![cadence, Evidence::Tone(tone)],
            at: Duration::from_millis(6_100),
        });
        let shown = serde_json::to_value(&entry).unwrap();
        assert_eq!(
            shown,
            json!({
                "verdict": "machine_beep",
                "confidence": 0.93,
                "evidence": ["cadence of 5200 ms in 3", "tone beep"],
                "after_ms": 6_100
            })
        );
    }
}
