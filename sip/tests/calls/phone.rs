//! The far end of one call, as a maker of literal messages.

use crate::text;

/// The SDP the phone offers. Its meaning is nobody's concern here.
pub(crate) const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 203.0.113.9\r\ns=-\r\nt=0 0\r\n";

/// A phone in one dialog.
#[derive(Clone, Debug)]
pub(crate) struct Phone {
    pub(crate) call_id: String,
    pub(crate) tag: String,
    pub(crate) remote_tag: String,
    pub(crate) cseq: u32,
    /// Distinguishes its branches.
    pub(crate) branches: u32,
    /// Further header lines of its INVITE, each with its line end.
    pub(crate) extra: String,
    pub(crate) contact: String,
}

impl Phone {
    pub(crate) fn new(call_id: &str) -> Self {
        Self {
            call_id: call_id.to_owned(),
            tag: format!("far-{call_id}"),
            remote_tag: String::new(),
            cseq: 1,
            branches: 1,
            extra: String::new(),
            contact: "<sip:caller@203.0.113.9:5070>".to_owned(),
        }
    }

    fn branch(&self) -> String {
        format!("z9hG4bK-{}-{}", self.call_id, self.branches)
    }

    /// A request with everything up to its CSeq.
    fn head(&self, method: &str, branch: &str, to_tag: &str, cseq: u32) -> String {
        let to_tag = if to_tag.is_empty() {
            String::new()
        } else {
            format!(";tag={to_tag}")
        };
        format!(
            "{method} sip:agent@198.51.100.1:5060 SIP/2.0\r\n\
             Via: SIP/2.0/UDP 203.0.113.9:5070;rport;branch={branch}\r\n\
             Max-Forwards: 70\r\n\
             From: \"Caller\" <sip:caller@example.net>;tag={}\r\n\
             To: <sip:agent@example.com>{to_tag}\r\n\
             Call-ID: {}\r\n\
             CSeq: {cseq} {method}\r\n",
            self.tag, self.call_id,
        )
    }

    /// The INVITE, the same each time.
    pub(crate) fn invite(&self) -> String {
        self.invite_with_branch(&self.branch())
    }

    pub(crate) fn invite_with_branch(&self, branch: &str) -> String {
        let head = self.head("INVITE", branch, &self.remote_tag, self.cseq);
        let (contact, extra) = (&self.contact, &self.extra);
        format!(
            "{head}Contact: {contact}\r\n{extra}Content-Type: application/sdp\r\n\
             Content-Length: {}\r\n\r\n{OFFER}",
            OFFER.len()
        )
    }

    /// The CANCEL of the last INVITE.
    pub(crate) fn cancel(&self) -> String {
        let head = self.head("CANCEL", &self.branch(), &self.remote_tag, self.cseq);
        format!("{head}Content-Length: 0\r\n\r\n")
    }

    /// The ACK of a refusal: same branch.
    pub(crate) fn ack_refusal(&self, refusal: &str) -> String {
        let head = self.head("ACK", &self.branch(), text::tag(refusal, "To"), self.cseq);
        format!("{head}Content-Length: 0\r\n\r\n")
    }

    /// The ACK of a 2xx: a branch of its own.
    pub(crate) fn ack(&self) -> String {
        let branch = format!("{}-ack", self.branch());
        let head = self.head("ACK", &branch, &self.remote_tag, self.cseq);
        format!("{head}Content-Length: 0\r\n\r\n")
    }

    /// Learns our tag.
    pub(crate) fn hear(&mut self, response: &str) {
        self.remote_tag = text::tag(response, "To").to_owned();
    }

    /// The next request in the dialog.
    pub(crate) fn request(&mut self, method: &str) -> String {
        self.request_with(method, "", "")
    }

    pub(crate) fn request_with(&mut self, method: &str, headers: &str, body: &str) -> String {
        self.cseq += 1;
        self.branches += 1;
        let head = self.head(method, &self.branch(), &self.remote_tag, self.cseq);
        format!(
            "{head}{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    /// The next INVITE in the dialog.
    pub(crate) fn reinvite(&mut self) -> String {
        self.cseq += 1;
        self.branches += 1;
        self.invite()
    }

    /// A response to a request of ours, with the phone's tag.
    pub(crate) fn respond(&self, request: &str, status: &str, further: &str, body: &str) -> String {
        let vias: String = text::headers(request, "Via")
            .iter()
            .map(|via| format!("Via: {via}\r\n"))
            .collect();
        let to = text::header(request, "To");
        let to = if to.contains(";tag=") || status.starts_with("100") {
            to.to_owned()
        } else {
            format!("{to};tag={}", self.tag)
        };
        format!(
            "SIP/2.0 {status}\r\n{vias}From: {}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {}\r\n\
             {further}Content-Length: {}\r\n\r\n{body}",
            text::header(request, "From"),
            text::header(request, "Call-ID"),
            text::header(request, "CSeq"),
            body.len(),
        )
    }

    /// A 200 to an INVITE of ours.
    pub(crate) fn answer(&self, invite: &str) -> String {
        let further = format!(
            "Contact: {}\r\nContent-Type: application/sdp\r\n",
            self.contact
        );
        self.respond(invite, "200 OK", &further, OFFER)
    }

    /// A 180 to an INVITE of ours.
    pub(crate) fn ringing(&self, invite: &str) -> String {
        self.respond(
            invite,
            "180 Ringing",
            &format!("Contact: {}\r\n", self.contact),
            "",
        )
    }
}
