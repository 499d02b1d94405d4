//! `offhook route-test`: what would become of a call.

use std::net::IpAddr;

use clap::Args;
use serde::Deserialize;

use super::client::escaped;
use super::table::facts;
use super::{Asking, Stopped};
use crate::command::Exit;

#[derive(Args, Debug)]
pub(in crate::command) struct Arguments {
    /// The user that is called, as in the request's sip:USER@…
    #[arg(long, value_name = "USER")]
    to: String,
    /// The address the call would come from.
    #[arg(long, value_name = "ADDRESS")]
    from: IpAddr,
    #[command(flatten)]
    asking: Asking,
}

/// The answer to `GET /v1/route`.
#[derive(Debug, Deserialize)]
struct Route {
    trunk: Option<String>,
    agent: Option<String>,
    because: String,
}

pub(in crate::command) fn execute(arguments: &Arguments) -> Exit {
    let asking = &arguments.asking;
    asking.ask(async |client| {
        let (to, from) = (escaped(&arguments.to), escaped(&arguments.from.to_string()));
        let answer = client
            .get(&format!("/v1/route?to={to}&from={from}"))
            .await?;
        let route: Route = client.read(&answer)?;
        asking.print(&answer, || {
            facts(&[
                ("trunk", route.trunk.as_deref().unwrap_or_default()),
                ("agent", route.agent.as_deref().unwrap_or_default()),
                ("because", &route.because),
            ])
        });
        match route.agent {
            Some(_) => Ok(()),
            None => Err(Stopped::Unsuccessful(
                "such a call would reach no agent".to_owned(),
            )),
        }
    })
}
