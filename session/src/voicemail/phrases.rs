//! The phrases that give away who speaks, and for whom each of them speaks.
//!
//! They are fragments that many greetings share, not whole sentences: whoever spots them hears a few words of a
//! sentence it does not know. All of them are words of the embedded recogniser's dictionary.

use super::phrases::Meaning::{Human, Ivr, Machine, Screening};

/// For whom a phrase speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Meaning {
    /// A machine that takes messages.
    Machine,
    /// An assistant that asks who calls.
    Screening,
    /// A menu.
    Ivr,
    /// A person who waits for an answer.
    Human,
}

const MEANINGS: [(&str, Meaning); 87] = [
    ("you have reached", Machine),
    ("you've reached", Machine),
    ("leave a message", Machine),
    ("leave your message", Machine),
    ("leave me a message", Machine),
    ("leave your name", Machine),
    ("after the tone", Machine),
    ("after the beep", Machine),
    ("at the tone", Machine),
    ("not available", Machine),
    ("come to the phone", Machine),
    ("take your call", Machine),
    ("answer your call", Machine),
    ("get back to you", Machine),
    ("call you back", Machine),
    ("voice mail", Machine),
    ("mailbox", Machine),
    ("been forwarded", Machine),
    ("the person you", Machine),
    ("number you have", Machine),
    ("unable to", Machine),
    ("can't answer", Machine),
    ("sorry i missed", Machine),
    ("answering machine", Machine),
    ("automated", Machine),
    ("name and number", Machine),
    ("try again later", Machine),
    ("record your message", Machine),
    ("voice messaging system", Machine),
    ("trying to reach", Machine),
    ("at the moment", Machine),
    ("is not available", Machine),
    ("we are not available", Machine),
    ("can't come to the phone", Machine),
    ("can't take your call", Machine),
    ("can't answer the", Machine),
    ("call has been forwarded", Machine),
    ("you have reached the", Machine),
    ("cannot take your call", Machine),
    ("away from my desk", Machine),
    ("on the other line", Machine),
    ("office is closed", Machine),
    ("answer the phone", Machine),
    ("you have called", Machine),
    ("you have dialed", Machine),
    ("not here right now", Machine),
    ("no one is available", Machine),
    ("currently unavailable", Machine),
    ("i'm not here", Machine),
    ("the subscriber", Machine),
    ("lines are busy", Machine),
    ("the mailbox of", Machine),
    ("the voice mail of", Machine),
    ("i missed you", Machine),
    ("missed your call", Machine),
    ("record your name", Screening),
    ("reason for calling", Screening),
    ("name and reason", Screening),
    ("why you are calling", Screening),
    ("why you're calling", Screening),
    ("say your name", Screening),
    ("state your name", Screening),
    ("if this person", Screening),
    ("screening", Screening),
    ("connect you", Screening),
    ("a screening service", Screening),
    ("try to connect you", Screening),
    ("press one", Ivr),
    ("press two", Ivr),
    ("press zero", Ivr),
    ("press star", Ivr),
    ("main menu", Ivr),
    ("following options", Ivr),
    ("listen carefully", Ivr),
    ("please listen", Ivr),
    ("may be recorded", Ivr),
    ("party's extension", Ivr),
    ("say or press", Ivr),
    ("for sales", Ivr),
    ("this call may be", Ivr),
    ("how can i help", Human),
    ("how may i help", Human),
    ("can i help you", Human),
    ("may i help you", Human),
    ("help you today", Human),
    ("what can i do for you", Human),
    ("speaking", Human),
];

/// The phrases alone.
pub(super) static PHRASES: [&str; MEANINGS.len()] = {
    let mut phrases = [""; MEANINGS.len()];
    let mut index = 0;
    while index < phrases.len() {
        phrases[index] = MEANINGS[index].0;
        index += 1;
    }
    phrases
};

/// A phrase as it is listed, and for whom it speaks; `None` for one that is not.
pub(super) fn known(phrase: &str) -> Option<(&'static str, Meaning)> {
    MEANINGS.into_iter().find(|(known, _)| *known == phrase)
}

/// What was heard until now. A recogniser that spots phrases also finds some that nobody said, but seldom the same one
/// again once it has heard a little more. So what counts is what was heard in two of its answers, or beside another
/// phrase that says the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Words {
    heard: Vec<Heard>,
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    phrase: &'static str,
    meaning: Meaning,
    /// In how many answers.
    answers: usize,
}

