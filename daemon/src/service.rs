//! The daemon at work: starts what a configuration asks for, runs until it is told to stop, drains.
//!
//! ```text
//! Config ─► Service::start ─► media threads, signalling task, HTTP listener, speech processes
//!                └─► until_told_to_stop ─► stop: drain, then end each of them
//! ```

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use offhook_session::agent_session::Providers;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinHandle};

use crate::captures::Captures;
use crate::config::{Agent, Config};
use crate::control::{CallDirectory, Control};
use crate::descriptor_limit;
use crate::dns::{Dns, DnsUnavailable};
use crate::listeners::Listeners;
use crate::media_driver::{MediaThreads, count_threads};
use crate::prompt_warming::warm_prompts;
use crate::random::Random;
use crate::recordings::Recordings;
use crate::sessions::{Sessions, SessionsUnusable};
use crate::sip_driver::transports::{
    ConnectionLimits, ConnectionTimes, StreamSettings, Transports,
};
use crate::sip_driver::{COMMAND_QUEUE, Command, FinishedCall, NOTICE_QUEUE, Parts, Signalling};
use crate::speech_worker::{SpeechConfig, SpeechWorker};
use crate::telemetry::Telemetry;
use crate::telemetry::health::{Health, NotStarted};
use crate::telemetry::service_manager::{ServiceManager, Watchdog};
use crate::tls::{Tls, TlsError};

/// A signalling task that has not come round for so long stands still; it comes round every second.
const LONGEST_SIGNALLING_TURN: Duration = Duration::from_secs(3);
/// How long the loops may take to begin; they take a millisecond. Beyond, something is wrong with the machine.
const FIRST_BEATS: Duration = Duration::from_secs(10);
/// How often the media threads' counters are published.
const COUNT_PERIOD: Duration = Duration::from_secs(1);

/// How long a page that is being fetched at the very end may take; a browser that asks by halves would
/// otherwise keep the daemon.
const LAST_PAGES: Duration = Duration::from_secs(2);

