//! What a call wants done.

use offhook_media::control::Digit;
use offhook_media::leg::LegConfig;
use offhook_media::sdp::Negotiated;
use offhook_sip::endpoint::{Body, InviteId, OutgoingRefer};
use offhook_sip::message::{Replaces, StatusCode, Uri};

use super::transfer::TransferProgress;
use crate::agent_session::{AgentInBridge, CallEvent, EndCause, EndReason, TransferRequest};

/// What a call wants done. The driver carries outputs out in order.
#[derive(Debug)]
pub enum Output {
    /// Do this with one of the call's dialogs.
    Sip(InviteId, SipCommand),
    /// Our INVITE rings, or is worked on: 101 to 199.
    Ringing(StatusCode),
    /// Find out where one of these is, best first, and send the redirected INVITE there; or cancel it.
    Follow(InviteId, Vec<Uri>),
    /// The far end asks us to call somebody in its place. Answer with
    /// [`Call::succession_placed`](super::Call::succession_placed) or
    /// [`Call::succession_refused`](super::Call::succession_refused).
    Succeed(Succession),
    /// Open the leg and begin the session.
    Open(Box<LegConfig>),
    /// Change the open leg to what a re-negotiation agreed on.
    Renegotiate(Box<Negotiated>),
    /// We hold the far end (it is to hear music), or do so no more.
    Hold(bool),
    /// How a REFER of ours gets on.
    Transfer(TransferProgress),
    /// Call a transfer's second leg, and tell the call how it gets on: `Call::second_leg_…`.
    CallSecondLeg(Box<TransferRequest>),
    /// Join the call to its second leg. Answer with [`Call::second_leg_joined`](super::Call::second_leg_joined).
    JoinSecondLeg(AgentInBridge),
    /// End the second leg, if it is still there; nothing of it is told any more.
    EndSecondLeg(EndCause),
    /// Have the leg press a key towards the far end.
    Press {
        /// Which.
        digit: Digit,
        /// For how long, in milliseconds.
        duration_ms: u32,
    },
    /// Close the leg, if one is open.
    CloseLeg,
    /// Tell the session, if one has begun.
    Tell(CallEvent),
    /// The call is over; the last output.
    Over(EndReason),
}

/// What is to be done with a dialog.
#[derive(Debug)]
pub enum SipCommand {
    /// Send 180.
    Ring,
    /// Send 183 with this offer, reliably.
    Progress(Body),
    /// Send the 200, with this description where one is owed; the endpoint repeats it until the ACK.
    Accept(Option<Body>),
    /// Refuse the call.
    Reject {
        /// The final status, 400 to 699.
        status: StatusCode,
        /// Further header fields.
        headers: Vec<(&'static str, String)>,
    },
    /// Give up a call of ours that is not answered.
    Cancel,
    /// End the dialog with BYE.
    Bye {
        /// Further header fields.
        headers: Vec<(String, String)>,
    },
    /// Offer anew, in a re-INVITE.
    Reoffer(Body),
    /// Answer a re-INVITE or UPDATE with this description.
    AcceptReoffer(Body),
    /// Refuse a re-INVITE or UPDATE; what was agreed before stays in force.
    RejectReoffer {
        /// The final status.
        status: StatusCode,
        /// Further header fields.
        headers: Vec<(&'static str, String)>,
    },
    /// Send an INFO. When it cannot be sent: [`Call::press_not_sent`](super::Call::press_not_sent).
    Info(Body),
    /// Ask the far end to call somebody else.
    Refer(OutgoingRefer),
    /// Say that what their REFER asks for is tried.
    AcceptRefer,
    /// Refuse their REFER.
    RejectRefer(StatusCode),
    /// Say how far what their REFER asked for has come.
    NotifyRefer(StatusCode),
}

/// Whom to call in the place of the far end.
#[derive(Debug)]
pub struct Succession {
    /// Whom.
    pub target: Uri,
    /// The dialog that the new call takes the place of, at its own far end.
    pub replaces: Option<Replaces>,
    /// Who asked, for `Referred-By`.
    pub referred_by: Option<String>,
    /// Our offer.
    pub offer: Body,
}
