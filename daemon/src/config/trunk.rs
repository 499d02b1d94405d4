//! `[trunk.NAME]`: who may call in, and how calls go out.

use std::collections::BTreeMap;
use std::net::IpAddr;

use offhook_media::codec::CodecKind;
use offhook_media::leg::InBandDigits;
use offhook_media::sdp::TelephoneEventRates;
use offhook_session::call::DigitsOut;
use offhook_session::call::admission::TrunkLimits;

use super::cidr::Cidr;
use super::document::{Item, Section};
use super::finding::{Finding, Findings};
use super::media::read_codecs;
use super::names::TrunkName;
use super::outbound::{self, Outbound};

/// A peer that calls come from, and perhaps go out by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trunk {
    /// The name of its table.
    pub name: TrunkName,
    /// The addresses it calls from. Blocks of two trunks may nest, the smaller wins; none is in both.
    pub inbound_from: Vec<Cidr>,
    /// Its own order of codecs; `[media]` says it where there is none.
    pub codecs: Option<Vec<CodecKind>>,
    /// How calls go out by it; `None`: they do not.
    pub outbound: Option<Outbound>,
    /// Whether callers have to prove that they know the trunk's password.
    pub challenge_inbound: bool,
    /// Whether the far end may send us to call somebody in its place (REFER).
    pub accept_refer: bool,
    /// Whether one call may take another's place (Replaces, RFC 3891): a caller's INVITE with it, a REFER that wants us
    /// to send one, and a REFER of ours into another call. We say that we know the extension either way.
    pub replaces: bool,
    /// Whether everything that its calls send and receive is kept and saved (see `captures`).
    pub capture: bool,
    /// How digits go between it and us.
    pub dtmf: Dtmf,
    /// With which clock rates digits (RFC 4733) are offered.
    pub telephone_event: TelephoneEventRates,
    /// Whether its calls are protected.
    pub srtp: SrtpPolicy,
    /// What it may have of the calls, and whom it may call.
    pub limits: TrunkLimits,
}

/// How digits go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dtmf {
    /// However the far end sends them: events are negotiated, INFO counts, and where the far end takes no
    /// events, tones are heard.
    #[default]
    Auto,
    /// As events (RFC 4733) only.
    Rfc4733,
    /// By INFO only: events are neither offered nor answered.
    Info,
    /// As tones only.
    InBand,
}

impl Dtmf {
    /// Whether telephone-event is offered and answered.
    #[must_use]
    pub fn negotiates_events(self) -> bool {
        match self {
            Self::Auto | Self::Rfc4733 => true,
            Self::Info | Self::InBand => false,
        }
    }

    /// Whether a digit that comes by INFO counts.
    #[must_use]
    pub fn counts_info(self) -> bool {
        match self {
            Self::Auto | Self::Info => true,
            Self::Rfc4733 | Self::InBand => false,
        }
    }

    /// How digits of ours go out.
    #[must_use]
    pub fn out(self) -> DigitsOut {
        match self {
            Self::Auto => DigitsOut::Auto,
            Self::Info => DigitsOut::Info,
            Self::Rfc4733 | Self::InBand => DigitsOut::Audio,
        }
    }

    /// When tones in the audio are digits.
    #[must_use]
    pub fn in_band(self) -> InBandDigits {
        match self {
            Self::Auto => InBandDigits::WithoutEvents,
            Self::Rfc4733 | Self::Info => InBandDigits::Never,
            Self::InBand => InBandDigits::Always,
        }
    }
}

impl Trunk {
    /// How closely this trunk's addresses fit `source`: the longest prefix that holds it.
    pub(super) fn fit(&self, source: IpAddr) -> Option<u8> {
        self.inbound_from
            .iter()
            .filter(|block| block.contains(source))
            .map(Cidr::prefix_bits)
            .max()
    }
}

/// `earlier` are the trunks read before: a block in two of them would leave it to chance whose call it is.
pub(super) fn read(
    name: TrunkName,
    mut section: Section<'_>,
    earlier: &BTreeMap<TrunkName, Trunk>,
    findings: &mut Findings,
) -> Trunk {
    let mut inbound_from = Vec::new();
    match section.take("inbound_from") {
        Some(item) => {
            for (item, block) in item.parse_list(findings, str::parse::<Cidr>) {
                if let Some(other) = earlier
                    .values()
                    .find(|other| other.inbound_from.contains(&block))
                {
                    findings.mistakes.push(
                        item.finding(format!("{block} is listed by trunk {} too", other.name)),
                    );
                }
                inbound_from.push(block);
            }
        }
        None => findings
            .warnings
            .push(section.finding("has no inbound_from, so nobody may call in through it")),
    }
    let codecs = section
        .take("codecs")
        .map(|item| read_codecs(&item, findings));
    let limits = read_limits(&mut section, findings);
    let srtp = read_srtp(&mut section, findings);
    let outbound = outbound::read(&mut section, findings);
    let challenge_inbound = read_challenge(&mut section, outbound.as_ref(), findings);
    let accept_refer = section
        .take("accept_refer")
        .and_then(|item| findings.keep(item.boolean()))
        .unwrap_or_default();
    let replaces = section
        .take("replaces")
        .and_then(|item| findings.keep(item.boolean()))
        .unwrap_or(true);
    let capture = section.switch("capture", false, findings);
    let telephone_event = read_telephone_event(&mut section, findings);
    let dtmf = read_dtmf(&mut section, findings);
    section.finish(findings);
    Trunk {
        name,
        inbound_from,
        codecs,
        outbound,
        challenge_inbound,
        accept_refer,
        replaces,
        capture,
        srtp,
        dtmf,
        telephone_event,
        limits,
    }
}

