//! The torture messages of RFC 4475 and RFC 5118, rebuilt from what those documents say of each, with what a daemon
//! that answers every number does with them, and why.

use std::fmt::Write;

/// What becomes of a message on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It gets this final answer.
    Answered(u16),
    /// It gets none.
    Silent,
}

/// What a stream makes of a message, where lengths say what follows what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// It is cut out, has its verdict, and what follows is read.
    Whole,
    /// It is two messages; the second gets this final answer.
    Two(u16),
    /// It never ends: it is waited for, and everything behind it is its body.
    Unfinished,
    /// Where it ends is not known, so nothing behind it can be either: the connection is closed.
    Broken,
}

/// One message.
#[derive(Debug)]
pub struct Torture {
    /// What its RFC calls it.
    pub name: &'static str,
    /// As it is sent.
    pub bytes: Vec<u8>,
    /// What becomes of it.
    pub verdict: Verdict,
    /// What the RFC says of it, in short, and our choice where it leaves one.
    pub why: &'static str,
}

impl Torture {
    /// What a stream makes of it.
    pub fn framing(&self) -> Framing {
        match self.name {
            "dblreq" => Framing::Two(200),
            "clerr" => Framing::Unfinished,
            "ncl" | "mcl01" => Framing::Broken,
            _ => Framing::Whole,
        }
    }

    /// Whether it says how long its body is. A datagram need not.
    pub fn has_length(&self) -> bool {
        let text = String::from_utf8_lossy(&self.bytes);
        let head = text.split("\r\n\r\n").next().unwrap_or_default();
        head.lines().any(is_length)
    }

    /// As it is written to a stream, where a message without a body has to say so.
    pub fn streamed(&self) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        if !self.has_length() {
            bytes.truncate(bytes.len() - 2);
            bytes.extend_from_slice(b"Content-Length: 0\r\n\r\n");
        }
        bytes
    }
}

fn is_length(line: &str) -> bool {
    line.starts_with("Content-Length") || line.starts_with("l:")
}

/// A description that any caller might send.
const SDP: &str = "v=0\r\no=caller 29739 7272939 IN IP4 192.0.2.3\r\ns=-\r\nc=IN IP4 192.0.2.4\r\nt=0 0\r\n\
                   m=audio 49217 RTP/AVP 0 12\r\nm=video 3227 RTP/AVP 31\r\na=rtpmap:31 LPC\r\n";

/// All of them, in the order of the RFCs.
pub fn messages() -> Vec<Torture> {
    let mut all = valid();
    all.extend(invalid());
    all.extend(choices());
    all.extend(ipv6());
    all
}

/// A message of these lines, whose Content-Length is right unless a line gives one.
fn torture(
    name: &'static str,
    lines: &[&str],
    body: impl AsRef<[u8]>,
    verdict: Verdict,
    why: &'static str,
) -> Torture {
    let body = body.as_ref();
    let mut text = lines.join("\r\n");
    if !lines.iter().any(|line| is_length(line)) && !body.is_empty() {
        let _ = write!(text, "\r\nContent-Length: {}", body.len());
    }
    text += "\r\n\r\n";
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body);
    Torture {
        name,
        bytes,
        verdict,
        why,
    }
}

/// A sound request of a method, whose lines that begin like one of `changes` are replaced by it; what is new is added.
fn changed(name: &'static str, method: &str, changes: &[&str]) -> Vec<String> {
    let sound = [
        format!("{method} sip:user@example.com SIP/2.0"),
        format!("Via: SIP/2.0/UDP host5.example.net;branch=z9hG4bK-{name}"),
        "From: <sip:caller@example.net>;tag=242etr".to_owned(),
        "To: <sip:user@example.com>".to_owned(),
        format!("Call-ID: {name}.rebuilt@example.net"),
        format!("CSeq: 3234 {method}"),
        "Max-Forwards: 70".to_owned(),
        "Contact: <sip:caller@host5.example.net>".to_owned(),
    ];
    let key = |line: &str| line.split([':', ' ']).next().unwrap_or_default().to_owned();
    let of = |line: &String| {
        let change = changes.iter().find(|change| key(change) == key(line));
        change.map_or(line.clone(), |change| (*change).to_owned())
    };
    let mut lines: Vec<String> = sound.iter().map(of).collect();
    let is_new = |change: &&&str| !sound.iter().any(|line| key(line) == key(change));
    lines.extend(changes.iter().filter(is_new).map(|line| (*line).to_owned()));
    lines
}

