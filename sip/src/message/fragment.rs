//! `message/sipfrag` (RFC 3420), as far as the NOTIFY of a REFER uses it: a status line.

use super::StatusCode;

/// The media type of what [`status_in_fragment`] reads and [`fragment_of`] writes.
pub const MESSAGE_SIPFRAG: &str = "message/sipfrag;version=2.0";

/// The status that a fragment begins with: how far what a REFER asked for has come (RFC 3515 2.4.5).
/// `None` when it begins with anything else. A reason phrase is not needed, and neither is more.
#[must_use]
pub fn status_in_fragment(body: &[u8]) -> Option<StatusCode> {
    let rest = body.trim_ascii_start().strip_prefix(b"SIP/2.0")?;
    let rest = rest.strip_prefix(b" ")?.trim_ascii_start();
    let (digits, after) = rest.split_at_checked(3)?;
    if after.first().is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let code: u16 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    StatusCode::new(code)
}

/// The fragment that says `status`.
#[must_use]
pub fn fragment_of(status: StatusCode) -> Vec<u8> {
    format!("SIP/2.0 {status} {}\r\n", status.default_reason()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_read_with_and_without_more_behind_it() {
        let status = |text: &str| status_in_fragment(text.as_bytes()).map(StatusCode::as_u16);
        assert_eq!(status("SIP/2.0 100 Trying"), Some(100));
        assert_eq!(status("SIP/2.0 603\r\nTo: <sip:a@b>\r\n"), Some(603));
        assert_eq!(status("\r\nSIP/2.0  200 OK\r\n"), Some(200));
        assert_eq!(status("SIP/2.0 2000 OK"), None);
        assert_eq!(status("SIP/2.0 99 x"), None);
        assert_eq!(status("INVITE sip:a SIP/2.0"), None);
        assert_eq!(status(""), None);
    }

    #[test]
    fn what_is_written_reads_back() {
        let fragment = fragment_of(StatusCode::BUSY_HERE);
        assert_eq!(fragment, b"SIP/2.0 486 Busy Here\r\n");
        assert_eq!(status_in_fragment(&fragment), Some(StatusCode::BUSY_HERE));
    }
}
