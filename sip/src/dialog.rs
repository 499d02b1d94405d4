//! Dialogs (RFC 3261 section 12): who the two ends are, where requests go, and in what order.
//!
//! Owns the identity (Call-ID and tags), the remote target, the route set and the two CSeq
//! counters. What the dialog is for belongs to [`crate::invite`].
//!
//! The far end's From, To, Contact and Record-Route are echoed as they came: a peer that finds its
//! Contact rewritten in our ACK ends the call.

use crate::message::{CSeq, Headers, Method, NameAddr, Replaces, Request, Response, Uri};

/// What identifies a dialog at our end (RFC 3261 12).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct DialogId {
    /// The Call-ID.
    pub(crate) call_id: String,
    /// Our tag.
    pub(crate) local_tag: String,
    /// The far end's tag; empty for an RFC 2543 peer that sends none.
    pub(crate) remote_tag: String,
}

/// An early or confirmed dialog.
#[derive(Debug)]
pub(crate) struct Dialog {
    id: DialogId,
    /// Our From, tag included, as text.
    local: String,
    /// Our To, tag included, as text.
    remote: String,
    local_cseq: u32,
    remote_cseq: Option<u32>,
    remote_target: Uri,
    route_set: Vec<NameAddr>,
}

/// A message that cannot make a dialog: the header named is missing or unreadable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoDialog(pub(crate) &'static str);

/// A request whose CSeq is lower than one we have already seen (RFC 3261 12.2.2: answer 500).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfOrder;

impl Dialog {
    /// The dialog that our 1xx or 2xx with `id.local_tag` makes of an INVITE (12.1.1).
    pub(crate) fn as_server(id: DialogId, invite: &Request, cseq: u32) -> Result<Self, NoDialog> {
        let header = |name| {
            invite
                .headers
                .get(name)
                .map(str::to_owned)
                .ok_or(NoDialog(name))
        };
        Ok(Self {
            local: with_tag(header("To")?, &id.local_tag),
            remote: header("From")?,
            local_cseq: 0,
            remote_cseq: Some(cseq),
            remote_target: sole_contact(&invite.headers)?,
            route_set: invite
                .headers
                .record_routes()
                .map_err(|_| NoDialog("Record-Route"))?,
            id,
        })
    }

    /// The dialog that a 1xx or 2xx makes of our INVITE (12.1.2). One without a Contact is answered
    /// where the INVITE went, which is better than a call that cannot be acknowledged.
    pub(crate) fn as_client(
        id: DialogId,
        invite: &Request,
        invite_cseq: u32,
        response: &Response,
    ) -> Result<Self, NoDialog> {
        let mut route_set = response
            .headers
            .record_routes()
            .map_err(|_| NoDialog("Record-Route"))?;
        route_set.reverse();
        Ok(Self {
            local: invite
                .headers
                .get("From")
                .map(str::to_owned)
                .ok_or(NoDialog("From"))?,
            remote: response
                .headers
                .get("To")
                .map(str::to_owned)
                .ok_or(NoDialog("To"))?,
            local_cseq: invite_cseq,
            remote_cseq: None,
            remote_target: sole_contact(&response.headers).unwrap_or_else(|_| invite.uri.clone()),
            route_set,
            id,
        })
    }

    /// The dialog that a re-INVITE of ours was sent in, from what is left of it: a 2xx that comes
    /// after the call's end is acknowledged all the same.
    pub(crate) fn of_reinvite(
        id: DialogId,
        reinvite: &Request,
        cseq: u32,
        response: &Response,
    ) -> Result<Self, NoDialog> {
        let route_set = reinvite.headers.routes().map_err(|_| NoDialog("Route"))?;
        Ok(Self {
            route_set,
            ..Self::as_client(id, reinvite, cseq, response)?
        })
    }

    /// What identifies it.
    pub(crate) fn id(&self) -> &DialogId {
        &self.id
    }

    /// The far end's address, with what makes whoever calls it there take this dialog's place (RFC 5589 7.1); `None`
    /// where it cannot be called by SIP.
    pub(crate) fn replacement(&self) -> Option<Uri> {
        let replaces = Replaces {
            call_id: self.id.call_id.clone(),
            to_tag: self.id.remote_tag.clone(),
            from_tag: self.id.local_tag.clone(),
            early_only: false,
        };
        let mut target = self.remote_target.clone();
        target.sip_mut()?.headers = Some(format!("Replaces={}", replaces.as_uri_header()));
        Some(target)
    }

