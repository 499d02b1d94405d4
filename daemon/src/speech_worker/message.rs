//! What the supervisor and a speech process say to each other; [`super::frame`] carries it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Role, Voice};

/// The first frame to a process: what it is to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Start {
    /// What the process does from now on.
    pub(super) role: Role,
    /// Where its libraries are, if not where the system's loader looks.
    pub(super) library_folder: Option<PathBuf>,
    /// Where the recogniser's model is.
    pub(super) model_folder: PathBuf,
}

/// One request; its samples, if it has any, follow it in the frame.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub(super) enum Request {
    /// Say the text.
    Synthesise {
        /// In this voice.
        voice: Voice,
        /// Anything a person may write.
        text: String,
    },
    /// Which phrase the samples hold.
    Recognise {
        /// The samples' rate.
        sample_rate_hz: u32,
        /// Lower-case phrases.
        phrases: Vec<String>,
    },
    /// Which phrases the samples hold, among other words.
    Spot {
        /// The samples' rate.
        sample_rate_hz: u32,
        /// Lower-case phrases.
        phrases: Vec<String>,
    },
}

/// The answer to a frame; each frame is answered by exactly one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "response", rename_all = "snake_case")]
pub(super) enum Response {
    /// Started: libraries and models are loaded.
    Ready,
    /// The samples that follow are the text, spoken.
    Audio {
        /// Their rate.
        sample_rate_hz: u32,
    },
    /// A phrase of the grammar was said.
    Phrase {
        /// As the grammar spells it.
        text: String,
        /// 0 to 1.
        confidence: f32,
    },
    /// Something else was said, or nothing.
    OutOfGrammar,
    /// The phrases that were spotted, by their place in the request.
    Spotted {
        /// Each once, in rising order.
        places: Vec<usize>,
    },
    /// The request makes no sense; the process is well.
    Refused {
        /// Why.
        reason: String,
    },
    /// A library or a model is missing.
    Unavailable {
        /// Which, and which Debian package has it.
        reason: String,
    },
}
