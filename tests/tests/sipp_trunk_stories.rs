//! SIPp is the far end of a trunk and plays the stories of `tests/sipp/trunk` byte for byte: what carriers ask of a
//! caller, and what calls meet on their way. Stories that are wounds of the field are named by their numbers.
//!
//! Waits that RFCs make long (a session timer's half, a lost BYE's end) are `sip/tests/calls`'s, in virtual time.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

use offhook_tests::daemon::{Daemon, DaemonSetup};
use offhook_tests::dns_server::{DnsRecord, DnsServer};
use offhook_tests::phone::Phone;
use offhook_tests::scratch::Scratch;
use offhook_tests::sip_text;
use offhook_tests::sipp::{RunningSipp, SippOutcome, SippRun};
use offhook_tests::wait::wait_until;
use serde_json::Value;

/// One story, on a busy machine.
const STORY: Duration = Duration::from_secs(20);
/// For what happens at once, on a busy machine.
const PROMPTLY: Duration = Duration::from_secs(10);

fn far_end(story: &str) -> SippRun {
    SippRun {
        limit: STORY,
        ..SippRun::far_end(&format!("trunk/{story}"))
    }
}

fn caller(story: &str, daemon: &Daemon) -> SippRun {
    SippRun {
        limit: STORY,
        ..SippRun::story(&format!("trunk/{story}"), daemon.sip(), "echo")
    }
}

fn setup() -> DaemonSetup {
    DaemonSetup {
        calls: 10,
        calls_per_second: 20,
        ..DaemonSetup::default()
    }
}

/// The trunk's keys for calls that go out to `address`.
fn keys(address: impl std::fmt::Display, more: &str) -> String {
    format!("address = \"{address}\"\n{more}")
}

fn daemon(trunk_keys: String) -> Daemon {
    let setup = DaemonSetup {
        trunk_keys,
        ..setup()
    };
    Daemon::start(&setup).expect("a daemon")
}

/// A far end that plays `story`, and a daemon whose trunk it is.
fn trunk(story: &str, more: &str) -> (RunningSipp, Daemon) {
    let far_end = far_end(story).start().expect("a far end");
    let daemon = daemon(keys(far_end.sip(), more));
    (far_end, daemon)
}

/// What challenges are answered with, in files that last as long as the value.
struct Secret(Scratch);

impl Secret {
    fn new() -> Self {
        let folder = Scratch::new("secret").expect("a folder");
        std::fs::write(folder.file("password"), "secret\n").expect("a file");
        Self(folder)
    }

    fn keys(&self) -> String {
        let file = self.0.file("password");
        format!("username = \"user\"\npassword_file = {file:?}\n")
    }
}

/// The story went as told, and the daemon is there without a live call.
fn told(story: RunningSipp, daemon: Daemon) -> SippOutcome {
    let outcome = finished(story, 1, &daemon);
    over(daemon);
    outcome
}

fn finished(story: RunningSipp, calls: u64, daemon: &Daemon) -> SippOutcome {
    let outcome = story.finish();
    let outcome = outcome.unwrap_or_else(|why| panic!("{why}\n{}", daemon.log()));
    if (outcome.successful, outcome.failed) != (calls, 0) {
        eprintln!("{}", daemon.log());
    }
    outcome.assert_all(calls);
    outcome
}

/// No call is left behind. How the daemon leaves is shown elsewhere: it would wait for repetitions of a BYE.
fn over(mut daemon: Daemon) {
    let over = wait_until("the end of every call", PROMPTLY, || {
        daemon.live_calls().ok()?.is_empty().then_some(())
    });
    assert!(
        over.is_ok() && daemon.is_alive(),
        "{over:?}\n{}",
        daemon.log()
    );
    daemon.signal(libc::SIGKILL);
}

/// A call to the far end of `story` that the far end ends: it is answered, and over by its BYE.
fn call_until_their_bye(story: &str, more: &str) -> SippOutcome {
    let (far_end, daemon) = trunk(story, more);
    assert_ended(
        &daemon.place("100", "echo", "ended"),
        "far_end_hung_up",
        None,
    );
    told(far_end, daemon)
}

#[track_caller]
fn assert_ended(answer: &Result<Value, String>, reason: &str, sip_status: Option<u16>) {
    let answer = answer.as_ref().expect("a call");
    let end = (answer["reason"].as_str(), answer["sip_status"].as_u64());
    assert_eq!(end, (Some(reason), sip_status.map(u64::from)), "{answer}");
}

