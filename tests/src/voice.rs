//! The caller's voice and ear in one call: recorded lines and keys out, loudness over time in. PCMU every 20 ms from a
//! thread of its own, a quiet line where nothing is said.

use std::collections::VecDeque;
use std::io;
use std::net::UdpSocket;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::load::talker::{FRAME, is_audible};
use crate::wait::wait_until;

const FRAME_TIME: Duration = Duration::from_millis(20);
/// The payload type that [`crate::sip_text::pcmu_offer`] gives to telephone-event.
const TELEPHONE_EVENT: u8 = 101;
/// A key is held for this many packets.
const PRESS_PACKETS: u16 = 6;
/// RFC 4733 section 2.5.1.4: the packet that ends an event is sent three times.
const END_PACKETS: u16 = 3;
/// Silence after each key, in packets, so that two presses of one key are two.
const RELEASE_PACKETS: usize = 4;

/// One 20 ms packet's worth of what the caller does.
#[derive(Debug, Clone, Copy)]
enum Packet {
    Speech([u8; FRAME]),
    /// The `n`th packet of a held key.
    Key {
        event: u8,
        n: u16,
    },
}

/// What was heard: when each packet came, and whether somebody could be heard in it.
type Heard = Vec<(Instant, bool)>;

/// A caller's audio while it lives.
#[derive(Debug)]
pub struct Voice {
    packets: Option<Sender<Packet>>,
    heard: Arc<Mutex<Heard>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Voice {
    /// Begins to send and to listen on the connected `socket` of a call.
    ///
    /// # Errors
    /// When the socket or the thread cannot be had.
    pub fn start(socket: &UdpSocket) -> io::Result<Self> {
        let socket = socket.try_clone()?;
        let (packets, queue) = channel();
        let heard = Arc::new(Mutex::new(Heard::new()));
        let ear = Arc::clone(&heard);
        let thread = std::thread::Builder::new()
            .name("voice".to_owned())
            .spawn(move || talk(&socket, &queue, &ear))?;
        Ok(Self {
            packets: Some(packets),
            heard,
            thread: Some(thread),
        })
    }

    /// Says a recording: WAV, mono, 16 bits, 8 kHz. Returns at once.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn say(&self, wav: &Path) -> Result<(), String> {
        let samples: Vec<i16> = hound::WavReader::open(wav)
            .and_then(|reader| reader.into_samples().collect())
            .map_err(|error| format!("{}: {error}", wav.display()))?;
        self.say_samples(&samples);
        Ok(())
    }

    /// Says 16-bit samples at 8 kHz. Returns at once.
    pub fn say_samples(&self, samples: &[i16]) {
        for frame in samples.chunks(FRAME) {
            let mut encoded = [0xff; FRAME];
            for (to, from) in encoded.iter_mut().zip(frame) {
                *to = mu_law(*from);
            }
            self.queue(Packet::Speech(encoded));
        }
    }

    /// Presses keys one after the other (0 to 9, `*`, `#`); others are passed over. Returns at once.
    pub fn press(&self, keys: &str) {
        for event in keys
            .chars()
            .filter_map(|key| "0123456789*#".find(key)?.try_into().ok())
        {
            for n in 0..PRESS_PACKETS + END_PACKETS {
                self.queue(Packet::Key { event, n });
            }
            for _ in 0..RELEASE_PACKETS {
                self.queue(Packet::Speech([0xff; FRAME]));
            }
        }
    }

    /// How much of what came since `moment` was audible.
    pub fn heard_since(&self, moment: Instant) -> Duration {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let audible = heard
            .iter()
            .rev()
            .take_while(|(at, _)| *at >= moment)
            .filter(|(_, audible)| *audible)
            .count();
        FRAME_TIME * u32::try_from(audible).unwrap_or(u32::MAX)
    }

    /// Waits until the far end has spoken for `least` since `moment` and then paused for 700 ms, and gives the moment
    /// the pause was noticed.
    ///
    /// # Errors
    /// When that has not happened within `limit`.
    pub fn hear_out(
        &self,
        moment: Instant,
        least: Duration,
        limit: Duration,
    ) -> Result<Instant, String> {
        const PAUSE: Duration = Duration::from_millis(700);
        wait_until("a sentence and a pause", limit, || {
            let spoken = self.heard_since(moment);
            (spoken >= least && self.quiet_for() >= PAUSE).then(Instant::now)
        })
        .map_err(|why| format!("{why}; {:?} were heard", self.heard_since(moment)))
    }

