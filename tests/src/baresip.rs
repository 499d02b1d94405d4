//! baresip as a caller: a real softphone without a sound card. It speaks from a WAV file, what it hears is written to
//! another, and it is steered over its control connection (netstrings with JSON).
//!
//! Its ways: without `net_interface` it does not offer loopback; it takes the port above its SIP port as well; the WAV
//! it speaks must have the codec's rate and one channel, in 16 bits; the player `aubridge` is the one that needs no
//! sound card, and the filter `sndfile` is what writes files of what was said and heard.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::child::Program;
use crate::ports::PortBlock;
use crate::scratch::Scratch;
use crate::wait::wait_until;
use crate::wav::{self, Heard};

/// Where Debian's package baresip-core has its modules, by machine-independent path.
const MODULES: &str = "/usr/lib/baresip/modules";
/// From start to the first command.
const READY: Duration = Duration::from_secs(10);
/// Which port of its block it takes SIP at.
const SIP_PORT: u16 = 2;
/// What the caller says lasts one minute.
const SAYS_S: u32 = 60;

/// The codec a softphone offers, besides telephone-event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// G.711 µ-law at 8 kHz.
    Pcmu,
    /// G.722 at 16 kHz.
    G722,
    /// Opus at 48 kHz, one channel.
    Opus,
}

impl Codec {
    fn account_name(self) -> &'static str {
        match self {
            Self::Pcmu => "pcmu",
            Self::G722 => "g722/16000/1",
            Self::Opus => "opus/48000/1",
        }
    }

    fn sample_rate_hz(self) -> u32 {
        match self {
            Self::Pcmu => 8_000,
            Self::G722 => 16_000,
            Self::Opus => 48_000,
        }
    }
}

/// What differs between the softphones that tests start.
#[derive(Debug, Clone, Copy)]
pub struct BaresipSetup<'a> {
    /// What it offers.
    pub codec: Codec,
    /// Over TLS it believes only whom the authorities in this file vouch for.
    pub believed: Option<&'a Path>,
    /// Whether it offers RTCP on the port of RTP.
    pub rtcp_mux: bool,
    /// Whether it says something all the time (see [`wav::write_murmur`]), and not a quiet line.
    pub murmurs: bool,
    /// A recording that it says in place of both: at the codec's rate, one channel.
    pub says: Option<&'a Path>,
    /// Whether it offers SRTP, and takes nothing else.
    pub srtp: bool,
    /// Whether it answers whoever calls.
    pub answers: bool,
}

impl BaresipSetup<'_> {
    /// One that offers `codec`, believes everybody, and has RTCP on a port of its own.
    #[must_use]
    pub fn new(codec: Codec) -> Self {
        Self {
            codec,
            believed: None,
            rtcp_mux: false,
            murmurs: false,
            says: None,
            srtp: false,
            answers: false,
        }
    }
}

/// A running softphone. Ends with this value.
#[derive(Debug)]
pub struct Baresip {
    program: Program,
    control: TcpStream,
    unread: Vec<u8>,
    folder: Scratch,
    ports: PortBlock,
}

impl Baresip {
    /// Starts a softphone that offers `codec` and says nothing but a quiet line.
    ///
    /// # Errors
    /// When baresip is missing or not ready in ten seconds, with what it printed.
    pub fn start(codec: Codec) -> Result<Self, String> {
        Self::start_with(&BaresipSetup::new(codec))
    }

    /// The same, and it says something all the time: see [`wav::write_murmur`].
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_murmuring(codec: Codec) -> Result<Self, String> {
        Self::start_with(&BaresipSetup {
            murmurs: true,
            ..BaresipSetup::new(codec)
        })
    }

