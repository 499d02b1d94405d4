//! Digits and collections of them.

use super::*;
use crate::agent_session::pressing::NewSequence;
use crate::agent_session::{DigitsSent, SendDtmfOptions};

fn collect(call: &mut Fixture, options: CollectOptions) -> oneshot::Receiver<Collected> {
    let (reply, answer) = oneshot::channel();
    call.command(Command::Collect {
        options,
        after: None,
        reply,
    });
    answer
}

/// A call whose agent is at work in this callback.
fn at_work(callback: Callback) -> Fixture {
    let mut call = Fixture::entered(config());
    call.session.run(callback);
    call.drain();
    call.digits.clear();
    call
}

/// Three digits at least, which nobody may see.
fn sensitive() -> CollectOptions {
    CollectOptions {
        min: 3,
        sensitive: true,
        ..CollectOptions::default()
    }
}

/// How many digits were reported without saying which.
fn masked(call: &Fixture) -> usize {
    let masked = call
        .events
        .iter()
        .filter(|event| matches!(event, SessionEvent::Digit { digit: None, .. }));
    masked.count()
}

fn shown(call: &Fixture) -> Vec<String> {
    let entries = call.session.transcript.entries().iter();
    entries
        .filter(|entry| entry.kind == EntryKind::Digits)
        .map(|entry| entry.text.expose().clone())
        .collect()
}

#[test]
fn digits_reach_the_agent_one_at_a_time_in_order() {
    let mut call = Fixture::entered(config());
    "120".chars().for_each(|symbol| call.digit(symbol));
    assert_eq!(call.digits.len(), 1);
    call.returned(CallbackKind::Dtmf);
    call.returned(CallbackKind::Dtmf);
    let pressed: String = call.digits.iter().map(|digit| digit.as_char()).collect();
    assert_eq!(pressed, "120");
    assert_eq!(shown(&call), ["1", "2", "0"]);
}

#[test]
fn a_digit_interrupts() {
    let mut call = Fixture::entered(config());
    let (_, epoch) = call.speak("Press one.", 2_000);
    call.digit('1');
    assert_eq!(call.flushes(), [epoch]);
    assert_eq!(call.states().0, A::Listening);
}

#[test]
fn a_digit_does_not_interrupt_where_that_is_the_policy() {
    let mut config = config();
    config.interruption = crate::agent_session::InterruptionPolicy {
        dtmf_interrupts: false,
        ..Default::default()
    }
    .into();
    let mut call = Fixture::entered(config);
    call.speak("Press one.", 2_000);
    call.digit('1');
    assert!(call.flushes().is_empty());
}

#[test]
fn a_collection_takes_the_digits_and_the_agents_callback_sees_none() {
    let mut call = Fixture::entered(config());
    let mut answer = collect(
        &mut call,
        CollectOptions {
            max: 4,
            ..CollectOptions::default()
        },
    );
    "4711".chars().for_each(|symbol| call.digit(symbol));
    assert_eq!(
        answer.try_recv(),
        Ok(Collected::Digits(Pii::new("4711".into())))
    );
    assert!(call.digits.is_empty());
    assert_eq!(shown(&call), ["4711"]);
}

#[test]
fn keys_pressed_just_before_a_collection_are_collected() {
    let mut call = Fixture::entered(config());
    // The agent is still at work on the first key when the others come.
    "1407#2".chars().for_each(|symbol| call.digit(symbol));
    let (_, epoch) = call.speak("Your number?", 2_000);
    let options = CollectOptions {
        sensitive: true,
        ..CollectOptions::default()
    };
    let mut answer = collect(&mut call, options);
    assert_eq!(
        answer.try_recv(),
        Ok(Collected::Digits(Pii::new("407".into())))
    );
    assert_eq!(call.flushes(), [epoch]);
    call.returned(CallbackKind::Dtmf);
    let given: String = call.digits.iter().map(|digit| digit.as_char()).collect();
    assert_eq!(
        given, "12",
        "what comes after the collection is the agent's"
    );
    assert_eq!(shown(&call), ["1", "\u{2022}\u{2022}\u{2022}", "2"]);
    assert_eq!(masked(&call), 4, "the events show no more");
}

#[test]
fn keys_pressed_early_begin_a_collection_that_the_caller_goes_on_with() {
    let mut call = Fixture::entered(config());
    "14".chars().for_each(|symbol| call.digit(symbol));
    let mut answer = collect(&mut call, CollectOptions::default());
    "07#".chars().for_each(|symbol| call.digit(symbol));
    assert_eq!(
        answer.try_recv(),
        Ok(Collected::Digits(Pii::new("407".into())))
    );
}

