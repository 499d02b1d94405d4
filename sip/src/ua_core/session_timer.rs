//! Session timers (RFC 4028): whoever refreshes, a call whose far end is gone ends.
//!
//! ```text
//! refresher us:   established ── half the interval ──► refresh (UPDATE, or a re-INVITE) ──► again
//! refresher them: established ── interval less a third, at most 32 s less ──► nobody refreshed: BYE
//! ```
//!
//! What is agreed on is here, and when to act; the messages are the INVITE usage's.

use std::time::Duration;

use crate::message::{Headers, Request, Response};

/// RFC 4028 section 4: no interval may be below it, and what a message without `Min-SE` means (section 5).
pub(crate) const SMALLEST_INTERVAL: Duration = Duration::from_secs(90);
/// RFC 4028 section 10: the session ends this long before the interval does, at most.
const GRACE: Duration = Duration::from_secs(32);

/// What we would like of session timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionTimerPolicy {
    /// The interval we ask for (RFC 4028 recommends 1800 s).
    pub interval: Duration,
    /// The shortest we accept; what asks for less is answered 422. RFC 4028 wants 90 s at least; less is
    /// agreed on only where both ends say so.
    pub minimum: Duration,
}

impl Default for SessionTimerPolicy {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(1800),
            minimum: SMALLEST_INTERVAL,
        }
    }
}

impl SessionTimerPolicy {
    pub(crate) fn minimum_text(&self) -> String {
        self.minimum.as_secs().to_string()
    }

    /// What is never gone below, whoever asks.
    fn floor(&self) -> Duration {
        self.minimum.min(SMALLEST_INTERVAL)
    }

    /// The `Min-SE` of a refresh of ours: that of a 422 to an earlier one, or ours where the one that
    /// would be taken for granted is too long.
    pub(crate) fn refresh_minimum(&self, raised: Option<Duration>) -> Option<Duration> {
        raised.or_else(|| (self.minimum < SMALLEST_INTERVAL).then_some(self.minimum))
    }

    /// What an offer of ours to use session timers says: `Session-Expires` and `Min-SE`. `raised` is
    /// the `Min-SE` of a 422 that refused less.
    pub(crate) fn offer(&self, raised: Option<Duration>) -> [(&'static str, String); 2] {
        let minimum = raised.unwrap_or(self.minimum).max(self.minimum);
        let interval = self.interval.max(minimum);
        [
            ("Session-Expires", interval.as_secs().to_string()),
            ("Min-SE", minimum.as_secs().to_string()),
        ]
    }
}

/// Who refreshes, seen from us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refresher {
    Us,
    Them,
}

/// A running session timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionTimer {
    pub(crate) interval: Duration,
    pub(crate) refresher: Refresher,
}

/// Their interval is below our minimum: 422 (RFC 4028 section 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooSmall;

impl SessionTimer {
    /// How long after a refresh we have to act.
    pub(crate) fn wait(&self) -> Duration {
        match self.refresher {
            Refresher::Us => self.interval / 2,
            Refresher::Them => self.interval - GRACE.min(self.interval / 3),
        }
    }

    /// What a request (INVITE, re-INVITE, UPDATE) of theirs leads to, as the server answers it
    /// (RFC 4028 section 9). Without a wish of theirs the timer is ours to keep alone, when `policy`
    /// is there and they know the extension; `None` is no session timer.
    pub(crate) fn as_server(
        request: &Request,
        policy: Option<&SessionTimerPolicy>,
    ) -> Result<Option<Self>, TooSmall> {
        let Some(policy) = policy else {
            return Ok(None);
        };
        let knows = supports_timer(&request.headers);
        let Some((asked, refresher)) = session_expires(&request.headers) else {
            let ours = knows.then_some(Self {
                interval: policy
                    .interval
                    .max(stated_min_se(&request.headers).unwrap_or(policy.minimum)),
                refresher: Refresher::Us,
            });
            return Ok(ours);
        };
        if asked < policy.minimum && knows {
            return Err(TooSmall);
        }
        // Where a proxy wrote it, and the caller does not know the extension, nobody would understand a 422.
        let interval = asked.max(policy.floor());
        let refresher = match refresher {
            Some(Role::Client) if knows => Refresher::Them,
            Some(Role::Client | Role::Server) => Refresher::Us,
            // Whoever called is as good a refresher as we are, and it asked for the timer.
            None if knows => Refresher::Them,
            None => Refresher::Us,
        };
        Ok(Some(Self {
            interval,
            refresher,
        }))
    }

