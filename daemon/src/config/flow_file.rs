//! A flow's file, read for a machine whose recogniser is to know its words.

use std::path::Path;

use offhook_session::flow::{Flow, FlowMistake};

use crate::asset::Asset;
use crate::speech_worker::dictionary::Dictionary;

/// A flow file that makes sense as a conversation.
#[derive(Debug)]
pub(crate) struct FlowFile {
    pub(crate) flow: Flow,
    /// A mistake for every word that the recogniser does not know.
    pub(crate) unknown_words: Vec<String>,
    /// What it deserves to hear all the same.
    pub(crate) warnings: Vec<String>,
}

impl FlowFile {
    /// Reads the file at `path`. `recogniser_model`: where the words are that the recogniser knows.
    ///
    /// # Errors
    /// Every other mistake in it, each with the file's name; the recordings it plays are not looked for.
    pub(crate) fn read(path: &Path, recogniser_model: &Path) -> Result<Self, Vec<String>> {
        let file = Asset::find(path);
        let mistaken = |mistakes: Vec<FlowMistake>| -> Vec<String> {
            let mistakes = mistakes.into_iter();
            let name = file.name().display();
            mistakes
                .map(|mistake| format!("{name}: {mistake}"))
                .collect()
        };
        let flow = Flow::parse(&read_text(&file)?).map_err(mistaken)?;
        let (mut unknown_words, mut warnings) = (Vec::new(), Vec::new());
        match Dictionary::read(recogniser_model) {
            Ok(dictionary) => {
                unknown_words = mistaken(flow.unknown_words(|word| dictionary.knows(word)));
            }
            Err(error) if flow.grammars().next().is_some() => warnings.push(format!(
                "the words of its phrases cannot be checked, nor will they be heard: {}: {error} \
                 (Debian's pocketsphinx-en-us brings it)",
                recogniser_model.display()
            )),
            Err(_) => {}
        }
        Ok(Self {
            flow,
            unknown_words,
            warnings,
        })
    }
}

fn read_text(file: &Asset) -> Result<String, Vec<String>> {
    let unreadable = |error: &dyn std::error::Error| {
        vec![format!("{} cannot be read: {error}", file.name().display())]
    };
    let bytes = file.read().map_err(|error| unreadable(&error))?;
    String::from_utf8(bytes.into_owned()).map_err(|error| unreadable(&error))
}
