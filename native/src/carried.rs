//! A far end that a carrier brings by its own socket, and that buffers what we send.
//!
//! ```text
//! the mouth ─► packets, some `lead` ahead of the clock ─► gathered ─► Leaving ─► the carrier's socket ─► its buffer
//!          └─► the end of an utterance, a mark ─► Fence ─► told when it was passed ─► where play-out truly is
//! ```
//!
//! Play-out is estimated: what is sent to an empty buffer sounds at once, the rest behind it. `until` is when the last of
//! it will have sounded; a fence that is told as passed moves it. All times are ns.

use std::collections::VecDeque;

const MS: i64 = 1_000_000;
/// What is further ahead of play-out would be too late for the tape, which looks back 500 ms.
pub const LEAD_MOST_MS: u32 = 450;
/// Half the round trip to the carrier, until a fence has told it.
const TRANSIT: i64 = 40 * MS;
/// So long after its time a fence is waited for; then the estimate holds.
pub const PATIENCE: i64 = 500 * MS;
/// What is due so soon leaves, however short it is.
const SOON: i64 = 40 * MS;
/// Fences that may be out at once; the oldest is forgotten.
const FENCES_MOST: usize = 256;

/// How the carrier takes audio; `offhook.core.carriage` says what each means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    pub lead_ms: u32,
    pub least_ms: u32,
    pub most_ms: u32,
    /// Fences are told when they are passed.
    pub fences: bool,
    /// What is buffered can be dropped.
    pub clears: bool,
}

/// What a fence stands behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Post {
    /// Nothing: the first is there to measure the way.
    Nothing,
    /// The end of an utterance.
    End(u64),
    Mark(u64, u64),
}

#[derive(Clone, Copy, Debug)]
struct Fence {
    number: u64,
    post: Post,
    /// When what is before it was to have sounded, by the estimate.
    until: i64,
}

/// The state of one such far end.
#[derive(Debug)]
pub struct Carried {
    pub terms: Terms,
    /// When all that was sent will have sounded, were there no way to go.
    until: i64,
    /// Half the round trip.
    transit: i64,
    gathered: Vec<u8>,
    gathered_ms: u32,
    /// When the first of what is gathered will sound.
    begins: i64,
    fences: VecDeque<Fence>,
    last_fence: u64,
    /// What fences are to be set behind once what is gathered has left.
    pub posts: Vec<Post>,
}

impl Carried {
    #[must_use]
    pub fn new(terms: Terms) -> Self {
        Self {
            terms,
            until: i64::MIN,
            transit: TRANSIT,
            gathered: Vec::new(),
            gathered_ms: 0,
            begins: 0,
            fences: VecDeque::new(),
            last_fence: 0,
            posts: Vec::new(),
        }
    }

    /// Whether nothing was sent yet, nor a fence set.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.until == i64::MIN
    }

    /// When what is sent at `now` will sound: behind what is buffered, at once where nothing is.
    pub fn cursor(&mut self, now: i64) -> i64 {
        self.until = self.until.max(now);
        self.until
    }

    /// Whether the buffer there is empty, by the estimate.
    #[must_use]
    pub fn is_dry(&self, now: i64) -> bool {
        self.until <= now
    }

    /// Whether more should leave: a message has begun, or a whole one fits before the lead is reached.
    #[must_use]
    pub fn has_room(&self, now: i64) -> bool {
        let lead = i64::from(self.terms.lead_ms) * MS;
        let message = i64::from(self.terms.most_ms) * MS;
        !self.gathered.is_empty() || self.is_dry(now) || self.until + message.min(lead) <= now + lead
    }

    /// Whether a message has begun.
    #[must_use]
    pub fn is_gathering(&self) -> bool {
        !self.gathered.is_empty()
    }

    /// Whether what is gathered can't wait for its company: soon it will be due.
    #[must_use]
    pub fn is_pressing(&self, now: i64) -> bool {
        !self.gathered.is_empty() && self.lacks() == 0 && self.begins <= now + SOON
    }

    /// Gather a packet's payload, `ms` long; a whole message, where it completes one: when it sounds, and its bytes.
    pub fn gather(&mut self, payload: &[u8], ms: u32) -> Option<(i64, Vec<u8>)> {
        if self.gathered.is_empty() {
            self.begins = self.until;
        }
        self.gathered.extend_from_slice(payload);
        self.gathered_ms += ms;
        self.until += i64::from(ms) * MS;
        (self.gathered_ms + ms > self.terms.most_ms).then(|| self.take())
    }

    /// What is gathered must leave now; how many ms of silence it lacks to be a message.
    #[must_use]
    pub fn lacks(&self) -> u32 {
        if self.gathered.is_empty() {
            0
        } else {
            self.terms.least_ms.saturating_sub(self.gathered_ms)
        }
    }

    /// Take what is gathered, if it is something.
    pub fn flush(&mut self) -> Option<(i64, Vec<u8>)> {
        (!self.gathered.is_empty()).then(|| self.take())
    }

    fn take(&mut self) -> (i64, Vec<u8>) {
        self.gathered_ms = 0;
        (self.begins, std::mem::take(&mut self.gathered))
    }

    /// Set a fence behind what was sent; its number.
    pub fn fence(&mut self, post: Post) -> u64 {
        if self.fences.len() == FENCES_MOST {
            self.fences.pop_front();
        }
        self.last_fence += 1;
        self.fences.push_back(Fence { number: self.last_fence, post, until: self.until });
        self.last_fence
    }

    /// A fence was passed, which was told at `now`: what it and those before it stand behind, and how much later than
    /// estimated it was.
    pub fn passed(&mut self, now: i64, number: u64) -> (Vec<Post>, i64) {
        let mut posts = Vec::new();
        if !self.fences.iter().any(|fence| fence.number == number) {
            return (posts, 0); // it was cleared, or never set
        }
        let mut late = 0;
        while let Some(fence) = self.fences.pop_front() {
            posts.push(fence.post);
            if fence.number != number {
                continue;
            }
            if fence.post == Post::Nothing {
                self.transit = ((now - fence.until) / 2).clamp(0, PATIENCE / 2);
            } else {
                late = (now - 2 * self.transit - fence.until).clamp(-i64::from(self.terms.lead_ms) * MS, PATIENCE);
                self.until += late;
            }
            break;
        }
        (posts, late)
    }

    /// How long after it was to sound it is known that something did.
    #[must_use]
    pub fn lag(&self) -> i64 {
        self.transit + if self.terms.fences { PATIENCE } else { 0 }
    }

    /// What is buffered there is dropped: at `now` nothing is. What left before that and had not begun is unheard.
    pub fn empty(&mut self, now: i64) {
        self.until = now;
        self.gathered.clear();
        self.gathered_ms = 0;
        self.fences.clear();
        self.posts.clear();
    }
}
