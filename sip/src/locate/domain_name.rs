//! Names that DNS can be asked about.

use std::fmt;

/// The longest name DNS can hold, in the dotted form without the final dot (RFC 1035 3.1).
const MAX_NAME_BYTES: usize = 253;
const MAX_LABEL_BYTES: usize = 63;

/// A fully qualified name in lower case without the final dot, of labels that fit into DNS.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainName(String);

impl DomainName {
    /// Reads a name, with or without a final dot. `None` when DNS could not hold it, when it has
    /// characters that no host or service is named with, and for the root.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_suffix('.').unwrap_or(text);
        // Underscores begin the labels of services, and hosts are named with them against the rules.
        let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let is_label = |label: &str| {
            (1..=MAX_LABEL_BYTES).contains(&label.len()) && label.bytes().all(is_name_byte)
        };
        (text.len() <= MAX_NAME_BYTES && text.split('.').all(is_label))
            .then(|| Self(text.to_ascii_lowercase()))
    }

    /// This name below `labels`. `None` when that is too long.
    pub(super) fn below(&self, labels: &str) -> Option<Self> {
        Self::parse(&format!("{labels}.{self}"))
    }

    /// The name, without a final dot.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_equal_whatever_their_case_and_final_dot() {
        let name = DomainName::parse("SIP.Example.com.").unwrap();
        assert_eq!(name.as_str(), "sip.example.com");
        assert_eq!(Some(name), DomainName::parse("sip.example.com"));
    }

    #[test]
    fn what_dns_cannot_hold_is_no_name() {
        let long_label = "a".repeat(64);
        let long_name = [
            "a".repeat(63),
            "b".repeat(63),
            "c".repeat(63),
            "d".repeat(62),
        ]
        .join(".");
        for text in [
            "",
            ".",
            "..",
            "a..b",
            ".a",
            "a b",
            "a\0b",
            "ä.example",
            &long_label,
            &long_name,
        ] {
            assert_eq!(DomainName::parse(text), None, "{text:?}");
        }
        assert!(DomainName::parse(&long_name[1..]).is_some());
    }

    #[test]
    fn a_service_below_a_name_that_is_nearly_too_long_is_no_name() {
        let name = DomainName::parse(
            &[
                "a".repeat(63),
                "b".repeat(63),
                "c".repeat(63),
                "d".repeat(60),
            ]
            .join("."),
        );
        assert_eq!(name.unwrap().below("_sip._udp"), None);
    }
}
