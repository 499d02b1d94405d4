//! The header list: ordered, any case, compact names, typed views that parse when asked.
//!
//! rsip keeps the list and names the header kinds; reading and writing values is ours.

mod kinds;

use rsip::headers::Header;

pub(super) use kinds::long_name;
use kinds::{header_of_kind, name_of, value_of};

use super::cseq::CSeq;
use super::lexer::{Malformed, is_token_byte, malformed, split, trim};
use super::name_addr::{NameAddr, NameAddrRef};
use super::via::Via;

/// Headers in wire order. Names compare without case, and a compact name is its long one.
///
/// Content-Length is not among them: it belongs to the framing, is taken off when a message is
/// read and computed from the body when one is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(rsip::Headers);

impl Headers {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// None yet, with room for this many.
    pub(super) fn with_capacity(count: usize) -> Self {
        Self(Vec::with_capacity(count).into())
    }

    /// The first value under a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_all(name).next()
    }

    /// Every value under a name, in order. Comma lists of Via, Contact, Route and Record-Route were
    /// split when the message was read; other headers' are as written.
    pub fn get_all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        let name = long_name(name);
        self.0
            .iter()
            .filter(move |header| name_of(header).eq_ignore_ascii_case(name))
            .map(value_of)
    }

    /// Whether there is a header of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Names and values in wire order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|header| (name_of(header), value_of(header)))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.iter().count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a header at the end.
    ///
    /// Nothing given here can split a header: a line break in the value is replaced by a space, and
    /// a character that no name may have by `-`.
    pub fn push(&mut self, name: &str, value: impl Into<String>) {
        self.0.push(safe_header(name, value.into()));
    }

    /// Adds a header before all others; see [`push`](Self::push).
    pub fn push_front(&mut self, name: &str, value: impl Into<String>) {
        self.with_list(|list| list.insert(0, safe_header(name, value.into())));
    }

    /// Gives a name this one value, in the place of the first there was, or at the end; see
    /// [`push`](Self::push).
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        let name = long_name(name);
        let place = self
            .0
            .iter()
            .position(|header| name_of(header).eq_ignore_ascii_case(name));
        let header = safe_header(name, value.into());
        self.remove(name);
        match place {
            Some(place) => self.with_list(|list| list.insert(place, header)),
            None => self.0.push(header),
        }
    }

    /// Takes every header of a name away.
    pub fn remove(&mut self, name: &str) {
        let name = long_name(name);
        self.0
            .retain(|header| !name_of(header).eq_ignore_ascii_case(name));
    }

    /// Puts this hop in the place of the topmost one.
    pub fn set_top_via(&mut self, via: &Via) {
        let rewritten = safe_header("Via", via.to_string());
        self.with_list(|list| {
            match list
                .iter_mut()
                .find(|header| matches!(header, Header::Via(_)))
            {
                Some(top) => *top = rewritten,
                None => list.insert(0, rewritten),
            }
        });
    }

    /// Every Via, topmost first.
    ///
    /// # Errors
    /// When one is malformed.
    pub fn vias(&self) -> Result<Vec<Via>, Malformed> {
        self.list("Via").map(Via::parse).collect()
    }

    /// The topmost Via.
    ///
    /// # Errors
    /// When it is missing or malformed.
    pub fn top_via(&self) -> Result<Via, Malformed> {
        self.list("Via")
            .next()
            .ok_or(malformed("Via"))
            .and_then(Via::parse)
    }

    /// From.
    ///
    /// # Errors
    /// When it is missing or malformed.
    pub fn from_(&self) -> Result<NameAddr, Malformed> {
        self.get("From")
            .ok_or(malformed("From"))
            .and_then(NameAddr::parse)
    }

    /// To.
    ///
    /// # Errors
    /// When it is missing or malformed.
    pub fn to(&self) -> Result<NameAddr, Malformed> {
        self.get("To")
            .ok_or(malformed("To"))
            .and_then(NameAddr::parse)
    }

    /// The tag in From, or none; without reading it into parts of its own.
    ///
    /// # Errors
    /// When From is missing or malformed.
    pub fn from_tag(&self) -> Result<Option<&str>, Malformed> {
        self.tag_in("From")
    }

    /// The tag in To, or none; without reading it into parts of its own.
    ///
    /// # Errors
    /// When To is missing or malformed.
    pub fn to_tag(&self) -> Result<Option<&str>, Malformed> {
        self.tag_in("To")
    }

    fn tag_in(&self, name: &'static str) -> Result<Option<&str>, Malformed> {
        let value = self.get(name).ok_or(malformed(name))?;
        NameAddrRef::scan(value).map(NameAddrRef::tag)
    }

    /// Call-ID.
    pub fn call_id(&self) -> Option<&str> {
        self.get("Call-ID")
    }

    /// CSeq.
    ///
    /// # Errors
    /// When it is missing or malformed.
    pub fn cseq(&self) -> Result<CSeq, Malformed> {
        self.get("CSeq")
            .ok_or(malformed("CSeq"))
            .and_then(CSeq::parse)
    }

    /// Every Contact, in order.
    ///
    /// # Errors
    /// When one is malformed; the `*` of a REGISTER is no address and counts as such.
    pub fn contacts(&self) -> Result<Vec<NameAddr>, Malformed> {
        self.list("Contact").map(NameAddr::parse).collect()
    }

    /// Every Record-Route, in order.
    ///
    /// # Errors
    /// When one is malformed.
    pub fn record_routes(&self) -> Result<Vec<NameAddr>, Malformed> {
        self.list("Record-Route").map(NameAddr::parse).collect()
    }

    /// Every Route, in order.
    ///
    /// # Errors
    /// When one is malformed.
    pub fn routes(&self) -> Result<Vec<NameAddr>, Malformed> {
        self.list("Route").map(NameAddr::parse).collect()
    }

    /// Max-Forwards, 0 to 255; `None` when absent or out of range.
    pub fn max_forwards(&self) -> Option<u8> {
        self.get("Max-Forwards")?.parse().ok()
    }

    /// Content-Type, with its parameters.
    pub fn content_type(&self) -> Option<&str> {
        self.get("Content-Type")
    }

    /// The option tags of Require.
    pub fn require(&self) -> Vec<&str> {
        self.tokens("Require").collect()
    }

    /// The option tags of Supported.
    pub fn supported(&self) -> Vec<&str> {
        self.tokens("Supported").collect()
    }

    /// The members of a list header (Allow, Accept, Require, …) over all its lines. Empty ones,
    /// which the grammar allows for some, are left out.
    pub fn tokens<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        self.list(name).filter(|member| !member.is_empty())
    }

    /// The members of a list header over all its lines, empty ones included.
    pub(super) fn list<'a, 'n>(
        &'a self,
        name: &'n str,
    ) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        self.get_all(name).flat_map(|value| split(value, b','))
    }

    /// Adds a header as it was read: the name is a token, the value has no line break.
    pub(super) fn push_read(&mut self, name: &str, value: String) {
        self.0.push(header_of_kind(long_name(name), value));
    }

    /// rsip's list can only grow at its end, so it is opened for a moment.
    fn with_list(&mut self, change: impl FnOnce(&mut Vec<Header>)) {
        let mut list = Vec::from(std::mem::take(&mut self.0));
        change(&mut list);
        self.0 = list.into();
    }
}

