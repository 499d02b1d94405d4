//! The log as journald gets it: a daemon whose standard error is the journal's, in a mount namespace of its own where
//! `/run/systemd/journal/socket` is a socket of this test.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::{Duration, Instant};

use offhook_tests::child::Program;
use offhook_tests::daemon;
use offhook_tests::http;
use offhook_tests::phone::Phone;
use offhook_tests::ports::PortBlock;
use offhook_tests::scratch::Scratch;
use offhook_tests::sip_text;
use offhook_tests::sipp::SippRun;
use offhook_tests::wait::wait_until;

const PATIENCE: Duration = Duration::from_secs(20);

/// Runs the command that follows the first argument where `/run` is empty but for the journal's folder, which is that
/// argument.
const IN_ITS_OWN_RUN: &str = "mount -t tmpfs none /run && mkdir -p /run/systemd/journal \
     && mount --bind \"$1\" /run/systemd/journal && shift && exec \"$@\"";

fn in_its_own_run(journal: &Scratch) -> Command {
    let mut command = Command::new("unshare");
    command
        .args([
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            IN_ITS_OWN_RUN,
            "sh",
        ])
        .arg(journal.path());
    command
}

/// One entry of the journal's native protocol.
type Entry = BTreeMap<String, String>;

/// The journal's end of the socket.
struct Journal {
    socket: UnixDatagram,
    folder: Scratch,
}

impl Journal {
    fn new() -> Self {
        let folder = Scratch::new("journal").expect("a folder");
        let socket = UnixDatagram::bind(folder.file("socket")).expect("a socket");
        Self { socket, folder }
    }

    /// The next entry for which `is_it` holds.
    fn next(&self, what: &str, is_it: impl Fn(&Entry) -> bool) -> Entry {
        let deadline = Instant::now() + PATIENCE;
        let mut datagram = vec![0; 65_536];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{what} did not reach the journal");
            self.socket.set_read_timeout(Some(left)).expect("an option");
            let Ok(length) = self.socket.recv(&mut datagram) else {
                continue;
            };
            let entry = read_entry(&datagram[..length]);
            if is_it(&entry) {
                return entry;
            }
        }
    }

    fn next_saying(&self, message: &str) -> Entry {
        self.next(message, |entry| {
            entry.get("MESSAGE").is_some_and(|text| text == message)
        })
    }
}

/// Fields are `NAME=value` or, where a value may hold line breaks, the name, its length in eight bytes, and the value;
/// each ends in a line break.
fn read_entry(mut bytes: &[u8]) -> Entry {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    let mut entry = Entry::new();
    while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
        let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
        let (name, value) = match line.iter().position(|byte| *byte == b'=') {
            Some(at) => {
                bytes = rest;
                (text(&line[..at]), text(&line[at + 1..]))
            }
            None => {
                let (length, rest) = rest.split_first_chunk::<8>().expect("a length");
                let length = usize::try_from(u64::from_le_bytes(*length)).expect("a length");
                bytes = &rest[length + 1..];
                (text(line), text(&rest[..length]))
            }
        };
        entry.insert(name, value);
    }
    entry
}

#[test]
fn the_journal_gets_a_calls_id_trunk_agent_and_status_as_fields_of_their_own() {
    let journal = Journal::new();
    if !in_its_own_run(&journal.folder)
        .arg("true")
        .status()
        .is_ok_and(|status| status.success())
    {
        println!("not shown: this machine grants no mount namespace");
        return;
    }
    let folder = Scratch::new("journalled").expect("a folder");
    let ports = PortBlock::take(64).expect("ports");
    let (sip, control, rtp) = (ports.address(1), ports.address(2), ports.run(8));
    let file = folder.file("offhook.toml");
    let configuration = format!(
        "[sip]\nlisten = [\"udp:{sip}\"]\n[control]\nlisten = \"{control}\"\n\
         [media]\nports = \"{}-{}\"\n[limits]\ncalls = 4\ncalls_per_second = 8\n[drain]\ntimeout_s = 1\n\
         [trunk.loopback]\ninbound_from = [\"127.0.0.0/8\"]\n\
         [agent.parrot]\nkind = \"echo\"\n[[route]]\nagent = \"parrot\"\n",
        rtp.start,
        rtp.end - 1
    );
    fs::write(&file, configuration).expect("a file");

    // Standard error is the journal's when it is the file that this variable names.
    let output = folder.file("output");
    let metadata = File::create(&output)
        .and_then(|file| file.metadata())
        .expect("a file");
    let mut command = in_its_own_run(&journal.folder);
    command
        .arg(daemon::binary().expect("a daemon"))
        .args(["run", "--config"])
        .arg(&file)
        .env(
            "JOURNAL_STREAM",
            format!("{}:{}", metadata.dev(), metadata.ino()),
        )
        .env_remove("OFFHOOK_LOG")
        .env_remove("RUST_LOG")
        .env_remove("NOTIFY_SOCKET");
    let mut program = Program::start("offhook", command, output).expect("a daemon");
    let ready = wait_until("readiness", PATIENCE, || {
        (http::status(control, "/readyz") == Some(200)).then_some(())
    });
    assert!(ready.is_ok(), "{ready:?}\n{}", program.log());

    let mut phone = Phone::new(sip, "parrot", "journalled").expect("a phone");
    let answer = phone.call().expect("an answer");
    assert_eq!(sip_text::status(&answer), Some(200), "{answer}");
    let began = journal.next_saying("call came in");
    for (field, value) in [
        ("TRUNK", "loopback"),
        ("AGENT", "parrot"),
        ("SYSLOG_IDENTIFIER", "offhook"),
        ("PRIORITY", "5"),
    ] {
        assert_eq!(
            began.get(field).map(String::as_str),
            Some(value),
            "{began:?}"
        );
    }
    let answer = phone.hang_up().expect("an answer");
    assert_eq!(sip_text::status(&answer), Some(200), "{answer}");
    let ended = journal.next_saying("call ended");
    assert!(began["CALL_ID"].len() >= 16, "{began:?}");
    assert_eq!(ended.get("CALL_ID"), began.get("CALL_ID"), "{ended:?}");

    SippRun::story("unacceptable_offer", sip, "parrot")
        .run()
        .expect("a run of SIPp")
        .assert_all(1);
    let refused = journal.next_saying("call ended");
    assert_eq!(
        refused.get("SIP_STATUS").map(String::as_str),
        Some("488"),
        "{refused:?}"
    );
    assert_ne!(refused.get("CALL_ID"), began.get("CALL_ID"), "{refused:?}");

    let (status, _) = program.stop().expect("the daemon leaves");
    assert!(status.success(), "{status}");
    assert_eq!(program.log(), "", "everything goes to the journal");
}
