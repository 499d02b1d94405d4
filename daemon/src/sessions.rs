//! Agents by name, and the sessions that run them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use offhook_media::control::LegEvent;
use offhook_media::mixer::with_loop_beneath;
use offhook_session::agent::{Agent, AudioByRate, EchoAgent, PlayAgent, SecondLegAgent};
use offhook_session::agent_session::{
    AgentSession, CallEvent, CallFacts, CallId, CallRequest, ConsentPrompt, InterruptionPolicy,
    Line, Preparation, Preparing, Providers, RecordPlan, SessionConfig, SessionHandle,
    SessionReport, SessionSounds, SessionTask, SoundLoop,
};
use offhook_session::flow::{FlowMeans, FlowValues, Recordings as FlowRecordings};
use offhook_session::provider::{Audio, ProviderError};
use tokio::sync::mpsc;
use tracing::{Instrument, Span};

use crate::audio_file::AudioFile;
use crate::colleagues::{AgentForm, Agents};
use crate::config::{self, AgentKind, AgentName, Config, Sound};
use crate::media_driver::LegLine;
use crate::recordings::{self, Recordings};
use crate::voicemail::{CallVoicemail, NoMessage, ReadyVoicemail};
use crate::webhooks::HttpWebhooks;

/// How many events of a leg may wait for its session.
const LEG_EVENTS: usize = 256;
/// How many events of a call may wait for its session: a handful in a call's life, and digits that come
/// by INFO. One more digit is lost.
const CALL_EVENTS: usize = 32;
/// How many requests of a session may wait: keys, a few a second at most, and its end.
const CALL_REQUESTS: usize = 8;

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
    hold_music: Option<ReadySound>,
    forms: Arc<Agents>,
}

/// One agent, ready to take calls.
struct ReadyAgent {
    form: AgentForm,
    voice_activity: bool,
    echo_guard: bool,
    recorded: bool,
    tones: bool,
    interruption: Arc<InterruptionPolicy>,
    /// How it is found out who answered its calls, and whether it is where a call does not say.
    voicemail: Option<(ReadyVoicemail, bool)>,
    /// What its callers are told before they are recorded.
    consent: Option<ReadyConsent>,
    /// After how much silence the agent is woken up; `None` for never.
    silence: Option<Duration>,
    background: Option<ReadySound>,
    thinking: Option<ReadySound>,
}

/// A sound at the rates that calls have.
struct ReadySound {
    audio: Arc<AudioByRate>,
    volume_db: f32,
}

impl ReadySound {
    fn new(sound: &Sound, rates: &BTreeSet<u32>) -> Result<Self, String> {
        Ok(Self {
            audio: at_rates(&sound.file, rates)?,
            volume_db: sound.volume_db,
        })
    }

    fn at_rate(&self, rate_hz: u32) -> Option<SoundLoop> {
        let audio = self.audio.at_rate(rate_hz);
        let sound = |audio| SoundLoop {
            audio,
            volume_db: self.volume_db,
        };
        audio.ok().map(sound)
    }
}

/// A consent prompt, ready to be said.
struct ReadyConsent {
    text: Arc<str>,
    audio: Option<Arc<AudioByRate>>,
}

impl ReadyConsent {
    fn new(consent: &config::Consent, rates: &BTreeSet<u32>) -> Result<Self, String> {
        Ok(Self {
            text: consent.text.as_str().into(),
            audio: consent
                .file
                .as_ref()
                .map(|file| at_rates(file, rates))
                .transpose()?,
        })
    }

    fn at_rate(&self, rate_hz: u32) -> ConsentPrompt {
        let audio = self.audio.as_ref();
        ConsentPrompt {
            text: Arc::clone(&self.text),
            // It was converted at the start; else the text is spoken.
            audio: audio.and_then(|audio| audio.at_rate(rate_hz).ok()),
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
    /// Whether its leg was given a recorder, and how it began.
    pub(crate) record: RecordPlan,
    /// How it is found out who answered, if it is.
    pub(crate) voicemail: Option<ReadyVoicemail>,
    /// Its agent, where that has been made already.
    pub(crate) prepared: Option<PreparedAgent>,
    pub(crate) span: Span,
}

/// An agent that gets ready before its session begins, or has.
#[derive(Clone)]
pub(crate) struct PreparedAgent {
    agent: Arc<dyn Agent>,
    preparation: Preparation,
    second_leg: Option<Arc<SecondLegAgent>>,
}

impl std::fmt::Debug for PreparedAgent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PreparedAgent")
            .field("preparation", &self.preparation)
            .field("is_second_leg", &self.second_leg.is_some())
            .finish_non_exhaustive()
    }
}

