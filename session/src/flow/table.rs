//! Reading a TOML table key by key, going on after each mistake.

use std::cell::RefCell;

use toml::{Table, Value};

use super::mistake::FlowMistake;

/// Where the mistakes of a whole file gather.
#[derive(Default)]
pub(super) struct Mistakes(RefCell<Vec<FlowMistake>>);

impl Mistakes {
    pub(super) fn add(&self, key: impl Into<String>, what: impl Into<String>) {
        self.0.borrow_mut().push(FlowMistake::new(key, what));
    }

    pub(super) fn into_inner(self) -> Vec<FlowMistake> {
        self.0.into_inner()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }
}

/// Where a key may hold either.
pub(super) enum TextOrTable<'a> {
    Text(String),
    Table(Reader<'a>),
}

/// A table on its way from text to types: each key is taken once, and what is left is unknown.
pub(super) struct Reader<'a> {
    path: String,
    table: Table,
    mistakes: &'a Mistakes,
}

impl<'a> Reader<'a> {
    pub(super) fn new(path: impl Into<String>, table: Table, mistakes: &'a Mistakes) -> Self {
        Self {
            path: path.into(),
            table,
            mistakes,
        }
    }

    /// A key's path from the top of the file.
    pub(super) fn key(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// The path of the table itself.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn mistake(&self, key: &str, what: impl Into<String>) {
        self.mistakes.add(self.key(key), what);
    }

    /// A mistake of the table as a whole.
    pub(super) fn mistake_here(&self, what: impl Into<String>) {
        self.mistakes.add(self.path.clone(), what);
    }

    fn value(&mut self, key: &str) -> Option<Value> {
        self.table.remove(key)
    }

    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        match self.value(key)? {
            Value::String(text) if !text.trim().is_empty() => Some(text),
            Value::String(_) => self.wrong(key, "is empty"),
            other => self.wrong_type(key, "a string", &other),
        }
    }

    pub(super) fn flag(&mut self, key: &str) -> Option<bool> {
        match self.value(key)? {
            Value::Boolean(flag) => Some(flag),
            other => self.wrong_type(key, "true or false", &other),
        }
    }

    /// A whole number between two bounds.
    pub(super) fn number(&mut self, key: &str, least: u32, most: u32) -> Option<u32> {
        match self.value(key)? {
            Value::Integer(number) => match u32::try_from(number) {
                Ok(number) if (least..=most).contains(&number) => Some(number),
                Ok(_) | Err(_) => {
                    self.wrong(key, &format!("{number} is not between {least} and {most}"))
                }
            },
            other => self.wrong_type(key, "a whole number", &other),
        }
    }

    pub(super) fn table(&mut self, key: &str) -> Option<Reader<'a>> {
        match self.value(key)? {
            Value::Table(table) => Some(Reader::new(self.key(key), table, self.mistakes)),
            other => self.wrong_type(key, "a table", &other),
        }
    }

    /// A string, or a table that says more.
    pub(super) fn text_or_table(&mut self, key: &str) -> Option<TextOrTable<'a>> {
        match self.table.get(key)? {
            Value::Table(_) => self.table(key).map(TextOrTable::Table),
            Value::String(_) => self.text(key).map(TextOrTable::Text),
            Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime(_)
            | Value::Array(_) => {
                let other = self.value(key)?;
                self.wrong_type(key, "a string or a table", &other)
            }
        }
    }

    /// A list of tables, each with its index in its path.
    pub(super) fn tables(&mut self, key: &str) -> Option<Vec<Reader<'a>>> {
        let path = self.key(key);
        let Value::Array(items) = self.value(key)? else {
            return self.wrong(key, "is no list of tables");
        };
        let tables = items.into_iter().enumerate().filter_map(|(index, item)| {
            let path = format!("{path}[{index}]");
            match item {
                Value::Table(table) => Some(Reader::new(path, table, self.mistakes)),
                other => {
                    self.mistakes
                        .add(path, format!("is {}, not a table", type_of(&other)));
                    None
                }
            }
        });
        Some(tables.collect())
    }

    /// A list of strings.
    pub(super) fn texts(&mut self, key: &str) -> Option<Vec<String>> {
        let path = self.key(key);
        let Value::Array(items) = self.value(key)? else {
            return self.wrong(key, "is no list of strings");
        };
        let texts = items
            .into_iter()
            .enumerate()
            .filter_map(|(index, item)| match item {
                Value::String(text) => Some(text),
                other => {
                    self.mistakes.add(
                        format!("{path}[{index}]"),
                        format!("is {}, not a string", type_of(&other)),
                    );
                    None
                }
            });
        Some(texts.collect())
    }

    /// The tables of a table of tables, by name.
    pub(super) fn into_tables(self) -> Vec<(String, Reader<'a>)> {
        let Self {
            path,
            table,
            mistakes,
        } = self;
        let tables = table.into_iter().filter_map(|(name, value)| {
            let path = format!("{path}.{name}");
            match value {
                Value::Table(table) => Some((name, Reader::new(path, table, mistakes))),
                other => {
                    mistakes.add(path, format!("is {}, not a table", type_of(&other)));
                    None
                }
            }
        });
        tables.collect()
    }

    /// The keys that were not asked for yet.
    pub(super) fn keys(&self) -> Vec<String> {
        self.table.keys().cloned().collect()
    }

    /// Names what was never asked for.
    pub(super) fn finish(self) {
        for key in self.table.keys() {
            self.mistake(key, "there is no such key");
        }
    }

    fn wrong<T>(&self, key: &str, what: &str) -> Option<T> {
        self.mistake(key, what);
        None
    }

    fn wrong_type<T>(&self, key: &str, wanted: &str, found: &Value) -> Option<T> {
        self.wrong(key, &format!("is {}, not {wanted}", type_of(found)))
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a string",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number with a fraction",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}
