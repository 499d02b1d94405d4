//! REFER inside a call (RFC 3515, 4488, 3892): ours, and theirs with the NOTIFYs that we owe.

use std::time::Instant;

use super::Established;
use crate::identifiers::ReferralId;
use crate::{
    invite::{Place, State},
    message::{
        MESSAGE_SIPFRAG, Method, NameAddr, Replaces, Request, Response, StatusCode, Uri,
        fragment_of,
    },
    transaction::table::{ClientRole, TransactionId},
    ua_core::{Core, Event, Misuse, OutgoingRefer, arrival::Arrival},
};

/// How long the far end may expect news, which it need not renew: no transfer takes longer.
const SUBSCRIPTION_S: u32 = 180;

/// A REFER of theirs.
#[derive(Debug)]
pub(super) struct Referred {
    progress: Progress,
    /// The REFER's CSeq, by which they know which of theirs it is about.
    event_id: u32,
    wants_news: bool,
}

#[derive(Debug)]
enum Progress {
    /// Not answered yet.
    Asked {
        transaction: TransactionId,
        refusal_template: Response,
    },
    /// News is owed.
    Accepted,
    /// The last NOTIFY is out; until it is answered no BYE leaves, which would cross it.
    Told,
}

impl Established {
    // Ours.

    pub(in crate::invite) fn refer(
        &mut self,
        core: &mut Core,
        place: Place,
        refer: &OutgoingRefer,
        now: Instant,
    ) -> Result<ReferralId, Misuse> {
        if self.hang_up.is_some() || !core.has_room_for_referral(self.dialog.id()) {
            return Err(Misuse::WrongState {
                command: "refer",
                state: "leaving, or referred elsewhere already",
            });
        }
        let flow = core.flow_of(&self.dialog, place.flow);
        let mut request = self.dialog.request(Method::Refer);
        let headers = &mut request.headers;
        headers.push("Contact", core.config.contact(flow));
        headers.push("Refer-To", format!("<{}>", refer.refer_to));
        if let Some(referred_by) = &refer.referred_by {
            headers.push("Referred-By", format!("<{referred_by}>"));
        }
        if !refer.wants_news {
            headers.push("Refer-Sub", "false");
            headers.push("Supported", "norefersub");
        }
        for (name, value) in &refer.extra {
            headers.push(name, value.as_str());
        }
        let cseq = self.dialog.local_cseq();
        let id = core.open_referral(place.id, self.dialog.id(), cseq, refer.timeout, now);
        core.request(request, flow, ClientRole::Refer(place.id, id), now);
        Ok(id)
    }

    // Theirs.

    pub(in crate::invite) fn on_refer(
        &mut self,
        core: &mut Core,
        place: Place,
        arrival: Arrival,
        now: Instant,
    ) {
        if self.hang_up.is_some() {
            core.answer(&arrival, StatusCode::DECLINE, &[], now);
            return;
        }
        if self.referred.is_some() {
            core.answer_come_back(&arrival, now);
            return;
        }
        let Some((refer_to, replaces)) = refer_target(&arrival.request) else {
            core.answer(&arrival, StatusCode::BAD_REQUEST, &[], now);
            return;
        };
        let wants_news = !arrival
            .request
            .headers
            .get("Refer-Sub")
            .is_some_and(|value| value.trim().eq_ignore_ascii_case("false"));
        let transaction = core.open_request(&arrival);
        let template = Response::to_request(&arrival.request, StatusCode::OK);
        self.referred = Some(Referred {
            progress: Progress::Asked {
                transaction,
                refusal_template: template,
            },
            event_id: arrival.cseq,
            wants_news,
        });
        core.emit(Event::Referred {
            id: place.id,
            refer_to,
            replaces,
            request: arrival.request,
        });
    }

    /// Answers 202 and says that it is tried (RFC 3515 2.4.4).
    pub(in crate::invite) fn accept_refer(
        &mut self,
        core: &mut Core,
        place: Place,
        now: Instant,
    ) -> Result<(), Misuse> {
        let referred = self.answer_refer(core, place, StatusCode::ACCEPTED, now)?;
        if referred.wants_news {
            self.referred = Some(referred);
            self.notify_refer(core, place, StatusCode::TRYING, now)?;
        }
        Ok(())
    }

    pub(in crate::invite) fn reject_refer(
        &mut self,
        core: &mut Core,
        place: Place,
        status: StatusCode,
        now: Instant,
    ) -> Result<(), Misuse> {
        self.answer_refer(core, place, status, now).map(|_| ())
    }

