//! Streams cut whole, in pieces, and damaged.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::message::{Message, parse_datagram};

const OPTIONS: &str = "OPTIONS sip:a@h SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\n\
    From: <sip:b@h>;tag=1\r\nTo: <sip:a@h>\r\nCall-ID: i\r\nCSeq: 1 OPTIONS\r\n";

fn with_body(length_header: &str, body: &str) -> Vec<u8> {
    format!("{OPTIONS}{length_header}\r\n\r\n{body}").into_bytes()
}

fn message(body: &str) -> Vec<u8> {
    with_body(&format!("Content-Length: {}", body.len()), body)
}

/// Every frame of `pieces`, and the error that ended them.
fn frames<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Frame>, Option<FramingError>) {
    let mut framer = StreamFramer::new();
    let mut frames = Vec::new();
    for piece in pieces {
        framer.push(piece);
        loop {
            match framer.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
        assert!(framer.bytes.len() <= MAX_MESSAGE_BYTES + piece.len());
    }
    (frames, None)
}

fn error_of(bytes: &[u8]) -> Option<FramingError> {
    frames([bytes]).1
}

#[test]
fn messages_in_one_segment_come_out_one_by_one() {
    let (first, second) = (message("hello"), message(""));
    let bytes = [&first[..], &second, &first].concat();
    let expected = [&first, &second, &first].map(|bytes| Frame::Message(bytes.clone()));
    assert_eq!(frames([&bytes[..]]), (expected.to_vec(), None));
}

#[test]
fn a_length_is_found_however_its_header_is_written() {
    for header in [
        "Content-Length: 5",
        "l:5",
        "L : 5",
        "CONTENT-length:\t5 ",
        "Content-Length:\r\n 5",
        "Subject: x\r\n Content-Length: 9\r\nl: 5",
        "l: 0005",
        "Content-Length: 5\r\nl: 5",
    ] {
        let bytes = with_body(header, "hello");
        let expected = Frame::Message(bytes.clone());
        assert_eq!(frames([&bytes[..]]), (vec![expected], None), "{header}");
    }
}

#[test]
fn lines_that_end_in_a_bare_line_feed_end_where_the_parser_ends_them() {
    let bytes = String::from_utf8(message("hi"))
        .unwrap()
        .replace("\r\n", "\n");
    let (found, error) = frames([bytes.as_bytes()]);
    assert_eq!(error, None);
    let [Frame::Message(found)] = &found[..] else {
        panic!("{found:?}")
    };
    let Ok(Some(Message::Request(request))) = parse_datagram(found) else {
        panic!()
    };
    assert_eq!(request.body, b"hi");
}

#[test]
fn a_stream_without_a_usable_length_is_broken_for_good() {
    use FramingError::{ContentLength, MessageTooLarge, NoContentLength};
    for (header, expected) in [
        ("Subject: x", NoContentLength),
        ("X-Content-Length: 5", NoContentLength),
        ("Content-Length: five", ContentLength),
        ("Content-Length: -5", ContentLength),
        ("Content-Length:", ContentLength),
        ("Content-Length: 5, 5", ContentLength),
        ("Content-Length: 5\r\nl: 6", ContentLength),
        ("Content-Length: 99999999999999999999999999", ContentLength),
        ("Content-Length: 18446744073709551615", MessageTooLarge),
        ("Content-Length: 65536", MessageTooLarge),
    ] {
        let mut framer = StreamFramer::new();
        framer.push(&with_body(header, "hello"));
        assert_eq!(framer.next_frame(), Err(expected), "{header}");
        framer.push(&message("later"));
        assert_eq!(framer.next_frame(), Err(expected), "{header}");
        assert_eq!(framer.bytes.capacity(), 0);
    }
}

#[test]
fn what_is_not_sip_is_known_by_its_first_byte_or_line() {
    assert_eq!(error_of(b"\x16\x03\x01"), Some(FramingError::NotSip));
    assert_eq!(error_of(b"\0\0"), Some(FramingError::NotSip));
    assert_eq!(error_of(b"GET / HTTP/1.1\r\n"), Some(FramingError::NotSip));
    assert_eq!(error_of(b"SIP/2.0 200 OK\r\n"), None);
    assert_eq!(error_of(b"INVITE sip:a@h sip/2.0 \r\n"), None);
}

#[test]
fn a_message_before_the_fault_is_handed_out() {
    let bytes = [&message("hello")[..], b"junk\r\n"].concat();
    let expected = vec![Frame::Message(message("hello"))];
    assert_eq!(frames([&bytes[..]]), (expected, Some(FramingError::NotSip)));
}

#[test]
fn two_line_breaks_are_a_ping_and_one_is_a_pong() {
    use Frame::{Ping, Pong};
    let found = |bytes: &'static str| frames([bytes.as_bytes()]).0;
    assert_eq!(found("\r\n"), [Pong]);
    assert_eq!(found("\r\n\r\n"), [Ping]);
    assert_eq!(found("\r\n\r\n\r\n"), [Ping, Pong]);
    assert_eq!(found("\r\n\r\n\r\n\r\n"), [Ping, Ping]);
    assert_eq!(found("\r"), []);
    assert_eq!(found("\n\n"), []);
    let bytes = [b"\r\n", &message("")[..]].concat();
    assert_eq!(frames([&bytes[..]]).0, [Pong, Frame::Message(message(""))]);
}

#[test]
fn a_ping_in_two_pieces_is_still_answered() {
    let pieces = |cut: usize| {
        let (one, other) = b"\r\n\r\n".split_at(cut);
        frames([one, other]).0
    };
    for cut in 1..4 {
        assert_eq!(pieces(cut).last(), Some(&Frame::Ping), "{cut}");
    }
}

#[test]
fn heads_and_messages_have_a_limit() {
    let endless_line = [b"INVITE sip:", &vec![b'a'; MAX_MESSAGE_BYTES][..]].concat();
    assert_eq!(error_of(&endless_line), Some(FramingError::HeadTooLarge));
    let endless_head = format!("{OPTIONS}{}", "X: y\r\n".repeat(MAX_MESSAGE_BYTES / 6));
    let in_pieces = frames(endless_head.as_bytes().chunks(1_000));
    assert_eq!(in_pieces.1, Some(FramingError::HeadTooLarge));
    let room = MAX_MESSAGE_BYTES - with_body("l: 65000", "").len();
    let largest = with_body(&format!("l: {room}"), &"x".repeat(room));
    assert_eq!(largest.len(), MAX_MESSAGE_BYTES);
    assert_eq!(frames([&largest[..]]).0.len(), 1);
    let beyond = with_body(&format!("l: {}", room + 1), "");
    assert_eq!(error_of(&beyond), Some(FramingError::MessageTooLarge));
}

#[test]
fn no_byte_of_a_head_is_looked_at_twice() {
    let mut framer = StreamFramer::new();
    let head = message("");
    let (begun, last) = head.split_at(head.len() - 1);
    for (index, byte) in begun.iter().enumerate() {
        framer.push(&[*byte]);
        assert_eq!(framer.next_frame(), Ok(None));
        assert!(
            matches!(framer.state, State::Head { scanned, .. } if scanned == index + 1),
            "{:?}",
            framer.state
        );
    }
    framer.push(last);
    assert_eq!(framer.next_frame(), Ok(Some(Frame::Message(head))));
}

#[test]
fn an_idle_framer_holds_little_memory() {
    let mut framer = StreamFramer::new();
    framer.push(&message(&"x".repeat(60_000)));
    assert!(matches!(framer.next_frame(), Ok(Some(_))));
    assert!(framer.bytes.capacity() <= KEPT_CAPACITY);
}

/// A frame and its bytes on the wire.
fn any_frame() -> impl Strategy<Value = (Frame, Vec<u8>)> {
    let ping = Just((Frame::Ping, b"\r\n\r\n".to_vec()));
    let header = prop::sample::select(vec!["Content-Length: ", "l:", "CONTENT-LENGTH :\r\n\t"]);
    let message = (header, "[a-z\\r\\n]{0,40}").prop_map(|(header, body)| {
        let bytes = with_body(&format!("{header}{}", body.len()), &body);
        (Frame::Message(bytes.clone()), bytes)
    });
    prop_oneof![1 => ping, 4 => message]
}

/// `bytes` cut at `cuts`.
fn pieces<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places
        .windows(2)
        .map(|ends| &bytes[ends[0]..ends[1]])
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    #[test]
    fn any_cut_of_any_sequence_gives_the_same_messages_and_pings(
        sequence in vec(any_frame(), 0..8),
        cuts in vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let (expected, wire): (Vec<Frame>, Vec<Vec<u8>>) = sequence.into_iter().unzip();
        let wire = wire.concat();
        let (mut found, error) = frames(pieces(&wire, &cuts));
        found.retain(|frame| *frame != Frame::Pong);
        prop_assert_eq!(error, None);
        prop_assert_eq!(&found, &expected);
        let (mut found, error) = frames(wire.chunks(1));
        found.retain(|frame| *frame != Frame::Pong);
        prop_assert_eq!(error, None);
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn what_is_framed_is_what_the_parser_reads(
        lines in vec("(l|Content-Length|X|Subject)[ :]{0,3}[0-9]{0,2}(\\r\\n |\\n|\\r|\\r\\n)", 0..6),
        body in "[a-z\\r\\n]{0,40}",
    ) {
        let bytes = format!("{OPTIONS}{}\r\n{body}", lines.concat());
        let (found, _) = frames([bytes.as_bytes()]);
        if let Some(Frame::Message(found)) = found.first()
            && let Ok(Some(Message::Request(request))) = parse_datagram(found)
        {
            prop_assert!(found.ends_with(&request.body));
            let head = &found[..found.len() - request.body.len()];
            prop_assert!(head.ends_with(b"\n\r\n") || head.ends_with(b"\n\n"));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_are_not_hoarded(
        bytes in vec(prop_oneof![any::<u8>(), prop::sample::select(b"\r\n:l0 SIP/2.".to_vec())], 0..600),
        cuts in vec(any::<prop::sample::Index>(), 0..10),
    ) {
        frames(pieces(&bytes, &cuts));
        let begun = [OPTIONS.as_bytes(), &bytes].concat();
        frames(pieces(&begun, &cuts));
    }
}
