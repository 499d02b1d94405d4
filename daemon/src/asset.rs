//! Files that agents name: flows and recordings.
//!
//! A name is looked for as a file first. A few come with the program under the names that the example
//! configuration uses, so that it works before anything else is installed.

use std::borrow::Cow;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// What comes with the program, by the end of its path.
const BUILT_IN: [(&str, &[u8]); 3] = [
    (
        "flows/front-desk.toml",
        include_bytes!("../../deploy/flows/front-desk.toml"),
    ),
    (
        "flows/night-desk.toml",
        include_bytes!("../../deploy/flows/night-desk.toml"),
    ),
    (
        "audio/hold.wav",
        include_bytes!("../../deploy/audio/hold.wav"),
    ),
];

/// A file, or one that came with the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asset {
    /// A file that was there when the configuration was read.
    File(PathBuf),
    /// No such file, but the program brings one of this name.
    BuiltIn {
        /// The name as the configuration spells it.
        name: PathBuf,
        /// What it holds.
        bytes: &'static [u8],
    },
}

impl Asset {
    /// Finds what `path` names.
    pub(crate) fn find(path: &Path) -> Self {
        let built_in = BUILT_IN.iter().find(|(name, _)| path.ends_with(name));
        match built_in {
            Some((_, bytes)) if !path.exists() => Self::BuiltIn {
                name: path.to_owned(),
                bytes,
            },
            Some(_) | None => Self::File(path.to_owned()),
        }
    }

    /// The file's path, or the name of what came with the program.
    #[must_use]
    pub fn name(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::BuiltIn { name, .. } => name,
        }
    }

    /// What it holds.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(&self) -> io::Result<Cow<'static, [u8]>> {
        match self {
            Self::File(path) => std::fs::read(path).map(Cow::Owned),
            Self::BuiltIn { bytes, .. } => Ok(Cow::Borrowed(bytes)),
        }
    }

    /// What it holds, unless that is more than `most` bytes.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read_at_most(&self, most: u64) -> io::Result<Option<Cow<'static, [u8]>>> {
        let bytes = match self {
            Self::File(path) => {
                let mut bytes = Vec::new();
                std::fs::File::open(path)?
                    .take(most + 1)
                    .read_to_end(&mut bytes)?;
                Cow::Owned(bytes)
            }
            Self::BuiltIn { bytes, .. } => Cow::Borrowed(*bytes),
        };
        Ok(Some(bytes).filter(|bytes| bytes.len() as u64 <= most))
    }
}
