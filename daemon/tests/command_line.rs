//! The program as an operator and the service manager meet it: exit codes, messages, signals.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(20);

/// A folder of its own for each test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder =
            std::env::temp_dir().join(format!("offhook-command-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The program, without what this environment would tell it.
fn offhook() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_offhook"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("OFFHOOK_")
            || name.starts_with("WATCHDOG_")
            || name == "NOTIFY_SOCKET"
            || name == "JOURNAL_STREAM"
        {
            command.env_remove(name.as_ref());
        }
    }
    command
}

fn output(command: &mut Command) -> (Output, String) {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let output = before_deadline(child.id(), || child.wait_with_output().unwrap());
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    (output, String::from_utf8(text).unwrap())
}

/// Waits for a child of ours by `wait`; when that takes too long the child is killed, and its status says so.
fn before_deadline<T>(child: u32, wait: impl FnOnce() -> T) -> T {
    let (done, is_done) = mpsc::channel::<()>();
    let guard = thread::spawn(move || {
        if is_done.recv_timeout(DEADLINE) == Err(mpsc::RecvTimeoutError::Timeout) {
            send(child, libc::SIGKILL);
        }
    });
    let waited = wait();
    drop(done);
    guard.join().unwrap();
    waited
}

fn send(child: u32, signal: libc::c_int) {
    let child = libc::pid_t::try_from(child).unwrap();
    // SAFETY: kill takes no pointers; the process is a child that was not waited for.
    assert_eq!(unsafe { libc::kill(child, signal) }, 0);
}

/// A running program, ended with the test whatever happens.
struct Running(Child);

impl Running {
    fn signal(&self, signal: libc::c_int) {
        send(self.0.id(), signal);
    }

    fn exit_code(&mut self) -> Option<i32> {
        before_deadline(self.0.id(), || self.0.wait().unwrap().code())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A configuration whose ports nobody else has.
fn own_ports() -> &'static str {
    "[sip]\nlisten = [\"udp:127.0.0.1:0\"]\n[control]\nlisten = \"127.0.0.1:0\"\n[drain]\ntimeout_s = 1\n\
     [trunk.here]\ninbound_from = [\"127.0.0.0/8\"]\n[agent.echo]\nkind = \"echo\"\n[[route]]\nagent = \"echo\"\n"
}

#[test]
fn check_accepts_the_example_with_0_and_warns_of_what_is_not_built() {
    let example = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../deploy/offhook.example.toml"
    );
    let (output, text) = output(offhook().args(["check", "--config", example]));
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("no mistakes, 1 warning\n"), "{text}");
    assert!(text.contains("records.database: "), "{text}");
}

#[test]
fn check_lists_every_mistake_and_exits_with_1() {
    let folder = Folder::new("mistakes");
    let file = folder.write(
        "offhook.toml",
        "[sip]\nlisten = [\"udp:nowhere\"]\n[limits]\ncalls = 0\ncals = 1\n",
    );
    let (output, text) = output(offhook().args(["check", "--config"]).arg(&file));
    assert_eq!(output.status.code(), Some(1), "{text}");
    for key in ["sip.listen[0]", "limits.calls", "limits.cals"] {
        assert!(
            text.contains(&format!("mistake: {}: {key}: ", file.display())),
            "{text}"
        );
    }
    assert!(text.contains("3 mistakes"), "{text}");
}

