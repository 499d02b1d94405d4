//! What an endpoint says to its caller, and what it is told.

use std::time::Duration;

use crate::digest::Credentials;
use crate::flow::Flow;
use crate::identifiers::{InviteId, ProbeId, ReferralId, RegistrationId};
use crate::message::{Message, NameAddr, Replaces, Request, Response, StatusCode, Uri};

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
    /// Where it may go, best first (RFC 3263): from which local to which remote address. The next one is
    /// tried, inside the same attempt, when one cannot be reached, answers 503, or says nothing within
    /// [`silence`](Self::silence). At least one.
    pub flows: Vec<Flow>,
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
    /// Headers that say who calls where From does not (RFC 3325). They are for whom we were told to call: where a
    /// redirection leads to another host they are left out.
    pub identity: Vec<(String, String)>,
    /// The offer. Without one the far end offers, in its 2xx ([`Event::Answered`], then
    /// [`confirm`](crate::endpoint::Endpoint::confirm)) or in a reliable 1xx.
    pub body: Option<Body>,
    /// What challenges are answered with, of this INVITE and of every later request of the call.
    pub credentials: Option<Credentials>,
    /// How long a flow may say nothing at all before the next is tried. The last one has all of timer B.
    pub silence: Duration,
    /// How many redirections (3xx) are handed up as [`Event::Redirected`]; 0 takes the first as a refusal.
    pub redirections: u8,
}

impl OutgoingInvite {
    /// An INVITE to one place, without anything that can be left out.
    #[must_use]
    pub fn new(flow: Flow, target: Uri, from: NameAddr, to: NameAddr) -> Self {
        Self {
            flows: vec![flow],
            target,
            from,
            to,
            route: Vec::new(),
            extra: Vec::new(),
            identity: Vec::new(),
            body: None,
            credentials: None,
            silence: Duration::from_secs(4),
            redirections: 0,
        }
    }
}

/// What leaves an endpoint.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "it lives from one poll to the next; a box would be an allocation for each event"
)]
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
    /// Tell whoever keeps a registration.
    Registration {
        /// Which.
        id: RegistrationId,
        /// What.
        event: RegistrationEvent,
    },
    /// Tell whoever asked by OPTIONS.
    Probed {
        /// Which.
        id: ProbeId,
        /// The final status, or why there is none.
        answer: Result<StatusCode, FlowFailure>,
    },
}

/// A binding to be kept with a registrar.
#[derive(Clone, Debug)]
pub struct RegistrationPlan {
    /// Where the registrar is, best first; at least one.
    pub flows: Vec<Flow>,
    /// Its domain: the Request-URI.
    pub registrar: Uri,
    /// Whose binding it is: To, and From but for the tag.
    pub address_of_record: NameAddr,
    /// The user of our Contact.
    pub user: String,
    /// For how long we ask; a registrar may raise it (423) or grant less.
    pub expires: Duration,
    /// What challenges are answered with.
    pub credentials: Option<Credentials>,
    /// A route to the registrar, first hop first.
    pub route: Vec<NameAddr>,
    /// Further headers.
    pub extra: Vec<(String, String)>,
}

/// What became of a registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistrationEvent {
    /// The registrar has our binding. It is refreshed in time, and each refresh says this again.
    Registered {
        /// For how long.
        expires: Duration,
        /// The route that our requests are to take (RFC 3608), first hop first.
        service_route: Vec<NameAddr>,
    },
    /// One of several flows did not serve; the next is tried.
    FlowFailed {
        /// The flow.
        flow: Flow,
        /// What was wrong with it.
        failure: FlowFailure,
    },
    /// There is no binding, or soon none.
    Failed {
        /// Why.
        failure: RegistrationFailure,
        /// When it is tried again.
        retry_in: Duration,
    },
    /// It was taken away; the last word.
    Removed,
}

/// Why a try to register failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationFailure {
    /// The registrar refused.
    Refused(StatusCode),
    /// The last of the flows did not serve.
    Flow {
        /// The flow.
        flow: Flow,
        /// What was wrong with it.
        failure: FlowFailure,
    },
}