/// The ways to a session that has begun.
#[derive(Clone, Debug)]
pub(crate) struct SessionLine {
    /// What happens to its call.
    pub(crate) events: mpsc::Sender<CallEvent>,
    /// What operators want of it.
    pub(crate) handle: SessionHandle,
}

/// A recording that was begun.
pub(crate) struct BegunRecording {
    /// For the recorder of the leg.
    pub(crate) ring: rtrb::Producer<i16>,
    /// For the session; never [`RecordPlan::Off`].
    pub(crate) plan: RecordPlan,
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
        let rates = config.sample_rates_hz();
        let ready = |(name, agent): (&AgentName, &config::Agent)| {
            let ready = ReadyAgent::new(agent, &rates).map_err(|what| SessionsUnusable {
                key: format!("agent.{name}"),
                what,
            })?;
            Ok((name.clone(), ready))
        };
        let agents = config
            .agents
            .iter()
            .map(ready)
            .collect::<Result<BTreeMap<AgentName, ReadyAgent>, SessionsUnusable>>()?;
        let forms = agents.iter();
        let forms = forms.map(|(name, ready)| (name.clone(), ready.form.clone()));
        let messages = recordings.clone().map(|recordings| recordings as _);
        let means = FlowMeans {
            webhooks: asks_webhooks(config).then(|| Arc::new(HttpWebhooks::new()) as _),
            messages,
            ..FlowMeans::default()
        };
        Ok(Self {
            forms: Agents::new(forms.collect(), means),
            agents,
            providers,
            recordings,
            max_duration: config.limits.max_duration,
            hold_music: hold_music(config, &rates)?,
        })
    }

    /// Whether the leg of a call to `agent` should detect speech.
    pub(crate) fn wants_voice_activity(&self, agent: &AgentName) -> bool {
        self.agents
            .get(agent)
            .is_some_and(|ready| ready.voice_activity)
    }

    /// Whether the leg of a call to `agent` should listen for tones of networks and machines.
    pub(crate) fn wants_tones(&self, agent: &AgentName) -> bool {
        self.agents.get(agent).is_some_and(|ready| ready.tones)
    }

    /// How it is found out who answers a call of `agent`'s, if it is. `wanted`: whether it is where nothing is `said` of
    /// the call.
    pub(crate) fn voicemail(
        &self,
        agent: &AgentName,
        wanted: bool,
        said: Option<&CallVoicemail>,
    ) -> Result<Option<ReadyVoicemail>, NoMessage> {
        let ready = self.agents.get(agent);
        let agents = ready.and_then(|ready| ready.voicemail.as_ref());
        match said {
            None => Ok(agents
                .filter(|(_, enabled)| *enabled && wanted)
                .map(|(voicemail, _)| voicemail.clone())),
            Some(CallVoicemail::Off) => Ok(None),
            Some(CallVoicemail::On {
                policy,
                text,
                max_decision,
                speak_while_detecting,
            }) => ReadyVoicemail::for_call(
                agents.map(|(voicemail, _)| voicemail),
                *policy,
                text.as_ref(),
                *max_decision,
                *speak_while_detecting,
            )
            .map(Some),
        }
    }

    /// Whether the leg of a call to `agent` should keep the agent's own voice from being taken for the caller's.
    pub(crate) fn wants_echo_guard(&self, agent: &AgentName) -> bool {
        self.agents.get(agent).is_some_and(|ready| ready.echo_guard)
    }

    /// A queue for the events of a leg.
    pub(crate) fn leg_event_queue() -> (mpsc::Sender<LegEvent>, mpsc::Receiver<LegEvent>) {
        mpsc::channel(LEG_EVENTS)
    }

    /// Begins a call's recording, when calls to `agent` are recorded.
    pub(crate) fn record(
        &self,
        agent: &AgentName,
        call: &CallId,
        sample_rate_hz: u32,
    ) -> Option<BegunRecording> {
        let ready = self.agents.get(agent).filter(|ready| ready.recorded)?;
        let ring = self.recordings.as_ref()?.begin(call, sample_rate_hz)?;
        let plan = match &ready.consent {
            Some(consent) => RecordPlan::AfterConsent(Arc::new(consent.at_rate(sample_rate_hz))),
            None => RecordPlan::On,
        };
        Some(BegunRecording { ring, plan })
    }

    /// Where the recording of a call is, when calls to `agent` are recorded.
    pub(crate) fn recording_of(&self, agent: &AgentName, call: &CallId) -> Option<PathBuf> {
        let recorded = self.agents.get(agent).is_some_and(|ready| ready.recorded);
        Some(self.recordings.as_ref().filter(|_| recorded)?.path_of(call))
    }

    /// Makes the agent of a call that is about to ring, and has it get ready meanwhile. `rates_hz`: those that its leg
    /// may have.
    pub(crate) fn prepare(
        &self,
        agent: &AgentName,
        second_leg: Option<Arc<SecondLegAgent>>,
        facts: &CallFacts,
        rates_hz: BTreeSet<u32>,
    ) -> Option<PreparedAgent> {
        let agent: Arc<dyn Agent> = match &second_leg {
            Some(agent) => Arc::clone(agent) as Arc<dyn Agent>,
            None => self
                .forms
                .for_a_call(agent.as_str(), FlowValues::default())?,
        };
        let with = Preparing {
            facts: facts.clone(),
            providers: self.providers.clone(),
            sample_rates_hz: rates_hz.into_iter().collect(),
        };
        Some(PreparedAgent {
            preparation: Preparation::begin(Arc::clone(&agent), with),
            agent,
            second_leg,
        })
    }

    /// Begins a session.
    pub(crate) fn begin(&self, new: NewSession<'_>) -> Option<SessionLine> {
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
            has_mixer: true,
        };
        let mut config = SessionConfig::new(new.facts);
        config.wake_up = ready.silence;
        config.interruption = Arc::clone(&ready.interruption);
        // Of the agents here only flows are woken up, and they count for themselves.
        config.wake_up_repeat = u32::MAX;
        config.max_duration = Some(self.max_duration);
        config.record = new.record;
        let voicemail = new.voicemail.as_ref();
        config.voicemail = voicemail.map(|ready| Arc::new(ready.at_rate(new.sample_rate_hz)));
        let at_rate = |sound: &ReadySound| sound.at_rate(new.sample_rate_hz);
        *config.sounds = SessionSounds {
            background: ready.background.as_ref().and_then(at_rate),
            thinking: ready.thinking.as_ref().and_then(at_rate),
            hold_music: self.hold_music.as_ref().and_then(at_rate),
        };
        let agent = match new.prepared {
            Some(prepared) => {
                if let Some(second_leg) = &prepared.second_leg {
                    second_leg.configure(&mut config);
                }
                config.preparation = Some(prepared.preparation);
                prepared.agent
            }
            None => self
                .forms
                .for_a_call(new.agent.as_str(), FlowValues::default())?,
        };
        let _in_call = new.span.enter();
        let (handle, task) = AgentSession::spawn(config, line, agent, self.providers.clone());
        tokio::spawn(usher(call_id, requests, task, new.notices).instrument(new.span.clone()));
        Some(SessionLine {
            events: call_events,
            handle,
        })
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
        Ok(report) => {
            if report.recording_forgone {
                recordings::failed("consent");
            }
            Some(report)
        }
        Err(error) => {
            tracing::error!(%error, "a session ended by a fault");
            None
        }
    };
    let _ = notices.send((call, SessionNotice::Closed(report))).await;
}

