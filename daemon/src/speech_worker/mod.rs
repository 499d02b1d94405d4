//! Embedded speech: a recogniser (pocketsphinx) and a voice (flite) in child processes.
//!
//! ```text
//!   SpeechWorker ──► pool of one role ──► bounded queue ──► one task a process ──► socket pair ──► child
//!   (the session's    synthesis: 1         64 requests        deadline, kill,        frames         one request
//!    provider)        recognition: cores                      restart with back-off                 at a time
//! ```
//!
//! The libraries are C, load large models and are given whatever a caller says, so they never share
//! the daemon's address space: a request that crashes or hangs one costs that request and a restart.
//! Each role has processes of its own, so a recogniser that hangs never holds up the voice.
//!
//! This folder owns the protocol (`frame`, `message`), the child ([`child`], with one file of
//! foreign functions for each library), and the supervisor. It leaves to the session what is said,
//! when somebody listens, and what a failure means for the call.

pub mod child;
pub mod dictionary;

mod acceptance;
mod flite;
mod frame;
mod library;
mod message;
mod pocketsphinx;
mod pool;
mod process;
mod spotting;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use offhook_session::grammar::Grammar;
use offhook_session::provider::{Audio, ProviderError, Recognition, SpeechToText, TextToSpeech};

use message::{Request, Response, Start};
use pool::Pool;

/// The subcommand under which the program is its own speech worker.
pub const SUBCOMMAND: &str = "speech-worker";

/// Where Debian's `pocketsphinx-en-us` puts the recogniser's model.
pub const DEBIAN_MODEL_FOLDER: &str = "/usr/share/pocketsphinx/model/en-us";

/// What a speech process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Text to speech.
    Synthesis,
    /// Speech to text.
    Recognition,
}

impl Role {
    /// The role's name in logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Synthesis => "synthesis",
            Self::Recognition => "recognition",
        }
    }
}

/// One of flite's voices, all of them US English.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Voice {
    /// A woman's voice; the clearest of them over a telephone.
    #[default]
    Slt,
    /// A man's voice.
    Rms,
    /// A Scottish man's voice.
    Awb,
    /// A man's voice of diphones: the most artificial of them.
    Kal,
}

impl Voice {
    /// The voice's name in a configuration file and in flite.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Slt => "slt",
            Self::Rms => "rms",
            Self::Awb => "awb",
            Self::Kal => "kal",
        }
    }

    /// The voice of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Slt, Self::Rms, Self::Awb, Self::Kal]
            .into_iter()
            .find(|voice| voice.as_str() == name)
    }
}

/// How the speech processes are run.
#[derive(Clone, Debug)]
pub struct SpeechConfig {
    /// The program that has the `speech-worker` subcommand; by default this one.
    pub program: PathBuf,
    /// Look for the libraries in this folder instead of where the system's loader looks.
    pub library_folder: Option<PathBuf>,
    /// The recogniser's model: a folder with `en-us/` and `cmudict-en-us.dict`.
    pub model_folder: PathBuf,
    /// The voice of [`SpeechWorker`] itself as a [`TextToSpeech`].
    pub voice: Voice,
    /// Processes that synthesise (1 to 16).
    pub synthesis_processes: usize,
    /// Processes that recognise (1 to 64).
    pub recognition_processes: usize,
    /// How long a synthesis may take, waiting included.
    pub synthesis_deadline: Duration,
    /// How long a recognition may take, waiting included.
    pub recognition_deadline: Duration,
}

impl Default for SpeechConfig {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            program: PathBuf::from("/proc/self/exe"),
            library_folder: None,
            model_folder: PathBuf::from(DEBIAN_MODEL_FOLDER),
            voice: Voice::default(),
            synthesis_processes: 1,
            recognition_processes: cores.min(8),
            synthesis_deadline: Duration::from_secs(10),
            recognition_deadline: Duration::from_secs(5),
        }
    }
}

/// The embedded recogniser and voice. Cloning shares the processes; they end when the last clone and
/// the last [`FliteVoice`] are dropped.
#[derive(Clone)]
pub struct SpeechWorker {
    synthesis: Arc<Pool>,
    recognition: Arc<Pool>,
    voice: Voice,
}

