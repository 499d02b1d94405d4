//! How a step sends its caller elsewhere.

use std::time::Duration;

use super::Prompt;
use super::reading::read_prompt;
use super::table::Reader;
use crate::agent_session::{
    Meanwhile, SecondLegPlan, TransferMode, TransferRequest, WarmEnd, Words,
};
use crate::call::is_transfer_target;

/// The keys of a step with `transfer`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sending {
    /// A `sip:`, `sips:` or `tel:` address.
    pub(super) target: String,
    pub(super) mode: TransferMode,
    pub(super) bridge_if_refused: bool,
    pub(super) meanwhile: Meanwhile,
    pub(super) timeout: Duration,
    /// Said to whoever is called.
    pub(super) announce: Option<Prompt>,
    /// Asked of them, in a warm transfer.
    pub(super) ask: Option<Prompt>,
    /// Said to the caller who comes back.
    pub(super) apology: Option<Prompt>,
}

impl Sending {
    pub(super) fn prompts(&self) -> impl Iterator<Item = &Prompt> {
        [&self.announce, &self.ask, &self.apology]
            .into_iter()
            .flatten()
    }

    /// The prompts by their keys.
    pub(super) fn prompts_by_key(&self) -> impl Iterator<Item = (&'static str, &Prompt)> {
        let keys = [
            ("announce", &self.announce),
            ("ask", &self.ask),
            ("apology", &self.apology),
        ];
        keys.into_iter()
            .filter_map(|(key, prompt)| Some((key, prompt.as_ref()?)))
    }

    /// The same with other prompts.
    pub(super) fn map_prompts(&self, map: impl Fn(&Prompt) -> Prompt) -> Self {
        Self {
            announce: self.announce.as_ref().map(&map),
            ask: self.ask.as_ref().map(&map),
            apology: self.apology.as_ref().map(&map),
            ..self.clone()
        }
    }

    /// What the session is asked for; `words` makes of a prompt what is said.
    pub(super) fn request(self, words: impl Fn(Prompt) -> Option<Words>) -> TransferRequest {
        let request = TransferRequest::by(self.mode, self.target);
        let defaults = request.second_leg;
        TransferRequest {
            timeout: self.timeout,
            bridge_if_refused: self.bridge_if_refused,
            apology: self.apology.and_then(&words),
            second_leg: SecondLegPlan {
                words: self.announce.and_then(&words),
                question: self.ask.and_then(&words).unwrap_or(defaults.question),
                meanwhile: self.meanwhile,
                ..defaults
            },
            ..request
        }
    }
}

/// Reads what a step with `transfer` says of it.
pub(super) fn read_sending(step: &mut Reader<'_>, target: String) -> Sending {
    if !is_transfer_target(&target) {
        step.mistake("transfer", "is no sip:, sips: or tel: address");
    }
    let one_of = |step: &mut Reader<'_>, key: &str, known: &[&str]| -> Option<usize> {
        let text = step.text(key)?;
        let found = known.iter().position(|known| *known == text);
        if found.is_none() {
            step.mistake(key, format!("{text:?} is none of {}", known.join(", ")));
        }
        found
    };
    let mode = one_of(step, "mode", &["blind", "attended", "bridge", "warm"]);
    let finish = one_of(step, "finish", &["bridge", "attended"]);
    let mode = match (mode, finish) {
        (Some(1), _) => TransferMode::Attended,
        (Some(2), _) => TransferMode::Bridge,
        (Some(3), Some(1)) => TransferMode::Warm(WarmEnd::Attended),
        (Some(3), _) => TransferMode::Warm(WarmEnd::Bridge),
        _ => TransferMode::Blind,
    };
    if finish.is_some() && !mode.asks() {
        step.mistake("finish", "is never used: only a warm transfer has it");
    }
    let if_refused = one_of(step, "if_refused", &["bridge"]);
    let refers = match mode {
        TransferMode::Blind | TransferMode::Attended | TransferMode::Warm(WarmEnd::Attended) => {
            true
        }
        TransferMode::Bridge | TransferMode::Warm(WarmEnd::Bridge) => false,
    };
    if if_refused.is_some() && !refers {
        step.mistake(
            "if_refused",
            "is never used: the caller's end is asked for nothing",
        );
    }
    let has_second_leg = mode != TransferMode::Blind || if_refused.is_some();
    let meanwhile = one_of(step, "meanwhile", &["music", "ringing"]);
    let timeout_s = step.number("timeout_s", 1, 600).unwrap_or(60);
    let announce = read_prompt(step, "announce");
    let ask = read_prompt(step, "ask");
    let apology = read_prompt(step, "apology");
    if !has_second_leg {
        let given = [
            ("announce", announce.is_some()),
            ("meanwhile", meanwhile.is_some()),
        ];
        for (key, _) in given.into_iter().filter(|(_, given)| *given) {
            step.mistake(
                key,
                "is never used: nobody is called before a blind transfer",
            );
        }
    }
    if ask.is_some() && !mode.asks() {
        step.mistake("ask", "is never used: only a warm transfer asks");
    }
    let defaults = TransferRequest::by(mode, target.clone());
    let text = |words: Words| Prompt::Text(words.text.into_inner());
    Sending {
        target,
        mode,
        bridge_if_refused: if_refused.is_some(),
        meanwhile: match meanwhile {
            Some(1) => Meanwhile::Ringing,
            _ => Meanwhile::Music,
        },
        timeout: Duration::from_secs(timeout_s.into()),
        announce,
        ask: ask.or_else(|| mode.asks().then(|| text(defaults.second_leg.question))),
        apology: apology.or_else(|| defaults.apology.map(text)),
    }
}
