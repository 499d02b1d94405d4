//! How long what was sent takes to come back.

use super::spectra::{BANDS, Bands, Spectrum, in_bands};

/// The longest delay that is looked for, in ticks: 700 ms from sending to hearing, playout delays included.
pub(super) const LONGEST_DELAY: usize = 70;

/// Correlates the shapes of what came back with those of what was sent, for each delay. A shape is each band's
/// level against that band's mean, in steps of 3 dB, so that gains do not matter to it, not even one of each
/// band.
#[derive(Debug)]
pub(super) struct DelaySearch {
    sent: Shaper,
    heard: Shaper,
    /// What was sent, in a circle.
    shapes: Box<[Bands; LONGEST_DELAY]>,
    newest: usize,
    /// Over a second, to find the delay, and over a fifth of one, to notice that it is another.
    long: Sums,
    short: Sums,
    /// Ticks in the sums; less where not all bands count.
    weight: f32,
    candidate: Candidate,
    moved: Candidate,
    delay: Option<usize>,
    recent: Recent,
}

/// Bands less than 4.5 dB above the line's noise say nothing.
const STEPS_ABOVE_NOISE: f32 = 1.5;

/// Ticks with fewer bands above the noise tell nothing of the delay.
const LEAST_COUNTED: f32 = 4.0;

/// What a tick told about the delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Nothing,
    /// The delay is known now, or better.
    Delay,
    /// The delay seems to be this one now, if what is heard is no louder than the echo can be. A caller may resemble
    /// what was sent for a moment.
    Jump(usize),
}

impl DelaySearch {
    pub(super) fn new() -> Self {
        Self {
            sent: Shaper::default(),
            heard: Shaper::default(),
            shapes: Box::new([[0.0; BANDS]; LONGEST_DELAY]),
            newest: 0,
            long: Sums::new(0.988),
            short: Sums::new(0.95),
            weight: 0.0,
            candidate: Candidate::default(),
            moved: Candidate::default(),
            delay: None,
            recent: Recent::default(),
        }
    }

    /// The delay in ticks, once it is known.
    pub(super) fn delay(&self) -> Option<usize> {
        self.delay
    }

    /// Takes the echo to come after `delay` from now on.
    pub(super) fn jump(&mut self, delay: usize) {
        self.delay = Some(delay);
        self.recent = Recent::default();
    }

    /// How much the last 50 ms of what was heard resemble what was sent before the delay: -1 to 1.
    pub(super) fn recent_likeness(&self) -> f32 {
        self.recent.likeness()
    }

    /// Takes what was sent in this tick; `active` if it was sound.
    pub(super) fn sent(&mut self, spectrum: &Spectrum, active: bool) {
        self.newest = (self.newest + LONGEST_DELAY - 1) % LONGEST_DELAY;
        self.shapes[self.newest] = self.sent.shape(spectrum, active);
    }

    /// Takes what was heard in this tick, which was louder than the room. `noise` is the line's, in each band.
    pub(super) fn heard(&mut self, spectrum: &Spectrum, noise: &Bands) -> Told {
        let mut shape = self.heard.shape(spectrum, true);
        let mut counts: Bands = [1.0; BANDS];
        for band in 0..BANDS {
            if self.heard.means[band] < noise[band].log2() + STEPS_ABOVE_NOISE {
                shape[band] = 0.0;
                counts[band] = 0.0;
            }
        }
        let (later, sooner) = self.shapes.split_at(self.newest);
        let past = sooner.iter().chain(later);
        let mut now = [(0.0, 0.0); LONGEST_DELAY];
        for (sent, (product, energy)) in past.zip(&mut now) {
            for band in 0..BANDS {
                *product += sent[band] * shape[band];
                *energy += sent[band] * sent[band] * counts[band];
            }
        }
        let heard_energy: f32 = shape.iter().map(|band| band * band).sum();
        self.long.note(&now, heard_energy);
        self.short.note(&now, heard_energy);
        if let Some(delay) = self.delay {
            let (product, energy) = now[delay];
            self.recent.note(product, energy, heard_energy);
        }
        let counted: f32 = counts.iter().sum();
        self.weight = self.weight * self.long.forget + counted / BANDS as f32;
        if counted < LEAST_COUNTED {
            return Told::Nothing;
        }
        self.settle()
    }

