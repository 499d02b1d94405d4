//! Agents that ask each other, within the process.
//!
//! ```text
//! asker ── ask(id) ──► directory ── request with a correlation id ──► inbox of the agent (16)
//!   ▲                     │  waiting, by correlation id                        │
//!   └───── answer ────────┴◄──────────── answer(correlation id) ◄──────────────┘
//! ```
//!
//! Answers find their questions by the correlation id, so that they may come in any order. Who is registered is gone when
//! its [`Registration`] is dropped, and whoever still waits for it is told.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::pii::Pii;

/// How long an answer may take.
pub const ANSWER_DEADLINE: Duration = Duration::from_secs(30);
/// Requests that may wait for an agent; the next is refused.
const INBOX_BOUND: usize = 16;

/// What an agent is, for others to find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentCard {
    /// What it is addressed by.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// What it is about, such as `billing`.
    pub domain: String,
    /// What it can do.
    pub capabilities: BTreeSet<String>,
}

/// Names a request within its directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CorrelationId(u64);

/// A request as its agent gets it.
#[derive(Debug)]
pub struct AgentRequest {
    /// What the answer is to name.
    pub id: CorrelationId,
    /// Who asks.
    pub from: String,
    /// What is asked.
    pub text: Pii<String>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// Nobody is registered by that id.
    #[error("there is no agent {0}")]
    UnknownAgent(String),
    /// Too many requests wait for it.
    #[error("agent {0} has too many requests")]
    Overloaded(String),
    /// It went before it answered.
    #[error("agent {0} has gone")]
    Gone(String),
    /// It did not answer in time.
    #[error("agent {0} did not answer within {ANSWER_DEADLINE:?}")]
    TimedOut(String),
}

/// Somebody is registered by that id already.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is an agent {0} already")]
pub struct AlreadyRegistered(pub String);

/// The agents that can be asked; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct AgentDirectory(Arc<Mutex<Agents>>);

#[derive(Debug, Default)]
struct Agents {
    agents: HashMap<String, Registered>,
    waiting: HashMap<CorrelationId, Waiting>,
    next: u64,
}

#[derive(Debug)]
struct Registered {
    card: AgentCard,
    inbox: mpsc::Sender<AgentRequest>,
}

#[derive(Debug)]
struct Waiting {
    /// Who is asked: nobody else can answer.
    agent: String,
    answer: oneshot::Sender<String>,
}

impl AgentDirectory {
    /// Registers an agent, until what is returned is dropped.
    ///
    /// # Errors
    /// [`AlreadyRegistered`].
    pub fn register(&self, card: AgentCard) -> Result<Registration, AlreadyRegistered> {
        let mut agents = self.lock();
        let id = card.id.clone();
        if agents.agents.contains_key(&id) {
            return Err(AlreadyRegistered(id));
        }
        let (inbox, requests) = mpsc::channel(INBOX_BOUND);
        agents.agents.insert(id.clone(), Registered { card, inbox });
        drop(agents);
        Ok(Registration {
            directory: self.clone(),
            id,
            requests,
        })
    }

    /// The cards of all agents, by id.
    #[must_use]
    pub fn cards(&self) -> Vec<AgentCard> {
        let agents = self.lock();
        let mut cards: Vec<AgentCard> = agents
            .agents
            .values()
            .map(|agent| agent.card.clone())
            .collect();
        cards.sort_by(|one, other| one.id.cmp(&other.id));
        cards
    }

    /// The cards of those that can do something, by id.
    #[must_use]
    pub fn capable_of(&self, capability: &str) -> Vec<AgentCard> {
        let mut cards = self.cards();
        cards.retain(|card| card.capabilities.contains(capability));
        cards
    }

    /// Asks an agent and waits for its answer, [`ANSWER_DEADLINE`] at most. Dropping the future gives the question up.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn ask(
        &self,
        from: impl Into<String>,
        to: &str,
        text: impl Into<String>,
    ) -> Result<String, AskError> {
        let (question, answer) = self.put(from.into(), to, text.into())?;
        // Whatever becomes of the question, it is not waited for any more then.
        let _question = question;
        match timeout(ANSWER_DEADLINE, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(AskError::Gone(to.to_owned())),
            Err(_) => Err(AskError::TimedOut(to.to_owned())),
        }
    }

    fn put(
        &self,
        from: String,
        to: &str,
        text: String,
    ) -> Result<(Question, oneshot::Receiver<String>), AskError> {
        let mut agents = self.lock();
        agents.next += 1;
        let id = CorrelationId(agents.next);
        let Some(agent) = agents.agents.get(to) else {
            return Err(AskError::UnknownAgent(to.to_owned()));
        };
        let request = AgentRequest {
            id,
            from,
            text: Pii::new(text),
        };
        agent.inbox.try_send(request).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => AskError::Overloaded(to.to_owned()),
            mpsc::error::TrySendError::Closed(_) => AskError::Gone(to.to_owned()),
        })?;
        let (sender, answer) = oneshot::channel();
        let waiting = Waiting {
            agent: to.to_owned(),
            answer: sender,
        };
        agents.waiting.insert(id, waiting);
        let directory = self.clone();
        drop(agents);
        Ok((Question { directory, id }, answer))
    }

    fn lock(&self) -> MutexGuard<'_, Agents> {
        // Nothing is left half done in it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question that is waited for.
