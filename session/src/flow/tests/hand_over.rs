//! The step that hands a caller over.

use super::*;

const OVER: &str = "start = \"a\"\ninherits = [\"customer\"]\n[step.a]\nsay = \"Hello {customer}.\"\n\
     yes = \"over\"\nno = \"end\"\n[step.over]\nsay = \"One moment.\"\nhand_over = \"desk\"\n\
     [step.end]\nhangup = true\n";

#[test]
fn a_caller_is_told_and_handed_over_and_goodbye_is_said_where_nobody_takes_them() {
    let (mut conversation, _) = start(OVER);
    let actions = conversation.handle(heard("yes"));
    assert_eq!(said(&actions), [("One moment.", false)]);
    assert_eq!(actions.last(), Some(&Action::HandOver("desk".to_owned())));
    assert_eq!(conversation.handle(heard("no")), []);
    let actions = conversation.handle(Input::NotHandedOver);
    assert_eq!(said(&actions), [("Goodbye.", false)]);
}

#[test]
fn who_is_handed_over_to_is_listed_with_the_key_that_says_so() {
    let flow = Flow::parse(OVER).unwrap();
    let named: Vec<_> = flow.hands_over_to().collect();
    assert_eq!(named, [("step.over.hand_over".to_owned(), "desk")]);
}

#[test]
fn mistakes_about_hand_over_are_named() {
    for (piece, replacement, mistake) in [
        (
            "\"desk\"",
            "\"desk\"\nfailed = \"end\"",
            "step.over.failed: is never used",
        ),
        (
            "\"desk\"",
            "\"desk\"\nthen = \"end\"",
            "step.over.hand_over: a step cannot have this beside then",
        ),
        (
            "\"desk\"",
            "7",
            "step.over.hand_over: is a whole number, not a string",
        ),
        (
            "[\"customer\"]",
            "[\"Customer\", \"customer\"]",
            "inherits[0]: \"Customer\": a name is",
        ),
        (
            "[\"customer\"]",
            "\"customer\"",
            "inherits: is no list of strings",
        ),
        (
            "[\"customer\"]",
            "[]",
            "step.a.say: {customer} is collected by no step",
        ),
    ] {
        assert!(OVER.contains(piece), "{piece}");
        let all = mistakes(&OVER.replacen(piece, replacement, 1));
        let named = all.iter().any(|found| found.starts_with(mistake));
        assert!(named, "{mistake}\n{all:?}");
    }
}
