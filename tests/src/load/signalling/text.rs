//! The caller's messages as literal text, written into one buffer that is used again, and the few words of an answer that
//! it looks at, found in one pass over the lines. A load that allocates for each message measures itself.

use std::io::Write as _;
use std::net::SocketAddr;

use crate::sip_text;

/// What all messages by one socket have in common.
#[derive(Debug)]
pub(super) struct Words {
    local: SocketAddr,
    target: SocketAddr,
    user: String,
    run: String,
    offer: String,
}

/// The far end's side of a dialog, as its answer named it: the whole To header and the URI of Contact.
#[derive(Debug, Default)]
pub(super) struct FarEnd {
    pub(super) to: Box<[u8]>,
    pub(super) contact: Box<[u8]>,
}

impl Words {
    /// `run` tells the Call-IDs of one run from those of any other.
    pub(super) fn new(
        local: SocketAddr,
        target: SocketAddr,
        user: &str,
        run: String,
        media: SocketAddr,
    ) -> Self {
        Self {
            local,
            target,
            user: user.to_owned(),
            run,
            offer: sip_text::pcmu_offer(media),
        }
    }

    pub(super) fn invite(&self, call: usize, into: &mut Vec<u8>) {
        into.clear();
        let Self { target, user, .. } = self;
        self.start(format_args!("INVITE sip:{user}@{target}"), call, 1, into);
        written(write!(into, "To: <sip:{user}@{target}>\r\n"));
        self.end("INVITE", call, 1, &self.offer, into);
    }

    /// ACK of a 2xx, and BYE: requests of their own in the dialog, so `branch` is new.
    pub(super) fn in_dialog(
        &self,
        method: &str,
        (sequence, branch): (u8, u8),
        call: usize,
        far_end: &FarEnd,
        into: &mut Vec<u8>,
    ) {
        into.clear();
        into.extend_from_slice(method.as_bytes());
        into.push(b' ');
        into.extend_from_slice(&far_end.contact);
        self.start(format_args!(""), call, branch, into);
        into.extend_from_slice(b"To: ");
        into.extend_from_slice(&far_end.to);
        into.extend_from_slice(b"\r\n");
        self.end(method, call, sequence, "", into);
    }

    /// ACK of a refusal: a part of the INVITE's transaction, so it has its branch and its URI.
    pub(super) fn ack_refusal(&self, call: usize, to: &[u8], into: &mut Vec<u8>) {
        into.clear();
        let Self { target, user, .. } = self;
        self.start(format_args!("ACK sip:{user}@{target}"), call, 1, into);
        into.extend_from_slice(b"To: ");
        into.extend_from_slice(to);
        into.extend_from_slice(b"\r\n");
        self.end("ACK", call, 1, "", into);
    }

    fn start(&self, start: std::fmt::Arguments<'_>, call: usize, branch: u8, into: &mut Vec<u8>) {
        let Self { local, run, .. } = self;
        written(write!(
            into,
            "{start} SIP/2.0\r\nVia: SIP/2.0/UDP {local};rport;branch=z9hG4bK-{run}-{call}-{branch}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:caller@{local}>;tag=f{call}\r\n"
        ));
    }

    fn end(&self, method: &str, call: usize, sequence: u8, body: &str, into: &mut Vec<u8>) {
        let Self { local, run, .. } = self;
        written(write!(
            into,
            "Call-ID: {run}-{call}\r\nCSeq: {sequence} {method}\r\nContact: <sip:caller@{local}>\r\n"
        ));
        if !body.is_empty() {
            into.extend_from_slice(b"Content-Type: application/sdp\r\n");
        }
        let length = body.len();
        written(write!(into, "Content-Length: {length}\r\n\r\n{body}"));
    }
}

/// A `Vec` takes everything.
fn written(outcome: std::io::Result<()>) {
    debug_assert!(outcome.is_ok());
}

