use std::sync::Arc;

use super::super::fixture::Like;
use super::*;
use crate::agent_session::line::NewAgent;
use crate::agent_session::making::Step;
use crate::chat::ChatItem;
use crate::tool::{HandOff, Inherited};

fn to_billing(context: Inherited) -> HandOff {
    HandOff {
        agent: Arc::new(Like {
            answers_turns: true,
            instructions: "You are billing.",
        }),
        name: "billing".into(),
        context,
    }
}

fn hand_off(context: Inherited) -> Command {
    Command::HandOff {
        to: to_billing(context),
        reply: oneshot::channel().0,
    }
}

fn items(fixture: &Fixture) -> usize {
    let is_speech = |item: &&ChatItem| matches!(item, ChatItem::User(_));
    fixture.context().iter().filter(is_speech).count()
}

#[tokio::test(start_paused = true)]
async fn the_old_agent_leaves_and_then_the_new_one_enters_with_what_was_said() {
    let mut fixture = Fixture::answering(config());
    fixture.turn("my bill is wrong");
    fixture.callbacks.clear();
    fixture.made(Step::HandedOff(to_billing(Inherited::Whole)));
    assert_eq!(fixture.callbacks, [CallbackKind::Exit]);
    assert_eq!(fixture.agents_changed, 0);
    fixture.returned(CallbackKind::Exit);
    assert_eq!(fixture.callbacks, [CallbackKind::Exit, CallbackKind::Enter]);
    assert_eq!(fixture.agents_changed, 1);
    assert_eq!(items(&fixture), 1);
    let handed_off = |event: &SessionEvent| matches!(event, SessionEvent::HandedOff { to, .. } if to == "billing");
    assert!(fixture.events.iter().any(handed_off));
    fixture.returned(CallbackKind::Enter);
    fixture.reply(None);
    let request = fixture.generating.last().expect("a reply");
    assert_eq!(request.instructions, "You are billing.");
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_inherits_nothing_knows_nothing() {
    let mut fixture = Fixture::answering(config());
    fixture.turn("my bill is wrong");
    fixture.made(Step::HandedOff(to_billing(Inherited::Nothing)));
    fixture.returned(CallbackKind::Exit);
    let to = ChatItem::HandOff {
        to: "billing".into(),
    };
    assert_eq!(fixture.context(), [to]);
}

#[tokio::test(start_paused = true)]
async fn an_old_agent_that_does_not_leave_is_given_up_after_its_deadline() {
    let mut fixture = Fixture::answering(config());
    fixture.command(hand_off(Inherited::Whole));
    fixture.pass_ms(5_000);
    assert_eq!(fixture.agents_changed, 1);
    assert_eq!(fixture.session.closed(), None);
}

#[tokio::test(start_paused = true)]
async fn what_the_old_agent_was_saying_is_heard_before_the_new_one_enters() {
    let mut fixture = Fixture::answering(config());
    let (_, epoch) = fixture.speak("I connect you.", 500);
    fixture.command(hand_off(Inherited::Whole));
    fixture.returned(CallbackKind::Exit);
    assert_eq!(fixture.agents_changed, 0);
    fixture.drained(epoch);
    assert_eq!(fixture.agents_changed, 1);
}

#[tokio::test(start_paused = true)]
async fn the_call_is_told_who_has_the_far_end() {
    let mut fixture = Fixture::answering(config());
    fixture.command(hand_off(Inherited::Whole));
    assert!(fixture.requests.is_empty());
    fixture.returned(CallbackKind::Exit);
    let new_agent = NewAgent {
        name: "billing".into(),
    };
    let known = CallRequest::HandedOver(Box::new(new_agent));
    assert_eq!(fixture.requests, [known]);
}

#[tokio::test(start_paused = true)]
async fn turns_wait_for_the_new_agent() {
    let mut fixture = Fixture::answering(config());
    fixture.command(hand_off(Inherited::Whole));
    fixture.caller_says_words("are you there");
    fixture.pass_ms(700);
    assert!(fixture.turns.is_empty());
    fixture.returned(CallbackKind::Exit);
    assert_eq!(fixture.turns.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_ends_while_an_agent_leaves_runs_its_exit_once() {
    let mut fixture = Fixture::answering(config());
    fixture.callbacks.clear();
    fixture.command(hand_off(Inherited::Whole));
    fixture.call(CallEvent::Ended {
        reason: EndCause::FarEndHungUp.into(),
    });
    fixture.returned(CallbackKind::Exit);
    assert_eq!(fixture.callbacks, [CallbackKind::Exit]);
    assert!(fixture.session.closed().is_some());
    assert_eq!(fixture.agents_changed, 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_ends_between_two_agents_is_closed_at_once() {
    let mut fixture = Fixture::answering(config());
    let (_, epoch) = fixture.speak("I connect you.", 2_000);
    fixture.command(hand_off(Inherited::Whole));
    fixture.returned(CallbackKind::Exit);
    fixture.pass_ms(500);
    fixture.call(CallEvent::Ended {
        reason: EndCause::FarEndHungUp.into(),
    });
    let _ = epoch;
    assert!(fixture.session.closed().is_some(), "nobody is waited for");
    let failed = |event: &SessionEvent| matches!(event, SessionEvent::CallbackFailed { .. });
    assert!(!fixture.events.iter().any(failed));
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_hands_off_in_its_callback_does_not_answer_the_turn() {
    let mut fixture = Fixture::answering(config());
    fixture.caller_says_words("my bill is wrong");
    fixture.pass_ms(700);
    fixture.command(hand_off(Inherited::Whole));
    fixture.returned(CallbackKind::UserTurn);
    fixture.returned(CallbackKind::Exit);
    assert!(fixture.generating.is_empty());
    assert_eq!(fixture.agents_changed, 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_heard_of_the_old_agent_is_known_before_a_new_one_begins_anew() {
    let mut fixture = Fixture::answering(config());
    let (_, epoch) = fixture.speak("One two three four.", 2_000);
    fixture.pass_ms(1_000);
    fixture.interrupt(false);
    fixture.command(hand_off(Inherited::Nothing));
    fixture.returned(CallbackKind::Exit);
    assert_eq!(fixture.agents_changed, 0, "the leg owes a figure");
    fixture.flushed(epoch, 1_000);
    let to = ChatItem::HandOff {
        to: "billing".into(),
    };
    assert_eq!(fixture.context(), [to]);
}

#[tokio::test(start_paused = true)]
async fn digits_that_the_old_agent_was_asking_for_are_nobodys() {
    let mut fixture = Fixture::answering(config());
    let (reply, mut digits) = oneshot::channel();
    fixture.command(Command::Collect {
        options: CollectOptions::default(),
        after: None,
        reply,
    });
    fixture.command(hand_off(Inherited::Whole));
    fixture.returned(CallbackKind::Exit);
    assert_eq!(digits.try_recv(), Ok(Collected::Cancelled));
    fixture.returned(CallbackKind::Enter);
    fixture.digit('4');
    assert_eq!(fixture.digits.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_a_hand_off_is_told_whether_it_is_done() {
    let mut fixture = Fixture::answering(config());
    let mut ask = || {
        let (reply, mut answer) = oneshot::channel();
        fixture.command(Command::HandOff {
            to: to_billing(Inherited::Whole),
            reply,
        });
        answer.try_recv()
    };
    assert_eq!(ask(), Ok(true));
    assert_eq!(ask(), Ok(false));
}

#[tokio::test(start_paused = true)]
async fn a_second_hand_off_while_one_is_under_way_is_not_done() {
    let mut fixture = Fixture::answering(config());
    fixture.command(hand_off(Inherited::Whole));
    fixture.command(hand_off(Inherited::Whole));
    fixture.returned(CallbackKind::Exit);
    assert_eq!(fixture.agents_changed, 1);
}
