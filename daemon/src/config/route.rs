//! `[[route]]`: which agent answers which call. The first route that fits wins.

use std::collections::BTreeMap;

use super::agent::Agent;
use super::document::Section;
use super::finding::Findings;
use super::names::{AgentName, TrunkName};
use super::pattern::RoutePattern;
use super::trunk::Trunk;

/// One route; what it leaves out fits every call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The trunk the call came in through.
    pub trunk: Option<TrunkName>,
    /// The user part of the request URI.
    pub to: Option<RoutePattern>,
    /// Who answers.
    pub agent: AgentName,
}

impl Route {
    /// Whether a call from `trunk` to `to_user` takes this route.
    #[must_use]
    pub fn fits(&self, trunk: &TrunkName, to_user: &str) -> bool {
        self.trunk.as_ref().is_none_or(|expected| expected == trunk)
            && self
                .to
                .as_ref()
                .is_none_or(|pattern| pattern.matches(to_user))
    }
}

/// What routes may name. A table that is there but wrong is known all the same: its own mistakes are
/// noted with it.
pub(super) struct Known<'a> {
    pub(super) trunks: &'a BTreeMap<TrunkName, Trunk>,
    pub(super) agents: &'a BTreeMap<AgentName, Option<Agent>>,
}

pub(super) fn read(
    root: &mut Section<'_>,
    known: &Known<'_>,
    findings: &mut Findings,
) -> Vec<Route> {
    let mut routes = Vec::new();
    let Some(list) = root.take("route") else {
        return routes;
    };
    for item in findings.keep(list.list()).unwrap_or_default() {
        let Some(section) = findings.keep(item.section()) else {
            continue;
        };
        routes.extend(read_one(section, known, findings));
    }
    routes
}

fn read_one(mut section: Section<'_>, known: &Known<'_>, findings: &mut Findings) -> Option<Route> {
    let to = section
        .take("to")
        .and_then(|item| findings.keep(item.parse(str::parse::<RoutePattern>)));
    let trunk = section.take("trunk").and_then(|item| {
        let name: TrunkName = findings.keep(item.parse(str::parse))?;
        if !known.trunks.contains_key(&name) {
            findings
                .mistakes
                .push(item.finding(format!("there is no table [trunk.{name}]")));
        }
        Some(name)
    });
    let agent = findings.keep(section.require("agent")).and_then(|item| {
        let name: AgentName = findings.keep(item.parse(str::parse))?;
        if !known.agents.contains_key(&name) {
            findings
                .mistakes
                .push(item.finding(format!("there is no table [agent.{name}]")));
        }
        Some(name)
    });
    section.finish(findings);
    Some(Route {
        trunk,
        to,
        agent: agent?,
    })
}
