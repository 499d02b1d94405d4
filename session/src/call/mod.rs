//! The call: what joins a SIP dialog, a leg and an agent session.
//!
//! The only module of this crate that names SIP and RTP types. A [`Call`] decides and does nothing
//! else: it takes what the endpoint and the session report and is drained of [`Output`]s by the driver
//! after each. It needs no timer of its own: the endpoint bounds every wait for the far end and the
//! session every wait for the agent, so the driver owes it one [`Call::session_closed`] for every
//! [`Output::Open`] that it did not answer with [`Call::leg_failed`]. Audio never passes through here.
//!
//! ```text
//!              offer          ACK             BYE, either way       session closed
//!  Incoming ──────────► Answering ──► Talking ──────────► Closing ──────────► over
//!      │ no agreement: 488  │ CANCEL, BYE, no ACK  │ our BYE ▲
//!      ▼                    └──────────────────────┤         │ its final response
//!     over                                         ▼         │
//!                                                Leaving ────┘
//! ```

pub mod admission;
mod dtmf_info;
pub mod identity;
mod leg_settings;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use offhook_media::leg::LegConfig;
use offhook_media::sdp::{self, LocalDescription, LocalMedia, Negotiated, Offer, SdpError};
use offhook_sip::endpoint::{Body, EndCause as DialogEnd, Event, InviteId};
use offhook_sip::message::{Request, StatusCode};

use crate::agent_session::{CallEvent, CallId, CallRequest, EndCause, EndReason};

pub use leg_settings::LegSettings;

/// The media type of a session description.
const APPLICATION_SDP: &str = "application/sdp";

