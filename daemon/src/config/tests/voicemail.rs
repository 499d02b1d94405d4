//! How it is found out who answered an agent's calls.

use std::time::Duration;

use super::{Folder, assert_mistake, read};
use crate::config::{MachinePolicy, Message, Voicemail};

fn agent(keys: &str) -> String {
    format!("[agent.a]\nkind = \"echo\"\n{keys}")
}

fn voicemail(keys: &str) -> Option<Voicemail> {
    let (config, _) = read(&agent(keys)).unwrap_or_else(|found| panic!("{found}"));
    let agent = config.agents.into_values().next().expect("an agent");
    agent.voicemail
}

#[test]
fn an_agent_finds_out_nothing_unless_it_has_a_table_for_it() {
    assert_eq!(voicemail(""), None);
    let plain = voicemail("voicemail = {}").expect("a table");
    assert_eq!(
        plain,
        Voicemail {
            enabled: true,
            policy: MachinePolicy::Hangup,
            message: None,
            max_decision: Duration::from_secs(4),
            speak_while_detecting: false,
        }
    );
}

#[test]
fn a_message_is_a_text_or_a_file_and_calls_may_choose_it() {
    let text = voicemail(
        "voicemail = { policy = \"leave_message\", text = \"Call back.\", max_decision_s = 6, speak_while_detecting = true }",
    );
    let text = text.expect("a table");
    assert_eq!(text.policy, MachinePolicy::LeaveMessage);
    assert_eq!(text.spoken_message(), Some("Call back."));
    assert_eq!(text.max_decision, Duration::from_secs(6));
    assert!(text.speak_while_detecting);

    let folder = Folder::new("voicemail");
    let file = folder.0.join("message.wav");
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 8_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut wav = hound::WavWriter::create(&file, spec).unwrap();
    wav.write_sample(0_i16).unwrap();
    wav.finalize().unwrap();
    // Not found out by itself, and by calls that ask for it.
    let keys = format!("voicemail = {{ enabled = false, policy = \"continue\", file = {file:?} }}");
    let played = voicemail(&keys).expect("a table");
    assert!(!played.enabled && played.policy == MachinePolicy::Continue);
    assert!(matches!(played.message, Some(Message::File(_))));
    assert_eq!(played.spoken_message(), None);
}

#[test]
fn mistakes_about_machines_are_named() {
    for (wrong, what) in [
        ("voicemail = true", "should be a table"),
        ("voicemail = { policy = \"shout\" }", "is none of hangup"),
        (
            "voicemail = { policy = \"leave_message\" }",
            "needs a text or a file",
        ),
        (
            "voicemail = { text = \"a\", file = \"/dev/null\" }",
            "there is a text beside it",
        ),
        ("voicemail = { text = \" \" }", "says nothing"),
        (
            "voicemail = { max_decision_s = 0 }",
            "agent.a.voicemail.max_decision_s",
        ),
        (
            "voicemail = { speak_while_detecting = 1 }",
            "agent.a.voicemail.speak_while_detecting",
        ),
        ("voicemail = { patience_s = 3 }", "agent.a.voicemail"),
    ] {
        assert_mistake(&agent(wrong), what);
    }
}

#[test]
fn a_trunk_may_say_that_who_answers_is_not_to_be_found_out() {
    let trunk = |keys: &str| {
        let toml = format!("[trunk.t]\ninbound_from = [\"192.0.2.1\"]\n{keys}");
        let (config, warnings) = read(&toml).unwrap_or_else(|found| panic!("{found}"));
        let trunk = config.trunks.into_values().next().expect("a trunk");
        (trunk.outbound.map(|outbound| outbound.voicemail), warnings)
    };
    assert_eq!(trunk("address = \"192.0.2.1\"").0, Some(true));
    let off = "address = \"192.0.2.1\"\nvoicemail = false";
    assert_eq!(trunk(off).0, Some(false));
    // Without an address no calls go out.
    let (none, warnings) = trunk("voicemail = false");
    assert_eq!(none, None);
    let useless = |key: &str| warnings.iter().any(|warning| warning.key.ends_with(key));
    assert!(useless("voicemail"), "{warnings:?}");
}
