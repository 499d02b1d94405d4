//! A DNS server of a test's own on loopback: it says what it was told to say, and counts who asked. Encoded by hand,
//! so that a mistake in the resolver under test cannot hide itself.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

/// The longest the thread goes without looking whether it should end, if the datagram that says so is lost.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// A record; its name is the key it is set under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DnsRecord {
    /// A or AAAA, by the family.
    Address(IpAddr),
    /// Priority, weight, port, host.
    Srv(u16, u16, u16, String),
    /// Order, preference, service, replacement; the flag is `s` and the expression empty.
    Naptr(u16, u16, String, String),
    /// Another name for this one.
    Cname(String),
}

impl DnsRecord {
    /// An A or AAAA record.
    ///
    /// # Panics
    /// When `ip` is no address: a mistake in the test.
    pub fn address(ip: &str) -> Self {
        Self::Address(ip.parse().expect("an address"))
    }

    /// An SRV record.
    pub fn srv(priority: u16, weight: u16, port: u16, host: &str) -> Self {
        Self::Srv(priority, weight, port, host.to_owned())
    }

    /// A NAPTR record.
    pub fn naptr(order: u16, preference: u16, service: &str, replacement: &str) -> Self {
        Self::Naptr(
            order,
            preference,
            service.to_owned(),
            replacement.to_owned(),
        )
    }
}

/// What the server does about one name.
#[derive(Clone, Debug)]
enum Entry {
    Records { ttl_s: u32, records: Vec<DnsRecord> },
    Silence,
}

#[derive(Debug, Default)]
struct Zone {
    entries_by_name: BTreeMap<String, Entry>,
    queries_by_name: BTreeMap<String, usize>,
}

