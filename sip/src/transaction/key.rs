//! Which transaction a message belongs to (RFC 3261 17.1.3 and 17.2.3).

use std::fmt::Write;

use crate::{
    identifiers::MAGIC_COOKIE,
    message::{Method, Via},
};

/// A server transaction: the branch, who made it, and the method.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ServerKey {
    branch: String,
    sent_by: String,
    method: Method,
}

impl ServerKey {
    /// The key of a request. An ACK gets the key of its INVITE; it then finds the transaction only
    /// if that one was refused, because the ACK of a 2xx has a branch of its own.
    ///
    /// A branch without the magic cookie is not unique (RFC 2543 clients sent none or a fixed one),
    /// so such a request is told apart by what 17.2.3 lists for them; the Request-URI and the To
    /// tag are left out, which an ACK may change.
    pub(crate) fn new(
        top_via: &Via,
        method: &Method,
        call_id: &str,
        cseq: u32,
        from_tag: &str,
    ) -> Self {
        let branch = match top_via.branch() {
            Some(branch) if branch.starts_with(MAGIC_COOKIE) => branch.to_owned(),
            other => format!("{call_id} {from_tag} {cseq} {}", other.unwrap_or_default()),
        };
        let mut sent_by = top_via.host.to_string();
        sent_by.make_ascii_lowercase();
        write!(sent_by, ":{}", top_via.port.unwrap_or(5060)).expect("a String takes all writes");
        let method = if *method == Method::Ack {
            Method::Invite
        } else {
            method.clone()
        };
        Self {
            branch,
            sent_by,
            method,
        }
    }

    /// The key of the INVITE that a CANCEL with this key wants cancelled (RFC 3261 9.2).
    pub(crate) fn of_cancelled_invite(&self) -> Self {
        Self {
            method: Method::Invite,
            ..self.clone()
        }
    }
}

/// A client transaction: our branch, and the method, since a CANCEL shares its INVITE's branch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClientKey {
    /// The branch we put into the top Via.
    pub(crate) branch: String,
    /// The method in the response's CSeq.
    pub(crate) method: Method,
}

/// What makes two INVITEs that came by different paths one request (RFC 3261 8.2.2.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct MergeKey {
    /// The Call-ID.
    pub(crate) call_id: String,
    /// The From tag.
    pub(crate) from_tag: String,
    /// The CSeq number.
    pub(crate) cseq: u32,
}
