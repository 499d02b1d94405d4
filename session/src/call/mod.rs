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
//!  incoming ──────────► Answering ──► Talking ──────────► Closing ──────────► over
//!      │ no agreement: 488  │ CANCEL, BYE, no ACK  │ our BYE ▲
//!      ▼                    └──────────────────────┤         │ its final response
//!     over                                         ▼         │
//!  outgoing ──► Calling ──2xx──► Talking        Leaving ────┘
//!                  └─ refused, cancelled, no answer ──► over
//! ```
//!
//! A call has one leg and one session, and at a time one far end. Who that is may change
//! (`succession`): after a REFER of theirs, or an INVITE with Replaces.

pub mod admission;
mod consultation;
mod description;
mod dtmf_info;
mod early_answers;
mod hold;
pub mod identity;
mod leg_settings;
mod output;
mod pressing;
mod succession;
#[cfg(test)]
mod tests;
mod transfer;

use std::collections::VecDeque;

use offhook_media::sdp::{
    LocalDescription, LocalMedia, Negotiated, Offer, SdpError, SessionDescription,
};
use offhook_sip::endpoint::{Body, EndCause as DialogEnd, Event, InviteId};
use offhook_sip::message::{Request, Response, StatusCode};

use crate::agent_session::{CallEvent, CallId, CallRequest, EndCause, EndReason};

pub use leg_settings::LegSettings;
pub use output::{Output, SipCommand, Succession};
pub use pressing::DigitsOut;
pub use transfer::{TransferPlan, TransferProgress, is_transfer_target};

use consultation::Consultation;
use description::{Refused, description_in, session_description};
use early_answers::EarlyAnswers;
use pressing::Pressing;
use succession::Successor;
use transfer::OpenTransfer;

#[derive(Debug)]
enum State {
    /// Our INVITE is out, or about to be, with this offer; with what answered it before its 2xx.
    Calling { offer: Offer, early: EarlyAnswers },
    /// Our 200 is out, or a 183 with our offer. `offered` is that offer while its answer, which comes with the
    /// ACK or a PRACK, is awaited; there is no leg until then.
    Answering { offered: Option<Offer> },
    /// The dialog is confirmed and the leg is open.
    Talking,
    /// We ended it; the dialog's last word is still to come.
    Leaving { reason: EndReason },
    /// The dialog is over; the session is closing.
    Closing { reason: EndReason },
    /// Nothing is left.
    Over,
}

/// An offer of ours inside the dialog whose answer is awaited.
#[derive(Debug)]
enum OpenOffer {
    /// In the answer to a re-INVITE without one; the ACK answers it.
    InAnswer(Offer),
    /// In a re-INVITE of ours; with whether it holds the far end.
    InReinvite { offer: Offer, hold: bool },
}

/// One call.
#[derive(Debug)]
pub struct Call {
    id: CallId,
    /// The dialog with the far end; none before our INVITE is out, or when the far end has left and its
    /// successor is still being called.
    invite: Option<InviteId>,
    description: LocalDescription,
    leg: LegSettings,
    digits_by_info: bool,
    pressing: Pressing,
    state: State,
    session_open: bool,
    /// Whether the far end holds the call: we may not send.
    held: bool,
    /// Whether we hold the far end.
    holding: bool,
    /// Whether our 200 to their INVITE is out, or on its way.
    accepted: bool,
    open_offer: Option<OpenOffer>,
    transfer: Option<OpenTransfer>,
    consultation: Option<Consultation>,
    successor: Option<Successor>,

    outputs: VecDeque<Output>,
}

/// What a call is given before it begins.
#[derive(Debug)]
pub struct Provision {
    /// Its name.
    pub id: CallId,
    /// What its leg can do, and where its socket is bound.
    pub local: LocalMedia,
    /// How its leg behaves, whatever will be negotiated.
    pub leg: LegSettings,
    /// Whether digits that come as INFO count. They are answered all the same.
    pub digits_by_info: bool,
    /// How digits of ours go out.
    pub digits_out: DigitsOut,
}

impl Call {
    fn new(provision: Provision, invite: Option<InviteId>) -> Self {
        Self {
            id: provision.id,
            invite,
            description: LocalDescription::new(provision.local),
            leg: provision.leg,
            digits_by_info: provision.digits_by_info,
            pressing: Pressing::new(provision.digits_out),
            state: State::Over,
            session_open: false,
            held: false,
            holding: false,
            accepted: false,
            open_offer: None,
            transfer: None,
            consultation: None,
            successor: None,

            outputs: VecDeque::new(),
        }
    }

