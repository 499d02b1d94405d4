//! The background and the sound of thinking through the public surface, in virtual time.

mod support;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use offhook_media::control::{Bus, LegCommand};
use offhook_session::agent::{Agent, AgentError, EchoAgent, UserTurn};
use offhook_session::agent_session::{
    AgentSession, BackgroundOptions, CallEvent, LegCommands, LegQueueFull, Line, SayOptions,
    SessionHandle, SoundLoop,
};
use offhook_session::provider::{Audio, ProviderError};
use support::{Act, Call, RATE_HZ, Recogniser, config, grammar, providers};
use tokio::sync::mpsc;
use tokio::time::sleep;

fn tone(level: i16, sample_rate_hz: u32) -> Audio {
    Audio {
        sample_rate_hz,
        samples: vec![level; sample_rate_hz as usize].into(),
    }
}

fn sound(level: i16) -> SoundLoop {
    SoundLoop {
        audio: tone(level, RATE_HZ),
        volume_db: -20.0,
    }
}

/// Thinks for a second about whatever the caller said.
struct Slow;

#[async_trait]
impl Agent for Slow {
    async fn on_enter(&self, session: SessionHandle) -> Result<(), AgentError> {
        session.expect(Some(grammar(&["sales"]))).await;
        Ok(())
    }

    async fn on_user_turn(&self, session: SessionHandle, _: UserTurn) -> Result<(), AgentError> {
        sleep(Duration::from_secs(1)).await;
        session.say("Sales it is.", SayOptions::default());
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_thinks_for_a_second_is_heard_thinking_and_then_speaking() {
    let mut config = config();
    config.sounds.background = Some(sound(100));
    config.sounds.thinking = Some(sound(200));
    let recogniser = Recogniser::answering(&[Some("sales")]);
    let script = [Act::Speaks(1_000, 1_800)];
    let call = Call::start(config, Arc::new(Slow), providers(Some(recogniser)), &script).await;
    assert!(call.session.is_background_audio_enabled());
    sleep(Duration::from_secs(8)).await;
    let record = call.record.lock().unwrap();
    let levels: Vec<i16> = record.loops.iter().map(|samples| samples[0]).collect();
    assert_eq!(levels, [100, 200]);
    let spoken = record.sent.iter().flatten().count() * 10;
    assert_eq!(spoken, "Sales it is.".len() * 50);
}

#[tokio::test(start_paused = true)]
async fn sounds_are_brought_to_the_legs_rate_and_shared_where_they_have_it() {
    let call = Call::start(config(), Arc::new(EchoAgent), providers(None), &[]).await;
    sleep(Duration::from_millis(100)).await;
    let same = tone(1, RATE_HZ);
    let session = &call.session;
    for audio in [same.clone(), tone(2, 2 * RATE_HZ)] {
        session
            .play_background_audio(audio, BackgroundOptions::default())
            .await
            .expect("a rate that can be had");
    }
    session
        .set_thinking_audio(Some(sound(3)))
        .await
        .expect("set");
    session.start_thinking_audio().await;
    session.stop_thinking_audio().await;
    sleep(Duration::from_millis(100)).await;
    let record = call.record.lock().unwrap();
    assert_eq!(record.loops.len(), 3);
    assert!(Arc::ptr_eq(&record.loops[0], &same.samples));
    assert_eq!(record.loops[1].len(), RATE_HZ as usize);
    assert_eq!(record.loops[2][0], 3);
}

/// A leg that passes on what it is given. It keeps which buses it was told of.
#[derive(Default)]
struct RawLeg(std::sync::Mutex<Vec<Bus>>);

impl LegCommands for RawLeg {
    fn send(&self, command: LegCommand) -> Result<(), LegQueueFull> {
        if let LegCommand::Loop { bus, .. } | LegCommand::Play { bus, .. } = command {
            self.0.lock().unwrap().push(bus);
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_leg_without_a_mixer_has_no_sounds_and_says_so() {
    let leg = Arc::new(RawLeg::default());
    let (_leg_events, events) = mpsc::channel(256);
    let (call_events, call_receiver) = mpsc::channel(8);
    let (call, _requests) = mpsc::channel(8);
    let line = Line {
        commands: Arc::clone(&leg) as Arc<dyn LegCommands>,
        events,
        call,
        call_events: call_receiver,
        sample_rate_hz: RATE_HZ,
        has_mixer: false,
    };
    let mut config = config();
    config.sounds.background = Some(sound(100));
    config.sounds.thinking = Some(sound(200));
    let (session, _task) = AgentSession::spawn(config, line, Arc::new(EchoAgent), providers(None));
    call_events.send(CallEvent::Answered).await.unwrap();
    call_events.send(CallEvent::Confirmed).await.unwrap();
    assert!(!session.is_background_audio_enabled());
    let refused = session
        .play_background_audio(tone(1, RATE_HZ), BackgroundOptions::default())
        .await;
    assert!(matches!(refused, Err(ProviderError::Refused(_))));
    let refused = session.set_thinking_audio(Some(sound(3))).await;
    assert!(matches!(refused, Err(ProviderError::Refused(_))));
    session.start_thinking_audio().await;
    sleep(Duration::from_millis(100)).await;
    assert!(leg.0.lock().unwrap().is_empty());
}
