//! Request methods (RFC 3261 section 7.1 and the extensions that define more).

use std::fmt;
use std::str::FromStr;

use super::lexer::{Malformed, is_token, malformed};

/// A SIP method. Methods are case-sensitive; one we do not know keeps its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Method {
    /// INVITE (RFC 3261).
    Invite,
    /// ACK (RFC 3261).
    Ack,
    /// BYE (RFC 3261).
    Bye,
    /// CANCEL (RFC 3261).
    Cancel,
    /// OPTIONS (RFC 3261).
    Options,
    /// REGISTER (RFC 3261).
    Register,
    /// INFO (RFC 6086).
    Info,
    /// PRACK (RFC 3262).
    Prack,
    /// UPDATE (RFC 3311).
    Update,
    /// REFER (RFC 3515).
    Refer,
    /// NOTIFY (RFC 6665).
    Notify,
    /// SUBSCRIBE (RFC 6665).
    Subscribe,
    /// MESSAGE (RFC 3428).
    Message,
    /// PUBLISH (RFC 3903).
    Publish,
    /// Any other token.
    Extension(Token),
}

/// A method name that is none of the known ones: one or more `token` characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(Box<str>);

impl Method {
    /// The name as it stands on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Invite => "INVITE",
            Self::Ack => "ACK",
            Self::Bye => "BYE",
            Self::Cancel => "CANCEL",
            Self::Options => "OPTIONS",
            Self::Register => "REGISTER",
            Self::Info => "INFO",
            Self::Prack => "PRACK",
            Self::Update => "UPDATE",
            Self::Refer => "REFER",
            Self::Notify => "NOTIFY",
            Self::Subscribe => "SUBSCRIBE",
            Self::Message => "MESSAGE",
            Self::Publish => "PUBLISH",
            Self::Extension(Token(name)) => name,
        }
    }

    /// Whether this is a method some RFC we know defines.
    pub fn is_known(&self) -> bool {
        !matches!(self, Self::Extension(_))
    }
}

impl FromStr for Method {
    type Err = Malformed;

    /// Reads a method, with exact case as RFC 3261 section 7.1 asks.
    ///
    /// # Errors
    /// When the text is not a token.
    fn from_str(name: &str) -> Result<Self, Malformed> {
        Ok(match name {
            "INVITE" => Self::Invite,
            "ACK" => Self::Ack,
            "BYE" => Self::Bye,
            "CANCEL" => Self::Cancel,
            "OPTIONS" => Self::Options,
            "REGISTER" => Self::Register,
            "INFO" => Self::Info,
            "PRACK" => Self::Prack,
            "UPDATE" => Self::Update,
            "REFER" => Self::Refer,
            "NOTIFY" => Self::Notify,
            "SUBSCRIBE" => Self::Subscribe,
            "MESSAGE" => Self::Message,
            "PUBLISH" => Self::Publish,
            other if is_token(other) => Self::Extension(Token(other.into())),
            _ => return Err(malformed("method")),
        })
    }
}

impl fmt::Display for Method {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// rsip's list of methods is ours: one it learns and we lack does not compile here.
    fn from_vocabulary(method: rsip::Method) -> Method {
        match method {
            rsip::Method::Ack => Method::Ack,
            rsip::Method::Bye => Method::Bye,
            rsip::Method::Cancel => Method::Cancel,
            rsip::Method::Info => Method::Info,
            rsip::Method::Invite => Method::Invite,
            rsip::Method::Message => Method::Message,
            rsip::Method::Notify => Method::Notify,
            rsip::Method::Options => Method::Options,
            rsip::Method::PRack => Method::Prack,
            rsip::Method::Publish => Method::Publish,
            rsip::Method::Refer => Method::Refer,
            rsip::Method::Register => Method::Register,
            rsip::Method::Subscribe => Method::Subscribe,
            rsip::Method::Update => Method::Update,
        }
    }

    #[test]
    fn every_method_of_the_vocabulary_reads_back_as_itself() {
        for method in rsip::Method::all() {
            let method = from_vocabulary(method);
            assert!(method.is_known());
            assert_eq!(method.as_str().parse(), Ok(method));
        }
    }

    #[test]
    fn methods_are_case_sensitive_and_unknown_ones_keep_their_name() {
        let method: Method = "Invite".parse().unwrap();
        assert!(!method.is_known());
        assert_eq!(method.as_str(), "Invite");
    }

    #[test]
    fn a_method_is_a_token() {
        for text in ["", "IN VITE", "INVITE\r\n", "INV@TE"] {
            assert!(text.parse::<Method>().is_err());
        }
    }
}
