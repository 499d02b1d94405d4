//! The webhook step.

use serde_json::{Value, json};

use super::*;
use crate::agent_session::{CallFacts, CallId, Direction, IdentityFacts};
use crate::pii::Pii;
use crate::provider::{WebhookMethod, WebhookRequest};

const LOOK_UP: &str = r#"
start = "number"
[step.number]
say = "Your number?"
collect = { name = "number", min = 2, max = 4 }
then = "pin"
[step.pin]
say = "And your pin?"
collect = { name = "pin", min = 2, max = 4, sensitive = true }
then = "look"
[step.look]
say = "One moment."
webhook = { url = "https://desk.example/{call_id}/{number}", sets = ["customer"], goto = ["vip", "closed"] }
then = "hello"
failed = "closed"
[step.hello]
say = "Hello {customer}, you keyed {number}."
hangup = true
[step.vip]
say = "Welcome back, {customer}."
hangup = true
[step.closed]
say = "We are closed."
hangup = true
"#;

fn facts() -> CallFacts {
    CallFacts {
        call_id: CallId::new("c-1"),
        direction: Direction::Inbound,
        from: Pii::new("sip:alice@192.0.2.1".into()),
        to: Pii::new("sip:desk@192.0.2.2".into()),
        trunk: Some("carrier".into()),
        identity: IdentityFacts::default(),
        headers: Vec::new(),
    }
}

/// At the webhook, with a number and a pin.
fn asked(flow: &str) -> (Conversation, WebhookRequest) {
    let (mut conversation, _) = start(flow);
    conversation.handle(Input::Collected("4*".to_owned()));
    let actions = conversation.handle(Input::Collected("1234".to_owned()));
    assert_eq!(said(&actions), [("One moment.", false)]);
    assert_eq!(
        actions[actions.len() - 2..],
        [Action::Expect(None), Action::Ask]
    );
    // It is heard to its end.
    assert!(actions.iter().all(|action| !matches!(
        action,
        Action::Say {
            interruptible: true,
            ..
        }
    )));
    let request = conversation.webhook_request(&facts()).unwrap();
    (conversation, request)
}

fn with(keys: &str) -> String {
    assert!(LOOK_UP.contains("sets ="));
    LOOK_UP.replacen("sets =", &format!("{keys}, sets ="), 1)
}

fn body(request: &WebhookRequest) -> Value {
    serde_json::from_str(request.body.as_ref().unwrap().expose()).unwrap()
}

/// What is said after an answer.
fn after(answer: &Value) -> Vec<String> {
    let (mut conversation, _) = asked(LOOK_UP);
    let actions = conversation.handle(Input::Answered(answer.to_string().into_bytes()));
    let said = said(&actions);
    said.iter().map(|(text, _)| (*text).to_owned()).collect()
}

#[test]
fn a_webhook_is_told_the_call_and_what_is_known_but_neither_numbers_nor_what_is_sensitive() {
    let (_, request) = asked(LOOK_UP);
    assert_eq!(request.url.expose(), "https://desk.example/c-1/4%2A");
    assert_eq!(request.method, WebhookMethod::Post);
    assert_eq!(request.deadline, Duration::from_secs(5));
    let expected = json!({
        "call": { "id": "c-1", "direction": "inbound", "trunk": "carrier" },
        "step": "look",
        "values": { "number": "4*" },
        "messages": {},
    });
    assert_eq!(body(&request), expected);
    let shown = format!("{request:?}");
    assert!(
        !shown.contains("4%2A") && !shown.contains("values"),
        "{shown}"
    );
}

#[test]
fn a_webhook_that_says_so_is_told_numbers_and_sensitive_digits_by_name() {
    let keys = "send_numbers = true, sensitive = [\"pin\"], method = \"PUT\", timeout_s = 2, \
                headers = { Authorization = \"Bearer abc\" }";
    let (_, request) = asked(&with(keys));
    let body = body(&request);
    assert_eq!(body["call"]["from"], "sip:alice@192.0.2.1");
    assert_eq!(body["call"]["to"], "sip:desk@192.0.2.2");
    assert_eq!(body["values"]["pin"], "1234");
    assert_eq!(request.method, WebhookMethod::Put);
    assert_eq!(request.deadline, Duration::from_secs(2));
    assert_eq!(
        *request.headers,
        [("Authorization".to_owned(), "Bearer abc".to_owned())]
    );
    assert!(!format!("{request:?}").contains("abc"));
}

#[test]
fn a_get_has_its_values_in_the_url_alone() {
    let (_, request) = asked(&with("method = \"GET\""));
    assert_eq!(request.body, None);
    assert!(request.url.expose().ends_with("/4%2A"));
}

