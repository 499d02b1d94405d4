//! A flow file on disk with everything it names: its recordings, and the words its recogniser must know.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use offhook_session::flow::{Flow, FlowAgent, FlowMistake, Recordings};
use offhook_session::provider::Audio;

use crate::speech_worker::dictionary::Dictionary;

/// A flow that is ready to take calls.
#[derive(Clone, Debug)]
pub struct LoadedFlow {
    flow: Arc<Flow>,
    recordings: Arc<Recordings>,
}

impl LoadedFlow {
    /// Reads a flow file and the recordings it names, which are WAV files relative to it.
    ///
    /// # Errors
    /// Every mistake in the file, every recording that cannot be read, and with a dictionary every word
    /// that the recogniser does not know.
    pub fn read(path: &Path, dictionary: Option<&Dictionary>) -> Result<Self, Vec<FlowMistake>> {
        let text = fs::read_to_string(path)
            .map_err(|error| vec![mistake("", format!("the file cannot be read: {error}"))])?;
        let folder = path.parent().unwrap_or(Path::new("."));
        Self::from_text(&text, folder, dictionary)
    }

    /// Takes a flow file's text; its recordings are relative to `folder`.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn from_text(
        text: &str,
        folder: &Path,
        dictionary: Option<&Dictionary>,
    ) -> Result<Self, Vec<FlowMistake>> {
        let flow = Flow::parse(text)?;
        let mut mistakes = dictionary.map_or_else(Vec::new, |dictionary| {
            flow.unknown_words(|word| dictionary.knows(word))
        });
        let mut recordings = BTreeMap::new();
        for file in flow.recordings() {
            match read_recording(&folder.join(file)) {
                Ok(audio) => {
                    recordings.insert(file.to_owned(), audio);
                }
                Err(reason) => mistakes.push(mistake(
                    file,
                    format!("the recording cannot be used: {reason}"),
                )),
            }
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        Ok(Self {
            flow: Arc::new(flow),
            recordings: Arc::new(recordings),
        })
    }

    /// The flow itself.
    #[must_use]
    pub fn flow(&self) -> &Flow {
        &self.flow
    }

    /// An agent for one call.
    #[must_use]
    pub fn agent(&self) -> FlowAgent {
        FlowAgent::new(Arc::clone(&self.flow), Arc::clone(&self.recordings))
    }
}

/// A WAV file of 16-bit samples, its first channel.
fn read_recording(path: &Path) -> Result<Audio, String> {
    let mut reader = hound::WavReader::open(path).map_err(|error| error.to_string())?;
    let format = reader.spec();
    if format.sample_format != hound::SampleFormat::Int || format.bits_per_sample != 16 {
        return Err("it is no WAV file of 16-bit samples".to_owned());
    }
    if !(8_000..=48_000).contains(&format.sample_rate) {
        return Err(format!(
            "its rate, {} Hz, is not between 8,000 and 48,000",
            format.sample_rate
        ));
    }
    let samples: Result<Vec<i16>, hound::Error> = reader
        .samples()
        .step_by(format.channels.max(1).into())
        .collect();
    let samples = samples.map_err(|error| error.to_string())?;
    if samples.is_empty() {
        return Err("it is empty".to_owned());
    }
    Ok(Audio {
        sample_rate_hz: format.sample_rate,
        samples: samples.into(),
    })
}

fn mistake(key: &str, what: String) -> FlowMistake {
    FlowMistake {
        key: key.to_owned(),
        what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOW: &str = r#"
        start = "ask"
        [step.ask]
        say = { file = "ask.wav", text = "Yes or offhook?" }
        expect = [{ phrases = ["offhook"], then = "end" }]
        [step.end]
        say = { file = "end.wav" }
        hangup = true
    "#;

    #[test]
    fn recordings_and_words_that_are_missing_are_all_named() {
        let folder = std::env::temp_dir().join(format!("offhook-flow-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let format = hound::WavSpec {
            channels: 2,
            sample_rate: 8_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(folder.join("ask.wav"), format).unwrap();
        for sample in [1_i16, -1, 2, -2, 3, -3] {
            writer.write_sample(sample).unwrap();
        }
        writer.finalize().unwrap();
        fs::write(folder.join("flow.toml"), FLOW).unwrap();

        assert_eq!(
            &*read_recording(&folder.join("ask.wav")).unwrap().samples,
            [1, 2, 3]
        );
        let dictionary = Dictionary::parse("yes Y EH S\n");
        let mistakes = LoadedFlow::read(&folder.join("flow.toml"), Some(&dictionary)).unwrap_err();
        let keys: Vec<&str> = mistakes
            .iter()
            .map(|mistake| mistake.key.as_str())
            .collect();
        assert_eq!(keys, ["step.ask.expect[0].phrases", "end.wav"]);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_file_that_is_not_there_is_one_mistake() {
        let mistakes = LoadedFlow::read(Path::new("/nowhere/flow.toml"), None).unwrap_err();
        assert_eq!(mistakes.len(), 1);
        assert!(
            mistakes[0]
                .to_string()
                .starts_with("the file cannot be read")
        );
    }
}
