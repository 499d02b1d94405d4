//! The tools that come with every session: hanging up, transferring, pressing and collecting keys, playing audio.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Tool, ToolError, ToolOutput, ToolSpec};
use crate::agent::AudioByRate;
use crate::agent_session::{
    CollectOptions, Collected, DigitsSent, EndCause, KeySequence, Outcome, PlayOptions, QueueMode,
    SendDtmfOptions, SessionHandle, TransferOutcome, TransferRequest,
};

/// How long something that waits for the caller or a third party may take.
const PATIENT: Duration = Duration::from_secs(120);

/// A description of ours.
fn spec(name: &str, description: &str, parameters: Value) -> ToolSpec {
    ToolSpec::new(name, description, parameters).expect("a schema of ours")
}

/// Arguments that fit the schema, as a type of ours.
fn read<T: DeserializeOwned>(arguments: Value) -> Result<T, ToolError> {
    serde_json::from_value(arguments).map_err(|error| ToolError::new(error.to_string()))
}

/// `hang_up`: ends the call when what is being said was heard.
#[derive(Debug)]
pub struct HangUp(ToolSpec);

impl HangUp {
    /// The tool.
    #[must_use]
    pub fn new() -> Self {
        Self(spec(
            "hang_up",
            "Ends the call, after everything said until now was heard. Say goodbye first.",
            json!({ "type": "object", "properties": {}, "additionalProperties": false }),
        ))
    }
}

impl Default for HangUp {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Tool for HangUp {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    async fn call(&self, _: Value, session: SessionHandle) -> Result<ToolOutput, ToolError> {
        session.hangup(EndCause::AgentHungUp).await;
        Ok("The call ends.".into())
    }
}

/// `transfer_call`: sends the caller to one of the destinations that it was made with. A model that could name any
/// number could be talked into calling any.
#[derive(Debug)]
pub struct TransferCall {
    spec: ToolSpec,
    destinations: BTreeMap<String, TransferRequest>,
}

impl TransferCall {
    /// The tool, with the destinations by the names that the model knows them by.
    #[must_use]
    pub fn new(destinations: BTreeMap<String, TransferRequest>) -> Self {
        let names: Vec<&String> = destinations.keys().collect();
        let spec = spec(
            "transfer_call",
            "Transfers the caller and tells what became of it. When it is completed the call is over; otherwise the \
             caller is still there.",
            json!({
                "type": "object",
                "properties": { "destination": { "type": "string", "enum": names } },
                "required": ["destination"],
                "additionalProperties": false,
            }),
        );
        Self { spec, destinations }
    }
}

#[async_trait]
impl Tool for TransferCall {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn deadline(&self) -> Duration {
        // Somebody is called, asked, and then the caller is sent there.
        let longest = self.destinations.values().map(|request| request.timeout);
        PATIENT + longest.max().unwrap_or_default() * 2
    }

    async fn call(
        &self,
        arguments: Value,
        session: SessionHandle,
    ) -> Result<ToolOutput, ToolError> {
        #[derive(Deserialize)]
        struct Arguments {
            destination: String,
        }
        let Arguments { destination } = read(arguments)?;
        let Some(request) = self.destinations.get(&destination) else {
            return Err(ToolError::new("there is no such destination"));
        };
        let outcome = session.transfer(request.clone()).await;
        match outcome {
            TransferOutcome::Completed | TransferOutcome::Bridged => Ok(outcome.as_str().into()),
            TransferOutcome::Rejected(status) => Err(ToolError::new(format!(
                "refused with status {status}; the caller is still there"
            ))),
            TransferOutcome::TimedOut
            | TransferOutcome::Declined
            | TransferOutcome::Machine
            | TransferOutcome::NotAdmitted
            | TransferOutcome::Impossible => {
                let outcome = outcome.as_str();
                Err(ToolError::new(format!(
                    "{outcome}; the caller is still there"
                )))
            }
        }
    }
}

/// `send_dtmf`: presses keys towards the far end.
#[derive(Debug)]
pub struct SendDtmf(ToolSpec);

impl SendDtmf {
    /// The tool.
    #[must_use]
    pub fn new() -> Self {
        Self(spec(
            "send_dtmf",
            "Presses keys on the line, as in the menu of a machine: 0-9, *, #, A-D; w waits half a second, a comma two.",
            json!({
                "type": "object",
                "properties": {
                    "keys": { "type": "string", "minLength": 1, "maxLength": KeySequence::BOUND },
                },
                "required": ["keys"],
                "additionalProperties": false,
            }),
        ))
    }
}

impl Default for SendDtmf {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Tool for SendDtmf {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    fn deadline(&self) -> Duration {
        PATIENT
    }

