use std::sync::Arc;

use super::super::fixture::{Like, WITH_MODEL};
use super::sounds::sound;
use super::*;
use crate::agent_session::making::Step;
use crate::agent_session::reply::{NewReply, ReplyPolicy};
use crate::agent_session::utterance::{NewUtterance, Resolver, Source};
use crate::chat::{ChatItem, ToolCall};
use crate::provider::ProviderError;

fn user(text: &str) -> ChatItem {
    ChatItem::User(Pii::new(text.into()))
}

fn heard(text: &str) -> ChatItem {
    ChatItem::Assistant {
        text: Pii::new(text.into()),
        interrupted: false,
    }
}

fn cut(text: &str) -> ChatItem {
    ChatItem::Assistant {
        text: Pii::new(text.into()),
        interrupted: true,
    }
}

fn call(name: &str) -> ToolCall {
    ToolCall {
        id: "1".into(),
        name: name.into(),
        arguments: Pii::new("{}".into()),
    }
}

fn tool_done(output: &str) -> Step {
    Step::ToolDone {
        id: "1".into(),
        output: Pii::new(output.into()),
        is_error: false,
    }
}

fn output(output: &str) -> ChatItem {
    ChatItem::ToolOutput {
        id: "1".into(),
        output: Pii::new(output.into()),
        is_error: false,
    }
}

/// A session with a model, whose agent answers nothing by itself.
fn with_model() -> Fixture {
    let agent = Like {
        answers_turns: false,
        instructions: "Be brief.",
    };
    let mut fixture = Fixture::with_agent(config(), WITH_MODEL, &agent);
    fixture.call(CallEvent::Answered);
    fixture.call(CallEvent::Confirmed);
    fixture.returned(CallbackKind::Enter);
    fixture
}

#[tokio::test(start_paused = true)]
async fn the_first_sentence_is_made_audio_while_the_rest_is_still_written() {
    let mut fixture = with_model();
    let reply = fixture.reply(None);
    assert_eq!(fixture.states().0, A::Thinking);
    fixture.made(Step::Text("We open ".into()));
    fixture.made(Step::Text("at nine. And we".into()));
    assert_eq!(fixture.preparing.len(), 1);
    fixture.prepared(1_000);
    let epoch = fixture.last_epoch();
    fixture.started(epoch);
    assert_eq!(fixture.states().0, A::Speaking);
    fixture.made(Step::Text(" close at five.".into()));
    assert!(fixture.preparing.is_empty(), "the end is not known");
    fixture.made(Step::Made);
    fixture.prepared(1_000);
    fixture.drained(epoch);
    assert_eq!(reply.outcome(), Some(Outcome::Completed));
    assert_eq!(
        fixture.context(),
        [heard("We open at nine. And we close at five.")]
    );
    assert_eq!(fixture.states().0, A::Idle);
}

#[tokio::test(start_paused = true)]
async fn one_off_instructions_are_the_models_for_that_reply_alone() {
    let mut fixture = with_model();
    fixture.reply(Some("Greet the caller."));
    let request = &fixture.generating[0];
    let further = request.further.as_ref().map(|text| text.expose().as_str());
    assert_eq!(further, Some("Greet the caller."));
    assert_eq!(request.instructions, "Be brief.");
    fixture.made_all("Hello.");
    fixture.hears_out(300);
    fixture.reply(None);
    let request = fixture.generating.last().expect("the second");
    assert_eq!(request.further, None);
    assert_eq!(request.context, [heard("Hello.")]);
}

#[tokio::test(start_paused = true)]
async fn a_reply_while_another_is_under_way_waits_behind_it() {
    let mut fixture = with_model();
    let first = fixture.reply(None);
    let second = fixture.reply(None);
    assert_eq!(fixture.generating.len(), 1);
    fixture.made_all("One.");
    fixture.prepared(300);
    let epoch = fixture.last_epoch();
    fixture.started(epoch);
    assert_eq!(fixture.generating.len(), 1, "not before it was heard");
    fixture.drained(epoch);
    assert_eq!(first.outcome(), Some(Outcome::Completed));
    assert_eq!(fixture.generating.len(), 2);
    assert_eq!(fixture.generating[1].context, [heard("One.")]);
    assert!(!second.done());
}

#[tokio::test(start_paused = true)]
async fn the_ninth_reply_that_would_wait_fails_at_once() {
    let mut fixture = with_model();
    let waiting: Vec<_> = (0..9).map(|_| fixture.reply(None)).collect();
    assert!(waiting.iter().all(|reply| !reply.done()));
    let refused = fixture.reply(None);
    let full = Outcome::Failed(UtteranceFailure::QueueFull);
    assert_eq!(refused.outcome(), Some(full));
}

