//! One endpoint, a virtual clock, and what it sent and said.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    time::{Duration, Instant},
};

use offhook_sip::endpoint::{
    Body, EndCause, Endpoint, EndpointConfig, Event, Flow, InviteId, Output, Transport,
};

use crate::text;

/// The T1 of every test.
pub(crate) const T1: Duration = Duration::from_millis(500);

/// A datagram that left the endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    /// When, since the world began.
    pub(crate) at: Duration,
    /// Where to.
    pub(crate) to: SocketAddr,
    /// By what.
    pub(crate) transport: Transport,
    /// What.
    pub(crate) text: String,
}

/// The endpoint and its surroundings.
pub(crate) struct World {
    pub(crate) endpoint: Endpoint,
    pub(crate) now: Instant,
    began: Instant,
    pub(crate) flow: Flow,
    sent: VecDeque<Sent>,
    events: VecDeque<Event>,
    others: VecDeque<Output>,
}

/// The one instant that virtual time starts from.
#[allow(
    clippy::disallowed_methods,
    reason = "an Instant can be had from nowhere else"
)]
pub(crate) fn beginning() -> Instant {
    Instant::now()
}

pub(crate) fn sdp(text: &str) -> Option<Body> {
    Some(Body {
        content_type: "application/sdp".to_owned(),
        bytes: text.as_bytes().to_vec(),
    })
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with_config(EndpointConfig::default())
    }

    pub(crate) fn with_config(config: EndpointConfig) -> Self {
        let began = beginning();
        let flow = Flow {
            transport: Transport::Udp,
            local: "198.51.100.1:5060".parse().unwrap(),
            remote: "203.0.113.9:5070".parse().unwrap(),
        };
        Self {
            endpoint: Endpoint::new(config, 42),
            now: began,
            began,
            flow,
            sent: VecDeque::new(),
            events: VecDeque::new(),
            others: VecDeque::new(),
        }
    }

    /// Hands a datagram of the peer's to the endpoint.
    pub(crate) fn deliver(&mut self, message: &str) {
        self.deliver_from(self.flow.remote, message);
    }

    pub(crate) fn deliver_from(&mut self, remote: SocketAddr, message: &str) {
        let flow = Flow {
            remote,
            ..self.flow
        };
        self.endpoint
            .handle_datagram(flow, message.as_bytes(), self.now);
        self.drain();
    }

    /// Does something to the endpoint now.
    pub(crate) fn act<T>(&mut self, act: impl FnOnce(&mut Endpoint, Instant) -> T) -> T {
        let outcome = act(&mut self.endpoint, self.now);
        self.drain();
        outcome
    }

    /// Lets time pass, timer by timer.
    pub(crate) fn advance(&mut self, by: Duration) {
        let end = self.now + by;
        while let Some(at) = self.endpoint.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.endpoint.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    /// What was sent since the last look.
    pub(crate) fn sent(&mut self) -> Vec<Sent> {
        self.sent.drain(..).collect()
    }

    /// The next message that was sent and not looked at.
    pub(crate) fn next(&mut self) -> Sent {
        self.sent
            .pop_front()
            .expect("a message should have been sent")
    }

    /// The next message, which must be this one (`200 INVITE`, `BYE`).
    pub(crate) fn expect(&mut self, summary: &str) -> String {
        let sent = self.next();
        assert_eq!(text::summary(&sent.text), summary, "in\n{}", sent.text);
        sent.text
    }

    pub(crate) fn expect_silence(&mut self) {
        assert_eq!(self.summaries(), Vec::<String>::new());
    }

    /// What was sent since the last look, in words.
    pub(crate) fn summaries(&mut self) -> Vec<String> {
        self.sent()
            .iter()
            .map(|sent| text::summary(&sent.text))
            .collect()
    }

    pub(crate) fn events(&mut self) -> Vec<Event> {
        self.events.drain(..).collect()
    }

    pub(crate) fn event(&mut self) -> Event {
        self.events
            .pop_front()
            .expect("an event should have been said")
    }

    /// The next word that is about no call.
    pub(crate) fn other(&mut self) -> Output {
        self.others.pop_front().expect("something should be said")
    }

    pub(crate) fn expect_no_event(&mut self) {
        assert!(self.events.is_empty(), "{:?}", self.events);
    }

    /// The next event, which must be Incoming.
    pub(crate) fn incoming(&mut self) -> InviteId {
        match self.event() {
            Event::Incoming { id, .. } => id,
            other => panic!("Incoming expected: {other:?}"),
        }
    }

    /// The next event, which must be Ended.
    pub(crate) fn ended(&mut self) -> EndCause {
        match self.event() {
            Event::Ended { cause, .. } => cause,
            other => panic!("Ended expected: {other:?}"),
        }
    }

    /// Lets every timer run out and checks that nothing is left of anything.
    pub(crate) fn expect_nothing_left(&mut self) {
        self.advance(Duration::from_secs(600));
        let left = self.endpoint.statistics();
        let live = (
            left.awaiting_answers,
            left.transactions,
            left.invites,
            left.dialogs,
            left.merge_keys,
            left.timers,
        );
        assert_eq!(
            live,
            (0, 0, 0, 0, 0, 0),
            "unanswered, transactions, invites, dialogs, merge keys, timers"
        );
    }

    fn drain(&mut self) {
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Transmit { flow, bytes } => {
                    let text = String::from_utf8(bytes).unwrap();
                    let at = self.now - self.began;
                    self.sent.push_back(Sent {
                        at,
                        to: flow.remote,
                        transport: flow.transport,
                        text,
                    });
                }
                Output::Event(event) => self.events.push_back(event),
                other @ (Output::Registration { .. } | Output::Probed { .. }) => {
                    self.others.push_back(other);
                }
            }
        }
    }
}