    /// Believes in a delay that explains enough for as long as it does. Sounds of two people are alike by 0.35
    /// at most for long, and by more only in their first 150 ms.
    fn settle(&mut self) -> Told {
        let (best, likeness) = self.long.best();
        let steady = self.candidate.note(best);
        let (moved_to, moved_likeness) = self.short.best();
        let moved_steady = self.moved.note(moved_to);
        let believed = match self.delay {
            None => {
                let at_once = self.weight > 8.0 && likeness > 0.6 + 2.0 / (self.weight + 1.0);
                let soon = steady >= 20 && likeness > 0.5;
                let at_last = steady >= 40 && likeness > 0.38;
                (at_once || soon || at_last).then_some(best)
            }
            Some(delay) => {
                let jumped = moved_steady >= 8
                    && moved_likeness > 0.75
                    && moved_likeness > self.short.likeness(delay) + 0.3;
                let crept =
                    steady >= 15 && likeness > 0.55 && likeness > self.long.likeness(delay) + 0.1;
                if jumped {
                    return Told::Jump(moved_to);
                }
                crept.then_some(best)
            }
        };
        if believed.is_none() {
            return Told::Nothing;
        }
        self.delay = believed;
        self.recent = Recent::default();
        Told::Delay
    }
}

/// A delay and for how many ticks it was the best, give or take a tick.
#[derive(Debug, Default)]
struct Candidate {
    delay: usize,
    steady: u32,
}

impl Candidate {
    fn note(&mut self, best: usize) -> u32 {
        if best.abs_diff(self.delay) <= 1 {
            self.steady = self.steady.saturating_add(1);
        } else {
            self.delay = best;
            self.steady = 0;
        }
        self.steady
    }
}

/// The correlation at each delay, by sums that forget.
#[derive(Debug)]
struct Sums {
    forget: f32,
    products: [f32; LONGEST_DELAY],
    energies: [f32; LONGEST_DELAY],
    heard_energy: f32,
}

impl Sums {
    fn new(forget: f32) -> Self {
        Self {
            forget,
            products: [0.0; LONGEST_DELAY],
            energies: [0.0; LONGEST_DELAY],
            heard_energy: 0.0,
        }
    }

    fn note(&mut self, now: &[(f32, f32); LONGEST_DELAY], heard_energy: f32) {
        for (delay, (product, energy)) in now.iter().enumerate() {
            self.products[delay] = self.products[delay] * self.forget + product;
            self.energies[delay] = self.energies[delay] * self.forget + energy;
        }
        self.heard_energy = self.heard_energy * self.forget + heard_energy;
    }

    fn best(&self) -> (usize, f32) {
        let (mut best, mut most) = (0, 0.0);
        for delay in 0..LONGEST_DELAY {
            let product = self.products[delay].max(0.0);
            let explained = product * product / self.energies[delay].max(1e-3);
            if explained > most {
                (best, most) = (delay, explained);
            }
        }
        (best, (most / self.heard_energy.max(1e-3)).sqrt())
    }

    fn likeness(&self, delay: usize) -> f32 {
        let energy = self.energies[delay] * self.heard_energy;
        self.products[delay] / energy.max(1e-6).sqrt()
    }
}

/// The correlation of the last few ticks.
#[derive(Debug, Default)]
struct Recent {
    product: f32,
    sent: f32,
    heard: f32,
}

const FORGET_RECENT: f32 = 0.8;

impl Recent {
    fn note(&mut self, product: f32, sent: f32, heard: f32) {
        self.product = self.product * FORGET_RECENT + product;
        self.sent = self.sent * FORGET_RECENT + sent;
        self.heard = self.heard * FORGET_RECENT + heard;
    }

    fn likeness(&self) -> f32 {
        self.product / (self.sent * self.heard).max(1e-6).sqrt()
    }
}

/// Makes shapes.
#[derive(Debug, Default)]
struct Shaper {
    means: Bands,
    ticks: f32,
}

/// The mean is that of the last second and a half of sound.
const MEAN_OVER_TICKS: f32 = 150.0;
/// What is further from the mean than 9 dB is not told from that.
const STEEPEST: f32 = 3.0;
/// A power in a band that is nothing: -70 dBFS in all.
const QUIET: f32 = 2.0;

impl Shaper {
    fn shape(&mut self, spectrum: &Spectrum, active: bool) -> Bands {
        let mut shape = in_bands(spectrum).map(|power| (power + QUIET).log2());
        if active {
            self.ticks = (self.ticks + 1.0).min(MEAN_OVER_TICKS);
            for (mean, level) in self.means.iter_mut().zip(&shape) {
                *mean += (level - *mean) / self.ticks;
            }
        }
        for (level, mean) in shape.iter_mut().zip(&self.means) {
            *level = (*level - mean).clamp(-STEEPEST, STEEPEST);
        }
        shape
    }
}
