//! The commands that ask a running daemon, as an operator types them: two daemons on loopback, each the other's
//! trunk, and the program's output and exit code.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use offhook_tests::child::Program;
use offhook_tests::http;
use offhook_tests::ports::PortBlock;
use offhook_tests::scratch::Scratch;
use offhook_tests::wait::wait_until;
use serde_json::Value;

/// For what happens at once, in a debug build on a busy machine.
const PROMPTLY: Duration = Duration::from_secs(20);

const DONE: i32 = 0;
const MISTAKES: i32 = 1;
const WRONG_COMMAND_LINE: i32 = 2;
const NO_DAEMON: i32 = 5;
const REFUSED: i32 = 6;
const UNSUCCESSFUL: i32 = 7;

/// The program, without what this environment would tell it.
fn offhook() -> Command {
    let mut command = Command::new(offhook_tests::daemon::binary().expect("the program"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("OFFHOOK_") || name == "NOTIFY_SOCKET" || name == "JOURNAL_STREAM" {
            command.env_remove(name.as_ref());
        }
    }
    command
}

/// How a command ended, and what it printed.
#[derive(Debug)]
struct Ended {
    code: i32,
    out: String,
    err: String,
}

impl Ended {
    fn of(mut command: Command) -> Self {
        let output = command.stdin(Stdio::null()).output().expect("the program");
        Self {
            code: output.status.code().expect("an exit code"),
            out: String::from_utf8(output.stdout).expect("text"),
            err: String::from_utf8(output.stderr).expect("text"),
        }
    }

    /// What it printed, of a command that did what it should.
    fn done(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (DONE, ""), "{self:?}");
        self.out
    }

    /// Checks the exit code and the line on standard error.
    fn failed(&self, code: i32, line: &str) {
        assert_eq!(
            (self.code, self.err.as_str()),
            (code, format!("offhook: {line}\n").as_str()),
            "{self:?}"
        );
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Two daemons: the near one is asked, the far one is called. Both let the other send them elsewhere, unless the near
/// one is told not to.
struct Pair {
    near: SocketAddr,
    near_sip: SocketAddr,
    near_file: PathBuf,
    _programs: [Program; 2],
    _folder: Scratch,
    _ports: PortBlock,
}

impl Pair {
    fn start() -> Self {
        let ports = PortBlock::take(64).expect("ports");
        let folder = Scratch::new("live").expect("a folder");
        let (near_sip, near) = (ports.address(0), ports.address(1));
        let (far_sip, far) = (ports.address(2), ports.address(3));
        let music = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/audio/hold.wav");
        let write = |name: &str, sip, control, rtp: u16, other: SocketAddr, refer: bool| {
            let file = folder.file(name);
            let (first, last) = (ports.port(rtp), ports.port(rtp + 23));
            let text = format!(
                "[sip]\nlisten = [\"udp:{sip}\"]\n[control]\nlisten = \"{control}\"\n\
                 [media]\nports = \"{first}-{last}\"\n\
                 [limits]\ncalls = 4\ncalls_per_second = 8\n[drain]\ntimeout_s = 0\n\
                 [trunk.other]\ninbound_from = [\"127.0.0.0/8\"]\naddress = \"{other}\"\n\
                 accept_refer = {refer}\noptions_interval_s = 1\n\
                 [agent.music]\nkind = \"play\"\nfile = \"{music}\"\n\
                 [[route]]\nto = \"music\"\nagent = \"music\"\n"
            );
            fs::write(&file, text).expect("a configuration");
            file
        };
        let near_file = write("near.toml", near_sip, near, 8, far_sip, false);
        let far_file = write("far.toml", far_sip, far, 32, near_sip, true);
        let start = |file: &PathBuf, log: &str| {
            let mut command = offhook();
            command.args(["run", "--config"]).arg(file);
            Program::start("offhook", command, folder.file(log)).expect("a daemon")
        };
        let programs = [start(&near_file, "near.log"), start(&far_file, "far.log")];
        for control in [near, far] {
            wait_until("readiness", PROMPTLY, || {
                (http::status(control, "/readyz") == Some(200)).then_some(())
            })
            .unwrap_or_else(|why| panic!("{why}: {}{}", programs[0].log(), programs[1].log()));
        }
        Self {
            near,
            near_sip,
            near_file,
            _programs: programs,
            _folder: folder,
            _ports: ports,
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = offhook();
        command
            .args(arguments)
            .args(["--control", &self.near.to_string()]);
        command
    }

    fn ask(&self, arguments: &[&str]) -> Ended {
        Ended::of(self.command(arguments))
    }

    /// The id of a call that was made, and answered.
    fn call(&self) -> String {
        let said = self
            .ask(&["call", "music", "--agent", "music", "--wait-answered"])
            .done();
        let id = said.strip_suffix(" talking\n").expect("an answered call");
        id.to_owned()
    }

    /// Waits until the near daemon lists `count` calls.
    fn has_calls(&self, count: usize) -> Value {
        wait_until("the calls", PROMPTLY, || {
            let list = self.ask(&["calls", "--json"]).json();
            (list["count"] == count).then_some(list)
        })
        .expect("so many calls")
    }
}

#[test]
fn a_call_is_made_listed_shown_held_and_ended() {
    let pair = Pair::start();
    assert_eq!(pair.ask(&["calls"]).done(), "no call is up\n");
    let id = pair.call();

    let listed = pair.ask(&["calls"]).done();
    let lines: Vec<Vec<&str>> = listed
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        lines[0],
        [
            "ID",
            "DIRECTION",
            "FROM",
            "TO",
            "TRUNK",
            "AGENT",
            "STATE",
            "DURATION"
        ]
    );
    assert_eq!(lines[1][..2], [id.as_str(), "outbound"]);
    assert_eq!(lines[1][3..7], ["music", "other", "music", "talking"]);

    let shown = pair.ask(&["show", &id]).done();
    assert!(shown.contains(&format!("id         {id}\n")), "{shown}");
    assert!(shown.contains("state      talking\n"), "{shown}");
    let facts = pair.ask(&["show", &id, "--json"]).json();
    assert_eq!(
        (&facts["id"], &facts["trunk"]),
        (&id.into(), &"other".into())
    );
    let id = facts["id"].as_str().unwrap();

    assert_eq!(pair.ask(&["hold", id]).done(), "");
    // The change is on its way; the next one waits for it.
    let resumed = wait_until("the end of the hold", PROMPTLY, || {
        let asked = pair.ask(&["resume", id]);
        (asked.code == DONE).then_some(asked)
    });
    assert_eq!(resumed.expect("a call off hold").done(), "");
    assert_eq!(pair.ask(&["hangup", id, "--json"]).done(), "");
    pair.has_calls(0);
    for command in ["show", "hangup", "hold", "resume"] {
        let asked = pair.ask(&[command, id]);
        asked.failed(REFUSED, "there is no such call");
    }
    let document = pair.ask(&["show", "../calls", "--json"]).json();
    assert_eq!(document["status"], 404);
}

#[test]
fn whoever_waits_for_a_call_learns_what_became_of_it() {
    let pair = Pair::start();
    let mut waiting = pair.command(&["call", "music", "--agent", "music", "--wait", "--json"]);
    let waiting = waiting
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program");
    let id = wait_until("an answered call", PROMPTLY, || {
        let list = pair.ask(&["calls", "--json"]).json();
        let call = &list["calls"][0];
        let talks = call["state"] == "talking";
        talks.then(|| call["id"].as_str().unwrap().to_owned())
    });
    pair.ask(&["hangup", &id.expect("a call")]).done();
    let ended = waiting.wait_with_output().expect("its end");
    assert_eq!(ended.status.code(), Some(DONE), "{ended:?}");
    let outcome: Value = serde_json::from_slice(&ended.stdout).expect("JSON");
    assert_eq!(outcome["state"], "ended");
    assert_eq!(outcome["reason"], "operator_hung_up");
    assert_eq!(outcome["answered"], true);

    // The far daemon has no route for it.
    let not_answered = "the call was not answered; it ended: rejected (404)";
    for wait in ["--wait", "--wait-answered"] {
        let asked = pair.ask(&["call", "nobody", "--agent", "music", wait]);
        asked.failed(UNSUCCESSFUL, not_answered);
        assert!(asked.out.ends_with(" ended: rejected (404)\n"), "{asked:?}");
    }
    // Without waiting, what is printed is what the other commands take.
    let begun = pair.ask(&["call", "nobody", "--agent", "music"]).done();
    assert!(
        begun
            .trim_end()
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit())
    );
    pair.has_calls(0);
}

#[test]
fn a_transfer_tells_whether_the_far_end_got_there() {
    let pair = Pair::start();
    let id = pair.call();
    let target = format!("sip:music@{}", pair.near_sip);
    let asked = pair.ask(&["transfer", &id, &target, "--timeout", "30"]);
    assert_eq!(asked.done(), "completed\n");
    // Its far end has called us instead.
    let list = wait_until("the new call alone", PROMPTLY, || {
        let list = pair.has_calls(1);
        (list["calls"][0]["id"] != id.as_str()).then_some(list)
    });
    let new = &list.expect("a call")["calls"][0];
    assert_eq!(new["direction"], "inbound");

    let id = pair.call();
    let nowhere = format!("sip:nobody@{}", pair.near_sip);
    let asked = pair.ask(&["transfer", &id, &nowhere]);
    asked.failed(UNSUCCESSFUL, "the transfer did not succeed: rejected (404)");
    assert_eq!(asked.out, "rejected (404)\n");
    let asked = pair.ask(&["transfer", &id, "1234"]);
    asked.failed(REFUSED, "the target is no sip:, sips: or tel: address");
    // Nobody waits for what becomes of it.
    let asked = pair.ask(&["transfer", &id, &nowhere, "--no-wait", "--json"]);
    assert_eq!(asked.code, DONE, "{asked:?}");
    assert_eq!(asked.json()["outcome"], "completed");
}

#[test]
fn a_transfer_by_a_second_leg_tells_whether_the_calls_are_joined() {
    let pair = Pair::start();
    let id = pair.call();
    let by_bridge = |target: &str| {
        pair.ask(&[
            "transfer",
            &id,
            target,
            "--mode",
            "bridge",
            "--timeout",
            "20",
        ])
    };
    // Nobody is called for a far end before its agent talks with it.
    let asked = wait_until("the agent", PROMPTLY, || {
        let asked = by_bridge("sip:nobody@127.0.0.1");
        (asked.code != REFUSED).then_some(asked)
    });
    asked
        .expect("a transfer")
        .failed(UNSUCCESSFUL, "the transfer did not succeed: rejected (404)");
    let asked = pair.ask(&["transfer", &id, "sip:music@127.0.0.1", "--mode", "warm"]);
    asked.failed(
        REFUSED,
        "nothing can be said to whoever is called: no agent here has a voice",
    );
    assert_eq!(by_bridge("sip:music@127.0.0.1").done(), "bridged\n");
    let list = pair.has_calls(2);
    assert_eq!(list["calls"][0]["bridged_with"], list["calls"][1]["id"]);
    let asked = by_bridge("sip:music@127.0.0.1");
    assert_eq!(asked.code, REFUSED, "{asked:?}");
    assert!(
        asked.err.contains("nobody was called: the call is"),
        "{asked:?}"
    );
    // The end of one is the end of the other.
    assert_eq!(pair.ask(&["hangup", &id]).done(), "");
    wait_until("no call", PROMPTLY, || {
        let list = pair.ask(&["calls", "--json"]).json();
        list["calls"].as_array()?.is_empty().then_some(())
    })
    .expect("no call");
}

#[test]
fn keys_are_pressed_and_what_is_no_key_is_named_by_its_place() {
    let pair = Pair::start();
    let id = pair.call();
    assert_eq!(pair.ask(&["press", &id, "12w#", "--gap", "40"]).done(), "");
    let asked = pair.ask(&["press", &id, "12x4"]);
    asked.failed(
        REFUSED,
        "digits: character 3 is neither a key (0-9, *, #, A-D) nor a pause (w, comma)",
    );
    let asked = pair.ask(&["press", "nobody", "1"]);
    asked.failed(REFUSED, "there is no such call");
}

#[test]
fn two_calls_are_joined_and_parted() {
    let pair = Pair::start();
    let (first, second) = (pair.call(), pair.call());
    assert_eq!(
        pair.ask(&["bridge", &first, &second, "--agents-stay"])
            .done(),
        ""
    );
    let shown = pair.ask(&["show", &second]).done();
    assert!(shown.contains(&first), "{shown}");
    let asked = pair.ask(&["bridge", &first, &first]);
    asked.failed(
        REFUSED,
        "the call is not up, or in the middle of another change",
    );
    assert_eq!(pair.ask(&["part", &second]).done(), "");
    let asked = pair.ask(&["part", &second]);
    asked.failed(
        REFUSED,
        "the call is not up, or in the middle of another change",
    );
    pair.ask(&["bridge", &first, "nobody"])
        .failed(REFUSED, "there is no such call");
    // Nor is a call joined that is held.
    assert_eq!(pair.ask(&["hold", &first]).done(), "");
    wait_until("a hold that is agreed on", PROMPTLY, || {
        (pair.ask(&["hold", &first]).code == DONE).then_some(())
    })
    .expect("a hold");
    pair.ask(&["bridge", &first, &second]).failed(
        REFUSED,
        "the call is not up, or in the middle of another change",
    );
}

#[test]
fn calls_whose_agents_have_left_them_to_each_other_end_when_they_are_parted() {
    let pair = Pair::start();
    let (first, second) = (pair.call(), pair.call());
    let joined = pair.ask(&["bridge", &first, &second, "--agents-leave"]);
    assert_eq!(joined.done(), "");
    // Keys are the agents' to press, and they are gone.
    let asked = wait_until("agents that have left", PROMPTLY, || {
        let asked = pair.ask(&["press", &first, "1"]);
        (asked.code != DONE).then_some(asked)
    });
    assert_ne!(asked.expect("no agent").code, NO_DAEMON);
    assert_eq!(
        pair.has_calls(2)["calls"][0]["bridged_with"],
        second.as_str()
    );
    assert_eq!(pair.ask(&["part", &second]).done(), "");
    wait_until("no call", PROMPTLY, || {
        let list = pair.ask(&["calls", "--json"]).json();
        list["calls"].as_array()?.is_empty().then_some(())
    })
    .expect("no call");
}

#[test]
fn trunks_and_routes_are_told() {
    let pair = Pair::start();
    let up = wait_until("an answer of the trunk", PROMPTLY, || {
        let text = pair.ask(&["trunks"]).done();
        text.contains(" up ").then_some(text)
    });
    let text = up.expect("a trunk that answers");
    assert!(text.starts_with("NAME   ADDRESS"), "{text}");
    let trunks = pair.ask(&["trunks", "--json"]).json();
    assert_eq!(trunks["trunks"][0]["name"], "other");

    let test = |to, from| pair.ask(&["route-test", "--to", to, "--from", from]);
    assert_eq!(
        test("music", "127.0.0.1").done(),
        "trunk    other\nagent    music\nbecause  the first route that fits\n"
    );
    for (to, from, because) in [
        ("+1 23", "127.0.0.1", "no route fits: 404"),
        (
            "music",
            "192.0.2.1",
            "no trunk's inbound_from holds the address: it gets no answer",
        ),
    ] {
        let asked = test(to, from);
        asked.failed(UNSUCCESSFUL, "such a call would reach no agent");
        assert!(asked.out.contains(because), "{asked:?}");
    }
}

#[test]
fn what_the_daemon_refuses_is_one_line_and_a_document_for_programs() {
    let pair = Pair::start();
    for (arguments, line) in [
        (
            &["call", "1", "--agent", "nobody"][..],
            "there is no agent nobody",
        ),
        (
            &["call", "1", "--agent", "music", "--trunk", "gone"],
            "there is no trunk gone that calls go out by; trunk.NAME.address makes one",
        ),
        (
            &["call", "a b", "--agent", "music"],
            "to is neither a number nor a sip:, sips: or tel: address",
        ),
    ] {
        pair.ask(arguments).failed(REFUSED, line);
        let with_json = [arguments, &["--json"]].concat();
        let document = pair.ask(&with_json);
        document.failed(REFUSED, line);
        assert_eq!(document.json()["detail"], line);
    }
}

#[test]
fn a_watch_shows_calls_as_they_come_and_ends_with_control_c() {
    let pair = Pair::start();
    let mut command = pair.command(&["calls", "--watch"]);
    let mut watch = command.stdout(Stdio::piped()).spawn().expect("the program");
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "no call is up");
    let id = pair.call();
    assert!(lines.any(|line| line.unwrap().starts_with(&id)));
    let watching = libc::pid_t::try_from(watch.id()).unwrap();
    // SAFETY: kill takes no pointers; the process is a child that was not waited for.
    assert_eq!(unsafe { libc::kill(watching, libc::SIGINT) }, 0);
    assert_eq!(watch.wait().unwrap().code(), Some(DONE));
}

