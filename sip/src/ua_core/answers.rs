//! Answering requests: with a transaction, in one opened for the answer, or without any.

use std::time::Instant;

use super::{Core, Output, arrival::Arrival};
use crate::{
    dialog::tag_to,
    message::{Method, Response, StatusCode},
    transaction::{
        invite_server, non_invite_server,
        table::{ServerInvite, ServerMachine, ServerTransaction, TransactionId},
    },
};

impl Core {
    /// Opens the server transaction of an INVITE that has just arrived.
    pub(crate) fn open_invite(&mut self, arrival: &Arrival, invite: ServerInvite) -> TransactionId {
        let merge_key = invite.merge_key.clone();
        let machine = invite_server::InviteServer::start(self.pace(arrival.reply_flow));
        let id = self.open(arrival, ServerMachine::Invite(machine, invite));
        if let Some(key) = merge_key {
            self.transactions_by_merge_key.insert(key, id);
        }
        id
    }

    fn open(&mut self, arrival: &Arrival, machine: ServerMachine) -> TransactionId {
        let flow = arrival.reply_flow;
        self.servers
            .open(arrival.key.clone(), ServerTransaction { flow, machine })
    }

    /// Answers a request finally and at once, in a transaction opened for it.
    pub(crate) fn answer(
        &mut self,
        arrival: &Arrival,
        status: StatusCode,
        headers: &[(&str, &str)],
        now: Instant,
    ) {
        let tag = self.identifiers.tag();
        self.answer_with_tag(arrival, status, &tag, headers, now);
    }

    /// Answers a target refresh request inside a dialog: 2xx with our Contact (RFC 3261 12.2.2).
    pub(crate) fn answer_in_dialog(
        &mut self,
        arrival: &Arrival,
        status: StatusCode,
        headers: &[(&str, &str)],
        now: Instant,
    ) {
        let contact = self.config.contact(arrival.source);
        let mut all = vec![("Contact", contact.as_str())];
        all.extend_from_slice(headers);
        self.answer(arrival, status, &all, now);
    }

    /// 422: their session interval is too short for us (RFC 4028 9).
    pub(crate) fn answer_interval_too_small(&mut self, arrival: &Arrival, now: Instant) {
        let minimum = self
            .session_policy()
            .map_or_else(String::new, |policy| policy.minimum_text());
        let headers = [("Min-SE", minimum.as_str())];
        self.answer(
            arrival,
            StatusCode::SESSION_INTERVAL_TOO_SMALL,
            &headers,
            now,
        );
    }

    /// Opens the server transaction of a request other than INVITE that is answered later.
    pub(crate) fn open_request(&mut self, arrival: &Arrival) -> TransactionId {
        let machine = non_invite_server::NonInviteServer::start(self.pace(arrival.reply_flow));
        self.open(arrival, ServerMachine::NonInvite(machine))
    }

    /// The same with a given To tag, which a request that has one of its own does not need.
    pub(crate) fn answer_with_tag(
        &mut self,
        arrival: &Arrival,
        status: StatusCode,
        local_tag: &str,
        headers: &[(&str, &str)],
        now: Instant,
    ) {
        let response = self.response(arrival, status, local_tag, headers);
        let id = if arrival.request.method == Method::Invite {
            let local_tag = local_tag.to_owned();
            self.open_invite(
                arrival,
                ServerInvite {
                    usage: None,
                    local_tag,
                    merge_key: None,
                },
            )
        } else {
            self.open_request(arrival)
        };
        self.respond(id, &response, now);
    }

    /// Answers a request without keeping anything: a copy of it gets the same answer again.
    pub(crate) fn answer_statelessly(
        &mut self,
        arrival: &Arrival,
        status: StatusCode,
        headers: &[(&str, &str)],
    ) {
        let tag = self
            .identifiers
            .stateless_tag(&arrival.call_id, &arrival.from_tag);
        let response = self.response(arrival, status, &tag, headers);
        self.transmit(arrival.reply_flow, response.to_bytes());
    }

    /// As [`answer_statelessly`](Self::answer_statelessly), to where the request came from, and only where
    /// the answer has no more than `bytes`: a forged address is not sent more than was spent on it.
    pub(crate) fn answer_in_no_more_than(
        &mut self,
        bytes: usize,
        arrival: &Arrival,
        status: StatusCode,
    ) -> bool {
        let tag = self
            .identifiers
            .stateless_tag(&arrival.call_id, &arrival.from_tag);
        let mut response = Response::to_request(&arrival.request, status);
        if arrival.to_tag.is_none() {
            tag_to(&mut response.headers, &tag);
        }
        let response = response.to_bytes();
        let fits = response.len() <= bytes;
        if fits {
            self.transmit(arrival.source, response);
        }
        fits
    }

    fn response(
        &self,
        arrival: &Arrival,
        status: StatusCode,
        local_tag: &str,
        headers: &[(&str, &str)],
    ) -> Response {
        let mut response = Response::to_request(&arrival.request, status);
        if arrival.to_tag.is_none() {
            tag_to(&mut response.headers, local_tag);
        }
        for (name, value) in headers {
            response.headers.push(name, *value);
        }
        response
            .headers
            .push("Server", self.config.user_agent.as_str());
        response
    }

    /// Answers the INVITE of a server transaction and forgets it: the answer is not repeated, and its ACK
    /// finds nothing. A 100 that has not left yet need not.
    pub(crate) fn respond_and_forget(&mut self, id: TransactionId, response: &Response) {
        let Some(closed) = self.close_server(id) else {
            return;
        };
        if let ServerMachine::Invite(machine, _) = &closed.machine
            && let Some(trying) = machine.provisional()
            && let Some(Output::Transmit { bytes, .. }) = self.outputs.front()
            && bytes == trying
        {
            self.outputs.pop_front();
        }
        self.transmit(closed.flow, response.to_bytes());
    }

    /// Answers the request of a server transaction; says nothing if it has ended.
    pub(crate) fn respond(&mut self, id: TransactionId, response: &Response, now: Instant) {
        self.respond_bytes(id, response.status.as_u16(), response.to_bytes(), now);
    }

    /// The same with the message already written, for repetition.
    pub(crate) fn respond_bytes(
        &mut self,
        id: TransactionId,
        status: u16,
        bytes: Vec<u8>,
        now: Instant,
    ) {
        let Some(transaction) = self.servers.get_mut(id) else {
            return;
        };
        let step = match &mut transaction.machine {
            ServerMachine::Invite(machine, _) => machine.handle(match status {
                100..=199 => invite_server::Input::Provisional(bytes),
                200..=299 => invite_server::Input::Success(bytes),
                _ => invite_server::Input::Failure(bytes),
            }),
            ServerMachine::NonInvite(machine) => machine.handle(match status {
                100..=199 => non_invite_server::Input::Provisional(bytes),
                _ => non_invite_server::Input::Final(bytes),
            }),
        };
        self.follow_server(id, step, now);
    }
}
