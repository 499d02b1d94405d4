//! Ports of a test's own, below the kernel's ephemeral range, so that tests in one process and test programs side by
//! side never meet.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::ops::Range;
use std::process;

/// Ports are lent in cells of this many.
const CELL: u16 = 64;
/// All cells lie in here: above the well-known programs, below Linux's ephemeral range (32768 and up).
const LENDABLE: Range<u16> = 10_240..32_704;

/// Claims are made on this loopback address, so that they take no port away from the programs, which use 127.0.0.1.
const CLAIMS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A run of ports on 127.0.0.1 that nobody else in these tests uses while this value lives.
///
/// A cell is claimed by holding a UDP socket on its first port, on another loopback address: the kernel frees it
/// however we end.
#[derive(Debug)]
pub struct PortBlock {
    ports: Range<u16>,
    _claims: Vec<UdpSocket>,
}

impl PortBlock {
    /// Borrows at least `count` ports in a row.
    ///
    /// # Errors
    /// `AddrInUse` when no run of free cells is left.
    pub fn take(count: u16) -> io::Result<Self> {
        let cells = count.max(1).div_ceil(CELL);
        let all_cells = (LENDABLE.end - LENDABLE.start) / CELL;
        // Programs side by side begin at different places, so that they rarely contend.
        let first = (process::id() as u16 % 97).wrapping_mul(3) % all_cells;
        for step in 0..all_cells {
            let cell = (first + step) % all_cells;
            if cell + cells > all_cells {
                continue;
            }
            let start = LENDABLE.start + cell * CELL;
            if let Some(claims) = claim(start, cells) {
                return Ok(Self {
                    ports: start..start + cells * CELL,
                    _claims: claims,
                });
            }
        }
        Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "no run of test ports is free",
        ))
    }

    /// The `n`th port of the block, counted from 0; even ports have even `n`.
    ///
    /// # Panics
    /// When `n` lies outside the block: a mistake in the test.
    pub fn port(&self, n: u16) -> u16 {
        let port = self.ports.start + n;
        assert!(
            port < self.ports.end,
            "port {n} of a block of {}",
            self.ports.len()
        );
        port
    }

    /// The `n`th port of the block as an address on loopback.
    pub fn address(&self, n: u16) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port(n)))
    }

    /// The ports from the `from`th up to the end of the block, as a range for a program that takes one.
    pub fn run(&self, from: u16) -> Range<u16> {
        self.ports.start + from..self.ports.end
    }
}

/// Whether some process has a UDP socket on `port`, by the kernel's own table: nothing is sent.
pub fn udp_port_is_bound(port: u16) -> bool {
    let entry = format!(":{port:04X} ");
    std::fs::read_to_string("/proc/net/udp")
        .is_ok_and(|table| table.lines().any(|line| line.contains(&entry)))
}

/// Whether some process listens for TCP connections on `port`, by the kernel's own table.
pub fn tcp_port_is_listening(port: u16) -> bool {
    let (here, listens) = (format!(":{port:04X}"), "0A");
    let is_it = |line: &str| {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        columns.get(1).is_some_and(|local| local.ends_with(&here))
            && columns.get(3) == Some(&listens)
    };
    std::fs::read_to_string("/proc/net/tcp").is_ok_and(|table| table.lines().any(is_it))
}

/// Claims `cells` neighbouring cells from port `start`, or none.
fn claim(start: u16, cells: u16) -> Option<Vec<UdpSocket>> {
    (0..cells)
        .map(|cell| UdpSocket::bind((CLAIMS, start + cell * CELL)).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_blocks_never_share_a_port() {
        let one = PortBlock::take(10).expect("ports");
        let other = PortBlock::take(200).expect("ports");
        assert!(one.ports.end <= other.ports.start || other.ports.end <= one.ports.start);
        assert!(other.ports.len() >= 200);
    }
}