impl ReadyAgent {
    /// `rates`: at which its audio is wanted.
    fn new(agent: &config::Agent, rates: &BTreeSet<u32>) -> Result<Self, String> {
        let ready_sound = |sound: &Option<Sound>| {
            let sound = sound.as_ref();
            sound.map(|sound| ReadySound::new(sound, rates)).transpose()
        };
        let mut ready = Self {
            form: AgentForm::Shared(Arc::new(EchoAgent)),
            voice_activity: false,
            echo_guard: agent.echo_guard,
            recorded: agent.record,
            tones: agent.tones,
            interruption: Arc::clone(&agent.interruption),
            voicemail: agent
                .voicemail
                .as_ref()
                .map(|voicemail| {
                    let ready = ReadyVoicemail::new(voicemail, rates, at_rates)?;
                    Ok::<_, String>((ready, voicemail.enabled))
                })
                .transpose()?,
            consent: agent
                .record_consent
                .as_ref()
                .map(|consent| ReadyConsent::new(consent, rates))
                .transpose()?,
            silence: None,
            background: ready_sound(&agent.background)?,
            thinking: None,
        };
        match &agent.kind {
            AgentKind::Echo { voice_activity } => ready.voice_activity = *voice_activity,
            AgentKind::Play {
                file,
                voice_activity,
            } => {
                ready.voice_activity = *voice_activity;
                // Its bus is the background's own.
                let audio = match &agent.background {
                    Some(sound) => with_background(file, sound, rates)?,
                    None => at_rates(file, rates)?,
                };
                ready.background = None;
                let agent = PlayAgent::from(audio);
                ready.form = AgentForm::Shared(Arc::new(agent));
            }
            AgentKind::Flow {
                flow,
                recordings,
                thinking,
            } => {
                let load = |(name, file): (&String, &AudioFile)| {
                    Ok((name.clone(), at_rates(file, rates)?))
                };
                let recordings = recordings
                    .iter()
                    .map(load)
                    .collect::<Result<FlowRecordings, String>>()?;
                ready.form = AgentForm::Flow(Arc::clone(flow), Arc::new(recordings));
                ready.voice_activity = true;
                ready.silence = Some(flow.silence_after());
                ready.thinking = ready_sound(thinking)?;
            }
        }
        Ok(ready)
    }
}

