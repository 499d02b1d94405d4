//! A call's audio: the leg that is opened for it, and closed.

use std::sync::Arc;
use std::time::Instant;

use offhook_media::leg::{Leg, LegConfig};
use offhook_session::agent_session::{CallEvent, CallId, RecordPlan};

use super::Signalling;
use super::command::NotControlled;
use super::live_call::Audio;
use crate::media_driver::{NewLeg, bind_rtcp};
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
        let rtcp = config.rtcp;
        let mut leg = Box::new(Leg::new(config, now).map_err(|error| error.to_string())?);
        let mut record = RecordPlan::Off;
        if let Some(begun) = self.sessions.record(&live.agent, id, sample_rate_hz) {
            leg.attach_recorder(begun.ring, begun.plan.first_mode().unwrap_or_default());
            live.is_recorded = true;
            record = begun.plan;
        }
        let Audio::Bound(socket) = std::mem::replace(&mut live.audio, Audio::Closed) else {
            return Err("its socket is gone".to_owned());
        };
        let port = socket.local().port();
        let rtcp_socket = bind_rtcp(socket.local(), rtcp);
        let capture = self.capture_tap(id, socket.local());
        let Some(live) = self.calls.get_mut(id) else {
            return Ok(());
        };
        let (events, leg_events) = Sessions::leg_event_queue();
        let line = match self.media.open(NewLeg {
            leg,
            socket,
            rtcp_socket,
            quality: Arc::clone(&live.quality),
            capture,
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
            record,
            voicemail: live.voicemail.clone(),
            prepared: live.prepared.take(),
            span: live.span.clone(),
        });
        live.session = Some(session.ok_or_else(|| format!("there is no agent {}", live.agent))?);
        Ok(())
    }

    /// Pauses a call's recording, or takes that back; its session sees to it.
    pub(super) fn pause_recording(
        &mut self,
        id: &CallId,
        paused: bool,
    ) -> Result<(), NotControlled> {
        let live = self.calls.get(id).ok_or(NotControlled::UnknownCall)?;
        if !live.is_recorded {
            return Err(NotControlled::NotRecorded);
        }
        live.tell(if paused {
            CallEvent::RecordingPaused
        } else {
            CallEvent::RecordingResumed
        });
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
