//! Files with people's speech and numbers in them: their owner's alone, whatever the umask.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Opens a file for writing as `options` say, and makes the folder that it is in where there is none.
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
    let file = options.write(true).mode(0o600).open(path)?;
    // A file that was there has a mode of its own.
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}
