//! A transfer whose target we call first: the second leg, and how the two calls come together.
//!
//! The second leg is a call of its own, which the driver makes and tells of. It needs no timer here: how long it may ring
//! is the driver's, how long it is talked to its session's, how long a REFER may take the endpoint's.
//!
//! ```text
//!            answered          ready, accepted
//! Calling ─────────────► Told ─┬─────────────── bridge ──► Joining ──► bridged
//!    │ refused, no answer │    └─ attended ──► Sending ───────────────► completed, our BYE
//!    │                    │ declined, machine,    │ REFER refused, and it may be bridged: Joining
//!    └────────────────────┴───────────────────────┴──► failed: the far end is the agent's again
//! ```
//!
//! Where the far end takes the second leg's place by Replaces (RFC 5589 section 7), the second leg's far end hangs up on us
//! by itself; we say BYE as well where it has not when the transfer is complete.

use offhook_sip::message::StatusCode;

use super::transfer::{TransferPlan, TransferProgress};
use super::{Call, Output};
use crate::agent_session::{
    EndCause, EndReason, SecondLegAnswer, TransferOutcome, TransferRequest, TransferStep,
};
use crate::pii::Pii;

/// A transfer with a second leg.
#[derive(Debug)]
pub(super) struct Consultation {
    request: Box<TransferRequest>,
    stage: Stage,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The second leg is called.
    Calling,
    /// It has answered, and is told and asked.
    Told,
    /// Our far end is being sent to it.
    Sending {
        /// Whether the second leg is still there.
        is_up: bool,
    },
    /// The two calls are being joined.
    Joining,
}

impl Call {
    /// Calls the target, where no other transfer is open.
    pub(super) fn consult(&mut self, request: Box<TransferRequest>) {
        self.outputs
            .push_back(Output::CallSecondLeg(request.clone()));
        self.consultation = Some(Consultation {
            request,
            stage: Stage::Calling,
        });
    }

    /// Whether somebody is called for the far end, or talked to, and not left alone yet.
    #[must_use]
    pub fn has_second_leg(&self) -> bool {
        self.consultation.is_some()
    }

    fn stage(&self) -> Option<Stage> {
        self.consultation
            .as_ref()
            .map(|consultation| consultation.stage)
    }

    fn set_stage(&mut self, stage: Stage) {
        if let Some(consultation) = &mut self.consultation {
            consultation.stage = stage;
        }
    }

    /// The second leg's call has begun.
    pub fn second_leg_called(&mut self) {
        if self.stage() == Some(Stage::Calling) {
            self.tell_step(TransferStep::Calling);
        }
    }

    /// The second leg cannot be called.
    pub fn second_leg_not_called(&mut self, why: TransferOutcome) {
        if self.consultation.take().is_some() {
            self.consultation_over(why);
        }
    }

    /// The second leg rings, or is worked on.
    pub fn second_leg_rings(&mut self, status: StatusCode) {
        if self.stage() == Some(Stage::Calling) {
            self.tell_step(TransferStep::Ringing(status.as_u16()));
        }
    }

    /// The second leg answered; its session tells it what there is to tell.
    pub fn second_leg_answered(&mut self) {
        if self.stage() == Some(Stage::Calling) {
            self.set_stage(Stage::Told);
            self.tell_step(TransferStep::Answered);
        }
    }

    /// What the second leg wants. `replacement` is where our far end has to be sent to take our place in it; `None` where
    /// that cannot be.
    pub fn second_leg_says(&mut self, answer: SecondLegAnswer, replacement: Option<String>) {
        if self.stage() != Some(Stage::Told) {
            return;
        }
        match answer {
            SecondLegAnswer::Ready | SecondLegAnswer::Accepted => self.go_on(replacement),
            SecondLegAnswer::Declined => self.consultation_failed(TransferOutcome::Declined),
            SecondLegAnswer::Machine => self.consultation_failed(TransferOutcome::Machine),
        }
    }

    fn go_on(&mut self, replacement: Option<String>) {
        let Some(Consultation { request, .. }) = &self.consultation else {
            return;
        };
        if request.mode.is_attended() {
            self.send_to_second_leg(replacement);
        } else {
            // A blind one is here because its REFER was refused.
            self.join_second_leg();
        }
    }

    fn join_second_leg(&mut self) {
        if let Some(Consultation { request, stage }) = &mut self.consultation {
            *stage = Stage::Joining;
            let agent = request.second_leg.agent;
            self.outputs.push_back(Output::JoinSecondLeg(agent));
        }
    }

    /// The two calls are joined, or cannot be.
    pub fn second_leg_joined(&mut self, joined: bool) {
        if self.stage() != Some(Stage::Joining) {
            return;
        }
        if joined {
            self.consultation = None;
            self.consultation_over(TransferOutcome::Bridged);
        } else {
            self.consultation_failed(UNAVAILABLE);
        }
    }