/// What one phrase counts at most, and what is enough.
const ENOUGH: usize = 2;

impl Words {
    /// Takes an answer; phrases that are not listed are passed over.
    pub(super) fn hear(&mut self, spotted: &[&str]) {
        for (phrase, meaning) in spotted.iter().filter_map(|phrase| known(phrase)) {
            match self.heard.iter_mut().find(|heard| heard.phrase == phrase) {
                Some(heard) => heard.answers += 1,
                None => self.heard.push(Heard {
                    phrase,
                    meaning,
                    answers: 1,
                }),
            }
        }
    }

    /// Forgets it all.
    pub(super) fn forget(&mut self) {
        self.heard.clear();
    }

    /// The phrases that speak for one of them.
    pub(super) fn of(&self, meaning: Meaning) -> impl Iterator<Item = &'static str> {
        self.heard
            .iter()
            .filter(move |heard| heard.meaning == meaning)
            .map(|heard| heard.phrase)
    }

    fn weight(&self, meaning: Meaning) -> usize {
        self.heard
            .iter()
            .filter(|heard| heard.meaning == meaning)
            .map(|heard| heard.answers.min(ENOUGH))
            .sum()
    }

    /// Whether something was heard that would decide if it were heard again.
    pub(super) fn is_worth_asking_again(&self) -> bool {
        self.speak_for().is_none() && !self.heard.is_empty()
    }

    /// For whom the words speak, if for anybody. An assistant that screens and a menu also offer to take a message or
    /// to help, and a secretary says that somebody is not available; so a person's phrase is outweighed by more.
    pub(super) fn speak_for(&self) -> Option<Meaning> {
        let [screening, machine, menu, human] =
            [Screening, Machine, Ivr, Human].map(|meaning| self.weight(meaning));
        if screening >= ENOUGH {
            Some(Screening)
        } else if machine >= ENOUGH && machine > human {
            Some(Machine)
        } else if menu >= ENOUGH && menu > human {
            Some(Ivr)
        } else if human >= ENOUGH {
            Some(Human)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One answer after the other.
    fn words(answers: &[&[&str]]) -> Words {
        let mut words = Words::default();
        for spotted in answers {
            words.hear(spotted);
        }
        words
    }

    #[test]
    fn each_phrase_is_listed_once() {
        for (index, phrase) in PHRASES.iter().enumerate() {
            assert!(!PHRASES[..index].contains(phrase), "{phrase}");
            assert_eq!(known(phrase).map(|(phrase, _)| phrase), Some(*phrase));
        }
    }

    #[test]
    fn what_is_not_listed_says_nothing() {
        let heard = words(&[&["a table for two"], &["a table for two", ""]]);
        assert_eq!(heard.speak_for(), None);
        assert!(!heard.is_worth_asking_again());
    }

    #[test]
    fn what_is_heard_once_and_alone_decides_nothing_yet() {
        let once = words(&[&["mailbox"], &[]]);
        assert_eq!(once.speak_for(), None);
        assert!(once.is_worth_asking_again());
        assert_eq!(
            words(&[&["mailbox"], &["mailbox"]]).speak_for(),
            Some(Machine)
        );
        assert_eq!(
            words(&[&["mailbox", "leave a message"]]).speak_for(),
            Some(Machine)
        );
        assert_eq!(words(&[&["mailbox"], &["press one"]]).speak_for(), None);
    }

    #[test]
    fn an_assistant_that_screens_is_one_whatever_else_it_says() {
        let says: &[&str] = &["not available", "reason for calling", "press one"];
        let heard = words(&[says, says]);
        assert_eq!(heard.speak_for(), Some(Screening));
    }

    #[test]
    fn a_secretary_who_says_that_somebody_is_not_available_is_a_person() {
        let says: &[&str] = &["not available", "how can i help"];
        assert_eq!(words(&[says, says]).speak_for(), Some(Human));
        let says: &[&str] = &["not available", "how can i help", "leave a message"];
        assert_eq!(words(&[says, says]).speak_for(), Some(Machine));
    }

    #[test]
    fn a_menu_that_also_takes_messages_is_a_machine_that_does() {
        assert_eq!(
            words(&[&["press one"], &["press one"]]).speak_for(),
            Some(Ivr)
        );
        let says: &[&str] = &["press one", "leave a message"];
        assert_eq!(words(&[says, says]).speak_for(), Some(Machine));
    }
}
