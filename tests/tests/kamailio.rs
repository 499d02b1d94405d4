//! Kamailio between our nodes, and between us and SIPp: we register with it, calls keep to the route it records, over
//! UDP, over TLS and from one to the other, and its dispatcher takes a node that drains out of service.

use std::net::SocketAddr;
use std::time::Duration;

use offhook_tests::authority::Authority;
use offhook_tests::daemon::{Daemon, DaemonSetup};
use offhook_tests::kamailio::{Kamailio, KamailioSetup, PASSWORD, Passed};
use offhook_tests::phone::Phone;
use offhook_tests::scratch::Scratch;
use offhook_tests::sip_text;
use offhook_tests::sipp::SippRun;
use offhook_tests::wait::wait_until;
use offhook_tests::wav::Heard;
use serde_json::Value;

/// For what happens at once, on a busy machine.
const PROMPTLY: Duration = Duration::from_secs(10);
/// One story, on a busy machine.
const STORY: Duration = Duration::from_secs(30);

/// The channels of a recording.
const FAR_END: usize = 0;
const AGENT: usize = 1;

/// How a node and the proxy speak with each other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Over {
    Udp,
    Tls,
}

impl Over {
    const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tls => "tls",
        }
    }
}

/// The proxy, who vouches for everybody, and the files of the nodes.
struct Trunk {
    kamailio: Kamailio,
    authority: Authority,
    files: Scratch,
}

impl Trunk {
    fn new() -> Self {
        let (authority, files) = (
            Authority::new("trunk"),
            Scratch::new("nodes").expect("a folder"),
        );
        std::fs::write(files.file("authority.pem"), authority.pem()).expect("a file");
        std::fs::write(files.file("password"), PASSWORD).expect("a file");
        let setup = KamailioSetup {
            authority: Some(&authority),
            nodes: Vec::new(),
        };
        let kamailio = Kamailio::start(&setup).expect("kamailio");
        Self {
            kamailio,
            authority,
            files,
        }
    }

    /// A node that has registered as `name`, and answers as agent `echo`.
    fn node(&self, name: &'static str, over: Over) -> Daemon {
        let daemon = Daemon::start(&self.setup(name, over)).expect("a daemon");
        let is_so = |trunk: &Value| trunk["registration"] == "registered";
        let registered = daemon.trunk_becomes(PROMPTLY, is_so);
        registered.unwrap_or_else(|why| {
            panic!("{why}\n{}\n{}", daemon.log(), self.kamailio.log());
        });
        let told = format!("registered {name} by {}", over.name());
        self.kamailio.tells(&told).expect("a registration");
        daemon
    }

    fn setup(&self, name: &'static str, over: Over) -> DaemonSetup {
        let file = |name: &str| self.files.file(name);
        let identity = self.authority.sign("127.0.0.1");
        let (certificate, key) = (file(&format!("{name}.pem")), file(&format!("{name}.key")));
        std::fs::write(&certificate, identity.pem()).expect("a file");
        std::fs::write(&key, identity.key_pem()).expect("a file");
        let tls = format!(
            "{{ certificate = {certificate:?}, key_file = {key:?}, ca_file = {:?} }}",
            file("authority.pem")
        );
        let address = match over {
            Over::Udp => self.kamailio.udp(),
            Over::Tls => self.kamailio.tls(),
        };
        DaemonSetup {
            calls: 10,
            calls_per_second: 20,
            tls: (over == Over::Tls).then_some(tls),
            trunk_keys: format!(
                "address = \"{address}\"\ntransport = \"{}\"\nregister = true\nregister_for_s = 60\n\
                 username = \"{name}\"\npassword_file = {:?}\naccept_refer = true\n",
                over.name(),
                file("password")
            ),
            more: format!(
                "[records]\nrecordings = {:?}\n\n\
                 [agent.told]\nkind = \"play\"\nfile = \"tone.wav\"\nrecord = true\n\n\
                 [[route]]\nto = \"{name}\"\nagent = \"echo\"\n",
                file(&format!("{name}-recordings"))
            ),
            ..DaemonSetup::default()
        }
    }

