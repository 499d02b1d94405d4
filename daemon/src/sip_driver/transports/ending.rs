//! Why a connection ended.

use std::fmt;
use std::io;

use offhook_sip::message::FramingError;

/// Why a connection ended, or never began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Nobody took our call at that address.
    Refused(io::ErrorKind),
    /// There was no connection in time.
    ConnectTimeout,
    /// TLS was not agreed on: what rustls says, which may name certificates and never shows a key.
    Handshake(String),
    /// TLS was not agreed on in time.
    HandshakeTimeout,
    /// TLS failed behind the handshake: what rustls says. With TLS 1.3 a far end that does not take our certificate
    /// says so only then.
    Tls(String),
    /// The far end closed it.
    FarEnd,
    /// The network failed it.
    Failed(io::ErrorKind),
    /// What came cannot be cut into messages.
    Unframed(FramingError),
    /// It carried nothing for long.
    Idle,
    /// The far end, which used to answer pings, did not.
    NoPong,
    /// The far end took nothing of what we wrote.
    Stalled,
    /// We are done with it.
    Finished,
}

impl Ending {
    /// What an error of reading or writing says.
    pub(super) fn of_error(error: &io::Error) -> Self {
        let tls = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match tls {
            Some(tls) => Self::Tls(tls.to_string()),
            None => Self::Failed(error.kind()),
        }
    }

    /// A word for it, from a closed set.
    pub(crate) const fn as_str(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::ConnectTimeout => "connect_timeout",
            Self::Handshake(_) => "handshake",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::Tls(_) => "tls",
            Self::FarEnd => "far_end",
            Self::Failed(_) => "failed",
            Self::Unframed(_) => "unframed",
            Self::Idle => "idle",
            Self::NoPong => "no_pong",
            Self::Stalled => "stalled",
            Self::Finished => "finished",
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(kind) => write!(f, "nobody there: {kind}"),
            Self::ConnectTimeout => f.write_str("no connection in time"),
            Self::Handshake(said) => write!(f, "no TLS: {said}"),
            Self::HandshakeTimeout => f.write_str("no TLS in time"),
            Self::Tls(said) => write!(f, "TLS failed: {said}"),
            Self::FarEnd => f.write_str("closed by the far end"),
            Self::Failed(kind) => write!(f, "failed: {kind}"),
            Self::Unframed(error) => write!(f, "it carried no SIP: {error}"),
            Self::Idle => f.write_str("idle"),
            Self::NoPong => f.write_str("no answer to a ping"),
            Self::Stalled => f.write_str("the far end takes nothing"),
            Self::Finished => f.write_str("done"),
        }
    }
}
