//! `offhook call`: an agent calls somebody.

use std::collections::BTreeMap;

use clap::Args;
use offhook_session::pii::Pii;
use serde::Deserialize;
use serde_json::json;

use super::client::Answer;
use super::{Asking, Stopped};
use crate::command::Exit;
use crate::config::{AgentName, TrunkName};

/// Prints the call's id first, whatever follows.
#[derive(Args, Debug)]
pub(in crate::command) struct Arguments {
    /// Who is called: a number, or a sip:, sips: or tel: address.
    to: String,
    /// Who talks when it is answered.
    #[arg(long, value_name = "NAME")]
    agent: AgentName,
    /// By which trunk; may be left out where calls go out by one only.
    #[arg(long, value_name = "NAME")]
    trunk: Option<TrunkName>,
    /// The number or address that calls; else the trunk's own.
    #[arg(long, value_name = "WHO")]
    from: Option<String>,
    /// Keep from the far end who calls.
    #[arg(long)]
    private: bool,
    /// A further header of the INVITE; may be given often.
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = parse_header)]
    headers: Vec<(String, String)>,
    /// How long it may ring; else the trunk's ring_timeout_s.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=600))]
    ring_timeout: Option<u32>,
    /// Find out who answered, and do this about a machine that takes messages; or do not find it out [default: as agent
    /// and trunk say]
    #[arg(long, value_name = "POLICY", value_enum)]
    voicemail: Option<MachineChoice>,
    /// The message that is left on a machine, spoken.
    #[arg(long, value_name = "TEXT")]
    message: Option<Pii<String>>,
    /// Wait until the call is over. Control-C ends the waiting, not the call.
    #[arg(long, conflicts_with = "wait_answered")]
    wait: bool,
    /// Wait until the call is answered, or over.
    #[arg(long)]
    wait_answered: bool,
    #[command(flatten)]
    asking: Asking,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum MachineChoice {
    /// It is not found out.
    Off,
    /// The call ends.
    Hangup,
    /// A message is left.
    LeaveMessage,
    /// The agent talks to it as to a person.
    Continue,
    /// The agent decides.
    Callback,
}

impl MachineChoice {
    /// As the API spells it.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Hangup => "hangup",
            Self::LeaveMessage => "leave_message",
            Self::Continue => "continue",
            Self::Callback => "callback",
        }
    }
}

