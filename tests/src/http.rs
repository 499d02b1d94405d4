//! Requests to a daemon's control address, one connection each.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(2);

/// The status and the body of the page at `path`.
///
/// # Errors
/// When nobody answers in time, or not by HTTP.
pub fn get(server: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    ask(server, "GET", path, "", PATIENCE)
}

/// The status and the body that a request is answered with; `json` is its body, where it has one.
///
/// # Errors
/// When nobody answers within `patience`, or not by HTTP.
pub fn ask(
    server: SocketAddr,
    method: &str,
    path: &str,
    json: &str,
    patience: Duration,
) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(patience))?;
    let body = match json.len() {
        0 => String::new(),
        length => format!("Content-Type: application/json\r\nContent-Length: {length}\r\n"),
    };
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n{body}\r\n{json}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head
        .split_ascii_whitespace()
        .nth(1)
        .and_then(|status| status.parse().ok());
    Ok((status.ok_or(io::ErrorKind::InvalidData)?, body.to_owned()))
}

/// The status of the page at `path`; `None` when nobody answers.
pub fn status(server: SocketAddr, path: &str) -> Option<u16> {
    get(server, path).ok().map(|(status, _)| status)
}
