//! Replies of a scripted language model, with its tools, through the actor and in virtual time.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use offhook_session::agent::Agent;
use offhook_session::agent_session::{
    Outcome, Providers, ReplyOptions, ReplyPolicy, SayOptions, SessionHandle, UtteranceFailure,
};
use offhook_session::chat::{ChatItem, WindowPolicy};
use offhook_session::pii::Pii;
use offhook_session::provider::ProviderError;
use offhook_session::tool::{HandOff, Inherited, Tool, ToolError, ToolOutput, ToolSpec};
use serde_json::{Value, json};
use support::model::*;
use support::{Act, Call, config};
use tokio::time::{Instant, sleep};

/// Answers after a time.
struct Slow {
    spec: ToolSpec,
    takes: Duration,
    over: Arc<AtomicUsize>,
}

impl Slow {
    fn new(name: &str, takes: Duration) -> Self {
        Self {
            spec: ToolSpec::new(name, "Takes its time.", json!({ "type": "object" })).unwrap(),
            takes,
            over: Arc::default(),
        }
    }
}

#[async_trait]
impl Tool for Slow {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, _: Value, _: SessionHandle) -> Result<ToolOutput, ToolError> {
        let _over = Over(Arc::clone(&self.over));
        sleep(self.takes).await;
        Ok("done".into())
    }
}

/// Says something, or asks for a reply and waits for it.
struct Talker {
    spec: ToolSpec,
    replies: bool,
    outcome: Arc<Mutex<Option<Outcome>>>,
}