#[test]
fn an_answer_sets_what_the_step_lists_and_chooses_among_the_steps_it_lists() {
    let set = json!({ "customer": "Ann {pin}", "number": "99", "other": "x" });
    assert_eq!(
        after(&json!({ "set": set })),
        ["Hello Ann {pin}, you keyed 4 star."]
    );
    let chosen = json!({ "set": { "customer": "Ann" }, "goto": "vip", "more": [1] });
    assert_eq!(after(&chosen), ["Welcome back, Ann."]);
    assert_eq!(after(&json!({})), ["Hello , you keyed 4 star."]);
    assert_eq!(
        after(&json!({ "set": null, "goto": null })),
        ["Hello , you keyed 4 star."]
    );
}

#[test]
fn an_answer_without_a_word_leads_on() {
    let (mut conversation, _) = asked(LOOK_UP);
    conversation.handle(Input::Answered(b" \r\n".to_vec()));
    assert_eq!(conversation.at().as_str(), "hello");
}

#[test]
fn an_answer_that_is_none_fails() {
    let long = "x".repeat(501);
    for answer in [
        json!([]),
        json!("vip"),
        json!({ "goto": "number" }),
        json!({ "goto": 3 }),
        json!({ "set": [] }),
        json!({ "set": { "customer": 7 } }),
        json!({ "set": { "customer": long } }),
        json!({ "set": { "customer": "Ann\nBye" } }),
    ] {
        assert_eq!(after(&answer), ["We are closed."], "{answer}");
    }
    for bytes in [&b"<html>"[..], b"\xff\xfe", b"{\"goto\": \"vip\""] {
        let (mut conversation, _) = asked(LOOK_UP);
        conversation.handle(Input::Answered(bytes.to_vec()));
        assert_eq!(conversation.at().as_str(), "closed");
    }
    let (mut conversation, _) = asked(LOOK_UP);
    conversation.handle(Input::NotAnswered);
    assert_eq!(conversation.at().as_str(), "closed");
}

#[test]
fn without_an_exit_a_webhook_that_fails_ends_the_call_with_goodbye() {
    let (mut conversation, _) = asked(&LOOK_UP.replace("failed = \"closed\"\n", ""));
    let actions = conversation.handle(Input::NotAnswered);
    assert_eq!(said(&actions), [("Goodbye.", false)]);
    assert_eq!(actions.last(), Some(&Action::HangUp { silent: false }));
}

#[test]
fn what_the_caller_does_meanwhile_changes_nothing() {
    let (mut conversation, _) = asked(LOOK_UP);
    for input in [
        heard("yes"),
        digit('1'),
        Input::Silent,
        Input::NotUnderstood,
    ] {
        assert_eq!(conversation.handle(input), []);
    }
    assert_eq!(conversation.at().as_str(), "look");
}

#[test]
fn a_silent_caller_is_let_go_also_where_a_webhook_leads_back() {
    let text = "start = \"ask\"\n[step.ask]\nsay = \"Yes?\"\nyes = \"bye\"\non_silence = \"look\"\n\
         [step.look]\nwebhook = { url = \"http://desk.example/\", goto = [\"ask\"] }\nthen = \"bye\"\n\
         [step.bye]\nhangup = true\n";
    let (mut conversation, _) = start(text);
    for _ in 0..3 {
        conversation.handle(Input::Silent);
    }
    assert_eq!(conversation.at().as_str(), "look");
    let actions = conversation.handle(Input::Answered(b"{\"goto\": \"ask\"}".to_vec()));
    assert_eq!(said(&actions), [("Goodbye.", false)]);
    assert_eq!(actions.last(), Some(&Action::HangUp { silent: true }));
}

