//! Who may speak to us, decided before a byte is parsed.
//!
//! ```text
//! source ─► watched already? ─┬─► banned? ─► rate ─► Pass, RefuseCall or Drop
//!        └► trunk's address? ─┘
//!        └► stranger: Drop, or Forbid
//! ```
//!
//! A trunk sends thousands of messages a second from one address, so limits are sized for that, and what
//! belongs to calls that are up has a reserve behind them. Who sends mostly garbage is banned for a while; a
//! banned message costs one lookup. What a far end calls itself is no argument: scanners change it.
//!
//! | table | bound | when full |
//! |---|---|---|
//! | sources of trunks; strangers, where they are answered | [`SOURCES`] each | those not heard of for longest are forgotten, with their bans |
//! | correspondents | [`CORRESPONDENTS`] | the same; one that is forgotten is a stranger |

mod allow_list;
mod recent;
mod watch;

use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use offhook_sip::endpoint::{Flow, Transport};

use crate::config::{Cidr, Strangers};
use allow_list::AllowList;
use recent::Recent;
use watch::{Standing, Watch};

/// How many sources are watched at once.
const SOURCES: usize = 16_384;
/// How many addresses that we wrote to are remembered.
const CORRESPONDENTS: usize = 4_096;

/// Where a message comes from. The address of a datagram can be forged, so what comes by UDP in a trunk's
/// name counts for nothing against its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Source {
    ip: IpAddr,
    transport: Transport,
}

impl Source {
    /// An IPv4 address mapped into IPv6 is its IPv4 self.
    pub(crate) fn of(flow: Flow) -> Self {
        Self {
            ip: flow.remote.ip().to_canonical(),
            transport: flow.transport,
        }
    }

    /// As strangers are watched: whoever has one address of IPv6 has its /64.
    fn network(self) -> Self {
        let ip = match self.ip {
            IpAddr::V4(_) => self.ip,
            IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
        };
        Self { ip, ..self }
    }
}

/// What a message is for, by its first bytes: as far as the gate looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An INVITE, which asks for a call or is about one.
    Invite,
    /// What belongs to calls and transactions that are there: responses, ACK, BYE and their like.
    InCall,
    /// Anything else.
    Other,
}

impl Kind {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        const IN_CALL: [&[u8]; 9] = [
            b"SIP/2.0 ",
            b"ACK ",
            b"BYE ",
            b"CANCEL ",
            b"PRACK ",
            b"UPDATE ",
            b"INFO ",
            b"REFER ",
            b"NOTIFY ",
        ];
        if bytes.starts_with(b"INVITE ") {
            Self::Invite
        } else if IN_CALL.iter().any(|start| bytes.starts_with(start)) {
            Self::InCall
        } else {
            Self::Other
        }
    }
}

/// What is done with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It goes to the endpoint.
    Pass,
    /// It goes to the endpoint, which sheds new calls.
    RefuseCall,
    /// It is answered 403 and forgotten; [noted](Gate::note_bad) as bad.
    Forbid,
    /// It is forgotten.
    Drop,
}

/// How strict the gate is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// What strangers hear.
    pub(crate) strangers: Strangers,
    /// What a trunk's address may send; twice as much in a burst.
    pub(crate) messages_per_second: u32,
    /// This many bad messages in ten seconds, and more than half of all, ban a source; a trunk's address ten
    /// times as many. 0: nobody.
    pub(crate) ban_after: u32,
}

/// How often each came out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct GateStatistics {
    /// Of somebody who may not speak to us.
    pub(crate) strangers: u64,
    /// Of a stranger, offered the endpoint's 403.
    pub(crate) forbidden: u64,
    /// Of a banned source.
    pub(crate) banned: u64,
    /// Over a source's rate, and dropped.
    pub(crate) over_rate: u64,
    /// Over a source's rate, and answered if new calls.
    pub(crate) shed: u64,
    /// Bans that began.
    pub(crate) bans: u64,
}

/// Decides who may speak to us.
#[derive(Debug)]
pub(crate) struct Gate {
    rules: Rules,
    trunks: AllowList,
    sources: Recent<Source, Watch>,
    strangers: Recent<Source, Watch>,
    correspondents: Recent<IpAddr, ()>,
    statistics: GateStatistics,
}

impl Gate {
    /// `trunks` are the blocks that trunks call from.
    pub(crate) fn new(rules: Rules, trunks: impl IntoIterator<Item = Cidr>) -> Self {
        Self {
            rules,
            trunks: AllowList::new(trunks),
            sources: Recent::new(SOURCES),
            strangers: Recent::new(SOURCES),
            correspondents: Recent::new(CORRESPONDENTS),
            statistics: GateStatistics::default(),
        }
    }

    /// What is done with a message that arrives.
    pub(crate) fn admit(&mut self, source: Source, kind: Kind, now: Instant) -> Verdict {
        let Some(watch) = self.watched(source, now) else {
            self.statistics.strangers += 1;
            return Verdict::Drop;
        };
        let admitted = watch.admit(kind, now);
        let statistics = &mut self.statistics;
        match admitted {
            watch::Admitted::Whole => Verdict::Pass,
            watch::Admitted::WithoutCalls => {
                statistics.shed += 1;
                Verdict::RefuseCall
            }
            watch::Admitted::Stranger => {
                statistics.forbidden += 1;
                Verdict::Forbid
            }
            watch::Admitted::OverRate => {
                statistics.over_rate += 1;
                Verdict::Drop
            }
            watch::Admitted::Banned => {
                statistics.banned += 1;
                Verdict::Drop
            }
        }
    }

    /// Whether a connection is accepted at all.
    #[cfg_attr(not(test), expect(dead_code, reason = "for transports that connect"))]
    pub(crate) fn welcomes(&mut self, source: Source, now: Instant) -> bool {
        self.watched(source, now)
            .is_some_and(|watch| watch.is_welcome(now))
    }

    /// A message that was let by turned out to be garbage. Gives the ban that this earned, for the log.
    pub(crate) fn note_bad(&mut self, source: Source, now: Instant) -> Option<Duration> {
        let ban = self.watched(source, now)?.note_bad(now);
        self.statistics.bans += u64::from(ban.is_some());
        ban
    }

    /// A request of ours goes to this address, so its answers may come in, and what follows on a call. New
    /// calls from there are still for the configuration to take or not.
    pub(crate) fn correspond(&mut self, ip: IpAddr) {
        self.correspondents.find(ip.to_canonical(), || Some(()));
    }

    /// What was decided so far.
    pub(crate) fn statistics(&self) -> GateStatistics {
        self.statistics
    }

    /// The watch over a source; `None` for a stranger who is to hear nothing.
    fn watched(&mut self, source: Source, now: Instant) -> Option<&mut Watch> {
        let Self {
            rules,
            trunks,
            sources,
            strangers,
            correspondents,
            ..
        } = self;
        let of_trunk = || {
            let known =
                trunks.contains(source.ip) || correspondents.find(source.ip, || None).is_some();
            known.then(|| Watch::new(Standing::Trunk, rules, now))
        };
        match (sources.find(source, of_trunk), rules.strangers) {
            (Some(watch), _) => Some(watch),
            (None, Strangers::Silent) => None,
            (None, Strangers::Forbid) => strangers.find(source.network(), || {
                Some(Watch::new(Standing::Stranger, rules, now))
            }),
        }
    }
}

#[cfg(test)]
mod tests;
