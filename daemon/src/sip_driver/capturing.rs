//! Calls whose messages and datagrams are noted: whose a message is, and which calls are captured.
//!
//! A message is a call's by its Call-ID, so that also what repeats, what is refused and what comes after the call's end
//! is seen. While nothing is captured and nothing may be, a message costs one comparison.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use offhook_session::agent_session::CallId;
use offhook_sip::endpoint::InviteId;

use super::Signalling;
use super::command::NotControlled;
use super::live_call::Audio;
use crate::captures::{Began, CALLS, CaptureTap, Captures, LINGER};
use crate::config::Config;

/// How many messages of one turn wait to be known as a call's.
const OF_TURN: usize = 512;

/// What signalling knows of captures.
#[derive(Debug)]
pub(super) struct Capturing {
    captures: Arc<Captures>,
    /// Whether a trunk or an agent of the configuration wants its calls captured.
    is_configured: bool,
    calls: HashMap<CallId, Began>,
    call_by_call_id: HashMap<String, CallId>,
    /// INVITEs of this turn that belong to no call yet, and what was answered to them, where a call that comes of them
    /// may be captured.
    of_turn: Vec<Message>,
    /// Calls that are over, and when they are forgotten.
    over: VecDeque<(Instant, CallId)>,
}

#[derive(Debug)]
struct Message {
    call_id: String,
    at: Instant,
    ends: (SocketAddr, SocketAddr),
    bytes: Vec<u8>,
}

impl Capturing {
    pub(super) fn new(captures: Arc<Captures>, is_configured: bool) -> Self {
        Self {
            captures,
            is_configured,
            calls: HashMap::new(),
            call_by_call_id: HashMap::new(),
            of_turn: Vec::new(),
            over: VecDeque::new(),
        }
    }

    /// Whether messages are looked at.
    pub(super) fn is_on(&self) -> bool {
        self.is_configured || !self.calls.is_empty()
    }

    /// Notes a message between `ends`, from the first to the second.
    pub(super) fn note(&mut self, ends: (SocketAddr, SocketAddr), bytes: &[u8], at: Instant) {
        let Some(call_id) = call_id_in(bytes) else {
            return;
        };
        if let Some(call) = self.call_by_call_id.get(call_id) {
            if let Some(began) = self.calls.get(call) {
                self.captures.message(call, *began, at, ends, bytes);
            }
            return;
        }
        let begins = bytes.starts_with(b"INVITE ");
        let follows = || self.of_turn.iter().any(|first| first.call_id == call_id);
        if self.is_configured && self.of_turn.len() < OF_TURN && (begins || follows()) {
            self.of_turn.push(Message {
                call_id: call_id.to_owned(),
                at,
                ends,
                bytes: bytes.to_vec(),
            });
        }
    }

