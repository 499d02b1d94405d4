//! A real softphone calls the front desk, hears it speak, presses a digit and is answered.

use std::time::Duration;

use offhook_tests::baresip::{Baresip, Codec};
use offhook_tests::daemon::{Daemon, DaemonSetup};
use offhook_tests::wait::wait_until;

/// A greeting has more audible speech than this; a click or a tone does not.
const GREETING_MS: usize = 2_000;
/// So long a pause ends a greeting: longer than between two sentences, shorter than the patience of the desk, which
/// speaks again by itself after eight seconds.
const PAUSE_MS: usize = 1_000;
/// An answer to a key may be short.
const ANSWER_MS: usize = 400;
/// Synthesis, playing, and a debug build on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);
/// Where the key 1 leads, as the daemon logs it. Silence alone makes the desk speak too, but not from there.
const ANSWERED: &str = "step=\"more\"";

fn call_and_press_a_key(codec: Codec) {
    let setup = DaemonSetup {
        front_desk: true,
        codecs: vec!["opus", "g722", "pcmu", "pcma"],
        log: "info,offhook_session=debug",
        ..DaemonSetup::default()
    };
    let daemon = Daemon::start(&setup).expect("a daemon");
    let mut phone = Baresip::start(codec).expect("a softphone");
    phone
        .call("front-desk", daemon.sip(), Duration::from_secs(10))
        .expect("an answer");

    let greeted = wait_until("a greeting to its end", PATIENCE, || {
        let heard = phone.heard()?;
        let is_over = heard.audible_ms(0) >= GREETING_MS && heard.quiet_since_ms() >= PAUSE_MS;
        is_over.then(|| heard.length_ms())
    });
    let greeted_ms =
        greeted.unwrap_or_else(|why| panic!("{why}\n{}\n{}", phone.log(), daemon.log()));
    phone.press('1').expect("a key");
    let answered = wait_until("an answer to the key", PATIENCE, || {
        let heard = phone.heard()?;
        let is_heard = heard.audible_ms(greeted_ms) >= ANSWER_MS;
        (is_heard && daemon.log().contains(ANSWERED)).then_some(())
    });
    assert!(
        answered.is_ok(),
        "{answered:?}\n{}\n{}",
        phone.log(),
        daemon.log()
    );

    phone.hang_up().expect("an end");
    let (status, log) = daemon.stop().expect("the daemon leaves");
    assert!(status.success(), "{status}: {log}");
}

#[test]
fn a_softphone_with_pcmu_is_greeted_and_answered() {
    call_and_press_a_key(Codec::Pcmu);
}

#[test]
fn a_softphone_with_opus_is_greeted_and_answered() {
    call_and_press_a_key(Codec::Opus);
}

#[test]
fn a_softphone_with_g722_is_greeted_and_answered() {
    call_and_press_a_key(Codec::G722);
}
