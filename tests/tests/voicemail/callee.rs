//! Who is called: 484 callees that no two runs make differently, half to tune on, half held back.

use offhook_media::codec::CodecKind;
use offhook_session::voicemail::FarEnd;

use crate::{sentences, voices};

/// What a callee may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Tuning,
    HeldBack,
}

impl Part {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tuning => "tuning",
            Self::HeldBack => "held back",
        }
    }
}

/// Who answers, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A person who says a word or two.
    ShortHuman,
    /// A person who says a sentence or two.
    LongHuman,
    /// A person who answers for a company.
    Business,
    /// A machine with a beep of one tone.
    OneTone,
    /// A machine with a beep of two, at once or in turn.
    TwoTone,
    /// A machine that records without a beep.
    NoBeep,
    Screening,
    Menu,
    Fax,
    /// Nothing, or the noise of a line.
    Silence,
    /// Special information tones, or a busy tone.
    Network,
}

impl Kind {
    pub const ALL: [Self; 11] = [
        Self::ShortHuman,
        Self::LongHuman,
        Self::Business,
        Self::OneTone,
        Self::TwoTone,
        Self::NoBeep,
        Self::Screening,
        Self::Menu,
        Self::Fax,
        Self::Silence,
        Self::Network,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ShortHuman => "person, short",
            Self::LongHuman => "person, long",
            Self::Business => "person, business",
            Self::OneTone => "machine, one tone",
            Self::TwoTone => "machine, two tones",
            Self::NoBeep => "machine, no beep",
            Self::Screening => "call screen",
            Self::Menu => "menu",
            Self::Fax => "fax",
            Self::Silence => "silence",
            Self::Network => "network's tones",
        }
    }

    /// How many of it are in each part, of which the last few first ring.
    const fn count(self) -> (usize, usize) {
        match self {
            Self::ShortHuman => (48, 3),
            Self::LongHuman => (26, 2),
            Self::Business => (22, 1),
            Self::OneTone => (42, 3),
            Self::TwoTone => (22, 2),
            Self::NoBeep => (24, 2),
            Self::Screening | Self::Menu => (18, 0),
            Self::Fax | Self::Silence => (8, 0),
            Self::Network => (6, 0),
        }
    }

    /// Whether a verdict is right.
    pub fn is_told_by(self, far_end: FarEnd) -> bool {
        match self {
            Self::ShortHuman | Self::LongHuman | Self::Business => far_end == FarEnd::Human,
            Self::OneTone | Self::TwoTone | Self::NoBeep | Self::Network => far_end.is_voicemail(),
            Self::Screening => far_end == FarEnd::CallScreening,
            Self::Menu => far_end == FarEnd::Ivr,
            Self::Fax => far_end == FarEnd::Fax,
            Self::Silence => far_end == FarEnd::Silence,
        }
    }

    pub const fn is_human(self) -> bool {
        matches!(self, Self::ShortHuman | Self::LongHuman | Self::Business)
    }

    /// Whether it greets and then records.
    pub const fn is_machine(self) -> bool {
        matches!(self, Self::OneTone | Self::TwoTone | Self::NoBeep)
    }
}

/// What is between the callee and us.
#[derive(Clone, Copy, Debug)]
pub struct Condition {
    pub name: &'static str,
    pub codec: CodecKind,
    /// What else sounds at the callee's, and by how much the speech is louder, in decibels.
    pub noise: Option<(Noise, f64)>,
    /// The share of packets that is lost, in runs of so many.
    pub loss: (f64, u32),
}

#[derive(Clone, Copy, Debug)]
pub enum Noise {
    /// Equal power in each octave: a fan, a line.
    Pink,
    /// Most of it low: a car, a street.
    Brown,
    /// Three people who talk to each other.
    Babble,
}

const fn condition(
    name: &'static str,
    codec: CodecKind,
    noise: Option<(Noise, f64)>,
    loss: (f64, u32),
) -> Condition {
    Condition {
        name,
        codec,
        noise,
        loss,
    }
}

pub const CONDITIONS: [Condition; 8] = [
    condition("clean, PCMU", CodecKind::Pcmu, None, (0.0, 1)),
    condition("clean, PCMA", CodecKind::Pcma, None, (0.0, 1)),
    condition(
        "pink noise 20 dB below",
        CodecKind::Pcmu,
        Some((Noise::Pink, 20.0)),
        (0.0, 1),
    ),
    condition(
        "babble 18 dB below",
        CodecKind::Pcma,
        Some((Noise::Babble, 18.0)),
        (0.0, 1),
    ),
    condition("3 % lost, one by one", CodecKind::Pcmu, None, (0.03, 1)),
    condition(
        "pink noise 12 dB below",
        CodecKind::Pcma,
        Some((Noise::Pink, 12.0)),
        (0.0, 1),
    ),
    condition(
        "8 % lost, three at a time",
        CodecKind::Pcmu,
        None,
        (0.08, 3),
    ),
    condition(
        "street 15 dB below, 2 % lost",
        CodecKind::Pcma,
        Some((Noise::Brown, 15.0)),
        (0.02, 1),
    ),
];

/// One callee.
#[derive(Clone, Copy, Debug)]
pub struct Callee {
    pub part: Part,
    pub kind: Kind,
    pub sentence: &'static str,
    pub voice: &'static str,
    pub condition: Condition,
    /// How often a telephone rings after the answer.
    pub rings: usize,
    pub seed: u64,
}

/// All of a part.
pub fn corpus(part: Part) -> Vec<Callee> {
    let voices = voices::of(part);
    let mut callees = Vec::new();
    for (offset, kind) in Kind::ALL.into_iter().enumerate() {
        let sentences = sentences::of(part, kind);
        let (count, ringing) = kind.count();
        for index in 0..count {
            let seed = (offset * 1_000 + index) as u64 * 2 + u64::from(part == Part::HeldBack);
            callees.push(Callee {
                part,
                kind,
                sentence: sentences[index % sentences.len()],
                voice: voices[(index * 5 + index / 14 + offset) % voices.len()],
                condition: CONDITIONS[(index * 3 + index / 8 + offset) % CONDITIONS.len()],
                rings: if index + ringing >= count {
                    1 + index % 2
                } else {
                    0
                },
                seed,
            });
        }
    }
    callees
}