/// As [`torture`], of a [`changed`] request.
fn request(
    name: &'static str,
    method: &str,
    changes: &[&str],
    body: &str,
    verdict: Verdict,
    why: &'static str,
) -> Torture {
    let mut lines = changed(name, method, changes);
    if !body.is_empty() && !lines.iter().any(|line| line.starts_with("Content-Type")) {
        lines.push("Content-Type: application/sdp".to_owned());
    }
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    torture(name, &lines, body, verdict, why)
}

/// As [`torture`], of a response to a request that nobody sent.
fn response(name: &'static str, line: &str, headers: &[&str], why: &'static str) -> Torture {
    let sound = [
        "Via: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1324923",
        "Call-ID: response.rebuilt@192.0.2.198",
        "CSeq: 35 INVITE",
        "From: <sip:user@example.com>;tag=11141343",
        "To: <sip:user@example.edu>;tag=2229",
        "Content-Length: 0",
    ];
    let mut lines = vec![line];
    let key = |line: &str| line.split(':').next().unwrap_or_default().to_owned();
    let change = |line: &&'_ str| {
        headers
            .iter()
            .copied()
            .find(|header| key(header) == key(line))
    };
    lines.extend(sound.iter().map(|line| change(line).unwrap_or(line)));
    torture(name, &lines, "", Verdict::Silent, why)
}

