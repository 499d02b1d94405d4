//! Replies of a scripted language model, with its tools, through the actor and in virtual time.

mod support;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use offhook_session::agent::{Agent, AgentError};
use offhook_session::agent_directory::{AgentCard, AgentDirectory};
use offhook_session::agent_session::{
    Outcome, Providers, ReplyOptions, ReplyPolicy, SayOptions, SessionHandle, UtteranceFailure,
};
use offhook_session::chat::{ChatItem, ToolCall, WindowPolicy};
use offhook_session::pii::Pii;
use offhook_session::provider::{
    LanguageModel, ModelChunk, ModelRequest, ModelUsage, ProviderError, WebhookMethod,
    WebhookRequest, Webhooks,
};
use offhook_session::tool::{
    AskAgent, CollectDigits, FunctionTool, HandOff, HangUp, Inherited, PlayAudio, SendDtmf, Tool,
    ToolError, ToolOutput, ToolSpec, TransferCall, WebhookTool,
};
use offhook_session::webhook::WebhookUrl;
use serde_json::{Value, json};
use support::{Act, Call, config, providers};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

/// What the model does in one answer.
#[derive(Clone, Debug)]
enum Line {
    Says(&'static str),
    Calls(&'static str, &'static str),
    Waits(Duration),
    Fails,
    Panics,
    Hangs,
}

use Line::{Calls, Fails, Hangs, Panics, Says, Waits};

/// Follows a script, an answer at a time, and remembers what it was asked.
#[derive(Default)]
struct Model {
    script: Mutex<VecDeque<Vec<Line>>>,
    asked: Mutex<Vec<ModelRequest>>,
    /// Requests that came to an end, by themselves or dropped.
    over: Arc<AtomicUsize>,
}

struct Over(Arc<AtomicUsize>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Model {
    fn following(script: &[&[Line]]) -> Arc<Self> {
        Arc::new(Self {
            script: Mutex::new(script.iter().map(|answer| answer.to_vec()).collect()),
            ..Self::default()
        })
    }

    fn asked(&self) -> Vec<ModelRequest> {
        self.asked.lock().unwrap().clone()
    }

    /// What the model was last told of tools.
    fn outputs(&self) -> Vec<(String, bool)> {
        let asked = self.asked();
        let last = asked.last().expect("asked");
        let outputs = last.context.iter().filter_map(|item| match item {
            ChatItem::ToolOutput {
                output, is_error, ..
            } => Some((output.expose().clone(), *is_error)),
            _ => None,
        });
        outputs.collect()
    }
}

#[async_trait]
impl LanguageModel for Model {
    fn model(&self) -> &str {
        "scripted"
    }

    async fn generate(
        &self,
        request: ModelRequest,
        answer: mpsc::Sender<ModelChunk>,
    ) -> Result<ModelUsage, ProviderError> {
        let _over = Over(Arc::clone(&self.over));
        self.asked.lock().unwrap().push(request);
        let lines = self.script.lock().unwrap().pop_front();
        for (at, line) in lines.unwrap_or_default().into_iter().enumerate() {
            match line {
                Says(text) => {
                    let text = Pii::new(text.to_owned());
                    let _gone = answer.send(ModelChunk::Text(text)).await;
                }
                Calls(name, arguments) => {
                    let call = ToolCall {
                        id: format!("call-{at}"),
                        name: name.into(),
                        arguments: Pii::new(arguments.into()),
                    };
                    let _gone = answer.send(ModelChunk::ToolCall(call)).await;
                }
                Waits(time) => sleep(time).await,
                Fails => return Err(ProviderError::Died("reset by peer".into())),
                Panics => panic!("the model panics"),
                Hangs => std::future::pending().await,
            }
        }
        Ok(ModelUsage {
            input_tokens: 10,
            output_tokens: 5,
        })
    }
}

type Function = Box<dyn Fn(Value) -> Result<ToolOutput, ToolError> + Send + Sync>;

fn tool(name: &str, parameters: Value, function: Function) -> Arc<dyn Tool> {
    let spec = ToolSpec::new(name, "For tests.", parameters).expect("a schema");
    Arc::new(FunctionTool::new(spec, function))
}

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

#[derive(Default)]
struct Answers {
    tools: Vec<Arc<dyn Tool>>,
    instructions: &'static str,
    greeting: Option<&'static str>,
    exits: Arc<AtomicUsize>,
}

#[async_trait]
impl Agent for Answers {
    fn instructions(&self) -> String {
        self.instructions.into()
    }

    fn tools(&self) -> Vec<Arc<dyn Tool>> {
        self.tools.clone()
    }

    fn answers_turns(&self) -> bool {
        true
    }

    async fn on_enter(&self, session: SessionHandle) -> Result<(), AgentError> {
        if let Some(greeting) = self.greeting {
            session.say(greeting, SayOptions::default()).wait().await;
        }
        Ok(())
    }

    async fn on_exit(
        &self,
        _: SessionHandle,
        _: offhook_session::agent_session::EndReason,
    ) -> Result<(), AgentError> {
        self.exits.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

fn with(model: &Arc<Model>) -> Providers {
    Providers {
        model: Some(Arc::clone(model) as Arc<dyn LanguageModel>),
        ..providers(None)
    }
}

async fn call(model: &Arc<Model>, tools: Vec<Arc<dyn Tool>>) -> Call {
    let agent = Answers {
        tools,
        ..Answers::default()
    };
    Call::start(config(), Arc::new(agent), with(model), &[]).await
}

async fn replied(model: &Arc<Model>, tools: Vec<Arc<dyn Tool>>) -> Outcome {
    let call = call(model, tools).await;
    call.session.reply(ReplyOptions::default()).wait().await
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

// --- The tools that come with every session --------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn hang_up_ends_the_call_when_the_goodbye_was_heard() {
    let model = Model::following(&[&[Says("Goodbye."), Calls("hang_up", "{}")]]);
    let mut call = call(&model, vec![Arc::new(HangUp::new())]).await;
    let outcome = call.session.reply(ReplyOptions::default()).wait().await;
    assert_eq!(outcome, Outcome::Completed);
    let request = call.requests.recv().await.expect("a request");
    assert!(
        format!("{request:?}").contains("AgentHungUp"),
        "{request:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn transfer_call_knows_its_destinations_and_no_others() {
    let destinations = [(
        "sales".to_owned(),
        offhook_session::agent_session::TransferRequest::to("tel:+4930123"),
    )];
    let transfer = TransferCall::new(destinations.into());
    assert!(
        transfer
            .spec()
            .read_arguments(r#"{"destination": "sales"}"#)
            .is_ok()
    );
    let elsewhere = transfer
        .spec()
        .read_arguments(r#"{"destination": "tel:+1900666"}"#);
    assert!(elsewhere.is_err());
    let model = Model::following(&[
        &[Calls("transfer_call", r#"{"destination": "sales"}"#)],
        &[Says("It did not work.")],
    ]);
    let mut call = call(&model, vec![Arc::new(transfer)]).await;
    let reply = call.session.reply(ReplyOptions::default());
    let request = call.requests.recv().await.expect("a request");
    assert!(
        format!("{request:?}").starts_with("Transfer"),
        "{request:?}"
    );
    let refused = offhook_session::agent_session::TransferStep::Over(
        offhook_session::agent_session::TransferOutcome::Rejected(603),
    );
    let refused = offhook_session::agent_session::CallEvent::Transfer(refused);
    call.call_events.send(refused).await.unwrap();
    assert_eq!(reply.wait().await, Outcome::Completed);
    let (told, is_error) = model.outputs().remove(0);
    assert!(is_error && told.contains("603"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn send_dtmf_presses_and_names_what_is_no_key() {
    let model = Model::following(&[
        &[
            Calls("send_dtmf", r#"{"keys": "1w2"}"#),
            Calls("send_dtmf", r#"{"keys": "1x"}"#),
        ],
        &[Says("Pressed.")],
    ]);
    let call = call(&model, vec![Arc::new(SendDtmf::new())]).await;
    let outcome = call.session.reply(ReplyOptions::default()).wait().await;
    assert_eq!(outcome, Outcome::Completed);
    let outputs = model.outputs();
    assert_eq!(outputs[0], ("pressed".to_owned(), false));
    assert!(
        outputs[1].1 && outputs[1].0.contains("character 2"),
        "{outputs:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn collect_digits_asks_and_gives_them_but_sensitive_ones_are_kept_from_the_model() {
    for (sensitive, told) in [(false, "42"), (true, "2 digits, which are kept from you")] {
        let model = Model::following(&[
            &[Calls(
                "collect_digits",
                r#"{"prompt": "Two digits please.", "max": 2}"#,
            )],
            &[Says("Thanks.")],
        ]);
        let options = offhook_session::agent_session::CollectOptions {
            sensitive,
            ..Default::default()
        };
        let agent = Answers {
            tools: vec![Arc::new(CollectDigits::new(options))],
            ..Answers::default()
        };
        let script = [Act::Presses(1_500, '4'), Act::Presses(1_800, '2')];
        let call = Call::start(config(), Arc::new(agent), with(&model), &script).await;
        let outcome = call.session.reply(ReplyOptions::default()).wait().await;
        assert_eq!(outcome, Outcome::Completed);
        assert_eq!(model.outputs(), [(told.to_owned(), false)]);
    }
}

#[tokio::test(start_paused = true)]
async fn ask_agent_gives_what_the_other_answered_or_why_it_did_not() {
    let directory = AgentDirectory::default();
    let card = |id: &str| AgentCard {
        id: id.into(),
        name: "Stock".into(),
        domain: "parts".into(),
        capabilities: ["count".to_owned()].into(),
    };
    let mut stock = directory.register(card("stock")).expect("new");
    let _mute = directory.register(card("mute")).expect("new");
    tokio::spawn(async move {
        while let Some(request) = stock.next().await {
            assert_eq!(request.from, "desk");
            stock.answer(request.id, "three left");
        }
    });
    let model = Model::following(&[
        &[
            Calls("ask_agent", r#"{"agent": "stock", "question": "Bolts?"}"#),
            Calls("ask_agent", r#"{"agent": "mute", "question": "Hello?"}"#),
            Calls("ask_agent", r#"{"agent": "nobody", "question": "Hello?"}"#),
        ],
        &[Says("Three.")],
    ]);
    let tool = AskAgent::new(directory, "desk");
    assert!(
        tool.spec()
            .description()
            .contains("stock: Stock, about parts, can count")
    );
    assert_eq!(
        replied(&model, vec![Arc::new(tool)]).await,
        Outcome::Completed
    );
    let outputs = model.outputs();
    assert_eq!(outputs[0], ("three left".to_owned(), false));
    assert!(
        outputs[1].1 && outputs[1].0.contains("within 30s"),
        "{outputs:?}"
    );
    assert!(
        outputs[2].1 && outputs[2].0.contains("schema"),
        "{outputs:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn play_audio_plays_to_the_end_before_the_model_goes_on() {
    let model = Model::following(&[
        &[Calls("play_audio", r#"{"recording": "jingle"}"#)],
        &[Says("Nice.")],
    ]);
    let audio = offhook_session::provider::Audio {
        sample_rate_hz: 8_000,
        samples: vec![500; 16_000].into(),
    };
    let jingle = Arc::new(offhook_session::agent::AudioByRate::new(audio));
    let play = PlayAudio::new([("jingle".to_owned(), jingle)].into());
    let begun = Instant::now();
    assert_eq!(
        replied(&model, vec![Arc::new(play)]).await,
        Outcome::Completed
    );
    assert!(begun.elapsed() >= Duration::from_secs(2));
    assert_eq!(model.outputs(), [("played".to_owned(), false)]);
}

/// Answers every request with its URL.
#[derive(Default)]
struct Warehouse(Mutex<Vec<WebhookRequest>>);

#[async_trait]
impl Webhooks for Warehouse {
    async fn ask(&self, request: WebhookRequest) -> Result<Vec<u8>, ProviderError> {
        let url = request.url.expose().clone();
        self.0.lock().unwrap().push(request);
        match url.contains("gone") {
            true => Err(ProviderError::Refused("status 404".to_owned())),
            false => Ok(url.into_bytes()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_webhook_is_a_tool_whose_url_a_model_cannot_bend() {
    let model = Model::following(&[
        &[
            Calls("stock", r#"{"item": "a/../b?c", "count": 2}"#),
            Calls("stock", r#"{"item": "gone"}"#),
        ],
        &[Says("Two are left.")],
    ]);
    let parameters = json!({
        "type": "object",
        "properties": { "item": { "type": "string" }, "count": { "type": "integer" } },
        "required": ["item"],
        "additionalProperties": false,
    });
    let spec = ToolSpec::new("stock", "How many are left.", parameters).unwrap();
    let warehouse = Arc::new(Warehouse::default());
    let url = WebhookUrl::parse("https://stock.example/{item}?n={count}&call={call_id}").unwrap();
    let tool = WebhookTool::new(spec, Arc::clone(&warehouse) as _, url)
        .with_method(WebhookMethod::Put)
        .with_deadline(Duration::from_secs(2));
    assert_eq!(
        replied(&model, vec![Arc::new(tool)]).await,
        Outcome::Completed
    );
    let outputs = model.outputs();
    let answer = "https://stock.example/a%2F..%2Fb%3Fc?n=2&call=scripted".to_owned();
    assert_eq!(outputs[0], (answer, false));
    assert!(
        outputs[1].1 && outputs[1].0.contains("status 404"),
        "{outputs:?}"
    );
    let asked = warehouse.0.lock().unwrap();
    let body: Value = serde_json::from_str(asked[0].body.as_ref().unwrap().expose()).unwrap();
    let arguments = json!({ "item": "a/../b?c", "count": 2 });
    assert_eq!(
        body,
        json!({ "call": { "id": "scripted" }, "arguments": arguments })
    );
    assert_eq!(asked[0].deadline, Duration::from_secs(2));
}
