//! Which calls are recorded, and what their callers are told.

use super::{Folder, assert_mistake, read};
use crate::config::{Agent, Finding};

const FOLDER: &str = "[records]\nrecordings = \"kept\"\n";

/// An agent with these keys, and the warnings about it.
fn agent(keys: &str) -> (Agent, Vec<Finding>) {
    let toml = format!("{FOLDER}[agent.a]\nkind = \"echo\"\n{keys}");
    let (config, mut warnings) = read(&toml).unwrap_or_else(|found| panic!("{found}"));
    warnings.retain(|warning| warning.key.starts_with("agent"));
    let agent = config.agents.into_values().next().expect("an agent");
    (agent, warnings)
}

#[test]
fn a_consent_prompt_is_a_text_or_a_file_with_what_it_says() {
    let (agent, warnings) = agent("record = true\nrecord_consent = \"This call is recorded.\"");
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(agent.spoken_consent(), Some("This call is recorded."));

    let folder = Folder::new("consent");
    let file = folder.0.join("told.wav");
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 8_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut wav = hound::WavWriter::create(&file, spec).unwrap();
    wav.write_sample(0_i16).unwrap();
    wav.finalize().unwrap();
    let keys =
        format!("record = true\nrecord_consent = {{ file = {file:?}, text = \"Recorded.\" }}");
    let (agent, warnings) = self::agent(&keys);
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(agent.spoken_consent(), None, "no voice is needed");
    let consent = agent.record_consent.expect("a prompt");
    assert!(consent.text == "Recorded." && consent.file.is_some());
}

#[test]
fn a_consent_prompt_of_an_agent_that_is_not_recorded_is_warned_of_and_needs_no_voice() {
    for record in ["", "record = false\n"] {
        let (agent, warnings) = agent(&format!("{record}record_consent = \"Recorded.\""));
        assert_eq!(agent.spoken_consent(), None);
        assert!(
            matches!(&warnings[..], [only] if only.key == "agent.a.record_consent"
                && only.what.contains("without record = true")),
            "{warnings:?}"
        );
    }
}

#[test]
fn mistakes_about_recording_are_named() {
    let keys = |keys: &str| format!("{FOLDER}[agent.a]\nkind = \"echo\"\nrecord = true\n{keys}");
    for (wrong, what) in [
        ("record_consent = \"  \"", "says nothing"),
        ("record_consent = true", "should be text in quotes"),
        (
            "record_consent = { text = \"a\" }",
            "record_consent.file: is missing",
        ),
        (
            "record_consent = { file = \"/dev/null\", text = \"a\" }",
            "is empty",
        ),
    ] {
        assert_mistake(&keys(wrong), what);
    }
    assert_mistake(
        "[agent.a]\nkind = \"echo\"\nrecord = true",
        "needs records.recordings",
    );
}
