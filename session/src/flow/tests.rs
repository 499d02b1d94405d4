//! Flow files and walks through them.

use std::sync::Arc;

use offhook_media::control::Digit;

use super::conversation::{Action, Conversation, Input};
use super::*;

const FRONT_DESK: &str = include_str!("../../../deploy/flows/front-desk.toml");

/// A flow of three steps to break one thing at a time in.
const SMALL: &str = r#"
start = "ask"
[step.ask]
say = "Yes or no?"
yes = "number"
no = "end"
[step.number]
say = "Your number?"
collect = { name = "number", min = 2, max = 4 }
then = "end"
[step.end]
say = "You keyed {number}."
hangup = true
"#;

fn mistakes(text: &str) -> Vec<String> {
    Flow::parse(text)
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect()
}

/// The one mistake of `SMALL` with a piece of it replaced.
fn mistake_with(piece: &str, replacement: &str) -> String {
    assert!(SMALL.contains(piece), "{piece}");
    let all = mistakes(&SMALL.replace(piece, replacement));
    let [only] = &all[..] else { panic!("{all:?}") };
    only.clone()
}

fn start(text: &str) -> (Conversation, Vec<Action>) {
    let mut conversation = Conversation::new(Arc::new(Flow::parse(text).unwrap()));
    let actions = conversation.handle(Input::Entered);
    (conversation, actions)
}

/// What is said, each with whether it comes after the one before.
fn said(actions: &[Action]) -> Vec<(&str, bool)> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::Say { prompt, after, .. } => Some((prompt.text()?, *after)),
            Action::Expect(_) | Action::Collect { .. } | Action::HangUp { .. } => None,
        })
        .collect()
}

fn digit(symbol: char) -> Input {
    Input::Pressed(Digit::from_char(symbol).unwrap())
}

fn heard(phrase: &str) -> Input {
    heard_last(phrase, phrase)
}

fn heard_last(whole: &str, last: &str) -> Input {
    Input::Heard {
        whole: whole.to_owned(),
        last: last.to_owned(),
    }
}

#[test]
fn the_small_flow_and_the_front_desk_have_no_mistakes() {
    Flow::parse(SMALL).unwrap();
    let front_desk = Flow::parse(FRONT_DESK).unwrap();
    assert!(front_desk.needs_a_voice());
    assert_eq!(front_desk.recordings(), Vec::<&str>::new());
    assert_eq!(front_desk.grammars().count(), 6);
}

#[test]
fn every_mistake_of_a_file_is_listed_with_its_key() {
    let all = mistakes(
        r#"
        start = "askk"
        silense_s = 3
        retries = "two"
        [step.ask]
        say = 7
        expect = [
          { phrases = ["opening hours", "", "press 1"], then = "hours" },
          { phrases = ["Opening hours!"], digits = "1x", then = "end", when = "now" },
          { then = "end" },
        ]
        [step.end]
        hangup = true
        then = "ask"
        [step.nowhere]
        say = "And now?"
        "#,
    );
    let expected = [
        "retries: is a string, not a whole number",
        "silense_s: there is no such key",
        "start: there is no step \"askk\"",
        "step.ask.expect[0].phrases[1]: is empty",
        "step.ask.expect[0].phrases[2]: \"press 1\" has a '1': write numbers as words",
        "step.ask.expect[0].then: there is no step \"hours\"",
        "step.ask.expect[1]: the phrase \"opening hours\" collides with step.ask.expect[0]",
        "step.ask.expect[1].digits: 'x' is no key of a telephone (0-9, *, #, A-D)",
        "step.ask.expect[1].when: there is no such key",
        "step.ask.expect[2].phrases: is missing: what the caller may say (phrases) or press (digits)",
        "step.ask.say: is a whole number, not a string or a table",
        "step.end.hangup: a step cannot have this beside then",
        "step.nowhere: leads nowhere: give it expect, yes and no, collect, then, or hangup = true",
    ];
    assert_eq!(all, expected);
}

#[test]
fn what_is_no_toml_is_one_mistake_with_its_line() {
    let all = mistakes("start = \"a\"\n[step.a\n");
    assert_eq!(all.len(), 1);
    assert!(all[0].contains("line 2"), "{all:?}");
}