/// Some far ends mistake two rates for two meanings, so a trunk can have one.
fn read_telephone_event(section: &mut Section<'_>, findings: &mut Findings) -> TelephoneEventRates {
    let default = TelephoneEventRates::EachClock;
    let Some(item) = section.take("telephone_event_rates") else {
        return default;
    };
    let Some(text) = findings.keep(item.text()) else {
        return default;
    };
    match text.as_str() {
        "each" => TelephoneEventRates::EachClock,
        "first" => TelephoneEventRates::FirstCodec,
        _ => {
            findings
                .mistakes
                .push(one_of(&item, &text, &["each", "first"]));
            default
        }
    }
}

fn read_limits(section: &mut Section<'_>, findings: &mut Findings) -> TrunkLimits {
    let mut number = |key, most| {
        let item = section.take(key)?;
        findings.keep(item.integer(0..=most))
    };
    let calls = number("calls", 100_000);
    let calls_per_minute = number("calls_per_minute", 1_000_000);
    let allowed_prefixes = section.take("allowed_prefixes").map(|item| {
        let prefixes = item.parse_list(findings, parse_prefix);
        prefixes.into_iter().map(|(_, prefix)| prefix).collect()
    });
    TrunkLimits {
        calls,
        calls_per_minute,
        allowed_prefixes,
    }
}

/// The beginning of a number. An empty one would allow every number, which nobody writes a list for.
fn parse_prefix(text: &str) -> Result<String, &'static str> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    let is_number = digits
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'*' | b'#'));
    if text.is_empty() || !is_number {
        return Err("should be the beginning of a number, as +49 or 0049");
    }
    Ok(text.to_owned())
}

/// Whether calls of a trunk are protected (SRTP, RFC 3711, with keys by RFC 4568).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SrtpPolicy {
    /// In the clear alone; an offer of SRTP is refused.
    Off,
    /// As the far end offers. Our offers are protected where TLS protects the keys in them.
    #[default]
    Optional,
    /// Protected alone: what is offered or answered in the clear is refused.
    Required,
}

fn read_srtp(section: &mut Section<'_>, findings: &mut Findings) -> SrtpPolicy {
    const KNOWN: [(&str, SrtpPolicy); 3] = [
        ("off", SrtpPolicy::Off),
        ("optional", SrtpPolicy::Optional),
        ("required", SrtpPolicy::Required),
    ];
    let Some(item) = section.take("srtp") else {
        return SrtpPolicy::default();
    };
    let Some(text) = findings.keep(item.text()) else {
        return SrtpPolicy::default();
    };
    match KNOWN.iter().find(|(name, _)| *name == text) {
        Some((_, policy)) => *policy,
        None => {
            let names = KNOWN.map(|(name, _)| name);
            findings.mistakes.push(one_of(&item, &text, &names));
            SrtpPolicy::default()
        }
    }
}

/// Callers prove that they know the name and the password that we prove to the trunk with.
fn read_challenge(
    section: &mut Section<'_>,
    outbound: Option<&Outbound>,
    findings: &mut Findings,
) -> bool {
    let Some(item) = section.take("challenge_inbound") else {
        return false;
    };
    let wanted = findings.keep(item.boolean()).unwrap_or_default();
    if wanted && outbound.is_none_or(|outbound| outbound.credentials.is_none()) {
        let what = "needs address, username and password_file: callers prove that they know these";
        findings.mistakes.push(item.finding(what));
    }
    wanted
}

fn read_dtmf(section: &mut Section<'_>, findings: &mut Findings) -> Dtmf {
    let Some(item) = section.take("dtmf") else {
        return Dtmf::default();
    };
    let Some(text) = findings.keep(item.text()) else {
        return Dtmf::default();
    };
    match text.as_str() {
        "auto" => Dtmf::Auto,
        "rfc4733" => Dtmf::Rfc4733,
        "info" => Dtmf::Info,
        "inband" => Dtmf::InBand,
        _ => {
            findings
                .mistakes
                .push(one_of(&item, &text, &["auto", "rfc4733", "info", "inband"]));
            Dtmf::default()
        }
    }
}

fn one_of(item: &Item<'_>, text: &str, known: &[&str]) -> Finding {
    item.finding(format!("\"{text}\" is none of {}", known.join(", ")))
}