    /// An INVITE was admitted and given what it needs: answers it, or refuses it when no agreement on
    /// media is possible. An INVITE without a description is answered with an offer of ours.
    #[must_use]
    pub fn incoming(invite: InviteId, request: &Request, provision: Provision) -> Self {
        let mut call = Self::new(provision, Some(invite));
        call.pressing.learn(&request.headers);
        call.answer(invite, request);
        call
    }

    /// A call of ours, and the offer that its INVITE is to carry. [`placed`](Self::placed) follows, or
    /// [`not_placed`](Self::not_placed).
    #[must_use]
    pub fn outgoing(provision: Provision) -> (Self, Body) {
        let mut call = Self::new(provision, None);
        let offer = call.description.offer();
        let body = session_description(offer.body.clone());
        let early = EarlyAnswers::default();
        call.state = State::Calling { offer, early };
        (call, body)
    }

    /// Our INVITE is out.
    pub fn placed(&mut self, invite: InviteId) {
        self.invite = Some(invite);
    }

    /// Our INVITE cannot be sent.
    pub fn not_placed(&mut self, reason: EndReason) {
        if self.invite.is_none() {
            self.dialog_is_over(reason);
        }
    }

    fn sip(&mut self, invite: InviteId, command: SipCommand) {
        self.outputs.push_back(Output::Sip(invite, command));
    }

    fn answer(&mut self, invite: InviteId, request: &Request) {
        match description_in(request) {
            Ok(None) => {
                let offer = self.description.offer();
                let body = session_description(offer.body.clone());
                // A caller that insists on reliable 1xx gets the offer in one: there are carriers that look
                // for it there, and the 200 is then answered at once.
                if requires_reliable(request) {
                    self.sip(invite, SipCommand::Progress(body));
                } else {
                    self.sip(invite, SipCommand::Ring);
                    self.sip(invite, SipCommand::Accept(Some(body)));
                    self.accepted = true;
                }
                self.state = State::Answering {
                    offered: Some(offer),
                };
            }
            Ok(Some(offer)) => match self.description.answer(&offer) {
                Ok(negotiated) => {
                    self.sip(invite, SipCommand::Ring);
                    self.open(&negotiated);
                    let body = session_description(negotiated.body);
                    self.sip(invite, SipCommand::Accept(Some(body)));
                    self.accepted = true;
                    self.tell_answered();
                    self.state = State::Answering { offered: None };
                }
                Err(unacceptable) => self.refuse(invite, Refused::from(unacceptable)),
            },
            Err(error) => self.refuse(invite, Refused::from(error)),
        }
    }

