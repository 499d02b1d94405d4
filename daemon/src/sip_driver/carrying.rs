//! What a call wants done, done: to its dialogs, its leg, its session and whoever looks on.

use std::time::Instant;

use offhook_session::agent_session::{CallEvent, CallId, TransferStep};
use offhook_session::call::{Output as CallOutput, SipCommand};
use offhook_sip::endpoint::{InviteId, Misuse};
use offhook_sip::message::StatusCode;

use super::live_call::LiveCall;
use super::{Signalling, counting};
use crate::control::CallState;

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
                self.second_leg_rings(id, status);
            }
            CallOutput::Follow(invite, contacts) => self.follow(id, invite, &contacts),
            CallOutput::Succeed(succession) => self.succeed(id, succession),
            CallOutput::Open(config) => self.open(id, *config, Instant::now()),
            CallOutput::Renegotiate(agreed) => live.renegotiate(agreed),
            CallOutput::Hold(hold) => self.hold(id, hold),
            CallOutput::Transfer(progress) => live.tell_transfer(progress),
            CallOutput::CallSecondLeg(request) => self.call_second_leg(id, *request),
            CallOutput::JoinSecondLeg(agent) => self.join_second_leg(id, agent),
            CallOutput::EndSecondLeg(cause) => self.end_second_leg(id, cause),
            CallOutput::Press { digit, duration_ms } => live.press(digit, duration_ms),
            CallOutput::CloseLeg => {
                self.close_leg(id);
                self.end_joined(id);
            }
            CallOutput::Tell(event) => {
                if let CallEvent::Transfer(TransferStep::Over(outcome)) = event {
                    counting::transfer_over(outcome);
                }
                live.tell(event.clone());
                if event == CallEvent::Confirmed {
                    live.was_answered();
                    self.show(id, CallState::Talking);
                    self.second_leg_answered(id);
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
            // One that was answered in this very turn has no CANCEL any more.
            SipCommand::Cancel => endpoint
                .cancel(invite, &[], now)
                .or_else(|_| endpoint.bye(invite, &[], now)),
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
            SipCommand::Info(body) => {
                let sent = endpoint.info(invite, body, now);
                if sent.is_err()
                    && let Some(live) = self.calls.get_mut(id)
                {
                    live.call.press_not_sent();
                }
                sent
            }
            SipCommand::Refer(refer) => {
                let sent = endpoint.refer(invite, &refer, now).map(|_| ());
                if sent.is_err()
                    && let Some(live) = self.calls.get_mut(id)
                {
                    live.call.refer_not_sent();
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

    /// The far end is held, or is so no more: its session has the music.
    fn hold(&mut self, id: &CallId, hold: bool) {
        if let Some(live) = self.calls.get_mut(id) {
            live.tell(if hold {
                CallEvent::Held
            } else {
                CallEvent::Resumed
            });
        }
    }
}

fn borrowed<Name: AsRef<str>>(headers: &[(Name, String)]) -> Vec<(&str, &str)> {
    headers
        .iter()
        .map(|(name, value)| (name.as_ref(), value.as_str()))
        .collect()
}
