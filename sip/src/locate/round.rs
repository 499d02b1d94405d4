//! Questions that are asked together, and their answers.

use std::{net::IpAddr, time::Duration};

use super::{Answer, DomainName, Query, Record};

/// Questions of which none needs the answer of another. It is complete when all are answered, so
/// that what is made of them does not depend on which answer came first.
#[derive(Debug, Default)]
pub(super) struct Round {
    questions: Vec<Question>,
    asked: usize,
}

#[derive(Debug)]
struct Question {
    query: Query,
    answer: Option<Answer>,
}

impl Round {
    /// A round of `queries`; the same one twice is asked once.
    pub(super) fn new(queries: impl IntoIterator<Item = Query>) -> Self {
        let mut round = Self::default();
        for query in queries {
            if round.questions.iter().all(|known| known.query != query) {
                let answer = None;
                round.questions.push(Question { query, answer });
            }
        }
        round
    }

    /// The next question that was not given yet.
    pub(super) fn poll(&mut self) -> Option<Query> {
        let question = self.questions.get(self.asked)?;
        self.asked += 1;
        Some(question.query.clone())
    }

    /// Takes the first answer to a question that was given out.
    pub(super) fn take_answer(&mut self, query: &Query, answer: Answer) {
        let asked = &mut self.questions[..self.asked];
        let open = asked
            .iter_mut()
            .find(|question| question.query == *query && question.answer.is_none());
        if let Some(question) = open {
            question.answer = Some(answer);
        }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.questions
            .iter()
            .all(|question| question.answer.is_some())
    }

    /// Whether a question had no answer that says anything.
    pub(super) fn was_left_unanswered(&self) -> bool {
        self.questions
            .iter()
            .any(|question| matches!(question.answer, Some(Answer::Failed)))
    }

    /// How long the answer lasts that lasts shortest.
    pub(super) fn time_to_live(&self) -> Option<Duration> {
        let each = self
            .questions
            .iter()
            .map(|question| match &question.answer {
                Some(Answer::Found { time_to_live, .. }) => Some(*time_to_live),
                Some(Answer::NoRecords | Answer::Failed) | None => None,
            });
        each.fold(None, shorter)
    }

    /// The records that answer `query`, of whatever type.
    pub(super) fn records(&self, query: &Query) -> &[Record] {
        let question = self.questions.iter().find(|known| known.query == *query);
        match question.and_then(|question| question.answer.as_ref()) {
            Some(Answer::Found { records, .. }) => records,
            Some(Answer::NoRecords | Answer::Failed) | None => &[],
        }
    }

    /// The addresses of `host`: IPv6 and IPv4 in turn, IPv6 first as RFC 6724 has it. In turn, so
    /// that a network whose IPv6 leads nowhere costs one attempt and not one for each address.
    pub(super) fn addresses(&self, host: &DomainName) -> Vec<IpAddr> {
        let of = |query: Query, is_right: fn(&IpAddr) -> bool| {
            let records = self.records(&query).iter();
            records.filter_map(move |record| match record {
                Record::Address(ip) => Some(*ip).filter(is_right),
                Record::Naptr(_) | Record::Srv(_) => None,
            })
        };
        let mut v6 = of(Query::Aaaa(host.clone()), IpAddr::is_ipv6);
        let mut v4 = of(Query::A(host.clone()), IpAddr::is_ipv4);
        let mut addresses = Vec::new();
        loop {
            let pair = (v6.next(), v4.next());
            if pair == (None, None) {
                return addresses;
            }
            addresses.extend(pair.0);
            addresses.extend(pair.1);
        }
    }
}

/// The shorter of two times that may be unknown.
pub(super) fn shorter(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (Some(known), None) | (None, Some(known)) => Some(known),
        (None, None) => None,
    }
}
