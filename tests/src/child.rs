//! A program we started: its output kept in a file, its end by its own process id and no other.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::wait::wait_until;

/// How long a program may take to leave after SIGTERM before it is killed: longer than the drain of tests' daemons (two
/// seconds) and what the daemon gives its last goodbyes after it (seven).
const LEAVING: Duration = Duration::from_secs(12);

/// A running program that does not outlive this value, nor the thread that started it.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    log: PathBuf,
    /// Whether it and its own processes are a group.
    has_group: bool,
}

impl Program {
    /// Starts `command` with both its outputs written to the file `log` and nothing on its input.
    ///
    /// # Errors
    /// When the log cannot be made or the program cannot be started; the program is named.
    pub fn start(name: &str, command: Command, log: PathBuf) -> io::Result<Self> {
        Self::start_ended_by(libc::SIGKILL, name, command, log, false)
    }

    /// The same for a program with processes of its own, which it ends when it is asked to leave and forgets when it is
    /// killed. They are a group, of which nothing is left when this value is gone.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_group(name: &str, mut command: Command, log: PathBuf) -> io::Result<Self> {
        command.process_group(0);
        Self::start_ended_by(libc::SIGTERM, name, command, log, true)
    }

    /// `signal` is what it gets from the kernel when the thread that started it ends.
    fn start_ended_by(
        signal: libc::c_int,
        name: &str,
        mut command: Command,
        log: PathBuf,
        has_group: bool,
    ) -> io::Result<Self> {
        let output = File::create(&log)?;
        // SAFETY: between fork and exec only this system call is made, which touches no memory.
        unsafe { command.pre_exec(move || end_with_parent(signal)) };
        let child = command
            .stdin(Stdio::null())
            .stderr(output.try_clone()?)
            .stdout(output)
            .spawn()
            .map_err(|error| {
                io::Error::new(error.kind(), format!("cannot start {name}: {error}"))
            })?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log,
            has_group,
        })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The file its outputs go to.
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// What it has written so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Its exit status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits for it to end by itself.
    ///
    /// # Errors
    /// When it is still running after `limit`; it is then killed.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus, String> {
        let what = format!("the end of {}", self.name);
        let ended = wait_until(&what, limit, || self.ended());
        if ended.is_err() {
            self.kill();
        }
        ended
    }

    /// Asks it to leave (SIGTERM) and waits; kills it after twelve seconds. Gives the status and how long it took.
    ///
    /// # Errors
    /// When it had to be killed.
    pub fn stop(&mut self) -> Result<(ExitStatus, Duration), String> {
        let asked = Instant::now();
        self.signal(libc::SIGTERM);
        self.wait(LEAVING).map(|status| (status, asked.elapsed()))
    }

    /// Sends `signal` to it, unless it has ended.
    pub fn signal(&mut self, signal: libc::c_int) {
        if self.ended().is_none() {
            // SAFETY: no memory is involved; the id is our own unreaped child's, so it cannot be anyone else's.
            unsafe { libc::kill(self.child.id() as libc::pid_t, signal) };
        }
    }

    fn kill(&mut self) {
        // Fails only when it has ended meanwhile, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.ended().is_none() && self.stop().is_err() {
            eprintln!("{} did not leave on SIGTERM and was killed", self.name);
        }
        if self.has_group {
            // SAFETY: no memory is involved. A group lives on in its members alone, so it is nobody else's; without any
            // this fails, which is what is wanted.
            unsafe { libc::kill(-(self.child.id() as libc::pid_t), libc::SIGKILL) };
        }
    }
}

/// Asks the kernel to send `signal` to the calling process when the thread that started it ends: also a test program
/// that is killed itself leaves nothing running.
fn end_with_parent(signal: libc::c_int) -> io::Result<()> {
    // SAFETY: the arguments are plain numbers.
    match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
