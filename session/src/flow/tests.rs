//! Flow files and walks through them.

use std::sync::Arc;
use std::time::Duration;

use offhook_media::control::Digit;

use super::conversation::{Action, Conversation, Input};
use super::*;
use crate::agent_session::{Meanwhile, TransferMode, TransferRequest, WarmEnd, Words};

mod drawing;
mod hand_over;
mod record;
mod voicemail;
mod webhook;

const FRONT_DESK: &str = include_str!("../../../deploy/flows/front-desk.toml");
const NIGHT_DESK: &str = include_str!("../../../deploy/flows/night-desk.toml");

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
    let mut conversation =
        Conversation::new(Arc::new(Flow::parse(text).unwrap()), FlowValues::default());
    let actions = conversation.handle(Input::Entered);
    (conversation, actions)
}

/// What is said, each with whether it comes after the one before.
fn said(actions: &[Action]) -> Vec<(&str, bool)> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::Say { prompt, after, .. } => Some((prompt.text()?, *after)),
            Action::Expect(_)
            | Action::Collect { .. }
            | Action::HangUp { .. }
            | Action::Transfer(_)
            | Action::Record { .. }
            | Action::Ask
            | Action::HandOver(_) => None,
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
fn the_small_flow_and_the_desks_have_no_mistakes() {
    let night_desk = Flow::parse(NIGHT_DESK).unwrap();
    assert!(night_desk.records_messages() && night_desk.asks_webhooks());
    assert!(night_desk.decides_about_machines());
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
        "step.nowhere: leads nowhere: give it expect, yes and no, collect, then, transfer, record, webhook, hand_over, or hangup = true",
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

/// What the session is asked for at last.
fn asked(actions: &[Action]) -> TransferRequest {
    let Some(Action::Transfer(sending)) = actions.last() else {
        panic!("{actions:?}");
    };
    let words = |prompt: Prompt| Some(Words::spoken(prompt.text().unwrap_or_default()));
    sending.as_ref().clone().request(words)
}

const DESK: &str = "start = \"ask\"\n[step.ask]\nsay = \"Yes or no?\"\nyes = \"desk\"\nno = \"bye\"\n\
     [step.bye]\nhangup = true\n";

#[test]
fn a_step_that_sends_the_caller_elsewhere_goes_to_its_exit_or_says_goodbye_when_that_fails() {
    for (failed, next) in [("failed = \"ask\"\n", "ask"), ("", "desk")] {
        let text = format!(
            "{DESK}[step.desk]\nsay = \"One moment.\"\ntransfer = \"tel:+15550100\"\n{failed}"
        );
        let (mut conversation, _) = start(&text);
        let actions = conversation.handle(heard("yes"));
        let request = asked(&actions);
        assert_eq!(request, TransferRequest::to("tel:+15550100"));
        // What the caller says meanwhile is said to somebody else.
        assert_eq!(conversation.handle(heard("no")), []);
        let actions = conversation.handle(Input::NotTransferred);
        assert_eq!(conversation.at().as_str(), next);
        let hangs_up = matches!(actions.last(), Some(Action::HangUp { silent: false }));
        assert_eq!(hangs_up, failed.is_empty(), "{actions:?}");
    }
}

#[test]
fn mistakes_about_transfers_are_named() {
    for (keys, key, what) in [
        ("transfer = \"5550100\"", "step.desk.transfer", "is no sip:"),
        (
            "transfer = \"sip:a@b\\r\\nX: y\"",
            "step.desk.transfer",
            "is no sip:",
        ),
        (
            "transfer = \"sip:a@b\"\nfailed = \"nowhere\"",
            "step.desk.failed",
            "there is no step",
        ),
        (
            "hangup = true\nfailed = \"ask\"",
            "step.desk.failed",
            "is never used",
        ),
        (
            "transfer = \"sip:a@b\"\nhangup = true",
            "step.desk.hangup",
            "cannot have this beside",
        ),
        (
            "transfer = \"sip:a@b\"\nmode = \"cold\"",
            "step.desk.mode",
            "is none of blind",
        ),
        (
            "transfer = \"sip:a@b\"\nannounce = \"A caller.\"",
            "step.desk.announce",
            "is never used",
        ),
        (
            "transfer = \"sip:a@b\"\nmode = \"attended\"\nask = \"Well?\"",
            "step.desk.ask",
            "is never used",
        ),
        (
            "transfer = \"sip:a@b\"\nmode = \"bridge\"\nif_refused = \"bridge\"",
            "step.desk.if_refused",
            "is never used",
        ),
        (
            "transfer = \"sip:a@b\"\nmode = \"bridge\"\nfinish = \"bridge\"",
            "step.desk.finish",
            "is never used",
        ),
        (
            "transfer = \"sip:a@b\"\nfailed = \"desk\"",
            "step.desk.failed",
            "a circle",
        ),
    ] {
        let text = format!("{DESK}[step.desk]\nsay = \"One moment.\"\n{keys}\n");
        let mistakes = Flow::parse(&text).expect_err(keys);
        assert!(
            mistakes
                .iter()
                .any(|mistake| mistake.to_string().contains(key)
                    && mistake.to_string().contains(what)),
            "{keys}: {mistakes:?}"
        );
    }
}

#[test]
fn a_step_says_how_the_caller_is_sent_elsewhere_and_what_whoever_is_called_is_told() {
    let text = format!(
        "{DESK}[step.desk]\nsay = \"One moment.\"\ntransfer = \"sip:desk@example.net\"\nmode = \"warm\"\n\
         finish = \"attended\"\nif_refused = \"bridge\"\nmeanwhile = \"ringing\"\ntimeout_s = 20\n\
         announce = \"A caller.\"\nask = \"Take it?\"\napology = \"Sorry.\"\n"
    );
    let (mut conversation, _) = start(&text);
    let request = asked(&conversation.handle(heard("yes")));
    assert_eq!(request.mode, TransferMode::Warm(WarmEnd::Attended));
    assert!(request.bridge_if_refused);
    assert_eq!(request.timeout, Duration::from_secs(20));
    assert_eq!(request.apology, Some(Words::spoken("Sorry.")));
    assert_eq!(request.second_leg.meanwhile, Meanwhile::Ringing);
    assert_eq!(request.second_leg.words, Some(Words::spoken("A caller.")));
    assert_eq!(request.second_leg.question, Words::spoken("Take it?"));
}

#[test]
fn what_whoever_is_called_is_told_has_the_digits_that_the_caller_keyed_in() {
    let text = "start = \"ask\"\n[step.ask]\nsay = \"Your number?\"\ncollect = { name = \"number\", max = 2 }\n\
         then = \"desk\"\n[step.desk]\ntransfer = \"sip:a@b\"\nmode = \"bridge\"\nannounce = \"It is {number}.\"\n";
    let (mut conversation, _) = start(text);
    let request = asked(&conversation.handle(Input::Collected("42".to_owned())));
    assert_eq!(request.second_leg.words, Some(Words::spoken("It is 4 2.")));
    let flow = Flow::parse(text).unwrap();
    assert!(!flow.fixed_texts().contains(&"It is {number}."));
    let sensitive = text.replace("max = 2", "max = 2, sensitive = true");
    let mistakes = Flow::parse(&sensitive).expect_err("it would be said aloud");
    assert_eq!(mistakes[0].key, "step.desk.announce");
}

#[test]
fn a_warm_step_asks_and_apologises_without_being_told_how_and_its_texts_need_a_voice() {
    let recorded = DESK.replace("say = \"Yes or no?\"", "say = { file = \"a.wav\" }");
    let steps = |more: &str| {
        let others = "silence = { file = \"b.wav\" }\nno_match = { file = \"b.wav\" }\ngoodbye = { file = \"b.wav\" }\n";
        Flow::parse(&format!(
            "{others}{recorded}[step.desk]\ntransfer = \"sip:a@b\"\n{more}"
        ))
        .unwrap()
    };
    assert!(!steps("mode = \"bridge\"\n").needs_a_voice());
    let warm = steps("mode = \"warm\"\n");
    assert!(warm.needs_a_voice());
    let texts = warm.fixed_texts().join(" ");
    assert!(
        texts.contains("Press one") && texts.contains("I am sorry"),
        "{texts}"
    );
}

#[test]
fn a_caller_who_is_silent_behind_a_bridge_that_was_parted_goes_where_a_failure_leads() {
    let text =
        format!("{DESK}[step.desk]\ntransfer = \"sip:a@b\"\nmode = \"bridge\"\nfailed = \"ask\"\n");
    let (mut conversation, _) = start(&text);
    conversation.handle(heard("yes"));
    conversation.handle(Input::Silent);
    assert_eq!(conversation.at().as_str(), "ask");
}

#[test]
fn the_example_of_the_page_about_flows_is_a_flow() {
    let page = include_str!("../../../docs/flow.md");
    let (_, example) = page.split_once("```toml\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let flow = Flow::parse(example).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    assert_eq!(flow.recordings(), ["audio/hours.wav"]);
}
