//! A far end that lives by itself: it retransmits, acknowledges, hangs up and answers, all by
//! building and matching strings.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use crate::{phone::Phone, text, world::T1};

/// What it will do, counted from its first message.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    /// As caller: CANCEL then, if there is no answer yet.
    pub(crate) cancel_after: Option<Duration>,
    /// As callee: answer then.
    pub(crate) answer_after: Duration,
    /// As callee: refuse instead.
    pub(crate) refuses: bool,
    /// Once talking: re-INVITE then.
    pub(crate) reinvite_after: Option<Duration>,
    /// Once talking: INFO then.
    pub(crate) info_after: Option<Duration>,
    /// Once talking: BYE then.
    pub(crate) bye_after: Option<Duration>,
}

/// What it believes about the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Belief {
    Trying,
    Talking,
    Leaving,
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Deed {
    Cancel,
    Answer,
    Reinvite,
    Info,
    Bye,
}

/// A message repeated until something stops it.
#[derive(Debug)]
struct Repeat {
    message: String,
    next: Duration,
    interval: Duration,
    until: Duration,
}

#[derive(Debug)]
pub(crate) struct Automaton {
    phone: Phone,
    plan: Plan,
    pub(crate) belief: Belief,
    /// Whether the call was ever answered, as it sees it.
    pub(crate) answered: bool,
    /// Whether something it repeated was never answered.
    pub(crate) gave_up: bool,
    heard_provisional: bool,
    cancelling: bool,
    /// Our INVITE as it received it, as callee.
    invite: Option<String>,
    /// By a word: `INVITE 1`, `200 2`.
    repeats: BTreeMap<String, Repeat>,
    deeds: BTreeMap<(Duration, Deed), ()>,
    /// ACKs by CSeq number, to be sent again for each copy of a 2xx.
    acks: HashMap<u32, String>,
    /// Responses by branch and method, sent again to copies of the request.
    responses: HashMap<String, String>,
    highest_heard: u32,
}

impl Automaton {
    pub(crate) fn new(call_id: &str, plan: Plan) -> Self {
        Self {
            phone: Phone::new(call_id),
            plan,
            belief: Belief::Trying,
            answered: false,
            gave_up: false,
            heard_provisional: false,
            cancelling: false,
            invite: None,
            repeats: BTreeMap::new(),
            deeds: BTreeMap::new(),
            acks: HashMap::new(),
            responses: HashMap::new(),
            highest_heard: 0,
        }
    }

    /// Calls.
    pub(crate) fn call(&mut self, now: Duration) -> Vec<String> {
        if let Some(after) = self.plan.cancel_after {
            self.deeds.insert((now + after, Deed::Cancel), ());
        }
        let invite = self.phone.invite();
        vec![self.repeat("INVITE 1", invite, now, Duration::MAX)]
    }

    pub(crate) fn contact(&mut self, contact: String) {
        self.phone.contact = contact;
    }

    pub(crate) fn next_at(&self) -> Option<Duration> {
        let repeat = self
            .repeats
            .values()
            .map(|repeat| repeat.next.min(repeat.until))
            .min();
        let deed = self.deeds.keys().next().map(|(at, _)| *at);
        repeat.into_iter().chain(deed).min()
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, now: Duration) -> Vec<String> {
        let mut sent = Vec::new();
        let given_up: Vec<String> = self
            .repeats
            .iter()
            .filter(|(_, repeat)| repeat.until <= now)
            .map(|(word, _)| word.clone())
            .collect();
        for word in given_up {
            self.repeats.remove(&word);
            self.gave_up = true;
            // Nobody answered: the call is over, except that a lost 200 is hung up first.
            if word.starts_with("200") && self.belief == Belief::Talking {
                sent.extend(self.hang_up(now));
            } else if word != "CANCEL" && !word.starts_with("INFO") {
                self.belief = Belief::Over;
            }
        }
        for repeat in self
            .repeats
            .values_mut()
            .filter(|repeat| repeat.next <= now)
        {
            sent.push(repeat.message.clone());
            repeat.interval = (repeat.interval * 2).min(8 * T1);
            repeat.next = now + repeat.interval;
        }
        while let Some(((at, deed), ())) = self.deeds.first_key_value() {
            if *at > now {
                break;
            }
            let (at, deed) = (*at, *deed);
            self.deeds.remove(&(at, deed));
            sent.extend(self.act(deed, now));
        }
        sent
    }

