//! The INVITE usage: one call attempt and the dialog it makes, as server and as client.
//!
//! ```text
//! INVITE arrives ► Incoming ──reject, CANCEL, BYE──────────────────────► Ended
//!                     │ accept                                             ▲
//!                     ▼                                                    │
//!                Established ──BYE arrives, ACK never did──────────────────┤
//!                     ▲    └──bye──► Leaving ──answered, timer F──────────►┤
//!                     │ 2xx                                                │
//! INVITE sent ───► Outgoing ──refused, cancelled, timer B─────────────────►┘
//! ```
//!
//! A REFER, an UPDATE, a PRACK and a NOTIFY are requests inside one of these states; what is known of a
//! REFER of ours outlives the usage ([`crate::ua_core::referrals`]).
//!
//! A state owns what exists only in it; leaving it consumes it. Ended is said exactly once, by
//! [`finish`], the only way into it. A usage is dropped then, while its transactions live on until
//! their own timers end.

mod established;
mod incoming;
mod inputs;
mod leaving;
mod outgoing;
mod pending;
mod success;

use std::time::Instant;

use crate::{
    dialog::DialogId,
    digest::Credentials,
    flow::Flow,
    identifiers::InviteId,
    identifiers::ReferralId,
    message::{Headers, Message, StatusCode, Uri},
    ua_core::{Body, Core, EndCause, Event, ExtraHeaders, Misuse, OutgoingInvite, OutgoingRefer},
};
use established::Established;
pub(crate) use incoming::Incoming;
use leaving::Leaving;
pub(crate) use outgoing::Outgoing;
pub(crate) use pending::PendingInvite;

/// Which usage, and the path to its far end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) id: InviteId,
    pub(crate) flow: Flow,
}

/// A usage.
#[derive(Debug)]
pub(crate) struct Invite {
    place: Place,
    state: State,
}

#[derive(Debug)]
enum State {
    Incoming(Box<Incoming>),
    Outgoing(Box<Outgoing>),
    Established(Box<Established>),
    Leaving(Box<Leaving>),
    Ended,
}

impl State {
    fn name(&self) -> &'static str {
        match self {
            Self::Incoming(_) => "not answered yet",
            Self::Outgoing(_) => "calling",
            Self::Established(_) => "established",
            Self::Leaving(_) => "leaving",
            Self::Ended => "ended",
        }
    }
}

impl Invite {
    pub(crate) fn incoming(place: Place, incoming: Incoming) -> Self {
        Self {
            place,
            state: State::Incoming(Box::new(incoming)),
        }
    }

    /// Sends an INVITE of ours.
    pub(crate) fn outgoing(
        core: &mut Core,
        mut place: Place,
        call: OutgoingInvite,
        half: DialogId,
        now: Instant,
    ) -> Self {
        let outgoing = Outgoing::start(core, &mut place, call, half, now);
        Self {
            place,
            state: State::Outgoing(Box::new(outgoing)),
        }
    }

    /// Whether Ended was said, so that the usage can be dropped.
    pub(crate) fn is_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// Says what challenges inside an incoming call are answered with.
    pub(crate) fn set_credentials(&mut self, credentials: Credentials) -> Result<(), Misuse> {
        let State::Incoming(incoming) = &mut self.state else {
            return self.wrong("give credentials to");
        };
        incoming.set_credentials(credentials);
        Ok(())
    }

    /// A command that only fits an unanswered incoming call.
    pub(crate) fn ring(
        &mut self,
        core: &mut Core,
        status: StatusCode,
        body: Option<Body>,
        extra: ExtraHeaders<'_>,
        now: Instant,
    ) -> Result<(), Misuse> {
        let State::Incoming(incoming) = &mut self.state else {
            return self.wrong("ring for");
        };
        incoming.ring(core, self.place, status, body, extra, now);
        Ok(())
    }

    pub(crate) fn accept(
        &mut self,
        core: &mut Core,
        body: Option<Body>,
        extra: ExtraHeaders<'_>,
        now: Instant,
    ) -> Result<(), Misuse> {
        let State::Incoming(_) = &self.state else {
            return self.wrong("accept");
        };
        self.change(|place, state| match state {
            State::Incoming(incoming) => incoming.accept(core, *place, body, extra, now),
            other => other,
        });
        Ok(())
    }

