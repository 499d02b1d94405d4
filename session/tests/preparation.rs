//! What an agent gets ready before it enters.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use offhook_session::agent::{Agent, AgentError};
use offhook_session::agent_session::{
    Direction, Preparation, Preparing, Providers, SessionHandle, Unprepared,
};
use offhook_session::flow::{Flow, FlowAgent};
use offhook_session::provider::{Audio, ProviderError, TextToSpeech};
use support::{Call, RATE_HZ, config, providers};
use tokio::time::{Instant, sleep};

/// Takes three seconds for whatever it says, each text by itself, as one that has to wake up first.
#[derive(Default)]
struct SlowVoice {
    asked: AtomicUsize,
}

#[async_trait]
impl TextToSpeech for SlowVoice {
    fn voice(&self) -> &str {
        "slow"
    }

    async fn synthesise(&self, text: &str) -> Result<Audio, ProviderError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_secs(3)).await;
        Ok(Audio {
            sample_rate_hz: RATE_HZ,
            samples: vec![1_000; text.len() * 400].into(),
        })
    }
}

const FLOW: &str = r#"
start = "hello"
[step.hello]
say = "Good morning."
then = "ask"
[step.ask]
say = "Press one."
expect = [{ digits = "1", then = "bye" }]
[step.bye]
say = "Thank you."
hangup = true
"#;

fn flow_agent() -> Arc<dyn Agent> {
    let flow = Flow::parse(FLOW).expect("a flow");
    Arc::new(FlowAgent::new(Arc::new(flow), Arc::default()))
}

fn slow() -> (Arc<SlowVoice>, Providers) {
    let voice = Arc::new(SlowVoice::default());
    let providers = Providers {
        voice: Some(voice.clone()),
        ..Providers::default()
    };
    (voice, providers)
}

fn preparing(providers: &Providers, rates_hz: &[u32]) -> Preparing {
    Preparing {
        facts: config().facts,
        providers: providers.clone(),
        sample_rates_hz: rates_hz.into(),
    }
}

/// How long after its answer a call of ours that rang for so long hears the first word, in milliseconds.
async fn first_word_ms(rings: Duration, is_prepared: bool) -> u64 {
    let (_, providers) = slow();
    let agent = flow_agent();
    let with = preparing(&providers, &[8_000, 16_000, 48_000]);
    let preparation = is_prepared.then(|| Preparation::begin(Arc::clone(&agent), with));
    sleep(rings).await;
    let mut config = config();
    config.facts.direction = Direction::Outbound;
    config.preparation = preparation;
    let call = Call::start(config, agent, providers, &[]).await;
    sleep(Duration::from_secs(15)).await;
    let record = call.record.lock().unwrap();
    let silent = record.sent.iter().take_while(|sent| sent.is_none());
    silent.count() as u64 * 10
}

#[tokio::test(start_paused = true)]
async fn a_slow_voice_does_not_delay_the_first_words_of_a_call_that_rang_long_enough() {
    // The gate opens a second after the answer, where nothing is heard of the far end.
    let prepared = first_word_ms(Duration::from_secs(8), true).await;
    assert!((1_000..=1_050).contains(&prepared), "{prepared} ms");
    let unprepared = first_word_ms(Duration::from_secs(8), false).await;
    assert!((3_000..=3_050).contains(&unprepared), "{unprepared} ms");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_answered_early_waits_for_the_rest_of_its_first_words_and_no_longer() {
    let first_word = first_word_ms(Duration::from_secs(1), true).await;
    assert!((2_000..=2_050).contains(&first_word), "{first_word} ms");
}

#[tokio::test(start_paused = true)]
async fn the_goodbye_is_made_ready_behind_the_first_words_and_nothing_once_the_call_is_given_up() {
    let (voice, providers) = slow();
    let asked = || voice.asked.load(Ordering::Relaxed);
    let agent = flow_agent();
    let preparation = Preparation::begin(Arc::clone(&agent), preparing(&providers, &[8_000]));
    preparation.finished().await.expect("prepared");
    sleep(Duration::from_secs(5)).await;
    assert_eq!(asked(), 2, "one after the other");
    sleep(Duration::from_secs(60)).await;
    let texts = Flow::parse(FLOW).expect("a flow").fixed_texts().len();
    assert!(asked() >= texts, "{} of {texts}", asked());

    // Nobody answers: with the agent the work for it ends.
    let agent = flow_agent();
    let preparation = Preparation::begin(Arc::clone(&agent), preparing(&providers, &[48_000]));
    let before = asked();
    sleep(Duration::from_secs(4)).await;
    drop((agent, preparation));
    sleep(Duration::from_secs(60)).await;
    assert_eq!(asked(), before + 2);
}

/// Notes what it does, in order.
struct Noting {
    takes: Option<Duration>,
    notes: Mutex<Vec<(&'static str, Duration)>>,
    began: Instant,
}

impl Noting {
    fn new(takes: Option<Duration>) -> Arc<Self> {
        Arc::new(Self {
            takes,
            notes: Mutex::default(),
            began: Instant::now(),
        })
    }

    fn note(&self, what: &'static str) {
        let at = self.began.elapsed();
        self.notes.lock().unwrap().push((what, at));
    }
}

#[async_trait]
impl Agent for Noting {
    async fn prepare(&self, _: Preparing) -> Result<(), AgentError> {
        self.note("prepares");
        match self.takes {
            Some(takes) if takes.is_zero() => return Err("it cannot".into()),
            Some(takes) if takes > Duration::from_secs(3_600) => panic!("it panics"),
            Some(takes) => sleep(takes).await,
            None => std::future::pending().await,
        }
        self.note("prepared");
        Ok(())
    }

    async fn on_enter(&self, _: SessionHandle) -> Result<(), AgentError> {
        self.note("enters");
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_comes_in_is_prepared_for_at_once_and_its_agent_enters_behind() {
    let agent = Noting::new(Some(Duration::from_millis(700)));
    let _call = Call::start(config(), agent.clone(), providers(None), &[]).await;
    sleep(Duration::from_secs(2)).await;
    let at = Duration::from_millis(700);
    assert_eq!(
        *agent.notes.lock().unwrap(),
        [
            ("prepares", Duration::ZERO),
            ("prepared", at),
            ("enters", at),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_preparation_that_hangs_fails_or_panics_does_not_keep_the_agent_from_entering() {
    let cases = [
        (None, Duration::from_secs(5)),
        (Some(Duration::ZERO), Duration::ZERO),
        (Some(Duration::MAX), Duration::ZERO),
    ];
    for (takes, enters) in cases {
        let agent = Noting::new(takes);
        let _call = Call::start(config(), agent.clone(), providers(None), &[]).await;
        sleep(Duration::from_secs(10)).await;
        assert_eq!(
            *agent.notes.lock().unwrap(),
            [("prepares", Duration::ZERO), ("enters", enters)]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn why_an_agent_is_not_prepared_is_a_value() {
    let (_, providers) = slow();
    let limit = Duration::from_secs(2);
    let with = preparing(&providers, &[8_000]);
    let hangs = Preparation::within(limit, Noting::new(None), with.clone());
    assert_eq!(hangs.finished().await, Err(Unprepared::TimedOut(limit)));
    let fails = Preparation::begin(Noting::new(Some(Duration::ZERO)), with);
    let failed = Unprepared::Failed("it cannot".into());
    // Latched: whoever asks later is told the same.
    assert_eq!(fails.finished().await, Err(failed.clone()));
    assert_eq!(fails.clone().finished().await, Err(failed));
}
