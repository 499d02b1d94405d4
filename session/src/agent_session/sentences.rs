//! A text as sentences: where it may be split for streaming, and how much of it was heard.

use std::ops::Range;

/// A sentence without an end is split at a space near this many bytes.
const LONGEST: usize = 300;

/// The sentences of a text as byte ranges, in order, without the white space between them.
pub(super) fn split(text: &str) -> Vec<Range<usize>> {
    let mut sentences = Vec::new();
    let mut start = 0;
    while start < text.len() {
        let rest = &text[start..];
        let blank = rest.len() - rest.trim_start().len();
        if blank == rest.len() {
            break;
        }
        start += blank;
        let end = start + sentence_length(&text[start..]);
        sentences.push(start..start + text[start..end].trim_end().len());
        start = end;
    }
    sentences
}

/// The length in bytes of the first sentence of `text`, which begins with no white space.
fn sentence_length(text: &str) -> usize {
    let mut last_space = None;
    let mut symbols = text.char_indices().peekable();
    while let Some((at, symbol)) = symbols.next() {
        if symbol.is_whitespace() {
            last_space = Some(at);
        }
        if at >= LONGEST
            && let Some(space) = last_space
        {
            return space;
        }
        let end = at + symbol.len_utf8();
        let closes = match symbol {
            '.' | '!' | '?' | '…' => {
                symbols.peek().is_none_or(|(_, next)| next.is_whitespace())
                    && !(symbol == '.' && is_abbreviation(&text[..at]))
            }
            '。' | '！' | '？' | '\n' => true,
            _ => false,
        };
        if closes {
            return end;
        }
    }
    text.len()
}

/// Whether the word before a full stop is one that is usually written with it.
fn is_abbreviation(before: &str) -> bool {
    const KNOWN: [&str; 12] = [
        "mr", "mrs", "ms", "dr", "st", "no", "vs", "etc", "e.g", "i.e", "a.m", "p.m",
    ];
    let word = before
        .rsplit(char::is_whitespace)
        .next()
        .unwrap_or_default();
    let titled = word.chars().next().is_some_and(char::is_uppercase);
    match word.to_lowercase().as_str() {
        // As words of their own these end sentences: "I said no."
        "no" | "etc" | "a.m" | "p.m" => titled && word.len() == 2,
        word => KNOWN.contains(&word),
    }
}

/// The part of `text` that was heard: whole sentences, then of the one that was cut the words that fit
/// the share of its audio that was sent. `lengths_ms` gives the sentences' durations as far as they are
/// known.
pub(super) fn heard<'a>(
    text: &'a str,
    sentences: &[Range<usize>],
    lengths_ms: &[u64],
    played_ms: u64,
) -> &'a str {
    let mut left_ms = played_ms;
    let mut end = 0;
    for (sentence, length_ms) in sentences.iter().zip(lengths_ms) {
        if left_ms >= *length_ms {
            left_ms -= length_ms;
            end = sentence.end;
            continue;
        }
        let bytes = sentence.len() as u64 * left_ms / length_ms.max(&1);
        let share = usize::try_from(bytes).unwrap_or(sentence.len());
        let cut = last_word_end(&text[sentence.clone()], share);
        if cut > 0 {
            end = sentence.start + cut;
        }
        break;
    }
    text[..end].trim()
}

/// The end of the last word of `sentence` that ends at or before `limit` bytes.
fn last_word_end(sentence: &str, limit: usize) -> usize {
    if limit >= sentence.len() {
        return sentence.len();
    }
    let spaces = sentence
        .char_indices()
        .filter(|(_, symbol)| symbol.is_whitespace());
    spaces
        .map(|(at, _)| at)
        .take_while(|at| *at <= limit)
        .last()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentences(text: &str) -> Vec<&str> {
        split(text).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn a_text_is_split_where_its_sentences_end() {
        assert_eq!(
            sentences("  Hello there. How are you?  It costs 3.50 today!\nBye"),
            [
                "Hello there.",
                "How are you?",
                "It costs 3.50 today!",
                "Bye"
            ]
        );
        assert_eq!(
            sentences("Dr. Miller is in. I said no. Ok."),
            ["Dr. Miller is in.", "I said no.", "Ok."]
        );
        assert_eq!(sentences(" \n "), [""; 0]);
    }

    #[test]
    fn a_sentence_without_end_is_split_at_a_space() {
        let text = "word ".repeat(200);
        let parts = sentences(&text);
        assert!(parts.len() > 2);
        assert!(
            parts
                .iter()
                .all(|part| part.len() <= LONGEST && part.ends_with("word"))
        );
        assert_eq!(
            sentences(&"x".repeat(1_000)).len(),
            1,
            "one word is not split"
        );
    }

    #[test]
    fn what_was_heard_is_cut_at_the_last_whole_word() {
        let text = "Hello there. The shop opens at nine.";
        let sentences = split(text);
        let lengths = [1_000, 2_000];
        for (played_ms, expected) in [
            (0, ""),
            (100, ""),
            (500, "Hello"),
            (1_000, "Hello there."),
            (1_100, "Hello there."),
            (1_900, "Hello there. The shop"),
            (2_999, "Hello there. The shop opens at"),
            (3_000, text),
            (9_000, text),
        ] {
            assert_eq!(
                heard(text, &sentences, &lengths, played_ms),
                expected,
                "{played_ms} ms"
            );
        }
        assert_eq!(
            heard(text, &sentences, &[1_000], 5_000),
            "Hello there.",
            "the rest was never made"
        );
    }

    #[test]
    fn any_text_splits_at_character_boundaries() {
        for text in ["…", "é. ü! 。", "a\u{301}. b", "。。", "e.g. this", "."] {
            let parts = split(text);
            for part in &parts {
                assert!(!text[part.clone()].is_empty(), "{text}");
            }
            for played_ms in [0, 1, 7, 100] {
                let lengths = vec![10; parts.len()];
                assert!(
                    text.trim()
                        .starts_with(heard(text, &parts, &lengths, played_ms)),
                    "{text}"
                );
            }
        }
    }
}