/// RFC 4475 3.1.1: odd, and valid all the same.
fn valid() -> Vec<Torture> {
    use Verdict::{Answered, Silent};
    let long = longreq();
    let long: Vec<&str> = long.iter().map(String::as_str).collect();
    let mut binary = b"--7a9cbec0\r\nContent-Type: text/plain\r\n\r\nHello\r\n--7a9cbec0\r\n\
        Content-Type: application/octet-stream\r\n\r\n"
        .to_vec();
    binary.extend(0..=255);
    binary.extend_from_slice(b"\r\n--7a9cbec0--\r\n");
    let second = request("dblreq-second", "INVITE", &[], SDP, Silent, "");
    let mut double = request(
        "dblreq",
        "REGISTER",
        &["Content-Length: 0"],
        "",
        Answered(405),
        "3.1.1.8: what follows the body in a datagram is discarded; we are no registrar",
    );
    double.bytes.extend(second.bytes);
    vec![
        torture(
            "wsinv",
            &[
                "INVITE sip:vivid@desk.example.com;unknownparam SIP/2.0",
                "TO :",
                " sip:vivid@desk.example.com ;   tag    = 1918181833n",
                "from   : \"J Rosenberg \\\\\\\"\"       <sip:jdr@example.com>",
                "  ;",
                "  tag = 98asjd8",
                "MaX-fOrWaRdS: 0068",
                "Call-ID: wsinv.rebuilt@192.0.2.1",
                &format!("Content-Length   : {}", SDP.len()),
                "cseq: 0009",
                "  INVITE",
                "Via  : SIP  /   2.0",
                " /UDP",
                "    192.0.2.2;branch=390skdjuw",
                "s :",
                "NewFangledHeader:   newfangled value",
                " continued newfangled value",
                "UnknownHeaderWithUnusualValue: ;;,,;;,;",
                "Content-Type: application/sdp",
                "Route:",
                " <sip:services.example.com;lr;unknownwith=value;unknown-no-value>",
                "v:  SIP  / 2.0  / TCP     spindle.example.com   ;",
                "  branch  =   z9hG4bK9ikj8  ,",
                " SIP  /    2.0   / UDP  192.168.255.111   ; branch=",
                " z9hG4bK30239",
                "m:\"Quoted string \\\"\\\"\" <sip:jdr@example.com> ; newparam =",
                "      newvalue ;",
                "  secondparam ; q = 0.33",
            ],
            SDP,
            Answered(481),
            "3.1.1.1: valid however it is folded; its To has a tag, and no dialog here has that one",
        ),
        torture(
            "intmeth",
            &[
                "!odd-Method0123456789_*+`.%indeed'~ sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*\
                 :&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com SIP/2.0",
                "Via: SIP/2.0/UDP host1.example.com;branch=z9hG4bK-.!%66*_+`'~",
                "To: \"BEL:\\\u{7} NUL:\\\0 DEL:\\\u{7f}\" <sip:1_unusual.URI~(to-be!sure)@example.com>",
                "From: token1~` token2'+_ token3*%!.- <sip:mundane@example.com>\
                 ;fromParam''~+*_!.-%=\"\u{440}\u{430}\u{431}\u{43e}\u{442}\";tag=_token~1'+`*%!-.",
                "Call-ID: intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{",
                "CSeq: 139122385 !odd-Method0123456789_*+`.%indeed'~",
                "Max-Forwards: 255",
                "extensionHeader-!.%*+_`'~: \u{fffd}\u{5927}\u{505c}\u{96fb}",
                "Content-Length: 0",
            ],
            "",
            Answered(501),
            "3.1.1.2: well-formed with a method nobody knows",
        ),
        request(
            "esc01",
            "INVITE",
            &[
                "INVITE sip:sips%3Auser%40example.com@example.net SIP/2.0",
                "To: sip:%75se%72@example.com",
                "From: <sip:I%20have%20spaces@example.net>;tag=938",
                "Contact: <sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31>",
            ],
            SDP,
            Answered(200),
            "3.1.1.3: escapes are part of names, and read once",
        ),
        request(
            "escnull",
            "REGISTER",
            &[
                "To: sip:null-%00-null@example.com",
                "From: sip:null-%00-null@example.com;tag=839923423",
                "Contact: <sip:%00@host5.example.com>",
            ],
            "",
            Answered(405),
            "3.1.1.4: an escaped NUL ends no string; we are no registrar",
        ),
        request(
            "esc02",
            "RE%47IST%45R",
            &["To: \"%Z%45\" <sip:resource@example.com>"],
            "",
            Answered(501),
            "3.1.1.5: a per cent sign in a method is no escape, so the method is unknown",
        ),
        request(
            "lwsdisp",
            "OPTIONS",
            &["From: caller<sip:caller@example.com>;tag=323"],
            "",
            Answered(200),
            "3.1.1.6: no space is needed before the bracket",
        ),
        torture(
            "longreq",
            &long,
            SDP,
            Answered(200),
            "3.1.1.7: long values are values",
        ),
        double,
        request(
            "semiuri",
            "OPTIONS",
            &["OPTIONS sip:user;par=u%40example.net@example.com SIP/2.0"],
            "",
            Answered(200),
            "3.1.1.9: semicolons in the user are no parameters",
        ),
        request(
            "transports",
            "OPTIONS",
            &[
                "Via: SIP/2.0/UDP t1.example.com;branch=z9hG4bKkdjuw-transports",
                "VIA: SIP/2.0/SCTP t2.example.com;branch=z9hG4bKklasjdhf",
                "via: SIP/2.0/TLS t3.example.com;branch=z9hG4bK2980unddj",
                "v: SIP/2.0/UNKNOWN t4.example.com;branch=z9hG4bKasd0f3en",
                "vIA: SIP/2.0/TCP t5.example.com;branch=z9hG4bK0a9idfnee",
            ],
            "",
            Answered(200),
            "3.1.1.10: transports nobody knows in further Vias are not ours to judge",
        ),
        torture(
            "mpart01",
            &[
                "MESSAGE sip:kumiko@example.org SIP/2.0",
                "Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK-d87543-4dade06d0bdb11ee-1--d87543-;rport",
                "Max-Forwards: 70",
                "Route: <sip:127.0.0.1:5080>",
                "From: <sip:fluffy@example.com>;tag=2fb0dcc9",
                "To: <sip:kumiko@example.org>",
                "Call-ID: mpart01.rebuilt",
                "CSeq: 1 MESSAGE",
                "Content-Type: multipart/mixed;boundary=7a9cbec0",
            ],
            &binary,
            Answered(405),
            "3.1.1.11: a binary part disturbs nothing; MESSAGE is not served",
        ),
        response(
            "unreason",
            "SIP/2.0 200 = 2**3 * 5**2 \u{43d}\u{43e} \u{441}\u{442}\u{43e} - \u{43f}\u{440}\u{43e}\u{441}\u{442}\u{43e}\u{435}",
            &[],
            "3.1.1.12: valid; it answers nothing of ours",
        ),
        response(
            "noreason",
            "SIP/2.0 100 ",
            &[],
            "3.1.1.13: valid without a reason; it answers nothing of ours",
        ),
    ]
}

