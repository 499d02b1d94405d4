//! A request as it arrived, with what everyone asks of it read once.

use crate::flow::Flow;
use crate::{
    dialog::DialogId,
    message::{Malformed, Method, Request},
    transaction::key::{MergeKey, ServerKey},
};

/// A request and what identifies it.
#[derive(Debug)]
pub(crate) struct Arrival {
    /// The request, its top Via completed with `received` and `rport`.
    pub(crate) request: Request,
    /// Its transaction.
    pub(crate) key: ServerKey,
    /// Its Call-ID.
    pub(crate) call_id: String,
    /// Its From tag; empty for an RFC 2543 peer that sends none.
    pub(crate) from_tag: String,
    /// Its To tag: present inside a dialog.
    pub(crate) to_tag: Option<String>,
    /// Its CSeq number.
    pub(crate) cseq: u32,
    /// Where it came from.
    pub(crate) source: Flow,
    /// Where its responses go.
    pub(crate) reply_flow: Flow,
}

impl Arrival {
    /// Reads a request.
    pub(crate) fn read(mut request: Request, source: Flow) -> Result<Self, Malformed> {
        let mut top_via = request.headers.top_via()?;
        let reply_flow = source.response_flow(&top_via);
        let call_id = request.headers.call_id().unwrap_or_default().to_owned();
        let from_tag = request.headers.from_tag()?.unwrap_or_default().to_owned();
        let to_tag = request.headers.to_tag()?.map(str::to_owned);
        let cseq = request.headers.cseq()?.number;
        let key = ServerKey::new(&top_via, &request.method, &call_id, cseq, &from_tag);
        top_via.set_received_rport(source.remote);
        request.headers.set_top_via(&top_via);
        Ok(Self {
            request,
            key,
            call_id,
            from_tag,
            to_tag,
            cseq,
            source,
            reply_flow,
        })
    }

    /// Whether it asks for a call that is not there yet.
    pub(crate) fn is_new_call(&self) -> bool {
        self.request.method == Method::Invite && self.to_tag.is_none()
    }

    /// The dialog that it says it is in.
    pub(crate) fn dialog_id(&self) -> Option<DialogId> {
        self.to_tag
            .as_deref()
            .map(|local_tag| self.dialog_with(local_tag))
    }

    /// The dialog that it makes or is in when our tag is `local_tag`.
    pub(crate) fn dialog_with(&self, local_tag: &str) -> DialogId {
        DialogId {
            call_id: self.call_id.clone(),
            local_tag: local_tag.to_owned(),
            remote_tag: self.from_tag.clone(),
        }
    }

    /// What a copy of it by another path would share.
    pub(crate) fn merge_key(&self) -> MergeKey {
        MergeKey {
            call_id: self.call_id.clone(),
            from_tag: self.from_tag.clone(),
            cseq: self.cseq,
        }
    }
}