#[test]
fn a_key_pressed_between_the_words_and_the_collection_they_lead_to_is_collected_and_masked() {
    let mut call = Fixture::listening(&["call me back"]);
    call.caller_says(800);
    call.recognised(phrase("call me back"));
    call.pass_ms(2_000);
    assert_eq!(call.turns.len(), 1);
    call.digit('4');
    assert!(call.digits.is_empty(), "the agent is at work on the words");
    let mut answer = collect(&mut call, sensitive());
    "07#".chars().for_each(|symbol| call.digit(symbol));
    assert_eq!(
        answer.try_recv(),
        Ok(Collected::Digits(Pii::new("407".into())))
    );
    assert_eq!(masked(&call), 4);
    assert_eq!(shown(&call), ["\u{2022}\u{2022}\u{2022}"]);
}

#[test]
fn a_key_pressed_between_a_collection_and_its_retry_belongs_to_the_retry() {
    for callback in [
        Callback::Enter,
        Callback::UserTurn(UserTurn::NotUnderstood),
        Callback::Dtmf(Digit::from_char('0').expect("a digit")),
        Callback::WakeUp,
        Callback::SilenceEnd,
    ] {
        let kind = callback.kind();
        let mut call = at_work(callback);
        let mut answer = collect(&mut call, sensitive());
        "4#".chars().for_each(|symbol| call.digit(symbol));
        assert_eq!(
            answer.try_recv(),
            Ok(Collected::TooFew(Pii::new("4".into())))
        );
        call.digit('7');
        let mut answer = collect(&mut call, sensitive());
        "11#".chars().for_each(|symbol| call.digit(symbol));
        assert_eq!(
            answer.try_recv(),
            Ok(Collected::Digits(Pii::new("711".into()))),
            "{kind:?}"
        );
        assert_eq!(masked(&call), 6, "{kind:?}");
    }
}

#[test]
fn a_key_that_no_collection_took_is_the_agents_when_its_callback_returned() {
    let mut call = at_work(Callback::UserTurn(UserTurn::NotUnderstood));
    call.digit('4');
    assert!(call.digits.is_empty());
    call.returned(CallbackKind::UserTurn);
    assert_eq!(call.digits.len(), 1);
    assert_eq!(shown(&call), ["4"]);
    assert_eq!(masked(&call), 0);
}

#[test]
fn keys_that_nobody_took_are_in_the_transcript_of_a_call_that_ended() {
    let mut call = Fixture::entered(config());
    "12".chars().for_each(|symbol| call.digit(symbol));
    call.command(Command::Close);
    assert_eq!(shown(&call), ["1", "2"]);
}

#[test]
fn a_sensitive_collection_is_masked_everywhere() {
    let mut call = Fixture::entered(config());
    let options = CollectOptions {
        sensitive: true,
        ..CollectOptions::default()
    };
    let mut answer = collect(&mut call, options);
    "47#".chars().for_each(|symbol| call.digit(symbol));
    assert_eq!(
        answer.try_recv(),
        Ok(Collected::Digits(Pii::new("47".into())))
    );
    assert_eq!(shown(&call), ["\u{2022}\u{2022}"]);
    assert_eq!(masked(&call), 3);
}

#[test]
fn a_collection_times_out_without_a_first_digit_and_after_the_last() {
    let mut call = Fixture::entered(config());
    let mut answer = collect(&mut call, CollectOptions::default());
    call.pass_ms(8_000);
    assert_eq!(
        answer.try_recv(),
        Ok(Collected::TimedOut(Pii::new(String::new())))
    );
    let mut answer = collect(
        &mut call,
        CollectOptions {
            min: 2,
            ..CollectOptions::default()
        },
    );
    call.digit('1');
    call.pass_ms(4_000);
    assert_eq!(
        answer.try_recv(),
        Ok(Collected::TimedOut(Pii::new("1".into())))
    );
}

#[test]
fn a_second_collection_cancels_the_first_and_the_end_of_the_call_the_second() {
    let mut call = Fixture::entered(config());
    let mut first = collect(&mut call, CollectOptions::default());
    let mut second = collect(&mut call, CollectOptions::default());
    assert_eq!(first.try_recv(), Ok(Collected::Cancelled));
    call.call(CallEvent::Ended {
        reason: far_end_hung_up(),
    });
    assert_eq!(second.try_recv(), Ok(Collected::Cancelled));
}

#[test]
fn a_collection_nobody_waits_for_takes_no_digits() {
    let mut call = Fixture::entered(config());
    drop(collect(&mut call, CollectOptions::default()));
    call.digit('1');
    assert_eq!(call.digits.len(), 1);
}

#[test]
fn digits_pressed_before_the_agent_entered_are_kept_for_it() {
    let mut call = Fixture::new(config(), MEANS);
    call.digit('4');
    assert!(call.digits.is_empty());
    call.call(CallEvent::Confirmed);
    assert!(call.digits.is_empty(), "it may begin with a collection");
    call.returned(CallbackKind::Enter);
    assert_eq!(call.digits.len(), 1);
}

#[test]
fn an_agent_that_never_takes_its_digits_holds_sixty_four() {
    let mut call = Fixture::entered(config());
    (0..100).for_each(|_| call.digit('1'));
    for _ in 0..100 {
        call.returned(CallbackKind::Dtmf);
    }
    assert_eq!(call.digits.len(), 65, "one under way, sixty-four waiting");
}

