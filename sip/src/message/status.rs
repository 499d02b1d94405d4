//! Status codes (RFC 3261 section 21).

use std::fmt;

/// A response's status code, 100 to 699.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StatusCode(u16);

/// The first digit of a status code (RFC 3261 section 7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StatusClass {
    /// 1xx: received, being worked on.
    Provisional,
    /// 2xx: accepted.
    Success,
    /// 3xx: try elsewhere.
    Redirection,
    /// 4xx: this request cannot be met here.
    ClientError,
    /// 5xx: the server failed.
    ServerError,
    /// 6xx: it can be met nowhere.
    GlobalFailure,
}

macro_rules! named_codes {
    ($($name:ident = $code:literal),* $(,)?) => {
        impl StatusCode {
            $(
                #[doc = concat!("Status ", stringify!($code), ".")]
                pub const $name: Self = Self($code);
            )*
        }
    };
}

named_codes! {
    TRYING = 100,
    RINGING = 180,
    CALL_IS_BEING_FORWARDED = 181,
    QUEUED = 182,
    SESSION_PROGRESS = 183,
    OK = 200,
    ACCEPTED = 202,
    MULTIPLE_CHOICES = 300,
    MOVED_PERMANENTLY = 301,
    MOVED_TEMPORARILY = 302,
    USE_PROXY = 305,
    BAD_REQUEST = 400,
    UNAUTHORIZED = 401,
    FORBIDDEN = 403,
    NOT_FOUND = 404,
    METHOD_NOT_ALLOWED = 405,
    NOT_ACCEPTABLE = 406,
    PROXY_AUTHENTICATION_REQUIRED = 407,
    REQUEST_TIMEOUT = 408,
    GONE = 410,
    REQUEST_ENTITY_TOO_LARGE = 413,
    REQUEST_URI_TOO_LONG = 414,
    UNSUPPORTED_MEDIA_TYPE = 415,
    UNSUPPORTED_URI_SCHEME = 416,
    BAD_EXTENSION = 420,
    EXTENSION_REQUIRED = 421,
    SESSION_INTERVAL_TOO_SMALL = 422,
    INTERVAL_TOO_BRIEF = 423,
    TEMPORARILY_UNAVAILABLE = 480,
    CALL_OR_TRANSACTION_DOES_NOT_EXIST = 481,
    LOOP_DETECTED = 482,
    TOO_MANY_HOPS = 483,
    ADDRESS_INCOMPLETE = 484,
    BUSY_HERE = 486,
    REQUEST_TERMINATED = 487,
    NOT_ACCEPTABLE_HERE = 488,
    BAD_EVENT = 489,
    REQUEST_PENDING = 491,
    SERVER_INTERNAL_ERROR = 500,
    NOT_IMPLEMENTED = 501,
    BAD_GATEWAY = 502,
    SERVICE_UNAVAILABLE = 503,
    SERVER_TIMEOUT = 504,
    VERSION_NOT_SUPPORTED = 505,
    MESSAGE_TOO_LARGE = 513,
    BUSY_EVERYWHERE = 600,
    DECLINE = 603,
    DOES_NOT_EXIST_ANYWHERE = 604,
    NOT_ACCEPTABLE_ANYWHERE = 606,
}

impl StatusCode {
    /// A code from 100 to 699; `None` outside.
    pub const fn new(code: u16) -> Option<Self> {
        match code {
            100..=699 => Some(Self(code)),
            _ => None,
        }
    }

    /// The number.
    pub const fn as_u16(self) -> u16 {
        self.0
    }

    /// The class its first digit names.
    pub const fn class(self) -> StatusClass {
        match self.0 / 100 {
            1 => StatusClass::Provisional,
            2 => StatusClass::Success,
            3 => StatusClass::Redirection,
            4 => StatusClass::ClientError,
            5 => StatusClass::ServerError,
            _ => StatusClass::GlobalFailure,
        }
    }

    /// 1xx.
    pub const fn is_provisional(self) -> bool {
        matches!(self.class(), StatusClass::Provisional)
    }

    /// 2xx.
    pub const fn is_success(self) -> bool {
        matches!(self.class(), StatusClass::Success)
    }

    /// Anything but 1xx: it ends the transaction.
    pub const fn is_final(self) -> bool {
        !self.is_provisional()
    }

