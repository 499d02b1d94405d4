//! SIP: datagrams, streams, and single values.

use offhook_sip::digest::{Challenge, challenges_in};
use offhook_sip::message::{
    CSeq, Frame, Headers, MAX_HEADERS, MAX_MESSAGE_BYTES, Message, NameAddr, Replaces,
    StreamFramer, Uri, Via, fragment_of, parse_datagram, status_in_fragment,
};

/// One datagram: what is read survives writing, and what cannot be read is answered by something that can.
pub fn sip(datagram: &[u8]) {
    let message = match parse_datagram(datagram) {
        Ok(None) => return,
        Ok(Some(message)) => message,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            if let Some(answer) = error.answer {
                assert_eq!(answer.status, error.kind.status());
                assert!(answer.headers.top_via().is_ok());
                let written = answer.to_bytes();
                assert_eq!(whole_frames(&written), std::slice::from_ref(&written));
            }
            return;
        }
    };
    assert!(datagram.len() <= MAX_MESSAGE_BYTES);
    let headers = match &message {
        Message::Request(request) => &request.headers,
        Message::Response(response) => &response.headers,
    };
    typed_views(headers);
    let written = message.to_bytes();
    assert_eq!(parse_datagram(&written), Ok(Some(message)));
    // On a stream it is one message, whatever its headers hold.
    if written.len() <= MAX_MESSAGE_BYTES {
        assert_eq!(whole_frames(&written), std::slice::from_ref(&written));
    }
}

fn typed_views(headers: &Headers) {
    assert!(headers.len() <= MAX_HEADERS);
    assert!(headers.top_via().is_ok() && headers.from_().is_ok() && headers.to().is_ok());
    assert!(headers.cseq().is_ok() && headers.call_id().is_some());
    assert_eq!(
        headers.from_tag().map(|tag| tag.map(str::to_owned)),
        headers
            .from_()
            .map(|from| from.parameters.get("tag").map(str::to_owned))
    );
    for (name, value) in headers.iter() {
        assert!(!name.is_empty() && !name.contains(['\r', '\n', ':']));
        assert!(!value.contains(['\r', '\n']));
    }
    let _ = (
        headers.contacts(),
        headers.record_routes(),
        headers.routes(),
        headers.vias(),
    );
    let _ = (
        headers.require(),
        headers.supported(),
        headers.max_forwards(),
        challenges_in(headers),
    );
    let _ = headers.get("Replaces").map(Replaces::parse);
}

/// The messages that a stream of these bytes holds, which must be all it holds.
fn whole_frames(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut framer = StreamFramer::new();
    framer.push(bytes);
    let mut messages = Vec::new();
    while let Some(frame) = framer.next_frame().expect("what is written can be cut") {
        match frame {
            Frame::Message(message) => messages.push(message),
            Frame::Ping | Frame::Pong => panic!("what is written holds no keep-alive"),
        }
    }
    messages
}

/// A stream: how it is cut into pieces on its way changes nothing, and no message is longer than it may be. The first
/// byte says how it is cut.
pub fn sip_stream(input: &[u8]) {
    let Some((cut, stream)) = input.split_first() else {
        return;
    };
    let whole = cut_by(stream, usize::MAX);
    let in_pieces = cut_by(stream, usize::from(*cut).max(1));
    // A ping in two pieces is a pong and a ping, so only messages and the end are compared.
    assert_eq!(messages_of(&whole.0), messages_of(&in_pieces.0));
    assert_eq!(whole.1, in_pieces.1);
    for message in messages_of(&whole.0) {
        assert!(message.len() <= MAX_MESSAGE_BYTES);
        // Both readers agree where it ends: what follows is not read into it.
        let alone = parse_datagram(message);
        let followed = parse_datagram(&[message, b"BYE sip:a SIP/2.0\r\n"].concat());
        if message.len() + 19 <= MAX_MESSAGE_BYTES {
            assert_eq!(alone, followed);
        }
        sip(message);
    }
}

type Cut = (Vec<Frame>, Result<(), offhook_sip::message::FramingError>);

fn cut_by(stream: &[u8], size: usize) -> Cut {
    let mut framer = StreamFramer::new();
    let mut frames = Vec::new();
    for piece in stream.chunks(size.min(stream.len().max(1))) {
        framer.push(piece);
        loop {
            match framer.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(framer.next_frame(), Err(error), "an error is final");
                    return (frames, Err(error));
                }
            }
        }
    }
    (frames, Ok(()))
}

fn messages_of(frames: &[Frame]) -> Vec<&[u8]> {
    let messages = frames.iter().filter_map(|frame| match frame {
        Frame::Message(message) => Some(message.as_slice()),
        Frame::Ping | Frame::Pong => None,
    });
    messages.collect()
}

/// Single values, each read from the same text: what is read and written again reads the same.
pub fn sip_values(input: &[u8]) {
    if let Some(status) = status_in_fragment(input) {
        assert_eq!(status_in_fragment(&fragment_of(status)), Some(status));
    }
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    // A header's value has no line break, so nothing has to be kept of a text that has one.
    let is_value = !text.contains(['\r', '\n']);
    if let Ok(uri) = Uri::parse(text) {
        let written = safe(uri.to_string());
        assert!(
            !is_value || Uri::parse(&written).as_ref() == Ok(&uri),
            "{uri:?}"
        );
    }
    if let Ok(via) = Via::parse(text) {
        let written = safe(via.to_string());
        assert!(
            !is_value || Via::parse(&written).as_ref() == Ok(&via),
            "{via:?}"
        );
    }
    if let Ok(address) = NameAddr::parse(text) {
        let written = safe(address.to_string());
        assert!(
            !is_value || NameAddr::parse(&written).as_ref() == Ok(&address),
            "{address:?}"
        );
    }
    if let Ok(cseq) = CSeq::parse(text) {
        let written = safe(cseq.to_string());
        assert_eq!(CSeq::parse(&written).as_ref(), Ok(&cseq));
    }
    if let Ok(replaces) = Replaces::parse(text) {
        let header = safe(format!("Replaces={}", replaces.as_uri_header()));
        if is_value {
            assert_eq!(Replaces::in_uri_headers(&header), Ok(Some(replaces)));
        }
    }
    let _ = Replaces::in_uri_headers(text);
    if let Ok(challenges) = Challenge::parse_all(text) {
        for challenge in challenges {
            let _ = (
                challenge.realm(),
                challenge.is_stale(),
                challenge.algorithm(),
            );
        }
    }
    // In a header list it is one value, whatever it holds.
    let mut headers = Headers::new();
    headers.push("Subject", text);
    headers.set("Subject", text);
    assert_eq!(headers.len(), 1);
    assert!(
        headers
            .get("Subject")
            .is_some_and(|value| !value.contains(['\r', '\n']))
    );
}

/// What is written, which splits no header that it is put into.
fn safe(written: String) -> String {
    let mut headers = Headers::new();
    headers.push("Contact", written.clone());
    let value = headers.get("Contact").unwrap_or_default();
    assert!(!value.contains(['\r', '\n']), "{written:?}");
    written
}
