//! INVITE server transaction: RFC 3261 17.2.1, figure 7, as corrected by RFC 6026 figure 5.
//!
//! ```text
//!                               |INVITE
//!                               |pass INVITE to TU
//!            INVITE             V
//!            send response+------------+
//!                +--------|            |--------+ 101-199 from TU
//!                +------->| Proceeding |<-------+ send response
//!                         +------------+
//!       300-699 from TU      |       |  2xx from TU
//!       send response        |       |  send response
//!                +<----------+       +------------------+
//!                V                                      V
//!         +-----------+                           +-----------+
//!         |           |---+ INVITE or Timer G     |           |---+ INVITE: absorbed
//!         | Completed |   | send response         | Accepted  |   | ACK to TU
//!         |           |<--+                       |           |<--+ 2xx from TU: sent
//!         +-----------+                           +-----------+
//!          ACK |  | Timer H                             | Timer L
//!              V  | inform TU                           |
//!     +-----------+     |                               |
//!     | Confirmed |     |                               |
//!     +-----------+     |                               |
//!              |        V                               |
//!      Timer I |  +-----------+                         |
//!              +->| Terminated|<------------------------+
//!                 +-----------+
//! ```
//!
//! The figure's transport errors are left out: a response that could not be delivered is repeated
//! or asked for again, and timers H and L end a transaction whose peer is gone.

use std::{mem, time::Duration};

use super::{Failure, Pace, Step, Timer};

/// The machine.
#[derive(Debug)]
pub(crate) struct InviteServer {
    pace: Pace,
    state: State,
}

#[derive(Debug)]
enum State {
    Proceeding {
        provisional: Option<Vec<u8>>,
    },
    Completed {
        response: Vec<u8>,
        interval: Duration,
    },
    Confirmed,
    Accepted,
    Terminated,
}

/// What can happen to it.
#[derive(Debug)]
pub(crate) enum Input {
    /// The INVITE arrived again.
    Invite,
    /// An ACK with this transaction's branch arrived.
    Ack,
    /// The user answers 1xx.
    Provisional(Vec<u8>),
    /// The user answers 2xx, or repeats it.
    Success(Vec<u8>),
    /// The user answers 300-699.
    Failure(Vec<u8>),
    /// A timer fired.
    Timer(Timer),
}

impl InviteServer {
    /// For an INVITE that just arrived. The user sends 100 at once, so the 200 ms wait of
    /// RFC 3261 17.2.1 is not needed.
    pub(crate) fn start(pace: Pace) -> Self {
        Self {
            pace,
            state: State::Proceeding { provisional: None },
        }
    }

    /// Takes one input through figure 7.
    pub(crate) fn handle(&mut self, input: Input) -> Step {
        let state = mem::replace(&mut self.state, State::Terminated);
        let (next, step) = next(&self.pace, state, input);
        self.state = next;
        step
    }

    /// Whether nothing more can come of it.
    pub(crate) fn is_terminated(&self) -> bool {
        matches!(self.state, State::Terminated)
    }

    /// The last provisional response, before a final one.
    pub(crate) fn provisional(&self) -> Option<&[u8]> {
        match &self.state {
            State::Proceeding { provisional } => provisional.as_deref(),
            State::Completed { .. } | State::Confirmed | State::Accepted | State::Terminated => {
                None
            }
        }
    }

    /// Whether a refusal is still unacknowledged, or no final response was sent: in both cases a
    /// copy of the INVITE by another path is the same attempt and not a new one.
    pub(crate) fn is_running(&self) -> bool {
        matches!(
            self.state,
            State::Proceeding { .. } | State::Completed { .. }
        )
    }
}

