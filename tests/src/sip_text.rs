//! SIP as text, as a stranger writes and reads it: literal requests out, and just enough picking apart of what comes
//! back. Not a parser to build on: it expects the tidy messages of a healthy peer on loopback.

use std::net::{IpAddr, SocketAddr};

/// Who calls whom, and the words that name one dialog. Writes the requests of a caller's side.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The address our SIP socket is bound to.
    pub local: SocketAddr,
    /// Where requests are sent.
    pub target: SocketAddr,
    /// The user part of the request URI: which agent answers.
    pub user: String,
    /// The user part of From: whose number is shown.
    pub number: String,
    /// Call-ID, and part of tag and branches.
    pub call_id: String,
    /// The To header of the final answer, tag included; `None` before it.
    pub to: Option<String>,
    /// The far end's Contact URI; `None` before the answer.
    pub contact: Option<String>,
    /// Route headers as they stand: what proxies on the way wrote into the answer, the nearest first.
    pub route: String,
}

impl Caller {
    /// A caller that has not called yet.
    pub fn new(local: SocketAddr, target: SocketAddr, user: &str, call_id: String) -> Self {
        Self {
            local,
            target,
            user: user.to_owned(),
            number: "caller".to_owned(),
            call_id,
            to: None,
            contact: None,
            route: String::new(),
        }
    }

    /// INVITE with an SDP offer of PCMU and telephone-event, audio at `media`.
    pub fn invite(&self, media: SocketAddr) -> String {
        self.request("INVITE", 1, "1", &pcmu_offer(media))
    }

    /// ACK for a 2xx: a transaction of its own, sent to the far end's Contact.
    pub fn ack(&self) -> String {
        self.request("ACK", 1, "1a", "")
    }

    /// ACK for a final answer other than 2xx: part of the INVITE's transaction, so it has its branch.
    pub fn ack_refusal(&self) -> String {
        self.request("ACK", 1, "1", "")
    }

    /// CANCEL of the INVITE, with the INVITE's branch.
    pub fn cancel(&self) -> String {
        self.request("CANCEL", 1, "1", "")
    }

    /// BYE.
    pub fn bye(&self) -> String {
        self.request("BYE", 2, "2", "")
    }

    /// OPTIONS outside any dialog.
    pub fn options(&self) -> String {
        self.request("OPTIONS", 1, "1", "")
    }

    /// A request of any method with `CSeq` number `sequence`, whose branch ends in `branch`.
    pub fn request(&self, method: &str, sequence: u32, branch: &str, sdp: &str) -> String {
        let Self {
            local,
            target,
            user,
            number,
            call_id,
            route,
            ..
        } = self;
        let to = self
            .to
            .clone()
            .unwrap_or_else(|| format!("<sip:{user}@{target}>"));
        // CANCEL and the ACK of a refusal repeat the INVITE's URI; what follows an answer goes to the Contact.
        let uri = self
            .contact
            .clone()
            .unwrap_or_else(|| format!("sip:{user}@{target}"));
        let content_type = if sdp.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        format!(
            "{method} {uri} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {local};rport;branch=z9hG4bK-{call_id}-{branch}\r\n\
             Max-Forwards: 70\r\n\
             {route}From: <sip:{number}@{local}>;tag=from-{call_id}\r\n\
             To: {to}\r\n\
             Call-ID: {call_id}\r\n\
             CSeq: {sequence} {method}\r\n\
             Contact: <sip:{number}@{local}>\r\n\
             {content_type}Content-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        )
    }

    /// Takes the far end's tag, its Contact and the route to it from an answer.
    pub fn learn(&mut self, answer: &str) {
        let recorded = header_lines(answer, "Record-Route");
        self.route = recorded
            .lines()
            .rev()
            .map(|line| format!("{}\r\n", line.trim_start_matches("Record-")))
            .collect();
        self.to = header(answer, "To").map(str::to_owned);
        self.contact = header(answer, "Contact").map(|contact| uri_of(contact).to_owned());
    }
}

/// An SDP offer or answer of PCMU and telephone-event with audio at `media`.
pub fn pcmu_offer(media: SocketAddr) -> String {
    let (address, port) = (media.ip(), media.port());
    format!(
        "v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
         a=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
    )
}

/// The 200 that a request without a body is answered with.
pub fn ok(request: &str) -> String {
    let copied: String = ["Via", "From", "To", "Call-ID", "CSeq"]
        .into_iter()
        .map(|name| header_lines(request, name))
        .collect();
    format!("SIP/2.0 200 OK\r\n{copied}Content-Length: 0\r\n\r\n")
}

/// Another answer to a request, with `tag` in To where there is none yet, header lines of its own, and an SDP body
/// unless that is empty.
pub fn answer(request: &str, status: &str, tag: &str, lines: &str, sdp: &str) -> String {
    let copied: String = ["Via", "Record-Route", "From", "Call-ID", "CSeq"]
        .into_iter()
        .map(|name| header_lines(request, name))
        .collect();
    let to = header(request, "To").unwrap_or_default();
    let tag = match to.contains(";tag=") {
        true => String::new(),
        false => format!(";tag={tag}"),
    };
    let content_type = match sdp.is_empty() {
        true => "",
        false => "Content-Type: application/sdp\r\n",
    };
    format!(
        "SIP/2.0 {status}\r\n{copied}To: {to}{tag}\r\n{lines}{content_type}Content-Length: {}\r\n\r\n{sdp}",
        sdp.len()
    )
}

/// The status code of a response; `None` for a request.
pub fn status(message: &str) -> Option<u16> {
    message.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
}

/// The method of a request; for a response, the method its `CSeq` names.
pub fn method(message: &str) -> Option<&str> {
    match status(message) {
        Some(_) => header(message, "CSeq")?.split_ascii_whitespace().nth(1),
        None => message.split_ascii_whitespace().next(),
    }
}

/// The first header of that (long) name.
pub fn header<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    let head = message.split("\r\n\r\n").next()?;
    head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.trim_end()
            .eq_ignore_ascii_case(name)
            .then(|| value.trim())
    })
}

