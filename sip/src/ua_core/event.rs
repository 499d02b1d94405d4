//! What an endpoint says to its caller, and what it is told.

use crate::flow::Flow;
use crate::identifiers::InviteId;
use crate::message::{Message, NameAddr, Request, Response, StatusCode, Uri};

/// A body and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// The media type, as it stands in `Content-Type`.
    pub content_type: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Headers that a caller adds to a message: names and values. Those that make up the transaction
/// and the dialog (Via, From, To, Call-ID, CSeq, Contact, Route, Record-Route, Max-Forwards,
/// Content-Length, Content-Type) are refused as [`Misuse::ReservedHeader`].
pub type ExtraHeaders<'a> = &'a [(&'a str, &'a str)];

/// An INVITE to send.
#[derive(Clone, Debug)]
pub struct OutgoingInvite {
    /// Where it goes: from which local to which remote address.
    pub flow: Flow,
    /// The Request-URI (or, with a route, where the route ends).
    pub target: Uri,
    /// Who calls; a tag is added.
    pub from: NameAddr,
    /// Who is called; a tag is removed.
    pub to: NameAddr,
    /// A pre-loaded route, usually an outbound proxy, first hop first.
    pub route: Vec<NameAddr>,
    /// Further headers.
    pub extra: Vec<(String, String)>,
    /// The offer.
    pub body: Option<Body>,
}

/// What leaves an endpoint.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send these bytes.
    Transmit {
        /// Where.
        flow: Flow,
        /// One whole message.
        bytes: Vec<u8>,
    },
    /// Tell the call.
    Event(Event),
}

/// What happened to a call.
#[derive(Clone, Debug)]
pub enum Event {
    /// A new call; 100 was sent. Answer with [`ring`](crate::endpoint::Endpoint::ring),
    /// [`accept`](crate::endpoint::Endpoint::accept) or [`reject`](crate::endpoint::Endpoint::reject).
    Incoming {
        /// Its name from now on.
        id: InviteId,
        /// The INVITE, its top Via completed with where it came from.
        request: Request,
        /// Where it came from.
        flow: Flow,
    },
    /// Our INVITE was answered with 101 to 199; each early dialog says so by its To tag.
    Provisional {
        /// Which.
        id: InviteId,
        /// 101 to 199.
        status: StatusCode,
        /// The whole response.
        response: Response,
    },
    /// Our INVITE was answered with 2xx; the ACK was sent.
    Answered {
        /// Which.
        id: InviteId,
        /// The whole response.
        response: Response,
    },
    /// The ACK for the 2xx that accepted the call arrived, with the answer if we offered.
    Confirmed {
        /// Which.
        id: InviteId,
        /// The ACK.
        ack: Request,
    },
    /// The far end sent a re-INVITE. Answer with
    /// [`accept_reoffer`](crate::endpoint::Endpoint::accept_reoffer) or
    /// [`reject_reoffer`](crate::endpoint::Endpoint::reject_reoffer). One at a time: a second is answered
    /// 500, and one that meets a re-INVITE of ours 491, without being told.
    Reoffer {
        /// Which.
        id: InviteId,
        /// The re-INVITE.
        request: Request,
    },
    /// The ACK for an accepted re-INVITE arrived, with the answer if we offered.
    ReofferConfirmed {
        /// Which.
        id: InviteId,
        /// The ACK.
        ack: Request,
    },
    /// The far end cancelled its re-INVITE, which was answered 487; the call stays as it was.
    ReofferCancelled {
        /// Which.
        id: InviteId,
    },
    /// Our re-INVITE was accepted; the ACK was sent.
    ReofferAnswered {
        /// Which.
        id: InviteId,
        /// The whole 2xx.
        response: Response,
    },
    /// Our re-INVITE was refused for good (491 is retried inside); the call stays as it was.
    ReofferRefused {
        /// Which.
        id: InviteId,
        /// 300 to 699, or 408 when it went unanswered.
        status: StatusCode,
    },
    /// An INFO arrived and was answered 200.
    Info {
        /// Which.
        id: InviteId,
        /// The INFO.
        request: Request,
    },
    /// The last word about this id, said exactly once.
    Ended {
        /// Which.
        id: InviteId,
        /// Why.
        cause: EndCause,
        /// What ended it, where a message did: the BYE, the CANCEL, the refusal.
        message: Option<Box<Message>>,
    },
}

impl Event {
    /// Which usage it is about.
    #[must_use]
    pub fn id(&self) -> InviteId {
        match self {
            Self::Incoming { id, .. }
            | Self::Provisional { id, .. }
            | Self::Answered { id, .. }
            | Self::Confirmed { id, .. }
            | Self::Reoffer { id, .. }
            | Self::ReofferConfirmed { id, .. }
            | Self::ReofferCancelled { id }
            | Self::ReofferAnswered { id, .. }
            | Self::ReofferRefused { id, .. }
            | Self::Info { id, .. }
            | Self::Ended { id, .. } => *id,
        }
    }
}

/// Why a usage ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndCause {
    /// The far end sent BYE.
    RemoteBye,
    /// We sent BYE and it was answered.
    LocalBye,
    /// The caller gave up before the answer: the far end by CANCEL, or we did.
    Cancelled,
    /// The far end refused our INVITE.
    Rejected(StatusCode),
    /// We refused the far end's INVITE.
    Refused(StatusCode),
    /// Our 2xx was never acknowledged; BYE was sent.
    AckTimeout,
    /// Our INVITE or our BYE was never answered (timer B or F).
    NoAnswer,
    /// The transport could not deliver our INVITE or our BYE.
    TransportFailed,
}

/// A command that does not fit the usage's state; nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misuse {
    /// No such usage: it never was, or it has ended.
    #[error("no such call: it has ended or never was")]
    UnknownInvite,
    /// The usage is in a state in which this cannot be done.
    #[error("cannot {command} a call that is {state}")]
    WrongState {
        /// What was asked for.
        command: &'static str,
        /// What the usage is.
        state: &'static str,
    },
    /// The status code is not of the kind this command sends.
    #[error("{0} is not a status this command can send")]
    WrongStatus(u16),
    /// The header belongs to the transaction or the dialog.
    #[error("the header {0} is the endpoint's own")]
    ReservedHeader(String),
}

/// A bound of [`Limits`](super::Limits) is reached; nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many calls or transactions are live")]
pub struct Overloaded;

/// What an endpoint has seen and holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndpointStatistics {
    /// Datagrams handed in.
    pub datagrams: u64,
    /// Datagrams that were no SIP message, or a damaged one.
    pub parse_errors: u64,
    /// Datagrams dropped because outputs were not drained.
    pub backlog_drops: u64,
    /// Requests that repeated one we had.
    pub retransmissions_received: u64,
    /// Messages we sent again because a timer fired.
    pub retransmissions_sent: u64,
    /// Responses that belong to no transaction of ours.
    pub stray_responses: u64,
    /// ACKs that belong to nothing.
    pub stray_acks: u64,
    /// Requests refused because a bound was reached.
    pub overloaded: u64,
    /// INVITEs that arrived, re-INVITEs not counted.
    pub invites_received: u64,
    /// Refusals whose ACK never came (timer H).
    pub unacknowledged_refusals: u64,
    /// Live transactions.
    pub transactions: usize,
    /// Requests of ours without a final response.
    pub awaiting_answers: usize,
    /// Live INVITE usages.
    pub invites: usize,
    /// Dialogs, early ones included.
    pub dialogs: usize,
    /// INVITEs remembered so that a copy by another path is known (482).
    pub merge_keys: usize,
    /// Armed timers.
    pub timers: usize,
}
