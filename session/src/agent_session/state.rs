//! The two states a session shows: the caller's and the agent's.

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