#[test]
fn an_empty_file_lacks_a_start_and_steps() {
    assert_eq!(
        mistakes(""),
        [
            "start: is missing: the name of the first step",
            "step: is missing: a flow has steps, each a table [step.NAME]"
        ]
    );
}

#[test]
fn a_step_that_nothing_leads_to_is_a_mistake() {
    let with_island = format!("{SMALL}\n[step.island]\nsay = \"Hm.\"\nthen = \"end\"\n");
    assert_eq!(
        mistakes(&with_island),
        ["step.island: cannot be reached from \"ask\""]
    );
}

#[test]
fn steps_that_never_come_to_an_end_are_dead_ends() {
    let trapped = SMALL
        .replace("hangup = true", "yes = \"ask\"")
        .replace("no = \"end\"", "no = \"number\"");
    let all = mistakes(&trapped);
    assert_eq!(all.len(), 3, "{all:?}");
    assert!(all[0].starts_with("step.ask: is a dead end"), "{all:?}");
}

#[test]
fn steps_that_follow_each_other_in_a_circle_are_a_mistake() {
    let circle = format!(
        "{}\n[step.a]\nsay = \"A.\"\nthen = \"b\"\n[step.b]\nsay = \"B.\"\nthen = \"a\"\n",
        SMALL.replace("no = \"end\"", "no = \"a\"")
    );
    assert_eq!(
        mistakes(&circle),
        ["step.a.then: a circle in which no step waits for the caller: a, b"]
    );
}

#[test]
fn more_prompts_in_a_row_than_a_session_lets_wait_are_a_mistake() {
    let row = |length: usize| {
        let mut flow = SMALL.replace("no = \"end\"", "no = \"row1\"");
        for step in 1..length {
            let then = step + 1;
            flow += &format!("\n[step.row{step}]\nsay = \"Go on.\"\nthen = \"row{then}\"\n");
        }
        flow + &format!("\n[step.row{length}]\nthen = \"end\"\n")
    };
    // The last of the row says nothing, the end does.
    Flow::parse(&row(8)).unwrap();
    assert_eq!(
        mistakes(&row(9)),
        [
            "step.row1: 9 steps in a row say something without waiting for the caller, \
             8 at most can: say more in one step"
        ]
    );
}

#[test]
fn single_mistakes_are_named() {
    for (piece, replacement, mistake) in [
        (
            "yes = \"number\"",
            "yes = \"numbr\"\non_silence = \"number\"",
            "step.ask.yes: there is no step \"numbr\"",
        ),
        (
            "yes = \"number\"",
            "yes = \"number\"\nexpect = [{ phrases = [\"Yes, please!\"], then = \"end\" }]",
            "step.ask.yes: the phrase \"yes please\" collides with step.ask.expect[0]",
        ),
        (
            "yes = \"number\"",
            "yes = \"number\"\nexpect = [{ digits = \"2\", then = \"end\" }]",
            "step.ask.no: the digit 2 collides with step.ask.expect[0]",
        ),
        (
            "min = 2, max = 4",
            "min = 5, max = 4",
            "step.number.collect.min: 5 is more than max, 4",
        ),
        (
            "max = 4",
            "max = 400",
            "step.number.collect.max: 400 is not between 1 and 64",
        ),
        (
            "max = 4",
            "max = 4, terminator = \"##\"",
            "step.number.collect.terminator: \"##\" is no key of a telephone, nor \"none\"",
        ),
        (
            "max = 4",
            "max = 4, sensitive = true",
            "step.end.say: says {number}, which is sensitive: it would be heard and written down",
        ),
        (
            "{number}",
            "{nummer}",
            "step.end.say: {nummer} is collected by no step",
        ),
        (
            "say = \"Yes or no?\"",
            "",
            "step.ask: waits for the caller but says nothing first: give it say",
        ),
        (
            "hangup = true",
            "hangup = true\nreprompt = \"Hm?\"",
            "step.end.reprompt: is never used: the step does not wait for the caller",
        ),
        (
            "say = \"Your number?\"",
            "say = { text = \"Your number?\" }",
            "step.number.say.file: is missing: the recording's path",
        ),
    ] {
        assert_eq!(mistake_with(piece, replacement), mistake);
    }
}

