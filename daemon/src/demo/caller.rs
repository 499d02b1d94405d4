//! The recorded caller: a small phone that calls over loopback sockets and follows a script.
//!
//! It is a caller like any other: its own SIP endpoint, its own RTP socket, its own leg. It knows
//! nothing of the daemon but the address, waits for the agent to finish speaking as a person would,
//! and then says its next line or presses its next key.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use offhook_media::codec::CodecKind;
use offhook_media::control::{Bus, Chunk, Digit, Epoch, LegCommand, LegEvent};
use offhook_media::leg::{InBandDigits, Leg};
use offhook_media::sdp::{
    self, Direction, LocalDescription, LocalMedia, Offer, TelephoneEventRates,
};
use offhook_session::call::LegSettings;
use offhook_sip::endpoint::{
    Body, EndCause, Endpoint, EndpointConfig, Event, Flow, OutgoingInvite, Output, Transport,
};
use offhook_sip::message::{NameAddr, Response, Uri};
use tokio::net::UdpSocket;
use tokio::time::MissedTickBehavior;

use super::ladder::{Direction as Arrow, Ladder};
use crate::random::Random;

/// One thing the caller does when the agent has finished speaking.
#[derive(Clone, Debug)]
pub(super) enum Move {
    /// Says a recorded line, mono at 8 kHz.
    Say(Arc<[i16]>),
    /// Presses keys, one after the other.
    Press(Vec<Digit>),
}

