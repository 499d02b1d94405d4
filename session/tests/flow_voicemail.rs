//! Flows whose calls are answered by no person, on a real session in virtual time.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use offhook_media::control::CallToneKind;
use offhook_session::agent_session::{
    Direction, EndCause, Providers, Speaker, VoicemailPolicy, VoicemailSettings,
};
use offhook_session::flow::{Flow, FlowAgent, FlowMeans};
use offhook_session::grammar::Grammar;
use offhook_session::provider::{
    Audio, ProviderError, Recognition, SpeechToText, WebhookRequest, Webhooks,
};
use support::{Act, Call, config, providers};
use tokio::time::timeout;

const CALL: &str = r#"
start = "hello"
[voicemail]
on_machine = "leave"
on_screening = "screened"
on_ivr = "menu"
[step.hello]
say = "Hello, this is the clinic. Is that you?"
yes = "end"
no = "end"
[step.leave]
say = "This is the clinic. Please call us back."
hangup = true
[step.screened]
say = "The clinic, about an appointment."
then = "end"
[step.menu]
say = "Zero please."
then = "end"
[step.end]
say = "Goodbye."
hangup = true
"#;

/// Spots this in whatever is said.
struct Spotter(&'static str);

#[async_trait]
impl SpeechToText for Spotter {
    async fn recognise(&self, _: Audio, _: &Grammar) -> Result<Recognition, ProviderError> {
        Ok(Recognition::OutOfGrammar)
    }

    async fn spot(
        &self,
        _: Audio,
        _: &'static [&'static str],
    ) -> Result<Vec<&'static str>, ProviderError> {
        Ok(vec![self.0])
    }
}

/// Why the call ended, and what the agent said.
async fn whole(
    flow: &str,
    phrase: &'static str,
    speak_while_detecting: bool,
    script: &[Act],
) -> (EndCause, Vec<String>) {
    whole_with(
        FlowMeans::default(),
        flow,
        phrase,
        speak_while_detecting,
        script,
    )
    .await
}

async fn whole_with(
    means: FlowMeans,
    flow: &str,
    phrase: &'static str,
    speak_while_detecting: bool,
    script: &[Act],
) -> (EndCause, Vec<String>) {
    over(calling(means, flow, phrase, speak_while_detecting, script).await).await
}

async fn calling(
    means: FlowMeans,
    flow: &str,
    phrase: &'static str,
    speak_while_detecting: bool,
    script: &[Act],
) -> Call {
    let mut config = config();
    config.facts.direction = Direction::Outbound;
    config.wake_up_repeat = u32::MAX;
    config.voicemail = Some(Arc::new(VoicemailSettings {
        policy: VoicemailPolicy::Callback,
        speak_while_detecting,
        ..VoicemailSettings::default()
    }));
    let flow = Arc::new(Flow::parse(flow).unwrap());
    let agent = Arc::new(FlowAgent::new(flow, Arc::default()).with_means(means));
    let providers = Providers {
        recogniser: Some(Arc::new(Spotter(phrase))),
        ..providers(None)
    };
    Call::start(config, agent, providers, script).await
}

async fn over(call: Call) -> (EndCause, Vec<String>) {
    let Call {
        task,
        call_events: _call_events,
        requests: _requests,
        session: _session,
        ..
    } = call;
    let report = timeout(Duration::from_secs(300), task).await;
    let report = report.expect("an end").unwrap();
    let said = report.transcript.entries().iter();
    let said = said.filter(|entry| entry.who == Speaker::Agent);
    let said = said.map(|entry| entry.text.expose().clone()).collect();
    (report.reason.cause, said)
}

/// Somebody speaks for two seconds as soon as media is live.
const SPEAKS: [Act; 1] = [Act::Speaks(1_500, 3_500)];

#[tokio::test(start_paused = true)]
async fn a_machine_is_left_what_its_step_says_before_it_hangs_up() {
    let beeps = [Act::Sounds(2_000, CallToneKind::Beep)];
    let (cause, said) = whole(CALL, "", false, &beeps).await;
    assert_eq!(said, ["This is the clinic. Please call us back."]);
    assert_eq!(cause, EndCause::MessageLeft);
}

#[tokio::test(start_paused = true)]
async fn a_machine_is_talked_to_from_a_step_that_does_more_than_speak_and_hang_up() {
    let beeps = [Act::Sounds(2_000, CallToneKind::Beep)];
    let flow = CALL.replace("on_machine = \"leave\"", "on_machine = \"screened\"");
    let flow = flow.replace("on_screening = \"screened\"", "on_screening = \"leave\"");
    let (cause, said) = whole(&flow, "", false, &beeps).await;
    assert_eq!(said, ["The clinic, about an appointment.", "Goodbye."]);
    assert_eq!(cause, EndCause::AgentHungUp);
}

