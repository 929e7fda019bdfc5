//! The play queue: what we are about to say, how much of it left, and how much was heard.
//!
//! ```text
//! play ─► [audio 7][audio 7][mark][audio 8][key] ─► pull, a packet at a time ─► departures ─► heard `lag` later
//! ```
//!
//! Times are in ns, audio in samples at the Port's rate. Each utterance ends in exactly one `Played` or `Cut`.

mod carried;
mod rate;

use carried::Flown;

use std::collections::VecDeque;

use crate::codec::NARROW;
use crate::event::Kind;
use crate::pipeline::Stage;

/// What the queue holds at most.
const CAPACITY_MS: u32 = 2000;
/// Below this, room is told to a voice that was turned away.
const LOW_WATER_MS: u64 = 1000;
/// A hush fades what is sounding to nothing in so many.
const FADE_MS: u64 = 10;

/// Samples that the queue of a Port holds at most.
#[must_use]
pub fn capacity(rate_hz: u32) -> usize {
    (CAPACITY_MS * (rate_hz / 1000)) as usize
}

/// A key to send behind the audio before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    pub code: u8,
    pub duration_ms: u32,
    pub gap_ms: u32,
}

#[derive(Debug)]
enum Item {
    Audio { utterance: u64, pcm: Vec<i16>, sent: usize },
    Mark { utterance: u64, mark: u64 },
    Key(Key),
}

#[derive(Debug)]
struct Utterance {
    number: u64,
    queued: usize,
    sent: u64,
    ended: bool,
    /// It ran dry, and that was counted.
    dry: bool,
    last_departure: i64,
    /// Departures that may not have been heard yet: when, and what had left by then.
    departures: VecDeque<(i64, u64)>,
    heard: u64,
    /// When its end will have been heard.
    due: Option<i64>,
    /// Its end was told by [`Queue::take_posts`].
    posted: bool,
}

/// A mark that all before has left.
#[derive(Debug)]
struct Passing {
    /// When the last before it sounds, and when that will have been heard.
    at: i64,
    due: i64,
    utterance: u64,
    mark: u64,
    /// It was told by [`Queue::take_posts`].
    posted: bool,
}

/// What a pull gave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pulled {
    /// A key is next, and the frame before it is complete.
    pub key: Option<Key>,
    /// There is something to hear in the frame.
    pub sounding: bool,
    /// An utterance ran dry.
    pub underrun: bool,
}

/// The queue of one port.
#[derive(Debug)]
pub struct Queue {
    rate_hz: u32,
    items: VecDeque<Item>,
    utterances: VecDeque<Utterance>,
    queued: usize,
    highest: Option<u64>,
    marks: VecDeque<Passing>,
    fade: Vec<i16>,
    /// A piece shorter than a packet was kept back for one packet time, for its company to come.
    held: bool,
    wants_room: bool,
    /// What has left, but may be called back; None where nothing can be.
    flown: Option<VecDeque<Flown>>,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            rate_hz: NARROW,
            items: VecDeque::new(),
            utterances: VecDeque::new(),
            queued: 0,
            highest: None,
            marks: VecDeque::new(),
            fade: Vec::new(),
            held: false,
            wants_room: false,
            flown: None,
        }
    }
}

impl Queue {
    fn ms(&self, samples: u64) -> u64 {
        samples / u64::from(self.rate_hz / 1000)
    }

    /// Samples that wait.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// Samples that fit.
    #[must_use]
    pub fn room(&self) -> usize {
        capacity(self.rate_hz).saturating_sub(self.queued)
    }

    /// Whether audio of this utterance would be for nothing: it was cut, or it is complete.
    #[must_use]
    pub fn is_stale(&self, number: u64) -> bool {
        match self.utterances.iter().find(|one| one.number == number) {
            Some(utterance) => utterance.ended,
            None => self.highest.is_some_and(|highest| number <= highest),
        }
    }

    /// Somebody was turned away and waits for room.
    pub fn want_room(&mut self) {
        self.wants_room = true;
    }

    /// Queue audio. False: it was stale and is forgotten.
    pub fn play(&mut self, number: u64, pcm: Vec<i16>) -> bool {
        if self.is_stale(number) {
            return false;
        }
        let utterance = self.utterance(number);
        utterance.queued += pcm.len();
        utterance.dry = false;
        self.queued += pcm.len();
        if !pcm.is_empty() {
            self.items.push_back(Item::Audio { utterance: number, pcm, sent: 0 });
        }
        true
    }

