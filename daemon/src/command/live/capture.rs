//! `offhook capture`: everything one call sends and receives, into a file.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::client::Answer;
use super::{OneCall, Stopped};
use crate::captures;
use crate::command::Exit;

#[derive(Args, Debug)]
pub(in crate::command) struct Arguments {
    #[command(flatten)]
    call: OneCall,
    #[command(flatten)]
    what: What,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct What {
    /// Begin to keep what the call sends and receives.
    #[arg(long)]
    start: bool,
    /// Stop; what is kept can be saved for a while.
    #[arg(long)]
    stop: bool,
    /// Write what is kept to this file, of a call that is up, or was a while ago. It holds everything: numbers, keys,
    /// speech and digits; only its owner may read it.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

pub(in crate::command) fn execute(arguments: &Arguments) -> Exit {
    let Arguments { call, what } = arguments;
    let path = call.path("/capture");
    call.asking.ask(async |client| {
        let Some(file) = &what.save else {
            let body = json!({ "on": what.start });
            let answer = client.post(&path, &body, Answer::AtOnce).await?;
            call.asking.print(&answer, String::new);
            return Ok(());
        };
        let saved = client.get_bytes(&path).await?;
        captures::write(file, &saved).map_err(Stopped::Broken)?;
        let bytes = saved.len();
        call.asking
            .print(&json!({ "bytes": bytes }).to_string(), || {
                format!("{bytes} bytes in {}\n", file.display())
            });
        Ok(())
    })
}
