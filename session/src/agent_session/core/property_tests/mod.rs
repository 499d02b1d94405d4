//! Random conversations: whatever comes in whatever order, a session keeps its promises.

mod conversation;
mod promises;

use conversation::Conversation;
use offhook_media::control::LegEvent;
use promises::Reached;

use super::fixture::samples;
use crate::agent_session::line::CallEvent;
use crate::agent_session::making::Step;
use crate::agent_session::message::Command;
use crate::agent_session::state::AgentState;
use crate::agent_session::utterance::UtteranceId;
use crate::agent_session::{TransferOutcome, TransferStep};
use crate::provider::Recognition;

#[test]
fn a_million_random_steps_break_no_promise() {
    const STEPS: usize = 1_000_000;
    const AT_ONCE: usize = 4;
    let some = |first: usize| {
        let mut reached = Reached::default();
        let mut steps = 0;
        let mut seeds = (first as u64..).step_by(AT_ONCE);
        while steps < STEPS / AT_ONCE {
            let seed = seeds.next().expect("there are enough");
            let mut conversation = Conversation::new(seed);
            // A few more steps when it is over: nothing may follow.
            let mut left = 400;
            while left > 0 {
                conversation.step();
                conversation.step_of_a_machine();
                conversation.step_of_a_model();
                conversation.check(seed);
                if conversation.call.session.closed().is_some() {
                    left = left.min(20);
                }
                left -= 1;
                steps += 1;
            }
            conversation.end(seed, &mut reached);
        }
        reached
    };
    let reached = std::thread::scope(|scope| {
        let parts: Vec<_> = (1..=AT_ONCE)
            .map(|first| scope.spawn(move || some(first)))
            .collect();
        let parts = parts.into_iter().map(|part| part.join().expect("no panic"));
        parts.fold(Reached::default(), Reached::and)
    });
    println!("{reached:?}");
    assert!(reached.least() >= 150, "{reached:?}");
}

/// While the call is up and nobody does anything more, everything comes to rest by itself.
#[test]
fn left_alone_every_conversation_comes_to_rest() {
    for seed in 1..=200 {
        let mut conversation = Conversation::new(seed);
        for _ in 0..150 {
            conversation.step();
            conversation.step_of_a_machine();
            conversation.step_of_a_model();
        }
        // Nobody wakes anybody up, the agent's callbacks return, providers answer.
        conversation.call.command(Command::SetWakeUp(None));
        conversation.call.call(CallEvent::Resumed);
        conversation.call.call(CallEvent::Parted);
        let over = TransferStep::Over(TransferOutcome::TimedOut);
        conversation.call.call(CallEvent::Transfer(over));
        for _ in 0..40 {
            conversation.call.pass_ms(10_000);
            while let Some((utterance, sentence, _)) = conversation.call.preparing.pop_front() {
                let call = &mut conversation.call;
                call.session
                    .handle_prepared(utterance, sentence, Ok(samples(100)), call.now);
                call.drain();
            }
            while !conversation.call.recognising.is_empty() {
                conversation.call.recognised(Ok(Recognition::OutOfGrammar));
            }
            let made: Vec<UtteranceId> = conversation
                .call
                .generating
                .drain(..)
                .map(|request| request.reply)
                .collect();
            for reply in made {
                let step = Step::Made;
                conversation.call.progress(reply, step);
            }
            let step = TransferStep::Over(TransferOutcome::TimedOut);
            conversation.call.call(CallEvent::Transfer(step));
            let started = conversation.call.callbacks[conversation.seen_callbacks..].to_vec();
            conversation.seen_callbacks = conversation.call.callbacks.len();
            conversation.running.extend(started);
            for kind in std::mem::take(&mut conversation.running) {
                conversation.call.returned(kind);
            }
            let at_ms = conversation.call.media_ms();
            conversation.call.leg(LegEvent::SpeechStopped { at_ms });
        }
        conversation.check(seed);
        let handles = conversation
            .handles
            .iter()
            .filter(|handle| !handle.done())
            .count();
        let waiting = conversation.call.states().0 == AgentState::Starting;
        assert!(
            handles == 0 || waiting,
            "seed {seed}: {handles} handles hang"
        );
        let over = conversation.call.session.closed().is_some();
        assert!(
            over || !conversation.call.bus_is_held,
            "seed {seed}: the bus stays held"
        );
        let state = conversation.call.states().0;
        assert!(
            matches!(
                state,
                AgentState::Starting | AgentState::Idle | AgentState::Closed
            ),
            "seed {seed}: rests in {state:?}"
        );
    }
}
