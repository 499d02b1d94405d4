//! `offhook demo`: the daemon with a configuration of its own, and how to call it.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::Args;
use tokio::sync::mpsc;

use super::Exit;
use super::ready::Ready;
use crate::config::{Config, Layers};
use crate::demo;
use crate::listeners::{Listeners, TakenPort};
use crate::service::{self, Service};

const CONFIGURATION: &str = include_str!("demo.toml");
const SIP_PORT: u16 = 5060;
/// Finished calls that may wait to be looked at; the demonstration is one call.
const FINISHED_CALLS: usize = 4;
/// Who may call when phones on other machines are asked for: the networks that are nobody's on the
/// Internet (RFC 1918, RFC 6598, RFC 4193, link-local) and the machine itself.
const NEARBY: &str = r#"["127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "::1", "fc00::/7", "fe80::/10"]"#;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Let a recorded caller call front-desk; leaves the recording, the transcript and the SIP messages.
    #[arg(long)]
    call: bool,
    /// The address phones call: one of this machine's, with a port if 5060 will not do.
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    listen: Option<SocketAddr>,
    /// Change one key of the demo's configuration, as media.ports=20000-20999; may be given often.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
}

impl Arguments {
    fn layers(&self) -> Layers {
        let listen = self.listen.iter().flat_map(|address| {
            let ip = address.ip();
            let mut settings = vec![
                format!(r#"sip.listen=["udp:{address}"]"#),
                format!(r#"media.bind=["{ip}"]"#),
            ];
            if !ip.is_loopback() {
                settings.push(format!("trunk.demo.inbound_from={NEARBY}"));
            }
            settings
        });
        Layers::text("the demo's configuration", CONFIGURATION)
            .with_environment()
            .with_settings(listen.chain(self.settings.iter().cloned()))
    }
}

fn parse_address(text: &str) -> Result<SocketAddr, &'static str> {
    let with_port = text.parse::<SocketAddr>().ok();
    let address =
        with_port.or_else(|| Some(SocketAddr::new(text.parse::<IpAddr>().ok()?, SIP_PORT)));
    address.ok_or("is not an IP address, or one with a port, as 192.0.2.1 or 192.0.2.1:5070")
}

pub(super) fn execute(arguments: &Arguments) -> Exit {
    let ready = match Ready::make(&arguments.layers(), TakenPort::UseNextFree) {
        Ok(ready) => ready,
        Err(exit) => return exit,
    };
    if arguments.call {
        return call(ready);
    }
    print!("{}", instructions(&ready.config, &ready.listeners));
    ready.serve()
}

/// Starts the daemon, lets the recorded caller call it, and keeps what came of it.
fn call(ready: Ready) -> Exit {
    let Ready {
        config,
        telemetry,
        listeners,
        ..
    } = ready;
    let Some(target) = listeners.sip_addresses().next() else {
        eprintln!("offhook: nothing to call: sip.listen is empty");
        return Exit::Failed;
    };
    let folder = config
        .recordings
        .clone()
        .unwrap_or_else(|| PathBuf::from("."));
    print!("{}", moved(&listeners));
    let kept = service::runtime()
        .map_err(|error| error.to_string())
        .and_then(|runtime| {
            runtime.block_on(async {
                let (sender, mut finished) = mpsc::channel(FINISHED_CALLS);
                let service = Service::start(config, listeners, &telemetry, Some(sender))
                    .await
                    .map_err(|error| error.to_string())?;
                println!(
                    "A recorded caller calls sip:front-desk@{target}; this takes about a minute."
                );
                let kept = demo::call(target, &mut finished).await;
                service.stop().await.map_err(|error| error.to_string())?;
                kept.and_then(|keepsake| keepsake.save(&folder))
                    .map_err(|error| error.to_string())
            })
        });
    telemetry.flush();
    match kept {
        Ok(said) => {
            print!("{said}");
            Exit::Done
        }
        Err(error) => {
            eprintln!("offhook: {error}");
            Exit::Failed
        }
    }
}

/// Which addresses are others than were asked for, a line each.
fn moved(listeners: &Listeners) -> String {
    let moved = listeners.moved().iter().map(|moved| {
        format!(
            "{} is taken by another program; using {} instead.\n",
            moved.wanted, moved.bound
        )
    });
    moved.collect()
}

/// How to call the demo, with the addresses it really has.
fn instructions(config: &Config, listeners: &Listeners) -> String {
    // As it was called: `make run` puts nothing on the PATH.
    let program = std::env::args()
        .next()
        .unwrap_or_else(|| "offhook".to_owned());
    let mut text = moved(listeners);
    let mut line = |line: String| text.extend([line.as_str(), "\n"]);
    line(String::new());
    for address in listeners.sip_addresses() {
        line(format!("SIP    udp:{address}"));
        for agent in config.agents.keys() {
            line(format!("       sip:{agent}@{address}"));
        }
    }
    line(format!(
        "Page   http://{}/  (live calls)",
        listeners.control_address()
    ));
    if let Some(address) = listeners.sip_addresses().next() {
        line(String::new());
        line("Call it".to_owned());
        line(format!(
            "  with a softphone:  dial sip:front-desk@{address} (no account, no registration)"
        ));
        line(format!(
            "  with baresip:      baresip -e \"/dial sip:front-desk@{address}\""
        ));
        line(format!(
            "  by itself:         {program} demo --call (a recorded caller; leaves demo/call.wav)"
        ));
        line(format!(
            "  with SIPp:         sipp -sn uac -s echo -m 1 -d 3000 {address}"
        ));
        if address.ip().is_loopback() {
            line(format!(
                "  from elsewhere:    {program} demo --listen ADDRESS, with an address of this machine"
            ));
        }
    }
    line(String::new());
    line("Control-C ends it.".to_owned());
    text
}
