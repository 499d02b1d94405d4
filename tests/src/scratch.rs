//! A folder of a test's own, gone with the test unless the test failed.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, io, process, thread};

/// A fresh folder below the system's temporary folder. Removed when dropped; kept, and named on stderr, when the
/// thread is panicking, because then somebody wants the logs.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes a folder whose name begins with `label`.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(label: &str) -> io::Result<Self> {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("offhook-{label}-{}-{serial}", process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self { path })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A name inside the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("kept for reading: {}", self.path.display());
            return;
        }
        // Leaving a folder behind in the temporary folder is not worth failing a test for.
        let _ = fs::remove_dir_all(&self.path);
    }
}