    /// How long ago somebody was last audible; since the beginning when nobody was.
    fn quiet_for(&self) -> Duration {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let last = heard.iter().rev().find(|(_, audible)| *audible);
        last.or(heard.first())
            .map_or(Duration::ZERO, |(at, _)| at.elapsed())
    }

    fn queue(&self, packet: Packet) {
        if let Some(packets) = &self.packets {
            // A thread that has ended is found out by what is not heard.
            let _ = packets.send(packet);
        }
    }
}

impl Drop for Voice {
    fn drop(&mut self) {
        drop(self.packets.take());
        if let Some(thread) = self.thread.take() {
            // It ends within a packet's time; how does not matter any more.
            let _ = thread.join();
        }
    }
}

/// Sends a packet every 20 ms and listens in between, until the sender of `queue` is dropped.
fn talk(socket: &UdpSocket, queue: &Receiver<Packet>, heard: &Mutex<Heard>) -> io::Result<()> {
    let mut waiting = VecDeque::new();
    let mut due = Instant::now();
    let mut stream = Stream::default();
    loop {
        loop {
            match queue.try_recv() {
                Ok(packet) => waiting.push_back(packet),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Ok(()),
            }
        }
        let packet = waiting.pop_front().unwrap_or(Packet::Speech([0xff; FRAME]));
        // Refused when the far end has closed its port: the call is ending.
        let _ = socket.send(&stream.write(packet));
        due += FRAME_TIME;
        listen_until(due, socket, heard)?;
    }
}

fn listen_until(due: Instant, socket: &UdpSocket, heard: &Mutex<Heard>) -> io::Result<()> {
    let mut datagram = [0; 2_048];
    loop {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        socket.set_read_timeout(Some(left))?;
        // An RTP header without extensions is twelve bytes; anything else that fails here is time that has passed.
        if let Ok(length) = socket.recv(&mut datagram)
            && length > 12
        {
            heard
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push((Instant::now(), is_audible(&datagram[12..length])));
        }
    }
}

/// The RTP stream of one caller.
#[derive(Debug, Default)]
struct Stream {
    sequence: u16,
    timestamp: u32,
    key_began: u32,
}

impl Stream {
    fn write(&mut self, packet: Packet) -> Vec<u8> {
        let (marker, payload_type, timestamp, payload) = match packet {
            Packet::Speech(frame) => (false, 0, self.timestamp, frame.to_vec()),
            Packet::Key { event, n } => {
                if n == 0 {
                    self.key_began = self.timestamp;
                }
                let is_end = n >= PRESS_PACKETS;
                let duration = (n.min(PRESS_PACKETS - 1) + 1) * FRAME as u16;
                let [high, low] = duration.to_be_bytes();
                let volume = if is_end { 0x8a } else { 0x0a };
                let payload = vec![event, volume, high, low];
                (n == 0, TELEPHONE_EVENT, self.key_began, payload)
            }
        };
        let mut bytes = vec![0x80, payload_type | if marker { 0x80 } else { 0 }];
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(timestamp.to_be_bytes());
        bytes.extend(*b"call");
        bytes.extend(payload);
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(FRAME as u32);
        bytes
    }
}

/// G.711 µ-law of one sample: sign, the position of the leading bit, the four bits after it, all inverted.
fn mu_law(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let biased = (sample.unsigned_abs().min(32_635) >> 2) + 33;
    let exponent = (15 - biased.leading_zeros() as u16).saturating_sub(5);
    let mantissa = (biased >> (exponent + 1)) & 0x0f;
    !(sign | (exponent << 4) as u8 | mantissa as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mu_law_has_the_values_of_g711() {
        let pairs = [
            (0, 0xff),
            (-1, 0x7f),
            (32_767, 0x80),
            (-32_768, 0x00),
            (132 - 4, 0xef),
            (1_000, 0xce),
        ];
        for (sample, expected) in pairs {
            assert_eq!(mu_law(sample), expected, "{sample}");
        }
    }

    #[test]
    fn what_one_voice_says_the_other_hears() {
        let sockets = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").expect("a socket"));
        let [one, other] = &sockets;
        one.connect(other.local_addr().expect("bound"))
            .expect("connected");
        other
            .connect(one.local_addr().expect("bound"))
            .expect("connected");
        let (speaker, listener) = (
            Voice::start(one).expect("a voice"),
            Voice::start(other).expect("an ear"),
        );
        let begun = Instant::now();
        let line = crate::daemon::repository().join("deploy/audio/caller/yes.wav");
        speaker.say(&line).expect("a line");
        listener
            .hear_out(begun, Duration::from_millis(200), Duration::from_secs(10))
            .expect("a word");
        assert_eq!(speaker.heard_since(begun), Duration::ZERO);
    }
}