/// What a call wants done. The driver carries outputs out in order.
#[derive(Debug)]
pub enum Output {
    /// Send 180.
    Ring,
    /// Send the 200 with this description; the endpoint repeats it until the ACK.
    Accept(Body),
    /// Refuse the call.
    Reject {
        /// The final status, 400 to 699.
        status: StatusCode,
        /// Further header fields.
        headers: Vec<(&'static str, String)>,
    },
    /// End the dialog with BYE.
    Bye,
    /// Answer a re-INVITE with this description.
    AcceptReoffer(Body),
    /// Refuse a re-INVITE; what was agreed before stays in force.
    RejectReoffer {
        /// The final status.
        status: StatusCode,
        /// Further header fields.
        headers: Vec<(&'static str, String)>,
    },
    /// Open the leg and begin the session.
    Open(Box<LegConfig>),
    /// Change the open leg to what a re-negotiation agreed on.
    Renegotiate(Box<Negotiated>),
    /// Close the leg, if one is open.
    CloseLeg,
    /// Tell the session, if one has begun.
    Tell(CallEvent),
    /// The call is over; the last output.
    Over(EndReason),
}

#[derive(Debug)]
enum State {
    /// Our 200 is out. `offered` is our own offer while its answer, which comes with the ACK, is
    /// awaited; there is no leg until then.
    Answering { offered: Option<Offer> },
    /// The dialog is confirmed and the leg is open. `offered` is our offer in the answer to a re-INVITE
    /// without one, until the ACK answers it.
    Talking { offered: Option<Offer> },
    /// We ended it; the dialog's last word is still to come.
    Leaving { reason: EndReason },
    /// The dialog is over; the session is closing.
    Closing { reason: EndReason },
    /// Nothing is left.
    Over,
}

/// One call.
#[derive(Debug)]
pub struct Call {
    id: CallId,
    invite: InviteId,
    description: LocalDescription,
    leg: LegSettings,
    state: State,
    session_open: bool,
    /// Whether the far end holds the call: we may not send.
    held: bool,

    outputs: VecDeque<Output>,
}

/// What an incoming call is given before it is answered.
#[derive(Debug)]
pub struct Provision {
    /// Its name.
    pub id: CallId,
    /// What its leg can do, and where its socket is bound.
    pub local: LocalMedia,
    /// How its leg behaves, whatever will be negotiated.
    pub leg: LegSettings,
}

impl Call {
    /// An INVITE was admitted and given what it needs: answers it, or refuses it when no agreement on
    /// media is possible. An INVITE without a description is answered with an offer of ours.
    #[must_use]
    pub fn incoming(invite: InviteId, request: &Request, provision: Provision) -> Self {
        let mut call = Self {
            id: provision.id,
            invite,
            description: LocalDescription::new(provision.local),
            leg: provision.leg,
            state: State::Over,
            session_open: false,
            held: false,

            outputs: VecDeque::new(),
        };
        call.answer(request);
        call
    }

    fn answer(&mut self, request: &Request) {
        match description_in(request) {
            Ok(None) => {
                let offer = self.description.offer();
                self.outputs.push_back(Output::Ring);
                self.outputs
                    .push_back(Output::Accept(session_description(offer.body.clone())));
                self.state = State::Answering {
                    offered: Some(offer),
                };
            }
            Ok(Some(offer)) => match self.description.answer(&offer) {
                Ok(negotiated) => {
                    self.outputs.push_back(Output::Ring);
                    self.open(&negotiated);
                    self.outputs
                        .push_back(Output::Accept(session_description(negotiated.body)));
                    self.tell_answered();
                    self.state = State::Answering { offered: None };
                }
                Err(unacceptable) => self.refuse(Refused::from(unacceptable)),
            },
            Err(error) => self.refuse(Refused::from(error)),
        }
    }

    fn refuse(&mut self, refused: Refused) {
        let status = refused.status;
        self.outputs.push_back(Output::Reject {
            status,
            headers: refused.headers,
        });
        // The endpoint's last word about the usage follows and ends the call.
        self.state = State::Leaving {
            reason: EndReason::with_status(EndCause::Rejected, status.as_u16()),
        };
    }

    /// Which call.
    #[must_use]
    pub fn id(&self) -> &CallId {
        &self.id
    }

    /// The INVITE usage that carries it.
    #[must_use]
    pub fn invite(&self) -> InviteId {
        self.invite
    }

    /// Takes what the endpoint reports of this call's usage.
    pub fn handle_sip(&mut self, event: Event) {
        match event {
            Event::Confirmed { ack, .. } => self.confirmed(&ack),
            Event::Reoffer { request, .. } => self.reoffered(&request),
            Event::ReofferConfirmed { ack, .. } => self.reoffer_confirmed(&ack),
            Event::ReofferCancelled { .. } => self.forget_offer(),
            Event::Ended { cause, .. } => self.dialog_ended(cause),
            Event::Info { request, .. } => self.informed(&request),
            // The driver makes a call of it before there is one to tell; the others belong to outbound calls.
            Event::Incoming { .. }
            | Event::Provisional { .. }
            | Event::Answered { .. }
            | Event::ReofferAnswered { .. }
            | Event::ReofferRefused { .. }
            | Event::FlowFailed { .. }
            | Event::Redirected { .. }
            | Event::Acknowledged { .. }
            | Event::RefreshDue { .. }
            | Event::Referral { .. }
            | Event::Referred { .. } => {}
        }
    }

    /// The ACK came. Where the offer was ours it holds the answer, and the leg opens now.
    fn confirmed(&mut self, ack: &Request) {
        let State::Answering { offered } = &mut self.state else {
            return;
        };
        if let Some(offer) = offered.take() {
            let agreed = match description_in(ack) {
                Ok(Some(answer)) => self
                    .description
                    .accept_answer(&offer, &answer)
                    .map_err(Refused::from),
                Ok(None) => Err(Refused::no_description()),
                Err(error) => Err(Refused::from(error)),
            };
            match agreed {
                Ok(negotiated) => {
                    self.open(&negotiated);
                    self.tell_answered();
                }
                Err(refused) => {
                    // An ACK cannot be refused: the dialog stands and is ended (RFC 3261 section 13.3.1.4).
                    let reason =
                        EndReason::with_status(EndCause::Rejected, refused.status.as_u16());
                    self.leave(reason);
                    return;
                }
            }
        }
        self.state = State::Talking { offered: None };
        self.outputs.push_back(Output::Tell(CallEvent::Confirmed));
    }

    /// A re-INVITE: hold, resume, new address, new codec, or only a refresh.
    fn reoffered(&mut self, request: &Request) {
        let answer = match description_in(request) {
            Ok(Some(offer)) => self.description.answer(&offer).map_err(Refused::from),
            Ok(None) => {
                let offer = self.description.offer();
                self.outputs
                    .push_back(Output::AcceptReoffer(session_description(
                        offer.body.clone(),
                    )));
                if let State::Talking { offered } = &mut self.state {
                    *offered = Some(offer);
                }
                return;
            }
            Err(error) => Err(Refused::from(error)),
        };
        match answer {
            Ok(negotiated) => {
                let body = session_description(negotiated.body.clone());
                self.outputs.push_back(Output::AcceptReoffer(body));
                self.renegotiate(negotiated);
            }
            Err(refused) => {
                self.outputs.push_back(Output::RejectReoffer {
                    status: refused.status,
                    headers: refused.headers,
                });
            }
        }
    }

    /// The ACK to our answer of a re-INVITE: it answers our offer, where we made one. An answer that
    /// cannot be used leaves the media as it was; the far end wanted the change, not we.
    fn reoffer_confirmed(&mut self, ack: &Request) {
        let State::Talking { offered } = &mut self.state else {
            return;
        };
        let Some(offer) = offered.take() else { return };
        match description_in(ack) {
            Ok(Some(answer)) => match self.description.accept_answer(&offer, &answer) {
                Ok(negotiated) => self.renegotiate(negotiated),
                Err(error) => {
                    tracing::warn!(%error, "the answer to our offer cannot be met; the media stays")
                }
            },
            Ok(None) => tracing::warn!("the ACK owed us an answer; the media stays"),
            Err(error) => {
                tracing::warn!(%error, "the answer to our offer cannot be read; the media stays")
            }
        }
    }

    /// Tells the leg what was agreed on, and the session when that puts the call on hold or takes it off.
    fn renegotiate(&mut self, agreed: Negotiated) {
        let held = !agreed.direction.sends();

        self.outputs
            .push_back(Output::Renegotiate(Box::new(agreed)));
        if held != self.held {
            self.held = held;
            self.outputs.push_back(Output::Tell(if held {
                CallEvent::Held
            } else {
                CallEvent::Resumed
            }));
        }
    }

    /// A call may arrive held: the session must not take silence for its own fault.
    fn tell_answered(&mut self) {
        self.outputs.push_back(Output::Tell(CallEvent::Answered));
        if self.held {
            self.outputs.push_back(Output::Tell(CallEvent::Held));
        }
    }

    fn forget_offer(&mut self) {
        if let State::Talking { offered } = &mut self.state {
            *offered = None;
        }
    }

    /// An INFO, already answered. The session knows which presses came with the audio already.
    fn informed(&mut self, request: &Request) {
        if let Some(digit) = dtmf_info::digit_in(request) {
            self.outputs
                .push_back(Output::Tell(CallEvent::Digit(digit)));
        }
    }

    /// The endpoint's last word about the usage.
    fn dialog_ended(&mut self, cause: DialogEnd) {
        let reason = match &self.state {
            State::Leaving { reason } => reason.clone(),
            State::Answering { .. } | State::Talking { .. } => {
                let reason = reason_of(cause);
                if self.session_open {
                    self.outputs.push_back(Output::Tell(CallEvent::Ended {
                        reason: reason.clone(),
                    }));
                }
                reason
            }
            State::Closing { .. } | State::Over => return,
        };
        self.outputs.push_back(Output::CloseLeg);
        if self.session_open {
            self.state = State::Closing { reason };
        } else {
            self.state = State::Over;
            self.outputs.push_back(Output::Over(reason));
        }
    }

    /// Takes what the session asks for.
    pub fn handle_session(&mut self, request: CallRequest) {
        match request {
            CallRequest::HangUp { reason } => self.hang_up(reason),
        }
    }

    /// Ends the call for `reason`. The first reason stays.
    pub fn hang_up(&mut self, reason: EndReason) {
        match self.state {
            State::Answering { .. } | State::Talking { .. } => self.leave(reason),
            State::Leaving { .. } | State::Closing { .. } | State::Over => {}
        }
    }

    fn leave(&mut self, reason: EndReason) {
        // The session first: it would take a leg that closes unannounced for a fault.
        if self.session_open {
            self.outputs.push_back(Output::Tell(CallEvent::Ended {
                reason: reason.clone(),
            }));
        }
        self.outputs.push_back(Output::CloseLeg);
        self.outputs.push_back(Output::Bye);
        self.state = State::Leaving { reason };
    }

    /// The leg could not be opened, or its session not begun: what was to follow is not done. A call that
    /// was not accepted yet is refused, any other ended.
    pub fn leg_failed(&mut self) {
        self.session_open = false;
        self.outputs.clear();
        match self.state {
            State::Answering { .. } => {
                let status = StatusCode::SERVER_INTERNAL_ERROR;
                self.outputs.push_back(Output::CloseLeg);
                self.outputs.push_back(Output::Reject {
                    status,
                    headers: Vec::new(),
                });
                self.state = State::Leaving {
                    reason: EndReason::with_status(EndCause::Fault, status.as_u16()),
                };
            }
            State::Talking { .. } => self.leave(EndCause::Fault.into()),
            State::Leaving { .. } | State::Closing { .. } | State::Over => {}
        }
    }

    /// The session is closed, as the call asked or by itself.
    pub fn session_closed(&mut self) {
        self.session_open = false;
        match &self.state {
            State::Closing { reason } => {
                let reason = reason.clone();
                self.state = State::Over;
                self.outputs.push_back(Output::Over(reason));
            }
            // A session that is gone while the call is up leaves a caller alone with silence.
            State::Answering { .. } | State::Talking { .. } => {
                self.leave(EndCause::SessionClosed.into())
            }
            State::Leaving { .. } | State::Over => {}
        }
    }

    /// What is to be done next; drained after every call of another method.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn open(&mut self, negotiated: &Negotiated) {
        self.session_open = true;
        self.held = !negotiated.direction.sends();

        // What is queued for the caller is at this codec's rate: from now on only codecs of that rate
        // can be agreed on.
        let rate = negotiated.codec.sample_rate_hz();
        self.description
            .local_mut()
            .codecs
            .retain(|codec| codec.sample_rate_hz() == rate);
        self.outputs
            .push_back(Output::Open(Box::new(self.leg.config(negotiated))));
    }
}

/// A refusal on its way to a response.
struct Refused {
    status: StatusCode,
    headers: Vec<(&'static str, String)>,
}

impl Refused {
    fn no_description() -> Self {
        Self {
            status: StatusCode::NOT_ACCEPTABLE_HERE,
            headers: vec![("Warning", warning(399, "no session description"))],
        }
    }
}

impl From<sdp::Unacceptable> for Refused {
    fn from(unacceptable: sdp::Unacceptable) -> Self {
        let warning = warning(unacceptable.warning_code(), &unacceptable.to_string());
        Self {
            status: StatusCode::NOT_ACCEPTABLE_HERE,
            headers: vec![("Warning", warning)],
        }
    }
}

impl From<SdpError> for Refused {
    fn from(error: SdpError) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            headers: vec![("Warning", warning(399, &error.to_string()))],
        }
    }
}

