//! The ICE agent of one leg (RFC 8445, 8489, 7675): who may send here, and where to.
//!
//! ```text
//! STUN ─► ours by ufrag and password? ─► answered ─► its source may send here ─► nominated: where we send
//!    full: checks of our own ─► an answer is consent (RFC 7675)      lite: who asks consents, nobody is asked
//! ```
//!
//! One socket carries all of a leg (BUNDLE and rtcp-mux), so there is one local candidate, whatever addresses are told
//! of it. The crate `is` decides; here are our bounds, our clock and our chance: it draws its transaction numbers from a
//! generator of the thread, which is seeded from this leg's own before it may.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use is::stun::{StunMessage, StunPacket};
use is::{Candidate, IceAgent, IceAgentEvent, IceCreds, Protocol};

use crate::counters::Count;
use crate::event::Sink;
use crate::sys::{instant, nanoseconds};

/// How long consent lasts (RFC 7675 section 5.1).
pub const CONSENT: i64 = 30_000_000_000;
/// How long the far end may take to reach us, or be reached. A browser gives up after some 15 s.
pub const REACH: i64 = 20_000_000_000;
/// How often consent is asked for (RFC 7675 section 5.1: 5 s).
const CONSENT_EVERY: Duration = Duration::from_secs(5);
/// Candidates of the far end that are checked, and sources that may prove themselves: browsers have a dozen.
pub const CANDIDATES_MOST: usize = 32;
const SOURCES_MOST: usize = 32;
/// Between two looks at the agent, ns: it may be due at once, but a port is not ticked twice at one instant.
const LEAST: i64 = 1_000_000;

/// A user name and a password of ICE (RFC 8839 section 5.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    pub ufrag: String,
    pub pwd: String,
}

/// What signalling agreed for ICE.
#[derive(Clone, Debug)]
pub struct Terms {
    pub ours: Credentials,
    pub theirs: Credentials,
    /// We only answer (RFC 8445 section 2.5).
    pub lite: bool,
    pub controlling: bool,
    /// The values of the far end's a=candidate. What is none, or of another component, is passed over.
    pub candidates: Vec<String>,
    /// What transaction numbers and the tie breaker are drawn from.
    pub seed: u64,
}

/// What became known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// Send here from now on.
    Nominated(SocketAddr),
    /// Nobody reached us in time.
    Unreachable,
    /// The far end has not said for 30 s that it wants to hear us.
    ConsentLost,
}

/// One leg's agent.
#[derive(Debug)]
pub struct Ice {
    agent: IceAgent,
    lite: bool,
    /// Who may send here: their requests had the password.
    sources: Vec<SocketAddr>,
    nominated: Option<SocketAddr>,
    /// When the far end last proved that it wants to hear us; at first, when we began.
    consent: i64,
    chance: u64,
    due: i64,
    over: bool,
}

impl Ice {
    #[must_use]
    pub fn new(now: i64, terms: &Terms) -> Self {
        fastrand::seed(terms.seed);
        let mut agent = IceAgent::new(creds(&terms.ours));
        agent.set_control_tie_breaker(fastrand::u64(..));
        agent.set_ice_lite(terms.lite);
        agent.set_controlling(terms.controlling);
        agent.set_max_stun_rto(CONSENT_EVERY);
        agent.set_max_candidate_pairs(CANDIDATES_MOST + SOURCES_MOST);
        agent.set_remote_credentials(creds(&terms.theirs));
        for here in [here(false), here(true)] {
            if let Ok(candidate) = Candidate::host(here, Protocol::Udp) {
                agent.add_local_candidate(candidate);
            }
        }
        if !terms.lite {
            for text in terms.candidates.iter().take(CANDIDATES_MOST) {
                if let Some(candidate) = candidate(text) {
                    agent.add_remote_candidate(candidate);
                }
            }
        }
        let mut ice = Self {
            agent,
            lite: terms.lite,
            sources: Vec::new(),
            nominated: None,
            consent: now,
            chance: fastrand::u64(..),
            due: now,
            over: false,
        };
        ice.see(now);
        ice
    }