    fn act(&mut self, deed: Deed, now: Duration) -> Vec<String> {
        match deed {
            Deed::Cancel if self.belief == Belief::Trying => {
                self.cancelling = true;
                if self.heard_provisional {
                    self.cancel(now)
                } else {
                    Vec::new()
                }
            }
            Deed::Answer if self.belief == Belief::Trying => self.answer(now),
            Deed::Reinvite if self.belief == Belief::Talking => {
                let invite = self.phone.reinvite();
                let word = format!("INVITE {}", self.phone.cseq);
                vec![self.repeat(&word, invite, now, Duration::MAX)]
            }
            Deed::Info if self.belief == Belief::Talking => {
                let headers = "Content-Type: application/dtmf-relay\r\n";
                let info = self.phone.request_with("INFO", headers, "Signal=1\r\n");
                let word = format!("INFO {}", self.phone.cseq);
                vec![self.repeat(&word, info, now, Duration::MAX)]
            }
            Deed::Bye if self.belief == Belief::Talking => self.hang_up(now),
            Deed::Cancel | Deed::Answer | Deed::Reinvite | Deed::Info | Deed::Bye => Vec::new(),
        }
    }

    fn cancel(&mut self, now: Duration) -> Vec<String> {
        let cancel = self.phone.cancel();
        vec![self.repeat("CANCEL", cancel, now, Duration::MAX)]
    }

    fn hang_up(&mut self, now: Duration) -> Vec<String> {
        self.repeats
            .retain(|word, _| !word.starts_with("INVITE") && !word.starts_with("INFO"));
        self.belief = Belief::Leaving;
        let bye = self.phone.request("BYE");
        vec![self.repeat("BYE", bye, now, Duration::MAX)]
    }

    fn start_talking(&mut self, now: Duration) {
        self.belief = Belief::Talking;
        self.answered = true;
        let deeds = [
            (self.plan.reinvite_after, Deed::Reinvite),
            (self.plan.info_after, Deed::Info),
            (self.plan.bye_after, Deed::Bye),
        ];
        for (after, deed) in deeds {
            if let Some(after) = after {
                self.deeds.insert((now + after, deed), ());
            }
        }
    }

    /// As callee: the 200, or the refusal, each until its ACK.
    fn answer(&mut self, now: Duration) -> Vec<String> {
        let Some(invite) = self.invite.clone() else {
            return Vec::new();
        };
        if self.plan.refuses {
            let refusal = self.phone.respond(&invite, "486 Busy Here", "", "");
            self.belief = Belief::Over;
            return vec![self.repeat_response("486 1", &invite, refusal, now)];
        }
        let ok = self.phone.answer(&invite);
        self.start_talking(now);
        vec![self.repeat_response("200 1", &invite, ok, now)]
    }

    fn repeat_response(
        &mut self,
        word: &str,
        request: &str,
        response: String,
        now: Duration,
    ) -> String {
        self.responses
            .insert(transaction(request), response.clone());
        self.repeat(word, response, now, Duration::MAX)
    }

    fn repeat(&mut self, word: &str, message: String, now: Duration, until: Duration) -> String {
        let until = until.min(now + 64 * T1);
        let repeat = Repeat {
            message: message.clone(),
            next: now + T1,
            interval: T1,
            until,
        };
        self.repeats.insert(word.to_owned(), repeat);
        message
    }

    /// Takes a message of ours.
    pub(crate) fn hear(&mut self, message: &str, now: Duration) -> Vec<String> {
        if text::status(message) == 0 {
            self.hear_request(message, now)
        } else {
            self.hear_response(message, now)
        }
    }

    fn hear_response(&mut self, response: &str, now: Duration) -> Vec<String> {
        let (status, cseq) = (text::status(response), text::cseq(response));
        let method = text::header(response, "CSeq").split(' ').nth(1).unwrap();
        let word = match method {
            "INVITE" | "INFO" => format!("{method} {cseq}"),
            other => other.to_owned(),
        };
        if method != "INVITE" {
            let waiting = status >= 200 && self.repeats.remove(&word).is_some();
            if waiting && method == "BYE" {
                self.belief = Belief::Over;
            }
            return Vec::new();
        }
        if status >= 200
            && let Some(ack) = self.acks.get(&cseq)
        {
            return vec![ack.clone()];
        }
        let Some(repeat) = self.repeats.get_mut(&word) else {
            return Vec::new();
        };
        if status < 200 {
            // It waits for the final response without repeating itself.
            repeat.next = Duration::MAX;
            repeat.until = now + Duration::from_secs(300);
            self.heard_provisional = true;
            let waits = self.cancelling && !self.repeats.contains_key("CANCEL");
            return if waits && cseq == 1 {
                self.cancel(now)
            } else {
                Vec::new()
            };
        }
        self.repeats.remove(&word);
        if status >= 300 {
            let branch = text::branch(response);
            let ack = self.ack_of_refusal(response, branch);
            self.acks.insert(cseq, ack.clone());
            if cseq == 1 || status == 481 {
                self.belief = Belief::Over;
            }
            return vec![ack];
        }
        let phone = Phone {
            cseq,
            ..self.phone.clone()
        };
        if cseq == 1 {
            self.phone.hear(response);
        }
        let phone = Phone {
            remote_tag: self.phone.remote_tag.clone(),
            ..phone
        };
        let ack = phone.ack().replace("-ack;", &format!("-ack{cseq};"));
        self.acks.insert(cseq, ack.clone());
        let mut sent = vec![ack];
        if cseq == 1 {
            self.start_talking(now);
            if self.cancelling {
                self.repeats.remove("CANCEL");
                sent.extend(self.hang_up(now));
            }
        }
        sent
    }

