//! One media thread, run by the test itself, with far ends on loopback.

use std::net::UdpSocket;

use offhook_media::codec::{Codec, CodecKind};
use offhook_media::leg::{InBandDigits, Leg, LegConfig};
use offhook_media::mixer::BusBounds;
use offhook_media::sdp::{Direction, RtcpPath};
use offhook_media::sender::StreamStart;
use offhook_session::agent_session::{CALL_SPANS, CallId};

use super::*;
use crate::captures::Captures;
use crate::telemetry::health::Health;
use crate::telemetry::tests::logged;

/// A thread that the test runs itself, its notices, and the far ends of its two legs.
fn thread_with_two_legs() -> (
    Thread,
    mpsc::Receiver<MediaNotice>,
    [LegId; 2],
    [UdpSocket; 2],
) {
    let (_, commands) = crossbeam_channel::bounded(1);
    let (notices, heard) = mpsc::channel(8);
    let heartbeat = Health::new(Instant::now()).watch("media-test", Duration::from_secs(1));
    let counters = Arc::new(ThreadCounters::default());
    let mut thread = Thread::new(commands, notices, counters, heartbeat).expect("epoll");
    let ids = [LegId::new(0, 0), LegId::new(0, 1)];
    let far_ends = ids.map(|id| {
        let far_end = UdpSocket::bind("127.0.0.1:0").expect("a port");
        far_end.set_nonblocking(true).expect("a socket option");
        let config = LegConfig {
            codec: Codec::new(CodecKind::Pcmu),
            telephone_event: None,
            also_accepted: Vec::new(),
            remote: Some(far_end.local_addr().expect("an address")),
            rtcp: RtcpPath::Multiplexed,
            direction: Direction::SendReceive,
            srtp: None,
            stream: StreamStart {
                ssrc: 1,
                sequence: 0,
                timestamp: 0,
            },
            voice_activity: false,
            echo_guard: true,
            in_band_digits: InBandDigits::Never,
            call_tones: false,
            no_media_timeout: None,
            bounds: BusBounds::default(),
        };
        thread.open(
            id,
            NewLeg {
                leg: Box::new(Leg::new(config, Instant::now()).expect("a leg")),
                socket: RtpSocket::bind(([127, 0, 0, 1], 0).into()).expect("a port"),
                rtcp_socket: None,
                quality: Arc::default(),
                capture: None,
                events: mpsc::channel(8).0,
                span: tracing::error_span!(target: CALL_SPANS, "call", call_id = %id.as_token()),
            },
        );
        far_end
    });
    (thread, heard, ids, far_ends)
}

/// Lets 40 ms pass, and answers how many datagrams each far end got.
fn packets_in_40_ms(thread: &mut Thread, far_ends: &[UdpSocket; 2]) -> [usize; 2] {
    let mut clock = FrameClock::new(Instant::now());
    for _ in 0..4 {
        let tick = clock.advance(clock.next()).expect("it is due");
        thread.tick(tick);
    }
    far_ends
        .each_ref()
        .map(|far_end| std::iter::from_fn(|| far_end.recv(&mut [0; 1_500]).ok()).count())
}

#[test]
fn a_thread_shows_that_it_lives_before_it_waits_for_anything() {
    let health = Health::new(Instant::now());
    let heartbeat = health.watch("media-test", Duration::from_secs(60));
    let (commands, receiver) = crossbeam_channel::bounded(1);
    commands.send(ThreadCommand::Stop).expect("room for one");
    let counters = Arc::new(ThreadCounters::default());
    Thread::new(receiver, mpsc::channel(1).0, counters, heartbeat)
        .expect("epoll")
        .run();
    assert_eq!(health.stalled(Instant::now()), []);
}

