//! What a caller may say, and how words are spelled where they are compared.

/// The phrases a recogniser should listen for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Grammar {
    /// Lower-case phrases, words separated by single spaces.
    pub phrases: Vec<String>,
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
        }
    }
}

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
