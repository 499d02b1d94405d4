//! The step that records a message.

use std::path::PathBuf;

use super::*;
use crate::agent_session::MessageEnd;
use crate::flow::values::KeptMessage;

const NIGHT: &str = r##"
start = "ask"
[step.ask]
say = "Your message, please."
record = { name = "order", max_s = 60, silence_s = 2, terminator = "*", beep = false }
then = "report"
failed = "end"
[step.report]
webhook = { url = "https://desk.example/{order}" }
then = "end"
[step.end]
say = "Goodbye then."
hangup = true
"##;

fn kept() -> KeptMessage {
    KeptMessage {
        file: PathBuf::from("/kept/c-1-order.wav"),
        duration: Duration::from_millis(2_500),
        end: MessageEnd::Key,
    }
}

#[test]
fn the_caller_is_asked_nothing_is_listened_for_and_a_message_is_recorded() {
    let (mut conversation, actions) = start(NIGHT);
    assert_eq!(said(&actions), [("Your message, please.", false)]);
    let [
        ..,
        Action::Expect(None),
        Action::Record { message, patience },
    ] = &actions[..]
    else {
        panic!("{actions:?}");
    };
    assert_eq!(message.name, "order");
    assert_eq!(*patience, Duration::from_secs(8));
    for late in [heard("yes"), digit('1'), Input::NotUnderstood] {
        assert_eq!(conversation.handle(late), []);
    }
    let actions = conversation.handle(Input::Recorded(kept()));
    assert_eq!(actions, [Action::Expect(None), Action::Ask]);
    assert_eq!(conversation.at().as_str(), "report");
}

#[test]
fn without_a_message_the_step_fails_and_silence_is_asked_about() {
    let (mut conversation, _) = start(NIGHT);
    let actions = conversation.handle(Input::Silent);
    let texts: Vec<&str> = said(&actions).iter().map(|(text, _)| *text).collect();
    assert_eq!(texts, ["Are you still there?", "Your message, please."]);
    assert!(matches!(actions.last(), Some(Action::Record { .. })));
    let actions = conversation.handle(Input::NotRecorded);
    assert_eq!(said(&actions), [("Goodbye then.", false)]);
    let (mut conversation, _) = start(&NIGHT.replace("failed = \"end\"\n", ""));
    let actions = conversation.handle(Input::NotRecorded);
    assert_eq!(said(&actions), [("Goodbye.", false)]);
}

#[test]
fn mistakes_about_messages_are_named() {
    for (piece, replacement, mistake) in [
        (
            "\"order\", max",
            "\"Order\", max",
            "step.ask.record.name: \"Order\": a name is",
        ),
        (
            "max_s = 60",
            "max_s = 0",
            "step.ask.record.max_s: 0 is not between 1 and 600",
        ),
        (
            "silence_s = 2",
            "silence_s = 61",
            "step.ask.record.silence_s: 61 is not between",
        ),
        (
            "\"*\"",
            "\"**\"",
            "step.ask.record.terminator: \"**\" is no key",
        ),
        (
            "beep = false",
            "beep = 1",
            "step.ask.record.beep: is a whole number",
        ),
        (
            "beep = false",
            "tone = true",
            "step.ask.record.tone: there is no such key",
        ),
        (
            "then = \"report\"\n",
            "",
            "step.ask.then: is missing: where a message leads",
        ),
        (
            "Goodbye then.",
            "{order}",
            "step.end.say: {order} is a message, which cannot be said",
        ),
        (
            "record =",
            "transfer = \"sip:a@b\"\nrecord =",
            "step.ask.record: a step cannot have this beside transfer",
        ),
        (
            "record =",
            "webhook = { url = \"http://a/\" }\nrecord =",
            "step.ask.webhook: a step cannot have this beside record",
        ),
        (
            "say = \"Your message, please.\"",
            "",
            "step.ask: waits for the caller but says nothing first",
        ),
        (
            "{order}\" }",
            "x\", sets = [\"order\"] }",
            "step.report.webhook.sets: sets {order}, which is a message",
        ),
        (
            "[step.report]",
            "[step.other]\nsay = \"A?\"\ncollect = { name = \"order\" }\nthen = \"end\"\n[step.report]",
            "step.ask.record.name: \"order\" is what digits are collected as",
        ),
        (
            "failed = \"end\"",
            "failed = \"ask\"",
            "step.ask.failed: a circle in which no step waits",
        ),
    ] {
        assert!(NIGHT.contains(piece), "{piece}");
        let all = mistakes(&NIGHT.replacen(piece, replacement, 1));
        let named = all.iter().any(|found| found.starts_with(mistake));
        assert!(named, "{mistake}\n{all:?}");
    }
}
