//! What our INVITE says, each time it is sent: again with credentials, by another flow, to where a
//! redirection pointed, with a longer session interval.

use std::time::Duration;

use crate::{
    dialog::DialogId,
    flow::Flow,
    invite::{ALLOW, SUPPORTED},
    message::{CSeq, Method, Request, Response, Uri},
    ua_core::{
        Body, Core, OutgoingInvite,
        account::{Account, authorization_in},
        session_timer::min_se,
    },
};

/// How often a 422 raises the interval: once for the callee and once for a proxy on the way.
const MAX_RAISES: u8 = 2;

/// The INVITE to be sent, and where.
#[derive(Debug)]
pub(super) struct Attempt {
    call: OutgoingInvite,
    account: Option<Box<Account>>,
    /// `Authorization` and `Proxy-Authorization` for the next request alone: no count of a nonce may be
    /// used twice (RFC 7616 3.4).
    authorization: Vec<(String, String)>,
    /// Whether who is asked now has challenged, so that all it is sent says who we are.
    challenged: bool,
    /// Which of the flows.
    flow: usize,
    min_se: Option<Duration>,
    raises: u8,
    visited: Vec<Uri>,
}

impl Attempt {
    pub(super) fn new(mut call: OutgoingInvite) -> Self {
        call.to.parameters.remove("tag");
        let account = call.credentials.take().map(Account::new).map(Box::new);
        let visited = vec![call.target.clone()];
        Self {
            call,
            account,
            authorization: Vec::new(),
            challenged: false,
            flow: 0,
            min_se: None,
            raises: 0,
            visited,
        }
    }

    pub(super) fn flow(&self) -> Flow {
        self.call.flows[self.flow]
    }

    /// Whether the far end is to offer.
    pub(super) fn wants_offer(&self) -> bool {
        self.call.body.is_none()
    }

    pub(super) fn silence(&self) -> Duration {
        self.call.silence
    }

    pub(super) fn account_mut(&mut self) -> Option<&mut Account> {
        self.account.as_deref_mut()
    }

    pub(super) fn into_account(self) -> Option<Box<Account>> {
        self.account
    }

    pub(super) fn request(&mut self, core: &mut Core, half: &DialogId, cseq: u32) -> Request {
        let authorization = self.authorize(core);
        let call = &self.call;
        let mut request = Request::new(Method::Invite, call.target.clone());
        let headers = &mut request.headers;
        for route in &call.route {
            headers.push("Route", route.to_string());
        }
        headers.push("Max-Forwards", "70");
        headers.push(
            "From",
            call.from.clone().with_tag(&half.local_tag).to_string(),
        );
        headers.push("To", call.to.to_string());
        headers.push("Call-ID", half.call_id.as_str());
        let method = Method::Invite;
        let number = cseq;
        headers.push("CSeq", CSeq { number, method }.to_string());
        headers.push("Contact", core.config.contact(self.flow()));
        headers.push("Allow", ALLOW);
        headers.push("Supported", SUPPORTED);
        if let Some(policy) = core.session_policy() {
            for (name, value) in policy.offer(self.min_se) {
                headers.push(name, value);
            }
        }
        let further = call.identity.iter().chain(&call.extra);
        for (name, value) in authorization.iter().chain(further) {
            headers.push(name, value.as_str());
        }
        if let Some(Body {
            content_type,
            bytes,
        }) = &call.body
        {
            headers.push("Content-Type", content_type.as_str());
            request.body.clone_from(bytes);
        }
        request
    }

    /// The answer to a challenge; made anew where the request is sent again for another reason.
    fn authorize(&mut self, core: &mut Core) -> Vec<(String, String)> {
        let answers = std::mem::take(&mut self.authorization);
        let Some(account) = &mut self.account else {
            return answers;
        };
        if !self.challenged || !answers.is_empty() {
            return answers;
        }
        let body = self.call.body.as_ref();
        let body = body.map_or(&[][..], |body| &body.bytes);
        account.authorize(core, &Method::Invite, &self.call.target, body)
    }

    /// Takes a 401 or 407 to `request`. `false` when it cannot be answered.
    pub(super) fn take_challenge(
        &mut self,
        core: &mut Core,
        mut request: Request,
        challenge: &Response,
    ) -> bool {
        let Some(account) = &mut self.account else {
            return false;
        };
        // The digest covers the body, which the transaction does not keep.
        if let Some(body) = &self.call.body {
            request.body.clone_from(&body.bytes);
        }
        if !account.answer(core, &mut request, challenge) {
            return false;
        }
        self.authorization = authorization_in(&request.headers);
        self.challenged = true;
        true
    }

    /// Takes a 422 (RFC 4028 7.1). `false` when it was raised often enough.
    pub(super) fn raise_interval(&mut self, refusal: &Response) -> bool {
        let wanted = min_se(&refusal.headers);
        if self.raises >= MAX_RAISES || self.min_se.is_some_and(|raised| raised >= wanted) {
            return false;
        }
        self.raises += 1;
        self.min_se = Some(wanted);
        true
    }

    /// Goes on to the next flow, if there is one. It has asked nothing yet: the answer to another gateway's
    /// nonce would count there as one that was refused.
    pub(super) fn next_flow(&mut self) -> bool {
        if self.flow + 1 >= self.call.flows.len() {
            return false;
        }
        self.flow += 1;
        self.challenged = false;
        true
    }

    pub(super) fn has_next_flow(&self) -> bool {
        self.flow + 1 < self.call.flows.len()
    }

    /// Where a redirection may lead: what is new and can be called, best first.
    pub(super) fn take_redirection(&mut self, response: &Response) -> Vec<Uri> {
        if self.call.redirections == 0 {
            return Vec::new();
        }
        self.call.redirections -= 1;
        let mut contacts = response.headers.contacts().unwrap_or_default();
        // RFC 3261 8.1.3.4 and 20.10: by `q`, 1 where there is none; a stable sort keeps the order of equals.
        let thousandths = |q: Option<&str>| -> u32 {
            let q = q.and_then(|q| q.parse::<f32>().ok()).unwrap_or(1.0);
            (q.clamp(0.0, 1.0) * 1_000.0) as u32
        };
        contacts.sort_by_key(|contact| std::cmp::Reverse(thousandths(contact.parameters.get("q"))));
        contacts
            .into_iter()
            .map(|contact| contact.uri)
            .filter(|uri| matches!(uri.scheme(), "sip" | "sips" | "tel"))
            .filter(|uri| !self.visited.iter().any(|visited| visited.equivalent(uri)))
            .collect()
    }

    /// Goes to where a redirection pointed. The headers of a URI are for the request (19.1.5); they are
    /// left out, since a redirecting server shall not write our headers.
    pub(super) fn follow(&mut self, mut target: Uri, flows: Vec<Flow>) {
        self.visited.push(target.clone());
        if target.host() != self.call.target.host() {
            // Our password is for who we were told to call, not for whoever they name; nor is who calls.
            self.account = None;
            self.call.identity.clear();
        }
        if let Some(sip) = target.sip_mut() {
            sip.headers = None;
            sip.parameters.remove("method");
        }
        self.call.target = target;
        // What was asked for by the first target's domain means nothing to another.
        self.call.route.clear();
        self.challenged = false;
        self.call.flows = flows;
        self.flow = 0;
    }
}