/// What the peer sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message<'a> {
    /// `None` for a request.
    pub(super) status: Option<u16>,
    /// The method of a request; of an answer, the one its `CSeq` names.
    pub(super) method: &'a [u8],
    /// Which of our calls it is about.
    pub(super) call: usize,
    /// The whole To header.
    pub(super) to: &'a [u8],
    /// The URI of Contact; empty where there is none.
    pub(super) contact: &'a [u8],
}

/// Reads a message about one of the calls of `run`; `None` when it is nothing of that kind.
pub(super) fn read<'a>(bytes: &'a [u8], run: &str) -> Option<Message<'a>> {
    let mut lines = bytes
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii_end);
    let start = lines.next()?;
    let status = match start.strip_prefix(b"SIP/2.0 ") {
        Some(rest) => Some(number(rest.get(..3)?)? as u16),
        None => None,
    };
    let (mut call, mut to, mut contact) = (None, &b""[..], &b""[..]);
    let mut method = start.split(|byte| *byte == b' ').next()?;
    for line in lines.take_while(|line| !line.is_empty()) {
        if let Some(value) = value(line, b"Call-ID:") {
            let index = value.strip_prefix(run.as_bytes())?.strip_prefix(b"-")?;
            call = number(index);
        } else if let Some(value) = value(line, b"CSeq:") {
            if status.is_some() {
                method = value.rsplit(|byte| *byte == b' ').next()?;
            }
        } else if let Some(value) = value(line, b"To:") {
            to = value;
        } else if let Some(value) = value(line, b"Contact:") {
            let uri = value.split(|byte| *byte == b'<').nth(1).unwrap_or(value);
            contact = uri.split(|byte| *byte == b'>').next()?;
        }
    }
    Some(Message {
        status,
        method,
        call: call?,
        to,
        contact,
    })
}

fn value<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = line.split_at_checked(name.len())?;
    head.eq_ignore_ascii_case(name)
        .then(|| rest.trim_ascii_start())
}

fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> Words {
        let at = |text: &str| text.parse().expect("address");
        Words::new(
            at("127.0.0.1:5070"),
            at("127.0.0.1:5060"),
            "echo",
            "run-1".to_owned(),
            at("127.0.0.1:4000"),
        )
    }

    #[test]
    fn what_is_written_is_a_message_and_reads_back() {
        let mut buffer = Vec::new();
        words().invite(17, &mut buffer);
        let text = std::str::from_utf8(&buffer).expect("text");
        assert!(
            text.starts_with("INVITE sip:echo@127.0.0.1:5060 SIP/2.0\r\nVia: "),
            "{text}"
        );
        let (_, body) = text.split_once("\r\n\r\n").expect("a body");
        let length = sip_text::header(text, "Content-Length").expect("a length");
        assert_eq!(length, body.len().to_string());
        let read_back = read(&buffer, "run-1").expect("one of ours");
        assert_eq!((read_back.status, read_back.call), (None, 17));
        assert_eq!(read_back.method, b"INVITE");
        assert_eq!(read(&buffer, "run-2"), None);
    }

    #[test]
    fn a_bye_goes_to_the_contact_with_the_tag_of_the_answer() {
        let answer =
            b"SIP/2.0 200 OK\r\nto: <sip:echo@x>;tag=9\r\ncall-id: run-1-3\r\nCSeq: 1 INVITE\r\n\
            Contact: \"E\" <sip:e@127.0.0.1:9;x=1>;y\r\nContent-Length: 0\r\n\r\n";
        let answer = read(answer, "run-1").expect("one of ours");
        assert_eq!((answer.status, answer.call), (Some(200), 3));
        let far_end = FarEnd {
            to: answer.to.into(),
            contact: answer.contact.into(),
        };
        let mut buffer = Vec::new();
        words().in_dialog("BYE", (2, 3), 3, &far_end, &mut buffer);
        let text = std::str::from_utf8(&buffer).expect("text");
        assert!(
            text.starts_with("BYE sip:e@127.0.0.1:9;x=1 SIP/2.0\r\n"),
            "{text}"
        );
        assert_eq!(sip_text::header(text, "To"), Some("<sip:echo@x>;tag=9"));
    }
}
