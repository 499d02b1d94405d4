//! A network that loses, copies, delays and so reorders datagrams, by a seed.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

/// A small seeded generator (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.roll(100) < chance
    }

    pub(crate) fn milliseconds(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.roll(to - from + 1))
    }
}

/// A datagram under way.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) text: String,
}

/// How bad it is, in percent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    pub(crate) loss: u64,
    pub(crate) copies: u64,
    /// The longest delay; what is sent in between overtakes.
    pub(crate) delay_ms: u64,
}

/// The datagrams under way, by arrival.
#[derive(Debug)]
pub(crate) struct Network {
    dice: Dice,
    weather: Weather,
    under_way: BTreeMap<(Duration, u64), Packet>,
    carried: u64,
}

impl Network {
    pub(crate) fn new(seed: u64, weather: Weather) -> Self {
        Self {
            dice: Dice::new(seed),
            weather,
            under_way: BTreeMap::new(),
            carried: 0,
        }
    }

    pub(crate) fn carry(&mut self, now: Duration, packet: Packet) {
        let copies = 1 + u64::from(self.dice.percent(self.weather.copies));
        for _ in 0..copies {
            if self.dice.percent(self.weather.loss) {
                continue;
            }
            self.carried += 1;
            let at = now + self.dice.milliseconds(1, self.weather.delay_ms);
            self.under_way.insert((at, self.carried), packet.clone());
        }
    }

    pub(crate) fn next_at(&self) -> Option<Duration> {
        self.under_way.first_key_value().map(|((at, _), _)| *at)
    }

    pub(crate) fn arrive(&mut self, now: Duration) -> Option<Packet> {
        let entry = self
            .under_way
            .first_entry()
            .filter(|entry| entry.key().0 <= now)?;
        Some(entry.remove())
    }
}
