//! What a process costs, read from outside: processor time by its clock, memory and dropped datagrams by the kernel's
//! books. Nothing is asked of the process itself, so programs in any language are measured alike.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::time::Duration;

/// Reads the cost of one process and of all its descendants.
#[derive(Debug, Clone, Copy)]
pub struct ProcessGauge {
    pid: u32,
}

/// Memory in bytes, summed over a process and its descendants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// Resident set size.
    pub resident: u64,
    /// Proportional set size: shared pages counted by share.
    pub proportional: u64,
}

impl ProcessGauge {
    /// A gauge for process `pid`.
    pub fn new(pid: u32) -> Self {
        Self { pid }
    }

    /// Processor time used so far, user and system, threads that have ended included. From the kernel's per-process
    /// clock, which has nanosecond steps where `/proc/PID/stat` has 10 ms ones.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn processor_time(&self) -> io::Result<Duration> {
        let mut total = clock_of(self.pid)?;
        for descendant in descendants(self.pid) {
            // A child may end between the listing and the reading; what it used is then lost to this gauge.
            total += clock_of(descendant).unwrap_or_default();
        }
        Ok(total)
    }

    /// Memory in use now.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn memory(&self) -> io::Result<Memory> {
        let mut total = memory_of(self.pid)?;
        for descendant in descendants(self.pid) {
            let memory = memory_of(descendant).unwrap_or_default();
            total.resident += memory.resident;
            total.proportional += memory.proportional;
        }
        Ok(total)
    }

    /// Its children and theirs, by process id. Empty when it is gone.
    pub fn descendants(&self) -> Vec<u32> {
        descendants(self.pid)
    }

    /// The number of threads of the process itself.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn threads(&self) -> io::Result<usize> {
        Ok(fs::read_dir(format!("/proc/{}/task", self.pid))?.count())
    }
}

/// Datagrams the kernel threw away because the sockets on these local UDP ports were full, since each was opened.
///
/// # Errors
/// When the kernel's table cannot be read.
pub fn dropped_datagrams(ports: &BTreeSet<u16>) -> io::Result<u64> {
    let table = fs::read_to_string("/proc/net/udp")?;
    Ok(table
        .lines()
        .filter_map(port_and_drops)
        .filter(|(port, _)| ports.contains(port))
        .map(|(_, drops)| drops)
        .sum())
}

/// One line of `/proc/net/udp`: `sl local_address rem_address … drops`.
fn port_and_drops(line: &str) -> Option<(u16, u64)> {
    let mut fields = line.split_ascii_whitespace();
    let (_, port) = fields.nth(1)?.split_once(':')?;
    Some((
        u16::from_str_radix(port, 16).ok()?,
        fields.last()?.parse().ok()?,
    ))
}

fn clock_of(pid: u32) -> io::Result<Duration> {
    let mut clock = 0;
    // SAFETY: `clock` is a valid place to write to.
    let refused = unsafe { libc::clock_getcpuclockid(pid as libc::pid_t, &mut clock) };
    if refused != 0 {
        return Err(io::Error::from_raw_os_error(refused));
    }
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid place to write to.
    if unsafe { libc::clock_gettime(clock, &mut time) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

fn memory_of(pid: u32) -> io::Result<Memory> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let bytes = |name: &str| {
        let line = rollup.lines().find_map(|line| line.strip_prefix(name));
        let kibibytes =
            line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse::<u64>().ok());
        kibibytes.unwrap_or(0) * 1024
    };
    Ok(Memory {
        resident: bytes("Rss:"),
        proportional: bytes("Pss:"),
    })
}

/// All children of `pid`, and theirs. Empty when the process is gone.
fn descendants(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let mut unread = vec![pid];
    while let Some(parent) = unread.pop() {
        let Ok(tasks) = fs::read_dir(format!("/proc/{parent}/task")) else {
            continue;
        };
        for task in tasks.flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            let children = children
                .split_ascii_whitespace()
                .filter_map(|child| child.parse::<u32>().ok());
            for child in children {
                found.push(child);
                unread.push(child);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn our_own_process_uses_processor_time_and_memory() {
        let gauge = ProcessGauge::new(std::process::id());
        assert!(gauge.processor_time().expect("alive") > Duration::ZERO);
        assert!(gauge.memory().expect("alive").resident > 100_000);
        assert!(gauge.threads().expect("alive") >= 1);
    }

    #[test]
    fn a_full_socket_counts_what_it_drops() {
        let full = UdpSocket::bind("127.0.0.1:0").expect("socket");
        let address = full.local_addr().expect("address");
        let sender = UdpSocket::bind("127.0.0.1:0").expect("socket");
        let ports = BTreeSet::from([address.port()]);
        assert_eq!(dropped_datagrams(&ports).expect("table"), 0);
        for _ in 0..2_000 {
            sender.send_to(&[0; 1_000], address).expect("send");
        }
        assert!(dropped_datagrams(&ports).expect("table") > 0);
    }
}
