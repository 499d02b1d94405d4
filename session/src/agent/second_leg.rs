//! The agent of a transfer's second leg: says what there is to say, and asks whether the call is taken.
//!
//! Keys count from the first word on, the voice from the question on: the *hello* of somebody who answers sounds too much
//! like a *no* to a grammar of few words.
//!
//! Where somebody is asked, it is found out first who answered, and nothing is said to a machine. Elsewhere a machine is
//! told by its tones (`on_tone`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use offhook_media::control::{CallTone, CallToneKind, Digit};
use tracing::Instrument;

use super::{Agent, AgentError, UserTurn, Warming};
use crate::agent_session::{
    InterruptionMode, InterruptionPolicy, Preparing, QueueMode, SayOptions, SecondLegAnswer,
    SessionConfig, SessionHandle, TransferRequest, UtteranceHandle, VoicemailAction,
    VoicemailPolicy, VoicemailSettings, Words,
};
use crate::grammar::{Grammar, NO, YES, phrase};
use crate::voicemail::{Evidence, FarEnd, VoicemailVerdict};

/// How long whoever is asked may be silent before they are asked again.
const SILENCE: Duration = Duration::from_secs(6);
/// How long it may take until whoever answered has taken the call, whatever they do.
const LONGEST: Duration = Duration::from_secs(120);
/// How often an answer that is none is asked for again.
const RETRIES: u32 = 2;
/// For how much longer than a REFER may take its target waits for the caller.
const PATIENCE: Duration = Duration::from_secs(10);

/// Talks to whoever is called for a transfer. Made anew for each.
#[derive(Debug)]
pub struct SecondLegAgent {
    words: Option<Words>,
    question: Option<Words>,
    /// How long the second leg waits for the caller once it is ready.
    patience: Duration,
    misunderstood: AtomicU32,
    /// Whether its answer is given.
    settled: Arc<AtomicBool>,
    warming: Warming,
}

impl SecondLegAgent {
    /// For the second leg of `request`.
    #[must_use]
    pub fn new(request: &TransferRequest) -> Self {
        let plan = &request.second_leg;
        Self {
            words: plan.words.clone(),
            question: request.mode.asks().then(|| plan.question.clone()),
            patience: request.timeout + PATIENCE,
            misunderstood: AtomicU32::new(0),
            settled: Arc::default(),
            warming: Warming::default(),
        }
    }

    /// How its session behaves, besides what every session of the daemon's does: the agent wakes itself up, nothing plays
    /// beside it, and only words that were understood cut it short, since whoever answers says something first. Where
    /// they are asked, the question waits until it is clear that they are a person, or nothing speaks against it.
    pub fn configure(&self, config: &mut SessionConfig) {
        config.voicemail = self.question.as_ref().map(|_| {
            Arc::new(VoicemailSettings {
                policy: VoicemailPolicy::Callback,
                ..VoicemailSettings::default()
            })
        });
        config.wake_up = None;
        config.wake_up_repeat = u32::MAX;
        config.interruption = Arc::new(InterruptionPolicy {
            mode: InterruptionMode::Stt,
            ..InterruptionPolicy::default()
        });
        config.sounds.background = None;
        config.sounds.thinking = None;
    }

    /// The answer, once; the second leg then waits for the caller, and is told nothing more.
    async fn settle(&self, session: &SessionHandle, answer: SecondLegAnswer) {
        settle(&self.settled, self.patience, session, answer).await;
    }

    fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Relaxed)
    }

    /// Asks once more, or takes it that the call is not wanted.
    async fn ask_again(&self, session: &SessionHandle) {
        let Some(question) = self.question.as_ref().filter(|_| !self.is_settled()) else {
            return;
        };
        if self.misunderstood.fetch_add(1, Ordering::Relaxed) < RETRIES {
            say(session, question, true, QueueMode::Replace);
        } else {
            self.settle(session, SecondLegAnswer::Declined).await;
        }
    }
}

async fn settle(
    settled: &AtomicBool,
    patience: Duration,
    session: &SessionHandle,
    answer: SecondLegAnswer,
) {
    if settled.swap(true, Ordering::Relaxed) {
        return;
    }
    session.expect(None).await;
    session.interrupt(true).await;
    session.set_wake_up(None).await;
    session.answer_as_second_leg(answer).await;
    // Whatever they do meanwhile, on hold as well.
    let waited_for = session.clone();
    let lets_go = async move {
        tokio::select! {
            // Who was joined to somebody meanwhile goes on talking.
            () = tokio::time::sleep(patience) => waited_for.leave().await,
            () = waited_for.closed() => {}
        }
    };
    tokio::spawn(lets_go.in_current_span());
}

fn say(
    session: &SessionHandle,
    words: &Words,
    interruptible: bool,
    queue: QueueMode,
) -> UtteranceHandle {
    let options = SayOptions {
        interruptible,
        audio: words.audio.clone(),
        queue,
        ..SayOptions::default()
    };
    session.say(words.text.expose(), options)
}

