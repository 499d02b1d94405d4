//! The merged configuration, read key by key.
//!
//! A [`Section`] is one table. Each key is taken from it once, as an [`Item`] that knows its full name
//! and its source; whatever was not taken when the section is finished is an unknown key. So the code
//! that reads a section is at the same time the list of the keys it has.

use std::collections::BTreeSet;
use std::fs::File;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::value::{Dict, Num, Tag, Value};
use figment::{Figment, Profile, Provider};

use super::finding::{Finding, Findings};

/// All layers as one tree.
#[derive(Debug)]
pub(super) struct Document {
    figment: Figment,
    root: Dict,
    /// What a key that is nowhere is missing from.
    origin: String,
}

impl Document {
    pub(super) fn new(figment: Figment, origin: String) -> Self {
        let root = figment
            .data()
            .ok()
            .and_then(|mut data| data.remove(&Profile::Default))
            .unwrap_or_default();
        Self {
            figment,
            root,
            origin,
        }
    }

    pub(super) fn root(&self) -> Section<'_> {
        Section {
            document: self,
            path: String::new(),
            values: Some(&self.root),
            taken: BTreeSet::new(),
        }
    }

    fn source(&self, tag: Tag) -> String {
        match self.figment.get_metadata(tag) {
            Some(metadata) => match self.file(tag) {
                Some(path) => path.display().to_string(),
                None => metadata.name.to_string(),
            },
            None => self.origin.clone(),
        }
    }

    fn file(&self, tag: Tag) -> Option<&Path> {
        self.figment.get_metadata(tag)?.source.as_ref()?.file_path()
    }
}

/// One table, perhaps an absent one.
#[derive(Debug)]
pub(super) struct Section<'a> {
    document: &'a Document,
    path: String,
    values: Option<&'a Dict>,
    taken: BTreeSet<&'static str>,
}

impl<'a> Section<'a> {
    /// The value of `key`, if any layer has one.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Item<'a>> {
        self.taken.insert(key);
        let value = self.values?.get(key)?;
        Some(Item {
            document: self.document,
            path: join(&self.path, key),
            value,
        })
    }

    /// The value of `key`, whose absence is a mistake.
    pub(super) fn require(&mut self, key: &'static str) -> Result<Item<'a>, Finding> {
        self.take(key).ok_or_else(|| Finding {
            source: self.document.origin.clone(),
            key: join(&self.path, key),
            what: "is missing".to_owned(),
        })
    }

    /// A key that switches something on or off.
    pub(super) fn switch(
        &mut self,
        key: &'static str,
        default: bool,
        findings: &mut Findings,
    ) -> bool {
        let given = self
            .take(key)
            .and_then(|item| findings.keep(item.boolean()));
        given.unwrap_or(default)
    }

    /// The table `key`; an absent one is empty.
    pub(super) fn section(&mut self, key: &'static str, findings: &mut Findings) -> Section<'a> {
        let path = join(&self.path, key);
        match self.take(key) {
            Some(item) => findings.keep(item.section()).unwrap_or(self.empty(path)),
            None => self.empty(path),
        }
    }

    /// The tables inside the table `key`, by name.
    pub(super) fn named_sections(
        &mut self,
        key: &'static str,
        findings: &mut Findings,
    ) -> Vec<(&'a str, Section<'a>)> {
        let outer = self.section(key, findings);
        let Some(values) = outer.values else {
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (name, value) in values {
            let item = Item {
                document: self.document,
                path: join(&outer.path, name),
                value,
            };
            if let Some(section) = findings.keep(item.section()) {
                sections.push((name.as_str(), section));
            }
        }
        sections
    }

    /// Everything in this table, whatever its keys are called.
    pub(super) fn into_entries(self) -> Vec<(&'a str, Item<'a>)> {
        let Some(values) = self.values else {
            return Vec::new();
        };
        let entry = |(name, value): (&'a String, &'a Value)| {
            let item = Item {
                document: self.document,
                path: join(&self.path, name),
                value,
            };
            (name.as_str(), item)
        };
        values.iter().map(entry).collect()
    }

    /// A finding about this table as a whole.
    pub(super) fn finding(&self, what: impl Into<String>) -> Finding {
        let source = match self.values.and_then(|values| values.values().next()) {
            Some(value) => self.document.source(value.tag()),
            None => self.document.origin.clone(),
        };
        Finding {
            source,
            key: self.path.clone(),
            what: what.into(),
        }
    }

    /// Names every key that nobody took.
    pub(super) fn finish(self, findings: &mut Findings) {
        let Some(values) = self.values else { return };
        for (key, value) in values
            .iter()
            .filter(|(key, _)| !self.taken.contains(key.as_str()))
        {
            let what = match self.taken.iter().find(|known| is_nearly(key, known)) {
                Some(known) => format!("unknown key; is {known} meant?"),
                None => "unknown key".to_owned(),
            };
            let source = self.document.source(first_leaf(value).tag());
            findings.mistakes.push(Finding {
                source,
                key: join(&self.path, key),
                what,
            });
        }
    }

    const fn empty(&self, path: String) -> Section<'a> {
        Section {
            document: self.document,
            path,
            values: None,
            taken: BTreeSet::new(),
        }
    }
}

/// One value with its name and source.
#[derive(Clone, Debug)]
pub(super) struct Item<'a> {
    document: &'a Document,
    path: String,
    value: &'a Value,
}

