//! A call's audio: the leg that is opened for it, and closed.

use std::time::Instant;

use offhook_media::leg::{Leg, LegConfig};
use offhook_session::agent_session::CallId;

use super::Signalling;
use super::live_call::Audio;
use crate::media_driver::NewLeg;
use crate::sessions::{NewSession, Sessions};

impl Signalling {
    /// Opens a call's leg and begins its session.
    pub(super) fn open(&mut self, id: &CallId, config: LegConfig, now: Instant) {
        if let Err(error) = self.try_open(id, config, now) {
            tracing::error!(error, "a call cannot be given its audio");
            self.close_leg(id);
            if let Some(live) = self.calls.get_mut(id) {
                live.call.leg_failed();
            }
        }
    }

    fn try_open(&mut self, id: &CallId, config: LegConfig, now: Instant) -> Result<(), String> {
        let Some(live) = self.calls.get_mut(id) else {
            return Ok(());
        };
        let sample_rate_hz = config.codec.sample_rate_hz();
        let mut leg = Box::new(Leg::new(config, now).map_err(|error| error.to_string())?);
        if let Some(ring) = self.sessions.record(&live.agent, id, sample_rate_hz) {
            leg.attach_recorder(ring);
        }
        let Audio::Bound(socket) = std::mem::replace(&mut live.audio, Audio::Closed) else {
            return Err("its socket is gone".to_owned());
        };
        let port = socket.local().port();
        let (events, leg_events) = Sessions::leg_event_queue();
        let line = match self.media.open(NewLeg {
            leg,
            socket,
            events,
            span: live.span.clone(),
        }) {
            Ok(line) => line,
            Err(error) => {
                // The socket went with the leg.
                self.ports.give_back(port, now);
                return Err(error.to_string());
            }
        };
        self.call_by_leg.insert(line.id(), id.clone());
        live.audio = Audio::Open(line.clone());
        let session = self.sessions.begin(NewSession {
            facts: live.facts.clone(),
            agent: &live.agent,
            line,
            leg_events,
            notices: self.session_notice_sender.clone(),
            sample_rate_hz,
            span: live.span.clone(),
        });
        live.session = Some(session.ok_or_else(|| format!("there is no agent {}", live.agent))?);
        Ok(())
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
}
