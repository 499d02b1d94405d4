//! Agents by name, and the sessions that run them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use offhook_media::control::LegEvent;
use offhook_session::agent::{Agent, AudioByRate, EchoAgent, PlayAgent};
use offhook_session::agent_session::{
    AgentSession, CallEvent, CallFacts, CallId, CallRequest, Line, Providers, SessionConfig,
    SessionReport, SessionTask,
};
use offhook_session::flow::{Flow, FlowAgent, Recordings as FlowRecordings};
use offhook_session::provider::Audio;
use tokio::sync::mpsc;
use tracing::{Instrument, Span};

use crate::config::{self, AgentKind, AgentName, Asset, Config};
use crate::media_driver::LegLine;
use crate::recordings::Recordings;

/// How many events of a leg may wait for its session.
const LEG_EVENTS: usize = 256;
/// How many events of a call may wait for its session: a handful in a call's life, and digits that come
/// by INFO. One more digit is lost.
const CALL_EVENTS: usize = 32;
/// How many requests of a session may wait; it makes one.
const CALL_REQUESTS: usize = 2;

/// What signalling hears from a session.
#[derive(Debug)]
pub enum SessionNotice {
    /// It wants something of its call.
    Request(CallRequest),
    /// It is closed; the last notice. `None` when it ended by a fault of ours.
    Closed(Option<SessionReport>),
}

/// Something that calls need is not what it was when the configuration was read.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {what}")]
pub struct SessionsUnusable {
    key: String,
    what: String,
}

/// Every agent of the configuration, ready to take calls.
pub struct Sessions {
    agents: BTreeMap<AgentName, ReadyAgent>,
    providers: Providers,
    recordings: Option<Arc<Recordings>>,
    max_duration: Duration,
    hold_music: Option<AudioByRate>,
}

/// One agent, ready to take calls.
struct ReadyAgent {
    form: AgentForm,
    voice_activity: bool,
    recorded: bool,
    /// After how much silence the agent is woken up; `None` for never.
    silence: Option<Duration>,
}

/// How an agent comes to a call.
enum AgentForm {
    /// It holds nothing about a call: one serves all.
    Shared(Arc<dyn Agent>),
    /// It walks one caller through a flow: made anew for each call.
    Flow(Arc<Flow>, Arc<FlowRecordings>),
}

impl AgentForm {
    fn for_a_call(&self) -> Arc<dyn Agent> {
        match self {
            Self::Shared(agent) => Arc::clone(agent),
            Self::Flow(flow, recordings) => {
                Arc::new(FlowAgent::new(Arc::clone(flow), Arc::clone(recordings)))
            }
        }
    }
}

/// What a session is begun with.
pub(crate) struct NewSession<'a> {
    pub(crate) facts: CallFacts,
    pub(crate) agent: &'a AgentName,
    pub(crate) line: LegLine,
    pub(crate) leg_events: mpsc::Receiver<LegEvent>,
    pub(crate) notices: mpsc::Sender<(CallId, SessionNotice)>,
    pub(crate) sample_rate_hz: u32,
    pub(crate) span: Span,
}

impl Sessions {
    /// Makes every agent of `config` ready.
    ///
    /// # Errors
    /// The first agent whose files are not what they were when the configuration was read.
    pub fn new(
        config: &Config,
        providers: Providers,
        recordings: Option<Arc<Recordings>>,
    ) -> Result<Self, SessionsUnusable> {
        let ready = |(name, agent): (&AgentName, &config::Agent)| {
            let ready = ReadyAgent::new(agent).map_err(|what| SessionsUnusable {
                key: format!("agent.{name}"),
                what,
            })?;
            Ok((name.clone(), ready))
        };
        let agents = config
            .agents
            .iter()
            .map(ready)
            .collect::<Result<_, SessionsUnusable>>()?;
        Ok(Self {
            agents,
            providers,
            recordings,
            max_duration: config.limits.max_duration,
            hold_music: hold_music(config)?,
        })
    }

    /// What a far end hears that we hold, at `rate_hz`; nothing where there is no music.
    pub(crate) fn hold_music(&self, rate_hz: u32) -> Option<Arc<[i16]>> {
        let audio = self.hold_music.as_ref()?.at_rate(rate_hz);
        audio.ok().map(|audio| audio.samples)
    }

    /// Whether the leg of a call to `agent` should detect speech.
    pub(crate) fn wants_voice_activity(&self, agent: &AgentName) -> bool {
        self.agents
            .get(agent)
            .is_some_and(|ready| ready.voice_activity)
    }

    /// A queue for the events of a leg.
    pub(crate) fn leg_event_queue() -> (mpsc::Sender<LegEvent>, mpsc::Receiver<LegEvent>) {
        mpsc::channel(LEG_EVENTS)
    }

