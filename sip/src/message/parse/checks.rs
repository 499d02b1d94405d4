//! What RFC 3261 wants refused whoever the message is for, checked on borrowed text.

use super::error::{Faults, ParseErrorKind};
use super::head::Head;
use crate::message::name_addr::NameAddrRef;
use crate::message::via::ViaRef;
use crate::message::{CSeq, Response, StatusCode};

impl Head<'_> {
    /// What every message has, once: RFC 3261 section 8.1.1. Gives CSeq for what is checked against it.
    pub(super) fn check_identity(&self, faults: &mut Faults) -> Option<CSeq> {
        let mut vias = self.headers.get_all("Via").peekable();
        if vias.peek().is_none() {
            faults.note(ParseErrorKind::MissingHeader, "Via");
        }
        if vias.any(|via| ViaRef::scan(via).is_err()) {
            faults.note(ParseErrorKind::Header, "Via");
        }
        for name in ["From", "To"] {
            if self
                .once(name, faults)
                .is_some_and(|value| NameAddrRef::scan(value).is_err())
            {
                faults.note(ParseErrorKind::Header, name);
            }
        }
        if self
            .once("Call-ID", faults)
            .is_some_and(|value| !is_call_id(value))
        {
            faults.note(ParseErrorKind::Header, "Call-ID");
        }
        let cseq = self.once("CSeq", faults).map(CSeq::parse)?.ok();
        if cseq.is_none() {
            faults.note(ParseErrorKind::Header, "CSeq");
        }
        cseq
    }

    /// What a request must not get wrong besides.
    pub(super) fn check_request(&self, faults: &mut Faults) {
        for name in ["Max-Forwards", "Content-Type"] {
            if self.headers.get_all(name).nth(1).is_some() {
                faults.note(ParseErrorKind::RepeatedHeader, name);
            }
        }
        if self.headers.contains("Max-Forwards") && self.headers.max_forwards().is_none() {
            faults.note(ParseErrorKind::Header, "Max-Forwards");
        }
        for name in ["Contact", "Route", "Record-Route"] {
            let is_wrong =
                |value| NameAddrRef::scan(value).is_err() && !(name == "Contact" && value == "*");
            if self.headers.get_all(name).any(is_wrong) {
                faults.note(ParseErrorKind::Header, name);
            }
        }
    }

    fn once(&self, name: &'static str, faults: &mut Faults) -> Option<&str> {
        let mut values = self.headers.get_all(name);
        let value = values.next();
        if value.is_none() {
            faults.note(ParseErrorKind::MissingHeader, name);
        }
        if values.next().is_some() {
            faults.note(ParseErrorKind::RepeatedHeader, name);
        }
        value
    }

    /// The answer to a damaged request, if its topmost Via says where to.
    pub(super) fn answer(&self, status: StatusCode) -> Option<Box<Response>> {
        let mut response = Response::new(status);
        for (index, via) in self.headers.get_all("Via").enumerate() {
            let readable = match ViaRef::scan(via) {
                Ok(_) => Some(via),
                Err(_) => ViaRef::salvage(via),
            };
            match readable {
                Some(via) => response.headers.push_read("Via", via.to_owned()),
                None if index == 0 => return None,
                None => {}
            }
        }
        for name in ["From", "To", "Call-ID", "CSeq"] {
            if let Some(value) = self.headers.get(name) {
                response.headers.push_read(name, value.to_owned());
            }
        }
        response.headers.contains("Via").then(|| Box::new(response))
    }
}

fn is_call_id(value: &str) -> bool {
    !value.is_empty()
        && !value
            .bytes()
            .any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control())
}
