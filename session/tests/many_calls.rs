//! Many sessions at once on real threads.

mod support;

use std::sync::Arc;

use offhook_media::control::LegCommand;
use offhook_session::agent::EchoAgent;
use offhook_session::agent_session::{
    AgentSession, CallEvent, EndCause, LegCommands, LegQueueFull, Line,
};
use tokio::sync::mpsc;

struct Nowhere;

impl LegCommands for Nowhere {
    fn send(&self, _: LegCommand) -> Result<(), LegQueueFull> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_calls_that_come_and_go_at_once_all_end_with_their_reason() {
    let nowhere: Arc<dyn LegCommands> = Arc::new(Nowhere);
    let began = std::time::Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..2_000 {
        let (leg_events, events) = mpsc::channel(256);
        let (call_events, call_receiver) = mpsc::channel(8);
        let (call, _requests) = mpsc::channel(1);
        let line = Line {
            commands: Arc::clone(&nowhere),
            events,
            call,
            call_events: call_receiver,
            sample_rate_hz: 8_000,
            has_mixer: true,
        };
        let (_, task) = AgentSession::spawn(
            support::config(),
            line,
            Arc::new(EchoAgent),
            support::providers(None),
        );
        call_events.send(CallEvent::Answered).await.unwrap();
        call_events.send(CallEvent::Confirmed).await.unwrap();
        let reason = EndCause::FarEndHungUp.into();
        call_events.send(CallEvent::Ended { reason }).await.unwrap();
        tasks.push((task, leg_events, call_events));
    }
    for (task, ..) in tasks {
        let report = task.await.expect("no panic");
        assert_eq!(report.reason, EndCause::FarEndHungUp.into());
    }
    println!("{:?} a session", began.elapsed() / 2_000);
}