    /// The ring for a call's recording, when calls to `agent` are recorded.
    pub(crate) fn record(
        &self,
        agent: &AgentName,
        call: &CallId,
        sample_rate_hz: u32,
    ) -> Option<rtrb::Producer<i16>> {
        let recorded = self.agents.get(agent).is_some_and(|ready| ready.recorded);
        self.recordings
            .as_ref()
            .filter(|_| recorded)?
            .begin(call, sample_rate_hz)
    }

    /// Where the recording of a call is, when calls to `agent` are recorded.
    pub(crate) fn recording_of(&self, agent: &AgentName, call: &CallId) -> Option<PathBuf> {
        let recorded = self.agents.get(agent).is_some_and(|ready| ready.recorded);
        Some(self.recordings.as_ref().filter(|_| recorded)?.path_of(call))
    }

    /// Begins a session; the sender tells it what happens to its call.
    pub(crate) fn begin(&self, new: NewSession<'_>) -> Option<mpsc::Sender<CallEvent>> {
        let ready = self.agents.get(new.agent)?;
        let call_id = new.facts.call_id.clone();
        let (call_events, call_event_receiver) = mpsc::channel(CALL_EVENTS);
        let (call_requests, requests) = mpsc::channel(CALL_REQUESTS);
        let line = Line {
            commands: Arc::new(new.line),
            events: new.leg_events,
            call: call_requests,
            call_events: call_event_receiver,
            sample_rate_hz: new.sample_rate_hz,
        };
        let mut config = SessionConfig::new(new.facts);
        config.wake_up = ready.silence;
        // Of the agents here only flows are woken up, and they count for themselves.
        config.wake_up_repeat = u32::MAX;
        config.max_duration = Some(self.max_duration);
        let _in_call = new.span.enter();
        let (_, task) = AgentSession::spawn(
            config,
            line,
            ready.form.for_a_call(),
            self.providers.clone(),
        );
        tokio::spawn(usher(call_id, requests, task, new.notices).instrument(new.span.clone()));
        Some(call_events)
    }
}

/// Carries a session's requests to signalling, and at last the news of its end, however it ended.
async fn usher(
    call: CallId,
    mut requests: mpsc::Receiver<CallRequest>,
    task: SessionTask,
    notices: mpsc::Sender<(CallId, SessionNotice)>,
) {
    while let Some(request) = requests.recv().await {
        // Signalling ends last; without it nobody is left to tell.
        let _ = notices
            .send((call.clone(), SessionNotice::Request(request)))
            .await;
    }
    let report = match task.await {
        Ok(report) => Some(report),
        Err(error) => {
            tracing::error!(%error, "a session ended by a fault");
            None
        }
    };
    let _ = notices.send((call, SessionNotice::Closed(report))).await;
}

impl ReadyAgent {
    fn new(agent: &config::Agent) -> Result<Self, String> {
        let (form, voice_activity, silence) = match &agent.kind {
            AgentKind::Echo { voice_activity } => (
                AgentForm::Shared(Arc::new(EchoAgent)),
                *voice_activity,
                None,
            ),
            AgentKind::Play {
                file,
                voice_activity,
            } => {
                let agent = PlayAgent::new(read_wav(file)?);
                (AgentForm::Shared(Arc::new(agent)), *voice_activity, None)
            }
            AgentKind::Flow { flow, recordings } => {
                let load = |(name, file): (&String, &Asset)| {
                    Ok((name.clone(), AudioByRate::new(read_wav(file)?)))
                };
                let recordings = recordings
                    .iter()
                    .map(load)
                    .collect::<Result<FlowRecordings, String>>()?;
                (
                    AgentForm::Flow(Arc::clone(flow), Arc::new(recordings)),
                    true,
                    Some(flow.silence_after()),
                )
            }
        };
        Ok(Self {
            form,
            voice_activity,
            recorded: agent.record,
            silence,
        })
    }
}

fn hold_music(config: &Config) -> Result<Option<AudioByRate>, SessionsUnusable> {
    let Some(file) = &config.media.hold_music else {
        return Ok(None);
    };
    match read_wav(file) {
        Ok(audio) => Ok(Some(AudioByRate::new(audio))),
        Err(what) => Err(SessionsUnusable {
            key: "media.hold_music".to_owned(),
            what,
        }),
    }
}

/// A mono 16-bit WAV file as samples.
fn read_wav(file: &Asset) -> Result<Audio, String> {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", file.name().display());
    let bytes = file.read().map_err(|error| named(&error))?;
    let mut reader = hound::WavReader::new(&*bytes).map_err(|error| named(&error))?;
    let sample_rate_hz = reader.spec().sample_rate;
    let samples = reader
        .samples::<i16>()
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| named(&error))?;
    Ok(Audio {
        sample_rate_hz,
        samples: samples.into(),
    })
}
