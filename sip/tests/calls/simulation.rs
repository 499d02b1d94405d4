//! Thousands of calls over a bad network, each with its own seed: after each, one Ended for each
//! usage, nothing left on our side, and both sides agree.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    time::{Duration, Instant},
};

use offhook_sip::{
    endpoint::{
        Body, EndCause, Endpoint, EndpointConfig, Event, Flow, InviteId, OutgoingInvite, Output,
        Transport,
    },
    message::{NameAddr, StatusCode},
};

use crate::{
    automaton::{Automaton, Belief, Plan},
    network::{Dice, Network, Packet, Weather},
    world::{beginning, sdp},
};

/// What our side does with a call.
#[derive(Clone, Debug)]
struct Conduct {
    answer_after: Duration,
    refuses: bool,
    cancel_after: Option<Duration>,
    reoffer_after: Option<Duration>,
    bye_after: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Deed {
    Answer,
    Cancel,
    Reoffer,
    Bye,
}

/// What our side knows of a call.
#[derive(Debug, Default)]
struct Record {
    outgoing: bool,
    answered: bool,
    ended: Vec<EndCause>,
}

struct Simulation {
    seed: u64,
    dice: Dice,
    network: Network,
    endpoint: Endpoint,
    began: Instant,
    now: Duration,
    local: SocketAddr,
    phones: BTreeMap<SocketAddr, Automaton>,
    deeds: BTreeMap<(Duration, InviteId, Deed), ()>,
    conducts: HashMap<InviteId, Conduct>,
    records: BTreeMap<InviteId, (SocketAddr, Record)>,
    /// Kept only while a failed seed is run again.
    log: Option<Vec<String>>,
}

impl Simulation {
    fn new(seed: u64, weather: Weather, log: Option<Vec<String>>) -> Self {
        let mut dice = Dice::new(seed);
        Self {
            seed,
            network: Network::new(dice.roll(u64::MAX), weather),
            endpoint: Endpoint::new(EndpointConfig::default(), dice.roll(u64::MAX)),
            dice,
            began: beginning(),
            now: Duration::ZERO,
            local: "198.51.100.1:5060".parse().unwrap(),
            phones: BTreeMap::new(),
            deeds: BTreeMap::new(),
            conducts: HashMap::new(),
            records: BTreeMap::new(),
            log,
        }
    }

    fn maybe(&mut self, chance: u64, from: u64, to: u64) -> Option<Duration> {
        let after = self.dice.milliseconds(from, to);
        self.dice.percent(chance).then_some(after)
    }

    fn add_phone(&mut self, number: u16) -> SocketAddr {
        let plan = Plan {
            cancel_after: self.maybe(30, 0, 4_000),
            answer_after: self.dice.milliseconds(0, 4_000),
            refuses: self.dice.percent(15),
            reinvite_after: self.maybe(30, 0, 6_000),
            info_after: self.maybe(30, 0, 6_000),
            bye_after: self.maybe(60, 0, 8_000),
        };
        let address = SocketAddr::new("203.0.113.9".parse().unwrap(), 10_000 + number);
        let mut phone = Automaton::new(&format!("s{}-{number}", self.seed), plan);
        phone.contact(format!("<sip:phone@{address}>"));
        self.phones.insert(address, phone);
        address
    }

    fn conduct(&mut self) -> Conduct {
        Conduct {
            answer_after: self.dice.milliseconds(0, 4_000),
            refuses: self.dice.percent(15),
            cancel_after: self.maybe(30, 0, 4_000),
            reoffer_after: self.maybe(30, 0, 6_000),
            // Somebody must hang up in the end.
            bye_after: Some(self.dice.milliseconds(0, 12_000)),
        }
    }

    fn flow(&self, remote: SocketAddr) -> Flow {
        Flow {
            transport: Transport::Udp,
            local: self.local,
            remote,
        }
    }

    fn instant(&self) -> Instant {
        self.began + self.now
    }

    fn run(&mut self, calls: u16) {
        for number in 0..calls {
            let address = self.add_phone(number);
            if self.dice.percent(60) {
                let sent = self.phones.get_mut(&address).unwrap().call(self.now);
                self.carry_from(address, sent);
            } else {
                self.call_out(address);
            }
        }
        while let Some(at) = self.next_at() {
            assert!(
                at < Duration::from_secs(900),
                "seed {}: no end of it",
                self.seed
            );
            self.now = self.now.max(at);
            self.step();
        }
    }

    fn next_at(&self) -> Option<Duration> {
        let timeout = self.endpoint.poll_timeout().map(|at| at - self.began);
        let phones = self.phones.values().filter_map(Automaton::next_at).min();
        let deed = self.deeds.keys().next().map(|(at, ..)| *at);
        [timeout, phones, deed, self.network.next_at()]
            .into_iter()
            .flatten()
            .min()
    }

