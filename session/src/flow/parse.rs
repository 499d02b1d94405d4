//! From a flow file's text to a [`Flow`].

use std::collections::BTreeMap;
use std::time::Duration;

use offhook_media::control::Digit;
use toml::Table;

use super::mistake::FlowMistake;
use super::reading::{read_prompt, read_terminator};
use super::sending::read_sending;
use super::table::{Mistakes, Reader};
use super::values::is_name;
use super::voicemail::Answerers;
use super::{Branch, DigitString, Flow, Next, Prompt, Step, StepName, check, errand};
use crate::grammar::{NO, YES, phrase};

/// Longest phrase, in words, and most phrases of one step: what a recogniser takes in its stride.
const LONGEST_PHRASE: usize = 12;
const MOST_PHRASES: usize = 500;

/// Most digits in one string: what a session's collection holds.
const MOST_DIGITS: u32 = 64;

pub(super) fn parse(text: &str) -> Result<Flow, Vec<FlowMistake>> {
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        vec![FlowMistake::new("", error.to_string().trim_end())]
    })?;
    let mistakes = Mistakes::default();
    let flow = read_flow(Reader::new("", table, &mistakes));
    let whole = mistakes.is_empty();
    let mut mistakes = mistakes.into_inner();
    mistakes.extend(check::check(&flow, whole));
    if mistakes.is_empty() {
        return Ok(flow);
    }
    mistakes.sort();
    mistakes.dedup();
    Err(mistakes)
}

/// Reads what can be read; the mistakes are with the reader.
fn read_flow(mut file: Reader<'_>) -> Flow {
    let start = file.text("start").unwrap_or_else(|| {
        file.mistake("start", "is missing: the name of the first step");
        String::new()
    });
    let silence_after = Duration::from_secs(file.number("silence_s", 2, 120).unwrap_or(8).into());
    let inherits = file.texts("inherits").unwrap_or_default();
    let answerers = file.table("voicemail").map(Answerers::read);
    let retries = file.number("retries", 0, 10).unwrap_or(2);
    let silence = read_prompt(&mut file, "silence");
    let no_match = read_prompt(&mut file, "no_match");
    let goodbye = read_prompt(&mut file, "goodbye");
    let mut steps = BTreeMap::new();
    match file.table("step") {
        Some(tables) => {
            for (name, step) in tables.into_tables() {
                steps.insert(StepName::new(&name), read_step(step));
            }
        }
        None => file.mistake(
            "step",
            "is missing: a flow has steps, each a table [step.NAME]",
        ),
    }
    file.finish();
    let or = |prompt: Option<Prompt>, text: &str| {
        prompt.unwrap_or_else(|| Prompt::Text(text.to_owned()))
    };
    Flow {
        start: StepName::new(&start),
        steps,
        inherits,
        answerers,
        silence_after,
        retries,
        silence: or(silence, "Are you still there?"),
        no_match: or(no_match, "Sorry, I did not understand that."),
        goodbye: or(goodbye, "Goodbye."),
    }
}

fn read_step(mut step: Reader<'_>) -> Step {
    let say = read_prompt(&mut step, "say");
    let reprompt = read_prompt(&mut step, "reprompt");
    let on_silence = read_step_name(&mut step, "on_silence");
    let on_no_match = read_step_name(&mut step, "on_no_match");
    let next = read_next(&mut step);
    step.finish();
    Step {
        say,
        reprompt,
        next,
        on_silence,
        on_no_match,
    }
}

/// What follows: exactly one of branches (`expect`, `yes`, `no`), `collect` with `then`, `then`, `transfer`, an
/// errand, `hangup`.
fn read_next(step: &mut Reader<'_>) -> Next {
    let branches = read_branches(step);
    let collect = step.table("collect");
    let then = read_step_name(step, "then");
    let transfer = step.text("transfer");
    let failed = read_step_name(step, "failed");
    let hangup = step.flag("hangup").unwrap_or(false);
    let errand = errand::read(step, &then, &failed);
    let says = [
        (!branches.is_empty(), "expect, yes or no"),
        (collect.is_some(), "collect"),
        (
            then.is_some() && collect.is_none() && !errand.takes_then(),
            "then",
        ),
        (transfer.is_some(), "transfer"),
        (errand.key().is_some(), errand.key().unwrap_or_default()),
        (hangup, "hangup"),
    ];
    let said: Vec<&str> = says
        .iter()
        .filter(|(is, _)| *is)
        .map(|(_, name)| *name)
        .collect();
    if let [first, second, ..] = said[..] {
        step.mistake(second, format!("a step cannot have this beside {first}"));
    }
    if transfer.is_none() && !errand.may_fail() && failed.is_some() {
        step.mistake("failed", errand::NOTHING_FAILS);
    }
    if let Some(target) = transfer {
        let sending = Box::new(read_sending(step, target));
        return Next::Transfer { sending, failed };
    }
    if let Some(next) = errand.next() {
        return next;
    }
    if !branches.is_empty() {
        return Next::Choose(branches);
    }
    if let Some(collect) = collect {
        if then.is_none() {
            step.mistake("then", "is missing: where the collected digits lead");
        }
        return Next::Collect(read_digit_string(
            collect,
            then.unwrap_or_else(|| StepName::new("")),
        ));
    }
    match then {
        Some(then) => Next::Then(then),
        None => {
            if said.is_empty() {
                step.mistake_here(errand::LEADS_NOWHERE);
            }
            Next::HangUp
        }
    }
}