    /// An utterance is complete.
    pub fn end(&mut self, now: i64, lag: i64, number: u64) {
        if self.is_stale(number) {
            return;
        }
        self.utterance(number).ended = true;
        self.settle(now, lag);
    }

    /// Queue a mark behind what is queued. Marks of an utterance that is over are forgotten.
    pub fn mark(&mut self, now: i64, lag: i64, number: u64, mark: u64) {
        let known = self.utterances.iter().any(|one| one.number == number);
        if !known && self.is_stale(number) {
            return;
        }
        self.items.push_back(Item::Mark { utterance: number, mark });
        if self.queued == 0 {
            self.pass_marks(now, lag);
        }
    }

    /// Queue a key behind what is queued.
    pub fn press(&mut self, key: Key) {
        self.items.push_back(Item::Key(key));
    }

    /// Fill `frame` up to `want` samples for a packet that departs at `at`, `now` or later. What is missing is for the
    /// caller to pad.
    pub fn pull(&mut self, now: i64, at: i64, lag: i64, want: usize, frame: &mut Vec<i16>) -> Pulled {
        let mut pulled = Pulled::default();
        if !self.fade.is_empty() {
            frame.append(&mut self.fade);
            frame.truncate(want);
            pulled.sounding = true;
            return pulled;
        }
        self.forget_flown(now);
        self.pass_marks(at, lag);
        if let Some(Item::Key(key)) = self.items.front() {
            pulled.key = Some(*key);
            self.items.pop_front();
            return pulled;
        }
        let unfinished = self.utterances.back().is_some_and(|last| !last.ended);
        if self.queued < want && unfinished && !self.held {
            self.held = self.queued > 0;
        } else {
            self.held = false;
            pulled.sounding = self.pull_audio(now, at, lag, want, frame);
        }
        if frame.len() < want {
            for utterance in &mut self.utterances {
                if !utterance.ended && utterance.sent > 0 && !utterance.dry && utterance.queued == 0 {
                    utterance.dry = true;
                    pulled.underrun = true;
                }
            }
        }
        self.settle(now, lag);
        pulled
    }

    fn pull_audio(&mut self, now: i64, at: i64, lag: i64, want: usize, frame: &mut Vec<i16>) -> bool {
        let mut sounding = false;
        while frame.len() < want {
            let Some(Item::Audio { utterance, pcm, sent }) = self.items.front_mut() else {
                break;
            };
            let count = (pcm.len() - *sent).min(want - frame.len());
            frame.extend_from_slice(&pcm[*sent..*sent + count]);
            if let Some(flown) = &mut self.flown {
                flown.push_back(Flown { at, utterance: *utterance, pcm: pcm[*sent..*sent + count].to_vec() });
            }
            *sent += count;
            let (number, over) = (*utterance, *sent == pcm.len());
            self.queued -= count;
            sounding = true;
            if let Some(utterance) = self.utterances.iter_mut().find(|one| one.number == number) {
                utterance.depart(now, at, lag, count);
            }
            if over {
                self.items.pop_front();
                self.pass_marks(at, lag);
            }
        }
        sounding
    }

    fn pass_marks(&mut self, now: i64, lag: i64) {
        while let Some(Item::Mark { utterance, mark }) = self.items.front() {
            let (utterance, mark) = (*utterance, *mark);
            self.marks.push_back(Passing { at: now, due: now + lag, utterance, mark, posted: false });
            self.items.pop_front();
        }
    }

    /// Utterances that are complete and have left get the time at which their end is heard.
    fn settle(&mut self, now: i64, lag: i64) {
        for utterance in &mut self.utterances {
            if utterance.ended && utterance.queued == 0 && utterance.due.is_none() {
                let due = if utterance.sent == 0 { now } else { utterance.last_departure + lag };
                utterance.due = Some(due.max(now));
            }
        }
    }

    /// When something will have been heard next.
    #[must_use]
    pub fn due(&self) -> Option<i64> {
        let played = self.utterances.iter().filter_map(|one| one.due).min();
        let marked = self.marks.front().map(|mark| mark.due);
        match (played, marked) {
            (Some(played), Some(marked)) => Some(played.min(marked)),
            (played, marked) => played.or(marked),
        }
    }