impl<'a> Item<'a> {
    /// A finding about this value.
    pub(super) fn finding(&self, what: impl Into<String>) -> Finding {
        let source = self.document.source(first_leaf(self.value).tag());
        Finding {
            source,
            key: self.path.clone(),
            what: what.into(),
        }
    }

    /// Its full name, for a finding about another one.
    pub(super) fn name(&self) -> &str {
        &self.path
    }

    pub(super) fn text(&self) -> Result<String, Finding> {
        match self.value {
            Value::String(_, text) => Ok(text.clone()),
            Value::Char(_, character) => Ok(character.to_string()),
            // A variable has no quotes: there, 1000 is as good a name as any.
            Value::Num(tag, number) if self.document.file(*tag).is_none() => {
                Ok(number_text(*number))
            }
            Value::Num(..)
            | Value::Bool(..)
            | Value::Empty(..)
            | Value::Dict(..)
            | Value::Array(..) => Err(self.wrong_kind("text in quotes")),
        }
    }

    /// Text that `parse` understands.
    pub(super) fn parse<T, E: std::fmt::Display>(
        &self,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, Finding> {
        let text = self.text()?;
        parse(&text).map_err(|error| self.finding(format!("\"{text}\": {error}")))
    }

    pub(super) fn boolean(&self) -> Result<bool, Finding> {
        self.value
            .to_bool()
            .ok_or_else(|| self.wrong_kind("true or false"))
    }

    /// A whole number within `range`.
    pub(super) fn integer(&self, range: RangeInclusive<u32>) -> Result<u32, Finding> {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        let number = match self.value {
            Value::Num(_, number) => number
                .to_i128()
                .or_else(|| i128::try_from(number.to_u128()?).ok()),
            Value::String(..)
            | Value::Char(..)
            | Value::Bool(..)
            | Value::Empty(..)
            | Value::Dict(..)
            | Value::Array(..) => None,
        };
        let Some(number) = number else {
            return Err(self.wrong_kind(&expected));
        };
        match u32::try_from(number) {
            Ok(number) if range.contains(&number) => Ok(number),
            Ok(_) | Err(_) => Err(self.finding(format!("{number} is not {expected}"))),
        }
    }

    /// Seconds within `range`, fractions allowed.
    pub(super) fn seconds(&self, range: RangeInclusive<u32>) -> Result<Duration, Finding> {
        let expected = format!(
            "a number of seconds from {} to {}",
            range.start(),
            range.end()
        );
        let Some(number) = self.number() else {
            return Err(self.wrong_kind(&expected));
        };
        if (f64::from(*range.start())..=f64::from(*range.end())).contains(&number) {
            Ok(Duration::from_secs_f64(number))
        } else {
            Err(self.finding(format!("{number} is not {expected}")))
        }
    }

    /// Decibels within `range`, fractions allowed.
    pub(super) fn decibels(&self, range: RangeInclusive<i16>) -> Result<f32, Finding> {
        let (least, most) = (*range.start(), *range.end());
        let expected = format!("a number of dB from {least} to {most}");
        let Some(number) = self.number() else {
            return Err(self.wrong_kind(&expected));
        };
        if (f64::from(least)..=f64::from(most)).contains(&number) {
            #[expect(clippy::cast_possible_truncation, reason = "within the range")]
            Ok(number as f32)
        } else {
            Err(self.finding(format!("{number} is not {expected}")))
        }
    }

    fn number(&self) -> Option<f64> {
        match self.value {
            #[expect(clippy::cast_precision_loss, reason = "ranges are far below 2^52")]
            Value::Num(_, number) => number.to_f64().or_else(|| Some(number.to_i128()? as f64)),
            Value::String(..)
            | Value::Char(..)
            | Value::Bool(..)
            | Value::Empty(..)
            | Value::Dict(..)
            | Value::Array(..) => None,
        }
    }

    /// The entries of a list.
    pub(super) fn list(&self) -> Result<Vec<Item<'a>>, Finding> {
        let Value::Array(_, values) = self.value else {
            return Err(self.wrong_kind("a list in brackets"));
        };
        let item = |(index, value)| Item {
            document: self.document,
            path: format!("{}[{index}]", self.path),
            value,
        };
        Ok(values.iter().enumerate().map(item).collect())
    }