impl SpeechWorker {
    /// Starts the processes in the background and returns at once. Requests wait for the first process
    /// to be ready; when none can be started they fail with [`ProviderError::Unavailable`], and the
    /// start is tried again with a growing pause.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn start(config: &SpeechConfig) -> Self {
        let start = |role| Start {
            role,
            library_folder: config.library_folder.clone(),
            model_folder: config.model_folder.clone(),
        };
        Self {
            synthesis: Pool::start(
                &config.program,
                start(Role::Synthesis),
                config.synthesis_processes.clamp(1, 16),
                config.synthesis_deadline,
            ),
            recognition: Pool::start(
                &config.program,
                start(Role::Recognition),
                config.recognition_processes.clamp(1, 64),
                config.recognition_deadline,
            ),
            voice: config.voice,
        }
    }

    /// Waits until a process of the role is ready.
    ///
    /// # Errors
    /// [`ProviderError::Unavailable`] with the reason when the start failed: it names the library that
    /// is missing and the Debian package that has it.
    pub async fn ready(&self, role: Role) -> Result<(), ProviderError> {
        self.pool(role).ready().await
    }

    /// Another voice from the same processes.
    #[must_use]
    pub fn with_voice(&self, voice: Voice) -> FliteVoice {
        FliteVoice {
            synthesis: Arc::clone(&self.synthesis),
            voice,
        }
    }

    /// The processes of a role that are alive now, by process id.
    #[must_use]
    pub fn process_ids(&self, role: Role) -> Vec<u32> {
        self.pool(role).process_ids()
    }

    fn pool(&self, role: Role) -> &Pool {
        match role {
            Role::Synthesis => &self.synthesis,
            Role::Recognition => &self.recognition,
        }
    }
}

/// One voice of a [`SpeechWorker`].
#[derive(Clone)]
pub struct FliteVoice {
    synthesis: Arc<Pool>,
    voice: Voice,
}

#[async_trait]
impl TextToSpeech for FliteVoice {
    fn voice(&self) -> &str {
        self.voice.as_str()
    }

    async fn synthesise(&self, text: &str) -> Result<Audio, ProviderError> {
        let request = Request::Synthesise {
            voice: self.voice,
            text: text.to_owned(),
        };
        match self.synthesis.ask(request, Arc::from([])).await? {
            (Response::Audio { sample_rate_hz }, samples) => Ok(Audio {
                sample_rate_hz,
                samples,
            }),
            (other, _) => Err(unexpected(other)),
        }
    }
}

#[async_trait]
impl TextToSpeech for SpeechWorker {
    fn voice(&self) -> &str {
        self.voice.as_str()
    }

    async fn synthesise(&self, text: &str) -> Result<Audio, ProviderError> {
        self.with_voice(self.voice).synthesise(text).await
    }
}

#[async_trait]
impl SpeechToText for SpeechWorker {
    async fn recognise(
        &self,
        utterance: Audio,
        grammar: &Grammar,
    ) -> Result<Recognition, ProviderError> {
        let request = Request::Recognise {
            sample_rate_hz: utterance.sample_rate_hz,
            phrases: grammar.phrases.clone(),
        };
        match self.recognition.ask(request, utterance.samples).await? {
            (Response::Phrase { text, confidence }, _) => {
                Ok(Recognition::Phrase { text, confidence })
            }
            (Response::OutOfGrammar, _) => Ok(Recognition::OutOfGrammar),
            (other, _) => Err(unexpected(other)),
        }
    }

    async fn spot(
        &self,
        heard: Audio,
        phrases: &'static [&'static str],
    ) -> Result<Vec<&'static str>, ProviderError> {
        let request = Request::Spot {
            sample_rate_hz: heard.sample_rate_hz,
            phrases: phrases.iter().map(|phrase| (*phrase).to_owned()).collect(),
        };
        match self.recognition.ask(request, heard.samples).await? {
            (Response::Spotted { places }, _) => Ok(places
                .into_iter()
                .filter_map(|place| phrases.get(place).copied())
                .collect()),
            (other, _) => Err(unexpected(other)),
        }
    }
}

fn unexpected(response: Response) -> ProviderError {
    match response {
        Response::Refused { reason } => ProviderError::Refused(reason),
        Response::Unavailable { reason } => ProviderError::Unavailable(reason),
        Response::Ready
        | Response::Audio { .. }
        | Response::Phrase { .. }
        | Response::OutOfGrammar
        | Response::Spotted { .. } => {
            ProviderError::Died("it answered something that was not asked".to_owned())
        }
    }
}