    /// Where its next request is sent: the top route, or the remote target (12.2.1.1, 8.1.2).
    pub(crate) fn next_hop(&self) -> &Uri {
        self.route_set
            .first()
            .map_or(&self.remote_target, |route| &route.uri)
    }

    /// A new request with the next CSeq. One counter serves every method, because a peer takes a
    /// reused number for a retransmission.
    pub(crate) fn request(&mut self, method: Method) -> Request {
        let cseq = self.next_cseq();
        self.build(method, cseq)
    }

    /// Goes on with the numbers of the early dialog it was: requests were sent and received in it.
    pub(crate) fn continue_from(&mut self, early: &Self) {
        self.local_cseq = self.local_cseq.max(early.local_cseq);
        self.remote_cseq = early.remote_cseq;
    }

    /// The next CSeq for a request that is sent again with credentials.
    pub(crate) fn next_cseq(&mut self) -> u32 {
        self.local_cseq = self.local_cseq.saturating_add(1);
        self.local_cseq
    }

    /// The number the last request of ours has.
    pub(crate) fn local_cseq(&self) -> u32 {
        self.local_cseq
    }

    /// The ACK for a 2xx to our INVITE number `cseq` (13.2.2.4).
    pub(crate) fn ack(&self, cseq: u32) -> Request {
        self.build(Method::Ack, cseq)
    }

    /// Notes a request of the far end's (12.2.2). An equal number is let through: peers exist that
    /// do not count, and a true retransmission was absorbed by its transaction.
    pub(crate) fn take_remote_cseq(&mut self, cseq: u32) -> Result<(), OutOfOrder> {
        if self.remote_cseq.is_some_and(|seen| cseq < seen) {
            return Err(OutOfOrder);
        }
        self.remote_cseq = Some(cseq);
        Ok(())
    }

    /// Takes the Contact of a target refresh request or of its 2xx (12.2.1.2, 12.2.2).
    pub(crate) fn refresh_target(&mut self, target: &Uri) {
        self.remote_target.clone_from(target);
    }

    /// Takes the Contact of a message, if it has one that can be used.
    pub(crate) fn refresh_from(&mut self, headers: &Headers) {
        if let Ok(target) = sole_contact(headers) {
            self.refresh_target(&target);
        }
    }

    fn build(&self, method: Method, cseq: u32) -> Request {
        let (uri, routes) = self.uri_and_routes();
        let mut request = Request::new(method.clone(), uri);
        for route in routes {
            request.headers.push("Route", route);
        }
        request.headers.push("Max-Forwards", "70");
        request.headers.push("From", &self.local);
        request.headers.push("To", &self.remote);
        request.headers.push("Call-ID", &self.id.call_id);
        request.headers.push(
            "CSeq",
            CSeq {
                number: cseq,
                method,
            }
            .to_string(),
        );
        request
    }

    /// The Request-URI and the Route headers (12.2.1.1): a first route without `lr` is a strict
    /// router, which wants to be the Request-URI itself and finds the target as the last route.
    fn uri_and_routes(&self) -> (Uri, Vec<String>) {
        let texts = |routes: &[NameAddr]| routes.iter().map(NameAddr::to_string).collect();
        match self.route_set.split_first() {
            Some((strict, rest)) if !strict.uri.is_lr() => {
                let mut routes: Vec<String> = texts(rest);
                routes.push(format!("<{}>", self.remote_target));
                (as_request_uri(&strict.uri), routes)
            }
            Some(_) | None => (as_request_uri(&self.remote_target), texts(&self.route_set)),
        }
    }
}

/// A Contact or route as Request-URI: untouched but for what may not stand there (19.1.1).
fn as_request_uri(uri: &Uri) -> Uri {
    let mut uri = uri.clone();
    if let Some(sip) = uri.sip_mut() {
        sip.headers = None;
        sip.parameters.remove("method");
    }
    uri
}

/// Adds our tag to the To of a response.
pub(crate) fn tag_to(headers: &mut Headers, tag: &str) {
    if let Some(to) = headers.get("To") {
        let tagged = with_tag(to.to_owned(), tag);
        headers.set("To", tagged);
    }
}