#[test]
fn words_the_recogniser_does_not_know_are_named_where_they_are() {
    let flow = Flow::parse(&SMALL.replace(
        "no = \"end\"",
        "expect = [{ phrases = [\"not offhook\"], then = \"end\" }]",
    ))
    .unwrap();
    let unknown = flow.unknown_words(|word| word != "offhook");
    let texts: Vec<String> = unknown.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "step.ask.expect[0].phrases: the recogniser does not know the word \"offhook\" of \"not offhook\""
        ]
    );
}

#[test]
fn the_flow_says_its_first_step_and_listens_for_what_that_expects() {
    let (_, actions) = start(SMALL);
    let [
        Action::Say {
            prompt,
            after: false,
            interruptible: true,
        },
        Action::Expect(Some(grammar)),
    ] = &actions[..]
    else {
        panic!("{actions:?}");
    };
    assert_eq!(prompt.text(), Some("Yes or no?"));
    assert!(
        ["yes", "no", "yes please", "no thank you"]
            .iter()
            .all(|phrase| grammar.phrases.contains(&(*phrase).to_owned()))
    );
}

#[test]
fn a_phrase_or_a_digit_leads_on_and_collected_digits_are_read_back() {
    for input in [heard("yes"), digit('1')] {
        let (mut conversation, _) = start(SMALL);
        let actions = conversation.handle(input);
        assert_eq!(said(&actions), [("Your number?", false)]);
        let Some(Action::Collect { collection, .. }) = actions.last() else {
            panic!("{actions:?}")
        };
        assert_eq!(
            (collection.min, collection.max, collection.terminator),
            (2, 4, Digit::from_char('#'))
        );
        let actions = conversation.handle(Input::Collected("40*".to_owned()));
        assert_eq!(said(&actions), [("You keyed 4 0 star.", false)]);
        assert_eq!(actions.last(), Some(&Action::HangUp { silent: false }));
    }
}

#[test]
fn of_several_phrases_in_one_turn_the_last_counts() {
    for (whole, last, step) in [
        ("yes yes", "yes", "number"),
        ("no yes", "yes", "number"),
        ("yes no", "no", "end"),
        ("no thank you", "you", "end"),
    ] {
        let (mut conversation, _) = start(SMALL);
        conversation.handle(heard_last(whole, last));
        assert_eq!(conversation.at().as_str(), step, "{whole}");
    }
}

#[test]
fn words_that_no_step_expects_are_not_understood() {
    let (mut conversation, _) = start(SMALL);
    let actions = conversation.handle(heard_last("yes perhaps", "perhaps"));
    assert_eq!(
        said(&actions)[0],
        ("Sorry, I did not understand that.", false)
    );
    assert_eq!(conversation.at().as_str(), "ask");
}

#[test]
fn steps_that_do_not_wait_are_said_one_after_the_other() {
    let (mut conversation, _) = start(FRONT_DESK);
    let actions = conversation.handle(digit('1'));
    let said = said(&actions);
    assert!(said[0].0.starts_with("We are open") && !said[0].1);
    assert_eq!(said[1], ("Is there anything else?", true));
    assert_eq!(conversation.at().as_str(), "more");
}

#[test]
fn the_last_words_may_not_be_interrupted() {
    let (mut conversation, _) = start(FRONT_DESK);
    let actions = conversation.handle(heard("goodbye"));
    assert!(
        matches!(
            &actions[0],
            Action::Say {
                interruptible: false,
                ..
            }
        ),
        "{actions:?}"
    );
    assert_eq!(conversation.handle(heard("goodbye")), []);
}

#[test]
fn what_is_not_understood_is_asked_again_until_the_retries_are_used_up() {
    let (mut conversation, _) = start(SMALL);
    for input in [Input::NotUnderstood, digit('7')] {
        let actions = conversation.handle(input);
        assert_eq!(
            said(&actions),
            [
                ("Sorry, I did not understand that.", false),
                ("Yes or no?", true)
            ]
        );
        assert!(matches!(actions.last(), Some(Action::Expect(Some(_)))));
    }
    let actions = conversation.handle(Input::NotUnderstood);
    assert_eq!(said(&actions), [("Goodbye.", false)]);
    assert_eq!(actions.last(), Some(&Action::HangUp { silent: false }));
}

