//! A hundred thousand damaged datagrams at a daemon with calls up: the calls notice nothing, and neither does the next.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use offhook_tests::daemon::{Daemon, DaemonSetup};
use offhook_tests::http;
use offhook_tests::load::{self, Format, LoadPlan};
use offhook_tests::mutation::{Dice, mutate};
use offhook_tests::phone::Phone;
use offhook_tests::sip_text::{self, Caller};
use offhook_tests::wait::wait_until;

const DATAGRAMS: usize = 100_000;
/// Sent evenly: fifty seconds in all, which is longer than any transaction lives (32 s).
const PER_SECOND: usize = 2_000;
/// From this datagram on, 38 s from the first, as many transactions end as begin: what is kept for them has reached
/// its height, and the tables that hold them have grown for the last time.
const AT_HEIGHT: usize = 76_000;
/// Memory may rise by no more than this from there to the end: room for the allocator's ways, not for a leak of 200
/// bytes a datagram.
const GROWTH_BYTES: u64 = 4 << 20;
/// The daemon's memory is looked at this many times.
const LOOKS: usize = 100;
const SEED: u64 = 0x0ff0_0c0d_e000_0001;

#[test]
fn calls_are_undisturbed_by_a_hundred_thousand_damaged_datagrams() {
    let setup = DaemonSetup {
        calls: 300,
        calls_per_second: 1_000,
        // Who sends this much garbage is shut out before a parser sees it; here the parser is to see it all.
        limit_keys: "ban_after_bad_messages = 0",
        log: "error",
        ..DaemonSetup::default()
    };
    let mut daemon = Daemon::start(&setup).expect("a daemon");
    // Its own audio socket will send damaged RTP: what a stranger's socket sends never reaches a decoder.
    let mut victim = Phone::new(daemon.sip(), "echo", "victim").expect("a phone");
    assert_eq!(
        victim.call().ok().as_deref().and_then(sip_text::status),
        Some(200)
    );
    let plan = LoadPlan {
        target: daemon.sip(),
        user: "echo".to_owned(),
        peer_pid: daemon.pid(),
        format: Format::Pcmu,
        interrupts: false,
        answer_waits: Duration::ZERO,
        calls: 3,
        calls_per_second: 10,
        window: Duration::from_secs(120),
    };

    let attack = Attack::new(&daemon, &victim).expect("sockets");
    let outcome = load::run_during(&plan, || attack.run());

    assert!(
        daemon.is_alive(),
        "seed {SEED:#x}: the daemon ended:\n{}",
        daemon.log()
    );
    assert!(
        !daemon.log().contains("panicked"),
        "seed {SEED:#x}: {}",
        daemon.log()
    );
    let (report, memory) = outcome.expect("three calls");
    let memory = memory.expect("an attack");
    let found = report.json("under attack");
    assert_eq!(
        (report.up, report.failed(), report.lost()),
        (3, 0, (0, 0)),
        "seed {SEED:#x}: {found}"
    );
    // A debug build spends most of one processor on the attack, and shares the machine with other tests: a tick that
    // came a frame late is forgiven, a call that stands still is not.
    assert!(
        report.received * 100 >= report.sent * 95,
        "seed {SEED:#x}: {found}"
    );
    assert!(
        report.gaps.percentile_ms(0.99) < 60.0,
        "seed {SEED:#x}: {found}"
    );
    let (at_height, at_end) = (memory[AT_HEIGHT * LOOKS / DATAGRAMS], memory[LOOKS - 1]);
    assert!(
        at_end < at_height + GROWTH_BYTES,
        "seed {SEED:#x}: live bytes over time: {memory:?}"
    );
    // Calls that damaged INVITEs left half-made end after 64*T1.
    let mut tries = 0;
    let next = wait_until("a next call", Duration::from_secs(40), || {
        tries += 1;
        let mut phone = Phone::new(daemon.sip(), "echo", &format!("next-{tries}")).ok()?;
        let answer = phone.call().ok()?;
        (sip_text::status(&answer) == Some(200)).then(|| phone.hang_up())
    });
    assert!(next.is_ok(), "seed {SEED:#x}: {next:?}");
}

/// Everything that is thrown, and from where.
struct Attack {
    dice: Dice,
    sip: SocketAddr,
    rtp_ports: std::ops::Range<u16>,
    attacker: UdpSocket,
    victim_audio: UdpSocket,
    control: SocketAddr,
}

impl Attack {
    fn new(daemon: &Daemon, victim: &Phone) -> io::Result<Self> {
        let attacker = UdpSocket::bind("127.0.0.1:0")?;
        // Reading answers is also what paces the sending.
        attacker.set_read_timeout(Some(Duration::from_millis(1)))?;
        Ok(Self {
            dice: Dice::new(SEED),
            sip: daemon.sip(),
            rtp_ports: daemon.rtp_ports(),
            attacker,
            victim_audio: victim.rtp().try_clone()?,
            control: daemon.control(),
        })
    }

    fn live_memory(&self) -> io::Result<u64> {
        let (_, page) = http::get(self.control, "/metrics")?;
        let mut lines = page.lines();
        let value = lines.find_map(|line| line.strip_prefix("offhook_memory_live_bytes "));
        let bytes = value.and_then(|value| value.parse::<f64>().ok());
        bytes
            .map(|bytes| bytes as u64)
            .ok_or_else(|| io::Error::other("the metrics have no memory"))
    }