    fn ack_of_refusal(&self, refusal: &str, branch: &str) -> String {
        let ack = Phone {
            cseq: text::cseq(refusal),
            ..self.phone.clone()
        }
        .ack_refusal(refusal);
        let old = text::branch(&ack).to_owned();
        ack.replace(&old, branch)
    }

    fn hear_request(&mut self, request: &str, now: Duration) -> Vec<String> {
        if text::method(request) == "ACK" {
            let cseq = text::cseq(request);
            self.repeats.remove(&format!("200 {cseq}"));
            self.repeats.remove(&format!("486 {cseq}"));
            return Vec::new();
        }
        if let Some(response) = self.responses.get(&transaction(request)) {
            return vec![response.clone()];
        }
        match text::method(request) {
            "INVITE" => self.hear_invite(request, now),
            "BYE" => {
                let inside = text::tag(request, "To") == self.phone.tag;
                let known = inside && matches!(self.belief, Belief::Talking | Belief::Leaving);
                if known {
                    self.belief = Belief::Over;
                    self.repeats.clear();
                }
                self.reply(request, if known { "200 OK" } else { "481 Gone" })
            }
            "CANCEL" => {
                let mut sent = self.reply(request, "200 OK");
                if self.belief == Belief::Trying
                    && let Some(invite) = self.invite.clone()
                {
                    self.belief = Belief::Over;
                    let line = "487 Request Terminated";
                    let terminated = self.phone.respond(&invite, line, "", "");
                    sent.push(self.repeat_response("486 1", &invite, terminated, now));
                }
                sent
            }
            _ => self.reply(request, "200 OK"),
        }
    }

    fn hear_invite(&mut self, invite: &str, now: Duration) -> Vec<String> {
        let cseq = text::cseq(invite);
        if text::tag(invite, "To").is_empty() {
            self.invite = Some(invite.to_owned());
            self.phone.call_id = text::header(invite, "Call-ID").to_owned();
            self.phone.remote_tag = text::tag(invite, "From").to_owned();
            self.phone.cseq = 100;
            self.deeds
                .insert((now + self.plan.answer_after, Deed::Answer), ());
            let ringing = self.phone.ringing(invite);
            self.responses.insert(transaction(invite), ringing.clone());
            return vec![self.phone.respond(invite, "100 Trying", "", ""), ringing];
        }
        if cseq < self.highest_heard {
            return self.reply(invite, "500 Out Of Order");
        }
        self.highest_heard = cseq;
        if self.belief != Belief::Talking {
            return self.refuse(invite, "481 Gone", now);
        }
        let open = |word: &String| word.starts_with("INVITE") || word.starts_with("200");
        if self.repeats.keys().any(open) {
            return self.refuse(invite, "491 Request Pending", now);
        }
        let ok = self.phone.answer(invite);
        vec![self.repeat_response(&format!("200 {cseq}"), invite, ok, now)]
    }

    fn refuse(&mut self, invite: &str, line: &str, now: Duration) -> Vec<String> {
        let word = format!("486 {}", text::cseq(invite));
        let refusal = self.phone.respond(invite, line, "", "");
        vec![self.repeat_response(&word, invite, refusal, now)]
    }

    fn reply(&mut self, request: &str, line: &str) -> Vec<String> {
        let response = self.phone.respond(request, line, "", "");
        self.responses
            .insert(transaction(request), response.clone());
        vec![response]
    }
}

fn transaction(request: &str) -> String {
    format!("{} {}", text::method(request), text::branch(request))
}
