//! What people read: columns that line up, durations, and text that cannot steer a terminal.

use std::time::Duration;

const BETWEEN_COLUMNS: &str = "  ";
/// What stands for nothing.
const NOTHING: &str = "-";

/// On which side a column's cells are padded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Rows of cells, as many in each as there are columns.
#[derive(Clone, Debug)]
pub(super) struct Table<const COLUMNS: usize> {
    aligns: [Align; COLUMNS],
    rows: Vec<[String; COLUMNS]>,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    /// A table whose first row is its headings.
    pub(super) fn new(columns: [(&str, Align); COLUMNS]) -> Self {
        Self {
            aligns: columns.map(|(_, align)| align),
            rows: vec![columns.map(|(heading, _)| heading.to_owned())],
        }
    }

    /// Adds a row.
    pub(super) fn push(&mut self, cells: [&str; COLUMNS]) {
        self.rows.push(cells.map(|cell| match cell {
            "" => NOTHING.to_owned(),
            cell => plain(cell),
        }));
    }

    /// One line a row, each with its end.
    pub(super) fn render(&self) -> String {
        let width = |column: usize| {
            let widths = self.rows.iter().map(|row| row[column].chars().count());
            widths.max().unwrap_or_default()
        };
        let widths: [usize; COLUMNS] = std::array::from_fn(width);
        let mut text = String::new();
        for row in &self.rows {
            let cells: [String; COLUMNS] = std::array::from_fn(|column| {
                let (cell, width) = (&row[column], widths[column]);
                match self.aligns[column] {
                    Align::Left => format!("{cell:<width$}"),
                    Align::Right => format!("{cell:>width$}"),
                }
            });
            text += cells.join(BETWEEN_COLUMNS).trim_end();
            text.push('\n');
        }
        text
    }
}

/// Names with their values, a line each.
pub(super) fn facts(facts: &[(&str, &str)]) -> String {
    let mut table = Table {
        aligns: [Align::Left; 2],
        rows: Vec::new(),
    };
    for (name, value) in facts {
        table.push([name, value]);
    }
    table.render()
}

/// `0:07`, `12:34`, `1:02:03`.
pub(super) fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

/// `text` without what a terminal obeys: callers choose their names.
pub(super) fn plain(text: &str) -> String {
    let obeyed = |character: char| {
        character.is_control()
            || matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.replace(obeyed, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_end_where_their_text_does() {
        let mut table = Table::new([
            ("NAME", Align::Left),
            ("CALLS", Align::Right),
            ("HEALTH", Align::Left),
        ]);
        table.push(["carrier", "1200", "up"]);
        table.push(["küche", "7", "unknown"]);
        table.push(["desk", "0", ""]);
        assert_eq!(
            table.render(),
            "NAME     CALLS  HEALTH\n\
             carrier   1200  up\n\
             küche        7  unknown\n\
             desk         0  -\n"
        );
    }

    #[test]
    fn facts_have_their_values_in_one_column() {
        assert_eq!(
            facts(&[("id", "c-1"), ("direction", "inbound")]),
            "id         c-1\ndirection  inbound\n"
        );
    }

    #[test]
    fn a_duration_is_read_as_on_a_clock() {
        for (seconds, shown) in [
            (0, "0:00"),
            (7, "0:07"),
            (754, "12:34"),
            (3_723, "1:02:03"),
            (360_000, "100:00:00"),
        ] {
            assert_eq!(clock(Duration::from_secs(seconds)), shown);
        }
    }

    #[test]
    fn a_caller_cannot_steer_the_terminal_by_a_name() {
        let mut table = Table::new([("FROM", Align::Left)]);
        table.push(["eve\u{1b}[2J\n\u{9b}1m\u{202e}"]);
        assert_eq!(
            table.render(),
            "FROM\neve\u{fffd}[2J\u{fffd}\u{fffd}1m\u{fffd}\n"
        );
    }
}
