//! A real softphone hears its own voice from the echo, by each codec: what it says arrives, and what is said to it does.

use std::time::Duration;

use offhook_tests::baresip::{Baresip, BaresipSetup, Codec};
use offhook_tests::daemon::{Daemon, DaemonSetup};
use offhook_tests::wait::wait_until;

/// Five seconds are compared; the rest is for a debug build on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// There and back through two jitter buffers; the softphone begins its two files at different moments.
const LONGEST_ECHO_MS: u64 = 700;

fn call_the_echo(codec: Codec, least: f64, srtp: bool) {
    let setup = DaemonSetup {
        trunk_keys: if srtp { "srtp = \"required\"" } else { "" }.to_owned(),
        codecs: vec!["opus", "g722", "pcmu", "pcma"],
        ..DaemonSetup::default()
    };
    let daemon = Daemon::start(&setup).expect("a daemon");
    let mut phone = Baresip::start_with(&BaresipSetup {
        murmurs: true,
        srtp,
        rtcp_mux: srtp,
        ..BaresipSetup::new(codec)
    })
    .expect("a softphone");
    phone
        .call("echo", daemon.sip(), Duration::from_secs(10))
        .expect("an answer");
    wait_until("five seconds of the echo", PATIENCE, || {
        phone.heard().filter(|heard| heard.length_ms() >= 6_000)
    })
    .unwrap_or_else(|why| panic!("{why}\n{}", phone.log()));
    let likeness = phone.likeness().expect("long enough");
    println!("{codec:?}: {likeness:?}");
    assert!(
        likeness.correlation > least,
        "{codec:?}: {likeness:?}\n{}",
        phone.log()
    );
    assert!(
        likeness.delay_ms.unsigned_abs() < LONGEST_ECHO_MS,
        "{codec:?}: {likeness:?}"
    );
    phone.hang_up().expect("an end");
    let (status, log) = daemon.stop().expect("the daemon leaves");
    assert!(status.success(), "{status}: {log}");
}

#[test]
fn a_softphone_with_pcmu_hears_itself() {
    call_the_echo(Codec::Pcmu, 0.9, false);
}

#[test]
fn a_softphone_with_g722_hears_itself() {
    call_the_echo(Codec::G722, 0.9, false);
}

#[test]
fn a_softphone_with_opus_hears_itself() {
    call_the_echo(Codec::Opus, 0.7, false);
}

#[test]
fn a_softphone_with_pcmu_hears_itself_over_srtp() {
    call_the_echo(Codec::Pcmu, 0.9, true);
}

#[test]
fn a_softphone_with_g722_hears_itself_over_srtp() {
    call_the_echo(Codec::G722, 0.9, true);
}

#[test]
fn a_softphone_with_opus_hears_itself_over_srtp() {
    call_the_echo(Codec::Opus, 0.7, true);
}

#[test]
fn a_softphone_in_the_clear_is_refused_where_srtp_is_required() {
    let setup = DaemonSetup {
        trunk_keys: "srtp = \"required\"".to_owned(),
        ..DaemonSetup::default()
    };
    let daemon = Daemon::start(&setup).expect("a daemon");
    let mut phone = Baresip::start(Codec::Pcmu).expect("a softphone");
    let refused = phone.call("echo", daemon.sip(), Duration::from_secs(10));
    assert!(
        refused.is_err_and(|why| why.contains("488")),
        "{}",
        phone.log()
    );
    daemon.stop().expect("the daemon leaves");
}