#[test]
fn the_daemon_is_found_by_its_configuration_and_by_a_variable() {
    let pair = Pair::start();
    let mut by_file = offhook();
    by_file.args(["calls", "--config"]).arg(&pair.near_file);
    assert_eq!(Ended::of(by_file).done(), "no call is up\n");
    let mut by_variable = offhook();
    by_variable
        .arg("calls")
        .env("OFFHOOK_CONTROL", pair.near.to_string());
    assert_eq!(Ended::of(by_variable).done(), "no call is up\n");

    let mut wrong = offhook();
    wrong.arg("calls").env("OFFHOOK_CONTROL", "a b");
    let wrong = Ended::of(wrong);
    assert_eq!(wrong.code, MISTAKES, "{wrong:?}");
    assert!(
        wrong
            .err
            .starts_with("mistake: variable OFFHOOK_CONTROL: \"a b\": should be a host"),
        "{wrong:?}"
    );
    let mut missing = offhook();
    missing.args(["calls", "--config", "/nowhere/offhook.toml"]);
    let missing = Ended::of(missing);
    assert_eq!(missing.code, MISTAKES, "{missing:?}");
    assert!(
        missing
            .err
            .contains("/nowhere/offhook.toml: cannot be read")
    );
}

#[test]
fn where_no_daemon_answers_the_exit_code_is_5_and_the_line_says_why() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    for command in [
        &["calls"][..],
        &["calls", "--watch"],
        &["trunks"],
        &["show", "c-1"],
        &["hangup", "c-1"],
        &["hold", "c-1"],
        &["resume", "c-1"],
        &["transfer", "c-1", "sip:a@b"],
        &["call", "1", "--agent", "music", "--wait"],
        &["route-test", "--to", "1", "--from", "::1"],
    ] {
        let mut asked = offhook();
        asked.args(command).args(["--control", &address]);
        Ended::of(asked).failed(
            NO_DAEMON,
            &format!("nobody listens at {address} (is the daemon running?)"),
        );
    }

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let closes = std::thread::spawn(move || drop(listener.accept()));
    let mut asked = offhook();
    asked.args(["calls", "--control", &address]);
    let asked = Ended::of(asked);
    closes.join().unwrap();
    assert_eq!(asked.code, NO_DAEMON, "{asked:?}");
    let begin = format!("offhook: {address} cannot be asked: ");
    assert!(asked.err.starts_with(&begin), "{asked:?}");
}

