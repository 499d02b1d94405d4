//! What a language model may call: tools, what they are given and what they give.
//!
//! A tool runs as a task of its own with a deadline; what it answers, that it fails, panics or takes too long, goes back
//! to the model as its output. A tool that is unknown, or given arguments against its schema, is not run, and that goes
//! back to the model, too.

mod ask_agent;
mod built_in;
mod function;
mod webhook;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

pub use ask_agent::AskAgent;
pub use built_in::{CollectDigits, HangUp, PlayAudio, SendDtmf, TransferCall};
pub use function::FunctionTool;
pub use webhook::WebhookTool;

use crate::agent::Agent;
use crate::agent_session::SessionHandle;

/// A tool as a model is told of it. Cheap to clone.
#[derive(Clone)]
pub struct ToolSpec(Arc<Spec>);

struct Spec {
    name: String,
    description: String,
    parameters: Value,
    schema: jsonschema::Validator,
}

/// Why a tool cannot be described as it is.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadToolSpec {
    /// Names are of 1 to 64 letters, digits, `_` and `-`.
    #[error("the name {0:?} is not of 1 to 64 letters, digits, _ and -")]
    Name(String),
    /// The parameters are no JSON Schema.
    #[error("the parameters of {name} are no JSON Schema: {why}")]
    Parameters {
        /// The tool's name.
        name: String,
        /// What is wrong.
        why: String,
    },
}

impl ToolSpec {
    /// Describes a tool. `parameters` is the JSON Schema of its arguments, an object's.
    ///
    /// # Errors
    /// [`BadToolSpec`].
    pub fn new(
        name: impl Into<String>,
        description: impl Into<String>,
        parameters: Value,
    ) -> Result<Self, BadToolSpec> {
        let name = name.into();
        let is_fine = |symbol: char| symbol.is_ascii_alphanumeric() || "_-".contains(symbol);
        if !(1..=64).contains(&name.len()) || !name.chars().all(is_fine) {
            return Err(BadToolSpec::Name(name));
        }
        let schema =
            jsonschema::validator_for(&parameters).map_err(|why| BadToolSpec::Parameters {
                name: name.clone(),
                why: why.to_string(),
            })?;
        Ok(Self(Arc::new(Spec {
            name,
            description: description.into(),
            parameters,
            schema,
        })))
    }

    /// What the model calls it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What it is for.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.0.description
    }

    /// The JSON Schema of its arguments.
    #[must_use]
    pub fn parameters(&self) -> &Value {
        &self.0.parameters
    }

    /// Arguments as the model wrote them, held against the schema; nothing at all is an empty object.
    ///
    /// # Errors
    /// A sentence for the model. It repeats nothing of what the model wrote but names of fields.
    pub fn read_arguments(&self, written: &str) -> Result<Value, String> {
        let written = if written.trim().is_empty() {
            "{}"
        } else {
            written
        };
        let arguments: Value = serde_json::from_str(written)
            .map_err(|error| format!("the arguments are no JSON: {error}"))?;
        let mistake = self.0.schema.iter_errors(&arguments).next().map(|error| {
            format!(
                "the arguments do not fit the schema: {} at {:?}",
                error.masked(),
                error.instance_path().as_str()
            )
        });
        match mistake {
            None => Ok(arguments),
            Some(mistake) => Err(mistake),
        }
    }
}

impl fmt::Debug for ToolSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ToolSpec").field(&self.0.name).finish()
    }
}

/// What a tool gives.
#[derive(Debug)]
pub enum ToolOutput {
    /// What the model is told.
    Text(String),
    /// Another agent takes over; the answer under way ends here.
    HandOff(HandOff),
}

impl From<&str> for ToolOutput {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for ToolOutput {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Value> for ToolOutput {
    fn from(value: Value) -> Self {
        Self::Text(value.to_string())
    }
}

/// To whom a conversation is given.
pub struct HandOff {
    /// Who takes over.
    pub agent: Arc<dyn Agent>,
    /// What it is called, in the chat context and in events.
    pub name: String,
    /// Whether it knows what was said so far.
    pub context: Inherited,
}

/// What an agent that takes over knows of what was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inherited {
    /// All of it.
    Whole,
    /// Nothing.
    Nothing,
}

impl fmt::Debug for HandOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandOff")
            .field("name", &self.name)
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}

/// Why a tool gave nothing; the model is told these words.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct ToolError(pub String);

impl ToolError {
    /// With these words.
    #[must_use]
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// Something that a model may call.
#[async_trait]
pub trait Tool: Send + Sync + 'static {
    /// How the model is told of it. The same each time.
    fn spec(&self) -> &ToolSpec;

    /// How long it may take.
    fn deadline(&self) -> Duration {
        Duration::from_secs(10)
    }

    /// Does it. The arguments fit the schema. Through `session` it may speak, which is part of the answer under way.
    /// Dropped when it is not wanted any more: the caller interrupted, or the call ended.
    ///
    /// # Errors
    /// What the model is told.
    async fn call(&self, arguments: Value, session: SessionHandle)
    -> Result<ToolOutput, ToolError>;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec() -> ToolSpec {
        let parameters = json!({
            "type": "object",
            "properties": { "city": { "type": "string" }, "days": { "type": "integer", "minimum": 1 } },
            "required": ["city"],
            "additionalProperties": false,
        });
        ToolSpec::new("weather", "The weather.", parameters).expect("a tool")
    }

    #[test]
    fn arguments_that_fit_are_read() {
        let read = spec().read_arguments(r#"{"city": "Ulm", "days": 2}"#);
        assert_eq!(read, Ok(json!({ "city": "Ulm", "days": 2 })));
    }

    #[test]
    fn no_arguments_at_all_are_an_empty_object() {
        let spec = ToolSpec::new("now", "The time.", json!({ "type": "object" })).expect("a tool");
        assert_eq!(spec.read_arguments("  "), Ok(json!({})));
    }

    #[test]
    fn arguments_that_do_not_fit_are_refused_by_name_and_their_values_are_not_repeated() {
        for (written, names) in [
            (r#"{"days": 2}"#, "city"),
            (r#"{"city": "Ulm", "days": "secret"}"#, "/days"),
            (r#"{"city": "Ulm", "days": 0}"#, "/days"),
            (r#"{"city""#, "no JSON"),
            ("[]", "object"),
        ] {
            let why = spec().read_arguments(written).expect_err(written);
            assert!(why.contains(names), "{written}: {why}");
            assert!(!why.contains("secret"), "{why}");
        }
    }

    #[test]
    fn a_tool_that_cannot_be_described_is_named() {
        let bad_name = ToolSpec::new("a tool", "", json!({}));
        assert!(matches!(bad_name, Err(BadToolSpec::Name(name)) if name == "a tool"));
        let bad_schema = ToolSpec::new("it", "", json!({ "type": "thing" }));
        let Err(BadToolSpec::Parameters { name, why }) = bad_schema else {
            panic!("{bad_schema:?}");
        };
        assert_eq!(name, "it");
        assert!(!why.is_empty());
    }
}