    fn answer_refer(
        &mut self,
        core: &mut Core,
        place: Place,
        status: StatusCode,
        now: Instant,
    ) -> Result<Referred, Misuse> {
        let asked = |referred: &mut Referred| matches!(referred.progress, Progress::Asked { .. });
        let Some(mut referred) = self.referred.take_if(asked) else {
            return Err(not_asked("answer the REFER of"));
        };
        let Progress::Asked {
            transaction,
            mut refusal_template,
        } = std::mem::replace(&mut referred.progress, Progress::Accepted)
        else {
            return Err(not_asked("answer the REFER of"));
        };
        let response = &mut refusal_template;
        response.status = status;
        status.default_reason().clone_into(&mut response.reason);
        if status.is_success() {
            response
                .headers
                .push("Contact", core.config.contact(place.flow));
            if !referred.wants_news {
                response.headers.push("Refer-Sub", "false");
            }
        }
        response
            .headers
            .push("Server", core.config.user_agent.as_str());
        core.respond(transaction, response, now);
        Ok(referred)
    }

    /// Tells how far what their REFER asked for has come. Nothing where no news is wanted, or the last was
    /// told.
    pub(in crate::invite) fn notify_refer(
        &mut self,
        core: &mut Core,
        place: Place,
        status: StatusCode,
        now: Instant,
    ) -> Result<(), Misuse> {
        let Some(referred) = &mut self.referred else {
            return Ok(());
        };
        match referred.progress {
            Progress::Asked { .. } => return Err(not_asked("tell the progress of the REFER of")),
            Progress::Told => return Ok(()),
            Progress::Accepted => {}
        }
        let last = status.is_final();
        if last {
            referred.progress = Progress::Told;
        }
        let state = if last {
            "terminated;reason=noresource".to_owned()
        } else {
            format!("active;expires={SUBSCRIPTION_S}")
        };
        let event = format!("refer;id={}", referred.event_id);
        let flow = core.flow_of(&self.dialog, place.flow);
        let mut notify = self.dialog.request(Method::Notify);
        let headers = &mut notify.headers;
        headers.push("Contact", core.config.contact(flow));
        headers.push("Event", event);
        headers.push("Subscription-State", state);
        headers.push("Content-Type", MESSAGE_SIPFRAG);
        notify.body = fragment_of(status);
        core.request(notify, flow, ClientRole::Notify(place.id, last), now);
        Ok(())
    }

    /// A NOTIFY of ours was answered, or never: after the last one a BYE that waited leaves.
    pub(in crate::invite) fn on_notify_over(
        mut self: Box<Self>,
        core: &mut Core,
        place: Place,
        last: bool,
        now: Instant,
    ) -> State {
        if !last {
            return State::Established(self);
        }
        self.referred = None;
        self.leave_if_wanted(core, place, now)
    }

    /// Whether a NOTIFY is out that a BYE must not cross: there are peers that answer it 481 then, and take
    /// the transfer as failed.
    pub(super) fn owes_notify(&self) -> bool {
        self.referred
            .as_ref()
            .is_some_and(|referred| matches!(referred.progress, Progress::Told))
    }

    /// A REFER that is still open when the call ends is answered.
    pub(super) fn refuse_refer(&mut self, core: &mut Core, place: Place, now: Instant) {
        if let Some(Referred {
            progress: Progress::Asked { .. },
            ..
        }) = &self.referred
        {
            let status = StatusCode::DECLINE;
            let _ = self.answer_refer(core, place, status, now);
        }
    }
}

/// The one Refer-To, its URI headers taken off; `None` when there is none, or several, or it cannot be read.
fn refer_target(request: &Request) -> Option<(Uri, Option<Replaces>)> {
    let mut values = request.headers.get_all("Refer-To");
    let (value, None) = (values.next()?, values.next()) else {
        return None;
    };
    let mut uri = NameAddr::parse(value).ok()?.uri;
    let headers = uri.sip_mut().and_then(|sip| sip.headers.take());
    let replaces = match headers {
        Some(headers) => Replaces::in_uri_headers(&headers).ok()?,
        None => None,
    };
    Some((uri, replaces))
}

fn not_asked(command: &'static str) -> Misuse {
    Misuse::WrongState {
        command,
        state: "not waiting for it",
    }
}
