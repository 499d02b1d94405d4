//! What reaches the actor from handles, all through one bounded queue. What the tasks it started give
//! comes back when they end, and not through here.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::digits::{CollectOptions, Collected};
use super::event::EndReason;
use super::transcript::Transcript;
use super::utterance::{NewUtterance, UtteranceId};
use crate::grammar::Grammar;

/// A request made through a handle.
#[derive(Debug)]
pub(super) enum Command {
    /// Speak or play.
    Say(NewUtterance),
    /// Stop what is speaking; answers whether everything stopped.
    Interrupt {
        force: bool,
        reply: oneshot::Sender<bool>,
    },
    /// End the call, after what is queued was heard or at once.
    HangUp { reason: EndReason, drain: bool },
    /// End the session, and the call if it is still up.
    Close,
    /// Collect digits; `after` is the prompt whose end starts the first digit's time.
    Collect {
        options: CollectOptions,
        after: Option<UtteranceId>,
        reply: oneshot::Sender<Collected>,
    },
    /// Change the silence wake-up.
    SetWakeUp(Option<Duration>),
    /// What the recogniser listens for from now on.
    Expect(Option<Arc<Grammar>>),
    /// Play the caller back to the caller.
    Loopback(bool),
    /// Replace or stop the background loop.
    Background(Option<BackgroundLoop>),
    /// A copy of the transcript so far.
    Transcript(oneshot::Sender<Transcript>),
}

/// Samples at the leg's rate that repeat on the background bus.
pub(super) struct BackgroundLoop {
    pub(super) samples: Arc<[i16]>,
    pub(super) volume_db: f32,
}

impl std::fmt::Debug for BackgroundLoop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BackgroundLoop")
            .field("samples", &self.samples.len())
            .field("volume_db", &self.volume_db)
            .finish()
    }
}