fn read_branches(step: &mut Reader<'_>) -> Vec<Branch> {
    let mut branches = Vec::new();
    for mut item in step.tables("expect").unwrap_or_default() {
        let phrases = read_phrases(&mut item);
        let digits = read_digits(&mut item);
        if phrases.is_empty() && digits.is_empty() {
            item.mistake(
                "phrases",
                "is missing: what the caller may say (phrases) or press (digits)",
            );
        }
        let then = read_step_name(&mut item, "then");
        if then.is_none() {
            item.mistake("then", "is missing: the step this leads to");
        }
        let key = item.path().to_owned();
        item.finish();
        if let Some(then) = then {
            branches.push(Branch {
                phrases,
                digits,
                then,
                key,
            });
        }
    }
    // The keys 1 and 2 as well.
    for (key, phrases, digit) in [("yes", &YES[..], '1'), ("no", &NO[..], '2')] {
        if let Some(then) = read_step_name(step, key) {
            branches.push(Branch {
                phrases: phrases.iter().map(|text| phrase(text)).collect(),
                digits: Digit::from_char(digit).into_iter().collect(),
                then,
                key: step.key(key),
            });
        }
    }
    let phrases: usize = branches.iter().map(|branch| branch.phrases.len()).sum();
    if phrases > MOST_PHRASES {
        step.mistake(
            "expect",
            format!("{phrases} phrases in one step (the most is {MOST_PHRASES})"),
        );
    }
    branches
}

fn read_phrases(item: &mut Reader<'_>) -> Vec<String> {
    let mut phrases = Vec::new();
    for (index, text) in item.texts("phrases").unwrap_or_default().iter().enumerate() {
        let key = format!("phrases[{index}]");
        let written = phrase(text);
        let words = written.split(' ').count();
        if written.is_empty() {
            item.mistake(&key, "is empty");
        } else if let Some(odd) = written
            .chars()
            .find(|symbol| !matches!(symbol, 'a'..='z' | '\'' | ' '))
        {
            let advice = if odd.is_ascii_digit() {
                "write numbers as words"
            } else {
                "phrases are English words"
            };
            item.mistake(&key, format!("{text:?} has a {odd:?}: {advice}"));
        } else if words > LONGEST_PHRASE {
            item.mistake(
                &key,
                format!("{words} words in one phrase (the most is {LONGEST_PHRASE})"),
            );
        } else if phrases.contains(&written) {
            item.mistake(&key, format!("{text:?} is listed twice"));
        } else {
            phrases.push(written);
        }
    }
    phrases
}

/// `digits = "1"` or, for several that mean the same, `digits = "19*"`.
fn read_digits(item: &mut Reader<'_>) -> Vec<Digit> {
    let mut digits = Vec::new();
    for symbol in item.text("digits").unwrap_or_default().chars() {
        match Digit::from_char(symbol) {
            Some(digit) if digits.contains(&digit) => {
                item.mistake("digits", format!("{symbol} is listed twice"))
            }
            Some(digit) => digits.push(digit),
            None => item.mistake(
                "digits",
                format!("{symbol:?} is no key of a telephone (0-9, *, #, A-D)"),
            ),
        }
    }
    digits
}

fn read_digit_string(mut collect: Reader<'_>, then: StepName) -> DigitString {
    let name = collect.text("name").unwrap_or_else(|| "digits".to_owned());
    if !is_name(&name) {
        collect.mistake(
            "name",
            format!("{name:?}: a name is lower-case letters and _"),
        );
    }
    let min = collect.number("min", 1, MOST_DIGITS).unwrap_or(1);
    let max = collect
        .number("max", 1, MOST_DIGITS)
        .unwrap_or(MOST_DIGITS.max(min));
    if min > max {
        collect.mistake("min", format!("{min} is more than max, {max}"));
    }
    let terminator = read_terminator(&mut collect);
    let sensitive = collect.flag("sensitive").unwrap_or(false);
    collect.finish();
    DigitString {
        name,
        min: min as usize,
        max: max as usize,
        terminator,
        sensitive,
        then,
    }
}

fn read_step_name(reader: &mut Reader<'_>, key: &str) -> Option<StepName> {
    reader.text(key).map(|name| StepName::new(&name))
}
