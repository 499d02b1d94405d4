//! What a flow knows of one call by names: digits that were collected, texts that a webhook gave, messages.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::agent_session::MessageEnd;

/// Values by their names.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct FlowValues {
    by_name: BTreeMap<String, FlowValue>,
    /// How often the caller was handed over.
    hand_overs: u32,
}

/// How often one caller may be handed over: agents that send each other their callers come to an end.
const MOST_HAND_OVERS: u32 = 16;

/// Whether a text is fit to stand in braces.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|symbol| symbol.is_ascii_lowercase() || symbol == '_')
}

/// A message that was left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeptMessage {
    pub(super) file: PathBuf,
    pub(super) duration: Duration,
    pub(super) end: MessageEnd,
}

impl KeptMessage {
    pub(super) fn duration_ms(&self) -> u64 {
        u64::try_from(self.duration.as_millis()).unwrap_or(u64::MAX)
    }
}

/// One value.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum FlowValue {
    /// Digits that the caller keyed in.
    Digits {
        /// As keyed.
        digits: String,
        /// Whether nobody may learn them who is not named.
        sensitive: bool,
    },
    /// A text that a webhook gave.
    Text(String),
    /// A message that the caller left.
    Message(KeptMessage),
}

/// Names alone: what they stand for belongs to people.
impl fmt::Debug for FlowValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_name.keys()).finish()
    }
}

impl fmt::Debug for FlowValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Digits { .. } => "Digits",
            Self::Text(_) => "Text",
            Self::Message(_) => "Message",
        })
    }
}

impl FlowValues {
    /// What another agent may know, once more handed over: all but what is sensitive. `None` when that is too often.
    pub(super) fn to_hand_over(&self) -> Option<Self> {
        let hand_overs = self.hand_overs + 1;
        let is_open = |value: &FlowValue| match value {
            FlowValue::Digits { sensitive, .. } => !sensitive,
            FlowValue::Text(_) | FlowValue::Message(_) => true,
        };
        let open = self.by_name.iter().filter(|(_, value)| is_open(value));
        (hand_overs <= MOST_HAND_OVERS).then(|| Self {
            by_name: open
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            hand_overs,
        })
    }

    /// These of them.
    pub(super) fn only(mut self, names: &[String]) -> Self {
        self.by_name.retain(|name, _| names.contains(name));
        self
    }

    pub(super) fn set(&mut self, name: &str, value: FlowValue) {
        self.by_name.insert(name.to_owned(), value);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &FlowValue)> {
        self.by_name
            .iter()
            .map(|(name, value)| (name.as_str(), value))
    }

    /// A value as it is said; nothing where it is not known yet.
    pub(super) fn spoken(&self, name: &str) -> Cow<'_, str> {
        match self.by_name.get(name) {
            Some(FlowValue::Digits { digits, .. }) => spell(digits).into(),
            Some(FlowValue::Text(text)) => text.into(),
            Some(FlowValue::Message(_)) | None => "".into(),
        }
    }

    /// A value as it is written; `None` where it is not known, or is for nobody.
    pub(super) fn written(&self, name: &str) -> Option<Cow<'_, str>> {
        match self.by_name.get(name)? {
            FlowValue::Digits {
                digits,
                sensitive: false,
            } => Some(digits.into()),
            FlowValue::Digits {
                sensitive: true, ..
            } => None,
            FlowValue::Text(text) => Some(text.into()),
            FlowValue::Message(message) => Some(message.file.to_string_lossy()),
        }
    }
}

/// Digits as they are read out: one by one.
fn spell(digits: &str) -> String {
    let words: Vec<String> = digits
        .chars()
        .map(|digit| match digit {
            '*' => "star".to_owned(),
            '#' => "hash".to_owned(),
            digit => digit.to_string(),
        })
        .collect();
    words.join(" ")
}
