//! From an INVITE to a call: who it is for, whether there is room, and what the call is given.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use offhook_media::sdp::{Direction as MediaDirection, LocalMedia, LocalSrtp};
use offhook_session::agent_session::{CALL_SPANS, CallFacts, CallId, Direction};
use offhook_session::call::admission::Refusal;
use offhook_session::call::identity::{custom_headers, identity_of, user_of};
use offhook_session::call::{Call, LegSettings, Provision};
use offhook_session::pii::Pii;
use offhook_sip::endpoint::{Flow, InviteId, Transport};
use offhook_sip::message::{Malformed, NameAddr, Request, StatusCode};
use tracing::error_span;

use super::live_call::{Audio, LiveCall, directory_entry};
use super::{Signalling, counting, receiving};
use crate::config::{AgentName, SrtpPolicy, TrunkName};
use crate::control::CallState;
use crate::media_driver::{RtpSocket, bind_rtp};
use crate::random;

/// What the configuration says about an INVITE.
struct Destination {
    trunk: TrunkName,
    agent: AgentName,
    /// Whether TLS protects the keys in descriptions.
    over_tls: bool,
}

/// An INVITE that gets no call.
enum NoCall {
    /// Nobody is reached by that number.
    NoRoute,
    /// Not now.
    Refused(Refusal),
}

impl Signalling {
    /// A new INVITE: admits it, gives it what it needs and lets the call answer.
    pub(super) fn incoming(
        &mut self,
        invite: InviteId,
        request: &Request,
        flow: Flow,
        replaces: Option<InviteId>,
    ) {
        let now = Instant::now();
        if !self.is_who_it_says(invite, request, flow, now) {
            return;
        }
        self.give_credentials(invite, flow);
        if let Some(replaced) = replaces {
            if self.takes_replaces(flow) {
                return self.replace(invite, request, flow, replaced);
            }
            if request
                .headers
                .require()
                .iter()
                .any(|tag| tag.eq_ignore_ascii_case("replaces"))
            {
                let unsupported = [("Unsupported", "replaces")];
                return self.reject(invite, StatusCode::BAD_EXTENSION, &unsupported, now);
            }
            // RFC 3891 3: who does not know the header takes it for a call like any other.
        }
        let provided = self.destination(request, flow).and_then(|destination| {
            let socket = self
                .admit(&destination.trunk, flow, now)
                .map_err(NoCall::Refused)?;
            Ok((destination, socket))
        });
        match provided {
            Ok((destination, socket)) => self.begin(invite, request, destination, socket),
            Err(NoCall::NoRoute) => {
                counting::call_refused(404, "no_route");
                receiving::note_bad(&mut self.gate, flow, now);
                self.reject(invite, StatusCode::NOT_FOUND, &[], now);
            }
            Err(NoCall::Refused(refusal)) => {
                counting::call_refused(503, refusal.as_str());
                let retry_after = refusal.retry_after_s().to_string();
                self.reject(
                    invite,
                    StatusCode::SERVICE_UNAVAILABLE,
                    &[("Retry-After", &retry_after)],
                    now,
                );
            }
        }
    }

    /// A carrier that challenges what we send inside a call does so whoever called.
    fn give_credentials(&mut self, invite: InviteId, flow: Flow) {
        let trunk = self.config.trunk_for(flow.remote.ip());
        let outbound = trunk.and_then(|trunk| trunk.outbound.as_ref());
        let Some(credentials) = outbound.and_then(|outbound| outbound.credentials.clone()) else {
            return;
        };
        if let Err(misuse) = self.endpoint.set_credentials(invite, credentials) {
            tracing::debug!(%misuse, "credentials came too late");
        }
    }

    fn takes_replaces(&self, flow: Flow) -> bool {
        let trunk = self.config.trunk_for(flow.remote.ip());
        trunk.is_none_or(|trunk| trunk.replaces)
    }

    /// An INVITE with Replaces: its sender takes the place of a call's far end, if both are of one trunk.
    fn replace(&mut self, invite: InviteId, request: &Request, flow: Flow, replaced: InviteId) {
        let trunk = self.config.trunk_for(flow.remote.ip());
        let call = self.call_by_invite.get(&replaced).filter(|id| {
            let live = self.calls.get(*id);
            live.is_some_and(|live| trunk.is_some_and(|trunk| trunk.name == live.trunk))
        });
        let Some(call) = call.cloned() else {
            let gone = StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST;
            return self.reject(invite, gone, &[], Instant::now());
        };
        self.belongs_to(invite, &call);
        self.on_call(&call, |live| live.call.replaced_by(invite, request));
    }

    fn destination(&self, request: &Request, flow: Flow) -> Result<Destination, NoCall> {
        let trunk = self
            .config
            .trunk_for(flow.remote.ip())
            .ok_or(NoCall::NoRoute)?;
        let user = user_of(&request.uri);
        let agent = self
            .config
            .route(&trunk.name, &user)
            .ok_or(NoCall::NoRoute)?;
        Ok(Destination {
            trunk: trunk.name.clone(),
            agent: agent.clone(),
            over_tls: flow.transport == Transport::Tls,
        })
    }

    /// A place among the calls and a bound RTP socket.
    fn admit(&mut self, trunk: &TrunkName, flow: Flow, now: Instant) -> Result<RtpSocket, Refusal> {
        self.admission.admit_inbound(trunk.as_str(), now)?;
        let address = self.media_address(flow);
        self.bind_audio(Direction::Inbound, trunk, address, now)
    }