    /// What their 2xx to a request of ours agreed on (RFC 4028 section 7.2). A far end that does not
    /// know the extension leaves the refreshing to us, if we asked for it.
    pub(crate) fn as_client(
        response: &Response,
        policy: Option<&SessionTimerPolicy>,
    ) -> Option<Self> {
        let policy = policy?;
        let (interval, refresher) = session_expires(&response.headers)?;
        let refresher = match refresher {
            Some(Role::Server) => Refresher::Them,
            Some(Role::Client) | None => Refresher::Us,
        };
        Some(Self {
            interval: interval.max(policy.floor()),
            refresher,
        })
    }

    /// `Session-Expires` for our 2xx to a request of theirs.
    pub(crate) fn answer(&self) -> String {
        let refresher = match self.refresher {
            Refresher::Us => "uas",
            Refresher::Them => "uac",
        };
        format!("{};refresher={refresher}", self.interval.as_secs())
    }

    /// `Session-Expires` for a refresh that we send: the roles of the dialog do not count, only who
    /// sends the request.
    pub(crate) fn request(&self) -> String {
        let refresher = match self.refresher {
            Refresher::Us => "uac",
            Refresher::Them => "uas",
        };
        format!("{};refresher={refresher}", self.interval.as_secs())
    }
}

/// Who a `refresher` parameter names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Client,
    Server,
}

/// `Session-Expires`; an unreadable one counts as absent.
fn session_expires(headers: &Headers) -> Option<(Duration, Option<Role>)> {
    let value = headers.get("Session-Expires")?;
    let mut parts = value.split(';').map(str::trim);
    let seconds = delta_seconds(parts.next()?)?;
    let refresher = parts
        .filter_map(|part| part.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("refresher"))
        .and_then(|(_, role)| match role.trim() {
            role if role.eq_ignore_ascii_case("uac") => Some(Role::Client),
            role if role.eq_ignore_ascii_case("uas") => Some(Role::Server),
            _ => None,
        });
    Some((seconds, refresher))
}

/// `Min-SE`, 90 s where there is none (RFC 4028 section 5).
pub(crate) fn min_se(headers: &Headers) -> Duration {
    stated_min_se(headers)
        .unwrap_or(SMALLEST_INTERVAL)
        .max(SMALLEST_INTERVAL)
}

fn stated_min_se(headers: &Headers) -> Option<Duration> {
    let value = headers.get("Min-SE")?.split(';').next()?;
    delta_seconds(value.trim())
}

/// A day is the longest anybody can mean; more is taken as a day, so that no sum overflows.
fn delta_seconds(text: &str) -> Option<Duration> {
    const LONGEST: u64 = 86_400;
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| {
        Duration::from_secs(
            text.parse()
                .map_or(LONGEST, |seconds: u64| seconds.min(LONGEST)),
        )
    })
}