/// Calls the far end and gives the id of the call when it is answered.
#[track_caller]
fn answered(daemon: &Daemon) -> String {
    let answer = daemon.place("100", "echo", "answered").expect("a call");
    assert_eq!(answer["state"], "talking", "{answer}\n{}", daemon.log());
    answer["id"].as_str().expect("an id").to_owned()
}

#[track_caller]
fn control(daemon: &Daemon, id: &str, what: &str) {
    let done = daemon.control_call(id, what);
    assert!(done.is_ok(), "{done:?}\n{}", daemon.log());
}

// --- Who we are -----------------------------------------------------------------------------------

#[test]
fn a_challenge_by_401_is_answered() {
    call_until_their_bye("challenged_401", &Secret::new().keys());
}

#[test]
fn wound_37_a_challenge_by_407_is_answered_and_so_is_one_of_the_bye() {
    let secret = Secret::new();
    let (far_end, daemon) = trunk("challenged_407", &secret.keys());
    let id = answered(&daemon);
    control(&daemon, &id, "hang up");
    told(far_end, daemon);
}

#[test]
fn wound_37_a_caller_that_challenges_our_bye_is_answered() {
    let secret = Secret::new();
    let daemon = daemon(keys("127.0.0.1:9", &secret.keys()));
    let caller = caller("challenges_our_bye", &daemon)
        .start()
        .expect("a caller");
    let id = wait_until("the call", PROMPTLY, || {
        let calls = daemon.live_calls().ok()?;
        let call = calls.iter().find(|call| call["state"] == "talking")?;
        call["id"].as_str().map(str::to_owned)
    });
    control(&daemon, &id.expect("it is up"), "hang up");
    told(caller, daemon);
}

/// SIPp answers no challenge that offers SHA-256 first.
#[test]
fn a_caller_is_asked_who_it_is_where_that_is_wanted() {
    let secret = Secret::new();
    let wanted = format!("challenge_inbound = true\n{}", secret.keys());
    let daemon = daemon(keys("127.0.0.1:9", &wanted));
    let mut phone = Phone::new(daemon.sip(), "echo", "asked").expect("a phone");
    let media = phone.rtp().local_addr().expect("an address");
    let offer = sip_text::pcmu_offer(media);
    let invite = |phone: &Phone, sequence: u32, authorization: &str| {
        let branch = sequence.to_string();
        let request = phone.caller.request("INVITE", sequence, &branch, &offer);
        let request = request.replacen("Max-Forwards", &format!("{authorization}Max-Forwards"), 1);
        phone.send(&request).expect("sent");
        phone.final_answer("INVITE").expect("an answer")
    };
    let asked = invite(&phone, 1, "");
    assert_eq!(sip_text::status(&asked), Some(401), "{asked}");
    let challenges = sip_text::header_lines(&asked, "WWW-Authenticate");
    assert!(challenges.contains("algorithm=SHA-256"), "{challenges}");
    let nonce = challenges.split("nonce=\"").nth(1).expect("a nonce");
    let nonce = nonce.split('"').next().expect("its end");
    let uri = format!("sip:echo@{}", daemon.sip());
    let answer = |password: &str, count: u32| {
        let ours = md5(&format!("user:offhook:{password}"));
        let asked = md5(&format!("INVITE:{uri}"));
        let response = md5(&format!("{ours}:{nonce}:{count:08x}:c1:auth:{asked}"));
        format!(
            "Authorization: Digest username=\"user\", realm=\"offhook\", nonce=\"{nonce}\", uri=\"{uri}\", \
             algorithm=MD5, qop=auth, nc={count:08x}, cnonce=\"c1\", response=\"{response}\"\r\n"
        )
    };
    let refused = invite(&phone, 2, &answer("guessed", 1));
    assert_eq!(sip_text::status(&refused), Some(403), "{refused}");
    let taken = invite(&phone, 3, &answer("secret", 2));
    assert_eq!(sip_text::status(&taken), Some(200), "{taken}");
    phone.caller.learn(&taken);
    let ack = phone.caller.request("ACK", 3, "ack", "");
    phone.send(&ack).expect("sent");
    let bye = phone.caller.request("BYE", 4, "bye", "");
    phone.send(&bye).expect("sent");
    let ended = phone.final_answer("BYE").expect("an answer");
    assert_eq!(sip_text::status(&ended), Some(200), "{ended}");
    over(daemon);
}