    fn step(&mut self) {
        while let Some(packet) = self.network.arrive(self.now) {
            self.note(&packet, "arrives");
            if packet.to == self.local {
                let (flow, now) = (self.flow(packet.from), self.instant());
                self.endpoint
                    .handle_datagram(flow, packet.text.as_bytes(), now);
                self.drain();
            } else if let Some(phone) = self.phones.get_mut(&packet.to) {
                let sent = phone.hear(&packet.text, self.now);
                self.carry_from(packet.to, sent);
            }
        }
        let addresses: Vec<SocketAddr> = self.phones.keys().copied().collect();
        for address in addresses {
            let sent = self.phones.get_mut(&address).unwrap().tick(self.now);
            self.carry_from(address, sent);
        }
        while let Some(((at, id, deed), ())) = self.deeds.first_key_value() {
            if *at > self.now {
                break;
            }
            let (at, id, deed) = (*at, *id, *deed);
            self.deeds.remove(&(at, id, deed));
            self.act(id, deed);
        }
        let now = self.instant();
        self.endpoint.handle_timeout(now);
        self.drain();
    }

    fn carry_from(&mut self, from: SocketAddr, messages: Vec<String>) {
        for text in messages {
            let packet = Packet {
                from,
                to: self.local,
                text,
            };
            self.note(&packet, "leaves");
            self.network.carry(self.now, packet);
        }
    }

    fn note(&mut self, packet: &Packet, what: &str) {
        let Packet { from, to, text } = packet;
        self.write_down(|| format!("{from} -> {to} {what} {}", crate::text::summary(text)));
    }

    fn write_down(&mut self, line: impl FnOnce() -> String) {
        if let Some(log) = &mut self.log {
            log.push(format!("{:>7} {}", self.now.as_millis(), line()));
        }
    }

    fn call_out(&mut self, address: SocketAddr) {
        let call = OutgoingInvite {
            body: sdp("offer"),
            ..OutgoingInvite::new(
                self.flow(address),
                NameAddr::parse(&format!("<sip:phone@{address}>"))
                    .unwrap()
                    .uri,
                NameAddr::parse("<sip:agent@example.com>").unwrap(),
                NameAddr::parse("<sip:phone@example.net>").unwrap(),
            )
        };
        let now = self.instant();
        let id = self.endpoint.invite(call, now).unwrap();
        let conduct = self.conduct();
        if let Some(after) = conduct.cancel_after {
            self.deeds.insert((self.now + after, id, Deed::Cancel), ());
        }
        self.conducts.insert(id, conduct);
        self.records.insert(
            id,
            (
                address,
                Record {
                    outgoing: true,
                    ..Record::default()
                },
            ),
        );
        self.drain();
    }

    fn act(&mut self, id: InviteId, deed: Deed) {
        let now = self.instant();
        let body: Option<Body> = sdp("answer");
        let refuses = self.conducts[&id].refuses;
        // What the far end did in the meantime may make any of these misuse.
        let done = match deed {
            Deed::Answer if refuses => self.endpoint.reject(id, StatusCode::BUSY_HERE, &[], now),
            Deed::Answer => self.endpoint.accept(id, body, &[], now),
            Deed::Cancel => self.endpoint.cancel(id, &[], now),
            Deed::Reoffer => self.endpoint.reoffer(id, body.unwrap(), now),
            Deed::Bye => self.endpoint.bye(id, &[], now),
        };
        self.write_down(|| format!("{id} {deed:?} {done:?}"));
        if deed == Deed::Answer && !refuses && done.is_ok() {
            self.talk(id);
        }
        self.drain();
    }

    fn talk(&mut self, id: InviteId) {
        self.records.get_mut(&id).unwrap().1.answered = true;
        let conduct = self.conducts[&id].clone();
        for (after, deed) in [
            (conduct.reoffer_after, Deed::Reoffer),
            (conduct.bye_after, Deed::Bye),
        ] {
            if let Some(after) = after {
                self.deeds.insert((self.now + after, id, deed), ());
            }
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Transmit { flow, bytes } => {
                    let text = String::from_utf8(bytes).unwrap();
                    let packet = Packet {
                        from: flow.local,
                        to: flow.remote,
                        text,
                    };
                    self.note(&packet, "leaves");
                    self.network.carry(self.now, packet);
                }
                Output::Event(event) => self.on_event(event),
                Output::Registration { .. } | Output::Probed { .. } => {
                    unreachable!("nobody registers here")
                }
            }
        }
    }

