//! The speech process: `offhook speech-worker`, started by the supervisor and by nobody else.
//!
//! Its standard input is one end of a socket pair. The first frame says what it is to be, then it
//! answers one request after the other until the other end is closed.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use offhook_media::resampler::resample_whole;

use super::acceptance::Loudness;
use super::flite::Flite;
use super::frame;
use super::library::MissingLibrary;
use super::message::{Request, Response, Start};
use super::pocketsphinx::{Pocketsphinx, SAMPLE_RATE_HZ};
use super::{Role, Voice, spotting};

/// The longest utterance that is recognised, in seconds; the session cuts its own at 20.
const LONGEST_UTTERANCE_S: usize = 25;

/// Runs the speech process on standard input; call it first thing in `main`, before any thread or
/// runtime is started, when the program's first argument is [`super::SUBCOMMAND`].
#[must_use]
pub fn main() -> std::process::ExitCode {
    let socket = io::stdin().as_fd().try_clone_to_owned();
    match socket.and_then(run) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("speech worker: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

/// Serves the supervisor at the other end of `socket` until it closes.
///
/// # Errors
/// `socket` is no socket or the other end broke the protocol.
pub fn run(socket: OwnedFd) -> io::Result<()> {
    give_way();
    let mut socket = UnixStream::from(socket);
    let Some((start, _)) = frame::read::<Start>(&mut socket)? else {
        return Ok(());
    };
    let mut engine = match Engine::load(&start) {
        Ok(engine) => engine,
        Err(missing) => return answer(&mut socket, &unavailable(&missing), &[]),
    };
    answer(&mut socket, &Response::Ready, &[])?;
    while let Some((request, samples)) = frame::read(&mut socket)? {
        let (response, samples) = engine.serve(request, &samples);
        answer(&mut socket, &response, &samples)?;
    }
    Ok(())
}

/// What a process is, loaded.
enum Engine {
    Synthesis(Flite),
    Recognition(Pocketsphinx),
}

impl Engine {
    fn load(start: &Start) -> Result<Self, MissingLibrary> {
        let folder = start.library_folder.as_deref();
        Ok(match start.role {
            Role::Synthesis => Self::Synthesis(Flite::load(folder, Voice::default())?),
            Role::Recognition => {
                Self::Recognition(Pocketsphinx::load(folder, &start.model_folder)?)
            }
        })
    }

    fn serve(&mut self, request: Request, samples: &Arc<[i16]>) -> (Response, Vec<i16>) {
        match (self, request) {
            (Self::Synthesis(flite), Request::Synthesise { voice, text }) => {
                synthesise(flite, voice, &text)
            }
            (
                Self::Recognition(recogniser),
                Request::Recognise {
                    sample_rate_hz,
                    phrases,
                },
            ) => (
                recognise(recogniser, sample_rate_hz, samples, &phrases),
                Vec::new(),
            ),
            (
                Self::Recognition(recogniser),
                Request::Spot {
                    sample_rate_hz,
                    phrases,
                },
            ) => (
                spot(recogniser, sample_rate_hz, samples, &phrases),
                Vec::new(),
            ),
            (Self::Synthesis(_), Request::Recognise { .. } | Request::Spot { .. })
            | (Self::Recognition(_), Request::Synthesise { .. }) => {
                (refused("a request for the other role"), Vec::new())
            }
        }
    }
}

fn synthesise(flite: &mut Flite, voice: Voice, text: &str) -> (Response, Vec<i16>) {
    match flite.synthesise(voice, text) {
        Ok(Ok((_, samples))) if samples.len() > frame::MOST_SAMPLES => {
            (refused("a text that takes minutes to say"), Vec::new())
        }
        Ok(Ok((sample_rate_hz, samples))) => (Response::Audio { sample_rate_hz }, samples),
        Ok(Err(reason)) => (refused(&reason), Vec::new()),
        Err(missing) => (unavailable(&missing), Vec::new()),
    }
}

fn recognise(
    recogniser: &mut Pocketsphinx,
    sample_rate_hz: u32,
    samples: &[i16],
    phrases: &[String],
) -> Response {
    let samples = match at_its_rate(sample_rate_hz, samples) {
        Ok(samples) => samples,
        Err(reason) => return refused(&reason),
    };
    let fit = match recogniser.best_fit(&samples, phrases) {
        Ok(Some(fit)) => fit,
        Ok(None) => return Response::OutOfGrammar,
        Err(refusal) => return refused(&refusal.to_string()),
    };
    let Some(confidence) = fit.confidence(&Loudness::of(&samples)) else {
        return Response::OutOfGrammar;
    };
    Response::Phrase {
        text: fit.phrase,
        confidence,
    }
}

fn spot(
    recogniser: &mut Pocketsphinx,
    sample_rate_hz: u32,
    samples: &[i16],
    phrases: &[String],
) -> Response {
    let mut samples = match at_its_rate(sample_rate_hz, samples) {
        Ok(samples) => samples,
        Err(reason) => return refused(&reason),
    };
    spotting::lay_floor(&mut samples);
    match recogniser.spot(&samples, phrases) {
        Ok(places) => Response::Spotted { places },
        Err(refusal) => refused(&refusal.to_string()),
    }
}

/// An utterance at the recogniser's rate, or what is wrong with it.
fn at_its_rate(sample_rate_hz: u32, samples: &[i16]) -> Result<Vec<i16>, String> {
    if !(8_000..=48_000).contains(&sample_rate_hz) {
        return Err(format!("a sample rate of {sample_rate_hz} Hz"));
    }
    if samples.len() > LONGEST_UTTERANCE_S * sample_rate_hz as usize {
        return Err(format!("an utterance of more than {LONGEST_UTTERANCE_S} s"));
    }
    resample_whole(samples, sample_rate_hz, SAMPLE_RATE_HZ).map_err(|error| error.to_string())
}

fn refused(reason: &str) -> Response {
    Response::Refused {
        reason: reason.to_owned(),
    }
}

fn unavailable(missing: &MissingLibrary) -> Response {
    Response::Unavailable {
        reason: missing.to_string(),
    }
}

fn answer(socket: &mut UnixStream, response: &Response, samples: &[i16]) -> io::Result<()> {
    socket.write_all(&frame::encode(response, samples)?)
}

/// Makes the process a modest one: lower priority than the calls; no core dump, which could hold what
/// a caller said; ended with its parent even while it hangs; and not by a terminal's or a service
/// manager's signal to all, since calls that are being drained still need it.
fn give_way() {
    let no_core = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: plain system calls on this process with arguments by value, or a pointer to a local that
    // outlives the call; no other thread runs yet, and ignoring a signal installs no handler. All may
    // fail harmlessly.
    unsafe {
        libc::nice(10);
        libc::setrlimit(libc::RLIMIT_CORE, &raw const no_core);
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
            libc::signal(signal, libc::SIG_IGN);
        }
    }
}
