//! Asking the far end to call somebody else (RFC 3515), and what became of it.

use std::time::Duration;

use offhook_sip::endpoint::{OutgoingRefer, ReferralNews};
use offhook_sip::message::StatusCode;

use super::{Call, Output, SipCommand, State};
use crate::agent_session::{EndCause, EndReason};

/// A blind transfer to be tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferPlan {
    /// Whom the far end is to call, as given: `sip:` or `tel:`.
    pub target: String,
    /// Who asks, for `Referred-By`.
    pub referred_by: Option<String>,
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
    /// The far end refused the transfer, or the new call failed: 300 to 699.
    Rejected(StatusCode),
    /// No outcome was told in time, or the news ended early.
    TimedOut,
    /// It could not be asked: the call is not up, or another transfer is open.
    Impossible,
}

impl TransferProgress {
    /// Whether nothing follows.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Accepted | Self::Ringing(_) => false,
            Self::Completed | Self::Rejected(_) | Self::TimedOut | Self::Impossible => true,
        }
    }

    /// The outcome as written in logs and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Ringing(_) => "ringing",
            Self::Completed => "completed",
            Self::Rejected(_) => "rejected",
            Self::TimedOut => "timed_out",
            Self::Impossible => "impossible",
        }
    }
}

/// The transfer that is open.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenTransfer {
    wait: bool,
    /// Whether the far end has said that it tries.
    accepted: bool,
}

impl Call {
    /// Asks the far end to call somebody else. [`Output::Transfer`] tells what becomes of it; the call ends
    /// when it is complete, and goes on when it failed.
    pub fn transfer(&mut self, plan: TransferPlan) {
        let talking = matches!(self.state, State::Talking) && self.transfer.is_none();
        let Some(invite) = self.invite.filter(|_| talking) else {
            self.outputs
                .push_back(Output::Transfer(TransferProgress::Impossible));
            return;
        };
        self.transfer = Some(OpenTransfer {
            wait: plan.wait,
            accepted: false,
        });
        let refer = OutgoingRefer {
            refer_to: plan.target,
            referred_by: plan.referred_by,
            wants_news: plan.wait,
            timeout: plan.timeout,
            extra: plan.headers,
        };
        self.sip(invite, SipCommand::Refer(refer));
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
            ReferralNews::Failed(status) | ReferralNews::Refused(status) => {
                TransferProgress::Rejected(status)
            }
            ReferralNews::EndedEarly | ReferralNews::TimedOut => TransferProgress::TimedOut,
        };
        self.outputs.push_back(Output::Transfer(progress));
        if progress.is_final() {
            self.transfer = None;
        }
        if progress == TransferProgress::Completed {
            self.hang_up(EndReason::new(EndCause::Transferred));
        }
    }

    /// The dialog is over before the outcome is known. A far end that hangs up after it accepted has gone
    /// where it was sent, as far as anybody can tell.
    pub(super) fn transfer_cut_short(&mut self) {
        if let Some(OpenTransfer { accepted, .. }) = self.transfer.take() {
            self.outputs.push_back(Output::Transfer(if accepted {
                TransferProgress::Completed
            } else {
                TransferProgress::TimedOut
            }));
        }
    }
}
