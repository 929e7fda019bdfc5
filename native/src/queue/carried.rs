//! The queue before a far end whose carrier buffers what we send, and may tell what of it was played.

use super::{Item, Queue};

impl Queue {
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
        self.marks.iter_mut().for_each(|mark| mark.due += late);
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