    pub(crate) fn reject(
        &mut self,
        core: &mut Core,
        status: StatusCode,
        extra: ExtraHeaders<'_>,
        now: Instant,
    ) -> Result<(), Misuse> {
        let State::Incoming(_) = &self.state else {
            return self.wrong("reject");
        };
        self.change(|place, state| match state {
            State::Incoming(incoming) => incoming.reject(core, *place, status, extra, now),
            other => other,
        });
        Ok(())
    }

    pub(crate) fn reject_once(
        &mut self,
        core: &mut Core,
        status: StatusCode,
        extra: ExtraHeaders<'_>,
        now: Instant,
    ) -> Result<(), Misuse> {
        let State::Incoming(_) = &self.state else {
            return self.wrong("reject");
        };
        self.change(|place, state| match state {
            State::Incoming(incoming) => incoming.reject_once(core, *place, status, extra, now),
            other => other,
        });
        Ok(())
    }

    /// Ends an established call; an outgoing one that is not answered yet is cancelled.
    pub(crate) fn bye(
        &mut self,
        core: &mut Core,
        extra: ExtraHeaders<'_>,
        now: Instant,
    ) -> Result<(), Misuse> {
        if let State::Incoming(_) = &self.state {
            return self.wrong("send BYE to");
        }
        self.change(|place, state| match state {
            State::Established(call) => call.bye(core, *place, extra, now),
            State::Outgoing(call) => call.cancel(core, *place, extra, now),
            State::Incoming(_) | State::Leaving(_) | State::Ended => state,
        });
        Ok(())
    }

    pub(crate) fn cancel(
        &mut self,
        core: &mut Core,
        extra: ExtraHeaders<'_>,
        now: Instant,
    ) -> Result<(), Misuse> {
        let State::Outgoing(_) = &self.state else {
            return self.wrong("cancel");
        };
        self.change(|place, state| match state {
            State::Outgoing(call) => call.cancel(core, *place, extra, now),
            other => other,
        });
        Ok(())
    }

    /// Sends a redirected INVITE where it was pointed.
    pub(crate) fn follow(
        &mut self,
        core: &mut Core,
        target: Uri,
        flows: Vec<Flow>,
        now: Instant,
    ) -> Result<(), Misuse> {
        let State::Outgoing(call) = &mut self.state else {
            return self.wrong("redirect");
        };
        call.follow(core, &mut self.place, (target, flows), now)
    }

    /// Answers the offer of a reliable 1xx.
    pub(crate) fn answer_early(
        &mut self,
        core: &mut Core,
        body: Body,
        now: Instant,
    ) -> Result<(), Misuse> {
        let State::Outgoing(call) = &mut self.state else {
            return self.wrong("answer an early offer of");
        };
        call.answer_early(core, self.place, body, now)
    }

    /// Answers the offer of a 2xx.
    pub(crate) fn confirm(&mut self, core: &mut Core, body: Option<Body>) -> Result<(), Misuse> {
        let (call, place) = self.established("confirm")?;
        call.confirm(core, place, body)
    }

    pub(crate) fn refer(
        &mut self,
        core: &mut Core,
        refer: &OutgoingRefer,
        now: Instant,
    ) -> Result<ReferralId, Misuse> {
        let (call, place) = self.established("refer")?;
        call.refer(core, place, refer, now)
    }

    pub(crate) fn accept_refer(&mut self, core: &mut Core, now: Instant) -> Result<(), Misuse> {
        let (call, place) = self.established("answer the REFER of")?;
        call.accept_refer(core, place, now)
    }

    pub(crate) fn reject_refer(
        &mut self,
        core: &mut Core,
        status: StatusCode,
        now: Instant,
    ) -> Result<(), Misuse> {
        let (call, place) = self.established("answer the REFER of")?;
        call.reject_refer(core, place, status, now)
    }

    pub(crate) fn notify_refer(
        &mut self,
        core: &mut Core,
        status: StatusCode,
        now: Instant,
    ) -> Result<(), Misuse> {
        let (call, place) = self.established("tell the progress of the REFER of")?;
        call.notify_refer(core, place, status, now)
    }

    /// Whether a new INVITE that replaces this one may do so (RFC 3891 3).
    /// Where a third party calls to take our place in this call, once it is up.
    pub(crate) fn replacement(&self) -> Option<Uri> {
        match &self.state {
            State::Established(call) => call.dialog.replacement(),
            State::Outgoing(_) | State::Incoming(_) | State::Leaving(_) | State::Ended => None,
        }
    }

