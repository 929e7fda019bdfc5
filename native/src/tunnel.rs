//! The secure path of a leg to a browser or a WebRTC gateway: ICE finds the way, DTLS agrees on the keys, SRTP uses them.
//!
//! ```text
//! datagram, by its first byte (RFC 7983) ─┬─ 0–3 ──► ice.rs   ─► answers, checks; where to send
//!                                         ├─ 20–63 ► dtls.rs  ─► flights; whether it is whom signalling told of; keys
//!                                         └─ 128–191: the Port's own, once there are keys
//! ```
//!
//! Laws: only who has the password of ICE is heard by DTLS or as media; nothing is media before the certificate was
//! found to be the one that signalling told of; who stops consenting is sent nothing more. Like the Port it keeps no
//! time: `now` comes in, and `due` says when `tick` is wanted.

pub mod dtls;
pub mod ice;

use std::net::SocketAddr;

use crate::counters::{Count, Counters};
use crate::event::Sink;
use crate::secure::Protection;

/// What signalling agreed.
#[derive(Clone, Debug)]
pub struct Terms {
    pub ice: ice::Terms,
    pub dtls: dtls::Terms,
}

impl Terms {
    /// Whether the certificate and its key can be used.
    #[must_use]
    pub fn usable(&self) -> bool {
        dtls::Handshake::new(0, &self.dtls).is_some()
    }
}

/// What became of it.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// The way goes here from now on.
    Way(SocketAddr),
    Keyed(Protection),
    /// It is over: nothing comes, nothing may be sent.
    Severed(Severed),
}

/// Why it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severed {
    Unreachable,
    Consent,
    Fingerprint,
    Handshake,
    Closed,
}

impl Severed {
    /// As Python is told.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Consent => "consent",
            Self::Fingerprint => "fingerprint",
            Self::Handshake => "handshake",
            Self::Closed => "closed",
        }
    }
}

/// The secure path of one leg.
#[derive(Debug)]
pub struct Tunnel {
    ice: ice::Ice,
    dtls: dtls::Handshake,
    /// Where flights go.
    to: Option<SocketAddr>,
    over: bool,
}

impl Tunnel {
    /// None where the certificate or its key can't be used.
    #[must_use]
    pub fn new(now: i64, terms: &Terms) -> Option<Self> {
        let dtls = dtls::Handshake::new(now, &terms.dtls)?;
        Some(Self { ice: ice::Ice::new(now, &terms.ice), dtls, to: None, over: false })
    }

    /// ICE begins anew, on new names and passwords; the handshake stays where signalling still means the same far end.
    /// False where it means another, or this one is over.
    pub fn renew(&mut self, now: i64, terms: &Terms) -> bool {
        if self.over || !self.dtls.is_for(&terms.dtls) {
            return false;
        }
        self.ice = self.ice.renewed(now, &terms.ice);
        true
    }

    /// Whether a datagram is ICE's or DTLS's (RFC 7983 section 7).
    #[must_use]
    pub fn takes(data: &[u8]) -> bool {
        matches!(data.first(), Some(0..=3 | 20..=63))
    }

    /// Whether media may come from a source.
    #[must_use]
    pub fn knows(&self, source: SocketAddr) -> bool {
        !self.over && self.ice.knows(source)
    }

    /// When `tick` must be called next.
    #[must_use]
    pub fn due(&self) -> Option<i64> {
        if self.over {
            return None;
        }
        [self.ice.due(), self.dtls.due()].into_iter().flatten().min()
    }

    /// Take what `takes` says is ours.
    pub fn take(
        &mut self,
        now: i64,
        data: &[u8],
        from: SocketAddr,
        counters: &Counters,
        sink: &mut Sink,
    ) -> (Count, Vec<News>) {
        let stun = data.first().is_some_and(|first| *first < 4);
        if self.over {
            return (if stun { Count::DroppedStun } else { Count::DroppedDtlsSource }, Vec::new());
        }
        if stun {
            let (count, news) = self.ice.take(now, data, from, sink);
            return (count, self.moved(now, news, counters, sink));
        }
        // A handshake with who has not shown the password would be one with anybody.
        if !self.knows(from) {
            return (Count::DroppedDtlsSource, Vec::new());
        }
        let to = *self.to.get_or_insert(from);
        let news = self.dtls.take(now, data, &mut |flight| send(to, flight, counters, sink));
        (Count::ReceivedDtls, self.agreed(news))
    }

    /// Do what is due.
    pub fn tick(&mut self, now: i64, counters: &Counters, sink: &mut Sink) -> Vec<News> {
        if self.over {
            return Vec::new();
        }
        let news = self.ice.tick(now, sink);
        let mut all = self.moved(now, news, counters, sink);
        if let Some(to) = self.to.filter(|_| !self.over) {
            let news = self.dtls.tick(now, &mut |flight| send(to, flight, counters, sink));
            all.extend(self.agreed(news));
        }
        all
    }

    /// Say goodbye.
    pub fn close(&mut self, now: i64, counters: &Counters, sink: &mut Sink) {
        if let Some(to) = self.to.filter(|_| !self.over) {
            self.dtls.close(now, &mut |flight| send(to, flight, counters, sink));
        }
        self.over = true;
    }

    fn moved(&mut self, now: i64, news: Option<ice::News>, counters: &Counters, sink: &mut Sink) -> Vec<News> {
        match news {
            None => Vec::new(),
            Some(ice::News::Nominated(to)) => {
                self.to = Some(to);
                let begun = self.dtls.begin(now, &mut |flight| send(to, flight, counters, sink));
                let mut all = vec![News::Way(to)];
                all.extend(self.agreed(begun));
                all
            }
            Some(ice::News::Unreachable) => self.severed(Severed::Unreachable),
            Some(ice::News::ConsentLost) => self.severed(Severed::Consent),
        }
    }

    fn agreed(&mut self, news: Option<dtls::News>) -> Vec<News> {
        match news {
            None => Vec::new(),
            Some(dtls::News::Keyed(keys)) => vec![News::Keyed(keys)],
            Some(dtls::News::Stranger) => self.severed(Severed::Fingerprint),
            Some(dtls::News::Failed) => self.severed(Severed::Handshake),
            Some(dtls::News::Closed) => self.severed(Severed::Closed),
        }
    }

    fn severed(&mut self, why: Severed) -> Vec<News> {
        self.over = true;
        vec![News::Severed(why)]
    }
}

fn send(to: SocketAddr, flight: &[u8], counters: &Counters, sink: &mut Sink) {
    sink.send(to, false, |out| out.extend_from_slice(flight));
    counters.add(Count::SentDtls);
}

#[cfg(test)]
mod identities;
#[cfg(test)]
mod tests;