    /// The turn is through: INVITEs that no captured call came of are nobody's.
    pub(super) fn end_turn(&mut self, now: Instant) {
        self.of_turn.clear();
        while self.over.front().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, call)) = self.over.pop_front() {
                self.forget(&call);
            }
        }
    }

    /// Begins with a call, and with what came of it in this turn.
    fn begin(&mut self, call: &CallId, call_id: Option<&str>, to_file: bool) -> Result<(), Full> {
        if self.calls.contains_key(call) {
            return Ok(());
        }
        if self.calls.len() >= CALLS {
            return Err(Full);
        }
        let of_call = |message: &Message| Some(message.call_id.as_str()) == call_id;
        let earlier = self.of_turn.iter().filter(|message| of_call(message));
        let since = earlier
            .map(|message| message.at)
            .min()
            .unwrap_or_else(Instant::now);
        let began = self.captures.begin(call, since, to_file).ok_or(Full)?;
        self.calls.insert(call.clone(), began);
        if let Some(call_id) = call_id {
            self.follow(call, call_id);
        }
        Ok(())
    }

    /// Messages with this Call-ID are the call's, those of this turn as well.
    fn follow(&mut self, call: &CallId, call_id: &str) {
        let Some(began) = self.calls.get(call).copied() else {
            return;
        };
        self.call_by_call_id
            .insert(call_id.to_owned(), call.clone());
        for message in &self.of_turn {
            if message.call_id == call_id {
                let Message {
                    at, ends, bytes, ..
                } = message;
                self.captures.message(call, began, *at, *ends, bytes);
            }
        }
        self.of_turn.retain(|message| message.call_id != call_id);
    }

    /// The tap for the leg of a call that is captured.
    fn tap(&self, call: &CallId, rtp: SocketAddr) -> Option<CaptureTap> {
        let began = self.calls.get(call)?;
        let rtcp = SocketAddr::new(rtp.ip(), rtp.port().saturating_add(1));
        self.captures.tap(call, *began, rtp, rtcp)
    }

    fn forget(&mut self, call: &CallId) {
        self.calls.remove(call);
        self.call_by_call_id.retain(|_, of| of != call);
    }

    /// Nothing of a call is noted any more, from now on.
    fn stop(&mut self, call: &CallId) {
        self.captures.end(call, Duration::ZERO);
        self.forget(call);
    }

    /// A call is over; what repeats is noted for a while.
    pub(super) fn end(&mut self, call: &CallId, now: Instant) {
        if self.calls.contains_key(call) && !self.over.iter().any(|(_, over)| over == call) {
            self.captures.end(call, LINGER);
            self.over.push_back((now + LINGER, call.clone()));
        }
    }
}

/// As many calls as can be are captured.
#[derive(Debug)]
struct Full;

impl Signalling {
    /// A call begins whose trunk or agent may want it captured.
    pub(super) fn capture_if_configured(&mut self, id: &CallId, call_id: Option<&str>) {
        let Some(live) = self.calls.get(id) else {
            return;
        };
        let wanted = self.config.captures_calls_of(&live.trunk, &live.agent);
        if wanted && self.capturing.begin(id, call_id, true).is_err() {
            tracing::warn!("as many calls as can be are captured; this one is not");
        }
    }

    /// An INVITE is a call's: its messages are noted where the call is captured.
    pub(super) fn belongs_to(&mut self, invite: InviteId, id: &CallId) {
        self.call_by_invite.insert(invite, id.clone());
        if !self.capturing.is_on() {
            return;
        }
        if let Some(call_id) = self.endpoint.call_id_of(invite) {
            self.capturing.follow(id, call_id);
        }
    }

    /// The tap for the leg of a call that is to be opened at `rtp`.
    pub(super) fn capture_tap(&self, id: &CallId, rtp: SocketAddr) -> Option<CaptureTap> {
        self.capturing.tap(id, as_seen(&self.config, rtp))
    }

    /// Begins to capture a call that is up, or stops.
    pub(super) fn control_capture(&mut self, id: &CallId, on: bool) -> Result<(), NotControlled> {
        let live = self.calls.get(id).ok_or(NotControlled::UnknownCall)?;
        let _in_call = live.span.clone().entered();
        let line = match &live.audio {
            Audio::Open(line) => Some(line.clone()),
            Audio::Bound(_) | Audio::Closed => None,
        };
        let is_captured = self.capturing.calls.contains_key(id);
        match (on, is_captured) {
            (true, true) | (false, false) => return Ok(()),
            (true, false) => {
                self.capturing
                    .begin(id, None, false)
                    .map_err(|Full| NotControlled::TooManyCaptures)?;
                let invites = self.call_by_invite.iter();
                let of_call = invites.filter(|(_, call)| *call == id);
                for (invite, _) in of_call {
                    if let Some(call_id) = self.endpoint.call_id_of(*invite) {
                        self.capturing.follow(id, call_id);
                    }
                }
            }
            (false, true) => self.capturing.stop(id),
        }
        if let Some(line) = line {
            let tap = on.then(|| self.capture_tap(id, line.local())).flatten();
            if line.capture(tap).is_err() {
                tracing::warn!(
                    "a media thread's queue is full: its audio is not captured as asked"
                );
            }
        }
        tracing::info!(on, "an operator has the call captured, or stops that");
        Ok(())
    }
}

