//! Header names: rsip's kinds and their names on the wire, and the compact names.

use rsip::headers as kinds;
use rsip::headers::{Header, UntypedHeader as _};

/// The header kinds: name on the wire, rsip's name.
macro_rules! header_kinds {
    ($($name:literal $kind:ident),* $(,)?) => {
        /// A header of the kind that the name says; an unknown name is kept as it is.
        pub(in crate::message) fn header_of_kind(name: &str, value: String) -> Header {
            match name {
                $(_ if name.eq_ignore_ascii_case($name) => Header::$kind(kinds::$kind::new(value)),)*
                _ => Header::Other(name.to_owned(), value),
            }
        }

        /// The name it has on the wire.
        pub(in crate::message) fn name_of(header: &Header) -> &str {
            match header {
                $(Header::$kind(_) => $name,)*
                Header::Other(name, _) => name,
            }
        }

        /// Its value.
        pub(in crate::message) fn value_of(header: &Header) -> &str {
            match header {
                $(Header::$kind(header) => header.value(),)*
                Header::Other(_, value) => value,
            }
        }
    };
}

// The commonest come first, since a name is looked for from the top.
header_kinds! {
    "Via" Via, "From" From, "To" To, "Call-ID" CallId, "CSeq" CSeq, "Contact" Contact,
    "Max-Forwards" MaxForwards, "Content-Type" ContentType, "Content-Length" ContentLength,
    "Record-Route" RecordRoute, "Route" Route, "Allow" Allow, "Supported" Supported,
    "User-Agent" UserAgent, "Server" Server, "Require" Require, "Accept" Accept,
    "Accept-Encoding" AcceptEncoding, "Accept-Language" AcceptLanguage, "Alert-Info" AlertInfo,
    "Authentication-Info" AuthenticationInfo, "Authorization" Authorization,
    "Call-Info" CallInfo, "Content-Disposition" ContentDisposition,
    "Content-Encoding" ContentEncoding, "Content-Language" ContentLanguage, "Date" Date,
    "Error-Info" ErrorInfo, "Event" Event, "Expires" Expires, "In-Reply-To" InReplyTo,
    "MIME-Version" MimeVersion, "Min-Expires" MinExpires, "Organization" Organization,
    "Priority" Priority, "Proxy-Authenticate" ProxyAuthenticate,
    "Proxy-Authorization" ProxyAuthorization, "Proxy-Require" ProxyRequire,
    "Reply-To" ReplyTo, "Retry-After" RetryAfter, "Subject" Subject,
    "Subscription-State" SubscriptionState, "Timestamp" Timestamp, "Unsupported" Unsupported,
    "Warning" Warning, "WWW-Authenticate" WwwAuthenticate,
}

/// The long name of a compact one (the IANA registry of SIP header fields); other names as they are.
pub(in crate::message) fn long_name(name: &str) -> &str {
    let &[letter] = name.as_bytes() else {
        return name;
    };
    match letter.to_ascii_lowercase() {
        b'a' => "Accept-Contact",
        b'b' => "Referred-By",
        b'c' => "Content-Type",
        b'd' => "Request-Disposition",
        b'e' => "Content-Encoding",
        b'f' => "From",
        b'i' => "Call-ID",
        b'j' => "Reject-Contact",
        b'k' => "Supported",
        b'l' => "Content-Length",
        b'm' => "Contact",
        b'n' => "Identity-Info",
        b'o' => "Event",
        b'r' => "Refer-To",
        b's' => "Subject",
        b't' => "To",
        b'u' => "Allow-Events",
        b'v' => "Via",
        b'x' => "Session-Expires",
        b'y' => "Identity",
        _ => name,
    }
}
