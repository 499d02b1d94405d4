//! From an INVITE to a call, and from a call to a leg and a session; and back to nothing.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use offhook_media::leg::{Leg, LegConfig};
use offhook_media::sdp::{Direction as MediaDirection, LocalMedia};
use offhook_session::agent_session::{
    CallFacts, CallId, Direction, EndCause, EndReason, SessionReport,
};
use offhook_session::call::admission::Refusal;
use offhook_session::call::{Call, LegSettings, Provision};
use offhook_session::pii::Pii;
use offhook_sip::endpoint::{Flow, InviteId};
use offhook_sip::message::{Request, StatusCode};
use tracing::info_span;

use super::live_call::{Audio, LiveCall};
use super::{FinishedCall, Signalling, counting};
use crate::config::{AgentName, TrunkName};
use crate::control::{CallState, LiveCall as DirectoryEntry};
use crate::media_driver::{NewLeg, RtpSocket, bind_rtp};
use crate::sessions::{NewSession, Sessions};

/// What the configuration says about an INVITE.
struct Destination {
    trunk: TrunkName,
    agent: AgentName,
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
    pub(super) fn incoming(&mut self, invite: InviteId, request: &Request, flow: Flow) {
        let now = Instant::now();
        let provided = self.destination(request, flow).and_then(|destination| {
            let socket = self.admit(flow, now).map_err(NoCall::Refused)?;
            Ok((destination, socket))
        });
        match provided {
            Ok((destination, socket)) => self.begin(invite, request, destination, socket),
            Err(NoCall::NoRoute) => {
                counting::call_refused(404, "no_route");
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

    fn destination(&self, request: &Request, flow: Flow) -> Result<Destination, NoCall> {
        let trunk = self
            .config
            .trunk_for(flow.remote.ip())
            .ok_or(NoCall::NoRoute)?;
        let user = request.uri.user().unwrap_or_default();
        let agent = self
            .config
            .route(&trunk.name, user)
            .ok_or(NoCall::NoRoute)?;
        Ok(Destination {
            trunk: trunk.name.clone(),
            agent: agent.clone(),
        })
    }

    /// A place among the calls and a bound RTP socket.
    fn admit(&mut self, flow: Flow, now: Instant) -> Result<RtpSocket, Refusal> {
        self.admission.admit(now)?;
        let address = self.media_address(flow);
        bind_rtp(&mut self.ports, address, now).map_err(|error| {
            self.admission.release();
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
        let Destination { trunk, agent } = destination;
        let id = CallId::new(format!("{:016x}", self.random.next_u64()));
        let span = info_span!("call", call_id = %id, trunk = %trunk, agent = %agent);
        let _in_call = span.clone().entered();
        let facts = CallFacts {
            call_id: id.clone(),
            direction: Direction::Inbound,
            from: Pii::new(party(request, "From")),
            to: Pii::new(party(request, "To")),
            trunk: Some(Arc::from(trunk.as_str())),
        };
        tracing::info!("call came in");
        let call = Call::incoming(
            invite,
            request,
            self.provision(&id, &trunk, &agent, &socket),
        );
        self.directory.insert(directory_entry(&facts, &agent));
        self.call_by_invite.insert(invite, id.clone());
        let live = LiveCall {
            call,
            trunk,
            agent,
            facts,
            audio: Audio::Bound(socket),
            session: None,
            report: None,
            arrived: Instant::now(),
            span: span.clone(),
        };
        self.calls.insert(id.clone(), live);
        counting::calls_live(self.calls.len());
        self.on_call(&id, |_| {});
    }

    fn provision(
        &mut self,
        id: &CallId,
        trunk: &TrunkName,
        agent: &AgentName,
        socket: &RtpSocket,
    ) -> Provision {
        let seed = self.random.next_u64();
        Provision {
            id: id.clone(),
            local: LocalMedia {
                address: self.config.sip.advertise.address_for(socket.local().ip()),
                port: socket.local().port(),
                codecs: self.config.codecs_of(trunk),
                telephone_event: true,
                ptime_ms: 20,
                direction: MediaDirection::SendReceive,
                // RFC 8866 section 5.2: numeric and unique; below 2^63, since some far ends read it signed.
                session_id: seed >> 1,
                session_version: 1,
            },
            leg: LegSettings {
                voice_activity: self.sessions.wants_voice_activity(agent),
                no_media_timeout: Some(self.config.media.no_media_timeout),
                seed,
            },
        }
    }

    fn report_finished(
        &self,
        id: &CallId,
        agent: &AgentName,
        report: Option<SessionReport>,
        reason: &EndReason,
    ) {
        let Some(finished) = &self.finished else {
            return;
        };
        let call = FinishedCall {
            id: id.clone(),
            reason: reason.clone(),
            transcript: report.map(|report| report.transcript).unwrap_or_default(),
            recording: self.sessions.recording_of(agent, id),
        };
        if finished.try_send(call).is_err() {
            tracing::debug!("nobody took what is left of a call");
        }
    }

    fn reject(
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

    /// Opens a call's leg and begins its session.
    pub(super) fn open(&mut self, id: &CallId, config: LegConfig, now: Instant) {
        let Some(live) = self.calls.get_mut(id) else {
            return;
        };
        let Audio::Bound(socket) = std::mem::replace(&mut live.audio, Audio::Closed) else {
            return;
        };
        let port = socket.local().port();
        let sample_rate_hz = config.codec.sample_rate_hz();
        let (events, leg_events) = Sessions::leg_event_queue();
        let recording = self.sessions.record(&live.agent, id, sample_rate_hz);
        let opened = Leg::new(config, now)
            .map_err(|error| error.to_string())
            .and_then(|mut leg| {
                if let Some(ring) = recording {
                    leg.attach_recorder(ring);
                }
                let new = NewLeg {
                    leg: Box::new(leg),
                    socket,
                    events,
                };
                self.media.open(new).map_err(|full| full.to_string())
            });
        match opened {
            Ok(line) => {
                self.call_by_leg.insert(line.id(), id.clone());
                let session = self.sessions.begin(NewSession {
                    facts: live.facts.clone(),
                    agent: &live.agent,
                    line: line.clone(),
                    leg_events,
                    notices: self.session_notice_sender.clone(),
                    sample_rate_hz,
                    span: live.span.clone(),
                });
                live.session = session;
                live.audio = Audio::Open(line);
            }
            Err(error) => {
                self.ports.give_back(port, now);
                tracing::error!(error, "a leg could not be opened; its call is ended");
                live.call.hang_up(EndCause::Fault.into());
            }
        }
    }

    /// Closes a call's leg, or gives its port back where there was none yet.
    pub(super) fn close_leg(&mut self, id: &CallId) {
        let Some(live) = self.calls.get_mut(id) else {
            return;
        };
        match std::mem::replace(&mut live.audio, Audio::Closed) {
            Audio::Bound(socket) => self.ports.give_back(socket.local().port(), Instant::now()),
            Audio::Open(line) => {
                self.call_by_leg.remove(&line.id());
                self.closing_ports.insert(line.id(), line.port());
                if line.close().is_err() {
                    self.unclosed.push(line);
                }
            }
            Audio::Closed => {}
        }
    }

    /// Forgets a call that is over.
    pub(super) fn over(&mut self, id: &CallId, reason: &EndReason) {
        self.close_leg(id);
        let Some(live) = self.calls.remove(id) else {
            return;
        };
        self.call_by_invite.remove(&live.call.invite());
        self.admission.release();
        self.directory.remove(id.as_str());
        self.report_finished(id, &live.agent, live.report, reason);
        counting::call_ended(&live.trunk, &live.agent, reason);
        counting::calls_live(self.calls.len());
        tracing::info!(%reason, sip_status = reason.sip_status, "call ended");
    }
}

/// What is shown of a call that begins.
fn directory_entry(facts: &CallFacts, agent: &AgentName) -> DirectoryEntry {
    DirectoryEntry {
        id: facts.call_id.as_str().into(),
        direction: Direction::Inbound,
        from: Pii::new(facts.from.expose().as_str().into()),
        to: Pii::new(facts.to.expose().as_str().into()),
        trunk: facts.trunk.clone().unwrap_or_default(),
        agent: agent.as_str().into(),
        state: CallState::Answered,
        started: Instant::now(),
        started_at: SystemTime::now(),
    }
}

/// The user part of the address in From or To, as given; empty where there is none.
fn party(request: &Request, header: &str) -> String {
    let address = match header {
        "From" => request.headers.from_(),
        _ => request.headers.to(),
    };
    address
        .ok()
        .and_then(|address| address.uri.user().map(str::to_owned))
        .unwrap_or_default()
}
