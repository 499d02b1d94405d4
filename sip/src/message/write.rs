//! Messages to bytes: one buffer, the body copied as it is.
//!
//! Content-Length is computed, so one in the header list is passed over. Nothing written here can
//! split a header: values were made safe when they entered the list, URIs escape, and a line break
//! in the reason phrase becomes a space.

use std::io::Write as _;

use super::{Headers, Message, Request, Response};

/// Start line's fixed text, line ends and Content-Length take less than this.
const FIXED_BYTES: usize = 96;

impl Message {
    /// Appends the message to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Request(request) => request.write(out),
            Self::Response(response) => response.write(out),
        }
    }

    /// The message as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        bytes_of(|out| self.write(out))
    }
}

impl Request {
    /// Appends the message to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        let method = self.method.as_str();
        out.reserve(rest_bytes(&self.headers, &self.body) + method.len() + self.uri.length_hint());
        write!(out, "{method} {} SIP/2.0\r\n", self.uri).expect("a Vec takes every write");
        write_rest(out, &self.headers, &self.body);
    }

    /// The message as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        bytes_of(|out| self.write(out))
    }

    /// About how many bytes it takes on the wire, at most a hundred more than it does.
    pub(crate) fn written_length_hint(&self) -> usize {
        rest_bytes(&self.headers, &self.body) + self.uri.length_hint()
    }
}

impl Response {
    /// Appends the message to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.reserve(rest_bytes(&self.headers, &self.body) + self.reason.len());
        write!(out, "SIP/2.0 {} ", self.status).expect("a Vec takes every write");
        out.extend(self.reason.bytes().map(|byte| match byte {
            b'\r' | b'\n' => b' ',
            other => other,
        }));
        out.extend_from_slice(b"\r\n");
        write_rest(out, &self.headers, &self.body);
    }

    /// The message as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        bytes_of(|out| self.write(out))
    }
}

fn bytes_of(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

/// Everything after the start line.
fn write_rest(out: &mut Vec<u8>, headers: &Headers, body: &[u8]) {
    for (name, value) in headers.iter().filter(|(name, _)| !is_content_length(name)) {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    write!(out, "Content-Length: {}\r\n\r\n", body.len()).expect("a Vec takes every write");
    out.extend_from_slice(body);
}

fn rest_bytes(headers: &Headers, body: &[u8]) -> usize {
    let lines: usize = headers
        .iter()
        .map(|(name, value)| name.len() + value.len() + 4)
        .sum();
    lines + body.len() + FIXED_BYTES
}

fn is_content_length(name: &str) -> bool {
    name.eq_ignore_ascii_case("Content-Length")
}
