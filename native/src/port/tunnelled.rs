//! A Port whose far end is a browser or a WebRTC gateway: all that is not media goes through its tunnel, and what the
//! tunnel learns becomes where media goes and what it is keyed with.
//!
//! ```text
//! terms ─► tunnel ─┬─ a way, and keys ─► the plan's address is the way ─► Secured
//!                  └─ severed ─► nothing is sent or taken any more ─► Severed
//! ```

use std::net::SocketAddr;

use super::Port;
use crate::counters::Count;
use crate::event::{Kind, Sink};
use crate::tunnel::{News, Terms, Tunnel};

impl Port {
    /// Have all media go through a tunnel, as was agreed; again where ICE begins anew. False where the certificate or
    /// its key can't be used.
    pub fn tunnel(&mut self, now: i64, terms: &Terms, sink: &mut Sink) -> bool {
        self.see(now);
        let clock = self.clock;
        if !self.tunnel.as_mut().is_some_and(|tunnel| tunnel.renew(clock, terms)) {
            let Some(tunnel) = Tunnel::new(clock, terms) else { return false };
            self.tunnel = Some(Box::new(tunnel));
            (self.way, self.keyed) = (None, None);
        }
        self.readdress();
        self.tick_tunnel(sink);
        true
    }

    /// Take STUN or DTLS.
    pub(super) fn take_tunnelled(&mut self, data: &[u8], from: SocketAddr, sink: &mut Sink) -> Count {
        let Some(tunnel) = &mut self.tunnel else {
            return Count::DroppedStun;
        };
        let (count, news) = tunnel.take(self.clock, data, from, &self.counters, sink);
        self.hear_tunnel(news, sink);
        count
    }

    /// Why a packet of media can't be taken, as far as the tunnel knows.
    pub(super) fn barred(&self, from: SocketAddr) -> Option<Count> {
        let tunnel = self.tunnel.as_ref()?;
        if self.keyed.is_none() {
            return Some(Count::DroppedUnkeyed);
        }
        (!tunnel.knows(from)).then_some(Count::DroppedSource)
    }

    pub(super) fn tick_tunnel(&mut self, sink: &mut Sink) {
        if let Some(tunnel) = &mut self.tunnel {
            let news = tunnel.tick(self.clock, &self.counters, sink);
            self.hear_tunnel(news, sink);
        }
    }

    pub(super) fn close_tunnel(&mut self, sink: &mut Sink) {
        if let Some(tunnel) = &mut self.tunnel {
            tunnel.close(self.clock, &self.counters, sink);
        }
    }

    /// Where media may go now.
    pub(super) fn open_way(&self) -> Option<SocketAddr> {
        self.way.filter(|_| self.keyed.is_some())
    }

    fn hear_tunnel(&mut self, news: Vec<News>, sink: &mut Sink) {
        for one in news {
            match one {
                News::Way(to) => self.way = Some(to),
                News::Keyed(keys) => {
                    let profile = keys.suite.name();
                    self.keyed = Some(keys);
                    self.tell(self.clock, Kind::Secured { profile }, sink);
                }
                News::Severed(why) => {
                    (self.way, self.keyed) = (None, None);
                    self.tell(self.clock, Kind::Severed { reason: why.name() }, sink);
                }
            }
            self.readdress();
        }
    }

    /// Apply the plan anew, by the way that is open now.
    fn readdress(&mut self) {
        if let Some(plan) = self.plan.take() {
            self.configure(self.clock, self.generation, plan);
        }
    }
}
