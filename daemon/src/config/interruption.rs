//! `[agent.NAME.interruption]`: when a caller who talks over the agent stops it.

use std::sync::Arc;
use std::time::Duration;

use offhook_session::agent_session::{InterruptionMode, InterruptionPolicy};

use super::document::{Item, Section};
use super::finding::{Finding, Findings};

/// The policy, or the one by default where the table says nothing.
pub(super) fn read(section: &mut Section<'_>, findings: &mut Findings) -> Arc<InterruptionPolicy> {
    let mut section = section.section("interruption", findings);
    let mut policy = InterruptionPolicy::default();
    let milliseconds = |item: Item<'_>, most| {
        let time = item.integer(0..=most)?;
        Ok(Duration::from_millis(u64::from(time)))
    };
    let mut set = |key, apply: &mut dyn FnMut(Item<'_>) -> Result<(), Finding>| {
        if let Some(item) = section.take(key) {
            findings.keep(apply(item));
        }
    };
    set("mode", &mut |item| {
        policy.mode = item.parse(mode)?;
        Ok(())
    });
    set("min_duration_ms", &mut |item| {
        policy.min_duration = milliseconds(item, 5_000)?;
        Ok(())
    });
    set("min_words", &mut |item| {
        policy.min_words = item.integer(1..=10)? as usize;
        Ok(())
    });
    set("resume", &mut |item| {
        policy.resume_on_false_interrupt = item.boolean()?;
        Ok(())
    });
    set("pause_ms", &mut |item| {
        policy.false_interrupt_pause = milliseconds(item, 10_000)?;
        Ok(())
    });
    set("fade_ms", &mut |item| {
        policy.fade_ms = item.integer(0..=400)?;
        Ok(())
    });
    set("dtmf", &mut |item| {
        policy.dtmf_interrupts = item.boolean()?;
        Ok(())
    });
    set("stop_words", &mut |item| {
        policy.stop_words = words(&item)?;
        Ok(())
    });
    set("backchannels", &mut |item| {
        policy.backchannels = words(&item)?;
        Ok(())
    });
    section.finish(findings);
    Arc::new(policy)
}

fn mode(text: &str) -> Result<InterruptionMode, &'static str> {
    match text {
        "vad" => Ok(InterruptionMode::Vad),
        "stt" => Ok(InterruptionMode::Stt),
        "hybrid" => Ok(InterruptionMode::Hybrid),
        "off" => Ok(InterruptionMode::Off),
        _ => Err("is none of vad, stt, hybrid, off"),
    }
}

fn words(item: &Item<'_>) -> Result<Vec<String>, Finding> {
    item.list()?.iter().map(Item::text).collect()
}
