//! Who hears whom on one thread: what leaves one port goes into others before they send.
//!
//! There is no bus to keep: every port has the list of whom it hears. What nobody hears is not kept for anybody.

use super::Driver;
use crate::mix::{Route, SOURCES_MOST};

impl Driver {
    /// Let a port have what the others that it hears say, for the packets that are due at `now`.
    pub(super) fn pass_audio(&mut self, index: usize, now: i64) {
        let wanted = self.seats[index].as_ref().and_then(|seat| seat.port.wants(now));
        let Some((due, ms)) = wanted else { return };
        for nth in 0..SOURCES_MOST {
            let route = self.seats[index].as_ref().and_then(|seat| seat.port.routes().nth(nth));
            let Some(Route { port, side, .. }) = route else { return };
            let Some(there) = self.find(port).and_then(|other| self.seats[other].as_mut()) else { continue };
            let (sounds, rate_hz) = (there.port.pull(side, due, ms, &mut self.heard), there.port.rate_hz());
            if let Some(here) = self.seats[index].as_mut().filter(|_| sounds) {
                here.port.feed(now, port, side, &self.heard, rate_hz);
            }
        }
    }

    /// Let a port hear these, as far as they are here.
    pub(super) fn mix(&mut self, number: u32, routes: &[Route]) {
        let Some(index) = self.find(number) else { return };
        let here = |route: &&Route| route.port != number && self.find(route.port).is_some();
        let routes: Vec<Route> = routes.iter().filter(here).copied().collect();
        self.route(index, &routes);
        self.keep_what_is_heard();
    }

    /// A port hears nobody from here on, and nobody hears it.
    pub(super) fn part(&mut self, number: u32) {
        let Some(index) = self.find(number) else { return };
        self.route(index, &[]);
        for other in 0..self.seats.len() {
            let Some(seat) = &self.seats[other] else { continue };
            if seat.port.routes().any(|route| route.port == number) {
                let rest: Vec<Route> = seat.port.routes().filter(|route| route.port != number).collect();
                self.route(other, &rest);
            }
        }
        self.keep_what_is_heard();
    }

    fn route(&mut self, index: usize, routes: &[Route]) {
        if let Some(seat) = &mut self.seats[index] {
            seat.port.mix(routes);
        }
    }

    fn keep_what_is_heard(&mut self) {
        let heard: Vec<u32> =
            self.seats.iter().flatten().flat_map(|seat| seat.port.routes().map(|route| route.port)).collect();
        for seat in self.seats.iter_mut().flatten() {
            seat.port.relay(heard.contains(&seat.port.number()));
        }
    }
}
