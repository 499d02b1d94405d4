//! An INVITE of ours and the requests that are made of it hop by hop.

use crate::{
    flow::Flow,
    message::{CSeq, Method, Request, Response},
};

/// What an INVITE client transaction remembers of its INVITE, also after its usage ended: each
/// repeated 2xx is acknowledged as long as the transaction lives.
#[derive(Debug)]
pub(crate) struct SentInvite {
    /// The INVITE as sent, without its body.
    pub(crate) request: Request,
    /// Its CSeq number.
    pub(crate) cseq: u32,
    /// The ACK of each dialog that a 2xx made.
    pub(crate) acks: Vec<SentAck>,
    /// Whether CANCEL was sent.
    pub(crate) cancelled: bool,
}

/// The ACK of a 2xx, to be sent again for each copy of it.
#[derive(Debug)]
pub(crate) struct SentAck {
    /// The To tag of the 2xx.
    pub(crate) remote_tag: String,
    /// Where it went.
    pub(crate) flow: Flow,
    /// The ACK.
    pub(crate) bytes: Vec<u8>,
}

impl SentInvite {
    /// The ACK of a refusal (RFC 3261 17.1.1.3): the INVITE's own hop, and the To of the response.
    pub(crate) fn ack_of_refusal(&self, refusal: &Response) -> Request {
        let to = refusal
            .headers
            .get("To")
            .or_else(|| self.request.headers.get("To"));
        self.derive(Method::Ack, to)
    }

    /// The CANCEL of this INVITE (RFC 3261 9.1): every field by which it is found is the same.
    pub(crate) fn cancel(&self) -> Request {
        self.derive(Method::Cancel, self.request.headers.get("To"))
    }

    fn derive(&self, method: Method, to: Option<&str>) -> Request {
        let invite = &self.request.headers;
        let mut request = Request::new(method.clone(), self.request.uri.clone());
        let headers = &mut request.headers;
        headers.push("Via", invite.get("Via").unwrap_or_default());
        for route in invite.get_all("Route") {
            headers.push("Route", route);
        }
        headers.push("Max-Forwards", "70");
        headers.push("From", invite.get("From").unwrap_or_default());
        headers.push("To", to.unwrap_or_default());
        headers.push("Call-ID", invite.get("Call-ID").unwrap_or_default());
        headers.push(
            "CSeq",
            CSeq {
                number: self.cseq,
                method,
            }
            .to_string(),
        );
        request
    }
}