/// Figure 7, arm by arm.
fn next(pace: &Pace, state: State, input: Input) -> (State, Step) {
    let timers = &pace.timers;
    let quiet = Step::default;
    match (state, input) {
        (State::Proceeding { provisional }, Input::Invite) => {
            let step = match &provisional {
                Some(bytes) => quiet().transmit(bytes.clone()),
                None => quiet(),
            };
            (State::Proceeding { provisional }, step)
        }
        (State::Proceeding { .. }, Input::Provisional(bytes)) => {
            let step = quiet().transmit(bytes.clone());
            (
                State::Proceeding {
                    provisional: Some(bytes),
                },
                step,
            )
        }
        (State::Proceeding { .. }, Input::Success(bytes)) => (
            State::Accepted,
            quiet().transmit(bytes).arm(Timer::L, timers.timeout()),
        ),
        (State::Proceeding { .. }, Input::Failure(response)) => {
            let interval = timers.t1;
            let step = quiet()
                .transmit(response.clone())
                .arm(Timer::H, timers.timeout())
                .arm_unless_reliable(pace, Timer::G, interval);
            (State::Completed { response, interval }, step)
        }
        (state @ State::Proceeding { .. }, Input::Ack | Input::Timer(_)) => (state, quiet()),

        (State::Completed { response, interval }, Input::Invite) => {
            let step = quiet().transmit(response.clone());
            (State::Completed { response, interval }, step)
        }
        (State::Completed { response, interval }, Input::Timer(Timer::G)) => {
            let interval = timers.doubled(interval);
            let step = quiet().transmit(response.clone()).arm(Timer::G, interval);
            (State::Completed { response, interval }, step)
        }
        (State::Completed { .. }, Input::Ack) => (
            State::Confirmed,
            quiet().arm(Timer::I, pace.unreliable_wait(timers.t4)),
        ),
        (State::Completed { .. }, Input::Timer(Timer::H)) => {
            (State::Terminated, quiet().fail(Failure::TimedOut))
        }
        (
            state @ State::Completed { .. },
            Input::Provisional(_) | Input::Success(_) | Input::Failure(_) | Input::Timer(_),
        ) => (state, quiet()),

        (State::Confirmed, Input::Timer(Timer::I)) => (State::Terminated, quiet()),
        (
            State::Confirmed,
            Input::Invite
            | Input::Ack
            | Input::Provisional(_)
            | Input::Success(_)
            | Input::Failure(_)
            | Input::Timer(_),
        ) => (State::Confirmed, quiet()),

        (State::Accepted, Input::Ack) => (State::Accepted, quiet().pass_up()),
        (State::Accepted, Input::Success(bytes)) => (State::Accepted, quiet().transmit(bytes)),
        (State::Accepted, Input::Timer(Timer::L)) => (State::Terminated, quiet()),
        (
            State::Accepted,
            Input::Invite | Input::Provisional(_) | Input::Failure(_) | Input::Timer(_),
        ) => (State::Accepted, quiet()),

        (
            State::Terminated,
            Input::Invite
            | Input::Ack
            | Input::Provisional(_)
            | Input::Success(_)
            | Input::Failure(_)
            | Input::Timer(_),
        ) => (State::Terminated, quiet()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::test_pace::{tcp, udp};

    const T1: Duration = Duration::from_millis(500);

    #[test]
    fn a_repeated_invite_gets_the_last_provisional_response() {
        let mut machine = InviteServer::start(udp());
        assert_eq!(machine.handle(Input::Invite), Step::default());
        machine.handle(Input::Provisional(b"100".to_vec()));
        machine.handle(Input::Provisional(b"180".to_vec()));
        assert_eq!(
            machine.handle(Input::Invite).transmit.as_deref(),
            Some(&b"180"[..])
        );
    }

    #[test]
    fn a_refusal_is_repeated_doubling_to_t2_until_timer_h() {
        let mut machine = InviteServer::start(udp());
        let step = machine.handle(Input::Failure(b"486".to_vec()));
        assert_eq!(step.arm, [Some((Timer::H, 64 * T1)), Some((Timer::G, T1))]);
        let expected = [2 * T1, 4 * T1, 8 * T1, 8 * T1, 8 * T1];
        for interval in expected {
            let step = machine.handle(Input::Timer(Timer::G));
            assert_eq!(step.transmit.as_deref(), Some(&b"486"[..]));
            assert_eq!(step.arm[0], Some((Timer::G, interval)));
        }
        assert_eq!(
            machine.handle(Input::Timer(Timer::H)).failure,
            Some(Failure::TimedOut)
        );
        assert!(machine.is_terminated());
    }

    #[test]
    fn the_ack_of_a_refusal_stops_it_and_is_not_passed_up() {
        let mut machine = InviteServer::start(udp());
        machine.handle(Input::Failure(b"486".to_vec()));
        let step = machine.handle(Input::Ack);
        assert_eq!(
            (step.pass_up, step.arm[0]),
            (false, Some((Timer::I, 10 * T1)))
        );
        assert_eq!(machine.handle(Input::Timer(Timer::G)), Step::default());
        assert_eq!(machine.handle(Input::Timer(Timer::H)), Step::default());
        machine.handle(Input::Timer(Timer::I));
        assert!(machine.is_terminated());
    }

    #[test]
    fn an_accepted_invite_absorbs_its_repetitions_and_lets_the_user_repeat_the_2xx() {
        let mut machine = InviteServer::start(udp());
        let step = machine.handle(Input::Success(b"200".to_vec()));
        assert_eq!(step.arm[0], Some((Timer::L, 64 * T1)));
        assert_eq!(machine.handle(Input::Invite), Step::default());
        let again = machine.handle(Input::Success(b"200".to_vec()));
        assert_eq!(again.transmit.as_deref(), Some(&b"200"[..]));
        assert!(machine.handle(Input::Ack).pass_up);
        machine.handle(Input::Timer(Timer::L));
        assert!(machine.is_terminated());
    }

    #[test]
    fn over_a_reliable_transport_there_is_no_timer_g_and_timer_i_is_zero() {
        let mut machine = InviteServer::start(tcp());
        let step = machine.handle(Input::Failure(b"486".to_vec()));
        assert_eq!(step.arm, [Some((Timer::H, 64 * T1)), None]);
        assert_eq!(
            machine.handle(Input::Ack).arm[0],
            Some((Timer::I, Duration::ZERO))
        );
    }
}