/// Whether any agent has use for webhooks: the machine's authorities are read for them.
fn asks_webhooks(config: &Config) -> bool {
    config.agents.values().any(|agent| match &agent.kind {
        AgentKind::Flow { flow, .. } => flow.asks_webhooks(),
        AgentKind::Echo { .. } | AgentKind::Play { .. } => false,
    })
}

/// What a play agent plays, with a sound beneath it.
fn with_background(
    file: &AudioFile,
    sound: &Sound,
    rates: &BTreeSet<u32>,
) -> Result<Arc<AudioByRate>, String> {
    let original = file.audio().original();
    let beneath = sound.file.audio().at_rate(original.sample_rate_hz);
    let beneath = beneath.map_err(|error| unconvertible(&sound.file, &error))?;
    let both = AudioByRate::new(Audio {
        sample_rate_hz: original.sample_rate_hz,
        samples: with_loop_beneath(
            &original.samples,
            &beneath.samples,
            sound.volume_db,
            original.sample_rate_hz,
        )
        .into(),
    });
    for rate_hz in rates {
        both.at_rate(*rate_hz)
            .map_err(|error| unconvertible(file, &error))?;
    }
    Ok(Arc::new(both))
}

fn unconvertible(file: &AudioFile, error: &ProviderError) -> String {
    format!("{}: {error}", file.name().display())
}

fn hold_music(
    config: &Config,
    rates: &BTreeSet<u32>,
) -> Result<Option<ReadySound>, SessionsUnusable> {
    let Some(file) = &config.media.hold_music else {
        return Ok(None);
    };
    let audio = at_rates(file, rates).map_err(|what| SessionsUnusable {
        key: "media.hold_music".to_owned(),
        what,
    })?;
    let volume_db = 0.0;
    Ok(Some(ReadySound { audio, volume_db }))
}

/// A file's audio at every rate that calls may want. Converted now, once for all agents that play the file: a long
/// file would hold up all that runs on the thread of the first call that needs it.
fn at_rates(file: &AudioFile, rates: &BTreeSet<u32>) -> Result<Arc<AudioByRate>, String> {
    for rate_hz in rates {
        let converted = file.audio().at_rate(*rate_hz);
        converted.map_err(|error| unconvertible(file, &error))?;
    }
    Ok(Arc::clone(file.audio()))
}
