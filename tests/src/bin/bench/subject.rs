//! The programs that the bench compares: how each is started, and the load put on it.

use std::env;
use std::process::Command;
use std::time::Duration;

use offhook_tests::child::Program;
use offhook_tests::daemon::{Daemon, DaemonSetup};
use offhook_tests::load::{self, Format, LoadPlan, LoadReport};
use offhook_tests::ports::{PortBlock, udp_port_is_bound};
use offhook_tests::scratch::Scratch;
use offhook_tests::sipp::SippEcho;
use offhook_tests::wait::wait_until;

/// The programs compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    Floor,
    SippEcho,
    Offhook,
    OffhookWithVad,
}

pub(crate) const SUBJECTS: [Subject; 4] = [
    Subject::Floor,
    Subject::SippEcho,
    Subject::Offhook,
    Subject::OffhookWithVad,
];

impl Subject {
    /// Its name on the command line and in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::SippEcho => "sipp",
            Self::Offhook => "offhook",
            Self::OffhookWithVad => "offhook+vad",
        }
    }

    /// What it is, for a reader.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Floor => "bare echo, a socket a call and epoll",
            Self::SippEcho => "`sipp -rtp_echo`, one socket for all calls",
            Self::Offhook => "offhook, agent `echo`, VAD off",
            Self::OffhookWithVad => "offhook, agent `echo`, VAD on",
        }
    }

    /// Whether it can be asked to talk in `format`. SIPp's echo takes any, and shows no more by the others.
    pub(crate) fn takes(self, format: Format) -> bool {
        match self {
            Self::Floor | Self::Offhook => true,
            Self::SippEcho | Self::OffhookWithVad => format == Format::Pcmu,
        }
    }

    /// Starts the program fresh and puts the load on it.
    pub(crate) fn measure(
        self,
        format: Format,
        calls: usize,
        window: Duration,
    ) -> Result<LoadReport, String> {
        let load = |target, peer_pid| {
            let user = "echo".to_owned();
            load::run(&LoadPlan {
                target,
                user,
                peer_pid,
                format,
                interrupts: false,
                answer_waits: Duration::ZERO,
                calls,
                calls_per_second: 100,
                window,
            })
            .map_err(|error| error.to_string())
        };
        match self {
            Self::Floor => {
                let floor = FloorEcho::start(calls)?;
                load(floor.ports.address(1), floor.program.pid())
            }
            Self::SippEcho => {
                let sipp = SippEcho::start()?;
                load(sipp.sip(), sipp.pid())
            }
            Self::Offhook => {
                let daemon = Daemon::start(&offhook_setup(format, calls, ""))?;
                load(daemon.sip(), daemon.pid())
            }
            Self::OffhookWithVad => {
                let daemon = Daemon::start(&offhook_setup(format, calls, "voice_activity = true"))?;
                load(daemon.sip(), daemon.pid())
            }
        }
    }
}

fn offhook_setup(format: Format, calls: usize, echo_keys: &'static str) -> DaemonSetup {
    let (codec, trunk_keys) = match format {
        Format::Pcmu => ("pcmu", ""),
        Format::G722 => ("g722", ""),
        Format::Opus => ("opus", ""),
        Format::Srtp => ("pcmu", "srtp = \"required\"\n"),
    };
    DaemonSetup {
        calls: calls as u16,
        calls_per_second: 200,
        codecs: vec![codec],
        trunk_keys: trunk_keys.to_owned(),
        echo_keys,
        log: "warn",
        ..DaemonSetup::default()
    }
}

/// The bare echo as a running program.
struct FloorEcho {
    program: Program,
    ports: PortBlock,
    _folder: Scratch,
}

impl FloorEcho {
    fn start(calls: usize) -> Result<Self, String> {
        let binary = env::current_exe()
            .map_err(|error| error.to_string())?
            .with_file_name("floor_echo");
        let folder = Scratch::new("floor").map_err(|error| error.to_string())?;
        let ports = PortBlock::take((calls * 2 + 16) as u16).map_err(|error| error.to_string())?;
        let mut command = Command::new(binary);
        let rtp = ports.run(2);
        command
            .arg(ports.address(1).to_string())
            .args([rtp.start.to_string(), (rtp.end - 1).to_string()]);
        let program = Program::start("floor_echo", command, folder.file("log"))
            .map_err(|error| error.to_string())?;
        wait_until("a ready floor_echo", Duration::from_secs(5), || {
            udp_port_is_bound(ports.port(1)).then_some(())
        })?;
        Ok(Self {
            program,
            ports,
            _folder: folder,
        })
    }
}