pub(crate) fn supports_timer(headers: &Headers) -> bool {
    headers
        .tokens("Supported")
        .chain(headers.tokens("Require"))
        .any(|tag| tag.eq_ignore_ascii_case("timer"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Method, StatusCode, Uri};

    fn request(headers: &[(&str, &str)]) -> Request {
        let mut request = Request::new(Method::Invite, Uri::parse("sip:us@192.0.2.1").unwrap());
        for (name, value) in headers {
            request.headers.push(name, *value);
        }
        request
    }

    fn as_server(headers: &[(&str, &str)]) -> Result<Option<SessionTimer>, TooSmall> {
        SessionTimer::as_server(&request(headers), Some(&SessionTimerPolicy::default()))
    }

    fn timer(seconds: u64, refresher: Refresher) -> SessionTimer {
        SessionTimer {
            interval: Duration::from_secs(seconds),
            refresher,
        }
    }

    #[test]
    fn a_caller_that_asks_and_names_nobody_refreshes_itself() {
        let agreed = as_server(&[("Supported", "timer"), ("Session-Expires", "1800")]);
        assert_eq!(agreed, Ok(Some(timer(1800, Refresher::Them))));
        assert_eq!(agreed.unwrap().unwrap().answer(), "1800;refresher=uac");
    }

    #[test]
    fn a_caller_that_names_us_is_obeyed_in_compact_form_too() {
        let agreed = as_server(&[("k", "timer"), ("x", "600 ; Refresher=UAS")]);
        assert_eq!(agreed, Ok(Some(timer(600, Refresher::Us))));
        assert_eq!(agreed.unwrap().unwrap().answer(), "600;refresher=uas");
    }

    #[test]
    fn a_proxy_that_asks_for_a_caller_without_the_extension_makes_us_refresh() {
        let agreed = as_server(&[("Session-Expires", "300;refresher=uac")]);
        assert_eq!(agreed, Ok(Some(timer(300, Refresher::Us))));
    }

    #[test]
    fn an_interval_below_the_minimum_is_too_small() {
        let agreed = as_server(&[("Supported", "timer"), ("Session-Expires", "60")]);
        assert_eq!(agreed, Err(TooSmall));
    }

    #[test]
    fn a_caller_that_knows_the_extension_and_does_not_ask_is_refreshed_by_us() {
        assert_eq!(
            as_server(&[("Supported", "100rel, timer"), ("Min-SE", "2000")]),
            Ok(Some(timer(2000, Refresher::Us)))
        );
        assert_eq!(as_server(&[]), Ok(None));
    }

    #[test]
    fn a_2xx_names_who_refreshes_and_without_one_there_is_no_timer() {
        let mut response = Response::new(StatusCode::OK);
        let policy = SessionTimerPolicy::default();
        assert_eq!(SessionTimer::as_client(&response, Some(&policy)), None);
        response
            .headers
            .push("Session-Expires", "1800;refresher=uac");
        let agreed = SessionTimer::as_client(&response, Some(&policy)).unwrap();
        assert_eq!(agreed, timer(1800, Refresher::Us));
        assert_eq!(agreed.wait(), Duration::from_secs(900));
        response.headers.set("Session-Expires", "90;refresher=uas");
        let agreed = SessionTimer::as_client(&response, Some(&policy)).unwrap();
        assert_eq!(agreed.wait(), Duration::from_secs(60));
    }

    #[test]
    fn below_ninety_seconds_is_agreed_on_only_where_the_policy_says_so() {
        let short = SessionTimerPolicy {
            interval: Duration::from_secs(20),
            minimum: Duration::from_secs(10),
        };
        let as_server =
            |headers: &[(&str, &str)]| SessionTimer::as_server(&request(headers), Some(&short));
        let asks = |seconds| [("Supported", "timer"), ("Session-Expires", seconds)];
        assert_eq!(
            as_server(&asks("10;refresher=uas")),
            Ok(Some(timer(10, Refresher::Us)))
        );
        assert_eq!(as_server(&asks("9")), Err(TooSmall));
        assert_eq!(
            as_server(&[("Supported", "timer")]),
            Ok(Some(timer(20, Refresher::Us)))
        );
        assert_eq!(short.refresh_minimum(None), Some(short.minimum));
        assert_eq!(SessionTimerPolicy::default().refresh_minimum(None), None);
    }

    #[test]
    fn nonsense_is_no_interval_and_too_large_is_a_day() {
        assert_eq!(delta_seconds("-5"), None);
        assert_eq!(delta_seconds(""), None);
        assert_eq!(
            delta_seconds("99999999999999999999999"),
            Some(Duration::from_secs(86_400))
        );
    }
}
