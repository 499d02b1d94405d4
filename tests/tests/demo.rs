//! `offhook demo` as a newcomer meets it: also where another program has its ports it says how to be called, can be
//! called, and shows the call.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::Command;
use std::time::Duration;

use offhook_tests::child::Program;
use offhook_tests::daemon;
use offhook_tests::http;
use offhook_tests::phone::Phone;
use offhook_tests::ports::PortBlock;
use offhook_tests::scratch::Scratch;
use offhook_tests::sip_text;
use offhook_tests::wait::wait_until;

/// For what happens at once, in a debug build on a busy machine.
const PROMPTLY: Duration = Duration::from_secs(20);

/// A demo that runs, with what it printed.
struct Demo {
    program: Program,
    _folder: Scratch,
}

impl Demo {
    fn start(sip: SocketAddr, control: SocketAddr, rtp: &std::ops::Range<u16>) -> Self {
        let folder = Scratch::new("demo").expect("a folder");
        let mut command = Command::new(daemon::binary().expect("a daemon"));
        let settings = [
            format!("sip.listen=[\"udp:{sip}\"]"),
            format!("control.listen=\"{control}\""),
            format!("media.ports=\"{}-{}\"", rtp.start, rtp.end - 1),
            "limits.calls=4".to_owned(),
        ];
        command
            .arg("demo")
            .args(settings.iter().flat_map(|setting| ["--set", setting]))
            .current_dir(folder.path())
            .env_remove("NOTIFY_SOCKET")
            .env_remove("JOURNAL_STREAM");
        let program = Program::start("offhook", command, folder.file("output")).expect("a demo");
        Self {
            program,
            _folder: folder,
        }
    }

    /// Waits until what it printed tells `read` what it wants to know.
    fn says<T>(&self, what: &str, read: impl Fn(&str) -> Option<T>) -> T {
        let said = wait_until(what, PROMPTLY, || read(&self.program.log()));
        said.unwrap_or_else(|why| panic!("{why}\n{}", self.program.log()))
    }

    /// Which address it uses in the place of `taken`.
    fn instead_of(&self, taken: SocketAddr) -> SocketAddr {
        let begin = format!("{taken} is taken by another program; using ");
        self.says("another address", |text| {
            let (_, rest) = text.split_once(&begin)?;
            rest.split_once(" instead.")?.0.parse().ok()
        })
    }
}

#[test]
fn where_its_ports_are_taken_it_uses_the_next_says_how_to_call_it_and_shows_the_call() {
    let ports = PortBlock::take(64).expect("ports");
    let (sip, control) = (ports.address(1), ports.address(10));
    let _others = (
        UdpSocket::bind(sip).expect("its port"),
        TcpListener::bind(control).expect("its port"),
    );
    let mut demo = Demo::start(sip, control, &ports.run(20));
    let (sip, control) = (demo.instead_of(sip), demo.instead_of(control));
    assert_eq!((sip, control), (ports.address(2), ports.address(11)));

    let instructions = demo.says("instructions", |text| {
        text.contains("Control-C ends it.").then(|| text.to_owned())
    });
    for line in [
        format!("with a softphone:  dial sip:front-desk@{sip}"),
        "demo --call".to_owned(),
        format!("sipp -sn uac -s echo -m 1 -d 3000 {sip}"),
        format!("http://{control}/"),
    ] {
        assert!(instructions.contains(&line), "{line}: {instructions}");
    }

    demo.says("readiness", |_| {
        (http::status(control, "/readyz") == Some(200)).then_some(())
    });
    let mut phone = Phone::new(sip, "play", "newcomer").expect("a phone");
    phone.caller.number = "newcomer".to_owned();
    let answer = phone.call().expect("an answer");
    assert_eq!(sip_text::status(&answer), Some(200), "{answer}");
    let page = http::get(control, "/").expect("the page");
    assert!(page.1.contains("/console.js"), "{}", page.1);
    demo.says("the call as one that talks", |_| {
        let (_, calls) = http::get(control, "/v1/calls").ok()?;
        let is_ours = ["\"from\":\"newcomer\"", "\"agent\":\"play\"", "\"count\":1"]
            .iter()
            .all(|part| calls.contains(part));
        (is_ours && calls.contains("\"state\":\"talking\"")).then_some(())
    });
    let answer = phone.hang_up().expect("an answer");
    assert_eq!(sip_text::status(&answer), Some(200), "{answer}");
    demo.says("an empty list", |_| {
        let (_, calls) = http::get(control, "/v1/calls").ok()?;
        calls.contains("\"count\":0").then_some(())
    });

    demo.program.signal(libc::SIGINT);
    let ended = demo.program.wait(PROMPTLY);
    assert!(
        ended.is_ok_and(|status| status.success()),
        "{}",
        demo.program.log()
    );
}
