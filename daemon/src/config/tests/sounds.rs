//! Audio files that cannot be played, and the tables of sounds.

use std::fs;
use std::sync::Arc;

use super::*;

const HOLD: &[u8] = include_bytes!("../../../../deploy/audio/hold.wav");

/// The mistakes of a configuration that names `file` in each of the places for one.
fn mistakes_everywhere(folder: &Folder, file: &str) -> Vec<String> {
    folder.write(
        "flow.toml",
        &format!("start = \"a\"\n[step.a]\nsay = {{ file = \"{file}\" }}\nhangup = true\n"),
    );
    let path = folder.write(
        "offhook.toml",
        &format!(
            "[media]\nhold_music = \"{file}\"\n\
             [agent.play]\nkind = \"play\"\nfile = \"{file}\"\n\
             [agent.echo]\nkind = \"echo\"\nbackground = {{ file = \"{file}\" }}\n\
             [agent.flow]\nkind = \"flow\"\nflow = \"flow.toml\"\nthinking = {{ file = \"{file}\" }}\n"
        ),
    );
    match Config::read(&Layers::file(path), &host()) {
        Ok(_) => Vec::new(),
        Err(findings) => findings
            .mistakes
            .iter()
            .map(|mistake| format!("{}: {}", mistake.key, mistake.what))
            .collect(),
    }
}

/// The keys of all places, in the order in which they are read.
const PLACES: [&str; 5] = [
    "media.hold_music",
    "agent.echo.background.file",
    "agent.flow.thinking.file",
    "agent.flow.flow",
    "agent.play.file",
];

#[test]
fn a_bad_audio_file_is_a_mistake_that_names_key_and_file_and_what_is_wrong() {
    let folder = Folder::new("bad-audio");
    let mut speex = b"OggS\0\x06".to_vec();
    speex.extend([0; 20]);
    speex.extend([1, 8]);
    speex.extend(b"Speex   ");
    let sum = crate::audio_file::ogg_checksum(&speex);
    speex[22..26].copy_from_slice(&sum.to_le_bytes());
    // The length that it announces, and the rate: 31 minutes at 8 kHz. What follows is a hole.
    let samples = 8_000 * 60 * 31_u32;
    let mut long = HOLD[..44].to_vec();
    long[24..28].copy_from_slice(&8_000_u32.to_le_bytes());
    long[4..8].copy_from_slice(&(samples * 2 + 36).to_le_bytes());
    long[40..44].copy_from_slice(&(samples * 2).to_le_bytes());
    for (name, bytes, what) in [
        ("empty.wav", &b""[..], "is empty"),
        ("text.mp3", b"not audio", "is no audio file that is known"),
        (
            "cut.wav",
            &HOLD[..HOLD.len() / 2],
            "ends too early: it was cut off",
        ),
        (
            "speex.ogg",
            &speex,
            "has a codec that is not known: Ogg with \"Speex\"",
        ),
        ("long.wav", &long, "is longer than 30 minutes"),
    ] {
        fs::write(folder.0.join(name), bytes).unwrap();
        let found = mistakes_everywhere(&folder, name);
        let file = folder.0.join(name).display().to_string();
        assert_eq!(found.len(), PLACES.len(), "{found:#?}");
        for (found, place) in found.iter().zip(PLACES) {
            let expected = format!("{place}: {file} {what}");
            assert!(found.starts_with(&expected), "{found}, and not {expected}");
        }
    }
    let absent = mistakes_everywhere(&folder, "absent.wav");
    assert!(
        absent[0].contains("absent.wav cannot be read: No such file"),
        "{absent:?}"
    );
}

#[test]
fn a_file_that_many_name_is_decoded_once() {
    let folder = Folder::new("shared-audio");
    fs::write(folder.0.join("hold.wav"), HOLD).unwrap();
    let path = folder.write(
        "offhook.toml",
        "[media]\nhold_music = \"hold.wav\"\n[agent.a]\nkind = \"echo\"\nbackground = { file = \"hold.wav\" }\n",
    );
    let (config, _) = Config::read(&Layers::file(path), &host()).unwrap();
    let music = config.media.hold_music.as_ref().unwrap();
    let background = config.agents["a"].background.as_ref().unwrap();
    assert!(Arc::ptr_eq(music.audio(), background.file.audio()));
}

#[test]
fn a_sound_has_a_file_and_a_volume() {
    let agent = |kind: &str, keys: &str| {
        let rest = match kind {
            "play" => "file = \"audio/hold.wav\"\n",
            "flow" => "flow = \"flows/front-desk.toml\"\n",
            _ => "",
        };
        format!("[agent.a]\nkind = \"{kind}\"\n{rest}{keys}")
    };
    for kind in ["echo", "play", "flow"] {
        let keys = "background = { file = \"audio/hold.wav\", volume_db = -12.5 }";
        let (config, _) = read(&agent(kind, keys)).unwrap();
        let sound = config.agents["a"].background.as_ref().unwrap();
        assert_eq!(sound.volume_db, -12.5);
    }
    let keys = "thinking = { file = \"audio/hold.wav\" }";
    let (config, _) = read(&agent("flow", keys)).unwrap();
    let AgentKind::Flow { thinking, .. } = &config.agents["a"].kind else {
        panic!()
    };
    assert_eq!(thinking.as_ref().unwrap().volume_db, -20.0);
    assert_mistake(&agent("echo", keys), "unknown key");
    let background = |table: &str| agent("echo", &format!("background = {table}"));
    assert_mistake(&background("\"audio/hold.wav\""), "should be a table");
    assert_mistake(&background("{ volume_db = -3 }"), "agent.a.background.file");
    let file = "file = \"audio/hold.wav\"";
    assert_mistake(
        &background(&format!("{{ {file}, volume_db = 20 }}")),
        "20 is not a number of dB from -60 to 12",
    );
    assert_mistake(
        &background(&format!("{{ {file}, volume_db = \"loud\" }}")),
        "but should be a number of dB",
    );
    assert_mistake(
        &background(&format!("{{ {file}, volume = -3 }}")),
        "unknown key",
    );
}