/// What came of the call, from the caller's side.
#[derive(Debug)]
pub(super) struct Report {
    /// The SIP messages, drawn.
    pub(super) ladder: String,
    /// How many times the agent spoke.
    pub(super) agent_turns: usize,
    /// Moves that were made, of the script's.
    pub(super) moves_made: usize,
    /// How the call ended.
    pub(super) end: EndCause,
    /// How long it lasted from the INVITE.
    pub(super) duration: Duration,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum CallerError {
    /// A socket failed.
    #[error("the caller's socket: {0}")]
    Socket(#[from] std::io::Error),
    /// The daemon's answer could not be used.
    #[error("the answer cannot be used: {0}")]
    Answer(String),
    /// The call did not come to its end in time.
    #[error("no end after {0:?}; {1}")]
    TooLong(Duration, &'static str),
}

/// The user in the caller's own address, by which its call is known.
pub(super) const USER: &str = "recorded-caller";
/// Quiet on the agent's side after which it counts as finished.
const AGENT_PAUSE: Duration = Duration::from_millis(900);
/// The longest a call may take.
const LONGEST_CALL: Duration = Duration::from_secs(120);
/// How long a key is held, in milliseconds.
const PRESS_MS: u32 = 120;
const TICK: Duration = Duration::from_millis(10);

/// Where the caller stands in its script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    /// Waits until the agent has spoken.
    Listening,
    /// The agent speaks.
    Hearing,
    /// The agent has stopped; speaks up when the pause has lasted.
    Waiting { since: Instant },
    /// Says a line.
    Speaking,
}

/// The caller and its sockets.
pub(super) struct Caller {
    sip: UdpSocket,
    rtp: UdpSocket,
    flow: Flow,
    endpoint: Endpoint,
    description: LocalDescription,
    offer: Option<Offer>,
    leg: Option<Leg>,
    script: std::vec::IntoIter<Move>,
    mood: Mood,
    epoch: Epoch,
    ladder: Ladder,
    agent_turns: usize,
    moves_made: usize,
    began: Instant,
    seed: u64,
}

impl Caller {
    /// Dials `user` at `target` from an address of the same interface.
    ///
    /// # Errors
    /// When no socket can be had.
    pub(super) async fn dial(
        target: SocketAddr,
        user: &str,
        script: Vec<Move>,
    ) -> Result<Self, CallerError> {
        let ip = local_ip_towards(target)?;
        let sip = UdpSocket::bind((ip, 0)).await?;
        let rtp = UdpSocket::bind((ip, 0)).await?;
        let now = Instant::now();
        let mut random = Random::from_kernel()?;
        let seed = random.next_u64();
        let flow = Flow {
            transport: Transport::Udp,
            local: sip.local_addr()?,
            remote: target,
        };
        let mut description = LocalDescription::new(LocalMedia {
            address: ip,
            port: rtp.local_addr()?.port(),
            codecs: vec![CodecKind::Pcmu],
            telephone_event: Some(TelephoneEventRates::EachClock),
            ptime_ms: 20,
            srtp: None,
            direction: Direction::SendReceive,
            session_id: seed >> 1,
            session_version: 1,
        });
        let offer = description.offer();
        let mut endpoint = Endpoint::new(EndpointConfig::default(), random.next_u64());
        let uri = |text: String| {
            Uri::parse(&text).map_err(|error| CallerError::Answer(error.to_string()))
        };
        let callee = uri(format!("sip:{user}@{target}"))?;
        let from = NameAddr::new(uri(format!("sip:{USER}@{}", flow.local))?);
        let mut invite = OutgoingInvite::new(flow, callee.clone(), from, NameAddr::new(callee));
        invite.body = Some(Body {
            content_type: "application/sdp".to_owned(),
            bytes: offer.body.clone(),
        });
        endpoint
            .invite(invite, now)
            .map_err(|error| CallerError::Answer(error.to_string()))?;
        Ok(Self {
            sip,
            rtp,
            flow,
            endpoint,
            description,
            offer: Some(offer),
            leg: None,
            script: script.into_iter(),
            mood: Mood::Listening,
            epoch: Epoch(0),
            ladder: Ladder::new(now),
            agent_turns: 0,
            moves_made: 0,
            began: now,
            seed,
        })
    }

    /// Follows the script until the call ends.
    ///
    /// # Errors
    /// When a socket fails, the answer cannot be used, or the call does not end.
    pub(super) async fn talk(mut self) -> Result<Report, CallerError> {
        let mut clock = tokio::time::interval(TICK);
        clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut signalling = vec![0; 65_535];
        let mut media = vec![0; 2_048];
        loop {
            if let Some(end) = self.carry_on().await? {
                return Ok(self.report(end));
            }
            let timeout = self
                .endpoint
                .poll_timeout()
                .unwrap_or_else(|| Instant::now() + TICK);
            tokio::select! {
                received = self.sip.recv_from(&mut signalling) => {
                    let (length, remote) = received?;
                    let now = Instant::now();
                    self.ladder.record(Arrow::FromOffhook, &signalling[..length], now);
                    self.endpoint.handle_datagram(Flow { remote, ..self.flow }, &signalling[..length], now);
                }
                received = self.rtp.recv_from(&mut media) => {
                    let (length, remote) = received?;
                    if let Some(leg) = &mut self.leg {
                        leg.handle_datagram(&media[..length], remote, Instant::now());
                    }
                }
                tick = clock.tick() => self.tick(tick.into_std()).await?,
                () = tokio::time::sleep_until(timeout.into()) => self.endpoint.handle_timeout(Instant::now()),
            }
        }
    }

    /// Sends what the endpoint wants sent and takes its events; the cause when the call is over.
    async fn carry_on(&mut self) -> Result<Option<EndCause>, CallerError> {
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Transmit { flow, bytes } => {
                    self.ladder
                        .record(Arrow::FromCaller, &bytes, Instant::now());
                    self.sip.send_to(&bytes, flow.remote).await?;
                }
                Output::Event(Event::Answered { response, .. }) => self.answered(&response)?,
                Output::Event(Event::Ended { cause, .. }) => return Ok(Some(cause)),
                Output::Event(_) | Output::Registration { .. } | Output::Probed { .. } => {}
            }
        }
        Ok(None)
    }

