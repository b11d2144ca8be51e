//! What may be used once: one bit for each use, among those that run out together.
//!
//! A bitmap is as large as its kind allows and is forgotten as a whole, so the memory is bounded however many are used.
//! Two uses may fall on one bit; then the second counts as used, and whoever brings it gets another one to use.

use super::bits::Bits;

/// What is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A proof of work, or of patience: many, each good for minutes.
    Proof,
    /// A link past the line: few, each good for up to a month.
    BypassLink,
    /// A link to another device: good for minutes.
    DeviceLink,
}

/// One use, at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    kind: Kind,
    /// Until when it is to be remembered, in seconds since the Unix epoch.
    until_s: u64,
    bit: u64,
}

impl Kind {
    /// How many bits a bitmap has: 2 MiB for proofs, which a million a minute fill by a sixteenth, and 128 KiB for links.
    const fn bits(self) -> u64 {
        match self {
            Self::Proof => 1 << 24,
            Self::BypassLink | Self::DeviceLink => 1 << 20,
        }
    }

    /// How many seconds of ends share a bitmap.
    const fn span_s(self) -> u64 {
        match self {
            Self::Proof => 60,
            Self::BypassLink => 86_400,
            Self::DeviceLink => 300,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Proof => "proof",
            Self::BypassLink => "link",
            Self::DeviceLink => "device",
        }
    }
}

impl Mark {
    /// Marks what is named by `id`, of which the first eight bytes are random, and is good until `until_ms`.
    #[must_use]
    pub fn of(kind: Kind, id: &[u8; 10], until_ms: u64) -> Self {
        let [a, b, c, d, e, f, g, h, _, _] = *id;
        let bit = u64::from_be_bytes([a, b, c, d, e, f, g, h]) % kind.bits();
        Self { kind, until_s: until_ms.div_ceil(1_000), bit }
    }

    /// Writes down the use of a link past the line, which outlives the process; the others are over in minutes.
    #[must_use]
    pub fn record(&self) -> Option<String> {
        (self.kind == Kind::BypassLink).then(|| format!("{} {}\n", self.until_s, self.bit))
    }

    /// Reads what [`Mark::record`] wrote.
    #[must_use]
    pub fn of_record(line: &str) -> Option<Self> {
        let (until, bit) = line.split_once(' ')?;
        let bit = bit.parse().ok().filter(|bit| *bit < Kind::BypassLink.bits())?;
        Some(Self { kind: Kind::BypassLink, until_s: until.parse().ok()?, bit })
    }

    /// Names the bitmap.
    #[must_use]
    pub fn page(&self) -> String {
        format!("{}:{}", self.kind.name(), self.until_s / self.kind.span_s())
    }

    /// Returns the bit in it.
    #[must_use]
    pub const fn bit(&self) -> u64 {
        self.bit
    }

    /// Says when the whole bitmap can be forgotten, in seconds since the Unix epoch: a minute after all in it ran out,
    /// for clocks differ.
    #[must_use]
    pub const fn forget_s(&self) -> u64 {
        (self.until_s / self.kind.span_s() + 1) * self.kind.span_s() + 60
    }
}

/// The bitmaps of one room, in memory.
#[derive(Debug, Default)]
pub struct Spent(Vec<Page>);

#[derive(Debug)]
struct Page {
    name: String,
    forget_s: u64,
    bits: Bits,
}

/// The most bitmaps: a month of links, and as many minutes of proofs as any clock may be off.
const PAGES_CAP: usize = 64;

impl Spent {
    /// Uses a mark; returns whether it was unused. One that is too far ahead to be remembered counts as used.
    pub fn spend(&mut self, mark: &Mark, now_s: u64) -> bool {
        self.0.retain(|page| page.forget_s > now_s);
        let name = mark.page();
        let at = self.0.iter().position(|page| page.name == name).or_else(|| {
            let has_room = self.0.len() < PAGES_CAP;
            has_room.then(|| self.0.push(Page { name, forget_s: mark.forget_s(), bits: Bits::default() }))?;
            Some(self.0.len() - 1)
        });
        at.is_some_and(|at| self.0[at].bits.insert(mark.bit()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_S: u64 = 1_795_000_000;

    fn mark(kind: Kind, i: u64, in_s: u64) -> Mark {
        let [a, b, c, d, e, f, g, h] = i.to_be_bytes();
        Mark::of(kind, &[a, b, c, d, e, f, g, h, 0, 0], (NOW_S + in_s) * 1_000)
    }

    #[test]
    fn a_mark_is_used_once_and_forgotten_after_its_end() {
        let mut spent = Spent::default();
        for kind in [Kind::Proof, Kind::BypassLink, Kind::DeviceLink] {
            let (one, other) = (mark(kind, 7, 90), mark(kind, 8, 90));
            assert_eq!([one, one, other].map(|mark| spent.spend(&mark, NOW_S)), [true, false, true]);
            assert!(!spent.spend(&one, NOW_S + 91), "not before all clocks agree that it is over");
            assert!(spent.spend(&one, one.forget_s()));
        }
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut spent = Spent::default();
        let used = (0..200).filter(|i| spent.spend(&mark(Kind::Proof, u64::MAX, i * 60), NOW_S)).count();
        assert_eq!((used, spent.0.len()), (PAGES_CAP, PAGES_CAP));
        assert!(spent.0.iter().all(|page| page.bits.to_bytes().len() <= 2 << 20));
    }
}