    /// Throws everything and gives what the daemon has allocated after each hundredth, in bytes.
    fn run(mut self) -> io::Result<Vec<u64>> {
        let mut memory = Vec::new();
        let begun = Instant::now();
        for n in 0..DATAGRAMS {
            while n > (begun.elapsed().as_secs_f64() * PER_SECOND as f64) as usize {
                self.end_calls_that_were_answered();
            }
            self.throw(n)?;
            if n % (DATAGRAMS / LOOKS) == 0 {
                memory.push(self.live_memory()?);
            }
        }
        Ok(memory)
    }

    /// Half SIP, a quarter intact INVITEs with damaged SDP, a quarter RTP.
    fn throw(&mut self, n: usize) -> io::Result<()> {
        match n % 4 {
            0 | 1 => {
                let message = self.message(n);
                let damaged = mutate(message.as_bytes(), &mut self.dice);
                self.attacker.send_to(&damaged, self.sip)?;
            }
            2 => {
                let invite = self.invite_with_damaged_sdp(n)?;
                self.attacker.send_to(&invite, self.sip)?;
            }
            _ => {
                let damaged = mutate(&rtp_packet(n), &mut self.dice);
                let port = self.rtp_ports.start + self.dice.below(self.rtp_ports.len()) as u16;
                // Ports nobody has open answer with ICMP, which a later send on the socket may report.
                let _ = self.attacker.send_to(&damaged, (self.sip.ip(), port));
                let _ = self.victim_audio.send(&damaged);
            }
        }
        Ok(())
    }

    fn caller(&self, n: usize) -> io::Result<Caller> {
        Ok(Caller::new(
            self.attacker.local_addr()?,
            self.sip,
            "echo",
            format!("hostile-{n}"),
        ))
    }

    fn message(&mut self, n: usize) -> String {
        let Ok(mut caller) = self.caller(n) else {
            return String::new();
        };
        let media = SocketAddr::new(self.sip.ip(), 9);
        match self.dice.below(9) {
            0 | 1 => caller.invite(media),
            2 => caller.cancel(),
            3 => caller.ack(),
            4 => caller.request("REGISTER", 1, "1", ""),
            5 => caller.request("INFO", 9, "9", "Signal=5\r\nDuration=160\r\n"),
            6 => {
                // Into the dialog of a call that is up.
                caller.call_id = "victim".to_owned();
                caller.request("OPTIONS", 40, &format!("in-{n}"), "")
            }
            7 => caller
                .options()
                .replacen("OPTIONS sip:echo", "SIP/2.0 200 OK\r\nX: ", 1),
            _ => caller.options(),
        }
    }

    fn invite_with_damaged_sdp(&mut self, n: usize) -> io::Result<Vec<u8>> {
        let mut caller = self.caller(n)?;
        caller.call_id = format!("hostile-sdp-{n}");
        let invite = caller.invite(SocketAddr::new(self.sip.ip(), 9));
        let (head, sdp) = invite.split_once("\r\n\r\n").unwrap_or((&invite, ""));
        let damaged = mutate(sdp.as_bytes(), &mut self.dice);
        let head = match head.rsplit_once("Content-Length: ") {
            Some((before, _)) => format!("{before}Content-Length: {}\r\n\r\n", damaged.len()),
            None => head.to_owned(),
        };
        Ok([head.into_bytes(), damaged].concat())
    }

    /// Acknowledges and ends what was accepted after all, as an honest caller would; everything else is left hanging.
    fn end_calls_that_were_answered(&self) {
        let mut buffer = [0; 4_096];
        let Ok(length) = self.attacker.recv(&mut buffer) else {
            return;
        };
        let answer = String::from_utf8_lossy(&buffer[..length]);
        let accepted = sip_text::status(&answer).is_some_and(|status| (200..300).contains(&status));
        let ours = sip_text::header(&answer, "Call-ID").filter(|id| id.starts_with("hostile"));
        let Some(call_id) =
            ours.filter(|_| accepted && sip_text::method(&answer) == Some("INVITE"))
        else {
            return;
        };
        let Ok(local) = self.attacker.local_addr() else {
            return;
        };
        let mut caller = Caller::new(local, self.sip, "echo", call_id.to_owned());
        caller.learn(&answer);
        for request in [caller.ack(), caller.bye()] {
            // What is lost here ends by itself after 64*T1.
            let _ = self.attacker.send_to(request.as_bytes(), self.sip);
        }
    }
}

/// An RTP packet as the call itself might send it: version 2, PCMU, or a telephone-event now and then.
fn rtp_packet(n: usize) -> Vec<u8> {
    let sequence = (n as u16).to_be_bytes();
    let timestamp = (n as u32 * 160).to_be_bytes();
    let mut packet = vec![
        0x80,
        if n.is_multiple_of(3) { 101 } else { 0 },
        sequence[0],
        sequence[1],
    ];
    packet.extend(timestamp);
    packet.extend([0, 0, 0, 7]);
    match n.is_multiple_of(3) {
        true => packet.extend([5, 0x8a, 0, 160]),
        false => packet.extend([0xff; 160]),
    }
    packet
}
