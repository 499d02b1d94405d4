//! The behaviour of a session, one test a sentence.

mod bridge;
mod digits;
mod ending;
mod gate;
mod hand_off;
mod hold;
mod interruption;
mod leaving;
mod left_message;
mod message_taking;
mod metering;
pub(super) mod recording;
mod replies;
mod silence;
mod sounds;
mod speaking;
mod tones;
mod transfer;
mod turn_taking;
pub(super) mod voicemail;

use std::time::Duration;

use offhook_media::control::{
    BargeInPolicy, Bus, Chunk, Digit, Epoch, LegCommand, LegEvent, RecordMode,
};
use tokio::sync::oneshot;

use super::super::config::SessionConfig;
use super::super::digits::{CollectOptions, Collected};
use super::super::event::{CallbackKind, EndCause, EndReason, SessionEvent};
use super::super::facts::Direction;
use super::super::line::{CallEvent, CallRequest};
use super::super::message::Command;
use super::super::output::Callback;
use super::super::recording::RecordPlan;
use super::super::sounds::{Background, BackgroundOptions, SoundLoop, Thinking};
use super::super::state::{AgentState as A, UserState as U};
use super::super::transcript::{EntryKind, Speaker};
use super::super::utterance::{Outcome, QueueMode, UtteranceFailure, UtteranceId};
use super::fixture::{Fixture, MEANS, config, consent, interrupted, phrase};
use super::{Means, Session};
use crate::agent::UserTurn;
use crate::pii::Pii;
use crate::provider::{ProviderError, Recognition};

fn said(text: &str) -> UserTurn {
    UserTurn::Said {
        text: Pii::new(text.into()),
        last: Pii::new(text.into()),
        confidence: 0.9,
    }
}

fn far_end_hung_up() -> EndReason {
    EndCause::FarEndHungUp.into()
}

#[test]
fn an_idle_sessions_state_is_small() {
    assert!(
        size_of::<Session>() <= 1_280,
        "{} bytes",
        size_of::<Session>()
    );
}