    fn on_event(&mut self, event: Event) {
        let now = self.instant();
        match event {
            Event::Incoming { id, flow, .. } => {
                self.records.insert(id, (flow.remote, Record::default()));
                let conduct = self.conduct();
                self.deeds
                    .insert((self.now + conduct.answer_after, id, Deed::Answer), ());
                self.conducts.insert(id, conduct);
                if self.dice.percent(70) {
                    self.endpoint
                        .ring(id, StatusCode::RINGING, None, &[], now)
                        .unwrap();
                }
            }
            Event::Answered { id, .. } => self.talk(id),
            Event::Reoffer { id, .. } => {
                if self.dice.percent(80) {
                    self.endpoint.accept_reoffer(id, sdp("again"), now).unwrap();
                } else {
                    let status = StatusCode::NOT_ACCEPTABLE_HERE;
                    self.endpoint.reject_reoffer(id, status, &[], now).unwrap();
                }
            }
            Event::Ended { id, cause, .. } => {
                self.write_down(|| format!("{id} ended {cause:?}"));
                self.records.get_mut(&id).unwrap().1.ended.push(cause);
                self.deeds.retain(|(_, whose, _), ()| *whose != id);
            }
            Event::Provisional { id, .. }
            | Event::FlowFailed { id, .. }
            | Event::Redirected { id, .. }
            | Event::Acknowledged { id, .. }
            | Event::RefreshDue { id }
            | Event::Referral { id, .. }
            | Event::Referred { id, .. }
            | Event::Confirmed { id, .. }
            | Event::ReofferConfirmed { id, .. }
            | Event::ReofferCancelled { id }
            | Event::ReofferAnswered { id, .. }
            | Event::ReofferRefused { id, .. }
            | Event::Info { id, .. }
            | Event::InfoAnswered { id, .. } => {
                assert!(
                    self.records[&id].1.ended.is_empty(),
                    "a word after the last one"
                );
            }
        }
    }

    fn lost(&self) -> usize {
        let timed_out =
            |cause: &EndCause| matches!(cause, EndCause::AckTimeout | EndCause::NoAnswer);
        let ours = self.records.values().flat_map(|(_, record)| &record.ended);
        let theirs = self.phones.values().filter(|phone| phone.gave_up);
        ours.filter(|cause| timed_out(cause)).count() + theirs.count()
    }

    /// What does not hold although nothing moves any more.
    fn fault(&self) -> Option<String> {
        let left = self.endpoint.statistics();
        let live = [
            left.transactions,
            left.awaiting_answers,
            left.invites,
            left.dialogs,
            left.merge_keys,
            left.timers,
        ];
        if live != [0; 6] {
            return Some(format!("left behind: {live:?}"));
        }
        for (id, (address, record)) in &self.records {
            let [cause] = record.ended[..] else {
                return Some(format!("{id} ended {:?}", record.ended));
            };
            let phone = &self.phones[address];
            // An end that heard an answer must have had one from the other. What may differ: the
            // answer to a call we gave up on, and a 200 or BYE that never got through, which
            // AckTimeout and NoAnswer tell.
            let lost = matches!(cause, EndCause::AckTimeout | EndCause::NoAnswer);
            let given_up = record.outgoing && (lost || cause == EndCause::Cancelled);
            if phone.answered && !record.answered && !given_up {
                return Some(format!("{id} is answered for the far end only"));
            }
            if record.answered && !phone.answered && !lost {
                return Some(format!("{id} is answered for us only"));
            }
        }
        let unfinished = self
            .phones
            .iter()
            .find(|(_, phone)| phone.belief != Belief::Over);
        unfinished.map(|(address, phone)| format!("{address} is still {:?}", phone.belief))
    }
}

/// Runs each seed. The seeds in which a call got lost, which AckTimeout, NoAnswer or a far end that gave up tell, are returned.
fn simulate(seeds: std::ops::Range<u64>, calls: u16, weather: Weather) -> Vec<u64> {
    let mut lost = Vec::new();
    for seed in seeds {
        let mut simulation = Simulation::new(seed, weather, None);
        simulation.run(calls);
        lost.extend((simulation.lost() > 0).then_some(seed));
        let Some(fault) = simulation.fault() else {
            continue;
        };
        let mut again = Simulation::new(seed, weather, Some(Vec::new()));
        again.run(calls);
        panic!(
            "seed {seed}: {fault}\n{}",
            again.log.unwrap_or_default().join("\n")
        );
    }
    lost
}

#[test]
fn over_a_good_network_every_call_ends_once_and_both_sides_agree() {
    let lost = simulate(
        0..500,
        2,
        Weather {
            loss: 0,
            copies: 0,
            delay_ms: 20,
        },
    );
    assert_eq!(lost, [], "seeds with a call given up");
}

#[test]
fn with_a_fifth_lost_every_call_ends_once_both_sides_agree_and_none_is_given_up() {
    let lost = simulate(
        1_000..2_500,
        2,
        Weather {
            loss: 20,
            copies: 0,
            delay_ms: 60,
        },
    );
    assert_eq!(lost, [], "seeds with a call given up");
}

#[test]
fn with_copies_and_wild_reordering_every_call_ends_once_and_both_sides_agree() {
    let lost = simulate(
        3_000..4_000,
        2,
        Weather {
            loss: 20,
            copies: 20,
            delay_ms: 900,
        },
    );
    assert_eq!(lost, [], "seeds with a call given up");
}

#[test]
fn with_half_lost_every_call_still_ends_once_and_nothing_is_left() {
    simulate(
        5_000..5_300,
        2,
        Weather {
            loss: 50,
            copies: 5,
            delay_ms: 200,
        },
    );
}