/// What happened to a call.
#[derive(Clone, Debug)]
pub enum Event {
    /// A new call; 100 is the next output. Answer with [`ring`](crate::endpoint::Endpoint::ring),
    /// [`accept`](crate::endpoint::Endpoint::accept) or [`reject`](crate::endpoint::Endpoint::reject).
    Incoming {
        /// Its name from now on.
        id: InviteId,
        /// The INVITE, its top Via completed with where it came from.
        request: Request,
        /// Where it came from.
        flow: Flow,
        /// The call whose place it takes (RFC 3891). Whoever accepts this one ends that one.
        replaces: Option<InviteId>,
    },
    /// A flow of ours for an INVITE did not serve; the next is tried, if there is one.
    FlowFailed {
        /// Which.
        id: InviteId,
        /// The flow.
        flow: Flow,
        /// What was wrong with it.
        failure: FlowFailure,
    },
    /// Our INVITE was answered 3xx. Nothing is sent until
    /// [`follow`](crate::endpoint::Endpoint::follow) names a new target, or
    /// [`cancel`](crate::endpoint::Endpoint::cancel) gives up.
    Redirected {
        /// Which.
        id: InviteId,
        /// Where the far end says the callee is, best first; at least one.
        contacts: Vec<Uri>,
        /// 300 to 399.
        status: StatusCode,
    },
    /// Our INVITE was answered with 101 to 199; each early dialog says so by its To tag.
    Provisional {
        /// Which.
        id: InviteId,
        /// 101 to 199.
        status: StatusCode,
        /// The whole response.
        response: Response,
        /// Whether it holds an offer that
        /// [`answer_early`](crate::endpoint::Endpoint::answer_early) has to answer: we sent none, and it was
        /// sent reliably (RFC 3262 5).
        wants_answer: bool,
    },
    /// The PRACK for a reliable 1xx of ours arrived and was answered 200; it holds the answer if the 1xx
    /// held an offer.
    Acknowledged {
        /// Which.
        id: InviteId,
        /// The PRACK.
        prack: Request,
    },
    /// Our INVITE was answered with 2xx. The ACK was sent, unless the 2xx holds the offer: then
    /// [`confirm`](crate::endpoint::Endpoint::confirm) sends it with the answer.
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
    /// The far end sent a re-INVITE, or an UPDATE with an offer. Answer with
    /// [`accept_reoffer`](crate::endpoint::Endpoint::accept_reoffer) or
    /// [`reject_reoffer`](crate::endpoint::Endpoint::reject_reoffer). One at a time: a second is answered
    /// 500, and one that meets a re-INVITE of ours 491, without being told.
    Reoffer {
        /// Which.
        id: InviteId,
        /// The re-INVITE or UPDATE.
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
    /// The session is to be refreshed by a re-INVITE, since the far end takes no UPDATE (RFC 4028): send
    /// [`reoffer`](crate::endpoint::Endpoint::reoffer) with the description as it stands.
    RefreshDue {
        /// Which.
        id: InviteId,
    },
    /// What became of a REFER of ours. The last news about it is final by
    /// [`ReferralNews::is_final`]; it may come after the call's end.
    Referral {
        /// The call it was sent in.
        id: InviteId,
        /// Which.
        referral: ReferralId,
        /// What.
        news: ReferralNews,
    },
    /// The far end wants us to call somebody (RFC 3515). Answer with
    /// [`accept_refer`](crate::endpoint::Endpoint::accept_refer) or
    /// [`reject_refer`](crate::endpoint::Endpoint::reject_refer). One at a time: a second is answered 500.
    Referred {
        /// Which.
        id: InviteId,
        /// Whom to call, its URI headers taken off.
        refer_to: Uri,
        /// The dialog that the new call is to take the place of, in an attended transfer.
        replaces: Option<Replaces>,
        /// The whole REFER.
        request: Request,
    },
    /// An INFO arrived and was answered 200.
    Info {
        /// Which.
        id: InviteId,
        /// The INFO.
        request: Request,
    },
    /// An INFO of ours was answered, or was not.
    InfoAnswered {
        /// Which call's.
        id: InviteId,
        /// 200 to 699, or 408 when it went unanswered.
        status: StatusCode,
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
            | Self::FlowFailed { id, .. }
            | Self::Redirected { id, .. }
            | Self::Acknowledged { id, .. }
            | Self::RefreshDue { id }
            | Self::Referral { id, .. }
            | Self::Referred { id, .. }
            | Self::Provisional { id, .. }
            | Self::Answered { id, .. }
            | Self::Confirmed { id, .. }
            | Self::Reoffer { id, .. }
            | Self::ReofferConfirmed { id, .. }
            | Self::ReofferCancelled { id }
            | Self::ReofferAnswered { id, .. }
            | Self::ReofferRefused { id, .. }
            | Self::Info { id, .. }
            | Self::InfoAnswered { id, .. }
            | Self::Ended { id, .. } => *id,
        }
    }
}

/// What was wrong with a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowFailure {
    /// The transport could not deliver.
    TransportFailed,
    /// It said nothing in time.
    Silent,
    /// It answered 503, perhaps with how long to stay away.
    Unavailable {
        /// Its `Retry-After`.
        retry_after: Option<Duration>,
    },
}

/// What is known of a REFER of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReferralNews {
    /// The far end will try (202).
    Accepted,
    /// How far it has come: a 1xx of the new call.
    Progress(StatusCode),
    /// The new call was answered.
    Completed(StatusCode),
    /// The new call failed with 300 to 699.
    Failed(StatusCode),
    /// The REFER itself was refused with 300 to 699, or never answered (408).
    Refused(StatusCode),
    /// It was accepted, and there will be no news (RFC 4488).
    AcceptedWithoutNews,
    /// The news ended before the outcome was told.
    EndedEarly,
    /// No outcome was told in time.
    TimedOut,
}

impl ReferralNews {
    /// Whether nothing follows.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Accepted | Self::Progress(_) => false,
            Self::Completed(_)
            | Self::Failed(_)
            | Self::Refused(_)
            | Self::AcceptedWithoutNews
            | Self::EndedEarly
            | Self::TimedOut => true,
        }
    }
}

/// A REFER to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingRefer {
    /// Whom the far end is to call, as given (`sip:` with its parameters and URI headers, or `tel:`);
    /// written between angle brackets, without a display name, which some far ends refuse.
    pub refer_to: String,
    /// Who asks; written as `Referred-By` (RFC 3892).
    pub referred_by: Option<String>,
    /// Whether news is wanted. `false` asks for none (`Refer-Sub: false`, RFC 4488).
    pub wants_news: bool,
    /// How long the outcome may take.
    pub timeout: Duration,
    /// Further headers; the endpoint's own are left out.
    pub extra: Vec<(String, String)>,
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
    /// Our reliable 1xx was never acknowledged; the INVITE was refused.
    PrackTimeout,
    /// Nobody refreshed the session in time (RFC 4028); BYE was sent.
    SessionExpired,
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
    /// Registrations that are kept.
    pub registrations: usize,
    /// REFERs of ours whose outcome is not known.
    pub referrals: usize,
    /// Armed timers.
    pub timers: usize,
}
