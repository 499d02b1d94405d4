//! INVITE client transaction: RFC 3261 17.1.1, figure 5, as corrected by RFC 6026 figure 3.
//!
//! ```text
//!                      |INVITE from TU
//!    Timer A fires     |INVITE sent      Timer B fires or Transport Err.
//!    Reset A,          V                 inform TU
//!    INVITE sent +-----------+------------------------------------------>+
//!      +---------|           |                                           |
//!      +-------->|  Calling  |                                           |
//!                +-----------+------------->+ 2xx to TU                   |
//!  300-699         |      |1xx              |                             |
//!  ACK sent,       |      |1xx to TU        |                             |
//!  resp. to TU     |      V                 |                             |
//!      +<----------| +-----------+ 2xx to TU|                             |
//!      |  +--------->|Proceeding |--------->|                             |
//!      |  |1xx to TU |           |          |                             |
//!      |  +----------|           |----------|-------- Transport Err. ---->|
//!      |             +-----------+          |         inform TU           |
//!      |    300-699 |                       V                             |
//!      |    ACK sent|                 +-----------+ 2xx to TU              |
//!      V            V                 | Accepted  |----+                   |
//!     +-----------+ 300-699           |           |<---+                   |
//!     | Completed |---+ ACK sent      +-----------+                        |
//!     |           |<--+                     | Timer M fires                |
//!     +-----------+                         V                              |
//!        | Timer D fires, Transport Err. +-----------+                     |
//!        +------------------------------>| Terminated|<--------------------+
//!                                        +-----------+
//! ```
//!
//! One edge of the figure is left out: a transport error in Proceeding. Somebody has heard the INVITE then; who
//! forgot it would leave a phone ringing that nobody cancels.

use std::{mem, time::Duration};

use super::{Failure, Pace, Step, Timer};

/// The machine.
#[derive(Debug)]
pub(crate) struct InviteClient {
    pace: Pace,
    state: State,
}

#[derive(Debug)]
enum State {
    Calling {
        invite: Vec<u8>,
        interval: Duration,
    },
    Proceeding,
    /// Not in the figure: another path was taken, since this one says nothing. It is not asked again, and
    /// whatever it says yet is heard until timer B.
    Forsaken,
    Completed {
        ack: Vec<u8>,
    },
    Accepted,
    Terminated,
}

/// What can happen to it.
#[derive(Debug)]
pub(crate) enum Input {
    /// A 1xx response arrived.
    Provisional,
    /// A 2xx response arrived; its ACK is the user's.
    Success,
    /// A 300-699 response arrived; this is the ACK it gets.
    Failure { ack: Vec<u8> },
    /// A timer fired.
    Timer(Timer),
    /// The transport could not deliver.
    TransportFailed,
    /// Another path was taken.
    Forsake,
}

impl InviteClient {
    /// Sends `invite` and waits.
    pub(crate) fn start(pace: Pace, invite: Vec<u8>) -> (Self, Step) {
        let interval = pace.timers.t1;
        let step = Step::default()
            .transmit(invite.clone())
            .arm(Timer::B, pace.timers.timeout())
            .arm_unless_reliable(&pace, Timer::A, interval);
        (
            Self {
                pace,
                state: State::Calling { invite, interval },
            },
            step,
        )
    }

    /// Takes one input through figure 5.
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

    /// Whether a final response is still to come.
    pub(crate) fn awaits_final_response(&self) -> bool {
        matches!(
            self.state,
            State::Calling { .. } | State::Proceeding | State::Forsaken
        )
    }
}

