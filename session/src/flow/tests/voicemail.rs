//! Steps for calls of ours that no person answers.

use super::super::voicemail::Answer;
use super::*;
use crate::voicemail::FarEnd;

const CALL: &str = "start = \"ask\"\n[voicemail]\non_machine = \"leave\"\non_ivr = \"menu\"\n\
     [step.ask]\nsay = \"Yes or no?\"\nyes = \"end\"\nno = \"end\"\n\
     [step.leave]\nsay = \"Call back.\"\nhangup = true\n\
     [step.menu]\nsay = \"Zero.\"\nthen = \"end\"\n\
     [step.end]\nhangup = true\n";

#[test]
fn each_answerer_has_its_step_and_the_others_are_hung_up_on() {
    let flow = Flow::parse(CALL).unwrap();
    assert!(flow.decides_about_machines());
    let message = Prompt::Text("Call back.".to_owned());
    for machine in [FarEnd::MachineBeep, FarEnd::MachineGreeting] {
        assert_eq!(flow.answer(machine), Answer::Leave(&message));
    }
    let menu = StepName::new("menu");
    assert_eq!(flow.answer(FarEnd::Ivr), Answer::GoTo(&menu));
    for other in [FarEnd::CallScreening, FarEnd::Fax] {
        assert_eq!(flow.answer(other), Answer::HangUp);
    }
    assert!(!Flow::parse(SMALL).unwrap().decides_about_machines());
}

#[test]
fn a_conversation_begins_at_another_step_or_goes_there_when_it_has_begun() {
    let flow = Arc::new(Flow::parse(CALL).unwrap());
    let menu = StepName::new("menu");
    let mut conversation = Conversation::new(Arc::clone(&flow), FlowValues::default());
    assert!(conversation.begin_at(&menu));
    let actions = conversation.handle(Input::Entered);
    assert_eq!(said(&actions), [("Zero.", false)]);
    let mut conversation = Conversation::new(flow, FlowValues::default());
    conversation.handle(Input::Entered);
    assert!(!conversation.begin_at(&menu));
    assert_eq!(conversation.at().as_str(), "ask");
    let actions = conversation.handle(Input::Redirected(menu));
    assert_eq!(said(&actions), [("Zero.", false)]);
}

#[test]
fn mistakes_about_answerers_are_named() {
    for (piece, replacement, mistake) in [
        (
            "\"leave\"",
            "\"lieve\"",
            "voicemail.on_machine: there is no step \"lieve\"",
        ),
        ("on_ivr", "on_fax", "voicemail.on_fax: there is no such key"),
        (
            "\"leave\"",
            "3",
            "voicemail.on_machine: is a whole number, not a string",
        ),
        (
            "on_machine = \"leave\"\n",
            "",
            "step.leave: cannot be reached from \"ask\"",
        ),
        (
            "on_machine = \"leave\"\non_ivr = \"menu\"\n",
            "",
            "voicemail: names no step: give it on_machine, on_screening or on_ivr",
        ),
    ] {
        assert!(CALL.contains(piece), "{piece}");
        let all = mistakes(&CALL.replacen(piece, replacement, 1));
        assert!(all.contains(&mistake.to_owned()), "{mistake}\n{all:?}");
    }
}