    fn send_to_second_leg(&mut self, replacement: Option<String>) {
        let (Some(invite), Some(Consultation { request, stage })) =
            (self.invite, &mut self.consultation)
        else {
            return;
        };
        let Some(target) = replacement else {
            // No far end can be sent into a call that takes no Replaces.
            return match request.bridge_if_refused {
                true => self.join_second_leg(),
                false => self.consultation_failed(UNAVAILABLE),
            };
        };
        *stage = Stage::Sending { is_up: true };
        let plan = TransferPlan {
            target: Pii::new(target),
            referred_by: request.referred_by.clone(),
            wait: true,
            timeout: request.timeout,
            headers: Vec::new(),
        };
        self.send_refer(invite, plan, None);
    }

    /// The REFER to the second leg is over.
    pub(super) fn sent_to_second_leg(&mut self, progress: TransferProgress) {
        let (Some(Stage::Sending { is_up }), Some(consultation)) =
            (self.stage(), &self.consultation)
        else {
            return;
        };
        match progress {
            TransferProgress::Refused(status)
                if is_up && consultation.request.bridge_if_refused =>
            {
                tracing::info!(%status, "the far end refuses to be sent elsewhere: the calls are joined");
                self.join_second_leg();
            }
            TransferProgress::Completed => {
                self.end_second_leg(EndCause::Transferred);
                self.consultation_over(TransferOutcome::Completed);
                self.hang_up(EndReason::new(EndCause::Transferred));
            }
            TransferProgress::Refused(_)
            | TransferProgress::Rejected(_)
            | TransferProgress::TimedOut
            | TransferProgress::Impossible => {
                if let TransferStep::Over(outcome) = progress.step() {
                    self.consultation_failed(outcome);
                }
            }
            // Not final: told as they come.
            TransferProgress::Accepted | TransferProgress::Ringing(_) => {}
        }
    }

    /// The second leg's call is over.
    pub fn second_leg_over(&mut self, reason: &EndReason) {
        match self.stage() {
            Some(Stage::Calling) => {
                self.consultation = None;
                let in_vain = reason.cause == EndCause::NotAnswered;
                self.consultation_over(match in_vain {
                    true => TransferOutcome::TimedOut,
                    false => rejected(reason),
                });
            }
            // Whoever hangs up on what they are told does not want the call.
            Some(Stage::Told | Stage::Joining) => {
                self.consultation = None;
                let hung_up = [EndCause::FarEndHungUp, EndCause::AgentHungUp];
                self.consultation_over(match hung_up.contains(&reason.cause) {
                    true => TransferOutcome::Declined,
                    false => rejected(reason),
                });
            }
            // Our far end may have taken its place; the REFER's outcome tells.
            Some(Stage::Sending { .. }) => self.set_stage(Stage::Sending { is_up: false }),
            None => {}
        }
    }

    fn consultation_failed(&mut self, outcome: TransferOutcome) {
        self.end_second_leg(EndCause::AgentHungUp);
        self.consultation_over(outcome);
    }

    fn consultation_over(&mut self, outcome: TransferOutcome) {
        tracing::info!(outcome = outcome.as_str(), "transfer");
        self.tell_step(TransferStep::Over(outcome));
    }

    pub(super) fn end_second_leg(&mut self, cause: EndCause) {
        self.consultation = None;
        self.outputs.push_back(Output::EndSecondLeg(cause));
    }

    /// The call ends, or has another far end: whoever is called for the one there was is called no more.
    pub(super) fn give_up_second_leg(&mut self) {
        match self.stage() {
            // What is known of the REFER says whether anybody goes there.
            Some(Stage::Sending { .. }) => self.transfer_cut_short(),
            Some(Stage::Calling | Stage::Told | Stage::Joining) => {
                self.consultation_failed(TransferOutcome::Impossible);
            }
            None => {}
        }
    }

    /// Our far end has gone to the second leg, and may not have got there yet: it is not ended, and its own session lets
    /// it go where nobody comes.
    pub(super) fn leave_second_leg_alone(&mut self) {
        self.consultation = None;
    }
}

/// Somebody was called and it came to nothing, with no status that says why: they are not available for a while.
const UNAVAILABLE: TransferOutcome =
    TransferOutcome::Rejected(StatusCode::TEMPORARILY_UNAVAILABLE.as_u16());

/// A second leg that came to nothing, by the status that said so.
fn rejected(reason: &EndReason) -> TransferOutcome {
    let status = reason.sip_status.map(TransferOutcome::Rejected);
    status.unwrap_or(UNAVAILABLE)
}
