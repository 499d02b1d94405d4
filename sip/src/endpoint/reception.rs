//! What became of a datagram, for who watches whom it came from; and the answer to who may not speak to us.

use super::{Endpoint, Flow};
use crate::message::{Message, Method, StatusCode, parse_datagram};
use crate::ua_core::arrival::Arrival;

/// What a datagram was taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reception {
    /// A message, or a keep-alive.
    Sound,
    /// No SIP message, or a damaged one; refused where that was possible.
    Damaged,
    /// A request that is refused whatever it is about: its method, its scheme, or what it requires.
    Unservable,
    /// Not looked at: outputs were not drained.
    Dropped,
}

impl Endpoint {
    pub(super) fn forbid_request(&mut self, flow: Flow, bytes: &[u8]) -> bool {
        let Ok(Some(Message::Request(request))) = parse_datagram(bytes) else {
            return false;
        };
        if request.method == Method::Ack {
            return false;
        }
        let Ok(arrival) = Arrival::read(request, flow) else {
            return false;
        };
        self.core
            .answer_in_no_more_than(bytes.len(), &arrival, StatusCode::FORBIDDEN)
    }
}
