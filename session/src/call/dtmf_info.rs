//! Digits that come as INFO requests: what no RFC says and many far ends do.

use offhook_media::control::Digit;
use offhook_sip::message::Request;

/// The digit an INFO carries: `Signal=5` in `application/dtmf-relay`, the bare key in
/// `application/dtmf`. `None` for other bodies and for what is no key (`!`, a hook flash).
pub(super) fn digit_in(request: &Request) -> Option<Digit> {
    let content_type = request.headers.get("Content-Type")?;
    let media_type = content_type.split(';').next()?.trim();
    let text = std::str::from_utf8(&request.body).ok()?;
    let signal = if media_type.eq_ignore_ascii_case("application/dtmf-relay") {
        text.lines().find_map(|line| {
            let (key, value) = line.split_once('=')?;
            key.trim()
                .eq_ignore_ascii_case("signal")
                .then(|| value.trim())
        })?
    } else if media_type.eq_ignore_ascii_case("application/dtmf") {
        text.trim()
    } else {
        return None;
    };
    key(signal)
}

/// A key by its symbol, or by its event number as some far ends write it: 10 is `*`, 11 is `#`.
fn key(signal: &str) -> Option<Digit> {
    let mut symbols = signal.chars();
    match (symbols.next(), symbols.next()) {
        (Some(symbol), None) => Digit::from_char(symbol),
        (Some(_), Some(_)) => signal.parse().ok().and_then(Digit::from_event),
        (None, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use offhook_sip::message::{Message, parse_datagram};

    use super::*;

    fn digit(content_type: &str, body: &str) -> Option<char> {
        let text = format!(
            "INFO sip:a@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1\r\nFrom: <sip:b@c>;tag=1\r\n\
             To: <sip:a@c>;tag=2\r\nCall-ID: c\r\nCSeq: 2 INFO\r\nContent-Type: {content_type}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let Ok(Some(Message::Request(request))) = parse_datagram(text.as_bytes()) else {
            panic!("{text}")
        };
        digit_in(&request).map(Digit::as_char)
    }

    #[test]
    fn wound_44_both_bodies_are_read_whatever_their_spelling() {
        assert_eq!(
            digit("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n"),
            Some('5')
        );
        assert_eq!(
            digit("application/dtmf-relay", "Signal= #\nDuration= 250"),
            Some('#')
        );
        assert_eq!(
            digit("Application/DTMF-Relay;x=y", "duration=100\r\nsignal=11"),
            Some('#')
        );
        assert_eq!(digit("application/dtmf", "7\r\n"), Some('7'));
        assert_eq!(digit("application/dtmf", "d"), Some('D'));
    }

    #[test]
    fn what_is_no_key_is_none() {
        assert_eq!(digit("application/dtmf-relay", "Signal=!\r\n"), None);
        assert_eq!(digit("application/dtmf-relay", "Duration=160\r\n"), None);
        assert_eq!(digit("application/dtmf", ""), None);
        assert_eq!(digit("application/dtmf", "55"), None);
        assert_eq!(digit("text/plain", "5"), None);
    }
}
