//! What a banned source's flood costs the daemon, beside what receiving and dropping a datagram costs anybody.
//!
//! The same flood from one socket goes to a bare loop and to a daemon that has banned its
//! source. Processor time is counted for each datagram that was taken from the socket. Prints one line a round; ends with
//! 1 when the daemon needs more than twice as much in the median of them.

use std::collections::BTreeSet;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use offhook_tests::daemon::{Daemon, DaemonSetup};
use offhook_tests::process_gauge::{ProcessGauge, dropped_datagrams};
use offhook_tests::wait::wait_until;

const DATAGRAMS: u64 = 300_000;
const BYTES: usize = 400;
/// More than a trunk's address may send of what cannot be read before it is banned.
const GARBAGE: u64 = 2_000;
/// How many datagrams the daemon takes before it looks elsewhere.
const BATCH: usize = 64;
const ROUNDS: usize = 5;
const MOST: f64 = 2.0;

fn main() -> ExitCode {
    match measure() {
        Ok(ratio) if ratio <= MOST => ExitCode::SUCCESS,
        Ok(ratio) => {
            eprintln!("a banned datagram costs {ratio:.2} times a dropped one, more than {MOST}");
            ExitCode::FAILURE
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<f64, String> {
    let daemon = Daemon::start(&DaemonSetup {
        log: "error",
        ..DaemonSetup::default()
    })?;
    let text = |error: io::Error| error.to_string();
    let sender = UdpSocket::bind("127.0.0.2:0").map_err(text)?;
    let flood = Flood {
        sender: &sender,
        datagram: &[b'x'; BYTES],
    };
    flood
        .send(daemon.sip(), GARBAGE, Pace::Even)
        .map_err(text)?;
    wait_until("a ban", Duration::from_secs(5), || {
        let metrics = daemon.page("/metrics").ok()?;
        metrics
            .lines()
            .any(|line| line.starts_with("offhook_sip_bans_total 1"))
            .then_some(())
    })?;
    let mut ratios = Vec::new();
    for pace in [Pace::Even, Pace::FlatOut] {
        for _ in 0..ROUNDS {
            let bare = bare_loop(&flood, pace).map_err(text)?;
            let banned = banned(&flood, &daemon, pace).map_err(text)?;
            let ratio = banned.as_secs_f64() / bare.as_secs_f64();
            println!(
                "{pace:?}: a dropped datagram {bare:?}, a banned one {banned:?}, ratio {ratio:.2}"
            );
            ratios.push(ratio);
        }
    }
    ratios.sort_by(f64::total_cmp);
    let median = ratios[ratios.len() / 2];
    println!("median ratio {median:.2}");
    Ok(median)
}

/// How fast datagrams are sent.
#[derive(Clone, Copy, Debug)]
enum Pace {
    /// In bursts of a hundred, a hundred thousand a second.
    Even,
    /// As fast as the sender can.
    FlatOut,
}

struct Flood<'a> {
    sender: &'a UdpSocket,
    datagram: &'a [u8],
}

impl Flood<'_> {
    fn send(&self, to: SocketAddr, count: u64, pace: Pace) -> io::Result<()> {
        let begun = Instant::now();
        for sent in 0..count {
            if let Pace::Even = pace
                && sent.is_multiple_of(100)
            {
                let due = Duration::from_micros(sent * 10);
                thread::sleep(due.saturating_sub(begun.elapsed()));
            }
            self.sender.send_to(self.datagram, to)?;
        }
        Ok(())
    }
}

/// Processor time a datagram in a loop that receives and drops. It waits and drains as the daemon does, with as large
/// a buffer: one that sleeps for each datagram costs more than the daemon and would flatter it.
fn bare_loop(flood: &Flood<'_>, pace: Pace) -> io::Result<Duration> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_nonblocking(true)?;
    grow_receive_buffer(&socket);
    let address = socket.local_addr()?;
    let over = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&over);
    let receiver = thread::spawn(move || {
        let mut buffer = [0; 65_535];
        let mut received = 0;
        while wait(&socket) || !ended.load(Ordering::Relaxed) {
            for _ in 0..BATCH {
                if socket.recv_from(&mut buffer).is_err() {
                    break;
                }
                received += 1;
            }
        }
        (received, thread_time())
    });
    flood.send(address, DATAGRAMS, pace)?;
    over.store(true, Ordering::Relaxed);
    let (received, spent) = receiver.join().map_err(|_| io::ErrorKind::Other)?;
    Ok(spent.checked_div(received).unwrap_or_default())
}

/// Whether there is something to receive, within a fifth of a second.
fn wait(socket: &UdpSocket) -> bool {
    let mut waiting = libc::pollfd {
        fd: socket.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: `waiting` is one valid entry.
    unsafe { libc::poll(&raw mut waiting, 1, 200) > 0 }
}

fn grow_receive_buffer(socket: &UdpSocket) {
    let bytes: libc::c_int = 4 << 20;
    for option in [libc::SO_RCVBUF, libc::SO_RCVBUFFORCE] {
        // SAFETY: the descriptor is open, and the pointer and length describe one `c_int`.
        unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                option,
                (&raw const bytes).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            );
        }
    }
}

/// Processor time a datagram in the daemon, less what it uses when nothing comes.
fn banned(flood: &Flood<'_>, daemon: &Daemon, pace: Pace) -> io::Result<Duration> {
    let gauge = ProcessGauge::new(daemon.pid());
    let port = BTreeSet::from([daemon.sip().port()]);
    let idle = {
        let before = gauge.processor_time()?;
        thread::sleep(Duration::from_secs(1));
        gauge.processor_time()?.saturating_sub(before)
    };
    let (dropped_before, before) = (dropped_datagrams(&port)?, gauge.processor_time()?);
    let begun = Instant::now();
    flood.send(daemon.sip(), DATAGRAMS, pace)?;
    thread::sleep(Duration::from_millis(200));
    let spent = gauge.processor_time()?.saturating_sub(before);
    let spent = spent.saturating_sub(idle.mul_f64(begun.elapsed().as_secs_f64()));
    let received = DATAGRAMS - (dropped_datagrams(&port)? - dropped_before);
    let received = u32::try_from(received).unwrap_or(u32::MAX);
    Ok(spent.checked_div(received).unwrap_or_default())
}

/// Processor time of the calling thread.
fn thread_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid place to write to.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
