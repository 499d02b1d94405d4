//! Configuration: parsed whole, with every mistake listed by file and key, before a port is bound.
//!
//! ```text
//! Layers (defaults, file, conf.d, variables, flags) ─► Document (one tree, each value with its source)
//!     ─► one reader a section ─► Config + warnings, or every mistake
//! ```
//!
//! What comes out cannot be wrong: names are names, addresses are addresses, routes lead to agents that
//! exist, files could be read. Keys of features that are not built yet are known; each that is set gives
//! one warning, unless it asks for a protection, which nobody should believe to have.
//!
//! A running daemon keeps the configuration it began with; on SIGHUP only the files of `sip.tls` are
//! read again.

mod agent;
mod cidr;
mod document;
mod finding;
mod flow_file;
mod interruption;
mod layers;
mod limits;
mod media;
mod names;
mod outbound;
mod pattern;
mod port_range;
mod route;
mod sip;
mod sound;
#[cfg(test)]
pub(crate) mod tests;
mod trunk;
mod voicemail;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use offhook_media::codec::CodecKind;
use offhook_media::sdp::TelephoneEventRates;
use offhook_session::call::identity::spellings;

use crate::audio_file::AudioFiles;
use crate::speech_worker::DEBIAN_MODEL_FOLDER;

pub use agent::{Agent, AgentKind, Consent};
pub use cidr::{Cidr, InvalidCidr};
pub use finding::{Finding, Findings};
pub(crate) use flow_file::FlowFile;
pub use layers::Layers;
pub use limits::{ControlConfig, DrainConfig, LimitsConfig};
pub use media::MediaConfig;
pub use names::{AgentName, InvalidName, TrunkName};
pub use outbound::{NumberIn, Outbound};
pub use pattern::{InvalidPattern, RoutePattern};
pub use port_range::{EphemeralPorts, InvalidPortRange, PortRange};
pub use route::Route;
pub use sip::{Advertise, SipAddress, SipConfig, Strangers};
pub use sound::Sound;
pub use trunk::{Dtmf, SrtpPolicy, Trunk};
pub use voicemail::{MachinePolicy, Message, Voicemail};

/// A configuration without mistakes.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where signalling listens.
    pub sip: SipConfig,
    /// Addresses, ports, codecs and threads of media.
    pub media: MediaConfig,
    /// How much is let in.
    pub limits: LimitsConfig,
    /// Health, metrics and the page of live calls.
    pub control: ControlConfig,
    /// What a stop does.
    pub drain: DrainConfig,
    /// Where calls to agents with `record = true` are recorded.
    pub recordings: Option<PathBuf>,
    /// Where captures of calls with `capture = true` are written.
    pub captures: Option<PathBuf>,
    /// Who may call in.
    pub trunks: BTreeMap<TrunkName, Trunk>,
    /// Who answers.
    pub agents: BTreeMap<AgentName, Agent>,
    /// Who answers which call, in the order of the file.
    pub routes: Vec<Route>,
}

/// The machine, as far as it decides whether a configuration can work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The ports the kernel gives to any program; nothing when it does not say.
    pub ephemeral_ports: Option<EphemeralPorts>,
    /// How many threads run at once.
    pub cores: NonZeroUsize,
    /// Where the recogniser's model is, with the dictionary of the words it knows.
    pub recogniser_model: PathBuf,
}

impl Host {
    /// This machine.
    #[must_use]
    pub fn this() -> Self {
        Self {
            ephemeral_ports: EphemeralPorts::of_this_kernel(),
            cores: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            recogniser_model: PathBuf::from(DEBIAN_MODEL_FOLDER),
        }
    }
}

impl Config {
    /// Reads a configuration for `host`, with the warnings it deserves.
    ///
    /// # Errors
    /// Every mistake and every warning, in the order of the sections.
    pub fn read(layers: &Layers, host: &Host) -> Result<(Self, Vec<Finding>), Findings> {
        let document = layers.merge()?;
        let mut findings = Findings::default();
        let mut files = AudioFiles::default();
        let mut root = document.root();

        let section = root.section("sip", &mut findings);
        let sip = sip::read(section, &mut findings);
        let section = root.section("limits", &mut findings);
        let limits = limits::read(section, &mut findings);
        let section = root.section("media", &mut findings);
        let media = media::read(
            section,
            &sip.advertise,
            &limits,
            host,
            &mut files,
            &mut findings,
        );
        let section = root.section("control", &mut findings);
        let control = limits::read_control(section, &mut findings);
        let section = root.section("records", &mut findings);
        let (recordings, captures) = limits::read_records(section, &mut findings);
        let section = root.section("drain", &mut findings);
        let drain = limits::read_drain(section, &mut findings);

        let mut trunks = BTreeMap::new();
        for (name, section) in root.named_sections("trunk", &mut findings) {
            if let Some(name) = findings.keep(parse_name::<TrunkName>(name, &section)) {
                let trunk = trunk::read(name.clone(), section, &trunks, &mut findings);
                trunks.insert(name, trunk);
            }
        }
        let mut agents = BTreeMap::new();
        let sections = root.named_sections("agent", &mut findings);
        let around = agent::Around {
            host,
            records_somewhere: recordings.is_some(),
            agents: &sections.iter().map(|(name, _)| *name).collect(),
        };
        for (name, section) in sections {
            if let Some(name) = findings.keep(parse_name::<AgentName>(name, &section)) {
                agents.insert(
                    name.clone(),
                    agent::read(name, section, &around, &mut files, &mut findings),
                );
            }
        }
        let known = route::Known {
            trunks: &trunks,
            agents: &agents,
        };
        let routes = route::read(&mut root, &known, &mut findings);
        if routes.is_empty() && findings.mistakes.is_empty() {
            findings
                .warnings
                .push(root.finding("there is no [[route]], so every call is refused with 404"));
        }
        root.finish(&mut findings);

        let agents = agents
            .into_iter()
            .filter_map(|(name, agent)| Some((name, agent?)))
            .collect();
        match (media, control) {
            (Some(media), Some(control)) if findings.mistakes.is_empty() => {
                let config = Self {
                    sip,
                    media,
                    limits,
                    control,
                    drain,
                    recordings,
                    captures,
                    trunks,
                    agents,
                    routes,
                };
                Ok((config, findings.warnings))
            }
            _ => Err(findings),
        }
    }