#[test]
fn a_captured_leg_has_all_that_came_and_went_noted_and_its_neighbour_nothing() {
    let (mut thread, _heard, [captured, _], far_ends) = thread_with_two_legs();
    let captures = Captures::new(None);
    let call = CallId::new("a");
    let began = captures
        .begin(&call, Instant::now(), false)
        .expect("a thread");
    let to = thread
        .seats
        .get_mut(captured.as_token())
        .expect("it is there")
        .new
        .socket
        .local();
    let tap = captures.tap(&call, began, to, to).expect("room");
    assert!(thread.carry_out(ThreadCommand::Capture(captured, Some(tap))));
    // One of the far end's, and one that nobody should send.
    far_ends[0].send_to(&[0x80; 172], to).expect("loopback");
    far_ends[1].send_to(b"stray", to).expect("loopback");
    assert_eq!(packets_in_40_ms(&mut thread, &far_ends), [2, 2]);
    // The last report with BYE.
    assert!(thread.carry_out(ThreadCommand::Close(captured)));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let saved = runtime.block_on(captures.save(&call)).expect("a capture");
    assert_eq!((saved.packets, saved.dropped), (2 + 2 + 1, 0));
    let holds = |bytes: &[u8]| saved.file.windows(bytes.len()).any(|at| at == bytes);
    assert!(holds(&[0x80; 172]) && holds(b"stray") && holds(b"bye"));
    captures.finish();
}

#[test]
fn a_flooded_port_costs_the_others_nothing_and_is_read_on_in_the_next_turn() {
    let (mut thread, _heard, [flooded, _], far_ends) = thread_with_two_legs();
    let seat = thread
        .seats
        .get_mut(flooded.as_token())
        .expect("it is there");
    let to = seat.new.socket.local();
    for _ in 0..200 {
        far_ends[0].send_to(&[0; 172], to).expect("loopback");
    }
    let mut clock = FrameClock::new(Instant::now());
    let mut received = Vec::new();
    for _ in 0..4 {
        let tick = clock.advance(clock.next()).expect("it is due");
        thread.tick(tick);
        received.push(thread.counters.received.load(Ordering::Relaxed));
    }
    assert_eq!(received, [64, 128, 192, 200]);
}

#[test]
fn a_leg_that_panics_ends_alone_and_is_still_handed_back_when_closed() {
    let (mut thread, mut heard, [failing, sound], far_ends) = thread_with_two_legs();
    assert_eq!(packets_in_40_ms(&mut thread, &far_ends), [2, 2]);

    thread.attempt(failing, |_| panic!("as a test wants it"));
    assert_eq!(packets_in_40_ms(&mut thread, &far_ends), [0, 2]);
    thread.attempt(failing, |_| panic!("never run: it is not touched again"));
    thread.attempt(sound, |_| Ok(()));
    assert!(thread.carry_out(ThreadCommand::Close(failing)));
    thread.send_unsent_notices();
    let mut notices = Vec::new();
    while let Ok(notice) = heard.try_recv() {
        notices.push(match notice {
            MediaNotice::Stalled(id) => ("stalled", id),
            MediaNotice::Closed(id, ..) => ("closed", id),
        });
    }
    notices.sort_by_key(|(what, _)| std::cmp::Reverse(*what));
    assert_eq!(notices, [("stalled", failing), ("closed", failing)]);
    assert_eq!(packets_in_40_ms(&mut thread, &far_ends)[1], 2);
}

#[test]
fn a_leg_that_is_closed_says_bye_and_one_that_failed_says_nothing() {
    let (mut thread, _heard, ids, far_ends) = thread_with_two_legs();
    packets_in_40_ms(&mut thread, &far_ends);
    thread.attempt(ids[1], |_| panic!("as a test wants it"));
    let last_words = far_ends.each_ref().map(|far_end| {
        for id in ids {
            assert!(thread.carry_out(ThreadCommand::Close(id)));
        }
        let mut buffer = [0; 1_500];
        far_end
            .recv(&mut buffer)
            .map(|length| buffer[..length].to_vec())
    });
    let [Ok(goodbye), Err(_)] = last_words else {
        panic!("{last_words:?}");
    };
    assert_eq!((goodbye[1], goodbye[goodbye.len() - 11]), (200, 203));
}

#[test]
fn what_is_logged_of_a_leg_names_its_call() {
    let log = logged("error", || {
        let (mut thread, _heard, [_, failing], _far_ends) = thread_with_two_legs();
        thread.attempt(failing, |_| panic!("as a test wants it"));
    });
    assert!(log.contains("call{call_id=1}"), "{log}");
    assert!(log.contains("a leg failed"), "{log}");
}
