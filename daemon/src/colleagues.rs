//! Agents by name, for flows that hand their callers over.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use offhook_session::agent::Agent;
use offhook_session::flow::{
    Colleagues, Flow, FlowAgent, FlowMeans, FlowValues, Recordings as FlowRecordings,
};
use offhook_session::tool::{HandOff, Inherited};

use crate::config::AgentName;

/// How an agent comes to a call.
#[derive(Clone)]
pub(crate) enum AgentForm {
    /// It holds nothing about a call: one serves all.
    Shared(Arc<dyn Agent>),
    /// It walks one caller through a flow: made anew for each call.
    Flow(Arc<Flow>, Arc<FlowRecordings>),
}

/// Every agent of the configuration.
pub(crate) struct Agents {
    forms: BTreeMap<AgentName, AgentForm>,
    /// What flows have, but for their colleagues: those are all of these.
    means: FlowMeans,
    this: Weak<Self>,
}

impl Agents {
    pub(crate) fn new(forms: BTreeMap<AgentName, AgentForm>, means: FlowMeans) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            forms,
            means,
            this: Weak::clone(this),
        })
    }

    /// The agent of that name for a call, which may have been handed over with these values.
    pub(crate) fn for_a_call(&self, name: &str, values: FlowValues) -> Option<Arc<dyn Agent>> {
        match self.forms.get(name)? {
            AgentForm::Shared(agent) => Some(Arc::clone(agent)),
            AgentForm::Flow(flow, recordings) => {
                let this = self.this.upgrade();
                let means = FlowMeans {
                    colleagues: this.map(|this| this as _),
                    ..self.means.clone()
                };
                let agent = FlowAgent::new(Arc::clone(flow), Arc::clone(recordings));
                Some(Arc::new(agent.with_means(means).taking_over(values)))
            }
        }
    }
}

impl Colleagues for Agents {
    fn hand_off(&self, agent: &str, values: FlowValues) -> Option<HandOff> {
        Some(HandOff {
            agent: self.for_a_call(agent, values)?,
            name: agent.to_owned(),
            context: Inherited::Whole,
        })
    }
}
