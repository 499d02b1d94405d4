//! The layers a configuration is made of, lowest first:
//!
//! ```text
//! defaults.toml ◄ the file ◄ conf.d/*.toml beside it, by name ◄ OFFHOOK_* variables ◄ --set flags
//! ```
//!
//! A higher layer changes single keys of tables and replaces lists whole. figment merges them and
//! remembers for each value which layer it came from; [`Document`] reads the result.

use std::path::{Path, PathBuf};

use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::document::Document;
use super::finding::{Finding, Findings};

const DEFAULTS: &str = include_str!("defaults.toml");
/// What the lowest layer is called in findings.
const DEFAULTS_NAME: &str = "the defaults";
const VARIABLE_PREFIX: &str = "OFFHOOK_";
/// Separates the parts of a key in a variable's name. A variable without it is no configuration key.
const VARIABLE_SEPARATOR: &str = "__";

/// Where a configuration comes from.
#[derive(Clone, Debug)]
pub struct Layers {
    base: Base,
    variables: Vec<(String, String)>,
    settings: Vec<String>,
}

#[derive(Clone, Debug)]
enum Base {
    File(PathBuf),
    Text { name: &'static str, toml: String },
}

impl Layers {
    /// A file with its drop-in folder, and nothing above them yet.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::over(Base::File(path.into()))
    }

    /// A text that came with the program; `name` stands for it in findings. Relative paths in it are
    /// taken from the working directory.
    pub fn text(name: &'static str, toml: impl Into<String>) -> Self {
        Self::over(Base::Text {
            name,
            toml: toml.into(),
        })
    }

    const fn over(base: Base) -> Self {
        Self {
            base,
            variables: Vec::new(),
            settings: Vec::new(),
        }
    }

    /// Adds the `OFFHOOK_*` variables of this process.
    #[must_use]
    pub fn with_environment(self) -> Self {
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            // A value that is not UTF-8 is shown damaged in the mistake it leads to.
            name.starts_with(VARIABLE_PREFIX)
                .then(|| (name, value.to_string_lossy().into_owned()))
        });
        self.with_variables(variables)
    }

    /// Adds variables by name and value, as the environment would.
    #[must_use]
    pub fn with_variables(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.variables.extend(variables);
        self.variables.sort();
        self
    }

    /// Adds settings of the form `key=value`, as given by `--set`; later ones win.
    #[must_use]
    pub fn with_settings(mut self, settings: impl IntoIterator<Item = String>) -> Self {
        self.settings.extend(settings);
        self
    }

    /// Merges the layers.
    ///
    /// # Errors
    /// Every file that cannot be read or is not TOML, and every setting that is not `key=value`.
    pub(super) fn merge(&self) -> Result<Document, Findings> {
        let mut findings = Findings::default();
        let defaults = findings.keep(Layer::toml(
            Metadata::named(DEFAULTS_NAME),
            DEFAULTS_NAME,
            DEFAULTS,
        ));
        let mut figment = defaults.map_or_else(Figment::new, Figment::from);
        let origin = match &self.base {
            Base::File(path) => {
                for file in std::iter::once(path.clone()).chain(drop_ins(path, &mut findings)) {
                    if let Some(layer) = findings.keep(read_file(&file)) {
                        figment = figment.merge(layer);
                    }
                }
                path.display().to_string()
            }
            Base::Text { name, toml } => {
                if let Some(layer) = findings.keep(Layer::toml(Metadata::named(*name), name, toml))
                {
                    figment = figment.merge(layer);
                }
                (*name).to_owned()
            }
        };
        for (name, value) in &self.variables {
            let Some(key) = key_of_variable(name, &figment) else {
                continue;
            };
            figment = figment.merge(Layer::value(format!("variable {name}"), &key, value));
        }
        for setting in &self.settings {
            match setting.split_once('=') {
                Some((key, value)) if !key.trim().is_empty() => {
                    let key = key.trim();
                    figment =
                        figment.merge(Layer::value(format!("--set {key}"), key, value.trim()));
                }
                Some(_) | None => findings.mistakes.push(Finding {
                    source: format!("--set {setting}"),
                    key: String::new(),
                    what: "is not of the form key=value".to_owned(),
                }),
            }
        }
        if findings.mistakes.is_empty() {
            Ok(Document::new(figment, origin))
        } else {
            Err(findings)
        }
    }
}

/// One layer: its values and what to call it.
#[derive(Clone, Debug)]
struct Layer {
    metadata: Metadata,
    values: Dict,
}

impl Layer {
    fn toml(metadata: Metadata, source: &str, text: &str) -> Result<Self, Finding> {
        let values = text.parse::<toml::Table>().map_err(|error| Finding {
            source: source.to_owned(),
            key: String::new(),
            what: format!(
                "is not TOML: {}",
                error.to_string().trim_end().replace('\n', "\n    ")
            ),
        })?;
        let values = Value::serialize(values)
            .ok()
            .and_then(Value::into_dict)
            .unwrap_or_default();
        Ok(Self { metadata, values })
    }

    fn value(source: String, key: &str, value: &str) -> Self {
        // figment reads numbers, booleans, lists and tables, and takes anything else as a string.
        let value: Value = match value.parse() {
            Ok(value) => value,
            Err(never) => match never {},
        };
        let values = figment::util::nest(key, value)
            .into_dict()
            .unwrap_or_default();
        Self {
            metadata: Metadata::named(source),
            values,
        }
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        self.metadata.clone()
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

fn read_file(path: &Path) -> Result<Layer, Finding> {
    let source = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| Finding {
        source: source.clone(),
        key: String::new(),
        what: format!("cannot be read: {error}"),
    })?;
    Layer::toml(Metadata::from("file", path), &source, &text)
}

/// The drop-in files beside `path`, ordered by name.
fn drop_ins(path: &Path, findings: &mut Findings) -> Vec<PathBuf> {
    let folder = path.parent().unwrap_or(Path::new("")).join("conf.d");
    let mut files = match std::fs::read_dir(&folder) {
        Ok(entries) => entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "toml")
            })
            .collect::<Vec<_>>(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            let what = format!("cannot be listed: {error}");
            findings.mistakes.push(Finding {
                source: folder.display().to_string(),
                key: String::new(),
                what,
            });
            Vec::new()
        }
    };
    files.sort();
    files
}

/// `OFFHOOK_AGENT__FRONT_DESK__WAKE_UP_S` is `agent.front-desk.wake_up_s` when the layers below know
/// an agent `front-desk`: the name of a variable has no dashes.
fn key_of_variable(name: &str, below: &Figment) -> Option<String> {
    let key = name.strip_prefix(VARIABLE_PREFIX)?;
    if !key.contains(VARIABLE_SEPARATOR) {
        return None;
    }
    let mut parts: Vec<String> = key
        .split(VARIABLE_SEPARATOR)
        .map(str::to_ascii_lowercase)
        .collect();
    if let [kind, name, ..] = parts.as_mut_slice()
        && matches!(kind.as_str(), "trunk" | "agent")
        && let Ok(Value::Dict(_, tables)) = below.find_value(kind)
        && !tables.contains_key(name)
        && let Some(known) = tables
            .keys()
            .find(|known| known.replace('-', "_").eq_ignore_ascii_case(name))
    {
        name.clone_from(known);
    }
    Some(parts.join("."))
}