/// A `Warning` value (RFC 3261 section 20.43). The agent is a pseudonym: a host name is nobody's business.
fn warning(code: u16, text: &str) -> String {
    let text: String = text
        .chars()
        .filter(|symbol| !matches!(symbol, '"' | '\\' | '\r' | '\n'))
        .collect();
    format!("{code} offhook \"{text}\"")
}

fn session_description(bytes: Vec<u8>) -> Body {
    Body {
        content_type: APPLICATION_SDP.to_owned(),
        bytes,
    }
}

/// The session description that a request carries, be it in a part of a multipart body.
fn description_in(request: &Request) -> Result<Option<sdp::SessionDescription>, SdpError> {
    if request.body.is_empty() {
        return Ok(None);
    }
    // RFC 3261 section 7.4.1 wants a Content-Type with a body; far ends forget it.
    let content_type = request
        .headers
        .get("Content-Type")
        .unwrap_or(APPLICATION_SDP);
    sdp::find_in_body(content_type, &request.body)
        .map(sdp::parse)
        .transpose()
}

/// Why a dialog that we did not end is over.
fn reason_of(cause: DialogEnd) -> EndReason {
    match cause {
        DialogEnd::RemoteBye => EndCause::FarEndHungUp.into(),
        DialogEnd::LocalBye => EndCause::SessionClosed.into(),
        DialogEnd::Cancelled => EndReason::with_status(EndCause::Cancelled, 487),
        DialogEnd::Rejected(status) | DialogEnd::Refused(status) => {
            EndReason::with_status(EndCause::Rejected, status.as_u16())
        }
        DialogEnd::AckTimeout | DialogEnd::PrackTimeout | DialogEnd::SessionExpired => {
            EndReason::with_status(EndCause::SignallingLost, 408)
        }
        DialogEnd::NoAnswer => EndReason::with_status(EndCause::NotAnswered, 408),
        DialogEnd::TransportFailed => EndReason::with_status(EndCause::SignallingLost, 503),
    }
}