#[tokio::test(start_paused = true)]
async fn call_screening_and_menus_have_steps_of_their_own() {
    let (_, said) = whole(CALL, "say your name", false, &SPEAKS).await;
    assert_eq!(said, ["The clinic, about an appointment.", "Goodbye."]);
    let (_, said) = whole(CALL, "press one", false, &SPEAKS).await;
    assert_eq!(said, ["Zero please.", "Goodbye."]);
}

#[tokio::test(start_paused = true)]
async fn a_flow_that_spoke_already_goes_on_at_the_step() {
    let (_, said) = whole(CALL, "say your name", true, &SPEAKS).await;
    assert!(said[0].starts_with("Hello"), "{said:?}");
    assert_eq!(said[1..], ["The clinic, about an appointment.", "Goodbye."]);
}

/// Answers one step after six seconds with what is no answer, hangs at another, and answers all others after eight;
/// counts requests under way.
#[derive(Default)]
struct Desk {
    under_way: Arc<AtomicUsize>,
}

struct UnderWay(Arc<AtomicUsize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl Webhooks for Desk {
    async fn ask(&self, request: WebhookRequest) -> Result<Vec<u8>, ProviderError> {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        let _counted = UnderWay(Arc::clone(&self.under_way));
        match request.url.expose().rsplit('/').next() {
            Some("slow") => {
                tokio::time::sleep(Duration::from_secs(6)).await;
                Ok(b"<html>".to_vec())
            }
            Some("hangs") => std::future::pending().await,
            _ => {
                tokio::time::sleep(Duration::from_secs(8)).await;
                Ok(Vec::new())
            }
        }
    }
}

const ASKING: &str = r#"
start = "look"
[voicemail]
on_ivr = "note"
[step.look]
webhook = { url = "http://127.0.0.1/slow", timeout_s = 10 }
then = "hello"
[step.hello]
say = "Hello."
hangup = true
[step.note]
webhook = { url = "http://127.0.0.1/note", timeout_s = 10 }
then = "menu"
[step.menu]
say = "Zero please. This is a menu, and somebody has to say zero, and say it slowly."
hangup = true
"#;

#[tokio::test(start_paused = true)]
async fn a_webhook_that_was_asked_before_a_menu_answered_answers_for_no_other_step() {
    let means = FlowMeans {
        webhooks: Some(Arc::new(Desk::default())),
        ..FlowMeans::default()
    };
    let (cause, said) = whole_with(means, ASKING, "press one", true, &SPEAKS).await;
    let [menu] = &said[..] else {
        panic!("{said:?}");
    };
    assert!(menu.starts_with("Zero please."), "{menu}");
    assert_eq!(cause, EndCause::AgentHungUp);
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_since_no_person_answered_ends_with_the_call() {
    let desk = Desk::default();
    let under_way = Arc::clone(&desk.under_way);
    let means = FlowMeans {
        webhooks: Some(Arc::new(desk)),
        ..FlowMeans::default()
    };
    let flow = ASKING.replace("/note\", timeout_s = 10", "/hangs\", timeout_s = 30");
    let call = calling(means, &flow, "press one", true, &SPEAKS).await;
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert_eq!(under_way.load(Ordering::Relaxed), 1);
    call.far_end_ends(EndCause::FarEndHungUp).await;
    over(call).await;
    tokio::task::yield_now().await;
    assert_eq!(under_way.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn what_has_no_step_is_hung_up_on() {
    let fax = [Act::Sounds(2_000, CallToneKind::FaxAnswer)];
    assert_eq!(
        whole(CALL, "", false, &fax).await,
        (EndCause::NoPerson, vec![])
    );
    let flow = CALL.replace("on_machine = \"leave\"\n", "");
    let flow = flow.replace("no = \"end\"", "no = \"leave\"");
    let beeps = [Act::Sounds(2_000, CallToneKind::Beep)];
    assert_eq!(
        whole(&flow, "", false, &beeps).await,
        (EndCause::Voicemail, vec![])
    );
}

#[tokio::test(start_paused = true)]
async fn a_person_is_greeted_as_ever() {
    let (_, said) = whole(CALL, "who is this", false, &SPEAKS).await;
    assert!(said[0].starts_with("Hello"), "{said:?}");
}
