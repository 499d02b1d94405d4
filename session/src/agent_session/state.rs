//! The two states a session shows, the caller's and the agent's, and the one table by which they change.

/// What the caller is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum UserState {
    /// Neither speaking nor being spoken to.
    #[default]
    Idle,
    /// Speaking.
    Speaking,
    /// Listening, or done speaking and waiting.
    Listening,
}

/// What the agent is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AgentState {
    /// Not yet entered.
    #[default]
    Starting,
    /// Waiting.
    Idle,
    /// Its speech is being sent to the caller.
    Speaking,
    /// The caller has the floor.
    Listening,
    /// Making up an answer.
    Thinking,
    /// The call is ending.
    Closing,
    /// Over.
    Closed,
}

/// What makes the states change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Trigger {
    /// `on_enter` returned and nothing is playing or queued.
    Entered,
    /// The caller starts to speak.
    CallerSpeaks,
    /// The caller stops.
    CallerStops,
    /// No transcript came in time after the caller stopped.
    NoTranscript,
    /// A reply is being made.
    ReplyBegins,
    /// The reply ended without speech.
    ReplyWasSilent,
    /// The first frame of an utterance was sent to the caller.
    FirstFrame,
    /// The last frame was sent, and nothing more is queued.
    PlaybackDrained,
    /// What the agent said was cut for good.
    Interrupted,
    /// The call's end began.
    CloseBegan,
    /// Everything is put away.
    CloseEnded,
}

impl Trigger {
    #[cfg(test)]
    const ALL: [Self; 11] = [
        Self::Entered,
        Self::CallerSpeaks,
        Self::CallerStops,
        Self::NoTranscript,
        Self::ReplyBegins,
        Self::ReplyWasSilent,
        Self::FirstFrame,
        Self::PlaybackDrained,
        Self::Interrupted,
        Self::CloseBegan,
        Self::CloseEnded,
    ];
}

/// Both states.
pub(super) type States = (AgentState, UserState);

/// The transition table: the states after `trigger`, or `None` where the trigger is a bug. Nothing but
/// `Closed` follows `Closing`, and nothing follows `Closed`.
pub(super) fn transition(trigger: Trigger, (agent, user): States) -> Option<States> {
    use AgentState as A;
    use Trigger as T;
    use UserState as U;
    match (trigger, agent) {
        (T::CloseEnded, A::Closing) => Some((A::Closed, user)),
        (_, A::Closing | A::Closed) => None,

        (T::Entered, A::Starting | A::Idle) => Some((A::Idle, user)),
        // Its greeting was answered before `on_enter` returned: the conversation is further already.
        (T::Entered, A::Listening | A::Thinking) => Some((agent, user)),
        (T::Entered, A::Speaking) => None,

        (T::CallerSpeaks, A::Speaking | A::Thinking) => Some((agent, U::Speaking)),
        (T::CallerSpeaks, A::Starting | A::Idle | A::Listening) => {
            Some((A::Listening, U::Speaking))
        }
        (T::CallerStops, A::Starting | A::Idle | A::Speaking | A::Listening | A::Thinking) => {
            Some((agent, U::Listening))
        }
        (T::NoTranscript, A::Idle | A::Listening) => Some((A::Idle, U::Idle)),
        (T::NoTranscript, A::Starting | A::Speaking | A::Thinking) => None,

        (T::ReplyBegins, A::Starting | A::Idle | A::Listening | A::Thinking) => {
            Some((A::Thinking, U::Listening))
        }
        (T::ReplyBegins, A::Speaking) => None,
        (T::ReplyWasSilent, A::Thinking) => Some((A::Idle, U::Idle)),
        (T::ReplyWasSilent, A::Starting | A::Idle | A::Speaking | A::Listening) => None,

        (T::FirstFrame, A::Starting | A::Idle | A::Speaking | A::Listening | A::Thinking) => {
            Some((A::Speaking, U::Listening))
        }
        (T::PlaybackDrained, A::Speaking) => Some((A::Idle, U::Idle)),
        (T::PlaybackDrained, A::Starting | A::Idle | A::Listening | A::Thinking) => None,
        (T::Interrupted, A::Speaking | A::Thinking) => Some((A::Listening, user)),
        (T::Interrupted, A::Starting | A::Idle | A::Listening) => None,

        (T::CloseBegan, A::Starting | A::Idle | A::Speaking | A::Listening | A::Thinking) => {
            Some((A::Closing, user))
        }
        (T::CloseEnded, A::Starting | A::Idle | A::Speaking | A::Listening | A::Thinking) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use AgentState as A;
    use UserState as U;

    const AGENTS: [A; 7] = [
        A::Starting,
        A::Idle,
        A::Speaking,
        A::Listening,
        A::Thinking,
        A::Closing,
        A::Closed,
    ];
    const USERS: [U; 3] = [U::Idle, U::Speaking, U::Listening];

    fn every_state() -> impl Iterator<Item = States> {
        AGENTS
            .into_iter()
            .flat_map(|agent| USERS.into_iter().map(move |user| (agent, user)))
    }

    #[test]
    fn nothing_but_closed_follows_closing_and_nothing_follows_closed() {
        for user in USERS {
            for trigger in Trigger::ALL {
                let after = transition(trigger, (A::Closing, user));
                assert!(
                    after.is_none() || after == Some((A::Closed, user)),
                    "{trigger:?}"
                );
                assert_eq!(transition(trigger, (A::Closed, user)), None);
            }
        }
    }

    #[test]
    fn a_caller_who_speaks_has_the_floor_unless_the_agent_speaks_or_thinks() {
        for state in [A::Starting, A::Idle, A::Listening] {
            assert_eq!(
                transition(Trigger::CallerSpeaks, (state, U::Idle)),
                Some((A::Listening, U::Speaking))
            );
        }
        for state in [A::Speaking, A::Thinking] {
            assert_eq!(
                transition(Trigger::CallerSpeaks, (state, U::Idle)),
                Some((state, U::Speaking))
            );
        }
    }

    #[test]
    fn the_caller_never_stays_speaking_once_the_detector_heard_the_end() {
        for states in every_state().filter(|(agent, _)| !matches!(agent, A::Closing | A::Closed)) {
            let after = transition(Trigger::CallerStops, states).expect("always allowed");
            assert_eq!(after, (states.0, U::Listening));
        }
    }

    #[test]
    fn a_turn_runs_through_listening_thinking_speaking_idle() {
        let mut states = (A::Idle, U::Idle);
        let mut seen = Vec::new();
        for trigger in [
            Trigger::CallerSpeaks,
            Trigger::CallerStops,
            Trigger::ReplyBegins,
            Trigger::FirstFrame,
            Trigger::PlaybackDrained,
        ] {
            states = transition(trigger, states).expect("in the table");
            seen.push(states);
        }
        assert_eq!(
            seen,
            [
                (A::Listening, U::Speaking),
                (A::Listening, U::Listening),
                (A::Thinking, U::Listening),
                (A::Speaking, U::Listening),
                (A::Idle, U::Idle),
            ]
        );
    }

    #[test]
    fn an_interruption_gives_the_floor_to_the_caller() {
        assert_eq!(
            transition(Trigger::Interrupted, (A::Speaking, U::Speaking)),
            Some((A::Listening, U::Speaking))
        );
        assert_eq!(transition(Trigger::Interrupted, (A::Idle, U::Idle)), None);
    }
}
