//! The webhook step: what is asked, and what an answer may say.
//!
//! A request has the call's facts and what is known of it by names. An answer may set texts that the step lists, and may
//! choose among the steps that it lists; it can do nothing else. `docs/flow.md` gives both as JSON.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::StepName;
use super::table::Reader;
use super::values::{FlowValue, FlowValues};
use crate::agent_session::CallFacts;
use crate::pii::Pii;
use crate::provider::{WebhookMethod, WebhookRequest};
use crate::webhook::{WebhookUrl, is_settable_header};

/// Most names that an answer may set, steps that it may choose from, header fields.
const MOST_NAMES: usize = 16;
/// The longest text that an answer may set, in characters.
const LONGEST_TEXT: usize = 500;
/// How long a webhook may take at most, in seconds.
const LONGEST_DEADLINE_S: u32 = 30;

/// A webhook and where its answer leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Webhook {
    method: WebhookMethod,
    pub(super) url: WebhookUrl,
    headers: Arc<[(String, String)]>,
    deadline: Duration,
    /// Whether it is told who calls whom.
    send_numbers: bool,
    /// The sensitive digits that it is told, by name.
    pub(super) sensitive: Vec<String>,
    /// The names that an answer may set.
    pub(super) sets: Vec<String>,
    /// The steps that an answer may choose from.
    pub(super) goto: Vec<StepName>,
    /// Where it goes on when the answer chooses nothing.
    pub(super) then: StepName,
    /// Where it goes on without an answer; by default goodbye.
    pub(super) failed: Option<StepName>,
}

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WebhookAnswer {
    pub(super) texts: Vec<(String, String)>,
    pub(super) goto: Option<StepName>,
}

impl Webhook {
    /// Reads `webhook = { … }`.
    pub(super) fn read(
        mut table: Reader<'_>,
        then: Option<StepName>,
        failed: Option<StepName>,
    ) -> Option<Self> {
        let method = table.text("method").map(|name| {
            WebhookMethod::parse(&name).unwrap_or_else(|| {
                table.mistake("method", format!("{name:?} is none of GET, POST, PUT"));
                WebhookMethod::default()
            })
        });
        let method = method.unwrap_or_default();
        let url = match table.text("url") {
            Some(text) => WebhookUrl::parse(&text)
                .map_err(|why| table.mistake("url", why))
                .ok(),
            None => {
                table.mistake("url", "is missing: whom to ask");
                None
            }
        };
        let headers = read_headers(&mut table);
        let deadline_s = table
            .number("timeout_s", 1, LONGEST_DEADLINE_S)
            .unwrap_or(5);
        let send_numbers = table.flag("send_numbers");
        if !method.has_body() && send_numbers == Some(true) {
            table.mistake("send_numbers", "is never used: GET has no body");
        }
        let sensitive = read_names(&mut table, "sensitive");
        if !method.has_body() && !sensitive.is_empty() {
            table.mistake("sensitive", "is never used: GET has no body");
        }
        if !sensitive.is_empty() && url.as_ref().is_some_and(|url| !url.is_private()) {
            let what = "sensitive digits go by https:// only, or to this machine";
            table.mistake("sensitive", what);
        }
        let sets = read_names(&mut table, "sets");
        let goto = read_names(&mut table, "goto");
        table.finish();
        let url = url?;
        Some(Self {
            method,
            url,
            headers: headers.into(),
            deadline: Duration::from_secs(deadline_s.into()),
            send_numbers: send_numbers.unwrap_or(false),
            sensitive,
            sets,
            goto: goto.iter().map(|name| StepName::new(name)).collect(),
            then: then.unwrap_or_else(|| StepName::new("")),
            failed,
        })
    }

    /// The request at `step` of a call.
    pub(super) fn request(
        &self,
        step: &StepName,
        call: &CallFacts,
        values: &FlowValues,
    ) -> WebhookRequest {
        let url = self.url.fill_in(|name| match name {
            CALL_ID => Some(call.call_id.as_str().into()),
            name => values.written(name),
        });
        let body = self
            .method
            .has_body()
            .then(|| Pii::new(self.body(step, call, values).to_string()));
        WebhookRequest {
            method: self.method,
            url: Pii::new(url),
            headers: Arc::clone(&self.headers),
            body,
            deadline: self.deadline,
        }
    }

