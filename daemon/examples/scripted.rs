//! The daemon with a voice and a recogniser that follow a script, for `bench --only answers`.
//!
//! The recogniser takes whatever it hears for the first phrase that is expected, at once; the voice says every text as
//! one second of a tone, at once. So what is left of the time until an answer is the daemon's own.
//!
//! `scripted run --config FILE`

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use offhook::config::{Config, Host, Layers};
use offhook::listeners::{Listeners, TakenPort};
use offhook::service;
use offhook::telemetry::Telemetry;
use offhook_session::agent_session::Providers;
use offhook_session::grammar::Grammar;
use offhook_session::provider::{Audio, ProviderError, Recognition, SpeechToText, TextToSpeech};

// As the daemon's own.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const RATE_HZ: u32 = 8_000;

/// Follows the script.
struct Scripted;

#[async_trait]
impl TextToSpeech for Scripted {
    fn voice(&self) -> &str {
        "scripted"
    }

    async fn synthesise(&self, _: &str) -> Result<Audio, ProviderError> {
        let sample = |n: u32| {
            let turns = f64::from(n) * 440.0 / f64::from(RATE_HZ);
            (8_000.0 * (turns * std::f64::consts::TAU).sin()) as i16
        };
        Ok(Audio {
            sample_rate_hz: RATE_HZ,
            samples: (0..RATE_HZ).map(sample).collect(),
        })
    }
}

#[async_trait]
impl SpeechToText for Scripted {
    async fn recognise(&self, _: Audio, grammar: &Grammar) -> Result<Recognition, ProviderError> {
        Ok(match grammar.phrases.first() {
            Some(phrase) => Recognition::Phrase {
                text: phrase.clone(),
                confidence: 1.0,
            },
            None => Recognition::OutOfGrammar,
        })
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [run, option, file] = &arguments[..] else {
        eprintln!("usage: scripted run --config FILE");
        return ExitCode::from(2);
    };
    if run != "run" || option != "--config" {
        eprintln!("usage: scripted run --config FILE");
        return ExitCode::from(2);
    }
    match serve(file) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("scripted: {why}");
            ExitCode::FAILURE
        }
    }
}

fn serve(file: &str) -> Result<(), String> {
    let layers = Layers::file(file);
    let (config, _) =
        Config::read(&layers, &Host::this()).map_err(|findings| findings.to_string())?;
    let telemetry = Telemetry::start().map_err(|error| error.to_string())?;
    let listeners =
        Listeners::bind(&config, TakenPort::Refuse).map_err(|error| error.to_string())?;
    let providers = || Providers {
        voice: Some(Arc::new(Scripted)),
        recogniser: Some(Arc::new(Scripted)),
        ..Providers::default()
    };
    service::run_with(config, listeners, &telemetry, providers).map_err(|error| error.to_string())
}
