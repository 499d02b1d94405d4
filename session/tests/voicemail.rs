//! Who answered a call of ours, as agents and whoever holds a handle are told.

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use offhook_media::control::CallToneKind;
use offhook_session::agent::{Agent, AgentError};
use offhook_session::agent_session::{
    CallRequest, Direction, EndCause, Providers, SayOptions, SessionConfig, SessionHandle,
    VoicemailAction, VoicemailMessage, VoicemailSettings,
};
use offhook_session::grammar::Grammar;
use offhook_session::provider::{Audio, ProviderError, Recognition, SpeechToText};
use offhook_session::voicemail::{Evidence, FarEnd, VoicemailVerdict};
use support::{Act, Call, config, providers};
use tokio::time::Instant;

const FAX: Act = Act::Sounds(2_000, CallToneKind::FaxAnswer);

/// Notes what it is told, and answers as the test says; without an answer it panics.
#[derive(Default)]
struct Noting {
    answer: Option<VoicemailAction>,
    noted: Mutex<Vec<(&'static str, Option<FarEnd>, bool)>>,
}

impl Noting {
    fn answering(answer: Option<VoicemailAction>) -> Arc<Self> {
        Arc::new(Self {
            answer,
            ..Self::default()
        })
    }

    fn note(&self, what: &'static str, session: &SessionHandle) {
        let verdict = session.voicemail_verdict().map(|verdict| verdict.far_end);
        let noted = (what, verdict, session.is_voicemail_detected());
        self.noted.lock().unwrap().push(noted);
    }
}

#[async_trait]
impl Agent for Noting {
    async fn on_enter(&self, session: SessionHandle) -> Result<(), AgentError> {
        self.note("on_enter", &session);
        session.hangup(EndCause::AgentHungUp).await;
        Ok(())
    }

    async fn on_voicemail(
        &self,
        session: SessionHandle,
        verdict: VoicemailVerdict,
    ) -> Result<VoicemailAction, AgentError> {
        assert_eq!(session.voicemail_verdict(), Some(&verdict));
        self.note("on_voicemail", &session);
        // What it says by its own handle is awaited without a knot.
        session.say("Hello.", SayOptions::default()).wait().await;
        Ok(self.answer.clone().expect("the test gives one"))
    }
}

fn outbound() -> SessionConfig {
    let mut config = config();
    config.facts.direction = Direction::Outbound;
    config.voicemail = Some(Arc::new(VoicemailSettings::default()));
    config
}

async fn reason_asked(call: &mut Call) -> EndCause {
    loop {
        match call
            .requests
            .recv()
            .await
            .expect("the call is asked to end")
        {
            CallRequest::HangUp { reason } => return reason.cause,
            CallRequest::AnsweredBy(_)
            | CallRequest::MessageLeft(_)
            | CallRequest::HandedOver(_)
            | CallRequest::Press { .. }
            | CallRequest::PassOn(_)
            | CallRequest::SecondLeg(_)
            | CallRequest::Transfer(_) => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_handle_says_no_machine_until_a_verdict_says_otherwise() {
    let agent = Noting::answering(None);
    let began = Instant::now();
    let mut call = Call::start(outbound(), agent.clone(), providers(None), &[]).await;
    assert_eq!(call.session.voicemail_verdict(), None);
    assert!(!call.session.is_voicemail_detected());
    assert_eq!(reason_asked(&mut call).await, EndCause::AgentHungUp);
    let noted = agent.noted.lock().unwrap().clone();
    assert_eq!(noted, [("on_enter", Some(FarEnd::Silence), false)]);
    // A second for media to come, four for the verdict.
    assert_eq!(began.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn an_agent_may_speak_before_it_decides_and_leave_a_message() {
    let message = VoicemailMessage::text("Please call back.");
    let agent = Noting::answering(Some(VoicemailAction::LeaveMessage(message)));
    let mut call = Call::start(outbound(), agent.clone(), providers(None), &[FAX]).await;
    let began = Instant::now();
    assert_eq!(reason_asked(&mut call).await, EndCause::MessageLeft);
    // A fax gives no sign that it records.
    assert!(began.elapsed() > Duration::from_secs(40));
    assert_eq!(
        agent.noted.lock().unwrap()[..],
        [("on_voicemail", Some(FarEnd::Fax), false)]
    );
    let report = call.task.await.expect("no panic");
    let said = report.transcript.entries().iter();
    let said: Vec<_> = said.map(|entry| entry.text.expose().as_str()).collect();
    assert_eq!(said, ["Hello.", "Please call back."]);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_panics_about_a_fax_ends_its_call() {
    let agent = Noting::answering(None);
    let mut call = Call::start(outbound(), agent, providers(None), &[FAX]).await;
    assert_eq!(reason_asked(&mut call).await, EndCause::NoPerson);
}

#[tokio::test(start_paused = true)]
async fn an_agent_may_go_on_as_with_a_person() {
    let agent = Noting::answering(Some(VoicemailAction::Continue));
    let mut call = Call::start(outbound(), agent.clone(), providers(None), &[FAX]).await;
    assert_eq!(reason_asked(&mut call).await, EndCause::AgentHungUp);
    let noted = agent.noted.lock().unwrap().clone();
    let called: Vec<_> = noted.iter().map(|(what, ..)| *what).collect();
    assert_eq!(called, ["on_voicemail", "on_enter"]);
}

/// Finds the phrase of a machine in whatever is heard, after 150 ms.
#[derive(Default)]
struct Spotter {
    heard: Mutex<Vec<Duration>>,
}

#[async_trait]
impl SpeechToText for Spotter {
    async fn recognise(&self, _: Audio, _: &Grammar) -> Result<Recognition, ProviderError> {
        Ok(Recognition::OutOfGrammar)
    }

    async fn spot(
        &self,
        heard: Audio,
        phrases: &'static [&'static str],
    ) -> Result<Vec<&'static str>, ProviderError> {
        self.heard.lock().unwrap().push(heard.duration());
        tokio::time::sleep(Duration::from_millis(150)).await;
        let machines = |phrase: &&&str| phrase.contains("leave") && phrase.contains("message");
        Ok(phrases.iter().find(machines).copied().into_iter().collect())
    }
}

#[tokio::test(start_paused = true)]
async fn the_recogniser_is_asked_for_phrases_and_they_tell_a_machine() {
    let spotter = Arc::new(Spotter::default());
    let providers = Providers {
        recogniser: Some(spotter.clone()),
        ..providers(None)
    };
    let greeting = [Act::Speaks(1_200, 6_000)];
    let agent = Noting::answering(None);
    let mut call = Call::start(outbound(), agent, providers, &greeting).await;
    assert_eq!(reason_asked(&mut call).await, EndCause::Voicemail);
    assert!(call.session.is_voicemail_detected());
    let verdict = call.session.voicemail_verdict().expect("a verdict");
    let phrase = |evidence: &Evidence| matches!(evidence, Evidence::Phrase(_));
    assert!(verdict.evidence.iter().any(phrase), "{verdict:?}");
    assert!(!spotter.heard.lock().unwrap().is_empty());
}