    fn answered(&mut self, response: &Response) -> Result<(), CallerError> {
        let Some(offer) = self.offer.take() else {
            return Ok(());
        };
        let unusable = |error: &dyn std::fmt::Display| CallerError::Answer(error.to_string());
        let answer = sdp::parse(&response.body).map_err(|error| unusable(&error))?;
        let negotiated = self
            .description
            .accept_answer(&offer, &answer)
            .map_err(|error| unusable(&error))?;
        let settings = LegSettings {
            voice_activity: true,
            echo_guard: true,
            in_band_digits: InBandDigits::Never,
            call_tones: false,
            no_media_timeout: None,
            seed: self.seed,
        };
        let leg = Leg::new(settings.config(&negotiated), Instant::now())
            .map_err(|error| unusable(&error))?;
        self.leg = Some(leg);
        Ok(())
    }

    /// One frame each way, and the caller's next move when it is time for it.
    async fn tick(&mut self, now: Instant) -> Result<(), CallerError> {
        if now.saturating_duration_since(self.began) > LONGEST_CALL {
            return Err(CallerError::TooLong(
                LONGEST_CALL,
                "the agent should have hung up",
            ));
        }
        let Some(leg) = &mut self.leg else {
            return Ok(());
        };
        if let Some((datagram, to)) = leg.tick(now) {
            self.rtp.send_to(datagram, to).await?;
        }
        if leg.is_report_due(now)
            && let Some(report) = leg.make_report(now)
        {
            self.rtp.send_to(report.bytes, report.to).await?;
        }
        while let Some(event) = self.leg.as_mut().and_then(Leg::poll_event) {
            self.heard(event, now);
        }
        if let Mood::Waiting { since } = self.mood
            && now.saturating_duration_since(since) >= AGENT_PAUSE
        {
            self.next_move();
        }
        Ok(())
    }

    fn heard(&mut self, event: LegEvent, now: Instant) {
        match (event, self.mood) {
            (LegEvent::SpeechStarted { .. }, Mood::Listening) => {
                self.agent_turns += 1;
                self.mood = Mood::Hearing;
            }
            (LegEvent::SpeechStarted { .. }, Mood::Waiting { .. }) => self.mood = Mood::Hearing,
            (LegEvent::SpeechStopped { .. }, Mood::Hearing) => {
                self.mood = Mood::Waiting { since: now }
            }
            (LegEvent::Drained { .. }, Mood::Speaking) => self.mood = Mood::Listening,
            _ => {}
        }
    }

    fn next_move(&mut self) {
        let Some(leg) = &mut self.leg else { return };
        // When the script is done the caller only listens; the agent hangs up.
        let Some(next) = self.script.next() else {
            return;
        };
        self.moves_made += 1;
        match next {
            Move::Say(samples) => {
                self.epoch = Epoch(self.epoch.0 + 1);
                let chunk = Chunk {
                    epoch: self.epoch,
                    samples,
                    last: true,
                };
                leg.handle_command(LegCommand::Play {
                    bus: Bus::Speech,
                    chunk,
                });
                self.mood = Mood::Speaking;
            }
            Move::Press(digits) => {
                for digit in digits {
                    leg.handle_command(LegCommand::Press {
                        digit,
                        duration_ms: PRESS_MS,
                    });
                }
                self.mood = Mood::Listening;
            }
        }
    }

    fn report(self, end: EndCause) -> Report {
        Report {
            ladder: self.ladder.draw(),
            agent_turns: self.agent_turns,
            moves_made: self.moves_made,
            end,
            duration: self.began.elapsed(),
        }
    }
}

/// The local address from which `target` is reached.
fn local_ip_towards(target: SocketAddr) -> std::io::Result<IpAddr> {
    if target.ip().is_loopback() {
        return Ok(target.ip());
    }
    let any: IpAddr = if target.is_ipv4() {
        [0, 0, 0, 0].into()
    } else {
        [0_u16; 8].into()
    };
    let probe = std::net::UdpSocket::bind((any, 0))?;
    // Connecting a UDP socket sends nothing; it only asks the routing table.
    probe.connect(target)?;
    Ok(probe.local_addr()?.ip())
}