#[test]
fn silence_is_asked_about_and_ends_the_call_as_silence() {
    let (mut conversation, _) = start(SMALL);
    for _ in 0..2 {
        let actions = conversation.handle(Input::Silent);
        assert_eq!(
            said(&actions),
            [("Are you still there?", false), ("Yes or no?", true)]
        );
    }
    let actions = conversation.handle(Input::Silent);
    assert_eq!(said(&actions), [("Goodbye.", false)]);
    assert_eq!(actions.last(), Some(&Action::HangUp { silent: true }));
}

#[test]
fn silence_leads_from_question_to_question_and_never_back() {
    let text = SMALL
        .replace("no = \"end\"", "no = \"end\"\non_silence = \"number\"")
        .replace("then = \"end\"", "then = \"end\"\non_silence = \"ask\"");
    let silences = |conversation: &mut Conversation| -> Vec<Action> {
        (0..3)
            .flat_map(|_| conversation.handle(Input::Silent))
            .collect()
    };
    let (mut conversation, _) = start(&text);
    silences(&mut conversation);
    assert_eq!(conversation.at().as_str(), "number");
    let actions = silences(&mut conversation);
    assert_eq!(actions.last(), Some(&Action::HangUp { silent: true }));

    // A caller who was heard in between is asked the first question again.
    let (mut conversation, _) = start(&text);
    silences(&mut conversation);
    conversation.handle(Input::CollectedTooLittle);
    silences(&mut conversation);
    assert_eq!(conversation.at().as_str(), "ask");
}

#[test]
fn understanding_the_caller_gives_the_next_step_its_own_retries() {
    let (mut conversation, _) = start(SMALL);
    conversation.handle(Input::NotUnderstood);
    conversation.handle(Input::NotUnderstood);
    conversation.handle(heard("yes"));
    for _ in 0..2 {
        let actions = conversation.handle(Input::CollectedTooLittle);
        assert!(
            matches!(actions.last(), Some(Action::Collect { .. })),
            "{actions:?}"
        );
    }
    let actions = conversation.handle(Input::CollectedTooLittle);
    assert_eq!(actions.last(), Some(&Action::HangUp { silent: false }));
}

#[test]
fn exits_are_taken_instead_of_goodbye() {
    let text = SMALL.replace(
        "no = \"end\"",
        "no = \"end\"\non_silence = \"end\"\non_no_match = \"number\"",
    );
    let (mut conversation, _) = start(&text);
    let actions = conversation.handle(Input::SilentToTheEnd);
    assert_eq!(said(&actions), [("You keyed .", false)]);
    let (mut conversation, _) = start(&text);
    for _ in 0..3 {
        conversation.handle(Input::NotUnderstood);
    }
    assert_eq!(conversation.at().as_str(), "number");
}

#[test]
fn what_comes_too_late_for_its_step_is_ignored() {
    let (mut conversation, _) = start(SMALL);
    conversation.handle(digit('1'));
    for late in [heard("yes"), heard("no"), Input::NotUnderstood, digit('1')] {
        assert_eq!(conversation.handle(late), []);
    }
    assert_eq!(conversation.at().as_str(), "number");
    let (mut conversation, _) = start(FRONT_DESK);
    assert_eq!(conversation.handle(heard("yes")), []);
}

#[test]
fn a_recording_is_played_under_its_text() {
    let text = SMALL.replace(
        "say = \"Yes or no?\"",
        "say = { file = \"audio/ask.wav\", text = \"Yes or no?\" }",
    );
    let flow = Flow::parse(&text).unwrap();
    assert_eq!(flow.recordings(), ["audio/ask.wav"]);
    let (_, actions) = start(&text);
    assert!(matches!(
        &actions[0],
        Action::Say {
            prompt: Prompt::Recording { .. },
            ..
        }
    ));
    assert_eq!(said(&actions), [("Yes or no?", false)]);
}

#[test]
fn the_fixed_texts_are_those_without_digits_to_fill_in_the_greeting_first() {
    let flow = Flow::parse(FRONT_DESK).unwrap();
    let texts = flow.fixed_texts();
    assert!(texts[0].starts_with("Hello, this is the front desk."));
    assert!(texts.contains(&"Thank you for calling. Goodbye."));
    assert!(texts.iter().all(|text| !text.contains("{number}")));
}
