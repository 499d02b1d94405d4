//! Another far end in the place of the first: because the first asked for it (REFER), or because the other
//! one says so (INVITE with Replaces, RFC 3891). Leg and session go on.

use offhook_media::sdp::{LocalDescription, LocalSrtp, Negotiated, Offer};
use offhook_sip::endpoint::InviteId;
use offhook_sip::message::{Replaces, Request, Response, StatusCode, Uri};

use super::description::{Refused, description_in, session_description};
use super::early_answers::EarlyAnswers;
use super::{Call, Output, SipCommand, State, Succession};
use crate::agent_session::{CallEvent, EndCause, EndReason};

/// The far end to be.
#[derive(Debug)]
pub(super) struct Successor {
    /// `None` until the INVITE is out.
    pub(super) invite: Option<InviteId>,
    description: LocalDescription,
    offer: Offer,
    early: EarlyAnswers,
}

impl Call {
    /// Their REFER: somebody is to be called in their place, if the driver finds that it may be.
    pub(super) fn referred(&mut self, target: Uri, replaces: Option<Replaces>, request: &Request) {
        let Some(invite) = self.invite else { return };
        if !self.is_free_for_transfer() {
            self.sip(invite, SipCommand::RejectRefer(StatusCode::DECLINE));
            return;
        }
        let mut description = self.fresh_description();
        let offer = description.offer();
        self.outputs.push_back(Output::Succeed(Succession {
            target,
            replaces,
            referred_by: request.headers.get("Referred-By").map(str::to_owned),
            offer: session_description(offer.body.clone()),
        }));
        self.successor = Some(Successor {
            invite: None,
            description,
            offer,
            early: EarlyAnswers::default(),
        });
    }

    /// A description for another dialog about the same leg: its `o=` line is another session's, and the first far end
    /// knows none of its keys.
    fn fresh_description(&self) -> LocalDescription {
        let mut local = self.description.local().clone();
        local.session_id = local.session_id.wrapping_add(1);
        local.session_version = 1;
        local.srtp = local.srtp.as_ref().map(LocalSrtp::renewed);
        LocalDescription::new(local)
    }

    /// The INVITE that [`Output::Succeed`] asked for is out.
    pub fn succession_placed(&mut self, invite: InviteId) {
        let Some(successor) = &mut self.successor else {
            // The call was ended while the way was looked for.
            self.sip(invite, SipCommand::Cancel);
            return;
        };
        successor.invite = Some(invite);
        self.outputs
            .push_back(Output::Tell(CallEvent::SuccessorCalled));
        if let Some(first) = self.invite {
            self.sip(first, SipCommand::AcceptRefer);
        }
    }

    /// Nobody is to be called as [`Output::Succeed`] asked.
    pub fn succession_refused(&mut self, status: StatusCode) {
        self.successor = None;
        match self.invite {
            Some(first) => self.sip(first, SipCommand::RejectRefer(status)),
            // It has left already: nobody is there any more.
            None => {
                self.dialog_is_over(EndReason::with_status(EndCause::Rejected, status.as_u16()))
            }
        }
    }

    pub(super) fn is_successor(&self, invite: InviteId) -> bool {
        let successor = self.successor.as_ref();
        successor.is_some_and(|successor| successor.invite == Some(invite))
    }

    /// The successor rings: the first far end hears of it.
    pub(super) fn successor_rings(&mut self, status: StatusCode, response: &Response) {
        if let Some(successor) = &mut self.successor {
            successor.early.note(response);
        }
        if let Some(first) = self.invite {
            self.sip(first, SipCommand::NotifyRefer(status));
        }
    }