    /// The entries of a list of text, each parsed; those that are wrong are noted and left out.
    pub(super) fn parse_list<T, E: std::fmt::Display>(
        &self,
        findings: &mut Findings,
        mut parse: impl FnMut(&str) -> Result<T, E>,
    ) -> Vec<(Item<'a>, T)> {
        let items = findings.keep(self.list()).unwrap_or_default();
        items
            .into_iter()
            .filter_map(|item| {
                let value = findings.keep(item.parse(&mut parse))?;
                Some((item, value))
            })
            .collect()
    }

    pub(super) fn section(&self) -> Result<Section<'a>, Finding> {
        let Value::Dict(_, values) = self.value else {
            return Err(self.wrong_kind("a table"));
        };
        Ok(Section {
            document: self.document,
            path: self.path.clone(),
            values: Some(values),
            taken: BTreeSet::new(),
        })
    }

    /// A path; a relative one is taken from the folder of the file that names it, and from the working
    /// directory when no file does.
    pub(super) fn path(&self) -> Result<PathBuf, Finding> {
        let path = PathBuf::from(self.text()?);
        if path.as_os_str().is_empty() {
            return Err(self.finding("names no file"));
        }
        Ok(
            match self.document.file(self.value.tag()).and_then(Path::parent) {
                Some(folder) => folder.join(path),
                None => path,
            },
        )
    }

    /// The path of a file that can be read. A key or a password that cannot is a mistake also while nothing
    /// uses it yet: it would be missed on the day it is wanted.
    pub(super) fn readable_path(&self) -> Result<PathBuf, Finding> {
        let path = self.path()?;
        match File::open(&path).and_then(|file| file.metadata()) {
            Ok(about) if about.is_dir() => {
                Err(self.finding(format!("{} is a folder", path.display())))
            }
            Ok(_) => Ok(path),
            Err(error) => Err(self.finding(format!("{} cannot be read: {error}", path.display()))),
        }
    }

    fn wrong_kind(&self, expected: &str) -> Finding {
        let found = match self.value {
            Value::String(_, text) => format!("\"{text}\""),
            Value::Char(_, character) => format!("\"{character}\""),
            Value::Bool(_, value) => value.to_string(),
            Value::Num(_, number) => number_text(*number),
            Value::Empty(..) => "nothing".to_owned(),
            Value::Dict(..) => "a table".to_owned(),
            Value::Array(..) => "a list".to_owned(),
        };
        self.finding(format!("is {found}, but should be {expected}"))
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// A table's own tag is that of the first layer that had it; who gave the value stands at its leaves.
fn first_leaf(value: &Value) -> &Value {
    match value {
        Value::Dict(_, values) => values.values().next().map_or(value, first_leaf),
        Value::Array(_, values) => values.first().map_or(value, first_leaf),
        Value::String(..)
        | Value::Char(..)
        | Value::Bool(..)
        | Value::Num(..)
        | Value::Empty(..) => value,
    }
}

fn number_text(number: Num) -> String {
    if let Some(number) = number.to_i128() {
        number.to_string()
    } else if let Some(number) = number.to_u128() {
        number.to_string()
    } else {
        number.to_f64().unwrap_or(f64::NAN).to_string()
    }
}

/// Whether the two differ by at most two insertions, removals or changes of a character.
fn is_nearly(left: &str, right: &str) -> bool {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, from) in left.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (column, to) in right.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[right.len()] <= 2
}