/// A local address as far ends see it: what is bound may be every address.
pub(super) fn as_seen(config: &Config, local: SocketAddr) -> SocketAddr {
    let ip = config.sip.advertise.address_for(local.ip());
    SocketAddr::new(ip, local.port())
}

/// The Call-ID of a message, by any of its names (RFC 3261 section 7.3.3); `None` where there is none in its head.
fn call_id_in(message: &[u8]) -> Option<&str> {
    for line in message.split(|byte| *byte == b'\n').skip(1) {
        let line = line.trim_ascii();
        if line.is_empty() {
            return None;
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let name = line[..colon].trim_ascii();
        if name.eq_ignore_ascii_case(b"Call-ID") || name.eq_ignore_ascii_case(b"i") {
            return std::str::from_utf8(line[colon + 1..].trim_ascii()).ok();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &[u8] = b"INVITE sip:a SIP/2.0\r\nVia: x\r\ni : one@h \r\n\r\n";
    const TRYING: &[u8] = b"SIP/2.0 100 Trying\r\nCall-ID:one@h\r\n\r\n";

    fn ends() -> (SocketAddr, SocketAddr) {
        (([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into())
    }

    #[test]
    fn a_call_id_is_found_by_either_name_and_in_the_head_alone() {
        assert_eq!(call_id_in(INVITE), Some("one@h"));
        assert_eq!(call_id_in(TRYING), Some("one@h"));
        assert_eq!(call_id_in(b"BYE sip:a SIP/2.0\nCALL-id: x\n\n"), Some("x"));
        assert_eq!(call_id_in(b"BYE sip:a SIP/2.0\r\nTo: b\r\n\r\ni: x"), None);
        assert_eq!(call_id_in(b"Call-ID: x"), None);
        assert_eq!(call_id_in(b""), None);
    }

    #[tokio::test]
    async fn a_call_by_configuration_has_its_invite_and_what_was_answered_before_it_was_known() {
        let captures = Arc::new(Captures::new(None));
        let mut capturing = Capturing::new(Arc::clone(&captures), true);
        let now = Instant::now();
        capturing.note(ends(), TRYING, now);
        capturing.note(ends(), INVITE, now);
        capturing.note(ends(), TRYING, now);
        let id = CallId::new("a");
        capturing.begin(&id, Some("one@h"), true).unwrap();
        capturing.end_turn(now);
        capturing.note(ends(), TRYING, now);
        assert_eq!(captures.save(&id).await.map(|saved| saved.packets), Some(3));
    }

    #[tokio::test]
    async fn what_nobody_wants_is_not_kept_and_what_repeats_after_the_end_is() {
        let captures = Arc::new(Captures::new(None));
        let mut capturing = Capturing::new(Arc::clone(&captures), false);
        let now = Instant::now();
        assert!(!capturing.is_on());
        capturing.note(ends(), INVITE, now);
        assert!(capturing.of_turn.is_empty());
        let id = CallId::new("a");
        capturing.begin(&id, Some("one@h"), false).unwrap();
        assert!(capturing.is_on());
        capturing.end(&id, now);
        capturing.note(ends(), TRYING, now);
        capturing.end_turn(now + LINGER - Duration::from_millis(1));
        capturing.note(ends(), TRYING, now);
        capturing.end_turn(now + LINGER);
        assert!(!capturing.is_on());
        capturing.note(ends(), TRYING, now);
        assert_eq!(captures.save(&id).await.map(|saved| saved.packets), Some(2));
    }

    #[test]
    fn only_so_many_calls_are_captured_at_once() {
        let mut capturing = Capturing::new(Arc::new(Captures::new(None)), false);
        for n in 0..CALLS {
            capturing
                .begin(&CallId::new(n.to_string()), None, false)
                .unwrap();
        }
        assert!(capturing.begin(&CallId::new("x"), None, false).is_err());
        assert!(capturing.begin(&CallId::new("0"), None, false).is_ok());
    }
}
