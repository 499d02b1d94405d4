//! `offhook trunks`: how the trunks are.

use clap::Args;
use serde::Deserialize;

use super::Asking;
use super::table::{Align, Table};
use crate::command::Exit;

#[derive(Args, Debug)]
pub(in crate::command) struct Arguments {
    #[command(flatten)]
    asking: Asking,
}

/// The answer to `GET /v1/trunks`.
#[derive(Debug, Deserialize)]
struct TrunkList {
    trunks: Vec<Trunk>,
}

#[derive(Debug, Deserialize)]
struct Trunk {
    name: String,
    address: Option<String>,
    calls: usize,
    health: String,
    registration: String,
    registered_for_s: Option<u64>,
    registration_failure: Option<String>,
}

impl Trunk {
    /// `registered for 600 s`, `failed: 403 Forbidden`, or nothing where it is not wanted.
    fn registration(&self) -> String {
        match (&self.registered_for_s, &self.registration_failure) {
            (Some(seconds), _) => format!("{} for {seconds} s", self.registration),
            (None, Some(why)) => format!("{}: {why}", self.registration),
            (None, None) if self.registration == "not_wanted" => String::new(),
            (None, None) => self.registration.clone(),
        }
    }
}

impl TrunkList {
    fn shown(&self) -> String {
        if self.trunks.is_empty() {
            return "no trunk is configured\n".to_owned();
        }
        let mut table = Table::new([
            ("NAME", Align::Left),
            ("ADDRESS", Align::Left),
            ("HEALTH", Align::Left),
            ("REGISTRATION", Align::Left),
            ("CALLS", Align::Right),
        ]);
        for trunk in &self.trunks {
            table.push([
                &trunk.name,
                trunk.address.as_deref().unwrap_or_default(),
                &trunk.health,
                &trunk.registration(),
                &trunk.calls.to_string(),
            ]);
        }
        table.render()
    }
}

pub(in crate::command) fn execute(arguments: &Arguments) -> Exit {
    let asking = &arguments.asking;
    asking.ask(async |client| {
        let answer = client.get("/v1/trunks").await?;
        let list: TrunkList = client.read(&answer)?;
        asking.print(&answer, || list.shown());
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trunk_shows_whether_it_answers_and_knows_us() {
        let answer = r#"{"trunks":[
            {"name":"carrier","address":"192.0.2.1:5060","calls":12,"health":"up","registration":"registered","registered_for_s":600},
            {"name":"desk","address":null,"calls":0,"health":"unknown","registration":"not_wanted"},
            {"name":"far","address":"sip.example","calls":0,"health":"down","registration":"failed","registration_failure":"403 Forbidden"}
        ]}"#;
        let list: TrunkList = serde_json::from_str(answer).unwrap();
        assert_eq!(
            list.shown(),
            "NAME     ADDRESS         HEALTH   REGISTRATION           CALLS\n\
             carrier  192.0.2.1:5060  up       registered for 600 s      12\n\
             desk     -               unknown  -                          0\n\
             far      sip.example     down     failed: 403 Forbidden      0\n"
        );
    }
}
