//! Audio that agents play: files, and the tables of sounds that name one.

use std::path::Path;

use super::document::{Item, Section};
use super::finding::{Finding, Findings};
use crate::asset::Asset;
use crate::audio_file::{AudioFile, AudioFiles};

/// The volume of a sound that does not say, in dB: heard beside speech, and no competitor to it.
const VOLUME_DB: f32 = -20.0;

/// A sound that repeats beside what an agent says.
#[derive(Clone, Debug, PartialEq)]
pub struct Sound {
    /// What is repeated.
    pub file: AudioFile,
    /// How loud, in dB (-60, which is silence, to +12).
    pub volume_db: f32,
}

/// `background = { file = "audio/office.opus", volume_db = -20 }`.
pub(super) fn read_sound(
    section: &mut Section<'_>,
    key: &'static str,
    files: &mut AudioFiles,
    findings: &mut Findings,
) -> Option<Sound> {
    let item = section.take(key)?;
    let mut table = findings.keep(item.section())?;
    let file = table
        .require("file")
        .and_then(|item| recording(&item, files));
    let file = findings.keep(file);
    let volume_db = table
        .take("volume_db")
        .and_then(|item| findings.keep(item.decibels(-60..=12)));
    table.finish(findings);
    Some(Sound {
        file: file?,
        volume_db: volume_db.unwrap_or(VOLUME_DB),
    })
}

/// An audio file that can be played.
pub(super) fn recording(item: &Item<'_>, files: &mut AudioFiles) -> Result<AudioFile, Finding> {
    playable(item, &Asset::find(&item.path()?), files)
}

/// The audio of a file that `item` names.
pub(super) fn playable(
    item: &Item<'_>,
    file: &Asset,
    files: &mut AudioFiles,
) -> Result<AudioFile, Finding> {
    let named = |what: &dyn std::fmt::Display, path: &Path| {
        item.finding(format!("{} {what}", path.display()))
    };
    files.get(file).map_err(|error| named(&error, file.name()))
}
