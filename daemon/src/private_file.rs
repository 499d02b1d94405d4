//! Files with people's speech and numbers in them: their owner's alone, whatever the umask.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Opens a file for writing as `options` say, and makes the folder that it is in where there is none. A file that was
/// there keeps its mode.
///
/// # Errors
/// When either cannot be made.
pub(crate) fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    options.write(true).mode(0o600).open(path)
}