    /// What the one recording of a node has so far.
    fn recording(&self, name: &str, channel: usize) -> Option<Heard> {
        let folder = self.files.file(&format!("{name}-recordings"));
        let mut files = std::fs::read_dir(folder).ok()?.flatten();
        Heard::read_channel(&files.next()?.path(), channel)
    }

    /// The requests inside calls that went through the proxy, as `METHOD transport` from `source`.
    fn inside(&self, method: &str) -> Vec<Passed> {
        let mut passed = self.kamailio.passed();
        passed.retain(|passed| passed.inside && passed.method == method);
        passed
    }

    #[track_caller]
    fn nothing_went_astray(&self) {
        let log = self.kamailio.log();
        assert!(!log.contains("astray"), "{log}");
    }
}

/// The id of the one call of a node, when it is up.
#[track_caller]
fn talking(node: &Daemon) -> String {
    let id = wait_until("a call that is up", PROMPTLY, || {
        let calls = node.live_calls().ok()?;
        let call = calls.iter().find(|call| call["state"] == "talking")?;
        call["id"].as_str().map(str::to_owned)
    });
    id.unwrap_or_else(|why| panic!("{why}\n{}", node.log()))
}

#[track_caller]
fn control(node: &Daemon, id: &str, what: &str) {
    // Another change may still be open.
    let done = wait_until("room for a change", PROMPTLY, || {
        node.control_call(id, what).ok()
    });
    done.unwrap_or_else(|why| panic!("{what}: {why}\n{}", node.log()));
}

#[track_caller]
fn over(node: &Daemon) {
    let over = wait_until("the end of every call", PROMPTLY, || {
        node.live_calls().ok()?.is_empty().then_some(())
    });
    assert!(over.is_ok(), "{over:?}\n{}", node.log());
}

/// How a node leaves is shown where it matters; elsewhere it would wait for repetitions of a BYE.
fn end<const N: usize>(nodes: [Daemon; N]) {
    for mut node in nodes {
        node.signal(libc::SIGKILL);
    }
}

/// Calls, and gives what it was answered; a call that was taken is ended.
fn called(target: SocketAddr, user: &str, call_id: &str) -> Option<u16> {
    let mut phone = Phone::new(target, user, call_id).expect("a phone");
    let status = sip_text::status(&phone.call().expect("an answer"));
    if status == Some(200) {
        let bye = phone.hang_up().expect("an answer");
        assert_eq!(sip_text::status(&bye), Some(200), "{bye}");
    }
    status
}

// --- Registration -----------------------------------------------------------------------------------

#[test]
fn a_node_registers_by_digest_is_called_where_it_registered_and_is_gone_when_it_stops() {
    let trunk = Trunk::new();
    let kamailio = &trunk.kamailio;
    assert_eq!(called(kamailio.udp(), "node-a", "before"), Some(404));
    let node = trunk.node("node-a", Over::Udp);
    assert_eq!(kamailio.told("challenged node-a"), 1);
    assert_eq!(called(kamailio.udp(), "node-a", "during"), Some(200));
    let invites: Vec<Passed> = kamailio.passed();
    let invite = invites.iter().find(|passed| passed.method == "INVITE");
    let next = invite.map(|invite| invite.next.clone()).unwrap_or_default();
    assert_eq!(next, format!("sip:node-a@{}", node.sip()));
    over(&node);
    let (status, log) = node.stop().expect("the daemon ends");
    assert!(status.success(), "{status}: {log}");
    kamailio.tells("unregistered node-a").expect("its leave");
    assert_eq!(called(kamailio.udp(), "node-a", "after"), Some(404));
}

// --- Routes -----------------------------------------------------------------------------------------

#[test]
fn changes_by_caller_and_node_and_the_callers_bye_take_the_recorded_route() {
    let trunk = Trunk::new();
    let node = trunk.node("node-a", Over::Udp);
    let mut run = SippRun::story("kamailio/both_change", trunk.kamailio.udp(), "node-a");
    run.limit = STORY;
    let caller = run.start().expect("a caller");
    let sipp = caller.sip();
    let taken_back = wait_until("the caller's own changes", PROMPTLY, || {
        caller.messages().contains("CSeq: 3 ACK").then_some(())
    });
    taken_back.unwrap_or_else(|why| panic!("{why}\n{}", node.log()));
    control(&node, &talking(&node), "hold");
    let outcome = caller.finish().expect("an outcome");
    outcome.assert_all(1);
    over(&node);
    trunk.nothing_went_astray();
    let sources = |method: &str| {
        let passed = trunk.inside(method);
        passed
            .iter()
            .map(|passed| passed.source)
            .collect::<Vec<_>>()
    };
    assert_eq!(sources("INVITE"), [sipp, sipp, node.sip()]);
    assert_eq!(sources("ACK"), [sipp, sipp, sipp, node.sip()]);
    assert_eq!(sources("BYE"), [sipp]);
    end([node]);
}