    /// The same for a call of ours to `number`.
    pub(super) fn admit_outbound(
        &mut self,
        trunk: &TrunkName,
        number: &str,
        flow: Option<Flow>,
        now: Instant,
    ) -> Result<RtpSocket, Refusal> {
        self.admission.admit_outbound(trunk.as_str(), number, now)?;
        match flow {
            Some(flow) => {
                let address = self.media_address(flow);
                self.bind_audio(Direction::Outbound, trunk, address, now)
            }
            None => {
                self.admission.release(Direction::Outbound, trunk.as_str());
                Err(Refusal::NoPort)
            }
        }
    }

    /// A bound RTP socket for a call that was admitted.
    fn bind_audio(
        &mut self,
        direction: Direction,
        trunk: &TrunkName,
        address: IpAddr,
        now: Instant,
    ) -> Result<RtpSocket, Refusal> {
        bind_rtp(&mut self.ports, address, now).map_err(|error| {
            self.admission.release(direction, trunk.as_str());
            tracing::warn!(%error, "no RTP port for a call");
            Refusal::NoPort
        })
    }

    /// Where audio is bound for a call that came by `flow`: the configured address of its family, else
    /// the address that signalling came to.
    fn media_address(&self, flow: Flow) -> IpAddr {
        let bind = &self.config.media.bind;
        let same_family = bind
            .iter()
            .find(|address| address.is_ipv4() == flow.local.is_ipv4());
        same_family.copied().unwrap_or_else(|| flow.local.ip())
    }

    fn begin(
        &mut self,
        invite: InviteId,
        request: &Request,
        destination: Destination,
        socket: RtpSocket,
    ) {
        let Destination {
            trunk,
            agent,
            over_tls,
        } = destination;
        let id = CallId::new(format!("{:016x}", self.random.next_u64()));
        let span = error_span!(
            target: CALL_SPANS, "call", call_id = %id, trunk = %trunk, agent = %agent
        );
        let _in_call = span.clone().entered();
        let identity = identity_of(request);
        let from = match identity.private {
            true => "anonymous".to_owned(),
            false => party(request.headers.from_()),
        };
        let facts = CallFacts {
            call_id: id.clone(),
            direction: Direction::Inbound,
            from: Pii::new(from),
            to: Pii::new(party(request.headers.to())),
            trunk: Some(Arc::from(trunk.as_str())),
            identity,
            headers: custom_headers(request),
        };
        tracing::info!("call came in");
        let call = Call::incoming(
            invite,
            request,
            self.provision(&id, &trunk, &agent, &socket, over_tls),
        );
        let entry = directory_entry(&facts, &agent, CallState::Answered);
        let quality = Arc::clone(&entry.quality);
        self.directory.insert(entry);
        self.belongs_to(invite, &id);
        let live = LiveCall::new(
            call,
            trunk,
            agent,
            facts,
            Audio::Bound(socket),
            quality,
            span.clone(),
        );
        self.calls.insert(id.clone(), live);
        self.capture_if_configured(&id, request.headers.call_id());
        counting::calls_live(self.calls.len());
        self.on_call(&id, |_| {});
    }

    pub(super) fn provision(
        &mut self,
        id: &CallId,
        trunk: &TrunkName,
        agent: &AgentName,
        socket: &RtpSocket,
        over_tls: bool,
    ) -> Provision {
        let seed = self.random.next_u64();
        let (dtmf, rates) = self.config.digits_of(trunk);
        Provision {
            id: id.clone(),
            local: LocalMedia {
                address: self.config.sip.advertise.address_for(socket.local().ip()),
                port: socket.local().port(),
                codecs: self.config.codecs_of(trunk),
                telephone_event: dtmf.negotiates_events().then_some(rates),
                ptime_ms: 20,
                srtp: srtp(self.config.srtp_of(trunk), over_tls),
                direction: MediaDirection::SendReceive,
                // RFC 8866 section 5.2: numeric and unique; below 2^63, since some far ends read it signed.
                session_id: seed >> 1,
                session_version: 1,
            },
            leg: LegSettings {
                voice_activity: self.sessions.wants_voice_activity(agent),
                echo_guard: self.sessions.wants_echo_guard(agent),
                in_band_digits: dtmf.in_band(),
                call_tones: self.sessions.wants_tones(agent),
                no_media_timeout: Some(self.config.media.no_media_timeout),
                seed,
            },
            digits_by_info: dtmf.counts_info(),
            digits_out: dtmf.out(),
        }
    }

    pub(super) fn reject(
        &mut self,
        invite: InviteId,
        status: StatusCode,
        headers: &[(&str, &str)],
        now: Instant,
    ) {
        if let Err(misuse) = self.endpoint.reject(invite, status, headers, now) {
            tracing::debug!(%misuse, "a refusal came too late");
        }
    }
}

/// The user in From or To; empty where the header cannot be read.
fn party(address: Result<NameAddr, Malformed>) -> String {
    address
        .map(|address| user_of(&address.uri))
        .unwrap_or_default()
}

/// Our side of SRTP, with keys of its own.
fn srtp(policy: SrtpPolicy, over_tls: bool) -> Option<LocalSrtp> {
    let (required, offered) = match policy {
        SrtpPolicy::Off => return None,
        SrtpPolicy::Optional => (false, over_tls),
        SrtpPolicy::Required => (true, true),
    };
    Some(LocalSrtp::new(required, offered, &random::for_keys()))
}
