//! A flow that sends its callers elsewhere: they get there, or are the flow's again.

use std::time::Duration;

use offhook_tests::daemon::{Daemon, DaemonSetup};
use offhook_tests::scratch::Scratch;
use offhook_tests::wait::wait_until;
use offhook_tests::wav::write_quiet_line;
use serde_json::{Value, json};

/// For what happens at once, in a debug build on a busy machine.
const PROMPTLY: Duration = Duration::from_secs(20);

fn says(daemon: &Daemon, what: &str) {
    let said = wait_until(what, PROMPTLY, || daemon.log().contains(what).then_some(()));
    assert!(said.is_ok(), "{what}\n{}", daemon.log());
}

#[test]
fn a_caller_who_is_sent_to_nobody_comes_back_and_is_then_sent_to_somebody() {
    let folder = Scratch::new("flow-transfer").expect("a folder");
    let quiet = folder.file("quiet.wav");
    write_quiet_line(&quiet, 8_000, 1).expect("a recording");
    let flow = folder.file("menu.toml");
    // The caller's trunk leads to the flow's daemon, whoever is called: the echo is there, and nobody else.
    let steps = "start = \"menu\"\nsilence_s = 60\n[step.menu]\nsay = \"Who?\"\n\
         expect = [{ digits = \"1\", then = \"desk\" }, { digits = \"2\", then = \"nobody\" }, \
         { digits = \"3\", then = \"bye\" }]\n\
         [step.desk]\nsay = \"One moment.\"\ntransfer = \"sip:echo@example.net\"\nfailed = \"bye\"\n\
         [step.nobody]\nsay = \"One moment.\"\ntransfer = \"sip:nobody@example.net\"\nfailed = \"menu\"\n\
         [step.bye]\nsay = \"Goodbye.\"\nhangup = true\n";
    std::fs::write(&flow, steps).expect("a file");
    let quiet_agent = format!("[agent.quiet]\nkind = \"play\"\nfile = {quiet:?}\n");
    let menu = Daemon::start(&DaemonSetup {
        more: format!(
            "[agent.menu]\nkind = \"flow\"\nflow = {flow:?}\n[[route]]\nto = \"menu\"\nagent = \"menu\"\n"
        ),
        log: "info,offhook_session=debug",
        ..DaemonSetup::default()
    })
    .expect("a daemon");
    let caller = Daemon::start(&DaemonSetup {
        trunk_keys: format!("accept_refer = true\naddress = \"{}\"\n", menu.sip()),
        more: quiet_agent,
        ..DaemonSetup::default()
    })
    .expect("a daemon");
    let call = caller.place("menu", "quiet", "answered").expect("a call");
    let id = call["id"].as_str().expect("an id");
    says(&menu, "step=\"menu\"");
    let press = |keys: &str| {
        let body = json!({ "digits": keys });
        let answer = caller.ask("POST", &format!("/v1/calls/{id}/digits"), &body);
        assert_eq!(answer, Ok((200, json!({ "outcome": "all" }))));
    };
    press("2");
    says(&menu, "a transfer failed");
    let is_back = wait_until("the menu again", PROMPTLY, || {
        (menu.log().matches("step=\"menu\"").count() > 1).then_some(())
    });
    assert!(is_back.is_ok(), "{}", menu.log());
    press("1");
    says(&menu, "reason=transferred");
    let arrived = wait_until("the caller at the echo", PROMPTLY, || {
        let calls: Vec<Value> = menu.live_calls().ok()?;
        let echo = calls.iter().any(|call| call["agent"] == "echo");
        (calls.len() == 1 && echo).then_some(())
    });
    assert!(arrived.is_ok(), "{}", caller.log());
    caller.control_call(id, "hang up").expect("an end");
    for daemon in [menu, caller] {
        daemon.stop().expect("it leaves");
    }
}
