//! Damaged datagrams, each a function of its seed: what a network, a fuzzer or a fool may send.

/// A small generator of repeatable randomness (splitmix64).
#[derive(Debug, Clone)]
pub struct Dice {
    state: u64,
}

impl Dice {
    /// The same seed gives the same throws.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// 64 random bits.
    pub fn throw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `limit`; 0 when `limit` is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.throw() % limit.max(1) as u64) as usize
    }

    /// One of several.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// Bytes that parsers trip over, put where they do not belong.
const TOKENS: [&[u8]; 24] = [
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\0",
    b"\xff\xfe",
    b"\xc3\x28",
    b"%00",
    b"\"",
    b"<",
    b">",
    b";",
    b",",
    b":",
    b"=",
    b"[::1]",
    b"\t ",
    b"\r\n ",
    b"-1",
    b"0",
    b"4294967296",
    b"18446744073709551616",
    b"99999999999999999999",
    b"z9hG4bK",
    b";lr;rport;tag=",
];

/// Damages `message` in one to four ways. The result may be anything up to a datagram's largest size, an intact
/// message included when the damage happens to change nothing.
pub fn mutate(message: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = message.to_vec();
    for _ in 0..=dice.below(4) {
        mutate_once(&mut bytes, dice);
    }
    bytes.truncate(60_000);
    bytes
}

fn mutate_once(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let at = dice.below(bytes.len() + 1);
    match dice.below(10) {
        0 | 1 => flip_a_bit(bytes, dice),
        2 => bytes.truncate(at),
        3 => {
            let end = (at + 1 + dice.below(40)).min(bytes.len());
            bytes.drain(at..end);
        }
        4 => insert(bytes, at, dice.pick::<&[u8]>(&TOKENS)),
        5 => {
            let end = (at + 1 + dice.below(80)).min(bytes.len());
            let again = bytes[at..end].repeat(1 + dice.below(20));
            insert(bytes, at, &again);
        }
        6 => swap_lines(bytes, dice),
        7 => {
            let noise: Vec<u8> = (0..=dice.below(30)).map(|_| dice.throw() as u8).collect();
            insert(bytes, at, &noise);
        }
        8 => change_a_number(bytes, dice),
        _ => {
            let byte = dice.throw() as u8;
            let flood = vec![byte; dice.below(2_000)];
            insert(bytes, at, &flood);
        }
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, what: &[u8]) {
    bytes.splice(at..at, what.iter().copied());
}

fn flip_a_bit(bytes: &mut [u8], dice: &mut Dice) {
    let at = dice.below(bytes.len());
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << dice.below(8);
    }
}

/// Repeats one line in another's place: two Vias, no To, headers after the body.
fn swap_lines(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let mut lines: Vec<Vec<u8>> = bytes
        .split_inclusive(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    let (one, other) = (dice.below(lines.len()), dice.below(lines.len()));
    if let Some(line) = lines.get(one).cloned() {
        match dice.below(3) {
            0 => lines.swap(one, other),
            1 => lines.insert(other, line),
            _ => lines[other] = line,
        }
    }
    *bytes = lines.concat();
}

/// Puts another number where a run of digits stands: lengths, ports, sequence numbers.
fn change_a_number(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let start = dice.below(bytes.len());
    let Some(first) = bytes[start..]
        .iter()
        .position(u8::is_ascii_digit)
        .map(|n| start + n)
    else {
        return;
    };
    let digits = bytes[first..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let number = match dice.below(4) {
        0 => 0,
        1 => u64::MAX,
        2 => dice.throw() >> 32,
        _ => dice.below(70_000) as u64,
    };
    bytes.splice(first..first + digits, number.to_string().into_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_damage_each_time_and_never_panics() {
        let message = b"OPTIONS sip:a@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5060\r\n\r\n";
        let all = |seed| {
            let mut dice = Dice::new(seed);
            (0..20_000)
                .map(|_| mutate(message, &mut dice))
                .collect::<Vec<_>>()
        };
        assert!(all(1) == all(1));
        assert!(all(1) != all(2));
        assert!(all(3).iter().all(|bytes| bytes.len() <= 60_000));
    }

    #[test]
    fn nothing_can_be_damaged_too() {
        let mut dice = Dice::new(1);
        assert!(
            (0..1_000)
                .map(|_| mutate(b"", &mut dice))
                .any(|bytes| !bytes.is_empty())
        );
    }
}