/// A header that cannot split: see [`Headers::push`].
fn safe_header(name: &str, mut value: String) -> Header {
    if value.contains(['\r', '\n']) {
        value = value.replace(['\r', '\n'], " ");
    }
    // What is written must read back as it is.
    if trim(&value).len() != value.len() {
        value = trim(&value).to_owned();
    }
    let name = long_name(name);
    match !name.is_empty() && name.bytes().all(is_token_byte) {
        true => header_of_kind(name, value),
        false => {
            let is_token = |character: char| u8::try_from(character).is_ok_and(is_token_byte);
            let name = name.replace(|character| !is_token(character), "-");
            let name = if name.is_empty() {
                "-".to_owned()
            } else {
                name
            };
            Header::Other(name, value)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_compare_without_case_and_compact_forms_are_the_same_header() {
        let mut headers = Headers::new();
        headers.push("v", "SIP/2.0/UDP a");
        headers.push("vIA", "SIP/2.0/UDP b");
        headers.push("x", "1800");
        headers.push("x-Own", "kept");
        assert_eq!(
            headers.get_all("Via").collect::<Vec<_>>(),
            ["SIP/2.0/UDP a", "SIP/2.0/UDP b"]
        );
        assert_eq!(headers.get("V"), Some("SIP/2.0/UDP a"));
        assert_eq!(headers.get("session-expires"), Some("1800"));
        assert_eq!(headers.get("X-OWN"), Some("kept"));
        let names: Vec<_> = headers.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["Via", "Via", "Session-Expires", "x-Own"]);
    }

    #[test]
    fn set_keeps_the_place_and_removes_the_others() {
        let mut headers = Headers::new();
        for (name, value) in [("To", "a"), ("Contact", "b"), ("From", "c"), ("m", "d")] {
            headers.push(name, value);
        }
        headers.set("m", "<sip:h>");
        headers.set("Server", "offhook");
        headers.push_front("Via", "SIP/2.0/UDP h");
        let all: Vec<_> = headers.iter().collect();
        assert_eq!(
            all,
            [
                ("Via", "SIP/2.0/UDP h"),
                ("To", "a"),
                ("Contact", "<sip:h>"),
                ("From", "c"),
                ("Server", "offhook")
            ]
        );
    }

    #[test]
    fn lists_over_several_lines_are_one_list() {
        let mut headers = Headers::new();
        headers.push("Require", "100rel ,timer");
        headers.push("Supported", "");
        headers.push("Require", "x");
        headers.push("Route", r#""a,b" <sip:a,1@h;lr>, <sip:c@h>"#);
        assert_eq!(headers.require(), ["100rel", "timer", "x"]);
        assert!(headers.supported().is_empty());
        assert_eq!(headers.routes().unwrap().len(), 2);
    }

    #[test]
    fn neither_a_value_nor_a_name_can_split_a_header() {
        let mut headers = Headers::new();
        headers.push("Sub ject:", "a\r\nEvil: yes\r\n\r\n");
        headers.push("", "x");
        let all: Vec<_> = headers.iter().collect();
        assert_eq!(all, [("Sub-ject-", "a  Evil: yes"), ("-", "x")]);
    }

    #[test]
    fn the_top_via_is_replaced_in_its_place() {
        let mut headers = Headers::new();
        headers.push("To", "<sip:h>");
        headers.push("Via", "SIP/2.0/UDP a;rport;branch=z9hG4bK1");
        headers.push("Via", "SIP/2.0/UDP b;branch=z9hG4bK2");
        let mut via = headers.top_via().unwrap();
        via.set_received_rport("192.0.2.1:5".parse().unwrap());
        headers.set_top_via(&via);
        assert_eq!(
            headers.get("Via"),
            Some("SIP/2.0/UDP a;rport=5;branch=z9hG4bK1;received=192.0.2.1")
        );
        assert_eq!(headers.vias().unwrap().len(), 2);
    }
}
