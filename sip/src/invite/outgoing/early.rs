//! The early dialogs of a call of ours, and the PRACKs in them (RFC 3262).

use std::time::Instant;

use crate::{
    dialog::{Dialog, DialogId},
    invite::Place,
    message::{Method, Response},
    transaction::table::{ClientRole, TransactionId},
    ua_core::{Body, Core, Misuse},
};

/// A forking proxy makes an early dialog for each phone that rings; further ones are not kept,
/// which only costs them requests before the answer.
const MAX_EARLY_DIALOGS: usize = 16;

/// All of one call, by the far end's tag.
#[derive(Debug, Default)]
pub(super) struct EarlyDialogs(Vec<EarlyDialog>);

#[derive(Debug)]
struct EarlyDialog {
    dialog: Dialog,
    /// The number of the last reliable 1xx; the next must be one higher (RFC 3262 4).
    rseq: Option<u32>,
    /// A PRACK that waits for the answer it has to carry: RSeq and the INVITE's CSeq.
    owed: Option<(u32, u32)>,
    /// Whether the far end's offer was answered by a PRACK.
    answered: bool,
}

/// What a 1xx is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// News; with whether it holds an offer that is to be answered.
    New { wants_answer: bool },
    /// A reliable one that we have, or one out of order.
    Old,
}

impl EarlyDialogs {
    /// Takes a 1xx other than 100, and acknowledges it if it is a reliable one.
    #[expect(clippy::too_many_arguments, reason = "they are all different things")]
    pub(super) fn take(
        &mut self,
        core: &mut Core,
        place: Place,
        id: DialogId,
        (transaction, cseq): (Option<TransactionId>, u32),
        response: &Response,
        wants_offer: bool,
        now: Instant,
    ) -> Heard {
        const UNREMARKABLE: Heard = Heard::New {
            wants_answer: false,
        };
        if id.remote_tag.is_empty() {
            return UNREMARKABLE;
        }
        if self.find(&id.remote_tag).is_none()
            && !self.note(core, place, id.clone(), (transaction, cseq), response)
        {
            return UNREMARKABLE;
        }
        let Some(early) = self.0.iter_mut().find(|early| *early.dialog.id() == id) else {
            return UNREMARKABLE;
        };
        let Some(rseq) = reliable(response) else {
            return UNREMARKABLE;
        };
        match early.rseq {
            Some(last) if rseq != last.wrapping_add(1) => return Heard::Old,
            Some(_) | None => early.rseq = Some(rseq),
        }
        let wants_answer = wants_offer && !early.answered && !response.body.is_empty();
        if wants_answer {
            early.owed = Some((rseq, cseq));
        } else {
            early.prack(core, place, (rseq, cseq), None, now);
        }
        Heard::New { wants_answer }
    }

    /// Makes the early dialog of a 1xx. `false` when there are too many, or it makes none.
    fn note(
        &mut self,
        core: &mut Core,
        place: Place,
        id: DialogId,
        (transaction, cseq): (Option<TransactionId>, u32),
        response: &Response,
    ) -> bool {
        if self.0.len() >= MAX_EARLY_DIALOGS {
            return false;
        }
        let Some(sent) = transaction.and_then(|id| core.sent_invite(id)) else {
            return false;
        };
        let Ok(dialog) = Dialog::as_client(id, &sent.request, cseq, response) else {
            return false;
        };
        core.register(dialog.id(), place.id);
        self.0.push(EarlyDialog {
            dialog,
            rseq: None,
            owed: None,
            answered: false,
        });
        true
    }

    /// Sends the PRACK that was held back, with the answer.
    pub(super) fn answer(
        &mut self,
        core: &mut Core,
        place: Place,
        body: Body,
        now: Instant,
    ) -> Result<(), Misuse> {
        let owing = self.0.iter_mut().find_map(|early| {
            let owed = early.owed.take()?;
            Some((early, owed))
        });
        let Some((early, owed)) = owing else {
            return Err(Misuse::WrongState {
                command: "answer an early offer of",
                state: "not waiting for one",
            });
        };
        early.answered = true;
        early.prack(core, place, owed, Some(body), now);
        Ok(())
    }

    pub(super) fn has_answered(&self, remote_tag: &str) -> bool {
        self.0
            .iter()
            .any(|early| early.dialog.id().remote_tag == remote_tag && early.answered)
    }

    pub(super) fn find(&self, remote_tag: &str) -> Option<&Dialog> {
        self.0
            .iter()
            .map(|early| &early.dialog)
            .find(|dialog| dialog.id().remote_tag == remote_tag)
    }

    pub(super) fn with_tag(&mut self, remote_tag: &str) -> Option<&mut Dialog> {
        self.0
            .iter_mut()
            .map(|early| &mut early.dialog)
            .find(|dialog| dialog.id().remote_tag == remote_tag)
    }

    /// Makes them unfindable; for the end, or for an INVITE that is sent anew.
    pub(super) fn forget(&self, core: &mut Core) {
        for early in &self.0 {
            core.unregister(early.dialog.id());
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

impl EarlyDialog {
    fn prack(
        &mut self,
        core: &mut Core,
        place: Place,
        (rseq, cseq): (u32, u32),
        body: Option<Body>,
        now: Instant,
    ) {
        let mut prack = self.dialog.request(Method::Prack);
        prack
            .headers
            .push("RAck", format!("{rseq} {cseq} {}", Method::Invite));
        prack.body = crate::invite::attach(&mut prack.headers, &[], body);
        let flow = core.flow_of(&self.dialog, place.flow);
        core.request(prack, flow, ClientRole::InDialog(place.id), now);
    }
}

/// The RSeq of a 1xx that was sent reliably.
fn reliable(response: &Response) -> Option<u32> {
    let required = response
        .headers
        .tokens("Require")
        .any(|tag| tag.eq_ignore_ascii_case("100rel"));
    if !required {
        return None;
    }
    let rseq: u32 = response.headers.get("RSeq")?.trim().parse().ok()?;
    (rseq > 0).then_some(rseq)
}