#[test]
fn a_command_line_that_cannot_be_meant_exits_with_2_and_asks_nobody() {
    for wrong in [
        &["call", "1"][..],
        &["call", "1", "--agent", "front desk"],
        &["call", "1", "--agent", "a", "--wait", "--wait-answered"],
        &["call", "1", "--agent", "a", "--header", "X-Campaign"],
        &[
            "call", "1", "--agent", "a", "--header", "X: 1", "--header", "x: 2",
        ],
        &["call", "1", "--agent", "a", "--ring-timeout", "0"],
        &["calls", "--control", "http://here"],
        &["calls", "--control", "here", "--config", "there"],
        &["show"],
        &["transfer", "c-1"],
        &["transfer", "c-1", "sip:a@b", "--mode", "cold"],
        &["transfer", "c-1", "--into", "c-2", "--mode", "warm"],
        &["route-test", "--to", "1", "--from", "here"],
        &["completions", "cmd"],
        &["man", "dial"],
    ] {
        let mut asked = offhook();
        let asked = Ended::of({
            asked.args(wrong);
            asked
        });
        assert_eq!(asked.code, WRONG_COMMAND_LINE, "{wrong:?}: {asked:?}");
    }
}

#[test]
fn shells_and_man_get_what_they_read() {
    let said = |arguments: &[&str]| {
        let mut command = offhook();
        command.args(arguments);
        Ended::of(command).done()
    };
    for shell in ["bash", "zsh", "fish"] {
        assert!(said(&["completions", shell]).contains("route-test"));
    }
    assert!(said(&["man"]).contains(".TH offhook 1"));
    let page = said(&["man", "call"]);
    assert!(page.contains(".TH offhook-call 1"), "{page}");
    assert!(page.contains("ring\\-timeout"), "{page}");
}
