//! The calls that are up, for whoever looks on.
//!
//! Signalling writes, the HTTP listener reads; media threads know nothing of it. One mutex, held for
//! one look-up or, by a reader, for as long as copying what it shows takes: at 2,000 calls a second,
//! each entered, changed a few times and removed, it is busy for a hundredth of the time at most.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use offhook_session::agent_session::{Direction, LeftMessage};
use offhook_session::pii::Pii;

use crate::media_driver::LiveQuality;
use offhook_session::voicemail::VoicemailVerdict;

/// How far a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallState {
    /// Ours; nobody has said yet that it rings.
    Calling,
    /// Being set up.
    Ringing,
    /// Answered; the first audio is awaited.
    Answered,
    /// Both sides can talk.
    Talking,
    /// Being taken down.
    Ending,
}

impl CallState {
    /// As the API spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Calling => "calling",
            Self::Ringing => "ringing",
            Self::Answered => "answered",
            Self::Talking => "talking",
            Self::Ending => "ending",
        }
    }
}

/// What is shown of one call. The local operator sees who calls; the log does not.
#[derive(Clone, Debug)]
pub struct LiveCall {
    /// The call's id, as in the log.
    pub id: Arc<str>,
    /// Who called whom.
    pub direction: Direction,
    /// Who calls.
    pub from: Pii<Arc<str>>,
    /// Who is called.
    pub to: Pii<Arc<str>>,
    /// The trunk it came in through.
    pub trunk: Arc<str>,
    /// The agent that has it.
    pub agent: Arc<str>,
    /// How far it is.
    pub state: CallState,
    /// The call that it is joined to.
    pub bridged_with: Option<Arc<str>>,
    /// Who answered, where that is found out and clear.
    pub verdict: Option<Arc<VoicemailVerdict>>,
    /// The messages that the caller left, the last few.
    pub messages: Vec<Arc<LeftMessage>>,
    /// How it sounds.
    pub quality: Arc<LiveQuality>,
    /// When it began, for durations.
    pub started: Instant,
    /// When it began, for people.
    pub started_at: SystemTime,
}

/// Messages of one call that are shown.
const MESSAGES_SHOWN: usize = 8;

impl LiveCall {
    /// The caller left a message; one of the same file is no more.
    pub fn add_message(&mut self, message: Arc<LeftMessage>) {
        self.messages.retain(|earlier| earlier.file != message.file);
        if self.messages.len() == MESSAGES_SHOWN {
            self.messages.remove(0);
        }
        self.messages.push(message);
    }
}

/// The calls that are up. As many as `limits.calls` lets in.
#[derive(Debug, Default)]
pub struct CallDirectory {
    calls_by_id: Mutex<BTreeMap<Arc<str>, LiveCall>>,
}

impl CallDirectory {
    /// Enters a call; one of the same id is replaced.
    pub fn insert(&self, call: LiveCall) {
        self.lock().insert(Arc::clone(&call.id), call);
    }

    /// Changes a call; one that is gone stays gone.
    pub fn update(&self, id: &str, change: impl FnOnce(&mut LiveCall)) {
        if let Some(call) = self.lock().get_mut(id) {
            change(call);
        }
    }

    /// Removes a call.
    pub fn remove(&self, id: &str) {
        // What was removed is freed after the lock.
        let removed = self.lock().remove(id);
        drop(removed);
    }

    /// What is shown of a call, while it is up.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<LiveCall> {
        self.lock().get(id).cloned()
    }

    /// How many calls are up.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether no call is up.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many calls are up, and up to `most` of them, the oldest first.
    #[must_use]
    pub fn oldest(&self, most: usize) -> (usize, Vec<LiveCall>) {
        // Clones are a few reference counts each; sorting happens outside the lock.
        let mut calls: Vec<LiveCall> = self.lock().values().cloned().collect();
        let count = calls.len();
        calls.sort_by_key(|call| call.started);
        calls.truncate(most);
        (count, calls)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, LiveCall>> {
        // Every change is one map operation: a panic leaves nothing half done.
        self.calls_by_id
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;

    pub(crate) fn call(id: &str, started: Instant) -> LiveCall {
        LiveCall {
            id: id.into(),
            direction: Direction::Inbound,
            from: Pii::new("sip:<b>eve</b>@192.0.2.1".into()),
            to: Pii::new("sip:echo@192.0.2.2".into()),
            trunk: "carrier".into(),
            agent: "echo".into(),
            state: CallState::Ringing,
            bridged_with: None,
            verdict: None,
            messages: Vec::new(),
            quality: Arc::default(),
            started,
            started_at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_000),
        }
    }

    #[test]
    fn the_oldest_calls_are_shown_first_and_all_are_counted() {
        let directory = CallDirectory::default();
        let start = Instant::now();
        directory.insert(call("young", start + Duration::from_secs(2)));
        directory.insert(call("old", start));
        directory.insert(call("middle", start + Duration::from_secs(1)));
        let (count, calls) = directory.oldest(2);
        assert_eq!(count, 3);
        assert_eq!(
            calls
                .iter()
                .map(|call| call.id.as_ref())
                .collect::<Vec<_>>(),
            ["old", "middle"]
        );
    }

    #[test]
    fn a_removed_call_does_not_come_back_with_a_late_change() {
        let directory = CallDirectory::default();
        directory.insert(call("c-1", Instant::now()));
        directory.update("c-1", |call| call.state = CallState::Talking);
        assert_eq!(directory.oldest(1).1[0].state, CallState::Talking);
        directory.remove("c-1");
        directory.update("c-1", |call| call.state = CallState::Ending);
        assert!(directory.is_empty());
    }

    #[test]
    fn the_numbers_of_a_call_do_not_reach_a_log() {
        let shown = format!("{:?}", call("c-1", Instant::now()));
        assert!(
            !shown.contains("eve") && !shown.contains("echo@"),
            "{shown}"
        );
    }
}
