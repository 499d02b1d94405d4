//! Flows that do something for their callers, on a real session in virtual time: webhooks, messages, other agents.

mod support;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use offhook_session::agent::EchoAgent;
use offhook_session::agent_session::{
    AgentInBridge, CallEvent, CallId, CallRequest, EndCause, SessionEvent, SoundLoop, Speaker,
    Transcript,
};
use offhook_session::flow::{Colleagues, Flow, FlowAgent, FlowMeans, FlowValues};
use offhook_session::provider::{
    Audio, Messages, NewMessage, ProviderError, WebhookRequest, Webhooks,
};
use offhook_session::tool::{HandOff, Inherited};
use support::{Act, Call, RATE_HZ, config, providers};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

/// Answers by a script, each after a time; hangs when the script is over.
#[derive(Default)]
struct Desk {
    script: Mutex<VecDeque<(Duration, Result<&'static str, ProviderError>)>>,
    asked: Mutex<Vec<WebhookRequest>>,
}

impl Desk {
    fn answering(script: &[(u64, Result<&'static str, ProviderError>)]) -> Arc<Self> {
        let script = script.iter().cloned();
        let script = script.map(|(after_ms, answer)| (Duration::from_millis(after_ms), answer));
        Arc::new(Self {
            script: Mutex::new(script.collect()),
            ..Self::default()
        })
    }

    fn bodies(&self) -> Vec<serde_json::Value> {
        let asked = self.asked.lock().unwrap();
        let bodies = asked.iter().filter_map(|request| request.body.as_ref());
        bodies
            .map(|body| serde_json::from_str(body.expose()).unwrap())
            .collect()
    }
}

#[async_trait]
impl Webhooks for Desk {
    async fn ask(&self, request: WebhookRequest) -> Result<Vec<u8>, ProviderError> {
        self.asked.lock().unwrap().push(request);
        let next = self.script.lock().unwrap().pop_front();
        match next {
            Some((after, answer)) => {
                sleep(after).await;
                answer.map(|text| text.as_bytes().to_vec())
            }
            None => std::future::pending().await,
        }
    }
}

async fn call(flow: &str, means: FlowMeans, script: &[Act]) -> Call {
    let flow = Arc::new(Flow::parse(flow).unwrap());
    let agent = FlowAgent::new(flow, Arc::default()).with_means(means);
    let mut config = config();
    config.wake_up_repeat = u32::MAX;
    Call::start(config, Arc::new(agent), providers(None), script).await
}

fn lines(transcript: &Transcript, who: Speaker) -> Vec<String> {
    let lines = transcript.entries().iter().filter(|entry| entry.who == who);
    lines.map(|entry| entry.text.expose().clone()).collect()
}

/// Lets the call go on to its end: why it ended, and what the agent said.
async fn whole(call: Call) -> (EndCause, Vec<String>) {
    // The ways to the session stay open until it has ended.
    let Call {
        task,
        call_events: _call_events,
        requests: _requests,
        session: _session,
        ..
    } = call;
    let report = timeout(Duration::from_secs(300), task).await;
    let report = report.expect("an end").unwrap();
    (
        report.reason.cause,
        lines(&report.transcript, Speaker::Agent),
    )
}

const LOOK_UP: &str = r#"
start = "look"
silence_s = 5
[step.look]
say = "One moment, please."
webhook = { url = "http://desk.example/", timeout_s = 3, sets = ["customer"] }
then = "hello"
failed = "sorry"
[step.hello]
say = "Hello {customer}."
hangup = true
[step.sorry]
say = "Nobody knows."
hangup = true
"#;

fn asking(desk: &Arc<Desk>) -> FlowMeans {
    FlowMeans {
        webhooks: Some(Arc::clone(desk) as _),
        ..FlowMeans::default()
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_webhook_answers_is_said_behind_what_was_being_said() {
    let ann = r#"{"set": {"customer": "Ann"}}"#;
    for after_ms in [0, 2_900] {
        let desk = Desk::answering(&[(after_ms, Ok(ann))]);
        let (cause, said) = whole(call(LOOK_UP, asking(&desk), &[]).await).await;
        assert_eq!(said, ["One moment, please.", "Hello Ann."]);
        assert_eq!(cause, EndCause::AgentHungUp);
        assert_eq!(desk.bodies()[0]["call"]["id"], "scripted");
    }
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_hangs_refuses_or_is_not_there_leads_to_its_exit() {
    let refused = Err(ProviderError::Refused("status 500".to_owned()));
    for means in [
        asking(&Desk::answering(&[])),
        asking(&Desk::answering(&[(10, refused)])),
        asking(&Desk::answering(&[(10, Ok("<html>"))])),
        FlowMeans::default(),
    ] {
        let (_, said) = whole(call(LOOK_UP, means, &[]).await).await;
        assert_eq!(said, ["One moment, please.", "Nobody knows."]);
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_webhook_hears_that_somebody_thinks_once_everything_was_said() {
    let desk = Desk::answering(&[(2_900, Ok(""))]);
    let flow = Arc::new(Flow::parse(LOOK_UP).unwrap());
    let agent = FlowAgent::new(flow, Arc::default()).with_means(asking(&desk));
    let mut config = config();
    config.wake_up_repeat = u32::MAX;
    config.sounds.thinking = Some(SoundLoop {
        audio: Audio {
            sample_rate_hz: RATE_HZ,
            samples: vec![200; RATE_HZ as usize].into(),
        },
        volume_db: -20.0,
    });
    let call = Call::start(config, Arc::new(agent), providers(None), &[]).await;
    let thinks = || !call.record.lock().unwrap().loops.is_empty();
    // The words take 100 ms to make and 950 ms to say.
    sleep(Duration::from_millis(1_000)).await;
    assert!(!thinks());
    sleep(Duration::from_millis(1_000)).await;
    assert!(thinks());
}

type Kept = Vec<(PathBuf, Vec<i16>)>;

/// Keeps messages in memory, by their files, and comes round five times a second.
#[derive(Default)]
struct Drawer {
    kept: Arc<Mutex<Kept>>,
    discarded: Mutex<Vec<PathBuf>>,
}

impl Messages for Drawer {
    fn begin(&self, call: &CallId, name: &str, rate_hz: u32) -> Option<NewMessage> {
        let (producer, mut ring) = rtrb::RingBuffer::new(rate_hz as usize);
        let (tell, written) = oneshot::channel();
        let file = PathBuf::from(format!("{call}-{name}.wav"));
        let (kept, path) = (Arc::clone(&self.kept), file.clone());
        tokio::spawn(async move {
            let mut samples = Vec::new();
            loop {
                let ended = ring.is_abandoned();
                samples.extend(std::iter::from_fn(|| ring.pop().ok()));
                if ended {
                    break;
                }
                sleep(Duration::from_millis(200)).await;
            }
            let ms = samples.len() as u64 * 1_000 / u64::from(rate_hz);
            kept.lock().unwrap().push((path, samples));
            let _gone = tell.send(Duration::from_millis(ms));
        });
        Some(NewMessage {
            ring: producer,
            file,
            written,
        })
    }

    fn discard(&self, file: &Path) {
        let kept = self.kept.lock().unwrap();
        assert!(
            kept.iter().any(|(path, _)| path == file),
            "it is still written"
        );
        self.discarded.lock().unwrap().push(file.to_owned());
    }
}

const NIGHT: &str = r##"
start = "ask"
silence_s = 5
retries = 1
[step.ask]
say = "We are closed. Please leave a message."
record = { name = "order", max_s = 10, silence_s = 2, terminator = "#" }
then = "thanks"
failed = "sorry"
on_silence = "sorry"
[step.thanks]
say = "Thank you."
then = "report"
[step.report]
webhook = { url = "http://desk.example/{order}" }
then = "end"
failed = "end"
[step.end]
hangup = true
[step.sorry]
say = "No message."
hangup = true
"##;

fn night(desk: &Arc<Desk>, drawer: &Arc<Drawer>) -> FlowMeans {
    FlowMeans {
        webhooks: Some(Arc::clone(desk) as _),
        messages: Some(Arc::clone(drawer) as _),
        ..FlowMeans::default()
    }
}

/// How much of the one message is voiced, and how long it is, in milliseconds.
fn message_ms(drawer: &Drawer) -> (usize, usize) {
    let kept = drawer.kept.lock().unwrap();
    let [(_, samples)] = &kept[..] else {
        panic!("{} messages", kept.len());
    };
    let voiced = samples.iter().filter(|sample| **sample != 0).count();
    (voiced / 8, samples.len() / 8)
}

#[tokio::test(start_paused = true)]
async fn a_caller_leaves_a_message_and_a_webhook_gets_it() {
    let (desk, drawer) = (Desk::answering(&[(10, Ok(""))]), Arc::default());
    // The prompt takes 2 s and the beep 300 ms.
    let script = [Act::Speaks(4_000, 7_000)];
    let (cause, said) = whole(call(NIGHT, night(&desk, &drawer), &script).await).await;
    assert_eq!(
        said,
        ["We are closed. Please leave a message.", "Thank you."]
    );
    assert_eq!(cause, EndCause::AgentHungUp);
    let (voiced, length) = message_ms(&drawer);
    assert_eq!(voiced, 3_000);
    let told = &desk.bodies()[0]["messages"]["order"];
    assert_eq!(told["file"], "scripted-order.wav");
    assert_eq!(told["ended_by"], "silence");
    assert_eq!(told["duration_ms"], length);
    // Up to the caller's first word, and two seconds after the last.
    assert!((5_000..8_000).contains(&length), "{length}");
    let url = desk.asked.lock().unwrap()[0].url.expose().clone();
    assert_eq!(url, "http://desk.example/scripted-order.wav");
    assert!(drawer.discarded.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_hangs_up_after_the_message_has_left_it_all_the_same() {
    let (desk, drawer) = (Desk::answering(&[(800, Ok(""))]), Arc::default());
    let call = call(NIGHT, night(&desk, &drawer), &[Act::Speaks(4_000, 60_000)]).await;
    sleep(Duration::from_secs(6)).await;
    call.far_end_ends(EndCause::FarEndHungUp).await;
    let (cause, _) = whole(call).await;
    assert_eq!(cause, EndCause::FarEndHungUp);
    let told = &desk.bodies()[0]["messages"]["order"];
    assert_eq!(told["ended_by"], "hang_up");
    assert!(message_ms(&drawer).0 >= 1_900);
}

#[tokio::test(start_paused = true)]
async fn who_hangs_up_is_waited_for_no_longer_than_an_agents_exit_may_take() {
    let (desk, drawer) = (Desk::answering(&[]), Arc::default());
    let flow = NIGHT.replace("order}\" }", "order}\", timeout_s = 30 }");
    let call = call(&flow, night(&desk, &drawer), &[Act::Speaks(4_000, 60_000)]).await;
    sleep(Duration::from_secs(6)).await;
    call.far_end_ends(EndCause::FarEndHungUp).await;
    let began = tokio::time::Instant::now();
    whole(call).await;
    assert!(
        began.elapsed() <= Duration::from_secs(6),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(desk.bodies().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_flow_that_is_over_hangs_up_on_nobody_whom_an_operator_joined_meanwhile() {
    let flow = "start = \"ask\"\n[step.ask]\nsay = \"Leave a message.\"\nrecord = {}\nthen = \"end\"\n\
                [step.end]\nhangup = true\n";
    let means = night(&Desk::answering(&[]), &Arc::default());
    let mut call = call(flow, means, &[Act::Speaks(2_000, 60_000)]).await;
    sleep(Duration::from_secs(4)).await;
    let joined = CallEvent::Bridged(AgentInBridge::StandsAside);
    call.call_events.send(joined).await.unwrap();
    // Its part is over, and the call goes on without it.
    timeout(Duration::from_secs(5), call.session.closed())
        .await
        .expect("it leaves");
    sleep(Duration::from_secs(60)).await;
    while let Ok(request) = call.requests.try_recv() {
        assert!(
            !matches!(request, CallRequest::HangUp { .. }),
            "{request:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_key_ends_a_message_and_the_caller_hears_of_it_at_once() {
    let (desk, drawer) = (Desk::answering(&[(10, Ok(""))]), Arc::default());
    // One hash before the beep, which is for nobody, and one after the message.
    let script = [
        Act::Presses(1_000, '#'),
        Act::Speaks(4_000, 6_000),
        Act::Presses(6_100, '#'),
    ];
    let (_, said) = whole(call(NIGHT, night(&desk, &drawer), &script).await).await;
    assert_eq!(said.last().unwrap(), "Thank you.");
    assert_eq!(desk.bodies()[0]["messages"]["order"]["ended_by"], "key");
    assert!(message_ms(&drawer).1 < 6_000, "{:?}", message_ms(&drawer));
}

#[tokio::test(start_paused = true)]
async fn a_message_is_cut_at_its_maximum() {
    let (desk, drawer) = (Desk::answering(&[(10, Ok(""))]), Arc::default());
    let script = [Act::Speaks(3_000, 60_000)];
    whole(call(NIGHT, night(&desk, &drawer), &script).await).await;
    assert_eq!(desk.bodies()[0]["messages"]["order"]["ended_by"], "maximum");
    let (_, length) = message_ms(&drawer);
    assert!((9_900..10_300).contains(&length), "{length}");
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_says_nothing_is_asked_again_and_leaves_no_file() {
    let (desk, drawer) = (Desk::answering(&[]), Arc::new(Drawer::default()));
    let (_, said) = whole(call(NIGHT, night(&desk, &drawer), &[]).await).await;
    let ask = "We are closed. Please leave a message.";
    assert_eq!(said, [ask, "Are you still there?", ask, "No message."]);
    assert_eq!(drawer.discarded.lock().unwrap().len(), 2);
    assert!(desk.bodies().is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_presses_the_key_at_once_leaves_no_message() {
    let (desk, drawer) = (Desk::answering(&[]), Arc::new(Drawer::default()));
    let script = [Act::Presses(4_000, '#')];
    let (_, said) = whole(call(NIGHT, night(&desk, &drawer), &script).await).await;
    assert_eq!(said.last().unwrap(), "No message.");
    assert_eq!(drawer.discarded.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn where_nothing_keeps_messages_the_step_fails() {
    let (_, said) = whole(call(NIGHT, FlowMeans::default(), &[]).await).await;
    assert_eq!(said.last().unwrap(), "No message.");
}

/// Keeps nothing: gives up two seconds after it has begun.
struct FullDisk;

impl Messages for FullDisk {
    fn begin(&self, _: &CallId, _: &str, rate_hz: u32) -> Option<NewMessage> {
        let (producer, ring) = rtrb::RingBuffer::new(rate_hz as usize);
        let (tell, written) = oneshot::channel();
        tokio::spawn(async move {
            sleep(Duration::from_secs(2)).await;
            drop((ring, tell));
        });
        Some(NewMessage {
            ring: producer,
            file: PathBuf::from("nowhere.wav"),
            written,
        })
    }

    fn discard(&self, _: &Path) {}
}

#[tokio::test(start_paused = true)]
async fn a_caller_is_not_left_talking_to_a_file_that_cannot_be_written() {
    let means = FlowMeans {
        messages: Some(Arc::new(FullDisk)),
        ..FlowMeans::default()
    };
    let began = tokio::time::Instant::now();
    let (_, said) = whole(call(NIGHT, means, &[Act::Speaks(3_000, 60_000)]).await).await;
    assert_eq!(said.last().unwrap(), "No message.");
    // Two seconds of the prompt, the beep, two seconds of the message, and the last words.
    let lasted = began.elapsed();
    assert!(lasted < Duration::from_secs(6), "{lasted:?}");
}

#[tokio::test(start_paused = true)]
async fn a_message_is_shown_of_the_call_while_it_is_up() {
    let (desk, drawer) = (Desk::answering(&[(10, Ok(""))]), Arc::default());
    let script = [Act::Speaks(4_000, 7_000)];
    let mut call = call(NIGHT, night(&desk, &drawer), &script).await;
    let request = timeout(Duration::from_secs(60), call.requests.recv()).await;
    let Ok(Some(CallRequest::MessageLeft(left))) = request else {
        panic!("{request:?}");
    };
    assert_eq!(
        (left.name.as_str(), left.file.as_str()),
        ("order", "scripted-order.wav")
    );
}

/// Two flows and the echo, which may hand callers to each other.
#[derive(Clone)]
struct Floor {
    flows: [(&'static str, Arc<Flow>); 2],
}

impl Colleagues for Floor {
    fn hand_off(&self, agent: &str, values: FlowValues) -> Option<HandOff> {
        let flow = self.flows.iter().find(|(name, _)| *name == agent);
        let agent: Arc<dyn offhook_session::agent::Agent> = match flow {
            Some((_, flow)) => Arc::new(
                FlowAgent::new(Arc::clone(flow), Arc::default())
                    .with_means(FlowMeans {
                        colleagues: Some(Arc::new(self.clone())),
                        ..FlowMeans::default()
                    })
                    .taking_over(values),
            ),
            None if agent == "echo" => Arc::new(EchoAgent),
            None => return None,
        };
        Some(HandOff {
            agent,
            name: "colleague".to_owned(),
            context: Inherited::Whole,
        })
    }
}

fn floor(first: &str, second: &str) -> FlowMeans {
    let flow = |text: &str| Arc::new(Flow::parse(text).unwrap());
    let floor = Floor {
        flows: [("first", flow(first)), ("second", flow(second))],
    };
    FlowMeans {
        colleagues: Some(Arc::new(floor)),
        ..FlowMeans::default()
    }
}

const FIRST: &str = r#"
start = "number"
silence_s = 5
[step.number]
say = "Your number?"
collect = { name = "number", max = 2 }
then = "pin"
[step.pin]
say = "Your pin?"
collect = { name = "pin", max = 2, sensitive = true }
then = "over"
[step.over]
say = "One moment."
hand_over = "second"
"#;

const SECOND: &str = r#"
start = "hello"
inherits = ["number", "pin"]
silence_s = 30
[step.hello]
say = "Second desk, you keyed {number}, pin {pin}."
hangup = true
"#;

const KEYS: [Act; 4] = [
    Act::Presses(1_500, '4'),
    Act::Presses(1_700, '7'),
    Act::Presses(4_000, '1'),
    Act::Presses(4_200, '2'),
];

#[tokio::test(start_paused = true)]
async fn a_flow_that_takes_over_knows_what_it_inherits_but_for_what_is_sensitive() {
    let (cause, said) = whole(call(FIRST, floor(FIRST, SECOND), &KEYS).await).await;
    assert_eq!(
        said[said.len() - 2..],
        ["One moment.", "Second desk, you keyed 4 7, pin ."]
    );
    assert_eq!(cause, EndCause::AgentHungUp);
    // Nothing is known that is not named.
    let without = SECOND.replace("[\"number\", \"pin\"]", "[\"pin\", \"number\", \"other\"]");
    let without = without.replace("{number}", "{other}");
    let (_, said) = whole(call(FIRST, floor(FIRST, &without), &KEYS).await).await;
    assert_eq!(said.last().unwrap(), "Second desk, you keyed , pin .");
}

#[tokio::test(start_paused = true)]
async fn a_caller_is_handed_over_to_the_echo_and_is_not_woken_up_there() {
    let flow = FIRST.replace("\"second\"", "\"echo\"");
    let mut call = call(&flow, floor(FIRST, SECOND), &KEYS).await;
    sleep(Duration::from_secs(60)).await;
    assert!(call.record.lock().unwrap().loopback);
    let events = call.drain_events();
    let handed = events
        .iter()
        .any(|event| matches!(event, SessionEvent::HandedOff { .. }));
    assert!(handed, "{events:?}");
    let transcript = call.session.transcript().await;
    assert_eq!(
        lines(&transcript, Speaker::Agent).last().unwrap(),
        "One moment."
    );
}

#[tokio::test(start_paused = true)]
async fn flows_that_send_each_other_a_caller_come_to_an_end() {
    let to =
        |name: &str| format!("start = \"a\"\n[step.a]\nsay = \"Hm.\"\nhand_over = \"{name}\"\n");
    let (first, second) = (to("second"), to("first"));
    let (cause, said) = whole(call(&first, floor(&first, &second), &[]).await).await;
    assert_eq!(said.len(), 18);
    assert_eq!(said.last().unwrap(), "Goodbye.");
    assert_eq!(cause, EndCause::AgentHungUp);
}

#[tokio::test(start_paused = true)]
async fn where_nobody_takes_over_the_call_ends_with_goodbye() {
    let flow = FIRST.replace("\"second\"", "\"nobody\"");
    for means in [floor(FIRST, SECOND), FlowMeans::default()] {
        let (_, said) = whole(call(&flow, means, &KEYS).await).await;
        assert_eq!(said[said.len() - 2..], ["One moment.", "Goodbye."]);
    }
}

const NIGHT_DESK: &str = include_str!("../../deploy/flows/night-desk.toml");

#[tokio::test(start_paused = true)]
async fn the_night_desk_takes_a_message_and_tells_who_called() {
    let (desk, drawer) = (Desk::answering(&[(10, Ok("{}"))]), Arc::default());
    let script = [Act::Presses(1_000, '1'), Act::Speaks(8_000, 10_000)];
    let (cause, said) = whole(call(NIGHT_DESK, night(&desk, &drawer), &script).await).await;
    assert_eq!(
        said[2..],
        [
            "Thank you. Your message has been taken.",
            "Thank you for calling. Goodbye."
        ]
    );
    assert_eq!(cause, EndCause::AgentHungUp);
    let told = &desk.bodies()[0];
    assert_eq!(told["call"]["from"], "alice");
    assert_eq!(told["messages"]["message"]["ended_by"], "silence");
    assert_eq!(message_ms(&drawer).0, 2_000);
}

#[tokio::test(start_paused = true)]
async fn the_night_desk_finds_out_who_is_on_duty_or_takes_a_message() {
    let keys = [
        Act::Presses(1_000, '2'),
        Act::Presses(3_000, '4'),
        Act::Presses(3_200, '7'),
        Act::Presses(3_400, '1'),
        Act::Presses(3_600, '#'),
    ];
    let answer = r#"{"set": {"colleague": "Ann"}, "goto": "told"}"#;
    let desk = Desk::answering(&[(500, Ok(answer))]);
    let drawer = Arc::default();
    let (_, said) = whole(call(NIGHT_DESK, night(&desk, &drawer), &keys).await).await;
    assert!(
        said.contains(&"Ann has been told, and will call you at 4 7 1.".to_owned()),
        "{said:?}"
    );
    assert_eq!(desk.bodies()[0]["values"]["number"], "471");
    let nobody = Desk::answering(&[(500, Err(ProviderError::Refused("status 503".to_owned())))]);
    let (_, said) = whole(call(NIGHT_DESK, night(&nobody, &drawer), &keys).await).await;
    assert!(
        said.contains(&"I cannot reach anybody at the moment.".to_owned()),
        "{said:?}"
    );
}
