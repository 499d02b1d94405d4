//! Asking the far end to call somebody else (RFC 3515), and what became of it.

use std::time::Duration;

use offhook_sip::endpoint::{InviteId, OutgoingRefer, ReferralNews, is_settable_header};
use offhook_sip::message::{StatusCode, Uri};

use super::{Call, Output, SipCommand};
use crate::agent_session::{
    CallEvent, EndCause, EndReason, TransferMode, TransferOutcome, TransferRequest, TransferStep,
};
use crate::pii::Pii;

/// A blind transfer to be tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferPlan {
    /// Whom the far end is to call, as given: `sip:` or `tel:`.
    pub target: Pii<String>,
    /// Who asks, for `Referred-By`.
    pub referred_by: Option<Pii<String>>,
    /// Whether to wait for the outcome. Without, the call ends with the 202.
    pub wait: bool,
    /// How long the outcome may take.
    pub timeout: Duration,
    /// Further header fields of the REFER.
    pub headers: Vec<(String, String)>,
}

/// How a transfer gets on. After a failure the far end is with the agent as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferProgress {
    /// The far end tries.
    Accepted,
    /// The new call rings, or is worked on: 100 to 199.
    Ringing(StatusCode),
    /// The new call was answered, or with `wait = false` the far end has accepted; our BYE follows.
    Completed,
    /// The far end did not take the REFER: 300 to 699.
    Refused(StatusCode),
    /// It did, and the new call failed: 300 to 699.
    Rejected(StatusCode),
    /// No outcome was told in time, or the news ended early.
    TimedOut,
    /// It could not be asked: the call is not up, or another transfer is open.
    Impossible,
}

impl TransferProgress {
    /// As the session hears it.
    #[must_use]
    pub const fn step(self) -> TransferStep {
        TransferStep::Over(match self {
            Self::Accepted => return TransferStep::Accepted,
            Self::Ringing(status) => return TransferStep::Ringing(status.as_u16()),
            Self::Completed => TransferOutcome::Completed,
            Self::Refused(status) | Self::Rejected(status) => {
                TransferOutcome::Rejected(status.as_u16())
            }
            Self::TimedOut => TransferOutcome::TimedOut,
            Self::Impossible => TransferOutcome::Impossible,
        })
    }

    /// Whether nothing follows.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Accepted | Self::Ringing(_) => false,
            Self::Completed
            | Self::Refused(_)
            | Self::Rejected(_)
            | Self::TimedOut
            | Self::Impossible => true,
        }
    }

    /// The outcome as written in logs and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Ringing(_) => "ringing",
            Self::Completed => "completed",
            Self::Refused(_) | Self::Rejected(_) => "rejected",
            Self::TimedOut => "timed_out",
            Self::Impossible => "impossible",
        }
    }
}

/// The REFER that is open.
#[derive(Debug)]
pub(super) struct OpenTransfer {
    wait: bool,
    /// Whether the far end has said that it tries.
    accepted: bool,
    /// What is done instead where it is refused: somebody is called and joined here.
    if_refused: Option<Box<TransferRequest>>,
}

/// Whether somebody can be sent there: what else a text holds could become headers of the INVITE that follows.
#[must_use]
pub fn is_transfer_target(target: &str) -> bool {
    let scheme = target.split_once(':').map(|(scheme, _)| scheme);
    let is_known = scheme.is_some_and(|scheme| {
        ["sip", "sips", "tel"]
            .iter()
            .any(|known| known.eq_ignore_ascii_case(scheme))
    });
    is_known && !target.contains(['<', '>', '"', '\r', '\n', ' ']) && Uri::parse(target).is_ok()
}

impl Call {
    /// What a session asks for.
    pub(super) fn transfer_as_asked(&mut self, request: TransferRequest) {
        let mut headers = request.headers.iter();
        let settable = headers.all(|(name, _)| is_settable_header(name));
        if !is_transfer_target(request.target.expose()) || !settable {
            tracing::warn!(
                "the agent sends the far end where nobody can be sent, or with headers that cannot be set"
            );
            return self.refuse_to_session();
        }
        match request.mode {
            TransferMode::Blind => {
                let if_refused = request.bridge_if_refused.then(|| Box::new(request.clone()));
                let plan = TransferPlan {
                    target: request.target,
                    referred_by: request.referred_by,
                    wait: request.wait,
                    timeout: request.timeout,
                    headers: request.headers,
                };
                if !self.refer(plan, if_refused) {
                    self.refuse_to_session();
                }
            }
            TransferMode::Attended | TransferMode::Bridge | TransferMode::Warm(_) => {
                if self.is_free_for_transfer() {
                    self.consult(Box::new(request));
                } else {
                    self.refuse_to_session();
                }
            }
        }
    }

    /// What was asked for cannot be tried. Whoever has another transfer under way hears nothing of it.
    fn refuse_to_session(&mut self) {
        self.tell_step(TransferProgress::Impossible.step());
    }

    pub(super) fn tell_progress(&mut self, progress: TransferProgress) {
        self.outputs.push_back(Output::Transfer(progress));
        self.tell_step(progress.step());
    }