    /// Tell what was heard by `now`, with its time, oldest first.
    pub fn heard(&mut self, now: i64, tell: &mut impl FnMut(i64, Kind)) {
        while let Some(due) = self.due().filter(|&due| due <= now) {
            if let Some(&Passing { utterance, mark, .. }) = self.marks.front().filter(|mark| mark.due == due) {
                self.marks.pop_front();
                tell(due, Kind::Marked { utterance, mark });
                continue;
            }
            let Some(index) = self.utterances.iter().position(|one| one.due == Some(due)) else {
                break;
            };
            if let Some(utterance) = self.utterances.remove(index) {
                let sent_ms = self.ms(utterance.sent);
                tell(due, Kind::Played { utterance: utterance.number, sent_ms });
            }
        }
    }

    /// Give how much waits, once, to a voice that was turned away and may go on.
    pub fn take_room(&mut self) -> Option<u64> {
        let queued_ms = self.ms(self.queued as u64);
        if !self.wants_room || queued_ms >= LOW_WATER_MS {
            return None;
        }
        self.wants_room = false;
        Some(queued_ms)
    }

    /// Drop everything, keep a fade for the next packet, and tell what was cut.
    pub fn hush(&mut self, now: i64, lag: i64, generation: u64, tell: &mut impl FnMut(i64, Kind)) {
        let sounding = self.utterances.iter().any(|one| one.sent > 0 && one.queued > 0);
        if let (true, Some(Item::Audio { pcm, sent, .. })) = (sounding, self.items.front()) {
            let fading = usize::try_from(FADE_MS * u64::from(self.rate_hz / 1000)).unwrap_or(0);
            let tail = &pcm[*sent..(*sent + fading).min(pcm.len())];
            self.fade = tail.iter().enumerate().map(|(n, &sample)| fade(sample, n, tail.len())).collect();
        }
        self.items.clear();
        self.marks.clear();
        self.flown.iter_mut().for_each(VecDeque::clear);
        self.queued = 0;
        self.held = false;
        for mut utterance in std::mem::take(&mut self.utterances) {
            utterance.listen(now - lag);
            let (sent_ms, heard_ms) = (self.ms(utterance.sent), self.ms(utterance.heard));
            tell(now, Kind::Cut { utterance: utterance.number, generation, sent_ms, heard_ms });
        }
    }

    fn utterance(&mut self, number: u64) -> &mut Utterance {
        let index = self.utterances.iter().position(|one| one.number == number).unwrap_or_else(|| {
            self.utterances.push_back(Utterance::new(number));
            self.highest = self.highest.max(Some(number));
            self.utterances.len() - 1
        });
        &mut self.utterances[index]
    }
}

impl Utterance {
    fn new(number: u64) -> Self {
        Self {
            number,
            queued: 0,
            sent: 0,
            ended: false,
            dry: false,
            last_departure: 0,
            departures: VecDeque::new(),
            heard: 0,
            due: None,
            posted: false,
        }
    }

    fn depart(&mut self, now: i64, at: i64, lag: i64, count: usize) {
        self.queued -= count;
        self.sent += count as u64;
        self.last_departure = at;
        self.listen(now - lag);
        self.departures.push_back((at, self.sent));
    }

    /// What left by `until` was heard.
    fn listen(&mut self, until: i64) {
        while let Some(&(_, sent)) = self.departures.front().filter(|departure| departure.0 <= until) {
            self.heard = sent;
            self.departures.pop_front();
        }
    }
}

fn fade(sample: i16, n: usize, total: usize) -> i16 {
    let (left, total) = (i32::try_from(total - n).unwrap_or(0), i32::try_from(total + 1).unwrap_or(1));
    i16::try_from(i32::from(sample) * left / total).unwrap_or(0)
}

