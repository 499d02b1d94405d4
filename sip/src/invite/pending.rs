//! A request of the far end's that has no final response yet: an INVITE, a re-INVITE, or an UPDATE with
//! an offer.

use crate::{
    dialog::{sole_contact, tag_to},
    message::{Method, Response, StatusCode, Uri},
    transaction::table::TransactionId,
    ua_core::{
        Body, Core, ExtraHeaders,
        arrival::Arrival,
        session_timer::{Refresher, SessionTimer},
    },
};

use super::{ALLOW, SUPPORTED, attach};

/// What its responses are made of.
#[derive(Debug)]
pub(crate) struct PendingInvite {
    /// Where they go.
    pub(crate) transaction: TransactionId,
    /// Its CSeq number.
    pub(crate) cseq: u32,
    /// Whether it is an UPDATE, whose 2xx needs no ACK.
    pub(crate) is_update: bool,
    /// Whether it brought an offer; if not, our 2xx does.
    pub(crate) has_offer: bool,
    /// The session timer that our 2xx starts.
    pub(crate) session: Option<SessionTimer>,
    /// Via, From, To with our tag, Call-ID and CSeq.
    template: Response,
    /// Copied into the responses that make a dialog (RFC 3261 12.1.1).
    record_routes: Vec<String>,
    /// Our Contact.
    contact: String,
    /// Their Contact, which becomes the remote target once we accept (RFC 3261 12.2.2).
    pub(crate) target: Option<Uri>,
}

impl PendingInvite {
    /// For a request whose responses carry `local_tag`, which is ignored inside a dialog.
    pub(crate) fn new(
        core: &Core,
        arrival: &Arrival,
        transaction: TransactionId,
        local_tag: &str,
        session: Option<SessionTimer>,
    ) -> Self {
        let mut template = Response::to_request(&arrival.request, StatusCode::OK);
        if arrival.to_tag.is_none() {
            tag_to(&mut template.headers, local_tag);
        }
        let record_routes = arrival
            .request
            .headers
            .get_all("Record-Route")
            .map(str::to_owned)
            .collect();
        Self {
            transaction,
            cseq: arrival.cseq,
            is_update: arrival.request.method == Method::Update,
            has_offer: !arrival.request.body.is_empty(),
            session,
            template,
            record_routes,
            contact: core.config.contact(arrival.source),
            target: sole_contact(&arrival.request.headers).ok(),
        }
    }

    /// A response that makes or continues the dialog below 300, or a refusal.
    pub(crate) fn response(
        &self,
        core: &Core,
        status: StatusCode,
        body: Option<Body>,
        extra: ExtraHeaders<'_>,
    ) -> Response {
        let mut response = self.template.clone();
        response.status = status;
        response.reason = status.default_reason().to_owned();
        let headers = &mut response.headers;
        if status.is_provisional() || status.is_success() {
            for route in &self.record_routes {
                headers.push("Record-Route", route.as_str());
            }
            headers.push("Contact", self.contact.as_str());
            headers.push("Allow", ALLOW);
            headers.push("Supported", SUPPORTED);
        }
        if status.is_success()
            && let Some(session) = &self.session
        {
            headers.push("Session-Expires", session.answer());
            // RFC 4028 section 9: whoever is to refresh must know that it is to.
            if session.refresher == Refresher::Them {
                headers.push("Require", "timer");
            }
        }
        headers.push("Server", core.config.user_agent.as_str());
        response.body = attach(&mut response.headers, extra, body);
        response
    }
}
