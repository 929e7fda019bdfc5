//! The queue before a far end whose carrier buffers what we send, and may tell what of it was played.

use std::collections::VecDeque;

use super::{Item, Passing, Queue};

/// A piece that has left: when it sounds, and whose it is.
#[derive(Debug)]
pub(super) struct Flown {
    pub(super) at: i64,
    pub(super) utterance: u64,
    pub(super) pcm: Vec<i16>,
}

impl Queue {
    /// From here on what has left and does not sound yet can be called back.
    pub fn keep_flown(&mut self) {
        self.flown.get_or_insert_with(VecDeque::new);
    }

    /// What sounds by now can't be called back any more.
    pub(super) fn forget_flown(&mut self, now: i64) {
        let Some(flown) = &mut self.flown else { return };
        while flown.front().is_some_and(|piece| piece.at <= now) {
            flown.pop_front();
        }
    }

    /// Call back what does not sound by `now`: it never left, and leaves again before all else.
    pub fn call_back(&mut self, now: i64) {
        self.forget_flown(now);
        let Some(flown) = &mut self.flown else { return };
        while let Some(piece) = flown.pop_back() {
            while self.marks.back().is_some_and(|mark| mark.at >= piece.at) {
                let Some(Passing { utterance, mark, .. }) = self.marks.pop_back() else { break };
                self.items.push_front(Item::Mark { utterance, mark });
            }
            let count = piece.pcm.len();
            if let Some(utterance) = self.utterances.iter_mut().find(|one| one.number == piece.utterance) {
                utterance.queued += count;
                utterance.sent -= count as u64;
                utterance.due = None;
                utterance.posted = false;
                utterance.dry = false;
                while utterance.departures.back().is_some_and(|departure| departure.0 > now) {
                    utterance.departures.pop_back();
                }
            }
            self.queued += count;
            self.items.push_front(Item::Audio { utterance: piece.utterance, pcm: piece.pcm, sent: 0 });
        }
    }

    /// Whether a packet that is not due yet can be filled: nothing that may still come belongs into it.
    #[must_use]
    pub fn is_ready(&self, want: usize) -> bool {
        let next = matches!(self.items.front(), Some(Item::Key(_) | Item::Mark { .. }));
        let ended = self.utterances.back().is_some_and(|last| last.ended);
        next || self.queued >= want || (self.queued > 0 && ended)
    }

    /// What has left and is not known to be heard is heard so much later than was thought.
    pub fn delay(&mut self, late: i64) {
        for utterance in &mut self.utterances {
            utterance.last_departure += late;
            utterance.departures.iter_mut().for_each(|departure| departure.0 += late);
            utterance.due = utterance.due.map(|due| due + late);
        }
        for mark in &mut self.marks {
            mark.at += late;
            mark.due += late;
        }
        self.flown.iter_mut().flatten().for_each(|piece| piece.at += late);
    }

    /// An utterance was heard to its end by `now`.
    pub fn was_heard(&mut self, now: i64, number: u64) {
        for utterance in self.utterances.iter_mut().filter(|one| one.number == number && one.due.is_some()) {
            utterance.due = Some(now);
        }
    }

    /// All before a mark was heard by `now`.
    pub fn was_passed(&mut self, now: i64, number: u64, name: u64) {
        for mark in self.marks.iter_mut().filter(|mark| (mark.utterance, mark.mark) == (number, name)) {
            mark.due = now;
        }
    }

    /// The marks before which all has left, and the utterances that have left to their end (None), each once.
    pub fn take_posts(&mut self, mut post: impl FnMut(u64, Option<u64>)) {
        for mark in self.marks.iter_mut().filter(|mark| !mark.posted) {
            mark.posted = true;
            post(mark.utterance, Some(mark.mark));
        }
        for utterance in self.utterances.iter_mut().filter(|one| one.due.is_some() && !one.posted) {
            utterance.posted = true;
            post(utterance.number, None);
        }
    }

    /// Let nothing follow a hush: what is buffered behind us is dropped, too.
    pub fn break_off(&mut self) {
        self.fade.clear();
    }
}