#[test]
fn check_names_bad_flows_keys_and_files_all_at_once() {
    let folder = Folder::new("all-at-once");
    let flow = folder.write(
        "desk.toml",
        "start = \"hello\"\n\
         [step.hello]\nsay = \"Hello.\"\n\
         expect = [{ phrases = [\"offhookery please\"], then = \"bye\" }]\n\
         [step.bye]\nsay = \"Goodbye.\"\nhangup = true\n",
    );
    let unreachable = folder.write(
        "island.toml",
        "start = \"bye\"\n\
         [step.bye]\nsay = \"Goodbye.\"\nhangup = true\n\
         [step.island]\nsay = \"Hello.\"\nthen = \"bye\"\n",
    );
    let file = folder.write(
        "offhook.toml",
        "[sip]\nlisten = [\"udp:127.0.0.1:5060\"]\ncolour = \"blue\"\n\
         tls = { certificate = \"/dev/null\", key_file = \"nowhere.pem\" }\n\
         [agent.desk]\nkind = \"flow\"\nflow = \"desk.toml\"\n\
         [agent.island]\nkind = \"flow\"\nflow = \"island.toml\"\n\
         [[route]]\nagent = \"nobody\"\n",
    );
    let (output, text) = output(offhook().args(["check", "--config"]).arg(&file));
    assert_eq!(output.status.code(), Some(1), "{text}");
    for (key, words) in [
        ("sip.colour", "unknown key".to_owned()),
        ("sip.tls.key_file", "nowhere.pem cannot be read".to_owned()),
        ("agent.desk.flow", flow.display().to_string()),
        ("agent.desk.flow", "offhookery".to_owned()),
        ("agent.island.flow", unreachable.display().to_string()),
        ("agent.island.flow", "island".to_owned()),
        ("route[0].agent", "nobody".to_owned()),
    ] {
        let begin = format!("mistake: {}: {key}: ", file.display());
        assert!(
            text.lines()
                .any(|line| line.starts_with(&begin) && line.contains(&words)),
            "{key} {words}: {text}"
        );
    }
}

#[test]
fn check_draws_the_flow_of_a_file_or_an_agent_as_text_or_as_a_graph() {
    let flow = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../deploy/flows/front-desk.toml"
    );
    let example = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../deploy/offhook.example.toml"
    );
    let drawn = |arguments: &[&str]| {
        let (output, text) = output(offhook().arg("check").args(arguments));
        assert_eq!(output.status.code(), Some(0), "{text}");
        text
    };
    let of_file = drawn(&["--draw", flow]);
    let begin = "welcome  \"Hello, this is the front desk.";
    assert!(of_file.starts_with(begin), "{of_file}");
    let of_agent = drawn(&["--config", example, "--draw", "front-desk"]);
    assert_eq!(of_agent, of_file);
    let of_all = drawn(&["--config", example, "--draw"]);
    assert!(
        of_all.contains(&of_file) && of_all.contains("agent night-desk\n"),
        "{of_all}"
    );
    assert!(drawn(&["--draw=dot", flow]).starts_with("digraph flow {\n"));
    assert!(drawn(&["--draw=mermaid", flow]).starts_with("flowchart TD\n"));
    let checked = drawn(&[flow]);
    assert_eq!(checked, format!("{flow}: no mistakes, no warnings\n"));
}

#[test]
fn check_draws_nothing_of_a_flow_with_mistakes_and_of_agents_without_one() {
    let folder = Folder::new("draw");
    let lost = folder.write("lost.toml", "start = \"a\"\n[step.a]\nthen = \"b\"\n");
    let strange = folder.write(
        "strange.toml",
        "start = \"a\"\n[step.a]\nsay = \"A?\"\nexpect = [{ phrases = [\"xyzzyq\"], then = \"b\" }]\n\
         [step.b]\nhangup = true\n",
    );
    for (file, what) in [(lost, "there is no step \"b\""), (strange, "\"xyzzyq\"")] {
        let (output, text) = output(offhook().args(["check", "--draw=dot"]).arg(&file));
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(
            text.starts_with("mistake: ") && text.contains(what),
            "{text}"
        );
        assert!(text.ends_with(": 1 mistake, no warnings\n"), "{text}");
    }
    let example = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../deploy/offhook.example.toml"
    );
    for name in ["echo", "nobody"] {
        let arguments = ["check", "--config", example, "--draw", name];
        let (output, text) = output(offhook().args(arguments));
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains("there is no agent"), "{text}");
    }
}