struct Question {
    directory: AgentDirectory,
    id: CorrelationId,
}

impl Drop for Question {
    fn drop(&mut self) {
        self.directory.lock().waiting.remove(&self.id);
    }
}

/// An agent's place in the directory, and its inbox.
#[derive(Debug)]
pub struct Registration {
    directory: AgentDirectory,
    id: String,
    requests: mpsc::Receiver<AgentRequest>,
}

impl Registration {
    /// The next request.
    pub async fn next(&mut self) -> Option<AgentRequest> {
        self.requests.recv().await
    }

    /// Answers a request; says whether anybody still waited for that. Requests may be answered in any order, and an agent
    /// can answer its own alone.
    pub fn answer(&self, request: CorrelationId, answer: impl Into<String>) -> bool {
        let mut agents = self.directory.lock();
        let is_ours = agents
            .waiting
            .get(&request)
            .is_some_and(|waiting| waiting.agent == self.id);
        let waiting = is_ours.then(|| agents.waiting.remove(&request)).flatten();
        waiting.is_some_and(|waiting| waiting.answer.send(answer.into()).is_ok())
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut agents = self.directory.lock();
        agents.agents.remove(&self.id);
        agents.waiting.retain(|_, waiting| waiting.agent != self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(id: &str, capabilities: &[&str]) -> AgentCard {
        AgentCard {
            id: id.into(),
            name: id.to_uppercase(),
            domain: "tests".into(),
            capabilities: capabilities.iter().map(|text| (*text).into()).collect(),
        }
    }

    fn with(id: &str) -> (AgentDirectory, Registration) {
        let directory = AgentDirectory::default();
        let registration = directory.register(card(id, &[])).expect("it is new");
        (directory, registration)
    }

    #[tokio::test(start_paused = true)]
    async fn answers_find_their_questions_by_id_and_not_by_order() {
        let (directory, mut billing) = with("billing");
        let first = directory.ask("desk", "billing", "one?");
        let second = directory.ask("desk", "billing", "two?");
        let answers = async {
            let one = billing.next().await.expect("a request");
            let two = billing.next().await.expect("another");
            assert_eq!(
                (one.from.as_str(), one.text.expose().as_str()),
                ("desk", "one?")
            );
            assert!(billing.answer(two.id, "two!"));
            assert!(billing.answer(one.id, "one!"));
        };
        let (first, second, ()) = tokio::join!(first, second, answers);
        assert_eq!((first, second), (Ok("one!".into()), Ok("two!".into())));
    }

    #[tokio::test(start_paused = true)]
    async fn an_unknown_target_is_an_error_at_once() {
        let directory = AgentDirectory::default();
        let answer = directory.ask("desk", "nobody", "hello?").await;
        assert_eq!(answer, Err(AskError::UnknownAgent("nobody".into())));
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_waits_thirty_seconds_and_a_later_answer_is_nobodys() {
        let (directory, mut billing) = with("billing");
        let began = tokio::time::Instant::now();
        let answer = directory.ask("desk", "billing", "hello?").await;
        assert_eq!(answer, Err(AskError::TimedOut("billing".into())));
        assert_eq!(began.elapsed(), ANSWER_DEADLINE);
        let request = billing.next().await.expect("a request");
        assert!(!billing.answer(request.id, "late"));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_an_agent_that_goes_is_told() {
        let (directory, billing) = with("billing");
        let (answer, ()) = tokio::join!(directory.ask("desk", "billing", "hello?"), async {
            drop(billing);
        });
        assert_eq!(answer, Err(AskError::Gone("billing".into())));
        assert!(directory.cards().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_cannot_answer_what_another_was_asked() {
        let (directory, mut billing) = with("billing");
        let sales = directory.register(card("sales", &[])).expect("it is new");
        let (answer, ()) = tokio::join!(directory.ask("desk", "billing", "hello?"), async {
            let request = billing.next().await.expect("a request");
            assert!(!sales.answer(request.id, "hijacked"));
            assert!(billing.answer(request.id, "hello"));
        });
        assert_eq!(answer, Ok("hello".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn the_seventeenth_request_that_waits_is_refused() {
        let (directory, _billing) = with("billing");
        let asked: Vec<_> = (0..16)
            .map(|_| directory.put("desk".into(), "billing", "hello?".into()))
            .collect();
        assert!(asked.iter().all(Result::is_ok));
        let refused = directory.ask("desk", "billing", "hello?").await;
        assert_eq!(refused, Err(AskError::Overloaded("billing".into())));
    }

    #[test]
    fn agents_are_found_by_what_they_can_do_and_an_id_is_taken_once() {
        let directory = AgentDirectory::default();
        let _sales = directory.register(card("sales", &["quote"])).expect("new");
        let _billing = directory
            .register(card("billing", &["refund", "quote"]))
            .expect("new");
        let ids = |cards: Vec<AgentCard>| -> Vec<String> {
            cards.into_iter().map(|card| card.id).collect()
        };
        assert_eq!(ids(directory.capable_of("quote")), ["billing", "sales"]);
        assert_eq!(ids(directory.capable_of("refund")), ["billing"]);
        let again = directory.register(card("sales", &[]));
        assert_eq!(again.err(), Some(AlreadyRegistered("sales".into())));
    }
}
