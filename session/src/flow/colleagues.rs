//! Who else a flow can give its caller to.

use super::FlowValues;
use crate::tool::HandOff;

/// The other agents, by name.
pub trait Colleagues: Send + Sync + 'static {
    /// The agent of that name, ready to take the caller over; a flow takes over those of `values` that it says it
    /// inherits ([`super::FlowAgent::taking_over`]). `None` where there is none.
    fn hand_off(&self, agent: &str, values: FlowValues) -> Option<HandOff>;
}