    /// The same, and over TLS it believes only whom the authorities in the file `believed` vouch for.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_believing(codec: Codec, believed: Option<&Path>) -> Result<Self, String> {
        Self::start_with(&BaresipSetup {
            believed,
            ..BaresipSetup::new(codec)
        })
    }

    /// Starts a softphone as `setup` says.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_with(setup: &BaresipSetup<'_>) -> Result<Self, String> {
        let codec = setup.codec;
        let folder = Scratch::new("baresip").map_err(|error| error.to_string())?;
        let ports = PortBlock::take(48).map_err(|error| error.to_string())?;
        let says = folder.file("says.wav");
        let write = match setup.murmurs {
            true => wav::write_murmur,
            false => wav::write_quiet_line,
        };
        match setup.says {
            Some(file) => fs::copy(file, &says)
                .map(|_| ())
                .map_err(|error| error.to_string())?,
            None => {
                write(&says, codec.sample_rate_hz(), SAYS_S).map_err(|error| error.to_string())?
            }
        }
        write_configuration(setup, &folder, &ports).map_err(|error| error.to_string())?;
        let mut command = Command::new("baresip");
        command
            .arg("-f")
            .arg(folder.path())
            .args(["-4", "-n", "127.0.0.1", "-v"]);
        let mut program = Program::start(
            "baresip (package baresip-core)",
            command,
            folder.file("baresip.log"),
        )
        .map_err(|error| error.to_string())?;
        let control_address = ports.address(4);
        let control = wait_until("control connection of baresip", READY, || {
            match program.ended() {
                Some(status) => Some(Err(format!(
                    "baresip ended early ({status}):\n{}",
                    program.log()
                ))),
                None => TcpStream::connect(control_address).ok().map(Ok),
            }
        })??;
        Ok(Self {
            program,
            control,
            unread: Vec::new(),
            folder,
            ports,
        })
    }

    /// Where it takes calls.
    pub fn sip(&self) -> SocketAddr {
        self.ports.address(SIP_PORT)
    }

    /// Waits until a call that it answered is up.
    ///
    /// # Errors
    /// When none is within `limit`.
    pub fn answered(&mut self, limit: Duration) -> Result<(), String> {
        self.event(&["CALL_ESTABLISHED"], limit).map(|_| ())
    }

    /// Calls `user` at `target` and waits until the call is up.
    ///
    /// # Errors
    /// When it is refused, or not up within `limit`.
    pub fn call(&mut self, user: &str, target: SocketAddr, limit: Duration) -> Result<(), String> {
        self.call_uri(&format!("sip:{user}@{target}"), limit)
    }

    /// Calls a whole URI, which may name a transport, and waits until the call is up.
    ///
    /// # Errors
    /// When it is refused, or not up within `limit`.
    pub fn call_uri(&mut self, uri: &str, limit: Duration) -> Result<(), String> {
        self.command("dial", uri)
            .map_err(|error| error.to_string())?;
        let event = self.event(&["CALL_ESTABLISHED", "CALL_CLOSED"], limit)?;
        if event.contains("CALL_CLOSED") {
            Err(format!("the call was refused: {event}"))
        } else {
            Ok(())
        }
    }

    /// Presses and releases one key.
    ///
    /// # Errors
    /// When the control connection is gone.
    pub fn press(&mut self, digit: char) -> io::Result<()> {
        self.command("sndcode", &digit.to_string())
    }

    /// Hangs up and waits until baresip has closed the call.
    ///
    /// # Errors
    /// When that takes more than five seconds.
    pub fn hang_up(&mut self) -> Result<(), String> {
        self.command("hangup", "")
            .map_err(|error| error.to_string())?;
        self.event(&["CALL_CLOSED"], Duration::from_secs(5))
            .map(|_| ())
    }

    /// Waits for the far end to hang up.
    ///
    /// # Errors
    /// When it has not within `limit`.
    pub fn closed_by_far_end(&mut self, limit: Duration) -> Result<(), String> {
        self.event(&["CALL_CLOSED"], limit).map(|_| ())
    }

    /// What the caller has heard so far; `None` before the first sample. The file is written while the call lasts, in
    /// blocks of some hundred milliseconds.
    pub fn heard(&self) -> Option<Heard> {
        Heard::read(&self.recording("-dec.wav")?)
    }

    /// How much what the caller hears is like what it says; `None` while either is too short.
    pub fn likeness(&self) -> Option<wav::Likeness> {
        wav::likeness(&self.recording("-enc.wav")?, &self.recording("-dec.wav")?)
    }

    /// How much of the line `said` the caller hears; `None` before a quarter of a second.
    pub fn likeness_of_line(&self, said: &Path) -> Option<f64> {
        wav::likeness_of_line(said, &self.recording("-dec.wav")?)
    }

    /// What baresip printed, its trace of the call included.
    pub fn log(&self) -> String {
        self.program.log()
    }

    fn recording(&self, ending: &str) -> Option<PathBuf> {
        let files = fs::read_dir(self.folder.path()).ok()?;
        let mut paths = files.flatten().map(|file| file.path());
        paths.find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().ends_with(ending))
        })
    }

    fn command(&mut self, name: &str, parameters: &str) -> io::Result<()> {
        let text = format!("{{\"command\":{name:?},\"params\":{parameters:?}}}");
        write!(self.control, "{}:{text},", text.len())
    }

    /// Reads control messages until an event of one of `types` comes, and gives its text.
    fn event(&mut self, types: &[&str], limit: Duration) -> Result<String, String> {
        let deadline = Instant::now() + limit;
        loop {
            while let Some(message) = take_netstring(&mut self.unread) {
                let is_event = message.contains("\"event\":true");
                if is_event
                    && types
                        .iter()
                        .any(|kind| message.contains(&format!("\"type\":\"{kind}\"")))
                {
                    return Ok(message);
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let failed = |why: String| {
                format!(
                    "baresip gave none of {types:?}: {why}; it said:\n{}",
                    self.program.log()
                )
            };
            if left.is_zero() {
                return Err(failed(format!("{limit:?} have passed")));
            }
            let mut buffer = [0; 4_096];
            let read = self
                .control
                .set_read_timeout(Some(left))
                .and_then(|()| self.control.read(&mut buffer));
            match read {
                Ok(0) => return Err(failed("it closed the control connection".to_owned())),
                Ok(length) => self.unread.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(failed(error.to_string())),
            }
        }
    }
}

/// Takes one whole `length:text,` from the front of what was read; `None` when there is no whole one yet.
fn take_netstring(unread: &mut Vec<u8>) -> Option<String> {
    let colon = unread.iter().position(|byte| *byte == b':')?;
    let length: usize = std::str::from_utf8(&unread[..colon]).ok()?.parse().ok()?;
    let text = unread.get(colon + 1..colon + 1 + length)?;
    let text = String::from_utf8_lossy(text).into_owned();
    unread.drain(..(colon + length + 2).min(unread.len()));
    Some(text)
}

fn write_configuration(
    setup: &BaresipSetup<'_>,
    folder: &Scratch,
    ports: &PortBlock,
) -> io::Result<()> {
    let rtcp_mux = if setup.rtcp_mux { "yes" } else { "no" };
    let believed = setup.believed.map(|file| {
        let file = file.display();
        format!("sip_cafile {file}\nsip_verify_server yes\n")
    });
    let (first, last) = (ports.port(10), ports.port(40));
    let folder_name = folder.path().display();
    let configuration = format!(
        "sip_listen {sip}\n\
         net_interface 127.0.0.1\n\
         rtp_ports {first}-{last}\n\
         rtcp_mux {rtcp_mux}\n\
         rtp_stats yes\n\
         audio_source aufile,{folder_name}/says.wav\n\
         audio_player aubridge,nowhere\n\
         audio_alert aubridge,nowhere\n\
         audio_buffer 20-160\n\
         opus_stereo no\n\
         opus_sprop_stereo no\n\
         snd_path {folder_name}\n\
         module_path {MODULES}\n\
         module g711.so\nmodule g722.so\nmodule opus.so\nmodule aufile.so\nmodule aubridge.so\nmodule sndfile.so\nmodule srtp.so\n\
         module_app account.so\nmodule_app menu.so\nmodule_app ctrl_tcp.so\n\
         ctrl_tcp_listen {control}\n\
         {believed}",
        believed = believed.unwrap_or_default(),
        sip = ports.address(SIP_PORT),
        control = ports.address(4),
    );
    fs::write(folder.file("config"), configuration)?;
    let account = format!(
        "<sip:softphone@127.0.0.1>;regint=0;audio_codecs={}{}{}\n",
        setup.codec.account_name(),
        if setup.srtp {
            ";mediaenc=srtp-mand"
        } else {
            ""
        },
        if setup.answers {
            ";answermode=auto"
        } else {
            ""
        },
    );
    fs::write(folder.file("accounts"), account)?;
    fs::write(folder.file("contacts"), "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sipp::SippEcho;

    #[test]
    fn netstrings_are_taken_whole_or_not_at_all() {
        let mut unread = b"5:hello,3:wo".to_vec();
        assert_eq!(take_netstring(&mut unread).as_deref(), Some("hello"));
        assert_eq!(take_netstring(&mut unread), None);
        assert_eq!(unread, b"3:wo");
    }

    #[test]
    fn a_softphone_calls_a_peer_that_is_not_ours_and_hears_its_own_quiet_line() {
        let echo = SippEcho::start().expect("an echo");
        let mut phone = Baresip::start(Codec::Pcmu).expect("a softphone");
        phone
            .call("echo", echo.sip(), Duration::from_secs(10))
            .expect("an answer");
        phone.press('5').expect("a key");
        let heard = wait_until("a second of audio", Duration::from_secs(10), || {
            phone.heard().filter(|heard| heard.length_ms() >= 1_000)
        });
        let heard = heard.expect("something is heard");
        assert_eq!(heard.audible_ms(0), 0);
        phone.hang_up().expect("an end");
    }
}
