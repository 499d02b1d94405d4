//! CSeq: a number and a method (RFC 3261 section 20.16).

use std::fmt;

use super::lexer::{Malformed, malformed, trim};
use super::method::Method;

/// A request's place in its dialog's order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CSeq {
    /// Below 2^31 (RFC 3261 section 8.1.1.5).
    pub number: u32,
    /// The request's own method.
    pub method: Method,
}

impl CSeq {
    /// Reads `number method`.
    ///
    /// # Errors
    /// When the number is missing, has other characters than digits or reaches 2^31, or when the
    /// method is not a token.
    pub fn parse(value: &str) -> Result<Self, Malformed> {
        let error = malformed("CSeq");
        let (number, method) = trim(value).split_once([' ', '\t']).ok_or(error)?;
        if !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(error);
        }
        let number = number
            .parse()
            .ok()
            .filter(|number| *number < 1 << 31)
            .ok_or(error)?;
        let method = trim(method).parse().map_err(|_| error)?;
        Ok(Self { number, method })
    }
}

impl fmt::Display for CSeq {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.number, self.method)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leading_zeros_and_wide_gaps_are_read() {
        let cseq = CSeq::parse("0009  \t INVITE").unwrap();
        assert_eq!(
            cseq,
            CSeq {
                number: 9,
                method: Method::Invite
            }
        );
        assert_eq!(cseq.to_string(), "9 INVITE");
    }

    #[test]
    fn a_number_of_31_bits_is_the_most() {
        assert_eq!(CSeq::parse("2147483647 BYE").unwrap().number, 2_147_483_647);
        for text in [
            "2147483648 BYE",
            "36893488147419103232 BYE",
            "+1 BYE",
            "-1 BYE",
            "1",
            "BYE",
            " BYE",
            "1 B@D",
            "",
        ] {
            assert!(CSeq::parse(text).is_err(), "{text}");
        }
    }
}
