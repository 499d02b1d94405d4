//! Finding the session description in a message body (RFC 2046, RFC 5621).

/// Multiparts inside multiparts are followed this far.
const MAXIMUM_DEPTH: usize = 3;

/// The part of `body` that is `application/sdp`: the whole of it, or the first such part of a
/// `multipart/*` (gateways add `application/isup`, emergency calls a location). Media type parameters
/// other than the boundary are ignored. `None` when there is none.
#[must_use]
pub fn find<'a>(content_type: &str, body: &'a [u8]) -> Option<&'a [u8]> {
    find_within(content_type, body, MAXIMUM_DEPTH)
}

fn find_within<'a>(content_type: &str, body: &'a [u8], depth: usize) -> Option<&'a [u8]> {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("application/sdp") {
        return Some(body);
    }
    let is_multipart = media_type
        .get(..10)
        .is_some_and(|start| start.eq_ignore_ascii_case("multipart/"));
    if !is_multipart {
        return None;
    }
    let depth = depth.checked_sub(1)?;
    let boundary = boundary(content_type)?;
    Parts {
        rest: body,
        boundary: boundary.as_bytes(),
        begun: false,
    }
    .find_map(|part| {
        let (headers, content) = split_headers(part);
        find_within(&part_content_type(headers)?, content, depth)
    })
}

/// The `boundary` parameter, quoted or not; 1 to 70 characters.
fn boundary(content_type: &str) -> Option<&str> {
    let start = content_type.to_ascii_lowercase().find("boundary")? + "boundary".len();
    let value = content_type
        .get(start..)?
        .trim_start()
        .strip_prefix('=')?
        .trim_start();
    let value = match value.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next()?,
        None => value.split([';', ' ', '\t']).next()?,
    };
    (1..=70).contains(&value.len()).then_some(value)
}

/// The bytes between delimiter lines (RFC 2046 section 5.1.1).
struct Parts<'a, 'b> {
    rest: &'a [u8],
    boundary: &'b [u8],
    begun: bool,
}

impl<'a> Iterator for Parts<'a, '_> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if !self.begun {
            self.begun = true;
            let (_, after) = self.split_at_delimiter(self.rest)?;
            self.rest = after;
        }
        // A last part without its closing delimiter reaches to the end of the body.
        match self.split_at_delimiter(self.rest) {
            Some((part, after)) => {
                self.rest = after;
                Some(part)
            }
            None if self.rest.is_empty() => None,
            None => Some(std::mem::take(&mut self.rest)),
        }
    }
}

impl<'a> Parts<'a, '_> {
    /// What lies before the next delimiter line and after it; after the closing one lies nothing.
    fn split_at_delimiter(&self, bytes: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let mut line_start = 0;
        while line_start < bytes.len() {
            let line_end = bytes[line_start..]
                .iter()
                .position(|byte| *byte == b'\n')
                .map_or(bytes.len(), |at| line_start + at + 1);
            let line = &bytes[line_start..line_end];
            let after = line
                .strip_prefix(b"--")
                .and_then(|l| l.strip_prefix(self.boundary));
            if let Some(after) = after {
                let before = &bytes[..line_start];
                match after.trim_ascii() {
                    b"" => return Some((without_line_end(before), &bytes[line_end..])),
                    b"--" => return Some((without_line_end(before), &[])),
                    _ => {}
                }
            }
            line_start = line_end;
        }
        None
    }
}

/// The line end before a delimiter belongs to the delimiter. A description keeps its own last one:
/// parsers do not mind its loss.
fn without_line_end(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}

fn split_headers(part: &[u8]) -> (&[u8], &[u8]) {
    if let Some(content) = part
        .strip_prefix(b"\r\n")
        .or_else(|| part.strip_prefix(b"\n"))
    {
        return (&[], content);
    }
    let blank = |pattern: &[u8]| {
        part.windows(pattern.len())
            .position(|window| window == pattern)
            .map(|at| (&part[..at], &part[at + pattern.len()..]))
    };
    match (blank(b"\r\n\r\n"), blank(b"\n\n")) {
        (Some(crlf), Some(lf)) => {
            if crlf.0.len() < lf.0.len() {
                crlf
            } else {
                lf
            }
        }
        (Some(found), None) | (None, Some(found)) => found,
        (None, None) => (part, &[]),
    }
}

/// The value of the part's `Content-Type`, unfolded.
fn part_content_type(headers: &[u8]) -> Option<String> {
    let headers = String::from_utf8_lossy(headers);
    let mut lines = headers.lines().peekable();
    while let Some(line) = lines.next() {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        let name = name.trim();
        if !name.eq_ignore_ascii_case("Content-Type") && !name.eq_ignore_ascii_case("c") {
            continue;
        }
        let mut value = value.trim().to_owned();
        while let Some(folded) = lines.next_if(|next| next.starts_with([' ', '\t'])) {
            value.push(' ');
            value.push_str(folded.trim());
        }
        return Some(value);
    }
    None
}
