//! `[media]`: addresses, ports, codecs and threads.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::time::Duration;

use offhook_media::codec::CodecKind;

use super::Host;
use super::document::{Item, Section};
use super::finding::Findings;
use super::limits::LimitsConfig;
use super::port_range::PortRange;
use super::sip::Advertise;
use super::sound::recording;
use crate::audio_file::{AudioFile, AudioFiles};

/// Addresses, ports, codecs and threads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaConfig {
    /// The addresses RTP is received on, at most one a family.
    pub bind: Vec<IpAddr>,
    /// The ports it is received on.
    pub ports: PortRange,
    /// The codecs we speak, the most wanted first; never empty.
    pub codecs: Vec<CodecKind>,
    /// How many media threads run.
    pub threads: NonZeroUsize,
    /// A call that hears no RTP for so long, and is not on hold, is ended.
    pub no_media_timeout: Duration,
    /// What a far end hears that we hold; silence without one.
    pub hold_music: Option<AudioFile>,
}

/// A codec by name; L16 is one name for two rates.
struct NamedCodec(&'static [CodecKind]);

impl FromStr for NamedCodec {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "opus" => Ok(Self(&[CodecKind::Opus])),
            "g722" => Ok(Self(&[CodecKind::G722])),
            "pcmu" => Ok(Self(&[CodecKind::Pcmu])),
            "pcma" => Ok(Self(&[CodecKind::Pcma])),
            "l16" => Ok(Self(&[CodecKind::L16Wideband, CodecKind::L16Narrowband])),
            _ => Err("is no codec; there are opus, g722, pcmu, pcma and l16"),
        }
    }
}

/// A list of codecs in order of preference; [`MediaConfig`] and trunks have one.
pub(super) fn read_codecs(item: &Item<'_>, findings: &mut Findings) -> Vec<CodecKind> {
    let mut codecs = Vec::new();
    let mistakes_before = findings.mistakes.len();
    for (item, NamedCodec(kinds)) in item.parse_list(findings, str::parse::<NamedCodec>) {
        for kind in kinds {
            if !codecs.contains(kind) {
                codecs.push(*kind);
                continue;
            }
            let twice = item.finding(format!("{} is listed twice", kind.name()));
            findings.mistakes.push(twice);
            break;
        }
    }
    if codecs.is_empty() && findings.mistakes.len() == mistakes_before {
        findings
            .mistakes
            .push(item.finding("names no codec; add pcmu"));
    }
    codecs
}

/// `None` when the ports are wrong; whatever else is wrong is noted and defaulted.
pub(super) fn read(
    mut section: Section<'_>,
    advertise: &Advertise,
    limits: &LimitsConfig,
    host: &Host,
    files: &mut AudioFiles,
    findings: &mut Findings,
) -> Option<MediaConfig> {
    let bind = section
        .take("bind")
        .map(|item| read_bind(&item, advertise, findings))
        .unwrap_or_default();
    let ports = findings
        .keep(section.require("ports"))
        .and_then(|item| read_ports(&item, limits, host, findings));
    let codecs = section
        .take("codecs")
        .map(|item| read_codecs(&item, findings))
        .unwrap_or_default();
    let threads = section
        .take("threads")
        .and_then(|item| findings.keep(item.integer(1..=1024)));
    let no_media_timeout = findings
        .keep(section.require("no_media_timeout_s"))
        .and_then(|item| findings.keep(item.seconds(1..=86_400)))
        .unwrap_or_default();
    let hold_music = section
        .take("hold_music")
        .and_then(|item| findings.keep(recording(&item, files)));
    section.finish(findings);
    Some(MediaConfig {
        bind,
        ports: ports?,
        codecs,
        threads: threads
            .and_then(|threads| NonZeroUsize::new(threads as usize))
            .unwrap_or(host.cores),
        no_media_timeout,
        hold_music,
    })
}

fn read_bind(item: &Item<'_>, advertise: &Advertise, findings: &mut Findings) -> Vec<IpAddr> {
    let mut bind: Vec<IpAddr> = Vec::new();
    for (item, address) in item.parse_list(findings, str::parse::<IpAddr>) {
        if bind
            .iter()
            .any(|other| other.is_ipv4() == address.is_ipv4())
        {
            findings
                .mistakes
                .push(item.finding("is a second address of its family; one is used"));
        } else if !advertise.can_reach(address) {
            let what = format!(
                "{address} receives everywhere: set sip.advertise to the address others send to"
            );
            findings.mistakes.push(item.finding(what));
        } else {
            bind.push(address);
        }
    }
    bind
}

fn read_ports(
    item: &Item<'_>,
    limits: &LimitsConfig,
    host: &Host,
    findings: &mut Findings,
) -> Option<PortRange> {
    let ports: PortRange = findings.keep(item.parse(str::parse))?;
    if let Some(conflict) = host
        .ephemeral_ports
        .as_ref()
        .and_then(|kernel| kernel.conflict(&ports))
    {
        findings.mistakes.push(item.finding(format!(
            "the kernel gives ports {}-{} to any program; choose ports outside net.ipv4.ip_local_port_range, \
             or add {ports} to net.ipv4.ip_local_reserved_ports",
            conflict.start(),
            conflict.end()
        )));
    }
    let (pairs, calls) = (ports.pairs(), limits.calls);
    if pairs < calls {
        findings.mistakes.push(item.finding(format!(
            "has ports for {pairs} calls, but limits.calls is {calls}: a call takes an even port and the odd one above"
        )));
    } else if pairs < calls + limits.calls_per_second as usize {
        findings.warnings.push(item.finding(format!(
            "has ports for {pairs} calls; a port rests a second after its call, so {calls} calls at \
             {} a second may find none free",
            limits.calls_per_second
        )));
    }
    Some(ports)
}
