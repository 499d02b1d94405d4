//! An INVITE or re-INVITE of the far end's that has no final response yet.

use crate::{
    dialog::{sole_contact, tag_to},
    message::{Response, StatusCode, Uri},
    transaction::table::TransactionId,
    ua_core::{Body, Core, ExtraHeaders, arrival::Arrival},
};

use super::{ALLOW, attach};

/// What its responses are made of.
#[derive(Debug)]
pub(crate) struct PendingInvite {
    /// Where they go.
    pub(crate) transaction: TransactionId,
    /// Its CSeq number.
    pub(crate) cseq: u32,
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
    /// For an INVITE whose responses carry `local_tag`, which is ignored inside a dialog.
    pub(crate) fn new(
        core: &Core,
        arrival: &Arrival,
        transaction: TransactionId,
        local_tag: &str,
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
        if status.is_provisional() || status.is_success() {
            for route in &self.record_routes {
                response.headers.push("Record-Route", route.as_str());
            }
            response.headers.push("Contact", self.contact.as_str());
            response.headers.push("Allow", ALLOW);
        }
        response
            .headers
            .push("Server", core.config.user_agent.as_str());
        response.body = attach(&mut response.headers, extra, body);
        response
    }
}