    pub(super) fn tell_step(&mut self, step: TransferStep) {
        self.outputs
            .push_back(Output::Tell(CallEvent::Transfer(step)));
    }

    /// Whether somebody is about to talk with the far end in our place, or to take the far end's: one of that at a time.
    #[must_use]
    pub fn is_in_transfer(&self) -> bool {
        self.transfer.is_some() || self.consultation.is_some() || self.successor.is_some()
    }

    pub(super) fn is_free_for_transfer(&self) -> bool {
        self.is_up() && !self.is_in_transfer()
    }

    /// Asks the far end to call somebody else. [`Output::Transfer`] tells what becomes of it; the call ends
    /// when it is complete, and goes on when it failed.
    pub fn transfer(&mut self, plan: TransferPlan) {
        if !self.refer(plan, None) {
            let refused = Output::Transfer(TransferProgress::Impossible);
            self.outputs.push_back(refused);
        }
    }

    /// Whether it is tried.
    fn refer(&mut self, plan: TransferPlan, if_refused: Option<Box<TransferRequest>>) -> bool {
        let is_free = self.is_free_for_transfer();
        let Some(invite) = self.invite.filter(|_| is_free) else {
            return false;
        };
        self.send_refer(invite, plan, if_refused);
        true
    }

    pub(super) fn send_refer(
        &mut self,
        invite: InviteId,
        plan: TransferPlan,
        if_refused: Option<Box<TransferRequest>>,
    ) {
        self.transfer = Some(OpenTransfer {
            wait: plan.wait,
            accepted: false,
            if_refused,
        });
        let refer = OutgoingRefer {
            refer_to: plan.target.into_inner(),
            referred_by: plan.referred_by.map(Pii::into_inner),
            wants_news: plan.wait,
            timeout: plan.timeout,
            extra: plan.headers,
        };
        self.sip(invite, SipCommand::Refer(refer));
    }

    /// The REFER that was wanted could not be sent.
    pub fn refer_not_sent(&mut self) {
        self.transfer = None;
        self.refer_ended(TransferProgress::Impossible);
    }

    pub(super) fn on_referral_news(&mut self, news: ReferralNews) {
        let Some(transfer) = &mut self.transfer else {
            return;
        };
        transfer.accepted |= news == ReferralNews::Accepted;
        let wait = transfer.wait;
        let progress = match news {
            ReferralNews::Accepted | ReferralNews::AcceptedWithoutNews if !wait => {
                TransferProgress::Completed
            }
            // Nobody will tell how it ends, and somebody wanted to know.
            ReferralNews::AcceptedWithoutNews => TransferProgress::Completed,
            ReferralNews::Accepted => TransferProgress::Accepted,
            ReferralNews::Progress(status) => TransferProgress::Ringing(status),
            ReferralNews::Completed(_) => TransferProgress::Completed,
            ReferralNews::Failed(status) => TransferProgress::Rejected(status),
            ReferralNews::Refused(status) => TransferProgress::Refused(status),
            ReferralNews::EndedEarly | ReferralNews::TimedOut => TransferProgress::TimedOut,
        };
        if !progress.is_final() {
            return self.tell_progress(progress);
        }
        if news == ReferralNews::AcceptedWithoutNews {
            // Nobody will tell when they have got there, and only then is our place in that call theirs.
            self.leave_second_leg_alone();
        }
        let open = self.transfer.take();
        let if_refused = open.and_then(|open| open.if_refused);
        match (progress, if_refused) {
            // A far end that is being hung up on refuses as well (RFC 3261 section 15.1.2).
            (TransferProgress::Refused(status), Some(instead)) if self.is_free_for_transfer() => {
                tracing::info!(%status, "the far end refuses to be sent elsewhere: the target is called");
                self.consult(instead);
            }
            (progress, _) => self.refer_ended(progress),
        }
    }

    /// A REFER is over, with nothing to be done instead.
    fn refer_ended(&mut self, progress: TransferProgress) {
        if self.consultation.is_some() {
            return self.sent_to_second_leg(progress);
        }
        self.tell_progress(progress);
        if progress == TransferProgress::Completed {
            self.hang_up(EndReason::new(EndCause::Transferred));
        }
    }

    /// The dialog is over before the outcome is known. A far end that hangs up after it accepted has gone
    /// where it was sent, as far as anybody can tell.
    pub(super) fn transfer_cut_short(&mut self) {
        if let Some(accepted) = self.drop_transfer() {
            self.tell_progress(if accepted {
                TransferProgress::Completed
            } else {
                TransferProgress::TimedOut
            });
        }
    }

    /// Somebody else is the far end before the outcome is known, and is the agent's: where the one before was being sent
    /// concerns nobody here any more.
    pub(super) fn transfer_superseded(&mut self) {
        if self.drop_transfer().is_some() {
            self.tell_progress(TransferProgress::TimedOut);
        }
    }

    /// Waits for the outcome no more; gives whether the far end had accepted.
    fn drop_transfer(&mut self) -> Option<bool> {
        let OpenTransfer { accepted, .. } = self.transfer.take()?;
        if accepted {
            self.leave_second_leg_alone();
        } else if self.consultation.is_some() {
            self.end_second_leg(EndCause::AgentHungUp);
        }
        Some(accepted)
    }
}
