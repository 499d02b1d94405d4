//! The session against the leg it will have: packets in, packets out, in virtual time. What the
//! scripted leg of the other tests assumes is checked here against `offhook_media`.

mod support;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use offhook_media::codec::{Codec, CodecKind, Decoder};
use offhook_media::control::{LegCommand, LegEvent};
use offhook_media::leg::{Leg, LegConfig};
use offhook_media::mixer::BusBounds;
use offhook_media::sdp::Direction;
use offhook_media::sender::StreamStart;
use offhook_session::agent::{Agent, AgentError, EchoAgent, PlayAgent, UserTurn};
use offhook_session::agent_session::{
    AgentSession, CallEvent, LegCommands, LegQueueFull, Line, Outcome, Providers, SayOptions,
    SessionEvent, SessionHandle, SessionTask,
};
use offhook_session::pii::Pii;
use offhook_session::provider::Audio;
use support::{RATE_HZ, Recogniser, config, grammar, providers};
use tokio::sync::{broadcast, mpsc};
use tokio::time::{Instant, sleep};

/// About three seconds of a synthetic voice, as payload.
const SENTENCE: &[u8] = include_bytes!("../../media/tests/data/caller-8k.ulaw");
const PACKET: usize = 160;
const SILENCE: u8 = 0xFF;

#[derive(Default)]
struct Queue(Mutex<VecDeque<LegCommand>>);

impl LegCommands for Queue {
    fn send(&self, command: LegCommand) -> Result<(), LegQueueFull> {
        self.0.lock().unwrap().push_back(command);
        Ok(())
    }
}

struct Call {
    session: SessionHandle,
    task: SessionTask,
    events: broadcast::Receiver<SessionEvent>,
    call_events: mpsc::Sender<CallEvent>,
    /// What the far end was sent, 20 ms a line.
    heard: Arc<Mutex<Vec<Vec<i16>>>>,
}