    /// An agent for new terms. Who has shown the old password may still send: media goes on meanwhile.
    #[must_use]
    pub fn renewed(&self, now: i64, terms: &Terms) -> Self {
        Self { sources: self.sources.clone(), ..Self::new(now, terms) }
    }

    /// When `tick` must be called next.
    #[must_use]
    pub fn due(&self) -> Option<i64> {
        (!self.over).then_some(self.due.min(self.limit()))
    }

    /// Whether a source has the password of this leg.
    #[must_use]
    pub fn knows(&self, source: SocketAddr) -> bool {
        self.sources.contains(&source)
    }

    /// Where to send.
    #[must_use]
    pub fn nominated(&self) -> Option<SocketAddr> {
        self.nominated
    }

    /// Take a STUN message.
    pub fn take(&mut self, now: i64, data: &[u8], from: SocketAddr, sink: &mut Sink) -> (Count, Option<News>) {
        let Ok(message) = StunMessage::parse(data) else {
            return (Count::DroppedStun, None);
        };
        if self.over || !self.knows(from) && self.sources.len() >= SOURCES_MOST {
            return (Count::DroppedStun, None);
        }
        let asked = message.is_binding_request();
        let answered = message.is_successful_binding_response();
        let destination = here(from.is_ipv6());
        let packet = StunPacket { proto: Protocol::Udp, source: from, destination, message };
        fastrand::seed(self.chance);
        let taken = self.agent.handle_packet(instant(now), packet);
        self.chance = fastrand::u64(..);
        if !taken {
            return (Count::DroppedStunForged, None);
        }
        if !self.knows(from) {
            self.sources.push(from);
        }
        // Who only answers can't ask: there, who asks us consents.
        if answered || (asked && self.lite) {
            self.consent = now;
        }
        (Count::ReceivedStun, self.look(now, sink))
    }

    /// Do what is due.
    pub fn tick(&mut self, now: i64, sink: &mut Sink) -> Option<News> {
        if self.over {
            return None;
        }
        if now >= self.limit() {
            self.over = true;
            return Some(if self.nominated.is_some() { News::ConsentLost } else { News::Unreachable });
        }
        if now >= self.due {
            self.look(now, sink)
        } else {
            None
        }
    }

    /// When it is over, if nothing happens.
    fn limit(&self) -> i64 {
        self.consent + if self.nominated.is_some() { CONSENT } else { REACH }
    }

    /// Let the agent see the time; send what it wants sent; learn whom it chose.
    fn look(&mut self, now: i64, sink: &mut Sink) -> Option<News> {
        self.see(now);
        while let Some(transmit) = self.agent.poll_transmit() {
            sink.send(transmit.destination, false, |out| out.extend_from_slice(&transmit.contents));
        }
        let before = self.nominated;
        while let Some(event) = self.agent.poll_event() {
            if let IceAgentEvent::NominatedSend { destination, .. } = event {
                self.nominated = Some(destination);
            }
        }
        self.nominated.filter(|_| self.nominated != before).map(|destination| {
            if before.is_none() {
                self.consent = now;
            }
            News::Nominated(destination)
        })
    }

    fn see(&mut self, now: i64) {
        fastrand::seed(self.chance);
        self.agent.handle_timeout(instant(now));
        self.chance = fastrand::u64(..);
        let next = self.agent.poll_timeout().map_or(i64::MAX, nanoseconds);
        self.due = next.max(now + LEAST);
    }
}

fn creds(credentials: &Credentials) -> IceCreds {
    IceCreds { ufrag: credentials.ufrag.clone(), pass: credentials.pwd.clone() }
}

/// The one local candidate of a family: the agent never tells it to anybody, it only knows it again.
fn here(six: bool) -> SocketAddr {
    let ip = if six { IpAddr::V6(Ipv6Addr::LOCALHOST) } else { IpAddr::V4(Ipv4Addr::LOCALHOST) };
    SocketAddr::new(ip, 9)
}

/// Read the value of a=candidate.
fn candidate(text: &str) -> Option<Candidate> {
    Candidate::from_sdp_string(&format!("candidate:{text}")).ok().filter(|one| one.proto() == Protocol::Udp)
}