#[async_trait]
impl Agent for SecondLegAgent {
    async fn prepare(&self, with: Preparing) -> Result<(), AgentError> {
        let words = self.words.iter().chain(&self.question);
        let spoken = words.filter(|words| words.audio.is_none());
        let texts = spoken.map(|words| words.text.expose().clone()).collect();
        self.warming.begin(with, texts);
        Ok(())
    }

    async fn on_enter(&self, session: SessionHandle) -> Result<(), AgentError> {
        // On hold nothing is said, and nobody is woken up; the caller waits all the same.
        let (settled, patience, held) = (Arc::clone(&self.settled), self.patience, session.clone());
        let gives_up = async move {
            tokio::select! {
                () = tokio::time::sleep(LONGEST) => {
                    settle(&settled, patience, &held, SecondLegAnswer::Declined).await;
                }
                () = held.closed() => {}
            }
        };
        tokio::spawn(gives_up.in_current_span());
        let Some(question) = &self.question else {
            if let Some(words) = &self.words {
                say(&session, words, false, QueueMode::After).wait().await;
            }
            self.settle(&session, SecondLegAnswer::Ready).await;
            return Ok(());
        };
        session.set_wake_up(Some(SILENCE)).await;
        let words = self
            .words
            .as_ref()
            .map(|words| say(&session, words, true, QueueMode::After));
        say(&session, question, true, QueueMode::After);
        // Keys are given to an agent only when it has entered: the voice is waited for elsewhere.
        let settled = Arc::clone(&self.settled);
        let listens = async move {
            if let Some(words) = words {
                words.wait().await;
            }
            // A key may have been the answer already.
            if settled.load(Ordering::Relaxed) {
                return;
            }
            let yes_or_no = YES.into_iter().chain(NO);
            session.expect(Some(Grammar::new(yes_or_no))).await;
        };
        tokio::spawn(listens.in_current_span());
        Ok(())
    }

    async fn on_user_turn(&self, session: SessionHandle, turn: UserTurn) -> Result<(), AgentError> {
        let said = match &turn {
            UserTurn::Said { last, .. } => phrase(last.expose()),
            UserTurn::NotUnderstood => String::new(),
        };
        let is_among = |phrases: &[&str]| phrases.iter().any(|known| phrase(known) == said);
        if is_among(&YES) {
            self.settle(&session, SecondLegAnswer::Accepted).await;
        } else if is_among(&NO) {
            self.settle(&session, SecondLegAnswer::Declined).await;
        } else {
            self.ask_again(&session).await;
        }
        Ok(())
    }

    async fn on_dtmf(&self, session: SessionHandle, digit: Digit) -> Result<(), AgentError> {
        if self.question.is_none() {
            return Ok(());
        }
        match digit.as_char() {
            '1' => self.settle(&session, SecondLegAnswer::Accepted).await,
            '2' => self.settle(&session, SecondLegAnswer::Declined).await,
            _ => self.ask_again(&session).await,
        }
        Ok(())
    }

    async fn on_tone(&self, session: SessionHandle, tone: CallTone) -> Result<(), AgentError> {
        match tone.kind {
            CallToneKind::Beep
            | CallToneKind::SpecialInformation
            | CallToneKind::FaxCalling
            | CallToneKind::FaxAnswer => self.settle(&session, SecondLegAnswer::Machine).await,
            // A gateway that answers before it has somebody.
            CallToneKind::Ringback | CallToneKind::Busy | CallToneKind::Congestion => {}
        }
        Ok(())
    }

    async fn on_voicemail(
        &self,
        session: SessionHandle,
        verdict: VoicemailVerdict,
    ) -> Result<VoicemailAction, AgentError> {
        // How long somebody speaks tells a machine from a person at home; whoever is called for a transfer may be a
        // receptionist. They are asked, and a machine does not answer.
        let is_sure = verdict.evidence.iter().any(|evidence| match evidence {
            Evidence::Phrase(_) | Evidence::Tone(_) | Evidence::Model => true,
            Evidence::Cadence { .. } | Evidence::Quiet(_) | Evidence::Deadline => false,
        });
        match verdict.far_end {
            // It asks who calls, and puts a person through who may want the call.
            FarEnd::CallScreening => Ok(VoicemailAction::Continue),
            _ if !is_sure => Ok(VoicemailAction::Continue),
            FarEnd::Human
            | FarEnd::MachineGreeting
            | FarEnd::MachineBeep
            | FarEnd::Ivr
            | FarEnd::Fax
            | FarEnd::Silence
            | FarEnd::Unknown => {
                self.settle(&session, SecondLegAnswer::Machine).await;
                Ok(VoicemailAction::HangUp)
            }
        }
    }

    async fn on_wake_up(&self, session: SessionHandle) -> Result<(), AgentError> {
        self.ask_again(&session).await;
        Ok(())
    }

    async fn on_silence_end(&self, session: SessionHandle) -> Result<(), AgentError> {
        self.settle(&session, SecondLegAnswer::Declined).await;
        Ok(())
    }
}
