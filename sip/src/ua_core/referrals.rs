//! The REFERs of ours whose outcome is not known yet (RFC 3515, 6665).
//!
//! They outlive the call they were sent in: the news that a transfer is complete often comes after the BYE.

use std::time::{Duration, Instant};

use super::{Core, Event, ReferralNews, arrival::Arrival, timers::Alarm};
use crate::{
    dialog::DialogId,
    identifiers::{Identifiers, InviteId, ReferralId, SeededMap},
    message::{Request, Response, StatusCode, status_in_fragment},
};

/// How many may be open in one call.
const MAX_IN_A_CALL: usize = 4;

/// All of them.
#[derive(Debug)]
pub(crate) struct Referrals {
    by_id: SeededMap<ReferralId, Referral>,
    ids_by_dialog: SeededMap<DialogId, Vec<ReferralId>>,
    made: u64,
}

#[derive(Debug)]
struct Referral {
    invite: InviteId,
    dialog: DialogId,
    /// The REFER's CSeq, which the `id` of its NOTIFYs repeats.
    cseq: u32,
    /// Whether the outcome was told. What trails it is answered, and counts for no other REFER.
    is_over: bool,
}

impl Referrals {
    pub(crate) fn new(identifiers: &Identifiers) -> Self {
        Self {
            by_id: identifiers.map(),
            ids_by_dialog: identifiers.map(),
            made: 0,
        }
    }

    /// Whether it is open.
    pub(crate) fn contains(&self, id: ReferralId) -> bool {
        self.by_id.contains_key(&id)
    }

    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// The one that a NOTIFY is about: by the `id` of its Event, or the oldest where there is none.
    fn of_notify(&self, dialog: &DialogId, event_id: Option<u32>) -> Option<ReferralId> {
        let ids = self.ids_by_dialog.get(dialog)?;
        let is_meant = |id: &&ReferralId| {
            let referral = self.by_id.get(id);
            referral.is_some_and(|referral| Some(referral.cseq) == event_id)
        };
        let only = match &ids[..] {
            [only] => Some(only),
            [] | [_, _, ..] => None,
        };
        // A far end that writes an id of its own, or none, means the only one there is; without an id among
        // several, the oldest.
        let oldest = ids.first().filter(|_| event_id.is_none());
        ids.iter().find(is_meant).or(only).or(oldest).copied()
    }

    fn remove(&mut self, id: ReferralId) {
        let Some(referral) = self.by_id.remove(&id) else {
            return;
        };
        if let Some(ids) = self.ids_by_dialog.get_mut(&referral.dialog) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.ids_by_dialog.remove(&referral.dialog);
            }
        }
    }
}

impl Core {
    /// Whether another REFER may be open in a dialog.
    pub(crate) fn has_room_for_referral(&self, dialog: &DialogId) -> bool {
        let ids = self.referrals.ids_by_dialog.get(dialog);
        let is_open = |id: &&ReferralId| {
            let referral = self.referrals.by_id.get(id);
            referral.is_some_and(|referral| !referral.is_over)
        };
        ids.map_or(0, |ids| ids.iter().filter(is_open).count()) < MAX_IN_A_CALL
    }

    /// Notes a REFER that is about to be sent with CSeq `cseq`.
    pub(crate) fn open_referral(
        &mut self,
        invite: InviteId,
        dialog: &DialogId,
        cseq: u32,
        timeout: Duration,
        now: Instant,
    ) -> ReferralId {
        self.referrals.made += 1;
        let id = ReferralId(self.referrals.made);
        let referral = Referral {
            invite,
            dialog: dialog.clone(),
            cseq,
            is_over: false,
        };
        self.referrals.by_id.insert(id, referral);
        self.referrals
            .ids_by_dialog
            .entry(dialog.clone())
            .or_default()
            .push(id);
        self.timers.arm(Alarm::Referral(id), now + timeout);
        id
    }

    /// The REFER was sent again, with credentials and another CSeq.
    pub(crate) fn renumber_referral(&mut self, id: ReferralId, cseq: u32) {
        if let Some(referral) = self.referrals.by_id.get_mut(&id) {
            referral.cseq = cseq;
        }
    }

    /// What a REFER was answered.
    pub(crate) fn on_refer_response(&mut self, id: ReferralId, response: &Response) {
        let status = response.status;
        if status.is_provisional() {
            return;
        }
        let declined_news = response
            .headers
            .get("Refer-Sub")
            .is_some_and(|value| value.trim().eq_ignore_ascii_case("false"));
        self.report_referral(
            id,
            if !status.is_success() {
                ReferralNews::Refused(status)
            } else if declined_news {
                ReferralNews::AcceptedWithoutNews
            } else {
                ReferralNews::Accepted
            },
        );
    }

    /// Takes a NOTIFY about a REFER of ours; `false` when it is about none. It is answered whatever became of
    /// the call: the last news trails its BYE.
    pub(crate) fn take_notify(&mut self, arrival: &Arrival, now: Instant) -> bool {
        let Some(dialog) = arrival.dialog_id() else {
            return false;
        };
        let Some(event_id) = refer_event(&arrival.request) else {
            return false;
        };
        let Some(id) = self.referrals.of_notify(&dialog, event_id) else {
            return false;
        };
        self.answer(arrival, StatusCode::OK, &[], now);
        let status = status_in_fragment(&arrival.request.body);
        let news = match status {
            Some(status) if status.is_provisional() => Some(ReferralNews::Progress(status)),
            Some(status) if status.is_success() => Some(ReferralNews::Completed(status)),
            Some(status) => Some(ReferralNews::Failed(status)),
            None => None,
        };
        if let Some(news) = news {
            self.report_referral(id, news);
        }
        if is_terminated(&arrival.request) {
            // Nothing where the news was final already.
            self.report_referral(id, ReferralNews::EndedEarly);
            self.referrals.remove(id);
        }
        true
    }

    /// Nobody told the outcome in time.
    pub(crate) fn on_referral_timeout(&mut self, id: ReferralId) {
        self.report_referral(id, ReferralNews::TimedOut);
        self.referrals.remove(id);
    }

    pub(crate) fn report_referral(&mut self, id: ReferralId, news: ReferralNews) {
        let Some(referral) = self.referrals.by_id.get(&id) else {
            return;
        };
        if referral.is_over {
            return;
        }
        let event = Event::Referral {
            id: referral.invite,
            referral: id,
            news,
        };
        self.emit(event);
        match news {
            ReferralNews::Accepted | ReferralNews::Progress(_) => {}
            ReferralNews::Completed(_) | ReferralNews::Failed(_) => {
                if let Some(referral) = self.referrals.by_id.get_mut(&id) {
                    referral.is_over = true;
                }
            }
            ReferralNews::Refused(_)
            | ReferralNews::AcceptedWithoutNews
            | ReferralNews::EndedEarly
            | ReferralNews::TimedOut => self.referrals.remove(id),
        }
    }
}

/// The `id` of a NOTIFY about a REFER; `None` when it is about something else.
fn refer_event(notify: &Request) -> Option<Option<u32>> {
    let event = notify.headers.get("Event")?;
    let mut parts = event.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case("refer") {
        return None;
    }
    let id = parts
        .filter_map(|part| part.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("id"));
    Some(id.and_then(|(_, id)| id.trim().parse().ok()))
}

fn is_terminated(notify: &Request) -> bool {
    notify
        .headers
        .get("Subscription-State")
        .and_then(|state| state.split(';').next())
        .is_some_and(|state| state.trim().eq_ignore_ascii_case("terminated"))
}