    async fn call(
        &self,
        arguments: Value,
        session: SessionHandle,
    ) -> Result<ToolOutput, ToolError> {
        #[derive(Deserialize)]
        struct Arguments {
            keys: String,
        }
        let Arguments { keys } = read(arguments)?;
        let keys: KeySequence = keys
            .parse()
            .map_err(|why| ToolError::new(format!("{why}")))?;
        match session.send_dtmf(keys, SendDtmfOptions::default()).await {
            DigitsSent::All => Ok("pressed".into()),
            DigitsSent::CutShort { .. } | DigitsSent::Refused => {
                Err(ToolError::new("not all keys could be pressed"))
            }
        }
    }
}

/// `collect_digits`: asks the caller for keys.
#[derive(Debug)]
pub struct CollectDigits {
    spec: ToolSpec,
    options: CollectOptions,
}

impl CollectDigits {
    /// The tool. `options` are what the model does not choose: it chooses the prompt and how many. Where they are
    /// `sensitive` the model is told how many digits came, not which.
    #[must_use]
    pub fn new(options: CollectOptions) -> Self {
        let spec = spec(
            "collect_digits",
            "Asks the caller to enter digits on the keypad and gives them. The # key ends the entry.",
            json!({
                "type": "object",
                "properties": {
                    "prompt": { "type": "string", "description": "What the caller is asked, said aloud." },
                    "min": { "type": "integer", "minimum": 1, "maximum": CollectOptions::BOUND },
                    "max": { "type": "integer", "minimum": 1, "maximum": CollectOptions::BOUND },
                },
                "required": ["prompt"],
                "additionalProperties": false,
            }),
        );
        Self { spec, options }
    }

    fn told(&self, digits: &str) -> String {
        if self.options.sensitive {
            format!("{} digits, which are kept from you", digits.len())
        } else {
            digits.to_owned()
        }
    }
}

#[async_trait]
impl Tool for CollectDigits {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn deadline(&self) -> Duration {
        PATIENT
    }

    async fn call(
        &self,
        arguments: Value,
        session: SessionHandle,
    ) -> Result<ToolOutput, ToolError> {
        #[derive(Deserialize)]
        struct Arguments {
            prompt: String,
            min: Option<usize>,
            max: Option<usize>,
        }
        let Arguments { prompt, min, max } = read(arguments)?;
        let options = CollectOptions {
            prompt: Some(prompt),
            min: min.unwrap_or(self.options.min),
            max: max.unwrap_or(self.options.max),
            ..self.options.clone()
        };
        match session.collect(options).await {
            Collected::Digits(digits) => Ok(self.told(digits.expose()).into()),
            Collected::TooFew(digits) => Err(ToolError::new(format!(
                "too few: {}",
                self.told(digits.expose())
            ))),
            Collected::TimedOut(digits) => Err(ToolError::new(format!(
                "the caller stopped: {}",
                self.told(digits.expose())
            ))),
            Collected::Cancelled => Err(ToolError::new("cancelled")),
        }
    }
}

/// `play_audio`: plays one of the recordings that it was made with, as part of what is said.
#[derive(Debug)]
pub struct PlayAudio {
    spec: ToolSpec,
    recordings: BTreeMap<String, Arc<AudioByRate>>,
}

impl PlayAudio {
    /// The tool, with the recordings by the names that the model knows them by.
    #[must_use]
    pub fn new(recordings: BTreeMap<String, Arc<AudioByRate>>) -> Self {
        let names: Vec<&String> = recordings.keys().collect();
        let spec = spec(
            "play_audio",
            "Plays a recording to the caller, to its end.",
            json!({
                "type": "object",
                "properties": { "recording": { "type": "string", "enum": names } },
                "required": ["recording"],
                "additionalProperties": false,
            }),
        );
        Self { spec, recordings }
    }
}

#[async_trait]
impl Tool for PlayAudio {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn deadline(&self) -> Duration {
        let longest = self.recordings.values();
        let longest = longest.map(|recording| recording.original().duration());
        PATIENT + longest.max().unwrap_or_default()
    }

    async fn call(
        &self,
        arguments: Value,
        session: SessionHandle,
    ) -> Result<ToolOutput, ToolError> {
        #[derive(Deserialize)]
        struct Arguments {
            recording: String,
        }
        let Arguments { recording } = read(arguments)?;
        let Some(recording) = self.recordings.get(&recording) else {
            return Err(ToolError::new("there is no such recording"));
        };
        let audio = recording
            .at_rate(session.sample_rate_hz())
            .map_err(|error| ToolError::new(error.to_string()))?;
        let options = PlayOptions {
            queue: QueueMode::After,
            ..PlayOptions::default()
        };
        match session.play(audio, options).wait().await {
            Outcome::Completed => Ok("played".into()),
            Outcome::Interrupted { .. } => Err(ToolError::new("the caller interrupted it")),
            Outcome::Failed(why) => Err(ToolError::new(why.to_string())),
        }
    }
}
