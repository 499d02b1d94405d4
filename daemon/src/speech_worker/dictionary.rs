//! The words the recogniser knows, read from its dictionary file: checking a flow needs no library.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

/// The words of the recogniser's dictionary.
#[derive(Clone, Debug, Default)]
pub struct Dictionary {
    words: BTreeSet<Box<str>>,
}

impl Dictionary {
    /// Reads `cmudict-en-us.dict` in a model folder.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(model_folder: &Path) -> io::Result<Self> {
        fs::read_to_string(model_folder.join("cmudict-en-us.dict")).map(|text| Self::parse(&text))
    }

    /// Reads the dictionary's text: a word and its phones a line; `word(2)` is another pronunciation.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let words = text
            .lines()
            .filter_map(|line| line.split_ascii_whitespace().next())
            .filter(|word| is_word(word))
            .map(Box::from)
            .collect();
        Self { words }
    }

    /// Whether the recogniser knows the word, which is lower-case.
    #[must_use]
    pub fn knows(&self, word: &str) -> bool {
        self.words.contains(word)
    }

    /// The words of the phrases that the recogniser does not know, each once, in order.
    #[must_use]
    pub fn unknown_words<'a>(&self, phrases: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
        let unknown: BTreeSet<&str> = phrases
            .into_iter()
            .flat_map(str::split_ascii_whitespace)
            .filter(|word| !self.knows(word))
            .collect();
        unknown.into_iter().collect()
    }
}

/// Whether this is spelled as words in the dictionary are: lower-case letters, apostrophes, hyphens
/// and full stops, with a letter among them.
pub(super) fn is_word(word: &str) -> bool {
    word.bytes().any(|byte| byte.is_ascii_lowercase())
        && word
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'\'' | b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_words_are_listed_once() {
        let dictionary =
            Dictionary::parse("hours AW ER Z\nhours(2) AW R Z\nopening OW P AH N IH NG\n");
        assert!(dictionary.knows("hours"));
        assert!(!dictionary.knows("hours(2)"));
        assert_eq!(
            dictionary.unknown_words(["opening hours", "zyzzle hours", "offhook zyzzle"]),
            ["offhook", "zyzzle"]
        );
    }

    #[test]
    fn only_words_are_words() {
        for word in ["o'clock", "a", "dr.", "x-ray"] {
            assert!(is_word(word), "{word}");
        }
        for word in ["", "'", "Hours", "a|b", "a;", "9", "<s>", "naïve"] {
            assert!(!is_word(word), "{word}");
        }
    }
}
