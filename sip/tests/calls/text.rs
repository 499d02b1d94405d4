//! Reading SIP as text, by string matching only.

/// The status of a response; 0 for a request.
pub(crate) fn status(message: &str) -> u16 {
    let rest = message.strip_prefix("SIP/2.0 ").unwrap_or("0");
    rest.split(' ').next().unwrap().parse().unwrap()
}

/// The method of a request; empty for a response.
pub(crate) fn method(message: &str) -> &str {
    let first = message.split(' ').next().unwrap();
    if first == "SIP/2.0" { "" } else { first }
}

/// The Request-URI.
pub(crate) fn request_uri(message: &str) -> &str {
    message.split(' ').nth(1).unwrap()
}

/// Every value under a name, in order.
pub(crate) fn headers<'a>(message: &'a str, name: &str) -> Vec<&'a str> {
    let head = message.split("\r\n\r\n").next().unwrap();
    let lines = head.split("\r\n").skip(1);
    lines
        .filter_map(|line| line.split_once(": "))
        .filter(|(n, _)| *n == name)
        .map(|(_, v)| v)
        .collect()
}

/// The one value under a name.
pub(crate) fn header<'a>(message: &'a str, name: &str) -> &'a str {
    let values = headers(message, name);
    assert_eq!(values.len(), 1, "one {name} expected in\n{message}");
    values[0]
}

/// The body.
pub(crate) fn body(message: &str) -> &str {
    message.split_once("\r\n\r\n").unwrap().1
}

/// The tag in a From or To; empty without.
pub(crate) fn tag<'a>(message: &'a str, name: &str) -> &'a str {
    parameter(header(message, name), "tag")
}

/// A parameter of a header value, up to the next `;` or `,`; empty without.
pub(crate) fn parameter<'a>(value: &'a str, name: &str) -> &'a str {
    let found = value
        .split(';')
        .skip(1)
        .find_map(|piece| piece.strip_prefix(&format!("{name}=")));
    found.unwrap_or("").split(',').next().unwrap()
}

/// The branch of the top Via.
pub(crate) fn branch(message: &str) -> &str {
    parameter(headers(message, "Via")[0], "branch")
}

/// The number in CSeq.
pub(crate) fn cseq(message: &str) -> u32 {
    header(message, "CSeq")
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

/// A message in a word: its status and the method answered, or its method.
pub(crate) fn summary(message: &str) -> String {
    match status(message) {
        0 => method(message).to_owned(),
        code => format!(
            "{code} {}",
            header(message, "CSeq").split(' ').nth(1).unwrap()
        ),
    }
}
