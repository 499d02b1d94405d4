//! Non-INVITE client transaction: RFC 3261 17.1.2, figure 6.
//!
//! ```text
//!                                   |Request from TU
//!                                   |send request
//!               Timer E             V
//!               send request  +-----------+
//!                   +---------|           |-------------------+
//!                   |         |  Trying   |  Timer F          |
//!                   +-------->|           |  or Transport Err.|
//!                             +-----------+  inform TU        |
//!                200-699         |  |                         |
//!                resp. to TU     |  |1xx                      |
//!                +---------------+  |resp. to TU              |
//!                |                  V                         |
//!                |   Timer E  +-----------+  Timer F          |
//!                |   send req |           |  or Transport Err.|
//!                |  +---------|Proceeding |------------------>|
//!                |  +-------->|           |-----+  inform TU  |
//!                |            +-----------+     |1xx          |
//!                |               |      ^       |resp to TU   |
//!                |  200-699      |      +-------+             |
//!                |  resp. to TU  |                            |
//!                |               V                            |
//!                |            +-----------+                   |
//!                +----------->| Completed |                   |
//!                             +-----------+                   |
//!                                | Timer K                    |
//!                                V                            |
//!                             +-----------+                   |
//!                             | Terminated|<------------------+
//!                             +-----------+
//! ```

use std::{mem, time::Duration};

use super::{Failure, Pace, Step, Timer};

/// The machine.
#[derive(Debug)]
pub(crate) struct NonInviteClient {
    pace: Pace,
    state: State,
}

#[derive(Debug)]
enum State {
    Trying {
        request: Vec<u8>,
        interval: Duration,
    },
    Proceeding {
        request: Vec<u8>,
    },
    Completed,
    Terminated,
}

/// What can happen to it.
#[derive(Debug)]
pub(crate) enum Input {
    /// A 1xx response arrived.
    Provisional,
    /// A 200-699 response arrived.
    Final,
    /// A timer fired.
    Timer(Timer),
    /// The transport could not deliver.
    TransportFailed,
}

impl NonInviteClient {
    /// Sends `request` and waits.
    pub(crate) fn start(pace: Pace, request: Vec<u8>) -> (Self, Step) {
        let interval = pace.timers.t1;
        let step = Step::default()
            .transmit(request.clone())
            .arm(Timer::F, pace.timers.timeout())
            .arm_unless_reliable(&pace, Timer::E, interval);
        (
            Self {
                pace,
                state: State::Trying { request, interval },
            },
            step,
        )
    }

    /// Takes one input through figure 6.
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

    /// The request while it is not answered, to be asked again with credentials.
    pub(crate) fn unanswered_request(&self) -> Option<&[u8]> {
        match &self.state {
            State::Trying { request, .. } | State::Proceeding { request } => Some(request),
            State::Completed | State::Terminated => None,
        }
    }

    /// Whether a final response is still to come.
    pub(crate) fn awaits_final_response(&self) -> bool {
        matches!(self.state, State::Trying { .. } | State::Proceeding { .. })
    }
}

/// Figure 6, arm by arm.
fn next(pace: &Pace, state: State, input: Input) -> (State, Step) {
    let timers = &pace.timers;
    let quiet = Step::default;
    match (state, input) {
        (State::Trying { request, interval }, Input::Timer(Timer::E)) => {
            let interval = timers.doubled(interval);
            let step = quiet().transmit(request.clone()).arm(Timer::E, interval);
            (State::Trying { request, interval }, step)
        }
        (State::Proceeding { request }, Input::Timer(Timer::E)) => {
            let step = quiet().transmit(request.clone()).arm(Timer::E, timers.t2);
            (State::Proceeding { request }, step)
        }
        (State::Trying { request, .. } | State::Proceeding { request }, Input::Provisional) => {
            (State::Proceeding { request }, quiet().pass_up())
        }
        (State::Trying { .. } | State::Proceeding { .. }, Input::Final) => {
            let wait = pace.unreliable_wait(timers.t4);
            (State::Completed, quiet().pass_up().arm(Timer::K, wait))
        }
        (State::Trying { .. } | State::Proceeding { .. }, Input::Timer(Timer::F)) => {
            (State::Terminated, quiet().fail(Failure::TimedOut))
        }
        (State::Trying { .. } | State::Proceeding { .. }, Input::TransportFailed) => {
            (State::Terminated, quiet().fail(Failure::TransportFailed))
        }
        (state @ (State::Trying { .. } | State::Proceeding { .. }), Input::Timer(_)) => {
            (state, quiet())
        }

        (State::Completed, Input::Timer(Timer::K)) => (State::Terminated, quiet()),
        (
            State::Completed,
            Input::Timer(_) | Input::Provisional | Input::Final | Input::TransportFailed,
        ) => (State::Completed, quiet()),

        (
            State::Terminated,
            Input::Provisional | Input::Final | Input::Timer(_) | Input::TransportFailed,
        ) => (State::Terminated, quiet()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::test_pace::{tcp, udp};

    const T1: Duration = Duration::from_millis(500);

    #[test]
    fn the_request_is_repeated_doubling_to_t2_until_timer_f() {
        let (mut machine, step) = NonInviteClient::start(udp(), b"BYE".to_vec());
        assert_eq!(step.arm, [Some((Timer::F, 64 * T1)), Some((Timer::E, T1))]);
        for interval in [2 * T1, 4 * T1, 8 * T1, 8 * T1] {
            let step = machine.handle(Input::Timer(Timer::E));
            assert_eq!(step.transmit.as_deref(), Some(&b"BYE"[..]));
            assert_eq!(step.arm[0], Some((Timer::E, interval)));
        }
        assert_eq!(
            machine.handle(Input::Timer(Timer::F)).failure,
            Some(Failure::TimedOut)
        );
        assert!(machine.is_terminated());
    }

    #[test]
    fn after_a_provisional_response_the_request_is_repeated_every_t2() {
        let (mut machine, _) = NonInviteClient::start(udp(), b"BYE".to_vec());
        assert!(machine.handle(Input::Provisional).pass_up);
        assert_eq!(
            machine.handle(Input::Timer(Timer::E)).arm[0],
            Some((Timer::E, 8 * T1))
        );
    }

    #[test]
    fn repeated_final_responses_are_absorbed_until_timer_k() {
        let (mut machine, _) = NonInviteClient::start(udp(), b"BYE".to_vec());
        let step = machine.handle(Input::Final);
        assert_eq!(
            (step.pass_up, step.arm[0]),
            (true, Some((Timer::K, 10 * T1)))
        );
        assert_eq!(machine.handle(Input::Final), Step::default());
        machine.handle(Input::Timer(Timer::K));
        assert!(machine.is_terminated());
    }

    #[test]
    fn over_a_reliable_transport_there_is_no_timer_e_and_timer_k_is_zero() {
        let (mut machine, step) = NonInviteClient::start(tcp(), b"BYE".to_vec());
        assert_eq!(step.arm, [Some((Timer::F, 64 * T1)), None]);
        assert_eq!(
            machine.handle(Input::Final).arm[0],
            Some((Timer::K, Duration::ZERO))
        );
    }
}
