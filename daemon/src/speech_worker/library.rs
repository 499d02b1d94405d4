//! Opening a C library by name, with an error that says what to install.

use std::path::Path;

use libloading::Library;

/// A library that could not be used, and the Debian package that has it.
#[derive(Debug, thiserror::Error)]
#[error("{file} cannot be loaded ({reason}); install the Debian package {package}")]
pub(super) struct MissingLibrary {
    file: String,
    package: &'static str,
    reason: String,
}

impl MissingLibrary {
    fn of(file: &str, package: &'static str, error: &libloading::Error) -> Self {
        // The error says which call failed, its source what the loader said.
        match std::error::Error::source(error) {
            Some(said) => Self::new(file, package, said),
            None => Self::new(file, package, error),
        }
    }

    pub(super) fn new(file: &str, package: &'static str, reason: impl std::fmt::Display) -> Self {
        Self {
            file: file.to_owned(),
            package,
            reason: reason.to_string(),
        }
    }
}

/// Opens `file` from `folder`, or from where the system's loader looks.
///
/// # Safety
/// Loading runs the library's initialisers: the caller vouches that `file` names the library it
/// expects, which has none that need anything of us.
pub(super) unsafe fn open(
    folder: Option<&Path>,
    file: &str,
    package: &'static str,
) -> Result<Library, MissingLibrary> {
    let path = folder.map_or_else(|| Path::new(file).to_owned(), |folder| folder.join(file));
    // SAFETY: passed on to the caller.
    unsafe { Library::new(path) }.map_err(|error| MissingLibrary::of(file, package, &error))
}

/// Copies a function's address out of a library.
///
/// # Safety
/// `F` must be the C function's type as its header declares it, and must not be called after the
/// library is dropped.
pub(super) unsafe fn function<F: Copy>(
    library: &Library,
    file: &str,
    package: &'static str,
    name: &str,
) -> Result<F, MissingLibrary> {
    // SAFETY: passed on to the caller.
    let symbol = unsafe { library.get::<F>(name.as_bytes()) };
    symbol
        .map(|symbol| *symbol)
        .map_err(|error| MissingLibrary::of(file, package, &error))
}