/// Puts another tag in the place of `tag`, which [`tag_to`] put there.
pub(crate) fn retag_to(headers: &mut Headers, tag: &str, by: &str) {
    let to = headers.get("To").and_then(|to| to.strip_suffix(tag));
    if let Some(to) = to {
        let retagged = format!("{to}{by}");
        headers.set("To", retagged);
    }
}

/// `header` with a tag appended; the rest stays byte for byte.
fn with_tag(mut header: String, tag: &str) -> String {
    header.push_str(";tag=");
    header.push_str(tag);
    header
}

/// The one Contact that a message which makes or refreshes a dialog must have (8.1.1.8).
pub(crate) fn sole_contact(headers: &Headers) -> Result<Uri, NoDialog> {
    let mut contacts = headers.contacts().map_err(|_| NoDialog("Contact"))?;
    match (contacts.pop(), contacts.is_empty()) {
        (Some(contact), true) => Ok(contact.uri),
        (Some(_), false) | (None, _) => Err(NoDialog("Contact")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialog(record_routes: &[&str]) -> Dialog {
        let mut invite = Request::new(Method::Invite, Uri::parse("sip:us@198.51.100.1").unwrap());
        invite
            .headers
            .push("From", "\"A\" <sip:a@example.net>;tag=far");
        invite.headers.push("To", "<sip:us@198.51.100.1>");
        invite.headers.push("Contact", "<sip:a@10.0.0.7:5070;x=1>");
        for route in record_routes {
            invite.headers.push("Record-Route", *route);
        }
        let id = DialogId {
            call_id: "c1".to_owned(),
            local_tag: "near".to_owned(),
            remote_tag: "far".to_owned(),
        };
        Dialog::as_server(id, &invite, 7).unwrap()
    }

    #[test]
    fn without_routes_the_target_is_the_request_uri_and_the_tags_keep_their_sides() {
        let request = dialog(&[]).request(Method::Bye);
        assert_eq!(request.uri.to_string(), "sip:a@10.0.0.7:5070;x=1");
        assert_eq!(
            request.headers.get("From"),
            Some("<sip:us@198.51.100.1>;tag=near")
        );
        assert_eq!(
            request.headers.get("To"),
            Some("\"A\" <sip:a@example.net>;tag=far")
        );
    }

    #[test]
    fn loose_routes_leave_the_target_in_the_request_uri() {
        let mut dialog = dialog(&["<sip:192.0.2.1;lr>, <sip:192.0.2.2;lr>"]);
        let request = dialog.request(Method::Bye);
        assert_eq!(request.uri.to_string(), "sip:a@10.0.0.7:5070;x=1");
        let routes: Vec<&str> = request.headers.get_all("Route").collect();
        assert_eq!(routes, ["<sip:192.0.2.1;lr>", "<sip:192.0.2.2;lr>"]);
        assert_eq!(dialog.next_hop().to_string(), "sip:192.0.2.1;lr");
    }

    #[test]
    fn a_strict_router_becomes_the_request_uri_and_the_target_the_last_route() {
        let request = dialog(&["<sip:192.0.2.1;lrx>", "<sip:192.0.2.2;lr>"]).request(Method::Bye);
        assert_eq!(request.uri.to_string(), "sip:192.0.2.1;lrx");
        let routes: Vec<&str> = request.headers.get_all("Route").collect();
        assert_eq!(routes, ["<sip:192.0.2.2;lr>", "<sip:a@10.0.0.7:5070;x=1>"]);
    }

    #[test]
    fn one_counter_rises_over_all_methods() {
        let mut dialog = dialog(&[]);
        let numbers: Vec<u32> = [Method::Info, Method::Invite, Method::Bye]
            .map(|method| dialog.request(method).headers.cseq().unwrap().number)
            .to_vec();
        assert_eq!(numbers, [1, 2, 3]);
    }

    #[test]
    fn a_lower_remote_cseq_is_out_of_order() {
        let mut dialog = dialog(&[]);
        assert_eq!(dialog.take_remote_cseq(6), Err(OutOfOrder));
        assert_eq!(dialog.take_remote_cseq(9), Ok(()));
        assert_eq!(dialog.take_remote_cseq(8), Err(OutOfOrder));
    }
}