    /// The successor answered: it is the far end now, and the first one is told and let go.
    pub(super) fn successor_answered(&mut self, response: &Response) {
        let Some(mut successor) = self.successor.take() else {
            return;
        };
        let Some(invite) = successor.invite else {
            return;
        };
        let agreed = match successor.early.answer_in(response) {
            Ok(Some(answer)) => successor
                .description
                .accept_answer(&successor.offer, &answer)
                .map_err(Refused::from),
            Ok(None) => Err(Refused::no_description()),
            Err(error) => Err(Refused::from(error)),
        };
        let agreed = match agreed {
            Ok(agreed) => agreed,
            Err(refused) => {
                let headers = vec![super::description::reason_of(refused.status)];
                self.sip(invite, SipCommand::Bye { headers });
                self.successor_failed(refused.status);
                return;
            }
        };
        self.outputs
            .push_back(Output::Tell(CallEvent::SuccessorSettled));
        self.description = successor.description;
        self.open_offer = None;
        let first = self.invite.replace(invite);
        self.pressing.succeeded(&response.headers);
        self.outputs.push_back(Output::Tell(CallEvent::Succeeded));
        self.renegotiate(Negotiated {
            another_far_end: true,
            ..agreed
        });
        if let Some(first) = first {
            self.sip(first, SipCommand::NotifyRefer(StatusCode::OK));
            let headers = Vec::new();
            self.sip(first, SipCommand::Bye { headers });
        }
    }

    /// The successor did not answer. The call goes on with the first far end, unless that has left already.
    pub(super) fn successor_failed(&mut self, status: StatusCode) {
        self.successor = None;
        self.outputs
            .push_back(Output::Tell(CallEvent::SuccessorSettled));
        match self.invite {
            Some(first) => self.sip(first, SipCommand::NotifyRefer(status)),
            None => {
                let reason = EndReason::with_status(EndCause::Rejected, status.as_u16());
                self.dialog_is_over(reason);
            }
        }
    }

    /// An INVITE of ours has rung for as long as it may: the call's own ends it, a successor's leaves the first far
    /// end where it is. One that was answered meanwhile goes on.
    pub fn rang_out(&mut self, invite: InviteId) {
        if self.is_successor(invite) {
            self.sip(invite, SipCommand::Cancel);
            self.successor_failed(StatusCode::REQUEST_TIMEOUT);
        } else if self.invite == Some(invite) && matches!(self.state, State::Calling { .. }) {
            self.hang_up(EndCause::NotAnswered.into());
        }
    }

    /// An INVITE with Replaces names this call: its sender is the far end from now on, and the first one is
    /// let go. What cannot be agreed on is refused, and nothing changes.
    pub fn replaced_by(&mut self, invite: InviteId, request: &Request) {
        let mut description = self.fresh_description();
        let answered = match (&self.state, description_in(request)) {
            (State::Talking, Ok(Some(offer))) => description.answer(&offer).map_err(Refused::from),
            (State::Talking, Ok(None)) => Err(Refused::no_description()),
            (State::Talking, Err(error)) => Err(Refused::from(error)),
            (
                State::Calling { .. }
                | State::Answering { .. }
                | State::Leaving { .. }
                | State::Closing { .. }
                | State::Over,
                _,
            ) => Err(Refused {
                status: StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST,
                headers: Vec::new(),
            }),
        };
        let agreed = match answered {
            Ok(agreed) => agreed,
            Err(refused) => {
                let Refused { status, headers } = refused;
                self.sip(invite, SipCommand::Reject { status, headers });
                return;
            }
        };
        // Who was being called in the first far end's place is not wanted any more.
        if let Some(successor) = self.successor.take() {
            if let Some(invite) = successor.invite {
                self.sip(invite, SipCommand::Cancel);
            }
            self.outputs
                .push_back(Output::Tell(CallEvent::SuccessorSettled));
        }
        self.description = description;
        self.open_offer = None;
        let body = session_description(agreed.body.clone());
        self.sip(invite, SipCommand::Accept(Some(body)));
        self.transfer_superseded();
        self.give_up_second_leg();
        let first = self.invite.replace(invite);
        self.pressing.succeeded(&request.headers);
        self.outputs.push_back(Output::Tell(CallEvent::Succeeded));
        self.renegotiate(Negotiated {
            another_far_end: true,
            ..agreed
        });
        if let Some(first) = first {
            let headers = Vec::new();
            self.sip(first, SipCommand::Bye { headers });
        }
    }
}