#[test]
fn two_nodes_talk_through_a_proxy_over_udp() {
    two_nodes_talk(Over::Udp, Over::Udp);
}

#[test]
fn two_nodes_talk_through_a_proxy_over_tls() {
    two_nodes_talk(Over::Tls, Over::Tls);
}

#[test]
fn two_nodes_talk_through_a_proxy_that_records_two_routes_from_udp_to_tls() {
    two_nodes_talk(Over::Udp, Over::Tls);
}

#[test]
fn two_nodes_talk_through_a_proxy_that_records_two_routes_from_tls_to_udp() {
    two_nodes_talk(Over::Tls, Over::Udp);
}

/// Node A calls node B: audio both ways, a change by each, B hangs up, and all of it goes through the proxy, each side
/// by its own transport.
fn two_nodes_talk(caller: Over, callee: Over) {
    let trunk = Trunk::new();
    let a = trunk.node("node-a", caller);
    let b = trunk.node("node-b", callee);
    let answer = a.place("node-b", "told", "answered").expect("a call");
    assert_eq!(
        answer["state"],
        "talking",
        "{answer}\n{}\n{}",
        a.log(),
        trunk.kamailio.log()
    );
    let at_a = answer["id"].as_str().expect("an id");
    let at_b = talking(&b);
    // The tone that A plays, and that tone as B sends it back.
    let heard = wait_until("a second of audio both ways", PROMPTLY, || {
        let audible_ms = |channel| Some(trunk.recording("node-a", channel)?.audible_ms(0));
        (audible_ms(AGENT)? >= 1_000 && audible_ms(FAR_END)? >= 1_000).then_some(())
    });
    heard.unwrap_or_else(|why| panic!("{why}\n{}\n{}", a.log(), b.log()));
    for (node, id) in [(&a, at_a), (&b, at_b.as_str())] {
        control(node, id, "hold");
        control(node, id, "resume");
    }
    wait_until("four changes and their ACKs", PROMPTLY, || {
        (trunk.inside("ACK").len() >= 5).then_some(())
    })
    .unwrap_or_else(|why| panic!("{why}\n{}", trunk.kamailio.log()));
    control(&b, &at_b, "hang up");
    over(&a);
    over(&b);
    trunk.nothing_went_astray();
    let transports = |method: &str| {
        let passed = trunk.inside(method);
        passed
            .into_iter()
            .map(|passed| passed.transport)
            .collect::<Vec<_>>()
    };
    let (from_a, from_b) = (caller.name(), callee.name());
    // B's may be one more: a change that meets the other's ACK on its way is tried again (RFC 3261 14.1). In which order
    // the proxy's processes tell of them is theirs.
    for (method, of_a) in [("INVITE", 2), ("ACK", 3)] {
        let mut passed = transports(method);
        passed.sort_unstable();
        let by_both = [2, 3].map(|of_b| {
            let mut expected = [vec![from_a; of_a], vec![from_b; of_b]].concat();
            expected.sort_unstable();
            expected
        });
        assert!(
            by_both.iter().any(|expected| passed == *expected),
            "{method}: {passed:?}"
        );
    }
    assert_eq!(transports("BYE"), [from_b]);
    end([a, b]);
}