    fn refuse(&mut self, invite: InviteId, refused: Refused) {
        let Refused { status, headers } = refused;
        self.sip(invite, SipCommand::Reject { status, headers });
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

    /// The INVITE usage that carries it; see [`Output::Succeed`] for how it may change.
    #[must_use]
    pub fn invite(&self) -> Option<InviteId> {
        self.invite
    }

    /// Takes what the endpoint reports of a usage of this call's.
    pub fn handle_sip(&mut self, event: Event) {
        let invite = event.id();
        if self.is_successor(invite) {
            self.handle_successor(event);
            return;
        }
        if let Event::Referral { news, .. } = event {
            self.on_referral_news(news);
            return;
        }
        if self.invite != Some(invite) {
            // The last words of a far end that was succeeded.
            return;
        }
        match event {
            Event::Confirmed { ack, .. } => self.confirmed(&ack),
            Event::Acknowledged { prack, .. } => self.progress_answered(invite, &prack),
            Event::Provisional {
                status, response, ..
            } => {
                if let State::Calling { early, .. } = &mut self.state {
                    early.note(&response);
                }
                self.outputs.push_back(Output::Ringing(status));
            }
            Event::Answered { response, .. } => {
                self.pressing.learn(&response.headers);
                self.answered(invite, &response);
            }
            Event::Redirected { contacts, .. } => {
                self.outputs.push_back(Output::Follow(invite, contacts));
            }
            Event::Reoffer { request, .. } => self.reoffered(invite, &request),
            Event::ReofferConfirmed { ack, .. } => self.reoffer_confirmed(&ack),
            Event::ReofferCancelled { .. } => {
                let in_answer = |open: &mut OpenOffer| matches!(open, OpenOffer::InAnswer(_));
                self.open_offer.take_if(in_answer);
            }
            Event::ReofferAnswered { response, .. } => self.reoffer_answered(&response),
            Event::ReofferRefused { .. } => self.reoffer_refused(),
            Event::RefreshDue { .. } => self.refresh(invite),
            Event::Referred {
                refer_to,
                replaces,
                request,
                ..
            } => self.referred(refer_to, replaces, &request),
            Event::Ended { cause, .. } => self.dialog_ended(cause),
            Event::Info { request, .. } => self.informed(&request),
            Event::InfoAnswered { status, .. } => self.press_answered(status),
            // The driver's: it makes a call of the first, and learns from the second.
            Event::Incoming { .. } | Event::FlowFailed { .. } | Event::Referral { .. } => {}
        }
    }

    /// What the endpoint reports of the far end to be.
    fn handle_successor(&mut self, event: Event) {
        match event {
            Event::Provisional {
                status, response, ..
            } => self.successor_rings(status, &response),
            Event::Answered { response, .. } => self.successor_answered(&response),
            Event::Redirected { contacts, id, .. } => {
                self.outputs.push_back(Output::Follow(id, contacts));
            }
            Event::Ended { cause, .. } => {
                let status = reason_of(cause).sip_status.and_then(StatusCode::new);
                self.successor_failed(status.unwrap_or(StatusCode::TEMPORARILY_UNAVAILABLE));
            }
            Event::Incoming { .. }
            | Event::FlowFailed { .. }
            | Event::Confirmed { .. }
            | Event::Acknowledged { .. }
            | Event::Reoffer { .. }
            | Event::ReofferConfirmed { .. }
            | Event::ReofferCancelled { .. }
            | Event::ReofferAnswered { .. }
            | Event::ReofferRefused { .. }
            | Event::RefreshDue { .. }
            | Event::Referral { .. }
            | Event::Referred { .. }
            | Event::Info { .. }
            | Event::InfoAnswered { .. } => {}
        }
    }

    /// Our INVITE was answered: the leg opens with what the 2xx says, whatever a 1xx said before; only a 2xx
    /// that says nothing leaves it at that.
    fn answered(&mut self, invite: InviteId, response: &Response) {
        let State::Calling { offer, early } = &self.state else {
            return;
        };
        let (offer, answer) = (offer.clone(), early.answer_in(response));
        match self.agree(&offer, answer) {
            Ok(negotiated) => {
                self.open(&negotiated);
                self.tell_answered();
                self.outputs.push_back(Output::Tell(CallEvent::Confirmed));
                self.state = State::Talking;
            }
            Err(refused) => self.leave_disagreed(invite, &refused),
        }
    }

    fn agree(
        &mut self,
        offer: &Offer,
        answer: Result<Option<SessionDescription>, SdpError>,
    ) -> Result<Negotiated, Refused> {
        match answer {
            Ok(Some(answer)) => self
                .description
                .accept_answer(offer, &answer)
                .map_err(Refused::from),
            Ok(None) => Err(Refused::no_description()),
            Err(error) => Err(Refused::from(error)),
        }
    }

    /// A 2xx or an ACK cannot be refused: the dialog stands and is ended (RFC 3261 section 13.3.1.4).
    fn leave_disagreed(&mut self, invite: InviteId, refused: &Refused) {
        let reason = EndReason::with_status(EndCause::Rejected, refused.status.as_u16());
        let headers = vec![description::reason_of(refused.status)];
        self.leave(reason, invite, SipCommand::Bye { headers });
    }

    /// The PRACK of a 183 with our offer came, with the answer: now the call can be accepted.
    fn progress_answered(&mut self, invite: InviteId, prack: &Request) {
        let State::Answering { offered } = &mut self.state else {
            return;
        };
        let Some(offer) = offered.take() else { return };
        match self.agree(&offer, description_in(prack)) {
            Ok(negotiated) => {
                self.open(&negotiated);
                self.sip(invite, SipCommand::Accept(None));
                self.accepted = true;
                self.tell_answered();
            }
            Err(refused) => self.refuse(invite, refused),
        }
    }

    /// The ACK came. Where the offer was ours it holds the answer, and the leg opens now.
    fn confirmed(&mut self, ack: &Request) {
        let State::Answering { offered } = &mut self.state else {
            return;
        };
        if let Some(offer) = offered.take() {
            match self.agree(&offer, description_in(ack)) {
                Ok(negotiated) => {
                    self.open(&negotiated);
                    self.tell_answered();
                }
                Err(refused) => {
                    if let Some(invite) = self.invite {
                        self.leave_disagreed(invite, &refused);
                    }
                    return;
                }
            }
        }
        self.state = State::Talking;
        self.outputs.push_back(Output::Tell(CallEvent::Confirmed));
    }

    /// A re-INVITE or UPDATE: hold, resume, new address, new codec, or only a refresh.
    fn reoffered(&mut self, invite: InviteId, request: &Request) {
        let answer = match description_in(request) {
            Ok(Some(offer)) => self.description.answer(&offer).map_err(Refused::from),
            Ok(None) => {
                let offer = self.description.offer();
                let body = session_description(offer.body.clone());
                self.sip(invite, SipCommand::AcceptReoffer(body));
                // Ours that waits after a glare is sent again, and its answer read then.
                let waits = matches!(self.open_offer, Some(OpenOffer::InReinvite { .. }));
                if matches!(self.state, State::Talking) && !waits {
                    self.open_offer = Some(OpenOffer::InAnswer(offer));
                }
                return;
            }
            Err(error) => Err(Refused::from(error)),
        };
        match answer {
            Ok(negotiated) => {
                let body = session_description(negotiated.body.clone());
                self.sip(invite, SipCommand::AcceptReoffer(body));
                self.renegotiate(negotiated);
            }
            Err(Refused { status, headers }) => {
                self.sip(invite, SipCommand::RejectReoffer { status, headers });
            }
        }
    }

    /// The ACK to our answer of a re-INVITE: it answers our offer, where we made one. An answer that
    /// cannot be used leaves the media as it was; the far end wanted the change, not we.
    fn reoffer_confirmed(&mut self, ack: &Request) {
        let in_answer = |open: &mut OpenOffer| matches!(open, OpenOffer::InAnswer(_));
        let Some(OpenOffer::InAnswer(offer)) = self.open_offer.take_if(in_answer) else {
            return;
        };
        self.take_answer(&offer, description_in(ack));
    }

    fn take_answer(&mut self, offer: &Offer, answer: Result<Option<SessionDescription>, SdpError>) {
        match self.agree(offer, answer) {
            Ok(negotiated) => self.renegotiate(negotiated),
            Err(refused) => tracing::warn!(
                status = %refused.status,
                "the answer to our offer cannot be used; the media stays"
            ),
        }
    }

    /// Tells the leg what was agreed on, and the session when that puts the call on hold or takes it off.
    fn renegotiate(&mut self, agreed: Negotiated) {
        let held = !agreed.direction.sends();
        self.settled_on(&agreed);
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

    /// The codec in use is the one we like best from now on: a hold is no reason to change it.
    fn settled_on(&mut self, agreed: &Negotiated) {
        self.pressing.negotiated(agreed.telephone_event.is_some());
        let codecs = &mut self.description.local_mut().codecs;
        codecs.sort_by_key(|codec| *codec != agreed.codec.kind);
    }

    /// A call may arrive held: the session must not take silence for its own fault.
    fn tell_answered(&mut self) {
        self.outputs.push_back(Output::Tell(CallEvent::Answered));
        if self.held {
            self.outputs.push_back(Output::Tell(CallEvent::Held));
        }
    }

    /// An INFO, already answered. The session knows which presses came with the audio already.
    fn informed(&mut self, request: &Request) {
        let digit = dtmf_info::digit_in(request).filter(|_| self.digits_by_info);
        if let Some(digit) = digit {
            self.outputs
                .push_back(Output::Tell(CallEvent::Digit(digit)));
        }
    }

    /// The endpoint's last word about the usage.
    fn dialog_ended(&mut self, cause: DialogEnd) {
        let reason = match &self.state {
            State::Leaving { reason } => reason.clone(),
            State::Talking if self.successor.is_some() => {
                // Who asked us to call somebody else may go before that one answers; the call waits.
                self.invite = None;
                return;
            }
            State::Calling { .. } | State::Answering { .. } | State::Talking => reason_of(cause),
            State::Closing { .. } | State::Over => return,
        };
        self.transfer_cut_short();
        self.dialog_is_over(reason);
    }

    fn dialog_is_over(&mut self, reason: EndReason) {
        self.give_up_second_leg();
        match &self.state {
            State::Calling { .. } | State::Answering { .. } | State::Talking
                if self.session_open =>
            {
                self.outputs.push_back(Output::Tell(CallEvent::Ended {
                    reason: reason.clone(),
                }));
            }
            State::Calling { .. }
            | State::Answering { .. }
            | State::Talking
            | State::Leaving { .. } => {}
            State::Closing { .. } | State::Over => return,
        }
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
            CallRequest::Press { digit, duration_ms } => self.press(digit, duration_ms),
            CallRequest::Transfer(request) => self.transfer_as_asked(*request),
            // The driver's, who knows the other call, and shows and counts them.
            CallRequest::PassOn(_)
            | CallRequest::AnsweredBy(_)
            | CallRequest::SecondLeg(_)
            | CallRequest::MessageLeft(_)
            | CallRequest::HandedOver(_) => {}
        }
    }

    /// Whether both sides can talk, with nothing of the call's beginning or end under way.
    #[must_use]
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Talking)
    }

    /// Ends the call for `reason`. The first reason stays.
    pub fn hang_up(&mut self, reason: EndReason) {
        self.hang_up_with(reason, Vec::new());
    }

    /// The same with further header fields on the BYE.
    pub fn hang_up_with(&mut self, reason: EndReason, headers: Vec<(String, String)>) {
        if let Some(invite) = self.successor.take().and_then(|successor| successor.invite) {
            self.sip(invite, SipCommand::Cancel);
        }
        self.give_up_second_leg();
        let Some(invite) = self.invite else {
            // The way to the far end is still looked for, or it has gone before its successor came.
            self.dialog_is_over(reason);
            return;
        };
        match self.state {
            // Nothing is open here yet. Whether the CANCEL has to wait for a 1xx, and what answers it, is the
            // endpoint's: it also hangs up on who answers the INVITE after all.
            State::Calling { .. } => {
                self.sip(invite, SipCommand::Cancel);
                self.dialog_is_over(reason);
            }
            // A caller whose call is not answered yet hears why it is not.
            State::Answering { .. } if !self.accepted => {
                let status = StatusCode::TEMPORARILY_UNAVAILABLE;
                let headers = Vec::new();
                self.sip(invite, SipCommand::Reject { status, headers });
                self.state = State::Leaving { reason };
            }
            State::Answering { .. } | State::Talking => {
                self.leave(reason, invite, SipCommand::Bye { headers });
            }
            State::Leaving { .. } | State::Closing { .. } | State::Over => {}
        }
    }

    fn leave(&mut self, reason: EndReason, invite: InviteId, goodbye: SipCommand) {
        // The session first: it would take a leg that closes unannounced for a fault.
        if self.session_open {
            self.outputs.push_back(Output::Tell(CallEvent::Ended {
                reason: reason.clone(),
            }));
        }
        self.outputs.push_back(Output::CloseLeg);
        self.sip(invite, goodbye);
        self.state = State::Leaving { reason };
    }

    /// The leg could not be opened, or its session not begun: what was to follow is not done. A call that
    /// was not accepted yet is refused, any other ended.
    pub fn leg_failed(&mut self) {
        self.session_open = false;
        self.outputs.clear();
        let Some(invite) = self.invite else { return };
        match self.state {
            State::Answering { .. } => {
                let status = StatusCode::SERVER_INTERNAL_ERROR;
                self.outputs.push_back(Output::CloseLeg);
                let headers = Vec::new();
                self.sip(invite, SipCommand::Reject { status, headers });
                self.state = State::Leaving {
                    reason: EndReason::with_status(EndCause::Fault, status.as_u16()),
                };
            }
            State::Calling { .. } | State::Talking => {
                let headers = Vec::new();
                self.leave(EndCause::Fault.into(), invite, SipCommand::Bye { headers });
            }
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
            State::Calling { .. } | State::Answering { .. } | State::Talking => {
                self.hang_up(EndCause::SessionClosed.into());
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
        self.settled_on(negotiated);
        self.outputs
            .push_back(Output::Open(Box::new(self.leg.config(negotiated))));
    }
}

/// Whether the caller refuses to do without reliable provisional responses (RFC 3262).
fn requires_reliable(request: &Request) -> bool {
    let required = request.headers.require();
    required
        .iter()
        .any(|tag| tag.eq_ignore_ascii_case("100rel"))
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
        DialogEnd::AckTimeout | DialogEnd::SessionExpired => {
            EndReason::with_status(EndCause::SignallingLost, 408)
        }
        DialogEnd::PrackTimeout => EndReason::with_status(EndCause::SignallingLost, 504),
        DialogEnd::NoAnswer => EndReason::with_status(EndCause::NotAnswered, 408),
        DialogEnd::TransportFailed => EndReason::with_status(EndCause::SignallingLost, 503),
    }
}
