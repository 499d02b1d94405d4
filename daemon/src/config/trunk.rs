//! `[trunk.NAME]`: who may call in, and how calls go out.

use std::collections::BTreeMap;
use std::net::IpAddr;

use offhook_media::codec::CodecKind;
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
    /// What it may have of the calls, and whom it may call.
    pub limits: TrunkLimits,
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
    read_protections(&mut section, findings);
    let outbound = outbound::read(&mut section, findings);
    let challenge_inbound = read_challenge(&mut section, outbound.as_ref(), findings);
    let accept_refer = section
        .take("accept_refer")
        .and_then(|item| findings.keep(item.boolean()))
        .unwrap_or_default();
    read_unbuilt(&mut section, findings);
    section.finish(findings);
    Trunk {
        name,
        inbound_from,
        codecs,
        outbound,
        challenge_inbound,
        accept_refer,
        limits,
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

/// What a call is protected by. An unbuilt protection that is demanded is a mistake: nobody should run
/// without it and believe it is there.
fn read_protections(section: &mut Section<'_>, findings: &mut Findings) {
    if let Some(item) = section.take("srtp")
        && let Some(text) = findings.keep(item.text())
    {
        match text.as_str() {
            "off" => {}
            "optional" => {
                findings.warnings.push(item.finding("SRTP is not built yet; audio goes in the clear"));
            }
            "required" => findings.mistakes.push(item.finding(
                "SRTP is not built yet, so this cannot be kept; \"optional\" or \"off\" accept audio in the clear",
            )),
            _ => findings.mistakes.push(one_of(&item, &text, &["off", "optional", "required"])),
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

fn read_unbuilt(section: &mut Section<'_>, findings: &mut Findings) {
    if let Some(item) = section.take("dtmf")
        && let Some(text) = findings.keep(item.text())
    {
        match text.as_str() {
            "auto" | "rfc4733" | "info" => {}
            "inband" => {
                let what =
                    "digits as tones in the audio are not built yet; RFC 4733 and INFO are heard";
                findings.warnings.push(item.finding(what));
            }
            _ => {
                findings
                    .mistakes
                    .push(one_of(&item, &text, &["auto", "rfc4733", "info", "inband"]))
            }
        }
    }
}

fn one_of(item: &Item<'_>, text: &str, known: &[&str]) -> Finding {
    item.finding(format!("\"{text}\" is none of {}", known.join(", ")))
}