fn parse_header(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text
        .split_once(':')
        .ok_or("should be 'Name: value', as 'X-Campaign: 7'")?;
    let is_name = |name: &str| {
        let holds = |byte: u8| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte);
        !name.is_empty() && name.bytes().all(holds)
    };
    let (name, value) = (name.trim(), value.trim());
    if !is_name(name) {
        return Err("should begin with a header's name and a colon");
    }
    if value.contains(char::is_control) {
        return Err("has a line break or another control character in its value");
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// What became of a call.
#[derive(Debug, Deserialize)]
struct Outcome {
    id: String,
    state: String,
    reason: Option<String>,
    sip_status: Option<u16>,
    /// Whether it was answered, where it is over.
    answered: Option<bool>,
}

impl Outcome {
    /// `talking`, `ended: rejected (486)`.
    fn shown(&self) -> String {
        let reason = self
            .reason
            .as_deref()
            .map(|reason| reason.replace('_', " "));
        let reason = reason
            .map(|reason| format!(": {reason}"))
            .unwrap_or_default();
        let status = self.sip_status.map(|status| format!(" ({status})"));
        format!("{}{reason}{}", self.state, status.unwrap_or_default())
    }
}

pub(in crate::command) fn execute(arguments: &Arguments) -> Exit {
    let asking = &arguments.asking;
    let left = [None, Some(MachineChoice::LeaveMessage)];
    if arguments.message.is_some() && !left.contains(&arguments.voicemail) {
        eprintln!("offhook: --message is left by --voicemail leave-message alone");
        return Exit::WrongCommandLine;
    }
    if let Some(name) = arguments.repeated_header() {
        eprintln!("offhook: --header {name} is given twice");
        return Exit::WrongCommandLine;
    }
    asking.ask(async |client| {
        let (body, when) = arguments.body();
        let answer = client.post("/v1/calls", &body, when).await?;
        let outcome: Outcome = client.read(&answer)?;
        let shown = outcome.shown();
        asking.print(&answer, || match when {
            // Nothing but the id: `offhook hangup $(offhook call …)`.
            Answer::AtOnce => format!("{}\n", outcome.id),
            Answer::InItsTime => format!("{} {shown}\n", outcome.id),
        });
        let over = outcome.state == "ended";
        if over && (arguments.wait_answered || outcome.answered == Some(false)) {
            let what = format!("the call was not answered; it {shown}");
            return Err(Stopped::Unsuccessful(what));
        }
        Ok(())
    })
}

impl Arguments {
    /// The API takes each header once.
    fn repeated_header(&self) -> Option<&str> {
        let names = self.headers.iter().map(|(name, _)| name.as_str());
        names.enumerate().find_map(|(index, name)| {
            let earlier = &self.headers[..index];
            let repeats = |(other, _): &(String, String)| other.eq_ignore_ascii_case(name);
            earlier.iter().any(repeats).then_some(name)
        })
    }

    /// What the API is told about machines; `null` for nothing.
    fn voicemail(&self) -> serde_json::Value {
        let text = self.message.as_ref().map(Pii::expose);
        match (self.voicemail, text) {
            (None, None) => serde_json::Value::Null,
            (Some(MachineChoice::Off), _) => json!(false),
            (Some(choice), text) => json!({ "policy": choice.as_str(), "text": text }),
            // Who gives a message wants it left.
            (None, Some(text)) => {
                json!({ "policy": MachineChoice::LeaveMessage.as_str(), "text": text })
            }
        }
    }

    fn body(&self) -> (serde_json::Value, Answer) {
        let (wait, when) = match (self.wait, self.wait_answered) {
            (true, _) => ("ended", Answer::InItsTime),
            (false, true) => ("answered", Answer::InItsTime),
            (false, false) => ("begun", Answer::AtOnce),
        };
        let headers: BTreeMap<&str, &str> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let body = json!({
            "to": self.to,
            "from": self.from,
            "private": self.private,
            "trunk": self.trunk.as_ref().map(TrunkName::as_str),
            "agent": self.agent.as_str(),
            "headers": headers,
            "ring_timeout_s": self.ring_timeout,
            "voicemail": self.voicemail(),
            "wait": wait,
        });
        (body, when)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_a_name_a_colon_and_a_value_on_one_line() {
        let parsed = |text| parse_header(text).ok();
        let header = |name: &str, value: &str| Some((name.to_owned(), value.to_owned()));
        assert_eq!(parsed("X-Campaign: 7"), header("X-Campaign", "7"));
        assert_eq!(parsed("X-Time:12:30"), header("X-Time", "12:30"));
        assert_eq!(parsed("X-Empty:"), header("X-Empty", ""));
        for wrong in ["", "X-Campaign", ": 7", "X Y: 7", "X: 7\r\nVia: us"] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_outcome_names_its_cause_and_the_far_ends_word() {
        let shown = |answer| serde_json::from_str::<Outcome>(answer).unwrap().shown();
        assert_eq!(shown(r#"{"id":"c","state":"talking"}"#), "talking");
        assert_eq!(
            shown(r#"{"id":"c","state":"ended","reason":"far_end_hung_up"}"#),
            "ended: far end hung up"
        );
        assert_eq!(
            shown(r#"{"id":"c","state":"ended","reason":"rejected","sip_status":486}"#),
            "ended: rejected (486)"
        );
    }

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn what_is_said_about_machines_is_what_the_api_is_told() {
        let told = |more: &[&str]| {
            let line = ["call", "+15550100", "--agent", "desk"];
            let line = line.iter().chain(more);
            let line = <Line as clap::Parser>::try_parse_from(line).unwrap();
            line.arguments.body().0["voicemail"].clone()
        };
        assert_eq!(told(&[]), json!(null));
        assert_eq!(told(&["--voicemail", "off"]), json!(false));
        assert_eq!(
            told(&["--voicemail", "callback"]),
            json!({ "policy": "callback", "text": null })
        );
        let left = json!({ "policy": "leave_message", "text": "Call back." });
        assert_eq!(told(&["--message", "Call back."]), left);
        let both = ["--voicemail", "leave-message", "--message", "Call back."];
        assert_eq!(told(&both), left);
    }
}