    /// The agent that answers a call from `trunk` to the user `to_user`, a number in any of its spellings;
    /// `None` means 404.
    #[must_use]
    pub fn route(&self, trunk: &TrunkName, to_user: &str) -> Option<&AgentName> {
        let spellings = spellings(to_user);
        self.routes
            .iter()
            .find(|route| spellings.iter().any(|user| route.fits(trunk, user)))
            .map(|route| &route.agent)
    }

    /// Whether texts can be spoken: the voice is there when an agent needs it.
    #[must_use]
    pub fn has_a_voice(&self) -> bool {
        self.agents.values().any(Agent::needs_a_voice)
    }

    /// The codecs for calls of a trunk, in our order of preference.
    #[must_use]
    pub fn codecs_of(&self, trunk: &TrunkName) -> Vec<CodecKind> {
        let of_trunk = self
            .trunks
            .get(trunk)
            .and_then(|trunk| trunk.codecs.clone());
        of_trunk.unwrap_or_else(|| self.media.codecs.clone())
    }

    /// At which rates calls have their audio: those of all codecs that are listed anywhere.
    #[must_use]
    pub fn sample_rates_hz(&self) -> BTreeSet<u32> {
        let of_trunks = self.trunks.values().flat_map(|trunk| &trunk.codecs);
        let lists = of_trunks.chain([&self.media.codecs]);
        lists
            .flatten()
            .map(|codec| codec.sample_rate_hz())
            .collect()
    }

    /// How digits go between a trunk and us, and with which clock rates events are offered where they are.
    #[must_use]
    pub fn digits_of(&self, trunk: &TrunkName) -> (Dtmf, TelephoneEventRates) {
        let of_trunk = self.trunks.get(trunk);
        of_trunk
            .map(|trunk| (trunk.dtmf, trunk.telephone_event))
            .unwrap_or_default()
    }

    /// Whether calls of a trunk are protected.
    #[must_use]
    pub fn srtp_of(&self, trunk: &TrunkName) -> SrtpPolicy {
        self.trunks
            .get(trunk)
            .map(|trunk| trunk.srtp)
            .unwrap_or_default()
    }

    /// Whether a call of this trunk to this agent is captured.
    #[must_use]
    pub fn captures_calls_of(&self, trunk: &TrunkName, agent: &AgentName) -> bool {
        self.trunks.get(trunk).is_some_and(|trunk| trunk.capture)
            || self.agents.get(agent).is_some_and(|agent| agent.capture)
    }

    /// Whether any call is.
    #[must_use]
    pub fn captures_calls(&self) -> bool {
        self.trunks.values().any(|trunk| trunk.capture)
            || self.agents.values().any(|agent| agent.capture)
    }

    /// How many places one direction leaves to the other where `limits.outbound_calls` does not share them out: a
    /// tenth, where calls go both ways at all.
    #[must_use]
    pub fn reserved_calls(&self) -> u32 {
        let come_in = self
            .trunks
            .values()
            .any(|trunk| !trunk.inbound_from.is_empty());
        let go_out = self.trunks.values().any(|trunk| trunk.outbound.is_some());
        match come_in && go_out {
            true => u32::try_from(self.limits.calls / 10).unwrap_or(u32::MAX),
            false => 0,
        }
    }

    /// The trunk that `source` belongs to: the one with the smallest block around it. `None` means that
    /// nothing from there is answered.
    #[must_use]
    pub fn trunk_for(&self, source: IpAddr) -> Option<&Trunk> {
        let fits = self
            .trunks
            .values()
            .filter_map(|trunk| Some((trunk.fit(source)?, trunk)));
        fits.max_by_key(|(prefix_bits, _)| *prefix_bits)
            .map(|(_, trunk)| trunk)
    }
}

fn parse_name<T: std::str::FromStr<Err = InvalidName>>(
    name: &str,
    section: &document::Section<'_>,
) -> Result<T, Finding> {
    name.parse()
        .map_err(|error: InvalidName| section.finding(error.to_string()))
}
