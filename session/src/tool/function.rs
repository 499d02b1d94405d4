//! A function as a tool.

use async_trait::async_trait;
use serde_json::Value;

use super::{Tool, ToolError, ToolOutput, ToolSpec};
use crate::agent_session::SessionHandle;

/// A tool of a function that does not wait; one that does implements [`Tool`].
pub struct FunctionTool<F> {
    spec: ToolSpec,
    function: F,
}

impl<F> FunctionTool<F>
where
    F: Fn(Value) -> Result<ToolOutput, ToolError> + Send + Sync + 'static,
{
    /// The tool. The function runs on a task of the session's, so that it is to be quick.
    pub fn new(spec: ToolSpec, function: F) -> Self {
        Self { spec, function }
    }
}

impl<F> std::fmt::Debug for FunctionTool<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("FunctionTool").field(&self.spec).finish()
    }
}

#[async_trait]
impl<F> Tool for FunctionTool<F>
where
    F: Fn(Value) -> Result<ToolOutput, ToolError> + Send + Sync + 'static,
{
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, arguments: Value, _: SessionHandle) -> Result<ToolOutput, ToolError> {
        (self.function)(arguments)
    }
}