/// The queue before the mouth.
#[must_use]
pub fn stage(down: Stage) -> Stage {
    down.after("queue")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;
    const LAG: i64 = 60 * MS;

    /// Pull packets from `from` on; give their samples and what was told.
    fn run(queue: &mut Queue, from: i64, packets: i64) -> (Vec<i16>, Vec<(i64, Kind)>) {
        let (mut audio, mut told) = (Vec::new(), Vec::new());
        for n in 0..packets {
            let now = from + n * 20 * MS;
            queue.heard(now, &mut |at, kind| told.push((at, kind)));
            let mut frame = Vec::new();
            queue.pull(now, now, LAG, 160, &mut frame);
            audio.extend(frame);
        }
        (audio, told)
    }

    #[test]
    fn what_is_played_comes_out_in_order_and_is_told_when_heard() {
        let mut queue = Queue::default();
        let pcm: Vec<i16> = (0..400).collect();
        assert!(queue.play(1, pcm.clone()));
        queue.mark(0, LAG, 1, 5);
        queue.end(0, LAG, 1);
        let (audio, told) = run(&mut queue, 0, 10);
        assert_eq!(audio, pcm);
        let played = (100 * MS, Kind::Played { utterance: 1, sent_ms: 50 });
        assert_eq!(told, [(100 * MS, Kind::Marked { utterance: 1, mark: 5 }), played]);
    }

    #[test]
    fn a_cut_tells_what_left_and_what_was_heard() {
        let mut queue = Queue::default();
        queue.play(1, vec![100; 1600]);
        queue.play(2, vec![100; 160]);
        run(&mut queue, 0, 6);
        let mut told = Vec::new();
        // Departures at 0, 20 … 100 ms; by 110 ms those up to 50 ms were heard.
        queue.hush(110 * MS, LAG, 3, &mut |at, kind| told.push((at, kind)));
        let cut = |utterance, sent_ms, heard_ms| (110 * MS, Kind::Cut { utterance, generation: 3, sent_ms, heard_ms });
        assert_eq!(told, [cut(1, 120, 60), cut(2, 0, 0)]);
        let (audio, told) = run(&mut queue, 120 * MS, 20);
        assert!(audio.len() == 80 && audio.windows(2).all(|two| two[1] <= two[0]), "{audio:?}");
        assert!(told.is_empty());
    }

    #[test]
    fn what_comes_after_a_cut_for_the_same_utterance_is_stale() {
        let mut queue = Queue::default();
        queue.play(1, vec![1; 160]);
        queue.hush(0, LAG, 0, &mut |_, _| ());
        assert!(!queue.play(1, vec![1; 160]));
        queue.end(0, LAG, 1);
        assert_eq!(queue.due(), None);
        assert!(queue.play(2, vec![1; 160]));
    }

    #[test]
    fn a_short_tail_waits_one_packet_for_its_company() {
        let mut queue = Queue::default();
        queue.play(1, vec![1; 100]);
        assert_eq!(run(&mut queue, 0, 1).0.len(), 0);
        queue.play(1, vec![2; 60]);
        assert_eq!(run(&mut queue, 0, 1).0.len(), 160);
        queue.play(1, vec![3; 100]);
        assert_eq!(run(&mut queue, 0, 2).0, [3; 100]);
    }

    #[test]
    fn running_dry_is_counted_once_and_only_before_the_end() {
        let mut queue = Queue::default();
        queue.play(1, vec![1; 160]);
        let dry = |queue: &mut Queue| queue.pull(0, 0, LAG, 160, &mut Vec::new()).underrun;
        assert!(!dry(&mut queue));
        assert!(dry(&mut queue));
        assert!(!dry(&mut queue));
        queue.play(1, vec![1; 160]);
        queue.end(0, LAG, 1);
        assert!(!dry(&mut queue));
        assert!(!dry(&mut queue));
    }

    #[test]
    fn room_is_told_once_below_the_low_water_mark() {
        let mut queue = Queue::default();
        queue.play(1, vec![1; capacity(NARROW)]);
        assert_eq!(queue.room(), 0);
        assert_eq!(queue.take_room(), None);
        queue.want_room();
        run(&mut queue, 0, 50);
        assert_eq!(queue.take_room(), None);
        run(&mut queue, 0, 1);
        assert_eq!(queue.take_room(), Some(980));
        assert_eq!(queue.take_room(), None);
    }

    #[test]
    fn a_key_waits_for_the_audio_before_it() {
        let mut queue = Queue::default();
        let key = Key { code: 5, duration_ms: 100, gap_ms: 100 };
        queue.play(1, vec![1; 160]);
        queue.end(0, LAG, 1);
        queue.press(key);
        assert_eq!(queue.pull(0, 0, LAG, 160, &mut Vec::new()).key, None);
        assert_eq!(queue.pull(0, 0, LAG, 160, &mut Vec::new()).key, Some(key));
    }
}
