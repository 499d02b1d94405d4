//! Parameters: `;name=value` after a URI's host and after many header values.

use std::borrow::Cow;
use std::fmt;

use super::lexer::{Malformed, malformed, quoted_string, trim, unescape_quoted, write_quoted};

/// Parameters in their order. Names compare without case; values are kept as written, quotes and all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Parameters(Vec<Parameter>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Parameter {
    name: String,
    value: Option<String>,
}

impl Parameters {
    /// None.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Whether the parameter is there, with or without a value.
    pub fn contains(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// A parameter's value as written, a quoted string with its quotes. `None` when the parameter
    /// is absent, and when it stands without a value: [`contains`](Self::contains) tells them apart.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.find(name)?.value.as_deref()
    }

    /// A parameter's value with quotes and their escapes removed.
    pub fn get_unquoted(&self, name: &str) -> Option<Cow<'_, str>> {
        let value = self.get(name)?;
        Some(match quoted_string(value) {
            Some((inside, "")) => unescape_quoted(inside),
            Some(_) | None => Cow::Borrowed(value),
        })
    }

    /// Sets a parameter, in its place if it is there and at the end if not. A value that could not
    /// stand by itself is written as a quoted string; in a name such characters become `-`.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        let value = value.map(|value| match stands_alone(value) {
            true => value.to_owned(),
            false => {
                let mut quoted = String::with_capacity(value.len() + 2);
                write_quoted(&mut quoted, value).expect("a String takes every write");
                quoted
            }
        });
        match self
            .0
            .iter_mut()
            .find(|parameter| parameter.name.eq_ignore_ascii_case(name))
        {
            Some(parameter) => parameter.value = value,
            None => {
                let is_wrong = |character: char| {
                    u8::try_from(character).is_ok_and(|byte| byte.is_ascii() && !is_name_byte(byte))
                };
                let name = name.replace(is_wrong, "-");
                self.0.push(Parameter { name, value });
            }
        }
    }

    /// Takes a parameter away.
    pub fn remove(&mut self, name: &str) {
        self.0
            .retain(|parameter| !parameter.name.eq_ignore_ascii_case(name));
    }

    /// Names and values in order, as written.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0
            .iter()
            .map(|parameter| (&*parameter.name, parameter.value.as_deref()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads what [`ParameterScanner`] finds.
    pub(super) fn parse(text: &str, place: Place) -> Result<Self, Malformed> {
        ParameterScanner::new(text, place)
            .map(|found| {
                let (name, value) = found?;
                Ok(Parameter {
                    name: name.to_owned(),
                    value: value.map(str::to_owned),
                })
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    fn find(&self, name: &str) -> Option<&Parameter> {
        self.0
            .iter()
            .find(|parameter| parameter.name.eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Parameters {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Parameter { name, value } in &self.0 {
            write!(out, ";{name}")?;
            if let Some(value) = value {
                write!(out, "={value}")?;
            }
        }
        Ok(())
    }
}

/// Where parameters stand, which decides what a value may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// After a header's value: tokens, hosts and quoted strings, white space around them.
    Header,
    /// Inside a URI: no quotes and no white space, which the URI has checked already.
    Uri,
}

/// Walks `;name=value;name` without allocating.
///
/// A single empty parameter at the very end is passed over, for the sake of devices that close
/// their lines with a semicolon; an empty one elsewhere is malformed, as RFC 4475 section 3.1.2.1 wants.
pub(super) struct ParameterScanner<'a> {
    rest: &'a str,
    place: Place,
}

impl<'a> ParameterScanner<'a> {
    /// `text` is empty or starts with a semicolon.
    pub(super) fn new(text: &'a str, place: Place) -> Self {
        Self {
            rest: trim(text),
            place,
        }
    }

    /// Walks to the end.
    pub(super) fn check(mut self) -> Result<(), Malformed> {
        self.try_for_each(|found| found.map(|_| ()))
    }

    fn step(&mut self) -> Result<(&'a str, Option<&'a str>), Malformed> {
        let error = malformed("parameter");
        let text = self.rest.strip_prefix(';').ok_or(error)?;
        let ends = |byte: u8| matches!(byte, b';' | b'=' | b'"');
        let end = text.bytes().position(ends).unwrap_or(text.len());
        let (name, after) = text.split_at(end);
        let name = trim(name);
        if name.is_empty() || !name.bytes().all(is_name_byte) {
            return Err(error);
        }
        let Some(value) = after.strip_prefix('=') else {
            self.rest = after;
            return Ok((name, None));
        };
        let value = value.trim_start_matches([' ', '\t']);
        if let Some((_, after)) = quoted_string(value) {
            self.rest = trim(after);
            return Ok((name, Some(&value[..value.len() - after.len()])));
        }
        let (value, after) = value.split_at(value.find(';').unwrap_or(value.len()));
        self.rest = after;
        let value = trim(value);
        let fits = match self.place {
            Place::Header => value.bytes().all(is_value_byte),
            Place::Uri => true,
        };
        match fits {
            true => Ok((name, Some(value))),
            false => Err(error),
        }
    }
}

impl<'a> Iterator for ParameterScanner<'a> {
    type Item = Result<(&'a str, Option<&'a str>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if matches!(self.rest, "" | ";") {
            return None;
        }
        let found = self.step();
        if found.is_err() {
            self.rest = "";
        }
        Some(found)
    }
}

/// Looser than `token`: URIs allow more, and what does not confuse the grammar around it is kept.
fn is_name_byte(byte: u8) -> bool {
    is_value_byte(byte) && !matches!(byte, b'=' | b'@')
}

fn is_value_byte(byte: u8) -> bool {
    !(byte.is_ascii_whitespace()
        || byte.is_ascii_control()
        || matches!(byte, b'"' | b'<' | b'>' | b',' | b';' | b'\\'))
}

/// Whether a value needs no quotes: free of separators, or a quoted string already.
fn stands_alone(value: &str) -> bool {
    let is_quoted =
        matches!(quoted_string(value), Some((inside, "")) if !inside.contains(['\r', '\n']));
    is_quoted || value.bytes().all(is_value_byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Parameters, Malformed> {
        Parameters::parse(text, Place::Header)
    }

    #[test]
    fn white_space_quotes_and_missing_values_are_read() {
        let parameters = parse(r#"; a = 1 ;b; c="x;\"y" ; D=[::1]"#).unwrap();
        assert_eq!(parameters.get("A"), Some("1"));
        assert!(parameters.contains("b") && parameters.get("b").is_none());
        assert_eq!(parameters.get("c"), Some(r#""x;\"y""#));
        assert_eq!(parameters.get_unquoted("c").unwrap(), r#"x;"y"#);
        assert_eq!(parameters.to_string(), r#";a=1;b;c="x;\"y";D=[::1]"#);
    }

    #[test]
    fn only_a_closing_semicolon_may_be_empty() {
        assert!(parse(";a;").is_ok());
        for text in [
            ";;",
            ";a;;",
            ";;a",
            "a",
            ";=1",
            ";a=\"open",
            ";a=b c",
            ";a b=c",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_value_set_by_us_cannot_become_another_parameter_or_header() {
        let mut parameters = Parameters::new();
        parameters.set("x\r\ny", Some("1;tag=2\r\nEvil: yes"));
        assert_eq!(parameters.to_string(), ";x--y=\"1;tag=2  Evil: yes\"");
        parameters.set("X--Y", None);
        assert_eq!(parameters.to_string(), ";x--y");
    }
}
