//! What calls held is given back: a counting allocator watches a burst of them.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use offhook_sip::endpoint::{Body, Endpoint, EndpointConfig, Event, Flow, Output, Transport};

struct Counting;

thread_local! {
    static LIVE_BYTES: Cell<i64> = const { Cell::new(0) };
}

fn count(bytes: i64) {
    // A thread that is ending has no counter any more.
    let _ = LIVE_BYTES.try_with(|cell| cell.set(cell.get() + bytes));
}

// SAFETY: every call is handed to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Between one call and the next: a thousand a second.
const APART: Duration = Duration::from_millis(1);
/// Every timer of RFC 3261 that outlives a call (32 s at most) has ended by then.
const FORGOTTEN: Duration = Duration::from_secs(40);

struct Burst {
    endpoint: Endpoint,
    now: Instant,
    flow: Flow,
    begun: u32,
}

impl Burst {
    #[allow(
        clippy::disallowed_methods,
        reason = "an Instant can be had from nowhere else"
    )]
    fn new() -> Self {
        Self {
            endpoint: Endpoint::new(EndpointConfig::default(), 7),
            now: Instant::now(),
            flow: Flow {
                transport: Transport::Udp,
                local: SocketAddr::from(([198, 51, 100, 1], 5060)),
                remote: SocketAddr::from(([203, 0, 113, 9], 5070)),
            },
            begun: 0,
        }
    }

    /// An INVITE that is answered, acknowledged and ended by its caller.
    fn call(&mut self) {
        self.begun += 1;
        self.say("INVITE", 1, "");
        let mut answer = String::new();
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Event(Event::Incoming { id, .. }) => {
                    let body = Body {
                        content_type: "application/sdp".to_owned(),
                        bytes: b"v=0".to_vec(),
                    };
                    self.endpoint
                        .accept(id, Some(body), &[], self.now)
                        .expect("it is new");
                }
                Output::Transmit { bytes, .. } => {
                    answer = String::from_utf8(bytes).expect("text");
                }
                Output::Event(_) | Output::Registration { .. } | Output::Probed { .. } => {}
            }
        }
        assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
        let to = answer.lines().find(|line| line.starts_with("To: "));
        let (_, tag) = to.and_then(|to| to.split_once(";tag=")).expect("a tag");
        let tag = format!(";tag={tag}");
        self.say("ACK", 1, &tag);
        self.say("BYE", 2, &tag);
        self.pass(APART);
    }

    fn say(&mut self, method: &str, sequence: u32, tag: &str) {
        let n = self.begun;
        let message = format!(
            "{method} sip:agent@198.51.100.1:5060 SIP/2.0\r\n\
             Via: SIP/2.0/UDP 203.0.113.9:5070;rport;branch=z9hG4bK-{n}-{method}\r\n\
             Max-Forwards: 70\r\n\
             From: <sip:caller@example.net>;tag=far-{n}\r\n\
             To: <sip:agent@example.com>{tag}\r\n\
             Call-ID: {n}@example.net\r\n\
             CSeq: {sequence} {method}\r\n\
             Contact: <sip:caller@203.0.113.9:5070>\r\n\
             Content-Length: 0\r\n\r\n"
        );
        self.endpoint
            .handle_datagram(self.flow, message.as_bytes(), self.now);
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            while self.endpoint.poll_output().is_some() {}
            match self.endpoint.poll_timeout() {
                Some(at) if at <= until => {
                    self.now = self.now.max(at);
                    self.endpoint.handle_timeout(self.now);
                }
                Some(_) | None => break,
            }
        }
        self.now = until;
    }

    /// So many calls, and the time after which nobody remembers them; what is held at its peak and after it.
    fn take(&mut self, calls: u32) -> (i64, i64) {
        let mut peak = 0;
        for _ in 0..calls {
            self.call();
            peak = peak.max(LIVE_BYTES.with(Cell::get));
        }
        self.pass(FORGOTTEN);
        (peak, LIVE_BYTES.with(Cell::get))
    }
}

#[test]
fn what_a_burst_of_calls_held_is_given_back_when_their_timers_have_ended() {
    let mut burst = Burst::new();
    let (_, start) = burst.take(100);
    let (peak, after) = burst.take(12_000);
    assert!(
        peak > start + 8_000_000,
        "{peak} bytes at the peak are no burst"
    );
    let (_, again) = burst.take(8_000);
    // Tables keep room for some hundred entries, whatever they held.
    let room = 300_000;
    assert!(
        after.max(again) < start + room,
        "{start} bytes before, {peak} at the peak, {after} after it, {again} after another"
    );
    let left = burst.endpoint.statistics();
    assert_eq!((left.transactions, left.invites, left.timers), (0, 0, 0));
}
