//! What a daemon is told over HTTP by whoever runs it: calls to make, end, hold and send elsewhere.

use std::time::Duration;

use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::http;
use crate::wait::wait_until;

/// The longest that an answer about a call may take, a transfer's outcome included.
const PATIENCE: Duration = Duration::from_secs(15);

/// The daemon's HTTP commands.
impl Daemon {
    /// Asks for `method` on `path` and gives status and body; a body that is none is `null`.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn ask(&self, method: &str, path: &str, body: &Value) -> Result<(u16, Value), String> {
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        let answer = http::ask(self.control(), method, path, &body, PATIENCE);
        let (status, body) = answer.map_err(|error| format!("{method} {path}: {error}"))?;
        Ok((status, serde_json::from_str(&body).unwrap_or_default()))
    }

    /// Calls `to` with the agent `agent` and gives the answer that comes when the call is as `wait` says: `begun`,
    /// `answered` or `ended`.
    ///
    /// # Errors
    /// When the call is not begun.
    pub fn place(&self, to: &str, agent: &str, wait: &str) -> Result<Value, String> {
        let body = json!({ "to": to, "agent": agent, "wait": wait });
        match self.ask("POST", "/v1/calls", &body)? {
            (201, answer) => Ok(answer),
            (status, answer) => Err(format!("{status}: {answer}")),
        }
    }

    /// Does something with a call that has no more to say than that it was done.
    ///
    /// # Errors
    /// When it was not.
    pub fn control_call(&self, id: &str, what: &str) -> Result<(), String> {
        let (method, path, body) = match what {
            "hang up" => ("DELETE", format!("/v1/calls/{id}"), Value::Null),
            other => ("POST", format!("/v1/calls/{id}/{other}"), json!({})),
        };
        match self.ask(method, &path, &body)? {
            (204, _) => Ok(()),
            (status, answer) => Err(format!("{what}: {status}: {answer}")),
        }
    }

    /// Sends the far end of a call to `target`, and gives what became of it.
    ///
    /// # Errors
    /// When it could not be asked.
    pub fn transfer(&self, id: &str, target: &str, timeout_s: u32) -> Result<Value, String> {
        let body = json!({ "target": target, "timeout_s": timeout_s });
        match self.ask("POST", &format!("/v1/calls/{id}/transfer"), &body)? {
            (200, answer) => Ok(answer),
            (status, answer) => Err(format!("{status}: {answer}")),
        }
    }

    /// The live calls.
    ///
    /// # Errors
    /// When the list cannot be had.
    pub fn live_calls(&self) -> Result<Vec<Value>, String> {
        let (_, list) = self.ask("GET", "/v1/calls", &Value::Null)?;
        Ok(list["calls"].as_array().cloned().unwrap_or_default())
    }

    /// Waits until the one trunk of tests is as `is_so` says.
    ///
    /// # Errors
    /// When it is not within `limit`, with how it is.
    pub fn trunk_becomes(
        &self,
        limit: Duration,
        is_so: impl Fn(&Value) -> bool,
    ) -> Result<Value, String> {
        let mut last = Value::Null;
        wait_until("the trunk's change", limit, || {
            let (_, trunks) = self.ask("GET", "/v1/trunks", &Value::Null).ok()?;
            last = trunks["trunks"][0].clone();
            is_so(&last).then_some(())
        })
        .map(|()| last.clone())
        .map_err(|why| format!("{why}: {last}"))
    }
}
