//! `offhook calls`: the live calls, once or again and again.

use std::io::{self, IsTerminal};
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use tokio::time::{MissedTickBehavior, interval};

use super::client::Client;
use super::table::{Align, Table, clock};
use super::{Asking, ShownCall, Stopped, write};
use crate::command::Exit;

const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

#[derive(Args, Debug)]
pub(in crate::command) struct Arguments {
    /// Show them anew each second until Control-C.
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    asking: Asking,
}

/// The answer to `GET /v1/calls`.
#[derive(Debug, Deserialize)]
struct CallList {
    count: usize,
    draining: bool,
    calls: Vec<ShownCall>,
}

impl CallList {
    /// `2 calls are up; draining, no new ones are taken`.
    fn summary(&self) -> String {
        let mut text = match self.count {
            0 => "no call is up".to_owned(),
            1 => "1 call is up".to_owned(),
            count => format!("{count} calls are up"),
        };
        if self.calls.len() < self.count {
            text += &format!(", the oldest {} are listed", self.calls.len());
        }
        if self.draining {
            text += "; draining, no new ones are taken";
        }
        text.push('\n');
        text
    }

    /// Empty where there is no call.
    fn table(&self) -> String {
        if self.calls.is_empty() {
            return String::new();
        }
        let mut table = Table::new([
            ("ID", Align::Left),
            ("DIRECTION", Align::Left),
            ("FROM", Align::Left),
            ("TO", Align::Left),
            ("TRUNK", Align::Left),
            ("AGENT", Align::Left),
            ("STATE", Align::Left),
            ("DURATION", Align::Right),
        ]);
        for call in &self.calls {
            table.push([
                &call.id,
                &call.direction,
                &call.from,
                &call.to,
                &call.trunk,
                &call.agent,
                &call.state,
                &clock(Duration::from_millis(call.duration_ms)),
            ]);
        }
        table.render()
    }

    /// For whoever looks once: the table alone, where it says everything.
    fn shown(&self) -> String {
        if self.count == 0 || self.draining || self.calls.len() < self.count {
            self.table() + &self.summary()
        } else {
            self.table()
        }
    }
}

pub(in crate::command) fn execute(arguments: &Arguments) -> Exit {
    let asking = &arguments.asking;
    asking.ask(async |client| {
        if arguments.watch {
            tokio::select! {
                ended = watch(&client, asking.json) => return ended,
                _ = tokio::signal::ctrl_c() => return Ok(()),
            }
        }
        let answer = client.get("/v1/calls").await?;
        let list: CallList = client.read(&answer)?;
        asking.print(&answer, || list.shown());
        Ok(())
    })
}

async fn watch(client: &Client, json: bool) -> Result<(), Stopped> {
    let on_terminal = !json && io::stdout().is_terminal();
    let mut looks = interval(BETWEEN_LOOKS);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let answer = client.get("/v1/calls").await?;
        let list: CallList = client.read(&answer)?;
        let text = match (json, on_terminal) {
            (true, _) => answer + "\n",
            (false, true) => frame(&(list.summary() + &list.table()), terminal_size()),
            (false, false) => list.summary() + &list.table(),
        };
        if write(&text).is_err() {
            // Whoever reads has seen enough.
            return Ok(());
        }
    }
}

/// `text` written over what the terminal shows, cut to its size.
fn frame(text: &str, size: Option<(usize, usize)>) -> String {
    const HOME: &str = "\x1b[H";
    const CLEAR_REST_OF_LINE: &str = "\x1b[K\n";
    const CLEAR_BELOW: &str = "\x1b[J";
    let (rows, columns) = size.unwrap_or((usize::MAX, usize::MAX));
    let mut frame = HOME.to_owned();
    // The last row is the cursor's.
    for line in text.lines().take(rows.saturating_sub(1)) {
        frame.extend(line.chars().take(columns));
        frame += CLEAR_REST_OF_LINE;
    }
    frame + CLEAR_BELOW
}

/// Rows and columns of the terminal we write to.
fn terminal_size() -> Option<(usize, usize)> {
    let mut size = libc::winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the kernel writes one winsize to where the pointer leads, which outlives the call.
    let asked = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &raw mut size) };
    let known = asked == 0 && size.ws_row > 0 && size.ws_col > 0;
    known.then(|| (usize::from(size.ws_row), usize::from(size.ws_col)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(count: usize, draining: bool, listed: usize) -> CallList {
        let call = |number| ShownCall {
            id: format!("c-{number}"),
            direction: "inbound".to_owned(),
            from: "+15550100".to_owned(),
            to: "desk".to_owned(),
            trunk: "carrier".to_owned(),
            agent: "echo".to_owned(),
            state: "talking".to_owned(),
            bridged_with: None,
            voicemail: None,
            messages: Vec::new(),
            duration_ms: 61_900,
        };
        CallList {
            count,
            draining,
            calls: (0..listed).map(call).collect(),
        }
    }

    #[test]
    fn calls_are_a_line_each_below_their_headings() {
        assert_eq!(
            list(2, false, 2).shown(),
            "ID   DIRECTION  FROM       TO    TRUNK    AGENT  STATE    DURATION\n\
             c-0  inbound    +15550100  desk  carrier  echo   talking      1:01\n\
             c-1  inbound    +15550100  desk  carrier  echo   talking      1:01\n"
        );
        assert_eq!(list(0, false, 0).shown(), "no call is up\n");
    }

    #[test]
    fn what_the_table_leaves_out_is_said_below_it() {
        assert!(list(900, true, 1).shown().ends_with(
            "\n900 calls are up, the oldest 1 are listed; draining, no new ones are taken\n"
        ),);
    }

    #[test]
    fn a_frame_stays_within_the_terminal() {
        assert_eq!(
            frame("one\ntwo\nthree\n", Some((3, 2))),
            "\x1b[Hon\x1b[K\ntw\x1b[K\n\x1b[J"
        );
        assert_eq!(frame("one\n", None), "\x1b[Hone\x1b[K\n\x1b[J");
    }
}