#[test]
fn run_names_a_taken_control_port_and_exits_with_3() {
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap();
    let folder = Folder::new("taken-control");
    let file = folder.write("offhook.toml", own_ports());
    let set = format!("control.listen=\"{taken}\"");
    let (output, text) = output(offhook().args(["run", "--set", &set, "--config"]).arg(file));
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(
        text.contains(&format!("control.listen: cannot listen on {taken}")),
        "{text}"
    );
}

#[test]
fn a_wrong_command_line_exits_with_2() {
    assert_eq!(output(offhook().arg("dial")).0.status.code(), Some(2));
    assert_eq!(
        output(offhook().args(["demo", "--listen", "here"]))
            .0
            .status
            .code(),
        Some(2)
    );
}

#[test]
fn run_names_a_taken_port_and_exits_with_3() {
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap();
    let folder = Folder::new("taken");
    let file = folder.write("offhook.toml", own_ports());
    let (output, text) = output(
        offhook()
            .args([
                "run",
                "--set",
                &format!("sip.listen=[\"udp:{taken}\"]"),
                "--config",
            ])
            .arg(file),
    );
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(
        text.contains(&format!(
            "sip.listen: cannot listen on {taken}: another program has this port"
        )),
        "{text}"
    );
}

/// The service manager's end of its socket.
struct ServiceManager {
    socket: UnixDatagram,
    folder: Folder,
}

impl ServiceManager {
    fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        let socket = UnixDatagram::bind(folder.0.join("notify")).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self { socket, folder }
    }

    /// Runs the program under this service manager, which wants to hear of it five times a second.
    fn run(&self, stderr: Stdio) -> Running {
        let file = self.folder.write("offhook.toml", own_ports());
        let child = offhook()
            .args(["run", "--config"])
            .arg(&file)
            .env("NOTIFY_SOCKET", self.folder.0.join("notify"))
            .env("WATCHDOG_USEC", "200000")
            .stdin(Stdio::null())
            .stderr(stderr)
            .spawn()
            .unwrap();
        Running(child)
    }

    /// Waits for a message with the line `expected`.
    fn hears(&self, expected: &str) {
        let mut datagram = [0; 1024];
        loop {
            let length = self
                .socket
                .recv(&mut datagram)
                .unwrap_or_else(|error| panic!("no {expected}: {error}"));
            let text = String::from_utf8_lossy(&datagram[..length]);
            if text.lines().any(|line| line == expected) {
                return;
            }
        }
    }
}

#[test]
fn the_service_manager_hears_ready_and_stopping_and_sigterm_ends_with_0() {
    let manager = ServiceManager::new("notify");
    let mut running = manager.run(Stdio::null());
    manager.hears("READY=1");
    manager.hears("WATCHDOG=1");
    // Heard and survived: the daemon goes on feeding.
    running.signal(libc::SIGHUP);
    manager.hears("WATCHDOG=1");
    manager.hears("WATCHDOG=1");
    running.signal(libc::SIGTERM);
    manager.hears("STOPPING=1");
    assert_eq!(running.exit_code(), Some(0));
}

#[test]
fn when_the_service_manager_hears_ready_readyz_says_so_too_and_the_watchdog_found_nothing() {
    let manager = ServiceManager::new("ready");
    let mut running = manager.run(Stdio::piped());
    manager.hears("READY=1");
    let log = BufReader::new(running.0.stderr.take().unwrap());
    let mut before = Vec::new();
    let control = before_deadline(running.0.id(), || {
        log.lines().map_while(Result::ok).find_map(|line| {
            let control = line.split_once("control=");
            let address = control.map(|(_, rest)| rest.split(' ').next().unwrap().to_owned());
            before.push(line);
            address
        })
    });
    let control = control.unwrap_or_else(|| panic!("no address in {before:#?}"));
    let mut stream = TcpStream::connect(control).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
        .write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(
        !before.iter().any(|line| line.contains("not fed")),
        "{before:#?}"
    );
    running.signal(libc::SIGTERM);
    assert_eq!(running.exit_code(), Some(0));
}
