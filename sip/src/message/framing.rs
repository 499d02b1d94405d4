//! Messages out of a stream (RFC 3261 sections 7.5 and 18.3, RFC 5626 section 4.4.1).
//!
//! ```text
//! bytes → push → between messages: line breaks → Ping, Pong
//!              └ head, to the empty line → Content-Length → body → Message
//! ```
//!
//! It owns where a message begins and ends, and nothing else: a whole message goes to
//! [`parse_datagram`](super::parse_datagram) like any other. Where a stream cannot be cut any more,
//! nothing behind that place can be trusted, so every error is final and the connection is to be
//! closed. Head lines are read by the parser's own code: two readers that disagree about where a
//! message ends let one smuggle a request past the other.

use super::lexer::is_token_byte;
use super::parse::{MAX_MESSAGE_BYTES, stated_length};

/// What an idle framer keeps of its buffer: a connection that once had a large message does not
/// hold on to it.
const KEPT_CAPACITY: usize = 4 * 1024;

/// What a stream holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// One whole message.
    Message(Vec<u8>),
    /// Two line breaks: the far end asks whether we live and wants one line break back.
    Ping,
    /// One line break: the answer to a ping of ours, or space before a message. A ping that arrives
    /// in two pieces is this first and then a ping: one too many says only that the far end lives.
    Pong,
}

/// Why a stream cannot be cut into messages; never with its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum FramingError {
    /// Where a message should begin is no SIP.
    #[error("not SIP")]
    NotSip,
    /// The head alone is larger than [`MAX_MESSAGE_BYTES`].
    #[error("head too large")]
    HeadTooLarge,
    /// Head and body are larger than [`MAX_MESSAGE_BYTES`].
    #[error("message too large")]
    MessageTooLarge,
    /// There is no Content-Length, which a stream needs (RFC 3261 section 18.3).
    #[error("no Content-Length")]
    NoContentLength,
    /// Content-Length is no number, or there are several that disagree.
    #[error("wrong Content-Length")]
    ContentLength,
}

/// Cuts one direction of a connection into messages.
///
/// [`push`](Self::push) what was read, then take [`next_frame`](Self::next_frame) until there is
/// none: so it never holds more than [`MAX_MESSAGE_BYTES`] and the last piece pushed.
#[derive(Debug, Default)]
pub struct StreamFramer {
    bytes: Vec<u8>,
    /// Everything before this was handed out.
    start: usize,
    state: State,
}

/// Where it stands. Places are counted from the first byte of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between two messages.
    Between {
        /// A line break was reported as pong while nothing followed it: one more makes it a ping.
        after_break: bool,
    },
    /// In the head. Bytes before `scanned` are not looked at again; its current line began at `line`.
    Head { line: usize, scanned: usize },
    /// In a message that is whole at `end`.
    Body { end: usize },
    /// It cannot be cut any more.
    Broken(FramingError),
}

impl Default for State {
    fn default() -> Self {
        Self::Between { after_break: false }
    }
}

impl StreamFramer {
    /// At the beginning of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what was read. After an error nothing is taken any more.
    pub fn push(&mut self, bytes: &[u8]) {
        if matches!(self.state, State::Broken(_)) {
            return;
        }
        // What is moved here came with the last piece, so every byte is moved once at most.
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next frame; `None` until more is pushed.
    ///
    /// # Errors
    /// When the stream cannot be cut into messages: then always, and the connection is to be closed.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FramingError> {
        loop {
            let moved_on = match self.state {
                State::Between { after_break } => match self.line_break(after_break) {
                    Break::Frame(frame) => return Ok(Some(frame)),
                    Break::Skipped => true,
                    Break::Unfinished => false,
                    Break::Message => self.begin(),
                },
                State::Head { line, scanned } => self.head_line(line, scanned),
                State::Body { end } => match self.body(end) {
                    Some(message) => return Ok(Some(Frame::Message(message))),
                    None => false,
                },
                State::Broken(error) => return Err(error),
            };
            if !moved_on && !matches!(self.state, State::Broken(_)) {
                return Ok(None);
            }
        }
    }