/// Why the daemon ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The runtime, a thread, a socket or a signal handler could not be had.
    #[error("cannot start: {0}")]
    Start(#[source] io::Error),
    /// A loop that must turn does not.
    #[error("cannot start: {0}")]
    NotStarted(#[from] NotStarted),
    /// An agent cannot take calls.
    #[error(transparent)]
    Sessions(#[from] SessionsUnusable),
    /// Names cannot be resolved.
    #[error("names cannot be resolved: {0}")]
    Dns(#[from] DnsUnavailable),
    /// A file of `sip.tls` was good when the configuration was read, and is not any more.
    #[error("sip.tls.{0}")]
    Tls(#[from] TlsError),
    /// The HTTP listener failed.
    #[error("the HTTP listener ended: {0}")]
    Control(#[source] io::Error),
    /// The signalling task ended by a fault of ours.
    #[error("signalling ended by a fault")]
    Signalling,
}

/// Answers calls until SIGTERM or SIGINT, then drains.
///
/// # Errors
/// See [`ServiceError`].
pub fn run(
    config: Config,
    listeners: Listeners,
    telemetry: &Telemetry,
) -> Result<(), ServiceError> {
    let providers = embedded_providers(&config);
    run_with(config, listeners, telemetry, providers)
}

/// As [`run`], with a voice and a recogniser of the caller's.
///
/// # Errors
/// See [`ServiceError`].
pub fn run_with(
    config: Config,
    listeners: Listeners,
    telemetry: &Telemetry,
    providers: impl FnOnce() -> Providers,
) -> Result<(), ServiceError> {
    runtime()?.block_on(async {
        let service = Service::start_with(config, listeners, telemetry, None, providers()).await?;
        service.until_told_to_stop().await
    })
}

/// The runtime that signalling, agents and HTTP share; the media threads are none of its.
///
/// It has a thread for every two cores. What runs here is short and often, and a task that wakes another on an idle
/// thread pays for two system calls and a change of context: with a thread a core a call costs a fifth more
/// (docs/performance.md). The other cores are the media threads' and the speech processes'.
///
/// # Errors
/// When the kernel gives no threads.
pub fn runtime() -> Result<tokio::runtime::Runtime, ServiceError> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads((cores / 2).max(1))
        .enable_all()
        .build()
        .map_err(ServiceError::Start)
}

/// The daemon, started.
pub struct Service {
    config: Arc<Config>,
    health: Arc<Health>,
    signals: Signals,
    manager: ServiceManager,
    _watchdog: Option<Watchdog>,
    media: Arc<MediaThreads>,
    recordings: Option<Arc<Recordings>>,
    captures: Arc<Captures>,
    commands: mpsc::Sender<Command>,
    signalling: JoinHandle<()>,
    stop_control: oneshot::Sender<()>,
    control: JoinHandle<io::Result<()>>,
    counting: JoinHandle<()>,
    warming: JoinHandle<()>,
}

/// The signals that are heard.
#[derive(Debug)]
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }
}

impl Service {
    /// Starts everything, sees that it turns, and reports readiness. What is left of each call when it is over goes to
    /// `finished`, where somebody wants it; what finds no room there is dropped.
    ///
    /// # Errors
    /// See [`ServiceError`]; nothing is left running then.
    pub async fn start(
        config: Config,
        listeners: Listeners,
        telemetry: &Telemetry,
        finished: Option<mpsc::Sender<FinishedCall>>,
    ) -> Result<Self, ServiceError> {
        let providers = embedded_providers(&config)();
        Self::start_with(config, listeners, telemetry, finished, providers).await
    }

    /// As [`Self::start`], with a voice and a recogniser of the caller's.
    ///
    /// # Errors
    /// See [`ServiceError`]; nothing is left running then.
    pub async fn start_with(
        config: Config,
        listeners: Listeners,
        telemetry: &Telemetry,
        finished: Option<mpsc::Sender<FinishedCall>>,
        providers: Providers,
    ) -> Result<Self, ServiceError> {
        // Before anybody is told that we are ready: unheard, a SIGHUP would end the daemon.
        let signals = Signals::listen().map_err(ServiceError::Start)?;
        raise_descriptor_limit(&config);
        let config = Arc::new(config);
        let health = Arc::new(Health::new(Instant::now()));
        let directory = Arc::new(CallDirectory::default());
        let recordings = recordings(&config)?;
        let captures = Arc::new(Captures::new(config.captures.clone()));
        let sessions = Arc::new(Sessions::new(
            &config,
            providers.clone(),
            recordings.clone(),
        )?);

        let (notice_sender, notices) = mpsc::channel(NOTICE_QUEUE);
        let threads = config.media.threads.get();
        let media =
            MediaThreads::start(threads, &notice_sender, &health).map_err(ServiceError::Start)?;
        let media = Arc::new(media);

        let control_address = listeners.control_address();
        let transports = Transports::start(listeners.sip, stream_settings(&config)?)
            .map_err(ServiceError::Start)?;
        let dns = Dns::new(config.sip.dns_servers.clone())?;
        let (commands, command_receiver) = mpsc::channel(COMMAND_QUEUE);
        let signalling = Signalling::new(Parts {
            config: Arc::clone(&config),
            transports,
            dns,
            media: Arc::clone(&media),
            sessions,
            captures: Arc::clone(&captures),
            directory: Arc::clone(&directory),
            notices,
            commands: command_receiver,
            finished,
            heartbeat: health.watch("signalling", LONGEST_SIGNALLING_TURN),
            random: Random::from_kernel().map_err(ServiceError::Start)?,
        });

        let control = Control {
            health: Arc::clone(&health),
            calls: directory,
            metrics: telemetry.metrics.clone(),
            config: Arc::clone(&config),
            commands: commands.clone(),
            captures: Arc::clone(&captures),
            names: config.control.names.as_slice().into(),
        };
        let (stop_control, control_stopped) = oneshot::channel::<()>();
        let control = tokio::spawn(control.serve(listeners.control, async {
            // A dropped sender asks for the stop just as well.
            let _ = control_stopped.await;
        }));

        let mut service = Self {
            signals,
            counting: tokio::spawn(publish_counters(Arc::clone(&media))),
            warming: tokio::spawn(warm_prompts(Arc::clone(&config), providers)),
            signalling: tokio::spawn(signalling.run()),
            config,
            health,
            manager: ServiceManager::default(),
            _watchdog: None,
            media,
            recordings,
            captures,
            commands,
            stop_control,
            control,
        };
        if let Err(error) = service.report_ready().await {
            service.give_up();
            return Err(error);
        }
        tracing::info!(control = %control_address, media_threads = threads, "ready");
        Ok(service)
    }

    /// Tells the service manager that calls are answered, once they are: a loop that has not begun would
    /// be taken for one that hangs, and `/readyz` would contradict us.
    async fn report_ready(&mut self) -> Result<(), ServiceError> {
        self.health.wait_for_first_beats(FIRST_BEATS).await?;
        self._watchdog = self
            .manager
            .start_watchdog(Arc::clone(&self.health))
            .map_err(ServiceError::Start)?;
        self.manager.ready("answering calls");
        Ok(())
    }

    /// Ends what was started and never took a call. A thread that hangs is left behind.
    fn give_up(self) {
        for task in [&self.signalling, &self.counting, &self.warming] {
            task.abort();
        }
        self.control.abort();
    }

    /// Runs until SIGTERM, SIGINT or a failure, then drains.
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub async fn until_told_to_stop(mut self) -> Result<(), ServiceError> {
        loop {
            tokio::select! {
                _ = self.signals.terminate.recv() => break,
                _ = self.signals.interrupt.recv() => break,
                _ = self.signals.hang_up.recv() => {
                    tracing::warn!("reading the configuration again is not built yet; only certificates are read");
                    // A full queue empties within a turn; a task that is gone has no use for certificates.
                    let _ = self.commands.send(Command::ReloadCertificates).await;
                }
                ended = &mut self.control => {
                    // The least of our parts: calls are let go in order all the same.
                    tracing::error!("the HTTP listener ended; the daemon drains");
                    self.control = tokio::spawn(async { Ok(()) });
                    self.stop().await?;
                    return ended_with(ended);
                }
                _ = &mut self.signalling => return Err(ServiceError::Signalling),
            }
        }
        self.stop().await
    }

    /// Drains: refuses new calls, lets live ones end until the configured deadline, hangs up the rest;
    /// then ends everything. Liveness and metrics are served to the last.
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub async fn stop(self) -> Result<(), ServiceError> {
        let timeout = self.config.drain.timeout;
        self.health.start_draining();
        let drained = async {
            // A full queue empties within a turn; a task that is gone has nothing to drain.
            let _ = self.commands.send(Command::Drain { timeout }).await;
            self.signalling.await
        };
        let signalling = self.manager.while_stopping("draining", drained).await;
        self.counting.abort();
        self.warming.abort();
        // These block, for a tick and for a write; nothing else runs any more that could mind.
        self.media.stop();
        if let Some(recordings) = &self.recordings {
            recordings.finish();
        }
        self.captures.finish();
        drop(self.stop_control);
        let mut control = self.control;
        match tokio::time::timeout(LAST_PAGES, &mut control).await {
            Ok(ended) => ended_with(ended)?,
            Err(_) => {
                tracing::debug!("an unfinished request to the HTTP listener is given up");
                control.abort();
            }
        }
        signalling.map_err(|_| ServiceError::Signalling)
    }
}

fn raise_descriptor_limit(config: &Config) {
    match descriptor_limit::raise() {
        Ok(limit) => {
            if let Some(shortage) = descriptor_limit::shortage(limit, config.limits.calls) {
                tracing::warn!("{shortage}");
            }
        }
        Err(error) => tracing::warn!(%error, "the limit of open files cannot be raised"),
    }
}

/// How SIP's connections are treated; only trunks may have one.
fn stream_settings(config: &Arc<Config>) -> Result<StreamSettings, TlsError> {
    let known = Arc::clone(config);
    Ok(StreamSettings {
        tls: config.sip.tls.as_ref().map(Tls::load).transpose()?,
        gate: Arc::new(move |source| known.trunk_for(source).is_some()),
        times: ConnectionTimes {
            idle: config.sip.connection_idle,
            ..ConnectionTimes::default()
        },
        limits: ConnectionLimits::default(),
    })
}

/// The embedded voice and recogniser, when an agent needs them; started where there is a runtime.
fn embedded_providers(config: &Config) -> impl FnOnce() -> Providers + use<> {
    let speaks = config.has_a_voice();
    move || {
        if !speaks {
            return Providers::default();
        }
        let speech = Arc::new(SpeechWorker::start(&SpeechConfig::default()));
        Providers {
            voice: Some(speech.clone()),
            recogniser: Some(speech),
            ..Providers::default()
        }
    }
}

fn recordings(config: &Config) -> Result<Option<Arc<Recordings>>, ServiceError> {
    let folder = config
        .recordings
        .clone()
        .filter(|_| config.agents.values().any(Agent::keeps_audio));
    let started = folder
        .map(Recordings::start)
        .transpose()
        .map_err(ServiceError::Start)?;
    Ok(started.map(Arc::new))
}

/// Publishes what the media threads counted, once a second.
async fn publish_counters(media: Arc<MediaThreads>) {
    let mut clock = tokio::time::interval(COUNT_PERIOD);
    loop {
        clock.tick().await;
        count_threads(&media);
    }
}

/// How the HTTP listener's task ended.
fn ended_with(task: Result<io::Result<()>, JoinError>) -> Result<(), ServiceError> {
    let result = task.unwrap_or_else(|panic| Err(io::Error::other(panic)));
    result.map_err(ServiceError::Control)
}
