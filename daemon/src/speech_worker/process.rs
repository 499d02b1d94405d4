//! One speech process, seen from the daemon.

use std::io;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStderr, Command};
use tracing::debug;

use super::frame::{self, Lengths};
use super::message::{Response, Start};
use super::{Role, SUBCOMMAND};

/// A running speech process. It is killed when this is dropped.
pub(super) struct Process {
    child: Child,
    socket: UnixStream,
}

/// Why a process could not be started.
pub(super) enum StartFailure {
    /// It says itself what it lacks.
    Unavailable(String),
    /// The program could not be run, or ended, or spoke nonsense.
    Failed(String),
}

impl Process {
    /// Starts a process and waits until it is ready.
    pub(super) async fn start(program: &Path, start: &Start) -> Result<Self, StartFailure> {
        let mut process = Self::spawn(program, start.role).map_err(|error| {
            StartFailure::Failed(format!("{} cannot be run: {error}", program.display()))
        })?;
        match process.ask(start, &[]).await {
            Ok((Response::Ready, _)) => Ok(process),
            Ok((Response::Unavailable { reason }, _)) => Err(StartFailure::Unavailable(reason)),
            Ok(_) => Err(StartFailure::Failed(
                "its first answer made no sense".to_owned(),
            )),
            Err(error) => Err(StartFailure::Failed(process.end(&error).await)),
        }
    }

    fn spawn(program: &Path, role: Role) -> io::Result<Self> {
        let (ours, theirs) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let mut child = Command::new(program)
            .arg(SUBCOMMAND)
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(log_lines(stderr, role, child.id()));
        }
        Ok(Self {
            child,
            socket: UnixStream::from_std(ours)?,
        })
    }

    /// The process id, `None` once it was reaped.
    pub(super) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Sends a frame and reads the answer. After an error, or when the future is dropped before it is
    /// done, the process is out of step and must be given up.
    pub(super) async fn ask<H: Serialize>(
        &mut self,
        header: &H,
        samples: &[i16],
    ) -> io::Result<(Response, Arc<[i16]>)> {
        self.socket
            .write_all(&frame::encode(header, samples)?)
            .await?;
        let mut lengths = [0; Lengths::BYTES];
        self.socket.read_exact(&mut lengths).await?;
        let lengths = Lengths::parse(lengths)?;
        let mut rest = vec![0; lengths.rest()];
        self.socket.read_exact(&mut rest).await?;
        lengths.decode(&rest)
    }

    /// Waits until the process ends by itself, and says how. Safe to drop and call again.
    pub(super) async fn ended(&mut self) -> String {
        match self.child.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        }
    }

    /// Kills the process and says how it ended: by itself, or else what went wrong with it.
    pub(super) async fn end(mut self, error: &io::Error) -> String {
        // A process that died is reaped within moments of its socket closing.
        let status =
            tokio::time::timeout(std::time::Duration::from_millis(100), self.child.wait()).await;
        if let Ok(Ok(status)) = status {
            return status.to_string();
        }
        self.kill().await;
        error.to_string()
    }

    /// Kills the process, stopped or not, and reaps it.
    pub(super) async fn kill(mut self) {
        if let Err(error) = self.child.kill().await {
            debug!(%error, "a speech process could not be killed");
        }
    }
}

/// Passes on what the libraries write to standard error: bounded by line, and only at DEBUG.
async fn log_lines(stderr: ChildStderr, role: Role, process_id: Option<u32>) {
    const LONGEST_LINE: u64 = 1024;
    let mut reader = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader)
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut line)
            .await
        {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line);
        debug!(
            role = role.as_str(),
            process_id,
            "speech process: {}",
            text.trim_end()
        );
    }
}
