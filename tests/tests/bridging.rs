//! Two softphones whose calls are joined: each hears the other, by codecs of different rates.

use std::time::Duration;

use offhook_tests::baresip::{Baresip, BaresipSetup, Codec};
use offhook_tests::daemon::{Daemon, DaemonSetup};
use offhook_tests::scratch::Scratch;
use offhook_tests::wait::wait_until;
use offhook_tests::wav::write_quiet_line;
use serde_json::{Value, json};

/// For some seconds of audio, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// How much of the last second is audible, in milliseconds.
fn audible_lately(phone: &Baresip) -> Option<usize> {
    let heard = phone.heard()?;
    let length = heard.length_ms();
    (length > 1_000).then(|| heard.audible_between_ms(length - 1_000, length))
}

fn calls(daemon: &Daemon) -> Vec<Value> {
    daemon.live_calls().expect("a list")
}

#[test]
fn two_softphones_hear_each_other_while_their_calls_are_joined_and_end_together() {
    let folder = Scratch::new("bridge").expect("a folder");
    let quiet = folder.file("quiet.wav");
    write_quiet_line(&quiet, 8_000, 1).expect("a recording");
    let daemon = Daemon::start(&DaemonSetup {
        codecs: vec!["g722", "pcmu"],
        more: format!(
            "[agent.quiet]\nkind = \"play\"\nfile = {quiet:?}\n[[route]]\nto = \"quiet\"\nagent = \"quiet\"\n"
        ),
        ..DaemonSetup::default()
    })
    .expect("a daemon");
    let mut talks = Baresip::start_with(&BaresipSetup {
        murmurs: true,
        ..BaresipSetup::new(Codec::Pcmu)
    })
    .expect("a softphone");
    let mut listens = Baresip::start(Codec::G722).expect("a softphone");
    for phone in [&mut talks, &mut listens] {
        phone
            .call("quiet", daemon.sip(), Duration::from_secs(10))
            .expect("an answer");
    }
    let ids: Vec<String> = wait_until("two calls", PATIENCE, || {
        let calls = calls(&daemon);
        let up = calls.iter().filter(|call| call["state"] == "talking");
        let ids: Vec<String> = up
            .filter_map(|call| call["id"].as_str().map(str::to_owned))
            .collect();
        (ids.len() == 2).then_some(ids)
    })
    .expect("two calls");

    let bridge = format!("/v1/calls/{}/bridge", ids[0]);
    let answer = daemon.ask("POST", &bridge, &json!({ "with": ids[1] }));
    assert_eq!(answer, Ok((204, Value::Null)));
    assert_eq!(calls(&daemon)[0]["bridged_with"], ids[1].as_str());
    wait_until("the other's voice", PATIENCE, || {
        audible_lately(&listens).filter(|ms| *ms > 900)
    })
    .expect("the other is heard");
    assert_eq!(audible_lately(&talks), Some(0), "nobody hears themselves");
    let twice = daemon.ask("POST", &bridge, &json!({ "with": ids[1] }));
    assert_eq!(twice.map(|(status, _)| status), Ok(409));

    daemon.control_call(&ids[1], "part").expect("parted");
    wait_until("quiet", PATIENCE, || {
        audible_lately(&listens).filter(|ms| *ms == 0)
    })
    .expect("the other is not heard any more");
    assert!(daemon.control_call(&ids[1], "part").is_err());
    assert_eq!(calls(&daemon).len(), 2);

    let back = format!("/v1/calls/{}/bridge", ids[1]);
    let answer = daemon.ask("POST", &back, &json!({ "with": ids[0], "agents": "stay" }));
    assert_eq!(answer, Ok((204, Value::Null)));
    talks.hang_up().expect("an end");
    listens.closed_by_far_end(PATIENCE).expect("an end as well");
    daemon.log_telling("call ended reason=bridge_ended", 1);
    daemon.stop().expect("the daemon leaves");
}