/// Figure 5, arm by arm.
fn next(pace: &Pace, state: State, input: Input) -> (State, Step) {
    let timers = &pace.timers;
    let quiet = Step::default;
    match (state, input) {
        (State::Calling { invite, interval }, Input::Timer(Timer::A)) => {
            // The INVITE doubles without a ceiling (17.1.1.2); timer B ends it.
            let interval = interval * 2;
            let step = quiet().transmit(invite.clone()).arm(Timer::A, interval);
            (State::Calling { invite, interval }, step)
        }
        (State::Calling { .. }, Input::Timer(Timer::B)) => {
            (State::Terminated, quiet().fail(Failure::TimedOut))
        }
        (state @ State::Calling { .. }, Input::Timer(_)) => (state, quiet()),
        (State::Calling { .. } | State::Proceeding, Input::Provisional) => {
            (State::Proceeding, quiet().pass_up())
        }
        (State::Calling { .. }, Input::Forsake) => (State::Forsaken, quiet()),
        (State::Forsaken, Input::Provisional) => (State::Forsaken, quiet().pass_up()),
        (State::Forsaken, Input::Timer(Timer::B) | Input::TransportFailed) => {
            (State::Terminated, quiet())
        }
        (State::Forsaken, Input::Timer(_) | Input::Forsake) => (State::Forsaken, quiet()),
        (State::Calling { .. } | State::Proceeding | State::Forsaken, Input::Success) => (
            State::Accepted,
            quiet().pass_up().arm(Timer::M, timers.timeout()),
        ),
        (State::Calling { .. } | State::Proceeding | State::Forsaken, Input::Failure { ack }) => {
            let wait = pace.unreliable_wait(timers.d);
            let step = quiet().pass_up().transmit(ack.clone()).arm(Timer::D, wait);
            (State::Completed { ack }, step)
        }
        (State::Calling { .. } | State::Completed { .. }, Input::TransportFailed) => {
            (State::Terminated, quiet().fail(Failure::TransportFailed))
        }
        // Somebody has heard it: the figure's edge would leave a phone ringing that nobody cancels.
        (State::Proceeding, Input::Timer(_) | Input::TransportFailed) => {
            (State::Proceeding, quiet())
        }
        (State::Proceeding, Input::Forsake) => {
            (State::Forsaken, quiet().arm(Timer::B, timers.timeout()))
        }

        (State::Completed { ack }, Input::Failure { .. }) => {
            let step = quiet().transmit(ack.clone());
            (State::Completed { ack }, step)
        }
        (State::Completed { .. }, Input::Timer(Timer::D)) => (State::Terminated, quiet()),
        (
            state @ State::Completed { .. },
            Input::Timer(_) | Input::Provisional | Input::Success | Input::Forsake,
        ) => (state, quiet()),

        (State::Accepted, Input::Success) => (State::Accepted, quiet().pass_up()),
        (State::Accepted, Input::Timer(Timer::M)) => (State::Terminated, quiet()),
        (
            State::Accepted,
            Input::Timer(_)
            | Input::Provisional
            | Input::Failure { .. }
            | Input::TransportFailed
            | Input::Forsake,
        ) => (State::Accepted, quiet()),

        (
            State::Terminated,
            Input::Provisional
            | Input::Success
            | Input::Failure { .. }
            | Input::Timer(_)
            | Input::TransportFailed
            | Input::Forsake,
        ) => (State::Terminated, quiet()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::test_pace::{tcp, udp};

    const T1: Duration = Duration::from_millis(500);

    fn started(pace: Pace) -> InviteClient {
        InviteClient::start(pace, b"INVITE".to_vec()).0
    }

    #[test]
    fn the_invite_is_repeated_at_doubling_intervals_until_timer_b() {
        let (mut machine, step) = InviteClient::start(udp(), b"INVITE".to_vec());
        assert_eq!(step.arm, [Some((Timer::B, 64 * T1)), Some((Timer::A, T1))]);
        for doublings in 1..=6 {
            let step = machine.handle(Input::Timer(Timer::A));
            assert_eq!(step.transmit.as_deref(), Some(&b"INVITE"[..]));
            assert_eq!(step.arm[0], Some((Timer::A, T1 * 2_u32.pow(doublings))));
        }
        let step = machine.handle(Input::Timer(Timer::B));
        assert_eq!(step.failure, Some(Failure::TimedOut));
        assert!(machine.is_terminated());
    }

    #[test]
    fn a_provisional_response_stops_the_repetition_and_timer_b() {
        let mut machine = started(udp());
        assert!(machine.handle(Input::Provisional).pass_up);
        assert_eq!(machine.handle(Input::Timer(Timer::A)), Step::default());
        assert_eq!(machine.handle(Input::Timer(Timer::B)), Step::default());
        assert!(machine.awaits_final_response());
    }

    #[test]
    fn a_refusal_is_acked_once_for_each_copy_and_passed_up_once() {
        let mut machine = started(udp());
        let step = machine.handle(Input::Failure {
            ack: b"ACK".to_vec(),
        });
        assert!(step.pass_up);
        assert_eq!(step.arm[0], Some((Timer::D, Duration::from_secs(32))));
        let again = machine.handle(Input::Failure {
            ack: b"ACK".to_vec(),
        });
        assert_eq!(
            (again.pass_up, again.transmit.as_deref()),
            (false, Some(&b"ACK"[..]))
        );
        machine.handle(Input::Timer(Timer::D));
        assert!(machine.is_terminated());
    }

    #[test]
    fn each_2xx_is_passed_up_for_64_t1() {
        let mut machine = started(udp());
        let step = machine.handle(Input::Success);
        assert_eq!(
            (step.pass_up, step.arm[0]),
            (true, Some((Timer::M, 64 * T1)))
        );
        assert!(machine.handle(Input::Success).pass_up);
        machine.handle(Input::Timer(Timer::M));
        assert!(machine.is_terminated());
    }

    #[test]
    fn over_a_reliable_transport_there_is_no_timer_a_and_timer_d_is_zero() {
        let (mut machine, step) = InviteClient::start(tcp(), b"INVITE".to_vec());
        assert_eq!(step.arm, [Some((Timer::B, 64 * T1)), None]);
        let step = machine.handle(Input::Failure {
            ack: b"ACK".to_vec(),
        });
        assert_eq!(step.arm[0], Some((Timer::D, Duration::ZERO)));
    }

    #[test]
    fn a_transport_failure_is_reported_once() {
        let mut machine = started(udp());
        let step = machine.handle(Input::TransportFailed);
        assert_eq!(step.failure, Some(Failure::TransportFailed));
        assert_eq!(machine.handle(Input::TransportFailed), Step::default());
    }
}