#[async_trait]
impl Tool for Talker {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, _: Value, session: SessionHandle) -> Result<ToolOutput, ToolError> {
        let handle = if self.replies {
            session.reply(ReplyOptions::with("Once more."))
        } else {
            session.say("One moment please.", SayOptions::default())
        };
        *self.outcome.lock().unwrap() = Some(handle.wait().await);
        Ok("said".into())
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_asks_a_tool_is_called_and_the_answer_is_heard() {
    let model = Model::following(&[
        &[Says("Let me see."), Calls("hours", r#"{"day": "monday"}"#)],
        &[Says("On monday "), Says("we open at nine.")],
    ]);
    let parameters = json!({
        "type": "object",
        "properties": { "day": { "type": "string" } },
        "required": ["day"],
    });
    let hours = tool(
        "hours",
        parameters,
        Box::new(|given| Ok(format!("{} 9 to 5", given["day"].as_str().unwrap()).into())),
    );
    let recogniser = support::Recogniser::answering(&[Some("when do you open")]);
    let providers = Providers {
        recogniser: Some(recogniser),
        ..with(&model)
    };
    let agent = Answers {
        tools: vec![hours],
        instructions: "You answer for a shop.",
        greeting: Some("Hello."),
        ..Answers::default()
    };
    let script = [Act::Speaks(2_000, 3_000)];
    let call = Call::start(config(), Arc::new(agent), providers, &script).await;
    sleep(Duration::from_secs(9)).await;
    assert_eq!(model.outputs(), [("monday 9 to 5".to_owned(), false)]);
    let context = call.session.context_history().await;
    let words: Vec<String> = context
        .items()
        .map(|item| match item {
            ChatItem::User(text) => format!("caller: {}", text.expose()),
            ChatItem::Assistant { text, .. } => format!("agent: {}", text.expose()),
            ChatItem::ToolCall(call) => format!("calls {}", call.name),
            ChatItem::ToolOutput { output, .. } => format!("got {}", output.expose()),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(
        words,
        [
            "agent: Hello.",
            "caller: when do you open",
            "agent: Let me see.",
            "calls hours",
            "got monday 9 to 5",
            "agent: On monday we open at nine.",
        ]
    );
    assert_eq!(model.asked()[0].instructions, "You answer for a shop.");
    assert_eq!(model.asked()[0].tools[0].name(), "hours");
}

#[tokio::test(start_paused = true)]
async fn tools_of_one_answer_run_side_by_side_and_their_outputs_keep_the_order() {
    let model = Model::following(&[
        &[Calls("slow", ""), Calls("slower", ""), Calls("slow", "")],
        &[Says("Done.")],
    ]);
    let slow = Arc::new(Slow::new("slow", Duration::from_secs(3)));
    let slower = Arc::new(Slow::new("slower", Duration::from_secs(4)));
    let begun = Instant::now();
    let outcome = replied(&model, vec![slow, slower]).await;
    assert_eq!(outcome, Outcome::Completed);
    assert!(
        begun.elapsed() < Duration::from_millis(5_500),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(model.outputs().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_goes_wrong_with_a_tool_goes_back_to_the_model() {
    let model = Model::following(&[
        &[
            Calls("nobody", "{}"),
            Calls("picky", r#"{"n": "one"}"#),
            Calls("picky", "{"),
            Calls("panics", "{}"),
            Calls("fails", "{}"),
            Calls("never", "{}"),
        ],
        &[Says("I could not.")],
    ]);
    let picky = json!({ "type": "object", "properties": { "n": { "type": "integer" } } });
    let any = json!({ "type": "object" });
    let tools = vec![
        tool("picky", picky, Box::new(|_| Ok("never run".into()))),
        tool("panics", any.clone(), Box::new(|_| panic!("a tool panics"))),
        tool(
            "fails",
            any,
            Box::new(|_| Err(ToolError::new("no such table"))),
        ),
        Arc::new(Slow::new("never", Duration::from_secs(1_000))),
    ];
    assert_eq!(replied(&model, tools).await, Outcome::Completed);
    let outputs = model.outputs();
    assert!(outputs.iter().all(|(_, is_error)| *is_error), "{outputs:?}");
    let words = outputs.iter().map(|(words, _)| words.as_str());
    let expected = [
        "there is no such tool",
        "do not fit the schema",
        "no JSON",
        "the tool failed",
        "no such table",
        "no result within 10 seconds",
    ];
    for (words, expected) in words.zip(expected) {
        assert!(words.contains(expected), "{words}: {expected}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_ten_rounds_the_model_has_to_answer_with_words() {
    let calls: &[Line] = &[Calls("more", "{}")];
    let mut script = vec![calls; 10];
    let last: &[Line] = &[Says("Enough.")];
    script.push(last);
    let model = Model::following(&script);
    let more = tool("more", json!({}), Box::new(|_| Ok("more".into())));
    assert_eq!(replied(&model, vec![more]).await, Outcome::Completed);
    let asked = model.asked();
    assert_eq!(asked.len(), 11);
    assert!(asked[..10].iter().all(|request| request.tools.len() == 1));
    assert!(asked[10].tools.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_model_that_hangs_fails_the_reply_after_its_patience_and_the_session_goes_on() {
    let model = Model::following(&[&[Says("Well, "), Hangs], &[Says("Here I am.")]]);
    let call = call(&model, Vec::new()).await;
    let begun = Instant::now();
    let outcome = call.session.reply(ReplyOptions::default()).wait().await;
    let patience = Duration::from_secs(10);
    let hung = UtteranceFailure::Model(ProviderError::TimedOut(patience));
    assert_eq!(outcome, Outcome::Failed(hung));
    assert!((10_000..12_000).contains(&begun.elapsed().as_millis()));
    assert_eq!(model.over.load(Ordering::Relaxed), 1, "its request goes on");
    let outcome = call.session.reply(ReplyOptions::default()).wait().await;
    assert_eq!(outcome, Outcome::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_model_that_dies_or_panics_fails_its_reply_and_the_session_goes_on() {
    let model = Model::following(&[
        &[Says("We open at"), Fails],
        &[Says("Oh. And"), Waits(Duration::from_millis(10)), Panics],
        &[Says("Fine.")],
    ]);
    let call = call(&model, Vec::new()).await;
    for _ in 0..2 {
        let outcome = call.session.reply(ReplyOptions::default()).wait().await;
        let died = |outcome: &Outcome| {
            matches!(
                outcome,
                Outcome::Failed(UtteranceFailure::Model(ProviderError::Died(_)))
            )
        };
        assert!(died(&outcome), "{outcome:?}");
    }
    let outcome = call.session.reply(ReplyOptions::default()).wait().await;
    assert_eq!(outcome, Outcome::Completed);
    let context = call.session.context_history().await;
    assert_eq!(context.items().count(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_interruption_drops_the_models_request_and_the_tools() {
    let model = Model::following(&[&[Calls("never", "{}")], &[Waits(Duration::from_secs(60))]]);
    let never = Arc::new(Slow::new("never", Duration::from_secs(1_000)));
    let over = Arc::clone(&never.over);
    let call = call(&model, vec![never]).await;
    let first = call.session.reply(ReplyOptions::default());
    sleep(Duration::from_secs(1)).await;
    assert!(call.session.interrupt(false).await);
    assert!(first.interrupted());
    sleep(Duration::from_millis(1)).await;
    assert_eq!(over.load(Ordering::Relaxed), 1, "the tool goes on");
    let second = call.session.reply(ReplyOptions::default());
    sleep(Duration::from_secs(1)).await;
    assert_eq!(model.over.load(Ordering::Relaxed), 1);
    assert!(call.session.interrupt(false).await);
    assert!(second.interrupted());
    sleep(Duration::from_millis(1)).await;
    assert_eq!(model.over.load(Ordering::Relaxed), 2, "the request goes on");
}

fn talker(replies: bool) -> (Arc<Talker>, Arc<Mutex<Option<Outcome>>>) {
    let outcome = Arc::default();
    let talker = Talker {
        spec: ToolSpec::new("talk", "Talks.", json!({ "type": "object" })).unwrap(),
        replies,
        outcome: Arc::clone(&outcome),
    };
    (Arc::new(talker), outcome)
}

#[tokio::test(start_paused = true)]
async fn a_tool_may_speak_and_wait_until_it_was_heard() {
    let model = Model::following(&[
        &[Says("Let me see."), Calls("talk", "{}")],
        &[Says("Done.")],
    ]);
    let (talker, heard) = talker(false);
    assert_eq!(replied(&model, vec![talker]).await, Outcome::Completed);
    assert_eq!(*heard.lock().unwrap(), Some(Outcome::Completed));
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_waits_for_a_reply_of_its_own_is_told_at_once_and_the_reply_comes_afterwards() {
    let model = Model::following(&[
        &[Says("First."), Calls("talk", "{}")],
        &[Says("Second.")],
        &[Says("Third.")],
    ]);
    let (talker, waited) = talker(true);
    let call = call(&model, vec![talker]).await;
    let outcome = call.session.reply(ReplyOptions::default()).wait().await;
    assert_eq!(outcome, Outcome::Completed);
    let told = Outcome::Failed(UtteranceFailure::WouldDeadlock);
    assert_eq!(*waited.lock().unwrap(), Some(told));
    sleep(Duration::from_secs(3)).await;
    let transcript = call.session.transcript().await;
    let said: Vec<&str> = transcript
        .entries()
        .iter()
        .map(|entry| entry.text.expose().as_str())
        .collect();
    assert_eq!(said, ["First.", "Second.", "Third."]);
    let last = model.asked().pop().unwrap().context.pop();
    assert_eq!(last, Some(ChatItem::System(Pii::new("Once more.".into()))));
}

#[tokio::test(start_paused = true)]
async fn a_tool_gives_the_conversation_to_another_agent() {
    let model = Model::following(&[
        &[Says("I connect you."), Calls("to_billing", "{}")],
        &[Says("Your bill is right.")],
    ]);
    let billing = Arc::new(Answers {
        instructions: "You are billing.",
        greeting: Some("Billing here."),
        ..Answers::default()
    });
    let to = Arc::clone(&billing) as Arc<dyn Agent>;
    let to_billing = tool(
        "to_billing",
        json!({}),
        Box::new(move |_| {
            Ok(ToolOutput::HandOff(HandOff {
                agent: Arc::clone(&to),
                name: "billing".into(),
                context: Inherited::Whole,
            }))
        }),
    );
    let front = Answers {
        tools: vec![to_billing],
        ..Answers::default()
    };
    let exits = Arc::clone(&front.exits);
    let call = Call::start(config(), Arc::new(front), with(&model), &[]).await;
    let outcome = call.session.reply(ReplyOptions::default()).wait().await;
    assert_eq!(outcome, Outcome::Completed);
    sleep(Duration::from_secs(3)).await;
    assert_eq!(exits.load(Ordering::Relaxed), 1);
    call.session.reply(ReplyOptions::default()).wait().await;
    let asked = model.asked();
    assert_eq!(asked[1].instructions, "You are billing.");
    assert!(asked[1].tools.is_empty());
    let to = ChatItem::HandOff {
        to: "billing".into(),
    };
    assert!(asked[1].context.contains(&to));
    call.session.close().await;
    assert_eq!(exits.load(Ordering::Relaxed), 1);
    assert_eq!(billing.exits.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_conversation_that_no_longer_fits_is_summed_up_once() {
    let model = Model::following(&[
        &[Says("One.")],
        &[Says("They counted.")],
        &[Says("Two.")],
        &[Says("Three.")],
    ]);
    let mut config = config();
    config.replies = Arc::new(ReplyPolicy {
        window: WindowPolicy {
            keep_recent_turns: 1,
            token_budget: 9,
            summarise: true,
        },
        ..ReplyPolicy::default()
    });
    let agent = Arc::new(Answers::default());
    let call = Call::start(config, agent, with(&model), &[]).await;
    let long = "A long text that takes more tokens than there are.";
    call.session.say(long, SayOptions::default()).wait().await;
    call.session.reply(ReplyOptions::default()).wait().await;
    let asked = model.asked();
    // The long text fits by itself nowhere: it is summed up, and stays so.
    assert!(asked[0].instructions.starts_with("Sum up"));
    let context = call.session.context_history().await;
    let first = context.items().next().cloned();
    assert_eq!(first, Some(ChatItem::Summary(Pii::new("One.".into()))));
}
