//! `[limits]`, `[drain]`, `[control]` and `[records]`: how much is let in, how it ends, and who looks on.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::document::{Item, Section};
use super::finding::Findings;
use super::layers::Layers;

/// How much is let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Calls at once; one more gets 503 with Retry-After.
    pub calls: usize,
    /// Calls that come in a second; one more gets 503 with Retry-After.
    pub calls_per_second: u32,
    /// How many of `calls` are for calls out, and only for them; without it, whoever comes first has a place, but for
    /// the last tenth, which each direction leaves to the other.
    pub outbound_calls: Option<u32>,
    /// Calls out begun in a minute.
    pub outbound_calls_per_minute: u32,
    /// In per cent of the time: where work waits for a processor for more, new calls get 503 with Retry-After.
    pub shed_above_pressure: Option<u32>,
    /// A call that lasts longer is ended.
    pub max_duration: Duration,
    /// What one address of a trunk may send, twice as much in a burst.
    pub messages_per_second_per_source: u32,
    /// This many bad messages in ten seconds ban their source; a trunk's address ten times as many. 0: never.
    pub ban_after_bad_messages: u32,
}

pub(super) fn read(mut section: Section<'_>, findings: &mut Findings) -> LimitsConfig {
    let calls = findings
        .keep(section.require("calls"))
        .and_then(|item| findings.keep(item.integer(1..=100_000)))
        .unwrap_or_default();
    let calls_per_second = findings
        .keep(section.require("calls_per_second"))
        .and_then(|item| findings.keep(item.integer(1..=100_000)))
        .unwrap_or_default();
    let max_duration = findings
        .keep(section.require("max_duration_s"))
        .and_then(|item| findings.keep(item.seconds(1..=604_800)))
        .unwrap_or_default();
    let outbound_calls = section
        .take("outbound_calls")
        .and_then(|item| findings.keep(item.integer(0..=calls.max(1))));
    let outbound_calls_per_minute = findings
        .keep(section.require("outbound_calls_per_minute"))
        .and_then(|item| findings.keep(item.integer(0..=1_000_000)))
        .unwrap_or_default();
    let shed_above_pressure = section
        .take("shed_above_pressure")
        .and_then(|item| findings.keep(item.integer(1..=100)));
    let messages_per_second_per_source = findings
        .keep(section.require("messages_per_second_per_source"))
        .and_then(|item| findings.keep(item.integer(10..=1_000_000)))
        .unwrap_or_default();
    let ban_after_bad_messages = findings
        .keep(section.require("ban_after_bad_messages"))
        .and_then(|item| findings.keep(item.integer(0..=1_000_000)))
        .unwrap_or_default();
    section.finish(findings);
    LimitsConfig {
        calls: calls as usize,
        calls_per_second,
        outbound_calls,
        outbound_calls_per_minute,
        shed_above_pressure,
        max_duration,
        messages_per_second_per_source,
        ban_after_bad_messages,
    }
}

/// What a stop does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrainConfig {
    /// After a stop was asked for, live calls have so long to end by themselves.
    pub timeout: Duration,
}

pub(super) fn read_drain(mut section: Section<'_>, findings: &mut Findings) -> DrainConfig {
    let timeout = findings
        .keep(section.require("timeout_s"))
        .and_then(|item| findings.keep(item.seconds(0..=86_400)))
        .unwrap_or_default();
    section.finish(findings);
    DrainConfig { timeout }
}

/// Health, metrics and the page of live calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlConfig {
    /// The TCP address of the HTTP listener; port 0 asks for any.
    pub listen: SocketAddr,
    /// The names it is asked for by; addresses and localhost go without saying.
    pub names: Vec<String>,
}

impl ControlConfig {
    /// Where the HTTP listener of a daemon with this configuration is, whatever else the configuration says:
    /// who asks a daemon something may not be able to read its keys and passwords.
    ///
    /// # Errors
    /// The layers cannot be read, or `control.listen` names no port to ask at.
    pub fn read_listen(layers: &Layers) -> Result<SocketAddr, Findings> {
        let document = layers.merge()?;
        let mut findings = Findings::default();
        let mut section = document.root().section("control", &mut findings);
        if let Some((item, listen)) = take_listen(&mut section, &mut findings) {
            match listen.port() {
                0 => findings
                    .mistakes
                    .push(item.finding("is any port; --control says which it is")),
                _ => return Ok(listen),
            }
        }
        Err(findings)
    }
}

fn take_listen<'a>(
    section: &mut Section<'a>,
    findings: &mut Findings,
) -> Option<(Item<'a>, SocketAddr)> {
    let item = findings.keep(section.require("listen"))?;
    let listen = findings.keep(item.parse(|text| {
        text.parse()
            .map_err(|_| "should be ADDRESS:PORT, as 127.0.0.1:8060")
    }))?;
    Some((item, listen))
}

/// `None` when the address is wrong.
pub(super) fn read_control(
    mut section: Section<'_>,
    findings: &mut Findings,
) -> Option<ControlConfig> {
    let listen = take_listen(&mut section, findings);
    let names = section
        .take("names")
        .map(|item| item.parse_list(findings, parse_host_name))
        .unwrap_or_default();
    let tokens = section.take("tokens");
    if let Some(tokens) = &tokens {
        for token in findings.keep(tokens.list()).unwrap_or_default() {
            let Some(mut token) = findings.keep(token.section()) else {
                continue;
            };
            for key in ["name", "role"] {
                let text = token.require(key).and_then(|item| item.text());
                findings.keep(text);
            }
            let file = token
                .require("token_file")
                .and_then(|item| item.readable_path());
            findings.keep(file);
            token.finish(findings);
        }
    }
    if let Some((item, listen)) = &listen {
        // A protection that was asked for and is not built must not be believed in.
        match &tokens {
            Some(tokens) if listen.ip().is_loopback() => {
                let what = "tokens are not built yet; whoever reaches control.listen may look at calls, place and end them";
                findings.warnings.push(tokens.finding(what));
            }
            Some(tokens) => findings.mistakes.push(tokens.finding(format!(
                "tokens are not built yet, so {listen} would be open to everybody; listen on 127.0.0.1"
            ))),
            None if listen.ip().is_loopback() => {}
            None => findings.mistakes.push(item.finding(format!(
                "whoever reaches {listen} could look at calls, place them at your cost and end them; \
                 listen on 127.0.0.1"
            ))),
        }
    }
    section.finish(findings);
    listen.map(|(_, listen)| ControlConfig {
        listen,
        names: names.into_iter().map(|(_, name)| name).collect(),
    })
}

fn parse_host_name(text: &str) -> Result<String, &'static str> {
    let holds_well = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if holds_well && !text.is_empty() {
        Ok(text.to_owned())
    } else {
        Err("should be a host name without a port, as offhook.example.net")
    }
}

/// Where recordings and captures go.
pub(super) fn read_records(
    mut section: Section<'_>,
    findings: &mut Findings,
) -> (Option<PathBuf>, Option<PathBuf>) {
    let database = section.take("database").and_then(|item| {
        let text = findings.keep(item.text())?;
        if text.starts_with("sqlite:") || text.starts_with("postgres://") {
            Some(item.finding("call records are not built yet; no database is written"))
        } else {
            // The address may hold a password: it is not repeated.
            findings
                .mistakes
                .push(item.finding("should begin with sqlite: or postgres://"));
            None
        }
    });
    findings.warnings.extend(database);
    let mut folder = |key| {
        let item = section.take(key)?;
        findings.keep(item.path())
    };
    let (recordings, captures) = (folder("recordings"), folder("captures"));
    section.finish(findings);
    (recordings, captures)
}