    /// The Call-ID of its messages, while it lives.
    pub(crate) fn call_id(&self) -> Option<&str> {
        match &self.state {
            State::Incoming(call) => Some(call.call_id()),
            State::Outgoing(call) => Some(call.call_id()),
            State::Established(call) => Some(&call.dialog.id().call_id),
            State::Leaving(call) => Some(&call.dialog.id().call_id),
            State::Ended => None,
        }
    }

    pub(crate) fn replaceable(&self) -> Replaceable {
        match &self.state {
            State::Established(_) => Replaceable::Confirmed,
            State::Outgoing(_) => Replaceable::Early,
            State::Incoming(_) | State::Leaving(_) | State::Ended => Replaceable::No,
        }
    }

    pub(crate) fn info(&mut self, core: &mut Core, body: Body, now: Instant) -> Result<(), Misuse> {
        let (call, place) = self.established("send INFO to")?;
        call.info(core, place, body, now);
        Ok(())
    }

    pub(crate) fn reoffer(
        &mut self,
        core: &mut Core,
        body: Body,
        now: Instant,
    ) -> Result<(), Misuse> {
        let (call, place) = self.established("reoffer to")?;
        call.reoffer(core, place, body, now)
    }

    pub(crate) fn accept_reoffer(
        &mut self,
        core: &mut Core,
        body: Option<Body>,
        now: Instant,
    ) -> Result<(), Misuse> {
        let (call, place) = self.established("accept a re-INVITE of")?;
        call.accept_reoffer(core, place, body, now)
    }

    pub(crate) fn reject_reoffer(
        &mut self,
        core: &mut Core,
        status: StatusCode,
        extra: ExtraHeaders<'_>,
        now: Instant,
    ) -> Result<(), Misuse> {
        let State::Established(call) = &mut self.state else {
            return self.wrong("reject a re-INVITE of");
        };
        call.reject_reoffer(core, status, extra, now)
    }

    fn established(&mut self, command: &'static str) -> Result<(&mut Established, Place), Misuse> {
        let state = self.state.name();
        match &mut self.state {
            State::Established(call) => Ok((call, self.place)),
            State::Incoming(_) | State::Outgoing(_) | State::Leaving(_) | State::Ended => {
                Err(Misuse::WrongState { command, state })
            }
        }
    }

    /// Lets `next` turn the state into the next one.
    fn change(&mut self, next: impl FnOnce(&mut Place, State) -> State) {
        let state = std::mem::replace(&mut self.state, State::Ended);
        self.state = next(&mut self.place, state);
    }

    fn wrong(&self, command: &'static str) -> Result<(), Misuse> {
        Err(Misuse::WrongState {
            command,
            state: self.state.name(),
        })
    }
}

/// The last word about a usage.
fn finish(
    core: &mut Core,
    place: Place,
    dialog: &DialogId,
    cause: EndCause,
    message: Option<Message>,
) -> State {
    core.unregister(dialog);
    core.forget_path(place.id);
    core.emit(Event::Ended {
        id: place.id,
        cause,
        message: message.map(Box::new),
    });
    State::Ended
}

/// The methods we serve (RFC 3261 20.5).
pub(crate) const ALLOW: &str =
    "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, PRACK, UPDATE, REFER, NOTIFY";

/// The extensions we take up (RFC 3261 20.37): reliable provisional responses (RFC 3262), session timers
/// (4028), Replaces (3891), REFER without news (4488).
pub(crate) const SUPPORTED: &str = "100rel, timer, replaces, norefersub";

/// What may be done to a usage by an INVITE with Replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replaceable {
    /// Answered.
    Confirmed,
    /// Not answered, and we called.
    Early,
    /// Not answered and they called, or over.
    No,
}

pub(crate) fn borrowed(extra: &[(String, String)]) -> Vec<(&str, &str)> {
    extra
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

fn owned(extra: ExtraHeaders<'_>) -> Vec<(String, String)> {
    extra
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// Adds a caller's headers and body to a message of ours.
fn attach(headers: &mut Headers, extra: ExtraHeaders<'_>, body: Option<Body>) -> Vec<u8> {
    for (name, value) in extra {
        headers.push(name, *value);
    }
    let Some(body) = body else { return Vec::new() };
    headers.push("Content-Type", body.content_type);
    body.bytes
}
