//! A message that arrives: past the gate to the endpoint, and back to the gate what became of it.

use std::time::Instant;

use offhook_sip::endpoint::{Endpoint, Flow, Reception};

use super::counting;
use super::gate::{Gate, Kind, Source, Verdict};

/// Hands a message to the endpoint if its sender may speak to us; answers whether it may. While we are `behind` with what arrives,
/// no new call is taken: those that are up come first.
pub(super) fn receive(
    gate: &mut Gate,
    endpoint: &mut Endpoint,
    (flow, bytes): (Flow, &[u8]),
    behind: bool,
) -> bool {
    let now = Instant::now();
    let source = Source::of(flow);
    let reception = match gate.admit(source, Kind::of(bytes), now) {
        Verdict::Drop => return false,
        Verdict::Forbid => {
            endpoint.forbid(flow, bytes);
            note_bad(gate, flow, now);
            return false;
        }
        Verdict::Pass if !behind => endpoint.handle_datagram(flow, bytes, now),
        Verdict::Pass | Verdict::RefuseCall => {
            endpoint.set_shedding(true);
            let reception = endpoint.handle_datagram(flow, bytes, now);
            endpoint.set_shedding(false);
            reception
        }
    };
    counting::message_received();
    match reception {
        Reception::Damaged | Reception::Unservable => note_bad(gate, flow, now),
        Reception::Sound | Reception::Dropped => {}
    }
    true
}

/// A message by this flow was garbage, or asked for what nobody has here.
pub(super) fn note_bad(gate: &mut Gate, flow: Flow, now: Instant) {
    if let Some(ban) = gate.note_bad(Source::of(flow), now) {
        tracing::warn!(
            transport = flow.transport.as_str(),
            seconds = ban.as_secs(),
            "a source sends mostly what cannot be served; it is banned for a while"
        );
    }
}