/// Long values in every place.
fn longreq() -> Vec<String> {
    let name = "I have a user name of extraordinary".to_owned() + &" extra-long".repeat(60);
    let token = "really".repeat(50);
    let mut lines = vec![
        "INVITE sip:user@example.com SIP/2.0".to_owned(),
        format!("To: \"{name}\" <sip:user@example.com:6000;unknownparam1={token}>"),
        format!(
            "F: sip:{}@example.net;tag=12{token}424;unknown{token}Name=value",
            "amazing".repeat(30)
        ),
        format!(
            "Unknown-{token}-Header: unknown-{}-value; unknown-{token}",
            "x".repeat(3_000)
        ),
        format!("Call-ID: longreq.one{token}longcallid"),
        "CSeq: 3882340 INVITE".to_owned(),
        format!("Contact: <sip:{token}@host5.example.net>"),
        "Content-Type: application/sdp".to_owned(),
    ];
    lines
        .extend((0..34).map(|hop| {
            format!("Via: SIP/2.0/TCP sip{hop}.example.com;branch=z9hG4bK{token}{hop}")
        }));
    lines
}

/// RFC 4475 3.1.2: not valid.
fn invalid() -> Vec<Torture> {
    use Verdict::{Answered, Silent};
    let bad = |name, method, changes: &[&str], why| {
        request(name, method, changes, "", Answered(400), why)
    };
    vec![
        bad(
            "badinv01",
            "INVITE",
            &[
                "Via: SIP/2.0/UDP 192.0.2.15;;,;,,",
                "Contact: \"Joe\" <sip:joe@example.org>;;;;",
            ],
            "3.1.2.1: separators without values",
        ),
        bad(
            "clerr",
            "INVITE",
            &["Content-Length: 9999"],
            "3.1.2.2: a body that is longer than its datagram",
        ),
        bad(
            "ncl",
            "INVITE",
            &["Content-Length: -999"],
            "3.1.2.3: a negative length",
        ),
        bad(
            "scalar02",
            "REGISTER",
            &[
                "CSeq: 36893488147419103232 REGISTER",
                "Max-Forwards: 300",
                "Expires: 10000000000000000000000000000000000000000000000",
            ],
            "3.1.2.4: numbers beyond their range",
        ),
        response(
            "scalarlg",
            "SIP/2.0 503 Service Unavailable",
            &["CSeq: 9292394834772304023312 OPTIONS"],
            "3.1.2.5: the same in a response, which is dropped",
        ),
        bad(
            "quotbal",
            "INVITE",
            &["To: \"Mr. J. User <sip:j.user@example.com>"],
            "3.1.2.6: a quote that does not close",
        ),
        bad(
            "ltgtruri",
            "INVITE",
            &["INVITE <sip:user@example.com> SIP/2.0"],
            "3.1.2.7: brackets around the Request-URI",
        ),
        bad(
            "lwsruri",
            "INVITE",
            &["INVITE sip:user@example.com; lr SIP/2.0"],
            "3.1.2.8: a space inside the Request-URI",
        ),
        bad(
            "lwsstart",
            "INVITE",
            &["INVITE  sip:user@example.com  SIP/2.0"],
            "3.1.2.9: several spaces in the request line; refused, so that there is one reading of it",
        ),
        bad(
            "trws",
            "OPTIONS",
            &["OPTIONS sip:remote-target@example.com SIP/2.0  "],
            "3.1.2.10: spaces behind the version; the same choice",
        ),
        bad(
            "escruri",
            "INVITE",
            &["INVITE sip:user@example.com?Route=%3Csip:example.com%3E SIP/2.0"],
            "3.1.2.11: headers in the Request-URI; who means them would not be understood",
        ),
        request(
            "baddate",
            "INVITE",
            &["Date: Fri, 01 Jan 2010 16:00:00 EST"],
            SDP,
            Answered(200),
            "3.1.2.12: not GMT; ignored, since a call is worth more than its date",
        ),
        bad(
            "regbadct",
            "REGISTER",
            &["Contact: sip:user@example.com?Route=%3Csip:sip.example.com%3E"],
            "3.1.2.13: a Contact with headers and no brackets",
        ),
        bad(
            "badaspec",
            "OPTIONS",
            &["To: \"Watson, Thomas\" < sip:t.watson@example.org >"],
            "3.1.2.14: spaces inside brackets; we do not guess",
        ),
        bad(
            "baddn",
            "OPTIONS",
            &["From: Bell, Alexander <sip:a.g.bell@example.com>;tag=43"],
            "3.1.2.15: a comma in a name without quotes; we do not guess",
        ),
        request(
            "badvers",
            "OPTIONS",
            &[
                "OPTIONS sip:t.watson@example.org SIP/7.0",
                "Via: SIP/7.0/UDP c.example.com;branch=z9hG4bKkdjuw-badvers",
            ],
            "",
            Answered(505),
            "3.1.2.16: a version nobody knows",
        ),
        bad(
            "mismatch01",
            "OPTIONS",
            &["CSeq: 8 INVITE"],
            "3.1.2.17: CSeq names another method",
        ),
        bad(
            "mismatch02",
            "NEWMETHOD",
            &["CSeq: 8 INVITE"],
            "3.1.2.18: the same with an unknown method; 501 would do as well",
        ),
        Torture {
            verdict: Silent,
            ..response(
                "bigcode",
                "SIP/2.0 4294967301 better not break the receiver",
                &[],
                "3.1.2.19: a status beyond its range is dropped",
            )
        },
    ]
}