    /// The reason phrase its RFC gives; for a code nobody defined, the class's own (RFC 3261
    /// section 8.1.3.2 treats it as x00).
    pub fn default_reason(self) -> &'static str {
        // rsip's list of codes is ours: one it learns and we lack stops the build here.
        use rsip::StatusCode as Known;
        match Known::from(self.0) {
            Known::Trying => "Trying",
            Known::Ringing => "Ringing",
            Known::CallIsBeingForwarded => "Call Is Being Forwarded",
            Known::Queued => "Queued",
            Known::SessionProgress => "Session Progress",
            Known::EarlyDialogTerminated => "Early Dialog Terminated",
            Known::OK => "OK",
            // rsip puts Accepted at 201; RFC 3265 put it at 202, see below.
            Known::Accepted => "Success",
            Known::NoNotification => "No Notification",
            Known::MultipleChoices => "Multiple Choices",
            Known::MovedPermanently => "Moved Permanently",
            Known::MovedTemporarily => "Moved Temporarily",
            Known::UseProxy => "Use Proxy",
            Known::AlternativeService => "Alternative Service",
            Known::BadRequest => "Bad Request",
            Known::Unauthorized => "Unauthorized",
            Known::PaymentRequired => "Payment Required",
            Known::Forbidden => "Forbidden",
            Known::NotFound => "Not Found",
            Known::MethodNotAllowed => "Method Not Allowed",
            Known::NotAcceptable => "Not Acceptable",
            Known::ProxyAuthenticationRequired => "Proxy Authentication Required",
            Known::RequestTimeout => "Request Timeout",
            Known::Conflict => "Conflict",
            Known::Gone => "Gone",
            Known::LengthRequired => "Length Required",
            Known::ConditionalRequestFailed => "Conditional Request Failed",
            Known::RequestEntityTooLarge => "Request Entity Too Large",
            Known::RequestUriTooLong => "Request-URI Too Long",
            Known::UnsupportedMediaType => "Unsupported Media Type",
            Known::UnsupportedUriScheme => "Unsupported URI Scheme",
            Known::UnknownResourcePriority => "Unknown Resource-Priority",
            Known::BadExtension => "Bad Extension",
            Known::ExtensionRequired => "Extension Required",
            Known::SessionIntervalTooSmall => "Session Interval Too Small",
            Known::IntervalTooBrief => "Interval Too Brief",
            Known::BadLocationInformation => "Bad Location Information",
            Known::UseIdentityHeader => "Use Identity Header",
            Known::ProvideReferrerIdentity => "Provide Referrer Identity",
            Known::AnonymityDisallowed => "Anonymity Disallowed",
            Known::BadIdentityInfo => "Bad Identity Info",
            Known::UnsupportedCertificate => "Unsupported Credential",
            Known::InvalidIdentityHeader => "Invalid Identity Header",
            Known::FirstHopLacksOutboundSupport => "First Hop Lacks Outbound Support",
            Known::MaxBreadthExceeded => "Max-Breadth Exceeded",
            Known::BadInfoPackage => "Bad Info Package",
            Known::ConsentNeeded => "Consent Needed",
            Known::TemporarilyUnavailable => "Temporarily Unavailable",
            Known::CallTransactionDoesNotExist => "Call/Transaction Does Not Exist",
            Known::LoopDetected => "Loop Detected",
            Known::TooManyHops => "Too Many Hops",
            Known::AddressIncomplete => "Address Incomplete",
            Known::Ambiguous => "Ambiguous",
            Known::BusyHere => "Busy Here",
            Known::RequestTerminated => "Request Terminated",
            Known::NotAcceptableHere => "Not Acceptable Here",
            Known::BadEvent => "Bad Event",
            Known::RequestPending => "Request Pending",
            Known::Undecipherable => "Undecipherable",
            Known::SecurityAgreementRequired => "Security Agreement Required",
            Known::ServerInternalError => "Server Internal Error",
            Known::NotImplemented => "Not Implemented",
            Known::BadGateway => "Bad Gateway",
            Known::ServiceUnavailable => "Service Unavailable",
            Known::ServerTimeOut => "Server Time-out",
            Known::VersionNotSupported => "Version Not Supported",
            Known::MessageTooLarge => "Message Too Large",
            Known::PreconditionFailure => "Precondition Failure",
            Known::BusyEverywhere => "Busy Everywhere",
            Known::Decline => "Decline",
            Known::DoesNotExistAnywhere => "Does Not Exist Anywhere",
            Known::NotAcceptableGlobal => "Not Acceptable",
            Known::Unwanted => "Unwanted",
            Known::Other(202, _) => "Accepted",
            Known::Other(_, _) => match self.class() {
                StatusClass::Provisional => "Session Progress",
                StatusClass::Success => "Success",
                StatusClass::Redirection => "Redirected",
                StatusClass::ClientError => "Request Failed",
                StatusClass::ServerError => "Server Failed",
                StatusClass::GlobalFailure => "Failed Everywhere",
            },
        }
    }
}

impl fmt::Display for StatusCode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_lies_between_100_and_699() {
        assert_eq!(StatusCode::new(99), None);
        assert_eq!(StatusCode::new(700), None);
        assert_eq!(StatusCode::new(100), Some(StatusCode::TRYING));
        assert!(StatusCode::new(699).unwrap().is_final());
    }

    #[test]
    fn a_code_nobody_defined_is_named_by_its_class() {
        assert_eq!(
            StatusCode::new(499).unwrap().default_reason(),
            "Request Failed"
        );
        assert_eq!(StatusCode::ACCEPTED.default_reason(), "Accepted");
        assert_eq!(
            StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST.default_reason(),
            "Call/Transaction Does Not Exist"
        );
    }
}
