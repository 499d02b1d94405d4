//! The two programs that take the same calls.

use std::net::SocketAddr;

use offhook_tests::daemon::{Daemon, DaemonSetup};
use offhook_tests::sipp::SippEcho;

/// Most calls a second that can be asked for: there are ports for so many, which rest for a second after each call.
pub(crate) const CAP: u64 = 6_000;

/// Which program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PeerKind {
    Sipp,
    Offhook,
}

/// A running one.
pub(crate) enum Peer {
    Sipp(SippEcho),
    Offhook(Box<Daemon>),
}

impl PeerKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sipp => "sipp",
            Self::Offhook => "offhook",
        }
    }

    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Sipp => "`sipp -sn uas`, no audio",
            Self::Offhook => "offhook, agent `echo`, a leg each",
        }
    }
}

impl Peer {
    /// Starts it fresh. Offhook takes so many calls a second, and half as many at once.
    pub(crate) fn start(kind: PeerKind, calls_per_second: u64) -> Result<Self, String> {
        Ok(match kind {
            PeerKind::Sipp => Self::Sipp(SippEcho::start()?),
            PeerKind::Offhook => {
                let setup = DaemonSetup {
                    calls: (calls_per_second / 2).max(100) as u16,
                    calls_per_second: calls_per_second as u32,
                    codecs: vec!["pcmu"],
                    log: "warn",
                    ..DaemonSetup::default()
                };
                Self::Offhook(Box::new(Daemon::start(&setup)?))
            }
        })
    }

    pub(crate) fn kind(&self) -> PeerKind {
        match self {
            Self::Sipp(_) => PeerKind::Sipp,
            Self::Offhook(_) => PeerKind::Offhook,
        }
    }

    /// Where it takes calls.
    pub(crate) fn sip(&self) -> SocketAddr {
        match self {
            Self::Sipp(sipp) => sipp.sip(),
            Self::Offhook(daemon) => daemon.sip(),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        match self {
            Self::Sipp(sipp) => sipp.pid(),
            Self::Offhook(daemon) => daemon.pid(),
        }
    }

    /// Bytes that it has allocated and not given back, where it says so.
    pub(crate) fn live_memory(&self) -> Option<u64> {
        let Self::Offhook(daemon) = self else {
            return None;
        };
        let page = daemon.page("/metrics").ok()?;
        let mut lines = page.lines();
        let value = lines.find_map(|line| line.strip_prefix("offhook_memory_live_bytes "))?;
        value.parse::<f64>().ok().map(|bytes| bytes as u64)
    }
}