/// RFC 4475 3.2 and 3.3: what transactions and applications decide.
fn choices() -> Vec<Torture> {
    use Verdict::Answered;
    let register =
        |name, changes: &[&str], why| request(name, "REGISTER", changes, "", Answered(405), why);
    vec![
        request(
            "badbranch",
            "OPTIONS",
            &["Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK"],
            "",
            Answered(200),
            "3.2.1: a branch that is only its cookie tells nothing apart; matched as RFC 2543 has it",
        ),
        torture(
            "insuf",
            &[
                "INVITE sip:user@example.com SIP/2.0",
                "CSeq: 193942 INVITE",
                "Via: SIP/2.0/UDP 192.0.2.95;branch=z9hG4bKkdj.insuf",
                "Content-Type: application/sdp",
            ],
            SDP,
            Answered(400),
            "3.3.1: no Call-ID, From or To",
        ),
        request(
            "unkscm",
            "OPTIONS",
            &["OPTIONS nobodyKnowsThisScheme:totallyopaquecontent SIP/2.0"],
            "",
            Answered(416),
            "3.3.2: a scheme nobody knows",
        ),
        request(
            "novelsc",
            "OPTIONS",
            &["OPTIONS soap.beep://192.0.2.103:3002 SIP/2.0"],
            "",
            Answered(416),
            "3.3.3: a known scheme that is no way to call anybody",
        ),
        register(
            "unksm2",
            &[
                "To: isbn:2983792873",
                "From: <http://www.example.com>;tag=3234233",
                "Contact: <name:John_Smith>",
            ],
            "3.3.4: unknown schemes in headers are no fault of the message; we are no registrar",
        ),
        request(
            "bext01",
            "OPTIONS",
            &[
                "Require: nothingSupportsThis, nothingSupportsThisEither",
                "Proxy-Require: noProxiesSupportThis, norDoAnyProxiesSupportThis",
            ],
            "",
            Answered(420),
            "3.3.5: extensions nobody knows are required; Proxy-Require is for proxies",
        ),
        request(
            "invut",
            "INVITE",
            &["Content-Type: application/unknownformat"],
            "<audio>\r\n <pcmu port=\"443\"/>\r\n</audio>\r\n",
            Answered(415),
            "3.3.6: a body of an unknown type",
        ),
        register(
            "regaut01",
            &["Authorization: NoOneKnowsThisScheme opaque-data=here"],
            "3.3.7: a scheme of authentication nobody knows; we are no registrar",
        ),
        request(
            "multi01",
            "INVITE",
            &[
                "from: <sip:other@example.net>;tag=2",
                "to: <sip:other@example.net>",
                "call-id: other@example.net",
                "cseq: 59 INVITE",
                "max-forwards: 5",
            ],
            SDP,
            Answered(400),
            "3.3.8: two values where there may be one",
        ),
        request(
            "mcl01",
            "OPTIONS",
            &["Content-Length: 13", "l: 5"],
            "There's no way to know",
            Answered(400),
            "3.3.9: two lengths",
        ),
        response(
            "bcast",
            "SIP/2.0 200 OK",
            &[
                "Via: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1324923",
                "CSeq: 35 INVITE",
            ],
            "3.3.10: a response that reached the wrong one is dropped",
        ),
        request(
            "zeromf",
            "OPTIONS",
            &["Max-Forwards: 0"],
            "",
            Answered(200),
            "3.3.11: 483 is for who would forward; it has arrived",
        ),
        register(
            "cparam01",
            &["Contact: sip:+19725552222@gw1.example.net;unknownparam"],
            "3.3.12: a parameter of the header; we are no registrar",
        ),
        register(
            "cparam02",
            &["Contact: <sip:+19725552222@gw1.example.net;unknownparam>"],
            "3.3.13: a parameter of the URI; we are no registrar",
        ),
        register(
            "regescrt",
            &["Contact: <sip:user@example.com?Route=%3Csip:sip.example.com%3E>"],
            "3.3.14: headers in a bracketed Contact; we are no registrar",
        ),
        request(
            "sdp01",
            "INVITE",
            &["Accept: text/nobodyKnowsThis"],
            SDP,
            Answered(200),
            "3.3.15: the answer to an offer is SDP whatever Accept says; 406 would do as well",
        ),
        torture(
            "inv2543",
            &[
                "INVITE sip:UserB@example.com SIP/2.0",
                "Via: SIP/2.0/UDP iftgw.example.com",
                "From: <sip:+13035551111@ift.client.example.net;user=phone>",
                "Record-Route: <sip:UserB@example.com;maddr=ss1.example.com>",
                "To: sip:+16505552222@ss1.example.net;user=phone",
                "Call-ID: inv2543.1717@ift.client.example.com",
                "CSeq: 56 INVITE",
                "Content-Type: application/sdp",
            ],
            SDP,
            Answered(400),
            "3.3.16: without branch and tag, as RFC 2543 wrote them, is well; without a Contact, no BYE would find it",
        ),
    ]
}

