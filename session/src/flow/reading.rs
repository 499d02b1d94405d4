//! Keys that several kinds of steps have.

use offhook_media::control::Digit;

use super::Prompt;
use super::table::{Reader, TextOrTable};

/// `key = "text"`, or `key = { file = "path", text = "what it says" }`.
pub(super) fn read_prompt(reader: &mut Reader<'_>, key: &str) -> Option<Prompt> {
    match reader.text_or_table(key)? {
        TextOrTable::Text(text) => Some(Prompt::Text(text)),
        TextOrTable::Table(mut table) => {
            let file = table.text("file");
            if file.is_none() {
                table.mistake("file", "is missing: the recording's path");
            }
            let text = table.text("text");
            table.finish();
            Some(Prompt::Recording { file: file?, text })
        }
    }
}

/// `terminator = "#"`, which is the default, or `"none"`.
pub(super) fn read_terminator(table: &mut Reader<'_>) -> Option<Digit> {
    match table.text("terminator").as_deref() {
        None => Digit::from_char('#'),
        Some("none") => None,
        Some(text) => {
            let mut symbols = text.chars();
            let digit = symbols
                .next()
                .and_then(Digit::from_char)
                .filter(|_| symbols.next().is_none());
            if digit.is_none() {
                table.mistake(
                    "terminator",
                    format!("{text:?} is no key of a telephone, nor \"none\""),
                );
            }
            digit
        }
    }
}
