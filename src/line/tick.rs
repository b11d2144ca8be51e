//! What a gateway and the store say to each other at every tick.

use super::{Entry, GatewayId, Known, Number, Numbers, PersonId, Renewal, Roll, Slots};

/// What one gateway has to say, and to ask, at one tick. Verbs are taken in the order of the fields,
/// then the line calls whom it may, then the log is read from `known` on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tick {
    /// Who ticks; its lease on the visitors it vouches for is renewed.
    pub gateway: GatewayId,
    /// Counts this gateway's ticks. One that was overtaken by a later one on the way says nothing of who is here any
    /// more; one of the same serial is the same tick, sent again.
    pub serial: u64,
    /// How long the lease holds without a further tick, in milliseconds.
    pub lease_ms: u64,
    /// Visitors that came to this gateway since the last tick, or all that are here.
    pub here: Numbers,
    /// Whether `here` are all for whom this gateway vouches: it has just started, the store has asked, or what it said
    /// last may not have been done.
    pub all_here: bool,
    /// Visitors that went away, of those of whom it was told that they came.
    pub gone: Numbers,
    /// Visitors who came back with a number the store had forgotten.
    pub returned: Numbers,
    /// Visitors who give up their place.
    pub left: Numbers,
    /// Sessions that end early.
    pub ended: Vec<Slots>,
    /// Sessions that go on for as long as one that begins now.
    pub renewed: Vec<Renewal>,
    /// The interval between admissions that this gateway wishes for, in microseconds, where the rate adapts. The
    /// longest wish counts, each for as long as its gateway's lease.
    pub wish_us: Option<u64>,
    /// Persons whose tickets are of an older epoch, so that the store may have lost which number is theirs.
    pub introduced: Vec<(PersonId, Number)>,
    /// How far this gateway's mirror has come.
    pub known: Known,
}

impl Tick {
    /// Makes a tick that says nothing but that its gateway is there, the first one, for a mirror that knows nothing. Its lease
    /// is one of ten seconds.
    #[must_use]
    pub fn silent(gateway: GatewayId) -> Self {
        Self {
            gateway,
            serial: 0,
            lease_ms: 10_000,
            here: Numbers::default(),
            all_here: false,
            gone: Numbers::default(),
            returned: Numbers::default(),
            left: Numbers::default(),
            ended: Vec::new(),
            renewed: Vec::new(),
            wish_us: None,
            introduced: Vec::new(),
            known: Known::default(),
        }
    }

    /// Returns only what was said of places given up, given back or found again.
    #[must_use]
    pub fn of_places(self) -> Self {
        Self { ended: Vec::new(), renewed: Vec::new(), ..self }
    }

    /// Says the same of places, where it was said of numbers, or the other way around.
    #[must_use]
    pub fn translated(self, translate: impl Fn(Numbers) -> Numbers) -> Self {
        let ended = |slots: Slots| Slots { numbers: translate(slots.numbers), ..slots };
        let one = |number| translate(Numbers::run(number, number)).iter().next();
        let renewed = |renewal: Renewal| Some(Renewal { number: one(renewal.number)?, ..renewal });
        Self {
            here: translate(self.here),
            gone: translate(self.gone),
            returned: translate(self.returned),
            left: translate(self.left),
            ended: self.ended.into_iter().map(ended).collect(),
            renewed: self.renewed.into_iter().filter_map(renewed).collect(),
            ..self
        }
    }
}

/// The answer to a tick.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// What is new for the mirror.
    pub news: News,
    /// How many of the waiting are present, over all gateways; of a line from [`LONG_LINE`](super::LONG_LINE) on, about: a
    /// count is good for a tenth of a second for each million.
    pub present: u64,
    /// Whether the store knows for whom this gateway vouches. If not, its lease had run out, another's has, or the
    /// store began anew: the gateway says again all who are here.
    pub vouched: bool,
    /// Whether places were left as they are, for lots are just being drawn for them: the gateway says again who
    /// left, who returned, and who was introduced.
    pub held: bool,
    /// The store's clock, in microseconds since the Unix epoch.
    pub now_us: u64,
}

/// What a mirror has to take in to be as the store is.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// The entries after the ones it knows, maybe none.
    Entries(Vec<Entry>),
    /// It is too far behind, or of an older epoch: it offers what it has with
    /// [`restore`](super::LineStore::restore) and takes what comes back. For one of an older epoch nothing of the tick was
    /// done but to renew its lease; it says all again.
    Roll(Box<Roll>),
    /// The store knows less than the mirror: something was lost, the mirror must restore it. Nothing of the
    /// tick was done but to vouch, lest new entries take the place of the lost ones unnoticed.
    Behind,
}