/// The server; it ends when this value is dropped.
///
/// A name it was not told about does not exist, and a type that a name lacks is an answer without records. Names are
/// compared in lower case and without the final dot.
#[derive(Debug)]
pub struct DnsServer {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    is_ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl DnsServer {
    /// Starts on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// The kernel's.
    pub fn start() -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_read_timeout(Some(BETWEEN_LOOKS))?;
        let address = socket.local_addr()?;
        let zone = Arc::new(Mutex::new(Zone::default()));
        let is_ending = Arc::new(AtomicBool::new(false));
        let (its_zone, its_end) = (zone.clone(), is_ending.clone());
        let thread = std::thread::Builder::new()
            .name("dns-server".to_owned())
            .spawn(move || serve(&socket, &its_zone, &its_end))?;
        Ok(Self {
            address,
            zone,
            is_ending,
            thread: Some(thread),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on `name` has exactly these records, for a minute.
    pub fn set(&self, name: &str, records: &[DnsRecord]) {
        self.set_for(name, 60, records);
    }

    /// The same, good for `ttl_s` seconds.
    pub fn set_for(&self, name: &str, ttl_s: u32, records: &[DnsRecord]) {
        let records = records.to_vec();
        self.put(name, Entry::Records { ttl_s, records });
    }

    /// From now on questions about `name` are not answered.
    pub fn silence(&self, name: &str) {
        self.put(name, Entry::Silence);
    }

    /// From now on `name` does not exist.
    pub fn remove(&self, name: &str) {
        lock(&self.zone).entries_by_name.remove(&key_of(name));
    }

    /// How often it was asked about `name`, by any type.
    pub fn queries(&self, name: &str) -> usize {
        let zone = lock(&self.zone);
        zone.queries_by_name
            .get(&key_of(name))
            .copied()
            .unwrap_or(0)
    }

    fn put(&self, name: &str, entry: Entry) {
        lock(&self.zone).entries_by_name.insert(key_of(name), entry);
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.is_ending.store(true, Ordering::Relaxed);
        // Wakes the thread; if the datagram is lost, its next look does.
        if let Ok(socket) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)) {
            let _ = socket.send_to(&[], self.address);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(zone: &Mutex<Zone>) -> MutexGuard<'_, Zone> {
    zone.lock().expect("nobody panics while holding the zone")
}

fn key_of(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

fn serve(socket: &UdpSocket, zone: &Mutex<Zone>, is_ending: &AtomicBool) {
    let mut buffer = [0; 4096];
    while !is_ending.load(Ordering::Relaxed) {
        let Ok((length, source)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        let Some(question) = Question::read(&buffer[..length]) else {
            continue;
        };
        if let Some(answer) = answer_to(&question, &mut lock(zone)) {
            let _ = socket.send_to(&answer, source);
        }
    }
}

const TYPE_A: u16 = 1;
const TYPE_CNAME: u16 = 5;
const TYPE_SOA: u16 = 6;
const TYPE_AAAA: u16 = 28;
const TYPE_SRV: u16 = 33;
const TYPE_NAPTR: u16 = 35;

/// What was asked.
struct Question {
    id: [u8; 2],
    name: String,
    type_: u16,
    /// Name, type and class as they came, to be repeated in the answer.
    bytes: Vec<u8>,
}

impl Question {
    /// The first question of a message (RFC 1035 4.1); `None` when there is none to read.
    fn read(message: &[u8]) -> Option<Self> {
        let id = [*message.first()?, *message.get(1)?];
        let mut at = 12;
        let mut labels = Vec::new();
        loop {
            let length = usize::from(*message.get(at)?);
            at += 1;
            if length == 0 {
                break;
            }
            let label = message.get(at..at + length)?;
            labels.push(String::from_utf8_lossy(label).into_owned());
            at += length;
        }
        let type_ = u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]);
        Some(Self {
            id,
            name: key_of(&labels.join(".")),
            type_,
            bytes: message.get(12..at + 4)?.to_vec(),
        })
    }
}

/// The answer, unless the name is one to be silent about.
fn answer_to(question: &Question, zone: &mut Zone) -> Option<Vec<u8>> {
    *zone
        .queries_by_name
        .entry(question.name.clone())
        .or_default() += 1;
    let mut answers = Vec::new();
    let mut owner = question.name.clone();
    let mut exists = true;
    // A few steps are enough for every test; a ring of names ends here as well.
    for _ in 0..8 {
        let (ttl_s, records) = match zone.entries_by_name.get(&owner) {
            Some(Entry::Silence) => return None,
            Some(Entry::Records { ttl_s, records }) => (*ttl_s, records),
            None => {
                exists = false;
                break;
            }
        };
        let mut next = None;
        for record in records {
            if let DnsRecord::Cname(target) = record {
                next = Some(key_of(target));
            } else if type_of(record) != question.type_ {
                continue;
            }
            answers.push(record_bytes(
                &owner,
                type_of(record),
                ttl_s,
                &data_of(record),
            ));
        }
        match next {
            Some(name) => owner = name,
            None => break,
        }
    }
    let is_negative = answers.is_empty();
    let code: u8 = if exists { 0 } else { 3 };
    let mut message = question.id.to_vec();
    // A response (QR), authoritative (AA), recursion desired and available.
    message.extend([0x85, 0x80 | code]);
    for count in [1, answers.len() as u16, u16::from(is_negative), 0] {
        message.extend(count.to_be_bytes());
    }
    message.extend(&question.bytes);
    message.extend(answers.concat());
    if is_negative {
        message.extend(start_of_authority());
    }
    Some(message)
}

/// What lets a resolver keep the answer that there is nothing, for a minute (RFC 2308).
fn start_of_authority() -> Vec<u8> {
    let mut data = [name_bytes("ns.test"), name_bytes("postmaster.test")].concat();
    for number in [1_u32, 3_600, 600, 86_400, 60] {
        data.extend(number.to_be_bytes());
    }
    record_bytes("", TYPE_SOA, 60, &data)
}

fn type_of(record: &DnsRecord) -> u16 {
    match record {
        DnsRecord::Address(IpAddr::V4(_)) => TYPE_A,
        DnsRecord::Address(IpAddr::V6(_)) => TYPE_AAAA,
        DnsRecord::Srv(..) => TYPE_SRV,
        DnsRecord::Naptr(..) => TYPE_NAPTR,
        DnsRecord::Cname(_) => TYPE_CNAME,
    }
}

fn data_of(record: &DnsRecord) -> Vec<u8> {
    match record {
        DnsRecord::Address(IpAddr::V4(ip)) => ip.octets().to_vec(),
        DnsRecord::Address(IpAddr::V6(ip)) => ip.octets().to_vec(),
        DnsRecord::Srv(priority, weight, port, host) => {
            let mut data = [priority, weight, port]
                .map(|number| number.to_be_bytes())
                .concat();
            data.extend(name_bytes(host));
            data
        }
        DnsRecord::Naptr(order, preference, service, replacement) => {
            let mut data = [order, preference]
                .map(|number| number.to_be_bytes())
                .concat();
            for text in ["s", service, ""] {
                data.push(text.len() as u8);
                data.extend(text.as_bytes());
            }
            data.extend(name_bytes(replacement));
            data
        }
        DnsRecord::Cname(target) => name_bytes(target),
    }
}

fn record_bytes(owner: &str, type_: u16, ttl_s: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = name_bytes(owner);
    bytes.extend(type_.to_be_bytes());
    bytes.extend([0, 1]);
    bytes.extend(ttl_s.to_be_bytes());
    bytes.extend((data.len() as u16).to_be_bytes());
    bytes.extend(data);
    bytes
}

/// A name as labels; `.` and nothing are the root.
fn name_bytes(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks for `name` by hand. Gives the response code and the count of answers, or `None` for silence.
    fn ask(server: &DnsServer, name: &str, type_: u16) -> Option<(u8, u16)> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(300)))
            .unwrap();
        let mut query = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        query.extend(name_bytes(name));
        query.extend(type_.to_be_bytes());
        query.extend([0, 1]);
        socket.send_to(&query, server.address()).unwrap();
        let mut answer = [0; 512];
        let length = socket.recv(&mut answer).ok()?;
        assert!(length > query.len() && answer[..2] == query[..2]);
        assert_eq!(answer[12..query.len()], query[12..]);
        Some((answer[3] & 15, u16::from_be_bytes([answer[6], answer[7]])))
    }