/// All headers of that name as they stand, line ends included: what a response copies from its request.
pub fn header_lines(message: &str, name: &str) -> String {
    let head = message.split("\r\n\r\n").next().unwrap_or_default();
    let named = |line: &&str| {
        line.split_once(':')
            .is_some_and(|(key, _)| key.trim_end().eq_ignore_ascii_case(name))
    };
    head.lines()
        .skip(1)
        .filter(named)
        .map(|line| format!("{}\r\n", line.trim_end()))
        .collect()
}

/// The URI inside `"name" <uri>;parameters`, or before the parameters when there are no brackets.
pub fn uri_of(name_addr: &str) -> &str {
    match name_addr.split_once('<') {
        Some((_, rest)) => rest.split('>').next().unwrap_or(rest),
        None => name_addr.split(';').next().unwrap_or(name_addr).trim(),
    }
}

/// Where the SDP in `message` wants audio, if it has any.
pub fn media_address(message: &str) -> Option<SocketAddr> {
    let (_, body) = message.split_once("\r\n\r\n")?;
    let line = |prefix: &str| body.lines().find_map(|line| line.strip_prefix(prefix));
    let address: IpAddr = line("c=IN IP4 ")?.trim().parse().ok()?;
    let port = line("m=audio ")?
        .split_ascii_whitespace()
        .next()?
        .parse()
        .ok()?;
    Some(SocketAddr::new(address, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller() -> Caller {
        let local = "127.0.0.1:5070".parse().expect("address");
        Caller::new(
            local,
            "127.0.0.1:5060".parse().expect("address"),
            "echo",
            "c1".to_owned(),
        )
    }

    #[test]
    fn an_invite_reads_back_as_what_was_asked() {
        let media = "127.0.0.1:4000".parse().expect("address");
        let invite = caller().invite(media);
        assert_eq!((status(&invite), method(&invite)), (None, Some("INVITE")));
        assert_eq!(header(&invite, "call-id"), Some("c1"));
        assert_eq!(media_address(&invite), Some(media));
        let (_, body) = invite.split_once("\r\n\r\n").expect("body");
        assert_eq!(
            header(&invite, "Content-Length"),
            Some(body.len().to_string().as_str())
        );
    }

    #[test]
    fn a_bye_goes_to_the_contact_with_the_tag_of_the_answer() {
        let mut caller = caller();
        caller.learn("SIP/2.0 200 OK\r\nTo: <sip:echo@x>;tag=9\r\nContact: \"E\" <sip:e@127.0.0.1:9>;x=1\r\n\r\n");
        let bye = caller.bye();
        assert!(bye.starts_with("BYE sip:e@127.0.0.1:9 SIP/2.0\r\n"));
        assert_eq!(header(&bye, "To"), Some("<sip:echo@x>;tag=9"));
    }

    #[test]
    fn requests_take_the_recorded_route_from_its_near_end() {
        let mut caller = caller();
        caller.learn(
            "SIP/2.0 200 OK\r\nRecord-Route: <sip:far;lr>\r\nRecord-Route: <sip:near;lr>\r\n\r\n",
        );
        let route = header_lines(&caller.bye(), "Route");
        assert_eq!(route, "Route: <sip:near;lr>\r\nRoute: <sip:far;lr>\r\n");
    }
}
