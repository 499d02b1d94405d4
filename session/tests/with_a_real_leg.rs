//! The session against the leg it will have: packets in, packets out, in virtual time. What the
//! scripted leg of the other tests assumes is checked here against `offhook_media`.

mod support;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use offhook_media::codec::{Codec, CodecKind, Decoder};
use offhook_media::control::{LegCommand, LegEvent, RecordMode};
use offhook_media::leg::{InBandDigits, Leg, LegConfig};
use offhook_media::mixer::BusBounds;
use offhook_media::sdp::{Direction, RtcpPath};
use offhook_media::sender::StreamStart;
use offhook_session::agent::{Agent, AgentError, EchoAgent, PlayAgent, UserTurn};
use offhook_session::agent_session::{
    AgentSession, CallEvent, CollectOptions, ConsentPrompt, LegCommands, LegQueueFull, Line,
    Outcome, Providers, RecordPlan, SayOptions, SessionConfig, SessionEvent, SessionHandle,
    SessionTask, TransferMode, TransferOutcome, TransferRequest, TransferStep,
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
    /// What was recorded, where it is.
    recording: rtrb::Consumer<i16>,
}

impl Call {
    /// An answered call whose far end says the payload given, from `from_ms` on, and else is silent.
    async fn start(
        agent: Arc<dyn Agent>,
        providers: Providers,
        says: Option<(u64, &'static [u8])>,
    ) -> Self {
        Self::start_with(config(), agent, providers, says).await
    }

    async fn start_with(
        config: SessionConfig,
        agent: Arc<dyn Agent>,
        providers: Providers,
        says: Option<(u64, &'static [u8])>,
    ) -> Self {
        // Thirty seconds of two sides.
        let (recorder, recording) = rtrb::RingBuffer::new(2 * 30 * RATE_HZ as usize);
        let recorder = config.record.first_mode().map(|mode| (recorder, mode));
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
            has_mixer: true,
        };
        let listens = agent.listens();
        let session = AgentSession::new(config, line, agent, providers);
        let handle = session.handle();
        let events = handle.subscribe();
        let heard = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn(media_thread(
            queue,
            leg_events,
            Arc::clone(&heard),
            says,
            listens,
            recorder,
        ));
        let task = session.start();
        call_events.send(CallEvent::Answered).await.unwrap();
        Self {
            session: handle,
            task,
            events,
            call_events,
            heard,
            recording,
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

    /// How loud each side was at most in each 10 ms that were recorded since this was asked last.
    fn recorded(&mut self) -> Vec<(u16, u16)> {
        let samples: Vec<i16> = std::iter::from_fn(|| self.recording.pop().ok()).collect();
        let loudest = |frame: &[i16], side: usize| {
            let side = frame.iter().skip(side).step_by(2);
            side.map(|sample| sample.unsigned_abs()).max().unwrap_or(0)
        };
        samples
            .chunks(160)
            .map(|frame| (loudest(frame, 0), loudest(frame, 1)))
            .collect()
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
    recorder: Option<(rtrb::Producer<i16>, RecordMode)>,
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
        rtcp: RtcpPath::Multiplexed,
        direction: Direction::SendReceive,
        srtp: None,
        stream,
        voice_activity,
        echo_guard: true,
        in_band_digits: InBandDigits::Never,
        call_tones: false,
        no_media_timeout: None,
        bounds: BusBounds::default(),
    };
    let mut leg = Leg::new(config, Instant::now().into_std()).unwrap();
    if let Some((ring, mode)) = recorder {
        leg.attach_recorder(ring, mode);
    }
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

/// Leaves what is said to the test.
struct Quiet;

#[async_trait]
impl Agent for Quiet {}

/// What a caller hears of a sentence of six seconds that is broken off after one by `away`, for five, until `back`.
async fn heard_of_a_sentence(call: &mut Call, away: CallEvent, back: CallEvent) -> (usize, usize) {
    let text = "x".repeat(120);
    let said = call.session.say(text, SayOptions::default());
    sleep(Duration::from_millis(1_500)).await;
    call.call_events.send(away).await.unwrap();
    sleep(Duration::from_millis(100)).await;
    let before = call.sound_ms();
    sleep(Duration::from_secs(5)).await;
    let meanwhile = call.sound_ms() - before;
    call.call_events.send(back).await.unwrap();
    assert_eq!(said.wait().await, Outcome::Completed);
    sleep(Duration::from_millis(100)).await;
    (meanwhile, call.sound_ms() - meanwhile)
}

#[tokio::test(start_paused = true)]
async fn a_caller_on_hold_hears_nothing_of_what_the_agent_was_saying_and_all_of_it_afterwards() {
    let mut call = Call::start(Arc::new(Quiet), providers(None), None).await;
    let (meanwhile, heard) =
        heard_of_a_sentence(&mut call, CallEvent::Held, CallEvent::Resumed).await;
    assert_eq!(meanwhile, 0);
    assert!((6_000..=6_080).contains(&heard), "{heard} ms");
}

#[tokio::test(start_paused = true)]
async fn a_caller_for_whom_somebody_is_called_hears_it_ring_and_afterwards_the_agent_where_it_was()
{
    let mut call = Call::start(Arc::new(Quiet), providers(None), None).await;
    let session = call.session.clone();
    let request = TransferRequest::by(TransferMode::Bridge, "sip:desk@example.net");
    let outcome = tokio::spawn(async move {
        sleep(Duration::from_secs(1)).await;
        session.transfer(request).await
    });
    let declined = TransferStep::Over(TransferOutcome::Declined);
    let (rang, heard) = heard_of_a_sentence(
        &mut call,
        CallEvent::Transfer(TransferStep::Calling),
        CallEvent::Transfer(declined),
    )
    .await;
    // A second in five.
    assert!((950..=1_050).contains(&rang), "{rang} ms");
    assert!((6_000..=6_200).contains(&heard), "{heard} ms");
    assert_eq!(outcome.await.unwrap(), TransferOutcome::Declined);
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

/// A caller who never stops talking, at a constant level.
const MURMUR: &[u8] = &[0x90; 30 * 8_000];

#[tokio::test(start_paused = true)]
async fn a_caller_is_recorded_from_the_end_of_the_consent_prompt_and_the_prompt_itself_is() {
    let config = SessionConfig {
        record: RecordPlan::AfterConsent(Arc::new(ConsentPrompt {
            text: "This call is recorded.".into(),
            audio: None,
        })),
        ..config()
    };
    let agent = Prompt::new("Hello there.");
    let says = Some((0, MURMUR));
    let mut call = Call::start_with(config, agent.clone(), providers(None), says).await;
    sleep(Duration::from_secs(4)).await;
    assert_eq!(*agent.outcome.lock().unwrap(), Some(Outcome::Completed));
    let recorded = call.recorded();
    assert!((395..=405).contains(&recorded.len()), "{}", recorded.len());
    let loud = |side: fn(&(u16, u16)) -> u16| {
        let first = recorded.iter().position(|frame| side(frame) > 500);
        let count = recorded.iter().filter(|frame| side(frame) > 500).count();
        (first.expect("a sound"), count)
    };
    let (caller_from, caller_for) = loud(|frame| frame.0);
    let (agent_from, agent_for) = loud(|frame| frame.1);
    // 22 characters at 50 ms each, and then the greeting's 12.
    let told = caller_from - agent_from;
    assert!((110..=112).contains(&told), "{told}0 ms");
    assert!(agent_for.abs_diff(110 + 60) <= 2, "{agent_for}0 ms");
    assert_eq!(caller_from + caller_for, recorded.len(), "without a gap");
}

#[tokio::test(start_paused = true)]
async fn a_pause_and_a_sensitive_collection_are_silence_of_their_own_length_in_the_recording() {
    struct Collects;

    #[async_trait]
    impl Agent for Collects {
        async fn on_enter(&self, session: SessionHandle) -> Result<(), AgentError> {
            sleep(Duration::from_secs(1)).await;
            session.pause_recording().await;
            sleep(Duration::from_secs(1)).await;
            session.resume_recording().await;
            sleep(Duration::from_secs(1)).await;
            session
                .collect(CollectOptions {
                    first_digit_timeout: Duration::from_secs(2),
                    sensitive: true,
                    ..CollectOptions::default()
                })
                .await;
            Ok(())
        }
    }

    let config = SessionConfig {
        record: RecordPlan::On,
        ..config()
    };
    let says = Some((0, MURMUR));
    let mut call = Call::start_with(config, Arc::new(Collects), providers(None), says).await;
    sleep(Duration::from_secs(8)).await;
    let recorded = call.recorded();
    assert!((795..=805).contains(&recorded.len()), "{}", recorded.len());
    let mut stretches: Vec<(bool, usize)> = Vec::new();
    for (caller, _) in recorded.iter().skip_while(|frame| frame.0 == 0) {
        let sounds = *caller > 0;
        match stretches.last_mut() {
            Some((same, length)) if *same == sounds => *length += 1,
            _ => stretches.push((sounds, 1)),
        }
    }
    let expected = [(true, 100), (false, 100), (true, 100), (false, 300)];
    assert_eq!(stretches.len(), 5, "{stretches:?}");
    for (index, (sounds, length)) in expected.into_iter().enumerate() {
        let (heard, frames) = stretches[index];
        // The first begins with the jitter buffer's delay, which is not the session's time.
        let off = if index == 0 { 10 } else { 2 };
        assert!(
            heard == sounds && frames.abs_diff(length) <= off,
            "{stretches:?}"
        );
    }
}
