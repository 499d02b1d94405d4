//! What a call wants done, done: to its dialogs, its leg, its session and whoever looks on.

use std::time::Instant;

use offhook_media::control::{Bus, Epoch, LegCommand};
use offhook_session::agent_session::{CallEvent, CallId};
use offhook_session::call::{Output as CallOutput, SipCommand, TransferProgress};
use offhook_sip::endpoint::{InviteId, Misuse};
use offhook_sip::message::StatusCode;

use super::live_call::LiveCall;
use super::{Signalling, counting};
use crate::control::CallState;

/// How long hold music takes to go when the hold is over.
const MUSIC_FADE_MS: u32 = 100;

impl Signalling {
    /// Lets a call take something in and carries out what it wants done.
    pub(super) fn on_call(&mut self, id: &CallId, take: impl FnOnce(&mut LiveCall)) {
        let Some(live) = self.calls.get_mut(id) else {
            return;
        };
        let span = live.span.clone();
        let _in_call = span.enter();
        take(live);
        while let Some(output) = self
            .calls
            .get_mut(id)
            .and_then(|live| live.call.poll_output())
        {
            self.carry_out(id, output);
        }
    }

    fn carry_out(&mut self, id: &CallId, output: CallOutput) {
        let Some(live) = self.calls.get_mut(id) else {
            return;
        };
        match output {
            CallOutput::Sip(invite, command) => self.command_dialog(id, invite, command),
            CallOutput::Ringing(status) => {
                if status == StatusCode::RINGING {
                    self.show(id, CallState::Ringing);
                }
            }
            CallOutput::Follow(invite, contacts) => self.follow(id, invite, &contacts),
            CallOutput::Succeed(succession) => self.succeed(id, succession),
            CallOutput::Open(config) => self.open(id, *config, Instant::now()),
            CallOutput::Renegotiate(agreed) => live.renegotiate(agreed),
            CallOutput::Hold(hold) => self.hold(id, hold),
            CallOutput::Transfer(progress) => live.tell_transfer(progress),
            CallOutput::CloseLeg => self.close_leg(id),
            CallOutput::Tell(event) => {
                live.tell(event.clone());
                if event == CallEvent::Confirmed {
                    live.was_answered();
                    self.show(id, CallState::Talking);
                }
            }
            CallOutput::Over(reason) => self.over(id, &reason),
        }
    }

    fn show(&self, id: &CallId, state: CallState) {
        self.directory
            .update(id.as_str(), |call| call.state = state);
    }

    fn command_dialog(&mut self, id: &CallId, invite: InviteId, command: SipCommand) {
        let now = Instant::now();
        let extra = self.answer_headers(id);
        let extra = borrowed(&extra);
        let endpoint = &mut self.endpoint;
        let done: Result<(), Misuse> = match command {
            SipCommand::Ring => endpoint.ring(invite, StatusCode::RINGING, None, &extra, now),
            SipCommand::Progress(body) => endpoint.ring(
                invite,
                StatusCode::SESSION_PROGRESS,
                Some(body),
                &extra,
                now,
            ),
            SipCommand::Accept(body) => {
                let arrived = self.calls.get(id).map(|live| live.arrived);
                let accepted = endpoint.accept(invite, body, &extra, now);
                accepted.inspect(|()| {
                    let took = arrived.map(|arrived| now.saturating_duration_since(arrived));
                    counting::answered(took.unwrap_or_default());
                })
            }
            SipCommand::Reject { status, headers } => {
                endpoint.reject(invite, status, &borrowed(&headers), now)
            }
            SipCommand::Cancel => endpoint.cancel(invite, &[], now),
            SipCommand::Bye { headers } => {
                let current = self.calls.get(id).and_then(|live| live.call.invite());
                let ended = endpoint.bye(invite, &borrowed(&headers), now);
                if current == Some(invite) {
                    self.show(id, CallState::Ending);
                }
                ended
            }
            SipCommand::Reoffer(body) => {
                let sent = endpoint.reoffer(invite, body, now);
                if sent.is_err()
                    && let Some(live) = self.calls.get_mut(id)
                {
                    live.call.reoffer_not_sent();
                }
                sent
            }
            SipCommand::AcceptReoffer(body) => endpoint.accept_reoffer(invite, Some(body), now),
            SipCommand::RejectReoffer { status, headers } => {
                endpoint.reject_reoffer(invite, status, &borrowed(&headers), now)
            }
            SipCommand::Refer(refer) => {
                let sent = endpoint.refer(invite, &refer, now).map(|_| ());
                if sent.is_err()
                    && let Some(live) = self.calls.get_mut(id)
                {
                    live.tell_transfer(TransferProgress::Impossible);
                }
                sent
            }
            SipCommand::AcceptRefer => endpoint.accept_refer(invite, now),
            SipCommand::RejectRefer(status) => endpoint.reject_refer(invite, status, now),
            SipCommand::NotifyRefer(status) => endpoint.notify_refer(invite, status, now),
        };
        if let Err(misuse) = done {
            // Events crossed: what the call wanted came too late, and the endpoint's word about it is
            // on its way to the call already.
            tracing::debug!(%misuse, "a command came too late");
        }
    }

    /// What our 18x and 200 say besides, as the call's agent is configured.
    fn answer_headers(&self, id: &CallId) -> Vec<(String, String)> {
        let agent = self.calls.get(id).map(|live| &live.agent);
        agent
            .and_then(|agent| self.config.agents.get(agent))
            .map(|agent| agent.answer_headers.clone())
            .unwrap_or_default()
    }

    /// The far end is held, or is so no more: music for it, and quiet for the session.
    fn hold(&mut self, id: &CallId, hold: bool) {
        let Some(live) = self.calls.get_mut(id) else {
            return;
        };
        live.tell(if hold {
            CallEvent::Held
        } else {
            CallEvent::Resumed
        });
        let Some(line) = live.line().cloned() else {
            return;
        };
        live.music += 1;
        let epoch = Epoch(live.music);
        let music = if hold {
            self.sessions
                .hold_music(line.sample_rate_hz())
                .map(|samples| LegCommand::Loop {
                    bus: Bus::Thinking,
                    epoch,
                    samples,
                })
        } else {
            Some(LegCommand::Flush {
                bus: Bus::Thinking,
                through: epoch,
                fade_ms: MUSIC_FADE_MS,
            })
        };
        if let Some(music) = music
            && line.command(music).is_err()
        {
            tracing::debug!("a media thread's queue is full: hold music does not change");
        }
    }
}

fn borrowed<Name: AsRef<str>>(headers: &[(Name, String)]) -> Vec<(&str, &str)> {
    headers
        .iter()
        .map(|(name, value)| (name.as_ref(), value.as_str()))
        .collect()
}
