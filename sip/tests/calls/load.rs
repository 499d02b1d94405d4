//! Many calls at once: everything is freed, and the work per call is small.

use std::time::{Duration, Instant};

use offhook_sip::endpoint::{Endpoint, EndpointConfig, Event, Flow, Output, Transport};

use crate::{
    phone::Phone,
    text,
    world::{beginning, sdp},
};

/// The endpoint with the answer to every event built in.
struct Exchange {
    endpoint: Endpoint,
    flow: Flow,
    now: Instant,
    ended: usize,
}

impl Exchange {
    fn new() -> Self {
        let flow = Flow {
            transport: Transport::Udp,
            local: "198.51.100.1:5060".parse().unwrap(),
            remote: "203.0.113.9:5070".parse().unwrap(),
        };
        let endpoint = Endpoint::new(EndpointConfig::default(), 7);
        Self {
            endpoint,
            flow,
            now: beginning(),
            ended: 0,
        }
    }

    /// Hands a message over and answers what it causes; returns what was sent last.
    fn deliver(&mut self, message: &str) -> Option<Vec<u8>> {
        self.endpoint
            .handle_datagram(self.flow, message.as_bytes(), self.now);
        self.drain()
    }

    fn drain(&mut self) -> Option<Vec<u8>> {
        let mut last = None;
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Transmit { bytes, .. } => last = Some(bytes),
                Output::Event(Event::Incoming { id, .. }) => {
                    self.endpoint.accept(id, sdp("v=0"), &[], self.now).unwrap();
                }
                Output::Event(Event::Ended { .. }) => self.ended += 1,
                Output::Event(_) | Output::Registration { .. } | Output::Probed { .. } => {}
            }
        }
        last
    }

    fn pass(&mut self, by: Duration) {
        self.now += by;
        while self
            .endpoint
            .poll_timeout()
            .is_some_and(|at| at <= self.now)
        {
            self.endpoint.handle_timeout(self.now);
            self.drain();
        }
    }
}

/// Sets up `calls` calls a millisecond apart, each ended a second later.
fn run(calls: usize) -> Exchange {
    let mut exchange = Exchange::new();
    let mut up = std::collections::VecDeque::new();
    for number in 0..calls {
        let mut phone = Phone::new(&format!("load-{number}"));
        let ok = exchange.deliver(&phone.invite()).unwrap();
        phone.hear(std::str::from_utf8(&ok).unwrap());
        exchange.deliver(&phone.ack());
        up.push_back(phone);
        if up.len() > 1_000 {
            end(&mut exchange, up.pop_front().unwrap());
        }
        exchange.pass(Duration::from_millis(1));
    }
    for phone in up {
        end(&mut exchange, phone);
    }
    exchange
}

fn end(exchange: &mut Exchange, mut phone: Phone) {
    let ok = exchange.deliver(&phone.request("BYE")).unwrap();
    assert_eq!(text::summary(std::str::from_utf8(&ok).unwrap()), "200 BYE");
}

#[test]
fn after_ten_thousand_calls_everything_is_freed() {
    let mut exchange = run(10_000);
    assert_eq!(exchange.ended, 10_000);
    let busy = exchange.endpoint.statistics();
    assert!(busy.transactions > 10_000, "{busy:?}");
    exchange.pass(Duration::from_secs(33));
    let left = exchange.endpoint.statistics();
    let live = [
        left.transactions,
        left.invites,
        left.dialogs,
        left.merge_keys,
        left.timers,
    ];
    assert_eq!(live, [0; 5]);
    assert_eq!((left.retransmissions_sent, left.stray_acks), (0, 0));
}
