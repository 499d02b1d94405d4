//! Non-INVITE server transaction: RFC 3261 17.2.2, figure 8.
//!
//! ```text
//!                                  |Request received
//!                                  |pass to TU
//!                                  V
//!                            +-----------+
//!                            | Trying    |-------------+
//!                            +-----------+             |
//!                                  |                   |200-699 from TU
//!                                  |1xx from TU        |send response
//!                                  |send response      |
//!               Request            V      1xx from TU  |
//!               send response+-----------+send response|
//!                   +--------|           |--------+    |
//!                   |        | Proceeding|        |    |
//!                   +------->|           |<-------+    |
//!                            +-----------+             |
//!                                  |200-699 from TU    |
//!                  Request         |send response      |
//!                  send response   V                   |
//!                   +--------+-----------+             |
//!                   |        | Completed |<------------+
//!                   +------->|           |
//!                            +-----------+
//!                                  | Timer J fires
//!                                  V
//!                            +-----------+
//!                            | Terminated|
//!                            +-----------+
//! ```
//!
//! The figure's transport errors are left out: an answer that could not be delivered is asked for
//! again, or the peer is gone and timer J ends the transaction.

use std::mem;

use super::{Pace, Step, Timer};

/// The machine.
#[derive(Debug)]
pub(crate) struct NonInviteServer {
    pace: Pace,
    state: State,
}

#[derive(Debug)]
enum State {
    Trying,
    Proceeding { provisional: Vec<u8> },
    Completed { response: Vec<u8> },
    Terminated,
}

/// What can happen to it.
#[derive(Debug)]
pub(crate) enum Input {
    /// The request arrived again.
    Request,
    /// The user answers 1xx.
    Provisional(Vec<u8>),
    /// The user answers 200-699.
    Final(Vec<u8>),
    /// A timer fired.
    Timer(Timer),
}

impl NonInviteServer {
    /// For a request that just arrived.
    pub(crate) fn start(pace: Pace) -> Self {
        Self {
            pace,
            state: State::Trying,
        }
    }

    /// Takes one input through figure 8.
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
}

/// Figure 8, arm by arm.
fn next(pace: &Pace, state: State, input: Input) -> (State, Step) {
    let quiet = Step::default;
    match (state, input) {
        (State::Trying | State::Proceeding { .. }, Input::Provisional(bytes)) => {
            let step = quiet().transmit(bytes.clone());
            (State::Proceeding { provisional: bytes }, step)
        }
        (State::Trying | State::Proceeding { .. }, Input::Final(response)) => {
            let wait = pace.unreliable_wait(pace.timers.timeout());
            let step = quiet().transmit(response.clone()).arm(Timer::J, wait);
            (State::Completed { response }, step)
        }
        (State::Proceeding { provisional }, Input::Request) => {
            let step = quiet().transmit(provisional.clone());
            (State::Proceeding { provisional }, step)
        }
        (State::Completed { response }, Input::Request) => {
            let step = quiet().transmit(response.clone());
            (State::Completed { response }, step)
        }
        (State::Completed { .. }, Input::Timer(Timer::J)) => (State::Terminated, quiet()),
        (State::Trying, Input::Request | Input::Timer(_)) => (State::Trying, quiet()),
        (state @ State::Proceeding { .. }, Input::Timer(_)) => (state, quiet()),
        (
            state @ State::Completed { .. },
            Input::Timer(_) | Input::Provisional(_) | Input::Final(_),
        ) => (state, quiet()),
        (
            State::Terminated,
            Input::Request | Input::Provisional(_) | Input::Final(_) | Input::Timer(_),
        ) => (State::Terminated, quiet()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::transaction::test_pace::{tcp, udp};

    #[test]
    fn a_repeated_request_gets_the_same_final_response_until_timer_j() {
        let mut machine = NonInviteServer::start(udp());
        assert_eq!(machine.handle(Input::Request), Step::default());
        let step = machine.handle(Input::Final(b"200".to_vec()));
        assert_eq!(step.arm[0], Some((Timer::J, Duration::from_secs(32))));
        assert_eq!(
            machine.handle(Input::Request).transmit.as_deref(),
            Some(&b"200"[..])
        );
        assert_eq!(
            machine.handle(Input::Final(b"500".to_vec())),
            Step::default()
        );
        machine.handle(Input::Timer(Timer::J));
        assert!(machine.is_terminated());
    }

    #[test]
    fn a_provisional_response_is_repeated_to_a_repeated_request() {
        let mut machine = NonInviteServer::start(udp());
        machine.handle(Input::Provisional(b"100".to_vec()));
        assert_eq!(
            machine.handle(Input::Request).transmit.as_deref(),
            Some(&b"100"[..])
        );
    }

    #[test]
    fn over_a_reliable_transport_timer_j_is_zero() {
        let mut machine = NonInviteServer::start(tcp());
        let step = machine.handle(Input::Final(b"200".to_vec()));
        assert_eq!(step.arm[0], Some((Timer::J, Duration::ZERO)));
    }
}