/// The digest that coreutils make.
fn md5(text: &str) -> String {
    let mut child = Command::new("md5sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("coreutils");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(text.as_bytes()).expect("written");
    drop(input);
    let output = child.wait_with_output().expect("its end");
    let text = String::from_utf8(output.stdout).expect("text");
    text.split(' ').next().expect("a digest").to_owned()
}

#[test]
fn wound_34_the_digest_uri_is_the_request_uri_to_the_letter_and_challenges_without_end_are_given_up()
 {
    let secret = Secret::new();
    let (far_end, daemon) = trunk("challenged_for_ever", &secret.keys());
    let to = format!("sip:100@{};transport=udp", far_end.sip());
    assert_ended(&daemon.place(&to, "echo", "ended"), "rejected", Some(407));
    told(far_end, daemon);
}

#[test]
fn wound_35_a_registration_obeys_423_and_401_is_refreshed_and_is_taken_away_at_the_end() {
    let secret = Secret::new();
    let more = format!("{}register = true\nregister_for_s = 600\n", secret.keys());
    let (far_end, mut daemon) = trunk("registration", &more);
    let is_so = |trunk: &Value| trunk["registered_for_s"] == 300;
    let trunk = daemon.trunk_becomes(STORY, is_so).expect("a registration");
    assert_eq!(trunk["registration"], "registered", "{trunk}");
    daemon.signal(libc::SIGTERM);
    finished(far_end, 1, &daemon);
    let (status, log) = daemon.wait(PROMPTLY).expect("the daemon ends");
    assert!(status.success(), "{status}: {log}");
}

#[test]
fn a_registration_that_runs_out_while_the_registrar_is_busy_is_shown() {
    let more = "register = true\nfrom_user = \"user\"\n";
    let (far_end, daemon) = trunk("registration_expired", more);
    let is_so = |trunk: &Value| trunk["registration"] == "failed";
    let trunk = daemon.trunk_becomes(STORY, is_so).expect("a failure");
    assert_eq!(
        trunk["registration_failure"], "503 Service Unavailable",
        "{trunk}"
    );
    told(far_end, daemon);
}

// --- From INVITE to its answer ----------------------------------------------------------------------

#[test]
fn an_interval_that_is_too_small_for_the_far_end_is_raised_and_its_refreshes_are_answered() {
    call_until_their_bye("session_timer", "");
}

#[test]
fn wound_32_provisional_answers_are_acknowledged_by_the_cseq_of_the_challenged_invite() {
    call_until_their_bye("wound_32_prack_after_407", &Secret::new().keys());
}

#[test]
fn wound_14_a_caller_that_requires_prack_and_offers_nothing_is_offered_in_the_183() {
    let daemon = daemon(String::new());
    let running = caller("prack_and_late_offer", &daemon)
        .start()
        .expect("a caller");
    told(running, daemon);
}

#[test]
fn the_second_of_two_answers_is_acknowledged_and_ended() {
    call_until_their_bye("forked", "");
}

#[test]
fn a_repeated_200_is_acknowledged_again() {
    let outcome = call_until_their_bye("lost_ack_of_ours", "");
    assert!(outcome.received("ACK ", "ACK") >= 2, "{}", outcome.messages);
}

#[test]
fn a_late_200_after_cancel_is_acknowledged_and_ended() {
    let (far_end, daemon) = trunk("late_200_after_cancel", "");
    let id = ringing(&far_end, &daemon, "SIP/2.0 180");
    control(&daemon, &id, "hang up");
    told(far_end, daemon);
}

#[test]
fn wound_60_a_cancel_waits_for_a_provisional_answer_and_a_200_that_crosses_it_is_ended() {
    let (far_end, daemon) = trunk("wound_60_cancel_waits", "");
    let id = ringing(&far_end, &daemon, "INVITE ");
    control(&daemon, &id, "hang up");
    told(far_end, daemon);
}

/// Calls, and gives the call's id when the far end's trace has `sign`.
fn ringing(far_end: &RunningSipp, daemon: &Daemon, sign: &str) -> String {
    let answer = daemon.place("100", "echo", "begun").expect("a call");
    let sign = format!("\n{sign}");
    let seen = wait_until("a sign of the call", PROMPTLY, || {
        far_end.messages().contains(&sign).then_some(())
    });
    seen.unwrap_or_else(|why| panic!("{why}\n{}", daemon.log()));
    answer["id"].as_str().expect("an id").to_owned()
}

#[test]
fn a_redirection_is_followed() {
    call_until_their_bye("redirected", "");
}

/// A name server whose `carrier.test` is `first`, and where that does not serve, `second`.
fn carrier(first: SocketAddr, second: SocketAddr) -> DnsServer {
    let server = DnsServer::start().expect("a server");
    let records = [
        DnsRecord::srv(10, 1, first.port(), "edge.carrier.test"),
        DnsRecord::srv(20, 1, second.port(), "edge.carrier.test"),
    ];
    server.set("_sip._udp.carrier.test", &records);
    server.set("edge.carrier.test", &[DnsRecord::address("127.0.0.1")]);
    server
}

fn daemon_with_dns(server: &DnsServer) -> Daemon {
    let setup = DaemonSetup {
        sip_keys: format!("dns_servers = [\"{}\"]", server.address()),
        trunk_keys: keys("carrier.test", "failover_after_s = 1"),
        ..setup()
    };
    Daemon::start(&setup).expect("a daemon")
}

#[test]
fn wound_38_a_target_that_is_busy_is_passed_over_in_the_same_call_and_by_the_next_at_once() {
    let busy = far_end("busy_for_now").start().expect("a far end");
    let mut serving = far_end("taken");
    serving.calls = 2;
    let serving = serving.start().expect("a far end");
    let dns = carrier(busy.sip(), serving.sip());
    let daemon = daemon_with_dns(&dns);
    assert_ended(
        &daemon.place("100", "echo", "ended"),
        "far_end_hung_up",
        None,
    );
    finished(busy, 1, &daemon);
    // Nobody is there any more: a call that went there would take a second.
    assert_ended(
        &daemon.place("100", "echo", "ended"),
        "far_end_hung_up",
        None,
    );
    let outcome = finished(serving, 2, &daemon);
    assert_eq!(outcome.received("INVITE ", "INVITE"), 2);
    over(daemon);
}

#[test]
fn wound_38_a_target_that_is_silent_is_passed_over_in_the_same_call() {
    let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    let serving = far_end("taken").start().expect("a far end");
    let dns = carrier(silent.local_addr().expect("an address"), serving.sip());
    let daemon = daemon_with_dns(&dns);
    assert_ended(
        &daemon.place("100", "echo", "ended"),
        "far_end_hung_up",
        None,
    );
    silent.set_nonblocking(true).expect("a socket");
    assert!(
        silent.recv(&mut [0; 4_096]).is_ok(),
        "the first target was never asked"
    );
    told(serving, daemon);
}

// --- Hold, and who holds when both do ---------------------------------------------------------------

#[test]
fn a_far_end_is_held_and_taken_back() {
    let (far_end, daemon) = trunk("held_by_us", "");
    let id = answered(&daemon);
    control(&daemon, &id, "hold");
    let again = wait_until("room for another change", PROMPTLY, || {
        daemon.control_call(&id, "resume").ok()
    });
    again.unwrap_or_else(|why| panic!("{why}\n{}", daemon.log()));
    told(far_end, daemon);
}

#[test]
fn a_trunk_is_up_down_and_up_again_by_its_answers_to_options() {
    let mut run = far_end("busy_for_a_while");
    run.calls = 100;
    let far_end = run.start().expect("a far end");
    let daemon = daemon(keys(far_end.sip(), "options_interval_s = 1"));
    for health in ["up", "down", "up"] {
        let change = daemon.trunk_becomes(PROMPTLY, |trunk| trunk["health"] == health);
        assert!(change.is_ok(), "{health}: {change:?}\n{}", daemon.log());
    }
    over(daemon);
}

#[test]
fn an_update_holds_us_and_takes_us_back() {
    call_until_their_bye("held_by_update", "");
}

#[test]
fn two_holds_that_meet_are_both_491_and_ours_comes_again() {
    let (far_end, daemon) = trunk("glare", "");
    let id = answered(&daemon);
    control(&daemon, &id, "hold");
    told(far_end, daemon);
}

#[test]
fn a_hold_in_the_middle_of_their_change_is_refused_and_can_be_asked_for_again() {
    let mut daemon = daemon(String::new());
    let mut phone = Phone::new(daemon.sip(), "echo", "changing").expect("a phone");
    phone.call().expect("an answer");
    let id = talking(&daemon);
    let media = phone.rtp().local_addr().expect("an address");
    let offer = sip_text::pcmu_offer(media).replace("o=- 1 1", "o=- 1 2");
    let reinvite = phone.caller.request("INVITE", 2, "2", &offer);
    phone.send(&reinvite).expect("sent");
    let answer = phone.final_answer("INVITE").expect("an answer");
    assert_eq!(sip_text::status(&answer), Some(200), "{answer}");
    let refused = daemon.control_call(&id, "hold");
    assert!(
        refused.as_ref().is_err_and(|why| why.contains("409")),
        "{refused:?}"
    );
    let ack = phone.caller.request("ACK", 2, "2a", "");
    phone.send(&ack).expect("sent");
    let held = wait_until("room for a hold", PROMPTLY, || {
        daemon.control_call(&id, "hold").ok()
    });
    held.expect("a hold");
    let hold = phone.request("INVITE", PROMPTLY).expect("a re-INVITE");
    assert!(hold.contains("a=sendonly"), "{hold}");
    daemon.signal(libc::SIGKILL);
}

// --- Transfer ---------------------------------------------------------------------------------------

/// Sends the far end of `story` to `target`: its outcome and status.
fn transfer(story: &str, target: &str) -> (RunningSipp, Daemon, String, Value) {
    let (far_end, daemon) = trunk(story, "");
    let id = answered(&daemon);
    let target = target.replace("TRUNK", &far_end.sip().to_string());
    let outcome = daemon.transfer(&id, &target, 1);
    let outcome = outcome.unwrap_or_else(|why| panic!("{why}\n{}", daemon.log()));
    (far_end, daemon, id, outcome)
}

#[test]
fn a_transfer_is_completed() {
    let (far_end, daemon, _, outcome) = transfer("transfer_completed", "sip:200@TRUNK");
    assert_eq!(outcome["outcome"], "completed", "{outcome}");
    told(far_end, daemon);
}

#[test]
fn a_transfer_is_refused_and_the_call_goes_on() {
    let (far_end, daemon, _, outcome) = transfer("transfer_refused", "sip:200@TRUNK");
    assert_eq!(
        (&outcome["outcome"], &outcome["sip_status"]),
        (&"rejected".into(), &603.into())
    );
    told(far_end, daemon);
}

#[test]
fn a_transfer_that_never_finishes_is_over_in_time_and_the_call_goes_on() {
    let (far_end, daemon, id, outcome) = transfer("transfer_never_finished", "sip:200@TRUNK");
    assert_eq!(outcome["outcome"], "timed_out", "{outcome}");
    assert_eq!(daemon.live_calls().expect("calls").len(), 1);
    control(&daemon, &id, "hang up");
    told(far_end, daemon);
}

#[test]
fn wound_54_a_403_in_a_notify_after_202_is_reported_and_a_tel_target_is_kept() {
    let (far_end, daemon, _, outcome) = transfer("wound_54_transfer_forbidden", "tel:+15550100");
    assert_eq!(
        (&outcome["outcome"], &outcome["sip_status"]),
        (&"rejected".into(), &403.into())
    );
    told(far_end, daemon);
}

#[test]
fn wound_56_a_far_end_that_refers_us_hears_the_outcome_and_our_bye_waits_for_its_answer() {
    let (next, daemon) = trunk("taken", "accept_refer = true");
    let first = caller("refers_us", &daemon).start().expect("a caller");
    finished(first, 1, &daemon);
    told(next, daemon);
}

#[test]
fn wound_56_a_far_end_that_refers_us_and_leaves_does_not_take_the_next_one_with_it() {
    let (next, daemon) = trunk("rings_then_answers", "accept_refer = true");
    let first = caller("wound_56_refers_us_and_leaves", &daemon)
        .start()
        .expect("a caller");
    finished(first, 1, &daemon);
    told(next, daemon);
}

#[test]
fn a_far_end_may_not_refer_us_where_its_trunk_does_not_say_so() {
    let daemon = daemon(String::new());
    let running = caller("refers_us_in_vain", &daemon)
        .start()
        .expect("a caller");
    told(running, daemon);
}

#[test]
fn an_invite_with_replaces_takes_the_place_of_a_caller() {
    let daemon = daemon(String::new());
    let mut phone = Phone::new(daemon.sip(), "echo", "replaced").expect("a phone");
    let answer = phone.call().expect("an answer");
    let to = sip_text::header(&answer, "To").expect("a To");
    let (_, tag) = to.split_once(";tag=").expect("a tag");
    let mut run = caller("takes_over", &daemon);
    let replaces = format!("replaced;to-tag={tag};from-tag=from-replaced");
    run.more = ["-key", "replaces", &replaces].map(str::to_owned).to_vec();
    let running = run.start().expect("a caller");
    phone.answer_bye(PROMPTLY).expect("a BYE");
    told(running, daemon);
}

// --- Wounds whose story is not told above ------------------------------------------------------------

#[test]
fn wound_01_ack_and_bye_go_by_the_routes_to_a_private_contact() {
    let (far_end, daemon) = trunk("wound_01_private_contact", "");
    let id = answered(&daemon);
    control(&daemon, &id, "hang up");
    told(far_end, daemon);
}

#[test]
fn wound_03_the_top_route_says_the_transport_and_not_the_contact() {
    let mut run = far_end("wound_03_tls_contact");
    run.more = ["-t", "t1"].map(str::to_owned).to_vec();
    let far_end = run.start().expect("a far end");
    let setup = DaemonSetup {
        tcp: true,
        trunk_keys: keys(far_end.sip(), "transport = \"tcp\""),
        ..setup()
    };
    let daemon = Daemon::start(&setup).expect("a daemon");
    let id = answered(&daemon);
    control(&daemon, &id, "hang up");
    told(far_end, daemon);
}

#[test]
fn wound_04_a_route_without_lr_is_taken_strictly() {
    let daemon = daemon(String::new());
    let running = caller("wound_04_strict_route", &daemon)
        .start()
        .expect("a caller");
    let id = talking(&daemon);
    control(&daemon, &id, "hang up");
    told(running, daemon);
}

/// The id of the one call there is, when it is up.
fn talking(daemon: &Daemon) -> String {
    let id = wait_until("a call that is up", PROMPTLY, || {
        let calls = daemon.live_calls().ok()?;
        let call = calls.iter().find(|call| call["state"] == "talking")?;
        call["id"].as_str().map(str::to_owned)
    });
    id.unwrap_or_else(|why| panic!("{why}\n{}", daemon.log()))
}

#[test]
fn wound_09_requests_of_ours_have_one_rising_cseq() {
    let (far_end, daemon) = trunk("wound_09_one_cseq", "");
    let id = answered(&daemon);
    let asked = wait_until("the far end's own requests", PROMPTLY, || {
        let messages = far_end.messages();
        (messages.matches("CSeq: 4001 OPTIONS").count() == 2).then_some(())
    });
    asked.expect("two OPTIONS");
    control(&daemon, &id, "hold");
    let held = wait_until("the hold", PROMPTLY, || {
        far_end.messages().contains("2 ACK").then_some(())
    });
    held.expect("a hold");
    let outcome = daemon
        .transfer(&id, "tel:+15550100", 5)
        .expect("an outcome");
    assert_eq!(outcome["outcome"], "rejected", "{outcome}");
    control(&daemon, &id, "hang up");
    told(far_end, daemon);
}

#[test]
fn wound_16_dialog_and_audio_follow_the_200_and_not_the_180() {
    let sockets = [(); 2].map(|()| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket"));
    let ports = sockets.each_ref().map(|socket| {
        socket.set_read_timeout(Some(PROMPTLY)).expect("a deadline");
        socket.local_addr().expect("an address").port().to_string()
    });
    let mut run = far_end("wound_16_other_tag_and_port");
    run.more = [
        "-key",
        "early_port",
        &ports[0],
        "-key",
        "late_port",
        &ports[1],
    ]
    .map(str::to_owned)
    .to_vec();
    let far_end = run.start().expect("a far end");
    let daemon = daemon(keys(far_end.sip(), ""));
    let answer = daemon.place("100", "tone", "answered").expect("a call");
    let [early, late] = sockets;
    assert!(
        late.recv(&mut [0; 2_048]).is_ok(),
        "no audio\n{}",
        daemon.log()
    );
    early.set_nonblocking(true).expect("a socket");
    assert!(
        early.recv(&mut [0; 2_048]).is_err(),
        "audio where the 180 wanted it"
    );
    control(&daemon, answer["id"].as_str().expect("an id"), "hang up");
    told(far_end, daemon);
}

#[test]
fn wound_25_every_direction_is_answered_by_its_counterpart() {
    let daemon = daemon(String::new());
    let running = caller("wound_25_answers_to_hold", &daemon)
        .start()
        .expect("a caller");
    told(running, daemon);
}

#[test]
fn wound_29_a_refresh_just_after_the_answer_gets_its_timer_back_and_the_same_version() {
    let daemon = daemon(String::new());
    let story = caller("wound_29_refresh_just_after_answer", &daemon);
    told(story.start().expect("a caller"), daemon);
}