#[test]
fn mistakes_about_webhooks_are_named() {
    let url = "url = \"https://desk.example/{call_id}/{number}\"";
    let webhook = "step.look.webhook";
    for (piece, replacement, key, what) in [
        (url, "uri = \"x\"", ".url", "is missing"),
        (url, "uri = \"x\"", ".uri", "no such key"),
        (
            "goto = [\"vip\", \"closed\"]",
            "goto = [\"vip\", \"\"]",
            ".goto",
            "an empty name",
        ),
        (
            url,
            "url = \"ftp://desk.example\"",
            ".url",
            "is no http:// or https://",
        ),
        (url, "url = \"http://{number}/\"", ".url", "in its host"),
        (
            url,
            "url = \"https://desk.example/{pin}\"",
            ".url",
            "which is sensitive",
        ),
        (
            url,
            "url = \"https://desk.example/{nummer}\"",
            ".url",
            "is collected by no step",
        ),
        (
            url,
            "url = \"http://desk.example/\", sensitive = [\"pin\"]",
            ".sensitive",
            "by https:// only",
        ),
        (
            "sets = [\"customer\"]",
            "sets = [\"pin\", \"customer\"]",
            ".sets",
            "collects as sensitive",
        ),
        (
            "sets = [\"customer\"]",
            "sets = [\"Customer\", \"customer\"]",
            ".sets",
            "lower-case",
        ),
        (
            "sets = [\"customer\"]",
            "sets = \"customer\"",
            ".sets",
            "is no list",
        ),
        (
            "sets =",
            "sensitive = [\"number\"], sets =",
            ".sensitive",
            "collects as sensitive",
        ),
        (
            "sets =",
            "method = \"DELETE\", sets =",
            ".method",
            "none of GET, POST, PUT",
        ),
        (
            "sets =",
            "method = \"GET\", send_numbers = true, sets =",
            ".send_numbers",
            "never used",
        ),
        (
            "sets =",
            "timeout_s = 31, sets =",
            ".timeout_s",
            "not between 1 and 30",
        ),
        (
            "sets =",
            "retries = 3, sets =",
            ".retries",
            "there is no such key",
        ),
        (
            "sets =",
            "headers = { Host = \"a\" }, sets =",
            ".headers.Host",
            "no header field",
        ),
        (
            "sets =",
            "headers = { X = \"a\\r\\nY: b\" }, sets =",
            ".headers.X",
            "no header field",
        ),
        (
            "\"closed\"]",
            "\"nowhere\", \"closed\"]",
            ".goto[1]",
            "there is no step \"nowhere\"",
        ),
        (
            "\"closed\"]",
            "\"look\", \"closed\"]",
            ".goto[1]",
            "a circle in which no step waits",
        ),
    ] {
        assert!(LOOK_UP.contains(piece), "{piece}");
        let mistakes = mistakes(&LOOK_UP.replacen(piece, replacement, 1));
        let key = format!("{webhook}{key}: ");
        let named = |mistake: &String| mistake.starts_with(&key) && mistake.contains(what);
        assert!(mistakes.iter().any(named), "{replacement}: {mistakes:?}");
    }
    for (piece, replacement, mistake) in [
        (
            "then = \"hello\"\n",
            "",
            "step.look.then: is missing: where the answer leads",
        ),
        (
            "then = \"hello\"\n",
            "then = \"hello\"\nhangup = true\n",
            "step.look.hangup: a step cannot have this beside webhook",
        ),
        (
            "then = \"hello\"\n",
            "then = \"hello\"\non_silence = \"vip\"\n",
            "step.look.on_silence: is never used: the step does not wait for the caller",
        ),
    ] {
        let mistakes = mistakes(&LOOK_UP.replacen(piece, replacement, 1));
        assert!(mistakes.contains(&mistake.to_owned()), "{mistakes:?}");
    }
}

proptest::proptest! {
    /// Whatever comes back, the conversation goes to a step that the file names, and says nothing too long.
    #[test]
    fn no_answer_whatever_its_bytes_leads_elsewhere(
        bytes in proptest::prelude::any::<Vec<u8>>(),
        name in ".{0,600}",
        goto in "vip|closed|number|look|.{0,9}",
    ) {
        let written = serde_json::json!({ "set": { "customer": name }, "goto": goto });
        let cut = written.to_string().into_bytes();
        for body in [bytes, cut[..cut.len() - 1].to_vec(), cut] {
            let (mut conversation, _) = asked(LOOK_UP);
            let actions = conversation.handle(Input::Answered(body));
            let at = conversation.at().as_str();
            proptest::prop_assert!(["hello", "vip", "closed"].contains(&at), "{}", at);
            let longest = said(&actions).iter().map(|(text, _)| text.chars().count()).max();
            proptest::prop_assert!(longest <= Some(540), "{:?}", longest);
        }
    }

    /// Whatever a value is, the URL stays the same but for its place.
    #[test]
    fn no_value_changes_whom_a_webhook_asks(value in proptest::prelude::any::<String>()) {
        let url = crate::webhook::WebhookUrl::parse("http://desk.example/a/{x}/b?y={x}&z=1").unwrap();
        let filled = url.fill_in(|_| Some(value.as_str().into()));
        let rest = filled.strip_prefix("http://desk.example/a/").unwrap();
        let (path, query) = rest.split_once('?').unwrap();
        proptest::prop_assert!(path.ends_with("/b") && path.matches('/').count() == 1, "{}", path);
        proptest::prop_assert!(query.ends_with("&z=1") && query.matches('&').count() == 1, "{}", query);
        proptest::prop_assert!(filled.bytes().all(|byte| byte.is_ascii_graphic()));
    }
}