impl Call {
    /// An answered call whose far end says the payload given, from `from_ms` on, and else is silent.
    async fn start(
        agent: Arc<dyn Agent>,
        providers: Providers,
        says: Option<(u64, &'static [u8])>,
    ) -> Self {
        let (leg_events, events) = mpsc::channel(256);
        let (call_events, call_receiver) = mpsc::channel(8);
        let (call, mut requests) = mpsc::channel(8);
        tokio::spawn(async move { while requests.recv().await.is_some() {} });
        let queue = Arc::new(Queue::default());
        let line = Line {
            commands: Arc::clone(&queue) as Arc<dyn LegCommands>,
            events,
            call,
            call_events: call_receiver,
            sample_rate_hz: RATE_HZ,
        };
        let listens = agent.listens();
        let session = AgentSession::new(config(), line, agent, providers);
        let handle = session.handle();
        let events = handle.subscribe();
        let heard = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn(media_thread(
            queue,
            leg_events,
            Arc::clone(&heard),
            says,
            listens,
        ));
        let task = session.start();
        call_events.send(CallEvent::Answered).await.unwrap();
        Self {
            session: handle,
            task,
            events,
            call_events,
            heard,
        }
    }

    /// Milliseconds of sound the far end was sent.
    fn sound_ms(&self) -> usize {
        let heard = self.heard.lock().unwrap();
        heard
            .iter()
            .filter(|packet| packet.iter().any(|sample| sample.abs() > 50))
            .count()
            * 20
    }

    fn drain_events(&mut self) -> Vec<SessionEvent> {
        std::iter::from_fn(|| self.events.try_recv().ok()).collect()
    }
}

async fn media_thread(
    queue: Arc<Queue>,
    events: mpsc::Sender<LegEvent>,
    heard: Arc<Mutex<Vec<Vec<i16>>>>,
    says: Option<(u64, &'static [u8])>,
    voice_activity: bool,
) {
    let far_end = SocketAddr::from(([192, 0, 2, 9], 40_000));
    let stream = StreamStart {
        ssrc: 1,
        sequence: 1,
        timestamp: 1,
    };
    let config = LegConfig {
        codec: Codec::new(CodecKind::Pcmu),
        telephone_event: None,
        also_accepted: Vec::new(),
        remote: Some(far_end),
        direction: Direction::SendReceive,
        stream,
        voice_activity,
        no_media_timeout: None,
        bounds: BusBounds::default(),
    };
    let mut leg = Leg::new(config, Instant::now().into_std()).unwrap();
    let mut decoder = Decoder::new(CodecKind::Pcmu).unwrap();
    let mut clock = tokio::time::interval(Duration::from_millis(10));
    let mut slot = 0u64;
    while !events.is_closed() {
        clock.tick().await;
        let now = Instant::now().into_std();
        if slot.is_multiple_of(2) {
            leg.handle_datagram(&far_end_packet(slot / 2, says), far_end, now);
        }
        let commands = std::mem::take(&mut *queue.0.lock().unwrap());
        commands
            .into_iter()
            .for_each(|command| leg.handle_command(command));
        if let Some((datagram, _)) = leg.tick(now) {
            let payload = &datagram[12..];
            let mut samples = vec![0; payload.len()];
            decoder.decode(payload, &mut samples).unwrap();
            heard.lock().unwrap().push(samples);
        }
        while let Some(event) = leg.poll_event() {
            let _closed = events.try_send(event);
        }
        slot += 1;
    }
}

/// One packet of PCMU by the book: version 2, payload type 0, 20 ms.
fn far_end_packet(number: u64, says: Option<(u64, &'static [u8])>) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend_from_slice(&(number as u16).to_be_bytes());
    packet.extend_from_slice(&(number as u32 * PACKET as u32).to_be_bytes());
    packet.extend_from_slice(&0xBEEF_u32.to_be_bytes());
    let spoken = says.and_then(|(from_ms, payload)| {
        let at = usize::try_from((number * 20).checked_sub(from_ms)? / 20).ok()? * PACKET;
        payload.get(at..at + PACKET)
    });
    packet.extend_from_slice(spoken.unwrap_or(&[SILENCE; PACKET]));
    packet
}

/// Says one prompt, expecting "a table"; keeps how the prompt ended and what the caller said.
struct Prompt {
    text: &'static str,
    outcome: Mutex<Option<Outcome>>,
    turns: Mutex<Vec<UserTurn>>,
}

impl Prompt {
    fn new(text: &'static str) -> Arc<Self> {
        Arc::new(Self {
            text,
            outcome: Mutex::default(),
            turns: Mutex::default(),
        })
    }
}

#[async_trait]
impl Agent for Prompt {
    async fn on_enter(&self, session: SessionHandle) -> Result<(), AgentError> {
        session.expect(Some(grammar(&["a table"]))).await;
        let outcome = session.say(self.text, SayOptions::default()).wait().await;
        *self.outcome.lock().unwrap() = Some(outcome);
        Ok(())
    }

    async fn on_user_turn(&self, _: SessionHandle, turn: UserTurn) -> Result<(), AgentError> {
        self.turns.lock().unwrap().push(turn);
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_prompt_is_heard_whole_and_its_handle_completes_with_its_last_frame() {
    let agent = Prompt::new("Hello there. How can I help you today?");
    let call = Call::start(agent.clone(), providers(None), None).await;
    sleep(Duration::from_secs(4)).await;
    assert_eq!(*agent.outcome.lock().unwrap(), Some(Outcome::Completed));
    // 12 and 25 characters at 50 ms each, the packets at the seams counted whole.
    let sound_ms = call.sound_ms();
    assert!(
        (1_850..=1_900).contains(&sound_ms),
        "{sound_ms} ms of sound"
    );
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_talks_over_the_prompt_is_heard_and_stops_it() {
    let agent = Prompt::new(
        "We have a very long list of things you might like to know today and tomorrow.",
    );
    let recogniser = Recogniser::answering(&[Some("a table")]);
    let says = Some((1_000, SENTENCE));
    let call = Call::start(agent.clone(), providers(Some(recogniser.clone())), says).await;
    sleep(Duration::from_secs(8)).await;

    let Some(Outcome::Interrupted {
        heard_text,
        heard_ms,
    }) = agent.outcome.lock().unwrap().clone()
    else {
        panic!("not interrupted: {:?}", agent.outcome);
    };
    assert!((1_200..=1_900).contains(&heard_ms), "{heard_ms} ms");
    assert!(
        call.sound_ms().abs_diff(heard_ms as usize) <= 60,
        "{} and {heard_ms} ms",
        call.sound_ms()
    );
    assert!(agent.text.starts_with(heard_text.expose().as_str()) && heard_text.expose().len() > 15);
    let said = UserTurn::Said {
        text: Pii::new("a table".into()),
        last: Pii::new("a table".into()),
        confidence: 0.9,
    };
    assert_eq!(*agent.turns.lock().unwrap(), [said]);
    // The whole sentence, with its pre-roll and the detector's hang-over.
    let utterances = recogniser.heard_ms.lock().unwrap().clone();
    assert!(
        utterances.len() == 1 && (2_500..=4_000).contains(&utterances[0]),
        "{utterances:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_not_understood_holds_the_prompt_and_nothing_of_it_is_lost() {
    let text = "We have a very long list of things you might like to know today and tomorrow.";
    let agent = Prompt::new(text);
    let recogniser = Recogniser::answering(&[None]);
    let says = Some((1_000, SENTENCE));
    let mut call = Call::start(agent.clone(), providers(Some(recogniser)), says).await;
    sleep(Duration::from_secs(12)).await;
    assert_eq!(*agent.outcome.lock().unwrap(), Some(Outcome::Completed));
    assert!(
        call.sound_ms().abs_diff(text.len() * 50) <= 60,
        "{} ms of sound",
        call.sound_ms()
    );
    let events = call.drain_events();
    assert!(
        events
            .iter()
            .any(|event| matches!(event, SessionEvent::FalseInterruption { .. }))
    );
}

#[tokio::test(start_paused = true)]
async fn one_utterance_replaces_another_without_a_sample_between() {
    struct Replaces;

    #[async_trait]
    impl Agent for Replaces {
        async fn on_enter(&self, session: SessionHandle) -> Result<(), AgentError> {
            let first = session.say(
                "This goes on and on and on and on and on.",
                SayOptions::default(),
            );
            sleep(Duration::from_millis(600)).await;
            let second = session.say("Stop.", SayOptions::default());
            let Outcome::Interrupted { heard_ms, .. } = first.wait().await else {
                return Err("not interrupted".into());
            };
            assert!((480..=560).contains(&heard_ms), "{heard_ms} ms");
            assert_eq!(second.wait().await, Outcome::Completed);
            session
                .hangup(offhook_session::agent_session::EndCause::AgentHungUp)
                .await;
            Ok(())
        }
    }

    let call = Call::start(Arc::new(Replaces), providers(None), None).await;
    let heard = Arc::clone(&call.heard);
    let report = call.task.await.unwrap();
    assert_eq!(
        report.reason,
        offhook_session::agent_session::EndCause::AgentHungUp.into()
    );
    let heard = heard.lock().unwrap();
    let sound = heard
        .iter()
        .flatten()
        .filter(|sample| sample.abs() > 50)
        .count()
        / 8;
    assert!((730..=840).contains(&sound), "{sound} ms of sound");
}

#[tokio::test(start_paused = true)]
async fn echo_returns_what_the_caller_says_and_play_repeats_its_audio() {
    let call = Call::start(Arc::new(EchoAgent), providers(None), Some((500, SENTENCE))).await;
    sleep(Duration::from_secs(5)).await;
    assert!(call.sound_ms() > 1_500, "{} ms of echo", call.sound_ms());
    call.session.close().await;

    let tone: Vec<i16> = (0..4_000)
        .map(|n| if n % 20 < 10 { 3_000 } else { -3_000 })
        .collect();
    let agent = PlayAgent::new(Audio {
        sample_rate_hz: RATE_HZ,
        samples: tone.into(),
    });
    let call = Call::start(Arc::new(agent), providers(None), None).await;
    sleep(Duration::from_secs(3)).await;
    assert!(call.sound_ms() > 2_800, "{} ms of music", call.sound_ms());
    call.call_events
        .send(CallEvent::Ended {
            reason: offhook_session::agent_session::EndCause::FarEndHungUp.into(),
        })
        .await
        .unwrap();
    assert!(call.task.await.is_ok());
}