/// RFC 5118: IPv6 wherever an address may stand.
fn ipv6() -> Vec<Torture> {
    use Verdict::Answered;
    let register = |name, uri: &str, via: &str, status, why| {
        let line = format!("REGISTER {uri} SIP/2.0");
        let via = format!("Via: {via}");
        let contact = "Contact: \"Caller\" <sip:caller@[2001:db8::1]>";
        request(
            name,
            "REGISTER",
            &[&line, &via, contact],
            "",
            Answered(status),
            why,
        )
    };
    let via = |end: &str| format!("SIP/2.0/UDP [2001:db8::9:1]{end}");
    let sdp = |connection: &str| SDP.replace("c=IN IP4 192.0.2.4", connection);
    let mapped = "o=UserA 2890844526 2890844526 IN IP6 ::ffff:192.0.2.1\r\ns=-\r\nt=0 0\r\n\
                  m=audio 49170 RTP/AVP 0\r\nc=IN IP6 ::ffff:192.0.2.1\r\n";
    vec![
        register(
            "ipv6-good",
            "sip:[2001:db8::10]",
            &via(";branch=z9hG4bKas3-1"),
            405,
            "4.1: references in brackets; we are no registrar",
        ),
        register(
            "ipv6-bad",
            "sip:2001:db8::10",
            &via(";branch=z9hG4bKas3-2"),
            400,
            "4.2: one without brackets",
        ),
        register(
            "port-ambiguous",
            "sip:[2001:db8::10:5070]",
            &via(":6050;branch=z9hG4bKas3-3"),
            405,
            "4.3: a number inside the brackets is part of the address",
        ),
        register(
            "port-unambiguous",
            "sip:[2001:db8::10]:5070",
            &via(";branch=z9hG4bKas3-4"),
            405,
            "4.4: a number outside is the port",
        ),
        register(
            "via-received-param-with-delim",
            "sip:[2001:db8::10]",
            &via(";received=[2001:db8::9:255];branch=z9hG4bKas3-5"),
            405,
            "4.5: received with brackets",
        ),
        register(
            "via-received-param-no-delim",
            "sip:[2001:db8::10]",
            &via(";received=2001:db8::9:255;branch=z9hG4bKas3-6"),
            405,
            "4.5: and without",
        ),
        request(
            "ipv6-in-sdp",
            "INVITE",
            &[
                "INVITE sip:user@[2001:db8::10] SIP/2.0",
                "Contact: \"Caller\" <sip:caller@[2001:db8::1]>",
            ],
            &sdp("c=IN IP6 2001:db8::20"),
            Answered(488),
            "4.6: understood; this daemon has no audio socket of that family",
        ),
        request(
            "mult-ip-in-header",
            "BYE",
            &[
                "Via: SIP/2.0/UDP [2001:db8::9:1]:6050;branch=z9hG4bKas3-111",
                "via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKjhja8781hjuaij65144",
                "v: SIP/2.0/TCP [2001:db8::9:255];branch=z9hG4bK451jj;received=192.0.2.200",
                "To: <sip:user@example.net>;tag=9817--94",
            ],
            "",
            Answered(481),
            "4.7: both families side by side; there is no such call",
        ),
        request(
            "mult-ip-in-sdp",
            "INVITE",
            &["INVITE sip:user@[2001:db8::10] SIP/2.0"],
            &SDP.replace("m=video", "c=IN IP4 192.0.2.5\r\nm=video")
                .replace("a=rtpmap", "c=IN IP6 2001:db8::1\r\na=rtpmap"),
            Answered(200),
            "4.8: an address of each family, by media",
        ),
        request(
            "ipv4-mapped-ipv6",
            "INVITE",
            &[
                "INVITE sip:user@example.com SIP/2.0",
                "Via: SIP/2.0/UDP [::ffff:192.0.2.10]:19823;branch=z9hG4bKbh19",
                "Contact: \"T. desk phone\" <sip:ted@[::ffff:192.0.2.2]>",
            ],
            &format!("v=0\r\n{mapped}"),
            Answered(488),
            "4.9: mapped addresses are addresses of IPv6, for which this daemon has no audio socket",
        ),
        request(
            "ipv6-bug-abnf-3-colons",
            "OPTIONS",
            &["OPTIONS sip:user@[2001:db8:::192.0.2.1] SIP/2.0"],
            "",
            Answered(200),
            "4.10: what the old grammar allowed is forgiven",
        ),
    ]
}