    fn body(&self, step: &StepName, call: &CallFacts, values: &FlowValues) -> Value {
        let mut about = json!({
            "id": call.call_id.as_str(),
            "direction": call.direction.as_str(),
            "trunk": call.trunk.as_deref(),
        });
        if self.send_numbers {
            about["from"] = call.from.expose().as_str().into();
            about["to"] = call.to.expose().as_str().into();
        }
        let told: Map<String, Value> = values
            .iter()
            .filter_map(|(name, value)| {
                let told: Option<String> = match value {
                    FlowValue::Digits { digits, sensitive } => (!sensitive
                        || self.sensitive.iter().any(|named| named == name))
                    .then(|| digits.clone()),
                    FlowValue::Text(text) => Some(text.clone()),
                    FlowValue::Message(_) => None,
                };
                Some((name.to_owned(), told?.into()))
            })
            .collect();
        let messages: Map<String, Value> = values
            .iter()
            .filter_map(|(name, value)| match value {
                FlowValue::Message(message) => {
                    let shown = json!({
                        "file": message.file.to_string_lossy(),
                        "duration_ms": message.duration_ms(),
                        "ended_by": message.end.as_str(),
                    });
                    Some((name.to_owned(), shown))
                }
                FlowValue::Digits { .. } | FlowValue::Text(_) => None,
            })
            .collect();
        json!({ "call": about, "step": step.as_str(), "values": told, "messages": messages })
    }

    /// What an answer's body says; nothing at all is an answer, too.
    ///
    /// # Errors
    /// Why it is none, without a word of it.
    pub(super) fn read_answer(&self, body: &[u8]) -> Result<WebhookAnswer, &'static str> {
        let mut answer = WebhookAnswer {
            texts: Vec::new(),
            goto: None,
        };
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(answer);
        }
        let object = match serde_json::from_slice(body) {
            Ok(Value::Object(object)) => object,
            Ok(_) | Err(_) => return Err("the answer is no JSON object"),
        };
        match object.get("set") {
            None | Some(Value::Null) => {}
            Some(Value::Object(set)) => {
                // What the step does not list is not for it.
                for name in &self.sets {
                    match set.get(name) {
                        None | Some(Value::Null) => {}
                        Some(Value::String(text)) => {
                            answer.texts.push((name.clone(), sayable(text)?.to_owned()));
                        }
                        Some(_) => return Err("the answer sets something that is no string"),
                    }
                }
            }
            Some(_) => return Err("the answer's set is no object"),
        }
        answer.goto = match object.get("goto") {
            None | Some(Value::Null) => None,
            Some(Value::String(name)) => {
                let chosen = self.goto.iter().find(|step| step.as_str() == name);
                Some(chosen.ok_or("the answer chooses a step that goto does not list")?)
            }
            Some(_) => return Err("the answer's goto is no string"),
        }
        .cloned();
        Ok(answer)
    }
}

/// What a URL has a place for beside the flow's own names.
pub(super) const CALL_ID: &str = "call_id";

fn sayable(text: &str) -> Result<&str, &'static str> {
    if text.chars().count() > LONGEST_TEXT {
        return Err("the answer sets a text that is too long");
    }
    if text.chars().any(char::is_control) {
        return Err("the answer sets a text with control characters");
    }
    Ok(text)
}

fn read_headers(table: &mut Reader<'_>) -> Vec<(String, String)> {
    let Some(mut headers) = table.table("headers") else {
        return Vec::new();
    };
    let mut read = Vec::new();
    for name in headers.keys() {
        let Some(value) = headers.text(&name) else {
            continue;
        };
        if !is_settable_header(&name, &value) {
            headers.mistake(&name, "is no header field that can be set");
        } else if read.len() == MOST_NAMES {
            headers.mistake(&name, format!("is one too many (the most is {MOST_NAMES})"));
        } else {
            read.push((name, value));
        }
    }
    headers.finish();
    read
}

fn read_names(table: &mut Reader<'_>, key: &str) -> Vec<String> {
    let mut names = table.texts(key).unwrap_or_default();
    if names.iter().any(String::is_empty) {
        table.mistake(key, "has an empty name");
        names.retain(|name| !name.is_empty());
    }
    if names.len() > MOST_NAMES {
        let what = format!("{} names (the most is {MOST_NAMES})", names.len());
        table.mistake(key, what);
    }
    names
}
