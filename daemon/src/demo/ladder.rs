//! The ladder of one call's SIP messages, drawn as text.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// Which way a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// From the caller to offhook.
    FromCaller,
    /// From offhook to the caller.
    FromOffhook,
}

/// Messages kept; a call that goes on beyond that is not a demonstration any more.
const MOST_MESSAGES: usize = 500;

/// Collects messages and draws them.
#[derive(Debug)]
pub(super) struct Ladder {
    began: Instant,
    messages: Vec<(Duration, Direction, String)>,
    left_out: usize,
}

impl Ladder {
    /// An empty ladder whose times count from `now`.
    #[must_use]
    pub(super) fn new(now: Instant) -> Self {
        Self {
            began: now,
            messages: Vec::new(),
            left_out: 0,
        }
    }

    /// Adds a message as it was on the wire.
    pub(super) fn record(&mut self, direction: Direction, message: &[u8], now: Instant) {
        if self.messages.len() >= MOST_MESSAGES {
            self.left_out += 1;
            return;
        }
        self.messages.push((
            now.saturating_duration_since(self.began),
            direction,
            label(message),
        ));
    }

    /// The picture: caller left, offhook right, one arrow a message.
    #[must_use]
    pub(super) fn draw(&self) -> String {
        const WIDTH: usize = 44;
        let mut picture = format!(
            "{:>9}  caller{:>width$}\n",
            "seconds",
            "offhook",
            width = WIDTH - 3
        );
        for (at, direction, label) in &self.messages {
            let seconds = at.as_secs_f64();
            let arrow = match direction {
                Direction::FromCaller => format!("|{label:-^WIDTH$}>|"),
                Direction::FromOffhook => format!("|<{label:-^WIDTH$}|"),
            };
            // Writing to a String cannot fail.
            let _ = writeln!(picture, "{seconds:>9.3}  {arrow}");
        }
        if self.left_out > 0 {
            let _ = writeln!(picture, "{:>9}  {} more messages", "", self.left_out);
        }
        picture
    }
}

/// A request's method or a response's status and reason, with the CSeq that a response belongs to and
/// a mark for a session description.
fn label(message: &[u8]) -> String {
    let text = String::from_utf8_lossy(message);
    let mut lines = text.lines();
    let start = lines.next().unwrap_or_default();
    let header = |name: &str| {
        let found = text
            .lines()
            .take_while(|line| !line.is_empty())
            .find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.trim()
                    .eq_ignore_ascii_case(name)
                    .then(|| value.trim().to_owned())
            });
        found.unwrap_or_default()
    };
    let sdp = if header("Content-Type").eq_ignore_ascii_case("application/sdp") {
        " (SDP)"
    } else {
        ""
    };
    match start.strip_prefix("SIP/2.0 ") {
        Some(status) => {
            let cseq = header("CSeq");
            let method = cseq.split_whitespace().last().unwrap_or_default();
            format!(" {status} [{method}]{sdp} ")
        }
        None => format!(
            " {}{sdp} ",
            start.split_whitespace().next().unwrap_or_default()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_is_one_arrow_in_its_direction() {
        let now = Instant::now();
        let mut ladder = Ladder::new(now);
        let invite =
            b"INVITE sip:front-desk@127.0.0.1 SIP/2.0\r\nContent-Type: application/sdp\r\n\r\nv=0";
        let ok = b"SIP/2.0 200 OK\r\nCSeq: 1 INVITE\r\n\r\n";
        ladder.record(Direction::FromCaller, invite, now);
        ladder.record(Direction::FromOffhook, ok, now + Duration::from_millis(12));
        let picture = ladder.draw();
        let lines: Vec<&str> = picture.lines().collect();
        assert!(
            lines[1].contains("0.000")
                && lines[1].contains(" INVITE (SDP) ")
                && lines[1].ends_with(">|")
        );
        assert!(
            lines[2].contains("0.012")
                && lines[2].contains("|<")
                && lines[2].contains(" 200 OK [INVITE] ")
        );
        assert_eq!(lines[1].chars().count(), lines[2].chars().count());
    }
}
