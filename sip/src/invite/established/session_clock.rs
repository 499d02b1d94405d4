//! Keeping a session alive, and noticing that it is not (RFC 4028).

use std::time::{Duration, Instant};

use super::Established;
use crate::{
    invite::{ALLOW, Place, SUPPORTED, State},
    message::{Method, Response, StatusCode},
    transaction::table::ClientRole,
    ua_core::{
        Core, EndCause, Event,
        session_timer::{Refresher, SessionTimer, min_se},
        timers::InviteTimer,
    },
};

/// How long a refresh that cannot be sent now waits.
const LATER: Duration = Duration::from_secs(2);

/// The session timer of one call.
#[derive(Debug, Default)]
pub(super) struct SessionClock {
    pub(super) timer: Option<SessionTimer>,
    /// Each arming has a number of its own, so that an older one is known.
    generation: u32,
    /// When the session is over unless it is refreshed.
    expires_at: Option<Instant>,
    /// The `Min-SE` of a 422 to a refresh.
    pub(super) min_se: Option<Duration>,
}

impl Established {
    /// Begins an interval of the session, or ends the timing where nothing was agreed on.
    pub(in crate::invite) fn run_session_timer(
        &mut self,
        core: &mut Core,
        place: Place,
        timer: Option<SessionTimer>,
        now: Instant,
    ) {
        let clock = &mut self.session;
        clock.timer = timer;
        clock.expires_at = timer.map(|timer| now + timer.interval);
        match timer {
            Some(timer) => self.arm_session(core, place, now + timer.wait()),
            None => clock.generation += 1,
        }
    }

    fn arm_session(&mut self, core: &mut Core, place: Place, at: Instant) {
        self.session.generation += 1;
        let generation = self.session.generation;
        core.arm(place.id, InviteTimer::Session { generation }, at);
    }

    pub(in crate::invite) fn on_session_timer(
        mut self: Box<Self>,
        core: &mut Core,
        place: Place,
        generation: u32,
        now: Instant,
    ) -> State {
        if generation != self.session.generation {
            return State::Established(self);
        }
        let Some(timer) = self.session.timer else {
            return State::Established(self);
        };
        let expired = self.session.expires_at.is_some_and(|at| now >= at);
        if timer.refresher == Refresher::Them || expired {
            return self.expire(core, place, now);
        }
        self.refresh(core, place, now);
        State::Established(self)
    }

    fn refresh(&mut self, core: &mut Core, place: Place, now: Instant) {
        if self.hang_up.is_some() {
            return;
        }
        // A refresh that leads to nothing is tried again, and at last the session is over.
        let expires_at = self.session.expires_at.unwrap_or(now);
        let again = now + (expires_at.saturating_duration_since(now) / 2).max(LATER);
        self.arm_session(core, place, again.min(expires_at).max(now));
        if !self.peer.takes_update {
            core.emit(Event::RefreshDue { id: place.id });
            return;
        }
        let Some(timer) = self.session.timer else {
            return;
        };
        let flow = core.flow_of(&self.dialog, place.flow);
        let minimum = self.stated_minimum(core);
        let mut update = self.dialog.request(Method::Update);
        let headers = &mut update.headers;
        headers.push("Contact", core.config.contact(flow));
        headers.push("Allow", ALLOW);
        headers.push("Supported", SUPPORTED);
        headers.push("Session-Expires", timer.request());
        if let Some(min_se) = minimum {
            headers.push("Min-SE", min_se.as_secs().to_string());
        }
        core.request(update, flow, ClientRole::Refresh(place.id), now);
    }

    /// The `Min-SE` of a refresh.
    pub(super) fn stated_minimum(&self, core: &Core) -> Option<Duration> {
        let raised = self.session.min_se;
        core.session_policy()
            .map_or(raised, |policy| policy.refresh_minimum(raised))
    }

    /// What an UPDATE that refreshes was answered.
    pub(in crate::invite) fn on_refresh_response(
        mut self: Box<Self>,
        core: &mut Core,
        place: Place,
        response: &Response,
        now: Instant,
    ) -> State {
        let status = response.status;
        if status.is_provisional() {
            return State::Established(self);
        }
        if status.is_success() {
            self.dialog.refresh_from(&response.headers);
            let timer = SessionTimer::as_client(response, core.session_policy());
            self.run_session_timer(core, place, timer, now);
        } else if status == StatusCode::SESSION_INTERVAL_TOO_SMALL
            && self.asks_for_less_than(min_se(&response.headers))
        {
            self.raise_session(min_se(&response.headers));
            self.refresh(core, place, now);
        } else if status == StatusCode::METHOD_NOT_ALLOWED || status == StatusCode::NOT_IMPLEMENTED
        {
            // It said that it takes UPDATE, and does not.
            self.peer.takes_update = false;
            self.refresh(core, place, now);
        } else if super::reoffers::is_end_of_dialog(status) {
            return self.abandon(core, place, EndCause::Rejected(status), now);
        }
        State::Established(self)
    }

    /// Whether a 422 names more than we asked for; one that does not would come again.
    fn asks_for_less_than(&self, wanted: Duration) -> bool {
        self.session
            .timer
            .is_some_and(|timer| timer.interval < wanted)
    }

    /// A 422 to a refresh: the next asks for as much as it names.
    pub(super) fn raise_session(&mut self, wanted: Duration) {
        self.session.min_se = Some(wanted);
        if let Some(timer) = &mut self.session.timer {
            timer.interval = timer.interval.max(wanted);
        }
    }

    fn expire(self: Box<Self>, core: &mut Core, place: Place, now: Instant) -> State {
        self.abandon(core, place, EndCause::SessionExpired, now)
    }
}
