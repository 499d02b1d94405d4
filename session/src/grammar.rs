//! What a caller may say, and how words are spelled where they are compared.

/// The phrases a recogniser should listen for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Grammar {
    /// Lower-case phrases, words separated by single spaces.
    pub phrases: Vec<String>,
    /// Whether anything else may be said, too.
    pub open: bool,
}

impl Grammar {
    /// A grammar of these phrases, as [`phrase`] writes them.
    #[must_use]
    pub fn new(phrases: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        Self {
            phrases: phrases
                .into_iter()
                .map(|text| phrase(text.as_ref()))
                .collect(),
            open: false,
        }
    }

    /// A grammar of whatever is said.
    #[must_use]
    pub fn anything() -> Self {
        Self {
            phrases: Vec::new(),
            open: true,
        }
    }

    /// Whether nothing may be said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.phrases.is_empty() && !self.open
    }
}

/// What counts as a yes where that is asked for.
pub(crate) const YES: [&str; 5] = ["yes", "yes please", "yeah", "correct", "that's right"];
/// And as a no.
pub(crate) const NO: [&str; 3] = ["no", "no thank you", "no thanks"];

/// A phrase as grammars spell it: lower case, no punctuation, words separated by single spaces.
#[must_use]
pub fn phrase(text: &str) -> String {
    let mut phrase = String::with_capacity(text.len());
    let plain = text.replace(['’', '‘'], "'");
    let words =
        plain.split(|symbol: char| symbol.is_whitespace() || ",.;:!?…¡¿\"“”()–—-".contains(symbol));
    for word in words.filter(|word| !word.is_empty()) {
        if !phrase.is_empty() {
            phrase.push(' ');
        }
        phrase.push_str(&word.to_lowercase());
    }
    phrase
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_lose_case_punctuation_and_spare_spaces() {
        assert_eq!(phrase("  Yes,  please! "), "yes please");
        assert_eq!(phrase("That’s a follow-up"), "that's a follow up");
        assert_eq!(phrase("?!"), "");
    }
}
