//! What an idle session holds, measured with a counting allocator.

#[path = "support/live_memory.rs"]
mod live_memory;
mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use live_memory::{Counting, LIVE};
use offhook_session::agent::EchoAgent;
use offhook_session::agent_session::{AgentSession, CallEvent, LegCommands, LegQueueFull, Line};
use tokio::sync::mpsc;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Nowhere;

impl LegCommands for Nowhere {
    fn send(&self, _: offhook_media::control::LegCommand) -> Result<(), LegQueueFull> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn an_echo_session_holds_eight_kibibytes_at_most_channels_included() {
    const SESSIONS: isize = 500;
    let nowhere: Arc<dyn LegCommands> = Arc::new(Nowhere);
    let agent = Arc::new(EchoAgent);
    let providers = support::providers(None);
    let mut kept = Vec::with_capacity(SESSIONS as usize);
    let template = support::config();
    let before = LIVE.load(Ordering::Relaxed);
    for _ in 0..SESSIONS {
        let (leg_events, events) = mpsc::channel(256);
        let (call_events, call_receiver) = mpsc::channel(8);
        let (call, requests) = mpsc::channel(1);
        let line = Line {
            commands: Arc::clone(&nowhere),
            events,
            call,
            call_events: call_receiver,
            sample_rate_hz: 8_000,
            has_mixer: true,
        };
        let (handle, task) =
            AgentSession::spawn(template.clone(), line, agent.clone(), providers.clone());
        call_events.send(CallEvent::Answered).await.unwrap();
        call_events.send(CallEvent::Confirmed).await.unwrap();
        kept.push((handle, task, leg_events, call_events, requests));
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let each = (LIVE.load(Ordering::Relaxed) - before) / SESSIONS;
    println!("{each} bytes a session");
    assert!(each <= 8 * 1_024, "{each} bytes a session");
}