    #[test]
    fn it_says_what_it_was_told_last_and_counts_who_asked() {
        let server = DnsServer::start().unwrap();
        assert_eq!(ask(&server, "a.test", TYPE_A), Some((3, 0)));
        server.set(
            "A.test.",
            &[
                DnsRecord::address("192.0.2.1"),
                DnsRecord::srv(1, 1, 1, "h.test"),
            ],
        );
        assert_eq!(ask(&server, "a.TEST", TYPE_A), Some((0, 1)));
        assert_eq!(ask(&server, "a.test", TYPE_AAAA), Some((0, 0)));
        server.remove("a.test");
        assert_eq!(ask(&server, "a.test", TYPE_A), Some((3, 0)));
        assert_eq!((server.queries("a.test"), server.queries("b.test")), (4, 0));
    }

    #[test]
    fn a_silent_name_is_counted_but_not_answered() {
        let server = DnsServer::start().unwrap();
        server.silence("a.test");
        assert_eq!(ask(&server, "a.test", TYPE_A), None);
        assert_eq!(server.queries("a.test"), 1);
    }

    #[test]
    fn a_ring_of_names_and_damaged_questions_end() {
        let server = DnsServer::start().unwrap();
        server.set("a.test", &[DnsRecord::Cname("a.test".to_owned())]);
        assert_eq!(ask(&server, "a.test", TYPE_A), Some((0, 8)));
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        for length in 0..20 {
            socket
                .send_to(&vec![0xff; length], server.address())
                .unwrap();
        }
        assert_eq!(ask(&server, "b.test", TYPE_A), Some((3, 0)));
    }
}
