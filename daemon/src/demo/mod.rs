//! The demonstration call: a recorded caller talks with front-desk over real sockets, and what came
//! of it is left in files.

mod caller;
mod ladder;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use offhook_media::control::Digit;
use offhook_session::agent_session::{EntryKind, Speaker, Transcript};
use offhook_sip::endpoint::EndCause;
use tokio::sync::mpsc;

use crate::sip_driver::FinishedCall;
pub use caller::CallerError;
use caller::{Caller, Move};

/// Who is called.
const AGENT: &str = "front-desk";
/// How long the daemon may take to put a finished call away.
const PUTTING_AWAY: Duration = Duration::from_secs(15);

const OPENING_HOURS: &[u8] = include_bytes!("../../../deploy/audio/caller/opening_hours.wav");
const YES: &[u8] = include_bytes!("../../../deploy/audio/caller/yes.wav");
const NO: &[u8] = include_bytes!("../../../deploy/audio/caller/no.wav");

/// Why the demonstration failed.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The caller could not carry the call through.
    #[error(transparent)]
    Caller(#[from] CallerError),
    /// The call ended before the conversation did.
    #[error("the call ended ({end:?}) after {made} of the caller's {planned} moves")]
    CutShort {
        /// How it ended.
        end: EndCause,
        /// Moves made.
        made: usize,
        /// Moves planned.
        planned: usize,
    },
    /// The daemon did not say what was left of the call.
    #[error("the daemon did not put the call away within {PUTTING_AWAY:?}")]
    NotPutAway,
    /// A file could not be written.
    #[error("{path}: {error}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: std::io::Error,
    },
}

/// What the call left behind.
#[derive(Debug)]
pub struct Keepsake {
    ladder: String,
    duration: Duration,
    agent_turns: usize,
    finished: FinishedCall,
}

/// Calls front-desk at `target` and talks to it until it hangs up.
///
/// # Errors
/// See [`DemoError`].
pub async fn call(
    target: SocketAddr,
    finished: &mut mpsc::Receiver<FinishedCall>,
) -> Result<Keepsake, DemoError> {
    let script = script();
    let planned = script.len();
    let report = Caller::dial(target, AGENT, script).await?.talk().await?;
    if report.moves_made < planned || report.end != EndCause::RemoteBye {
        return Err(DemoError::CutShort {
            end: report.end,
            made: report.moves_made,
            planned,
        });
    }
    let put_away = tokio::time::timeout(PUTTING_AWAY, ours(finished)).await;
    let finished = put_away.ok().flatten().ok_or(DemoError::NotPutAway)?;
    Ok(Keepsake {
        ladder: report.ladder,
        duration: report.duration,
        agent_turns: report.agent_turns,
        finished,
    })
}

/// The recorded caller's call; somebody else may be calling too.
async fn ours(finished: &mut mpsc::Receiver<FinishedCall>) -> Option<FinishedCall> {
    loop {
        let call = finished.recv().await?;
        if call.facts.from.expose() == caller::USER {
            return Some(call);
        }
    }
}

/// Words and keys: every way of answering that front-desk knows.
fn script() -> Vec<Move> {
    let say = |wav| Move::Say(samples_of(wav));
    let press = |keys: &str| Move::Press(keys.chars().filter_map(Digit::from_char).collect());
    vec![
        say(OPENING_HOURS),
        say(YES),
        press("3"),
        press("5550123#"),
        say(YES),
        say(NO),
    ]
}

/// The samples of one of the caller's lines: WAV as sox writes it, mono at 8 kHz.
fn samples_of(wav: &'static [u8]) -> Arc<[i16]> {
    let reader = hound::WavReader::new(wav).expect("the caller's lines are WAV files");
    reader.into_samples::<i16>().map_while(Result::ok).collect()
}

impl Keepsake {
    /// Writes the recording, the transcript and the ladder to `folder` and says where. To be called
    /// after the daemon stopped: the recording is whole then.
    ///
    /// # Errors
    /// [`DemoError::File`].
    pub fn save(&self, folder: &Path) -> Result<String, DemoError> {
        std::fs::create_dir_all(folder).map_err(|error| DemoError::File {
            path: folder.to_owned(),
            error,
        })?;
        let file = |name: &str, work: &dyn Fn(&Path) -> std::io::Result<()>| {
            let path = folder.join(name);
            work(&path).map_err(|error| DemoError::File {
                path: path.clone(),
                error,
            })?;
            Ok::<PathBuf, DemoError>(path)
        };
        let transcript = written(&self.finished.transcript);
        let text = file("transcript.txt", &|path| std::fs::write(path, &transcript))?;
        let ladder = file("ladder.txt", &|path| std::fs::write(path, &self.ladder))?;
        let mut said = format!("\n{}\n{transcript}\n", self.ladder);
        let _ = writeln!(
            said,
            "{:.1} s, the agent spoke {} times, ended as {}",
            self.duration.as_secs_f64(),
            self.agent_turns,
            self.finished.reason
        );
        if let Some(recorded) = &self.finished.recording {
            let recording = file("call.wav", &|path| std::fs::rename(recorded, path))?;
            let _ = writeln!(
                said,
                "recording   {} (caller left, agent right)",
                recording.display()
            );
        }
        let _ = writeln!(
            said,
            "transcript  {}\nladder      {}",
            text.display(),
            ladder.display()
        );
        Ok(said)
    }
}

/// A transcript as text: what was heard and what was said, by time.
fn written(transcript: &Transcript) -> String {
    let mut text = String::new();
    for entry in transcript.entries() {
        let who = match entry.who {
            Speaker::Caller => "caller",
            Speaker::Agent => "agent",
        };
        // Writing to a String cannot fail.
        let _ = match entry.kind {
            EntryKind::Speech => writeln!(
                text,
                "{:>8.2}  {who:<7} {}",
                seconds(entry.at_ms),
                entry.text.expose()
            ),
            EntryKind::InterruptedSpeech => {
                writeln!(
                    text,
                    "{:>8.2}  {who:<7} {} (interrupted)",
                    seconds(entry.at_ms),
                    entry.text.expose()
                )
            }
            EntryKind::Digits => {
                writeln!(
                    text,
                    "{:>8.2}  {who:<7} pressed {}",
                    seconds(entry.at_ms),
                    entry.text.expose()
                )
            }
        };
    }
    text
}

fn seconds(milliseconds: u64) -> f64 {
    Duration::from_millis(milliseconds).as_secs_f64()
}
