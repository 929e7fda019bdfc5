//! What the output of a play-out buffer is made of, stretch by stretch: for benches and tests.

/// What a stretch of output is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Audio as it came.
    Heard,
    /// A period less, or more, than came.
    Shortened,
    Lengthened,
    /// Made up in the place of what is lost.
    Lost,
    /// Made up because nothing was there.
    Late,
    /// The sender is silent, or has not begun.
    Silent,
}

/// A stretch of output, in samples: where it stands in the output of all pulls, and in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub source: Source,
    pub at: u64,
    pub samples: usize,
    /// The media position of its first sample, and how many it stands for.
    pub position: i64,
    pub consumed: usize,
}

impl Span {
    /// Whether `next` is more of the same.
    #[must_use]
    pub fn goes_on(&self, next: Self) -> bool {
        let position = self.position + i64::try_from(self.consumed).unwrap_or(0);
        let alike = self.source == next.source && !matches!(self.source, Source::Shortened | Source::Lengthened);
        alike && self.at + self.samples as u64 == next.at && position == next.position
    }
}