fn press(
    call: &mut Fixture,
    keys: &str,
    options: SendDtmfOptions,
) -> oneshot::Receiver<DigitsSent> {
    let (reply, answer) = oneshot::channel();
    call.command(Command::Press(NewSequence {
        keys: keys.parse().expect("keys"),
        options,
        reply,
    }));
    answer
}

/// The keys asked of the call, and forgotten here.
fn pressed(call: &mut Fixture) -> String {
    let requests = std::mem::take(&mut call.requests).into_iter();
    let keys = requests.filter_map(|request| match request {
        CallRequest::Press { digit, duration_ms } => {
            assert_eq!(duration_ms, 100);
            Some(digit.as_char())
        }
        CallRequest::HangUp { .. }
        | CallRequest::PassOn(_)
        | CallRequest::Transfer(_)
        | CallRequest::AnsweredBy(_)
        | CallRequest::SecondLeg(_)
        | CallRequest::MessageLeft(_)
        | CallRequest::HandedOver(_) => None,
    });
    keys.collect()
}

#[test]
fn keys_are_pressed_one_after_the_other_with_their_pauses() {
    let mut call = Fixture::entered(config());
    let mut sent = press(&mut call, "1w#,d", SendDtmfOptions::default());
    call.pass_ms(0);
    assert_eq!(pressed(&mut call), "1");
    call.pass_ms(699);
    assert_eq!(pressed(&mut call), "");
    call.pass_ms(1);
    assert_eq!(pressed(&mut call), "#");
    call.pass_ms(2_199);
    assert_eq!(pressed(&mut call), "");
    call.pass_ms(1);
    assert_eq!(pressed(&mut call), "D");
    assert!(sent.try_recv().is_err(), "the last key is still held");
    call.pass_ms(200);
    assert_eq!(sent.try_recv(), Ok(DigitsSent::All));
    assert_eq!(shown(&call), ["1#D"]);
}

#[test]
fn keys_wait_for_the_answer_and_for_the_end_of_a_hold() {
    let mut call = Fixture::new(config(), MEANS);
    let mut sent = press(&mut call, "12", SendDtmfOptions::default());
    call.pass_ms(5_000);
    assert_eq!(pressed(&mut call), "");
    call.call(CallEvent::Answered);
    call.call(CallEvent::Confirmed);
    call.pass_ms(0);
    assert_eq!(pressed(&mut call), "1");
    // A hold that ends within the gap does not cut it short.
    call.call(CallEvent::Held);
    call.call(CallEvent::Resumed);
    call.pass_ms(199);
    assert_eq!(pressed(&mut call), "");
    call.call(CallEvent::Held);
    call.pass_ms(5_000);
    assert_eq!(pressed(&mut call), "");
    call.call(CallEvent::Resumed);
    call.pass_ms(200);
    assert_eq!(pressed(&mut call), "2");
    assert_eq!(sent.try_recv(), Ok(DigitsSent::All));
}

#[test]
fn a_hang_up_waits_for_keys_and_one_that_does_not_wait_cuts_them_short() {
    for drain in [true, false] {
        let mut call = Fixture::entered(config());
        let options = SendDtmfOptions {
            sensitive: true,
            ..SendDtmfOptions::default()
        };
        let mut sent = press(&mut call, "123", options);
        call.pass_ms(0);
        call.command(Command::HangUp {
            reason: EndCause::AgentHungUp.into(),
            drain,
        });
        call.pass_ms(1_000);
        if drain {
            assert_eq!(sent.try_recv(), Ok(DigitsSent::All));
            assert_eq!(shown(&call), ["\u{2022}\u{2022}\u{2022}"]);
        } else {
            assert_eq!(sent.try_recv(), Ok(DigitsSent::CutShort { pressed: 1 }));
            assert_eq!(shown(&call), ["\u{2022}"]);
        }
        let ended = |request: &CallRequest| matches!(request, CallRequest::HangUp { .. });
        assert!(call.requests.last().is_some_and(ended));
        let mut late = press(&mut call, "4", SendDtmfOptions::default());
        assert!(
            late.try_recv().is_err(),
            "the ending session answers nobody"
        );
    }
}

#[test]
fn eight_sequences_may_wait_and_one_that_nobody_wants_any_more_is_not_pressed() {
    let mut call = Fixture::new(config(), MEANS);
    let mut sent: Vec<_> = "123456789"
        .chars()
        .map(|key| press(&mut call, &key.to_string(), SendDtmfOptions::default()))
        .collect();
    assert_eq!(sent[8].try_recv(), Ok(DigitsSent::Refused));
    drop(sent.remove(1));
    call.call(CallEvent::Answered);
    call.call(CallEvent::Confirmed);
    call.pass_ms(5_000);
    assert_eq!(pressed(&mut call), "1345678");
}