    fn unread(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    fn line_break(&mut self, after_break: bool) -> Break {
        let (length, after_break, found) = match self.unread() {
            [] | [b'\r'] => return Break::Unfinished,
            [b'\r', b'\n', ..] if after_break => (2, false, Break::Frame(Frame::Ping)),
            [b'\r', b'\n'] => (2, true, Break::Frame(Frame::Pong)),
            [b'\r', b'\n', b'\r'] => return Break::Unfinished,
            [b'\r', b'\n', b'\r', b'\n', ..] => (4, false, Break::Frame(Frame::Ping)),
            [b'\r', b'\n', ..] => (2, false, Break::Frame(Frame::Pong)),
            // Half a line break is read past, as in a datagram.
            [b'\r' | b'\n', ..] => (1, false, Break::Skipped),
            [..] => return Break::Message,
        };
        self.advance(length);
        self.state = State::Between { after_break };
        found
    }

    /// A message begins. Its first byte tells much that is no SIP, a TLS handshake among it, which may
    /// never come to the end of a line.
    fn begin(&mut self) -> bool {
        match self.unread().first() {
            Some(first) if is_token_byte(*first) => {
                self.state = State::Head {
                    line: 0,
                    scanned: 0,
                };
                true
            }
            Some(_) | None => self.break_off(FramingError::NotSip),
        }
    }

    /// Reads to the end of one head line; whether there was one.
    fn head_line(&mut self, line: usize, scanned: usize) -> bool {
        let unread = self.unread();
        let Some(found) = unread[scanned..].iter().position(|byte| *byte == b'\n') else {
            let scanned = unread.len();
            if scanned > MAX_MESSAGE_BYTES {
                return self.break_off(FramingError::HeadTooLarge);
            }
            self.state = State::Head { line, scanned };
            return false;
        };
        let next = scanned + found + 1;
        if next > MAX_MESSAGE_BYTES {
            return self.break_off(FramingError::HeadTooLarge);
        }
        let text = &unread[line..next - 1];
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if line == 0 && !is_start_line(text) {
            return self.break_off(FramingError::NotSip);
        }
        if !text.is_empty() {
            self.state = State::Head {
                line: next,
                scanned: next,
            };
            return true;
        }
        match whole_length(&unread[..next]) {
            Ok(end) => {
                self.state = State::Body { end };
                true
            }
            Err(error) => self.break_off(error),
        }
    }

    fn body(&mut self, end: usize) -> Option<Vec<u8>> {
        let message = self.unread().get(..end)?.to_vec();
        self.advance(end);
        self.state = State::default();
        Some(message)
    }

    fn advance(&mut self, length: usize) {
        self.start += length;
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(KEPT_CAPACITY);
            self.start = 0;
        }
    }

    fn break_off(&mut self, error: FramingError) -> bool {
        self.bytes = Vec::new();
        self.start = 0;
        self.state = State::Broken(error);
        false
    }
}

/// What stands between two messages.
enum Break {
    /// Line breaks that mean something.
    Frame(Frame),
    /// A byte that means nothing.
    Skipped,
    /// It is not known yet.
    Unfinished,
    /// No line break: a message begins.
    Message,
}

/// The length of the message whose head this is.
fn whole_length(head: &[u8]) -> Result<usize, FramingError> {
    let body = stated_length(head)
        .map_err(|_| FramingError::ContentLength)?
        .ok_or(FramingError::NoContentLength)?;
    head.len()
        .checked_add(body)
        .filter(|length| *length <= MAX_MESSAGE_BYTES)
        .ok_or(FramingError::MessageTooLarge)
}

/// Whether the parser would call it SIP at all: what is not gets no answer anyway, and a web browser
/// or a scanner is not waited for.
fn is_start_line(line: &[u8]) -> bool {
    let is_version = |word: &[u8]| {
        word.get(..4)
            .is_some_and(|name| name.eq_ignore_ascii_case(b"SIP/"))
    };
    let line = line.trim_ascii_end();
    let last = line.rsplit(|byte| matches!(byte, b' ' | b'\t')).next();
    is_version(line) || last.is_some_and(is_version)
}

#[cfg(test)]
mod tests;