#[tokio::test(start_paused = true)]
async fn without_a_model_a_reply_fails_and_the_agent_is_idle() {
    let mut fixture = Fixture::entered(config());
    let reply = fixture.reply(None);
    let no_model = Outcome::Failed(UtteranceFailure::NoModel);
    assert_eq!(reply.outcome(), Some(no_model));
    assert_eq!(fixture.states().0, A::Idle);
}

#[tokio::test(start_paused = true)]
async fn an_interruption_stops_the_model_and_the_context_holds_what_was_heard() {
    let mut fixture = with_model();
    let reply = fixture.reply(None);
    fixture.made(Step::Text("One two three four. Five".into()));
    fixture.prepared(2_000);
    let epoch = fixture.last_epoch();
    fixture.started(epoch);
    fixture.pass_ms(1_000);
    assert!(fixture.interrupt(false));
    assert!(fixture.generating.is_empty(), "the model goes on");
    fixture.flushed(epoch, 1_000);
    assert_eq!(
        reply.outcome(),
        Some(Outcome::Interrupted {
            heard_text: Pii::new("One two".into()),
            heard_ms: 1_000
        })
    );
    assert_eq!(fixture.context(), [cut("One two")]);
    assert_eq!(fixture.states().0, A::Listening);
}

#[tokio::test(start_paused = true)]
async fn what_a_cancelled_reply_still_gives_is_not_said() {
    let mut fixture = with_model();
    fixture.reply(None);
    let id = fixture.generating[0].reply;
    assert!(fixture.interrupt(false));
    fixture.progress(id, Step::Text("Too late.".into()));
    fixture.progress(id, Step::Made);
    assert!(fixture.preparing.is_empty());
    assert!(fixture.context().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_say_that_replaces_stops_the_reply_and_one_that_waits_comes_behind_it() {
    let mut fixture = with_model();
    let reply = fixture.reply(None);
    let after = fixture.say_with("Behind.", QueueMode::After, true);
    fixture.made(Step::ToolsCalled(vec![call("look_up")]));
    assert!(fixture.preparing.is_empty(), "the reply has the floor");
    fixture.say("Instead.");
    assert!(reply.interrupted());
    assert!(after.interrupted());
    assert!(fixture.generating.is_empty());
    assert_eq!(fixture.preparing.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn while_a_tool_runs_the_agent_thinks_and_the_words_around_it_are_one_reply() {
    let mut fixture = with_model();
    let reply = fixture.reply(None);
    fixture.made(Step::Text("Let me see.".into()));
    fixture.made(Step::ToolsCalled(vec![call("look_up")]));
    fixture.hears_out(500);
    assert_eq!(fixture.states().0, A::Thinking);
    assert!(!reply.done());
    fixture.made(tool_done("42"));
    fixture.made_all("It is 42.");
    fixture.hears_out(500);
    assert_eq!(reply.outcome(), Some(Outcome::Completed));
    assert_eq!(
        fixture.context(),
        [
            heard("Let me see."),
            ChatItem::ToolCall(call("look_up")),
            output("42"),
            heard("It is 42.")
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_tool_says_joins_the_turn_and_replaces_nothing_of_it() {
    let mut fixture = with_model();
    let reply = fixture.reply(None);
    fixture.made(Step::Text("Let me see.".into()));
    fixture.made(Step::ToolsCalled(vec![call("look_up")]));
    let said = fixture.say_within(reply.id(), "Still looking.");
    fixture.prepared(500);
    let first = fixture.last_epoch();
    fixture.started(first);
    assert!(fixture.flushes().is_empty());
    fixture.drained(first);
    fixture.prepared(500);
    let second = fixture.last_epoch();
    fixture.started(second);
    fixture.made(tool_done("42"));
    fixture.made_all("It is 42.");
    fixture.drained(second);
    assert_eq!(said.outcome(), Some(Outcome::Completed));
    assert!(!reply.done(), "the turn goes on");
    fixture.prepared(500);
    let third = fixture.last_epoch();
    fixture.started(third);
    fixture.drained(third);
    assert_eq!(reply.outcome(), Some(Outcome::Completed));
    // What the tool said stands where it was heard.
    assert_eq!(fixture.context().len(), 5);
    assert!(fixture.context().contains(&heard("Still looking.")));
}

#[tokio::test(start_paused = true)]
async fn what_a_tool_says_after_its_reply_was_stopped_is_not_heard() {
    let mut fixture = with_model();
    let reply = fixture.reply(None);
    fixture.made(Step::ToolsCalled(vec![call("look_up")]));
    fixture.interrupt(false);
    let said = fixture.say_within(reply.id(), "Still looking.");
    assert!(said.interrupted());
    assert!(fixture.preparing.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_digit_that_a_tool_collects_stops_its_prompt_and_not_the_reply() {
    let mut fixture = with_model();
    let reply = fixture.reply(None);
    fixture.made(Step::ToolsCalled(vec![call("collect_digits")]));
    let prompt = fixture.say_within(reply.id(), "Your number, please.");
    fixture.prepared(2_000);
    let epoch = fixture.last_epoch();
    fixture.started(epoch);
    let (answer, mut digits) = oneshot::channel();
    fixture.command(Command::Collect {
        options: CollectOptions {
            max: 2,
            ..CollectOptions::default()
        },
        after: Some(prompt.id()),
        reply: answer,
    });
    fixture.digit('4');
    fixture.flushed(epoch, 300);
    assert!(prompt.interrupted());
    assert!(!reply.done(), "its tool is still collecting");
    fixture.digit('2');
    let collected = digits.try_recv();
    assert_eq!(collected, Ok(Collected::Digits(Pii::new("42".into()))));
    fixture.made(tool_done("42"));
    fixture.made_all("Thanks.");
    fixture.hears_out(300);
    assert_eq!(reply.outcome(), Some(Outcome::Completed));
}

#[tokio::test(start_paused = true)]
async fn a_model_that_dies_in_mid_sentence_fails_the_reply_after_what_it_gave() {
    let mut fixture = with_model();
    let reply = fixture.reply(None);
    fixture.made(Step::Text("We open at".into()));
    let died = ProviderError::Died("reset".into());
    fixture.made(Step::Failed(died.clone()));
    fixture.hears_out(500);
    let failed = Outcome::Failed(UtteranceFailure::Model(died));
    assert_eq!(reply.outcome(), Some(failed));
    assert_eq!(fixture.context(), [heard("We open at")]);
    assert_eq!(fixture.states().0, A::Idle);
}

#[tokio::test(start_paused = true)]
async fn a_hang_up_ends_a_reply_with_what_there_is_of_it() {
    let mut fixture = with_model();
    let reply = fixture.reply(None);
    fixture.made(Step::Text("Goodbye.".into()));
    fixture.made(Step::ToolsCalled(vec![call("hang_up")]));
    fixture.hang_up(true);
    assert!(fixture.generating.is_empty(), "the model goes on");
    fixture.prepared(500);
    let epoch = fixture.last_epoch();
    fixture.started(epoch);
    assert!(fixture.requests.is_empty(), "the goodbye is heard first");
    fixture.drained(epoch);
    assert_eq!(reply.outcome(), Some(Outcome::Completed));
    assert_eq!(fixture.requests.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_hang_up_in_mid_sentence_says_what_there_is_and_waits_no_longer() {
    let mut fixture = with_model();
    let reply = fixture.reply(None);
    fixture.made(Step::Text("Goodbye, and tha".into()));
    fixture.hang_up(true);
    fixture.hears_out(500);
    assert_eq!(reply.outcome(), Some(Outcome::Completed));
    assert_eq!(fixture.requests.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn every_tool_call_has_an_output_also_where_the_reply_was_given_up() {
    let mut fixture = with_model();
    fixture.reply(None);
    fixture.made(Step::ToolsCalled(vec![call("look_up")]));
    fixture.interrupt(false);
    let [
        ChatItem::ToolCall(_),
        ChatItem::ToolOutput { id, is_error, .. },
    ] = &fixture.context()[..]
    else {
        panic!("{:?}", fixture.context());
    };
    assert_eq!((id.as_str(), *is_error), ("1", true));
}

#[tokio::test(start_paused = true)]
async fn what_a_tool_says_in_a_reply_that_may_not_be_interrupted_may_not_either() {
    let mut fixture = with_model();
    let id = UtteranceId(900);
    let (resolver, reply) = Resolver::pair(id);
    fixture.command(Command::Reply(NewReply {
        id,
        instructions: None,
        interruptible: false,
        to_turn: false,
        resolver,
    }));
    fixture.made(Step::ToolsCalled(vec![call("look_up")]));
    let said = fixture.say_within(id, "Still looking.");
    fixture.prepared(500);
    let epoch = fixture.last_epoch();
    fixture.started(epoch);
    assert!(!fixture.interrupt(false));
    let instead = fixture.say("Instead.");
    assert!(!said.done() && !reply.done() && !instead.done());
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_out_of_the_chat_context_is_in_the_transcript() {
    let mut fixture = with_model();
    let id = UtteranceId(901);
    let (resolver, _handle) = Resolver::pair(id);
    fixture.command(Command::Say(NewUtterance {
        id,
        text: Some(Pii::new("Aside.".into())),
        source: Source::Text,
        interruptible: true,
        add_to_transcript: true,
        add_to_chat_context: false,
        queue: QueueMode::Replace,
        part_of: None,
        resolver,
    }));
    fixture.hears_out(300);
    assert!(fixture.context().is_empty());
    assert_eq!(fixture.session.transcript.entries().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn silence_wakes_nobody_while_a_tool_runs() {
    let mut config = config();
    config.wake_up = Some(Duration::from_secs(3));
    let mut fixture = Fixture::answering(config);
    fixture.turn("when do you open");
    fixture.made(Step::ToolsCalled(vec![call("look_up")]));
    fixture.callbacks.clear();
    fixture.pass_ms(9_000);
    assert!(fixture.callbacks.is_empty());
    fixture.made(tool_done("9 to 5"));
    fixture.made(Step::Made);
    fixture.pass_ms(3_100);
    assert_eq!(fixture.callbacks, [CallbackKind::WakeUp]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_ends_resolves_every_reply_and_stops_the_model() {
    let mut fixture = with_model();
    let first = fixture.reply(None);
    let second = fixture.reply(None);
    fixture.made(Step::Text("One two".into()));
    fixture.call(CallEvent::Ended {
        reason: EndCause::FarEndHungUp.into(),
    });
    assert!(first.done() && second.done());
    assert!(fixture.generating.is_empty());
}

// --- Answers to turns ----------------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn each_turn_is_answered_when_the_agents_callback_has_returned() {
    let mut fixture = Fixture::answering(config());
    fixture.caller_says_words("when do you open");
    fixture.pass_ms(700);
    assert_eq!(fixture.turns.len(), 1);
    assert!(fixture.generating.is_empty(), "the callback still runs");
    fixture.returned(CallbackKind::UserTurn);
    assert_eq!(fixture.generating[0].context, [user("when do you open")]);
    assert_eq!(fixture.states().0, A::Thinking);
    fixture.made_all("At nine.");
    fixture.hears_out(500);
    assert_eq!(
        fixture.context(),
        [user("when do you open"), heard("At nine.")]
    );
}

#[tokio::test(start_paused = true)]
async fn a_turn_whose_callback_failed_is_not_answered() {
    let mut fixture = Fixture::answering(config());
    fixture.caller_says_words("when do you open");
    fixture.pass_ms(700);
    fixture
        .session
        .handle_callback(CallbackKind::UserTurn, Err("no".into()), fixture.now);
    fixture.drain();
    assert!(fixture.generating.is_empty());
    assert_eq!(fixture.states().0, A::Idle);
}

#[tokio::test(start_paused = true)]
async fn words_before_the_answer_is_heard_replace_it_and_the_next_answer_knows_both() {
    let mut fixture = Fixture::answering(config());
    fixture.turn("a table for two");
    let first = fixture.generating[0].reply;
    fixture.turn("no three of us");
    assert_eq!(fixture.generating.len(), 1);
    assert_ne!(fixture.generating[0].reply, first);
    assert_eq!(
        fixture.generating[0].context,
        [user("a table for two"), user("no three of us")]
    );
}

#[tokio::test(start_paused = true)]
async fn agreement_while_a_tool_runs_stops_nothing() {
    let mut fixture = Fixture::answering(config());
    fixture.turn("when do you open");
    fixture.made(Step::Text("Let me see.".into()));
    fixture.made(Step::ToolsCalled(vec![call("look_up")]));
    fixture.hears_out(300);
    fixture.caller_says_words("okay");
    assert_eq!(fixture.generating.len(), 1);
    let backchannel =
        |event: &SessionEvent| matches!(event, SessionEvent::BackchannelDetected { .. });
    assert!(fixture.events.iter().any(backchannel));
}

#[tokio::test(start_paused = true)]
async fn a_model_that_fails_before_a_word_has_the_caller_told_so() {
    let mut fixture = Fixture::answering(config());
    fixture.turn("when do you open");
    fixture.made(Step::Failed(ProviderError::Overloaded(9)));
    // It is two sentences.
    fixture.prepared(500);
    fixture.hears_out(500);
    let apology = config().replies.apology.clone().expect("there is one");
    assert_eq!(
        fixture.context(),
        [user("when do you open"), heard(&apology)]
    );
}

// --- Begun early ---------------------------------------------------------------------------------------

fn early() -> Fixture {
    let mut config = config();
    config.replies = Arc::new(ReplyPolicy {
        preemptive_generation: true,
        ..ReplyPolicy::default()
    });
    Fixture::answering(config)
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_begun_with_the_words_and_heard_when_the_turn_is_over() {
    let mut fixture = early();
    fixture.caller_says_words("when do you open");
    assert_eq!(fixture.generating.len(), 1);
    assert_eq!(fixture.generating[0].context, [user("when do you open")]);
    fixture.made_all("At nine.");
    assert!(fixture.preparing.is_empty(), "the turn is not over");
    fixture.pass_ms(700);
    fixture.returned(CallbackKind::UserTurn);
    assert_eq!(fixture.generating.len(), 1, "it is not asked for again");
    fixture.hears_out(500);
    assert_eq!(
        fixture.context(),
        [user("when do you open"), heard("At nine.")]
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_words_that_were_not_all_is_thrown_away_unheard() {
    let mut fixture = early();
    fixture.caller_says_words("when do you open");
    let first = fixture.generating[0].reply;
    fixture.made(Step::Text("At nine.".into()));
    fixture.caller_says_words("on sundays");
    assert_eq!(fixture.generating.len(), 1);
    assert_ne!(fixture.generating[0].reply, first);
    fixture.progress(first, Step::Text("Every day.".into()));
    fixture.pass_ms(700);
    fixture.returned(CallbackKind::UserTurn);
    assert!(fixture.preparing.is_empty());
    fixture.made_all("Never.");
    assert_eq!(fixture.preparing.len(), 1);
    assert_eq!(
        fixture.generating[0].context,
        [user("when do you open on sundays")]
    );
}

#[tokio::test(start_paused = true)]
async fn no_tool_of_an_early_answer_runs_before_the_turn_is_over() {
    let mut fixture = early();
    fixture.caller_says_words("book a table");
    let wanted = fixture.generating[0].wanted.clone();
    assert!(!*wanted.borrow());
    fixture.pass_ms(700);
    assert!(!*wanted.borrow(), "the callback may still object");
    fixture.returned(CallbackKind::UserTurn);
    assert!(*wanted.borrow());
}

#[tokio::test(start_paused = true)]
async fn an_early_answer_that_was_dropped_while_it_waited_answers_no_later_turn() {
    let mut fixture = early();
    fixture.caller_says_words("yes please do");
    let first = fixture.generating[0].reply;
    fixture.pass_ms(700);
    // The agent says something first, so that the answer waits behind it.
    let (_, epoch) = fixture.speak("One moment.", 3_000);
    fixture.returned(CallbackKind::UserTurn);
    fixture.interrupt(false);
    fixture.flushed(epoch, 2_000);
    assert!(fixture.generating.is_empty(), "nobody waits for it");
    fixture.turn("yes please do");
    assert_ne!(fixture.generating[0].reply, first);
    assert_eq!(fixture.generating[0].context.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn new_instructions_throw_an_early_answer_away() {
    let mut fixture = early();
    fixture.caller_says_words("when do you open");
    fixture.command(Command::SetInstructions("In rhyme.".into()));
    assert!(fixture.generating.is_empty());
    fixture.pass_ms(700);
    fixture.returned(CallbackKind::UserTurn);
    assert_eq!(fixture.generating[0].instructions, "In rhyme.");
}

#[tokio::test(start_paused = true)]
async fn the_sound_of_thinking_goes_on_from_one_tool_to_the_next() {
    let mut config = config();
    config.sounds.thinking = Some(sound(-20.0));
    let mut fixture = Fixture::answering(config);
    fixture.turn("when do you open");
    fixture.made(Step::ToolsCalled(vec![call("look_up")]));
    fixture.pass_ms(2_000);
    fixture.made(tool_done("ask again"));
    fixture.pass_ms(500);
    fixture.made(Step::ToolsCalled(vec![call("look_up")]));
    fixture.pass_ms(2_000);
    assert_eq!(fixture.begins_and_ends(Bus::Thinking), "+");
    fixture.made(tool_done("at nine"));
    fixture.made_all("At nine.");
    fixture.hears_out(500);
    assert_eq!(fixture.begins_and_ends(Bus::Thinking), "+-");
}
