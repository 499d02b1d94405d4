//! Finding out where a URI leads (RFC 3263), beside the signalling task: DNS may take seconds.

use std::net::SocketAddr;
use std::sync::Arc;

use offhook_session::agent_session::CallId;
use offhook_sip::endpoint::{Flow, InviteId, Transport};
use offhook_sip::locate::{Families, Locate, NotFound, Target, Transports as LocateTransports};
use offhook_sip::message::{SipUri, Uri};
use tokio::sync::mpsc;

use super::Signalling;
use crate::config::TrunkName;

/// How many answers may wait; then those who look wait. Each call, trunk and redirection looks once at a
/// time, so that calls and trunks bound who looks.
pub(super) const LOCATED_QUEUE: usize = 256;

/// What somebody wants to know the way for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    /// The INVITE of a call of ours.
    Dial(CallId),
    /// An INVITE that was redirected to this.
    Follow(InviteId, Uri),
    /// The INVITE to who is to succeed a call's far end.
    Succeed(CallId),
    /// A trunk's REGISTER.
    Register(TrunkName),
    /// A trunk's OPTIONS.
    Probe(TrunkName),
}

/// The way, or why there is none.
#[derive(Debug)]
pub(super) struct Located {
    pub(super) errand: Errand,
    pub(super) targets: Result<Vec<Target>, NotFound>,
}

impl Signalling {
    /// Looks for the way to `uri`; [`Located`] comes back by the queue. What needs no DNS comes at once.
    pub(super) fn locate(&mut self, errand: Errand, uri: &SipUri, wanted: Option<Transport>) {
        let listening: Vec<(Transport, SocketAddr)> = self.transports.local_addresses().collect();
        let transports: LocateTransports =
            listening.iter().map(|(transport, _)| *transport).collect();
        let Some(families) = families(&listening) else {
            let targets = Err(NotFound::NoTransport);
            self.unsaid.push_back(Located { errand, targets });
            return;
        };
        let mut locate = Locate::new(uri, wanted, transports, families, self.random.next_u64());
        if locate.poll_query().is_none()
            && let Some(targets) = locate.poll_outcome()
        {
            self.unsaid.push_back(Located { errand, targets });
            return;
        }
        // Asked and not answered, a question stays with its owner; DNS takes over from the beginning.
        let locate = Locate::new(uri, wanted, transports, families, self.random.next_u64());
        let (dns, answers) = (Arc::clone(&self.dns), self.located_sender.clone());
        tokio::spawn(async move {
            let targets = dns.locate(locate).await;
            // A signalling task that is gone needs no way any more.
            let _ = answers.send(Located { errand, targets }).await;
        });
    }

    /// The flows to `targets`: from where we listen with the same transport and family. Targets that failed
    /// lately come last.
    pub(super) fn flows_to(&mut self, targets: Vec<Target>) -> Vec<Flow> {
        let targets = self.blacklist.order(targets, std::time::Instant::now());
        let mut flows = Vec::with_capacity(targets.len());
        for target in targets {
            let local = self
                .transports
                .local_addresses()
                .find(|(transport, local)| {
                    *transport == target.transport && local.is_ipv4() == target.address.is_ipv4()
                })
                .map(|(_, local)| local);
            let Some(local) = local else { continue };
            if target.transport == Transport::Tls {
                let name = match target.server_name.ip() {
                    // In a certificate an IPv6 address has no brackets.
                    Some(ip) => ip.to_string(),
                    None => target.server_name.to_string(),
                };
                self.transports.expect_name(target.address, name);
            }
            flows.push(Flow {
                transport: target.transport,
                local,
                remote: target.address,
            });
        }
        flows
    }
}

fn families(listening: &[(Transport, SocketAddr)]) -> Option<Families> {
    let v4 = listening.iter().any(|(_, local)| local.is_ipv4());
    let v6 = listening.iter().any(|(_, local)| local.is_ipv6());
    match (v4, v6) {
        (true, true) => Some(Families::Both),
        (true, false) => Some(Families::V4),
        (false, true) => Some(Families::V6),
        (false, false) => None,
    }
}

/// The queue by which the ways come back.
pub(super) fn located_queue() -> (mpsc::Sender<Located>, mpsc::Receiver<Located>) {
    mpsc::channel(LOCATED_QUEUE)
}
