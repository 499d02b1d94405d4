//! Asking another agent, as a tool of the model's.

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{Tool, ToolError, ToolOutput, ToolSpec};
use crate::agent_directory::{ANSWER_DEADLINE, AgentDirectory};
use crate::agent_session::SessionHandle;

/// `ask_agent`: asks one of the agents that were registered when the tool was made.
#[derive(Debug)]
pub struct AskAgent {
    spec: ToolSpec,
    directory: AgentDirectory,
    from: String,
}

impl AskAgent {
    /// The tool; `from` is what the others are told of who asks.
    #[must_use]
    pub fn new(directory: AgentDirectory, from: impl Into<String>) -> Self {
        let from = from.into();
        let mut others = directory.cards();
        others.retain(|card| card.id != from);
        let ids: Vec<&String> = others.iter().map(|card| &card.id).collect();
        let mut description = "Asks another agent and gives its answer.".to_owned();
        for card in &others {
            let able: Vec<&str> = card.capabilities.iter().map(String::as_str).collect();
            description += &format!(
                " {}: {}, about {}, can {}.",
                card.id,
                card.name,
                card.domain,
                able.join(", ")
            );
        }
        let parameters = json!({
            "type": "object",
            "properties": {
                "agent": { "type": "string", "enum": ids },
                "question": { "type": "string", "minLength": 1 },
            },
            "required": ["agent", "question"],
            "additionalProperties": false,
        });
        let spec = ToolSpec::new("ask_agent", description, parameters).expect("a schema of ours");
        Self {
            spec,
            directory,
            from,
        }
    }
}

#[async_trait]
impl Tool for AskAgent {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn deadline(&self) -> std::time::Duration {
        // The directory's own comes first, and says more.
        ANSWER_DEADLINE * 2
    }

    async fn call(&self, arguments: Value, _: SessionHandle) -> Result<ToolOutput, ToolError> {
        let text = |name: &str| arguments[name].as_str().unwrap_or_default();
        let answer = self
            .directory
            .ask(self.from.clone(), text("agent"), text("question"))
            .await;
        answer
            .map(ToolOutput::Text)
            .map_err(|why| ToolError::new(why.to_string()))
    }
}
