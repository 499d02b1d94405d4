//! Session descriptions in messages, and refusals of them.

use offhook_media::sdp::{self, SdpError};
use offhook_sip::endpoint::Body;
use offhook_sip::message::{Headers, Request, Response, StatusCode};

/// The media type of a session description.
const APPLICATION_SDP: &str = "application/sdp";

/// A refusal on its way to a response.
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) headers: Vec<(&'static str, String)>,
}

impl Refused {
    pub(super) fn no_description() -> Self {
        Self {
            status: StatusCode::NOT_ACCEPTABLE_HERE,
            headers: vec![("Warning", warning(399, "no session description"))],
        }
    }
}

impl From<sdp::Unacceptable> for Refused {
    fn from(unacceptable: sdp::Unacceptable) -> Self {
        let warning = warning(unacceptable.warning_code(), &unacceptable.to_string());
        Self {
            status: StatusCode::NOT_ACCEPTABLE_HERE,
            headers: vec![("Warning", warning)],
        }
    }
}

impl From<SdpError> for Refused {
    fn from(error: SdpError) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            headers: vec![("Warning", warning(399, &error.to_string()))],
        }
    }
}

/// A `Warning` value (RFC 3261 section 20.43). The agent is a pseudonym: a host name is nobody's business.
fn warning(code: u16, text: &str) -> String {
    let text: String = text
        .chars()
        .filter(|symbol| !matches!(symbol, '"' | '\\' | '\r' | '\n'))
        .collect();
    format!("{code} offhook \"{text}\"")
}

/// `Reason` (RFC 3326) for a BYE that a description which cannot be used leads to.
pub(super) fn reason_of(status: StatusCode) -> (String, String) {
    let text = status.default_reason();
    (
        "Reason".to_owned(),
        format!("SIP;cause={status};text=\"{text}\""),
    )
}

pub(super) fn session_description(bytes: Vec<u8>) -> Body {
    Body {
        content_type: APPLICATION_SDP.to_owned(),
        bytes,
    }
}

/// The session description that a request carries, be it in a part of a multipart body.
pub(super) fn description_in(
    request: &Request,
) -> Result<Option<sdp::SessionDescription>, SdpError> {
    description_of(&request.headers, &request.body)
}

/// The same of a response.
pub(super) fn description_in_response(
    response: &Response,
) -> Result<Option<sdp::SessionDescription>, SdpError> {
    description_of(&response.headers, &response.body)
}

fn description_of(
    headers: &Headers,
    body: &[u8],
) -> Result<Option<sdp::SessionDescription>, SdpError> {
    if body.is_empty() {
        return Ok(None);
    }
    // RFC 3261 section 7.4.1 wants a Content-Type with a body; far ends forget it.
    let content_type = headers.get("Content-Type").unwrap_or(APPLICATION_SDP);
    sdp::find_in_body(content_type, body)
        .map(sdp::parse)
        .transpose()
}