#[test]
fn a_refer_and_its_news_take_the_recorded_route_and_the_next_call_goes_by_the_proxy_too() {
    let trunk = Trunk::new();
    let a = trunk.node("node-a", Over::Udp);
    let b = trunk.node("node-b", Over::Tls);
    let c = trunk.node("node-c", Over::Udp);
    let answer = a.place("node-b", "tone", "answered").expect("a call");
    let id = answer["id"].as_str().expect("an id");
    let target = format!("sip:node-c@{}", trunk.kamailio.udp());
    let outcome = a.transfer(id, &target, 10);
    let outcome = outcome
        .unwrap_or_else(|why| panic!("{why}\n{}\n{}\n{}", a.log(), b.log(), trunk.kamailio.log()));
    assert_eq!(
        outcome["outcome"],
        "completed",
        "{outcome}\n{}\n{}\n{}",
        a.log(),
        b.log(),
        trunk.kamailio.log()
    );
    over(&a);
    control(&c, &talking(&c), "hang up");
    over(&b);
    over(&c);
    trunk.nothing_went_astray();
    let sources = |method: &str| {
        let passed = trunk.inside(method);
        let of = |passed: Passed| (passed.transport, passed.source == a.sip());
        passed.into_iter().map(of).collect::<Vec<_>>()
    };
    let udp_from_a = ("udp".to_owned(), true);
    let tls_from_b = ("tls".to_owned(), false);
    assert_eq!(sources("REFER"), [udp_from_a]);
    let news = sources("NOTIFY");
    assert!(
        !news.is_empty() && news.iter().all(|source| *source == tls_from_b),
        "{news:?}"
    );
    end([a, b, c]);
}

// --- Dispatcher -------------------------------------------------------------------------------------

#[test]
fn wound_66_a_node_that_drains_is_taken_out_while_its_call_goes_on_and_every_new_call_is_the_other_nodes()
 {
    let node = || {
        Daemon::start(&DaemonSetup {
            calls_per_second: 50,
            drain_s: 60,
            more: "[[route]]\nto = \"pool\"\nagent = \"echo\"\n".to_owned(),
            ..DaemonSetup::default()
        })
        .expect("a daemon")
    };
    let mut nodes = [node(), node()];
    let setup = KamailioSetup {
        authority: None,
        nodes: nodes.iter().map(Daemon::sip).collect(),
    };
    let kamailio = Kamailio::start(&setup).expect("kamailio");
    let taken = |nodes: &[Daemon], calls: [usize; 2]| {
        for (node, calls) in nodes.iter().zip(calls) {
            node.log_telling("call came in", calls);
        }
    };
    // In turn, as long as both serve.
    for n in 0..4 {
        let answer = called(kamailio.udp(), "pool", &format!("before-{n}"));
        assert_eq!(answer, Some(200), "{}", kamailio.log());
    }
    taken(&nodes, [2, 2]);

    let mut live = Phone::new(kamailio.udp(), "pool", "live").expect("a phone");
    let answer = live.call().expect("an answer");
    assert_eq!(sip_text::status(&answer), Some(200), "{answer}");
    // The calls before may be on their way out still.
    let first_has_it = wait_until("one call in all", PROMPTLY, || {
        let live = |node: &Daemon| Some(node.live_calls().ok()?.len());
        let live = (live(&nodes[0])?, live(&nodes[1])?);
        (live.0 + live.1 == 1).then_some(live.0 == 1)
    });
    if !first_has_it.expect("a call") {
        nodes.reverse();
    }
    taken(&nodes, [3, 2]);

    nodes[0].signal(libc::SIGTERM);
    // From the first moment on, also before the proxy has asked again.
    let mut run = SippRun::story("kamailio/short_call", kamailio.udp(), "pool");
    (run.calls, run.calls_per_second, run.limit) = (30, 10, STORY);
    run.more = ["-d", "100"].map(str::to_owned).to_vec();
    run.run().expect("an outcome").assert_all(30);
    let draining = nodes[0].sip();
    kamailio.tells(&format!("out sip:{draining}")).expect("out");
    let log = kamailio.log();
    let (_, since) = log.split_once("trunk: out ").expect("a sign");
    assert!(!since.contains(&format!("to sip:{draining}")), "{log}");
    taken(&nodes, [3, 32]);

    let bye = live.hang_up().expect("an answer");
    assert_eq!(sip_text::status(&bye), Some(200), "{bye}");
    let (status, log) = nodes[0].wait(PROMPTLY).expect("the daemon ends");
    assert!(status.success(), "{status}: {log}");
    assert_eq!(
        called(kamailio.udp(), "pool", "afterwards"),
        Some(200),
        "{}",
        kamailio.log()
    );
    end(nodes);
}
