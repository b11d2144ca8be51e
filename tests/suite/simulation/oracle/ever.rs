//! What has ever happened, in whichever life of the store and in whichever line.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use vestibule::line::draw::Draw;
use vestibule::line::roll::Era;
use vestibule::line::{Epoch, Number};

use super::desk::{Fate, Key};
use super::lots::Lots;
use super::places::Places;

/// The epoch of a line of which only tickets are left.
const BYGONE: Epoch = 0;

#[derive(Debug, Default)]
pub struct Ever {
    /// Who was called, and the last second of the session; of the first, where a lost call was made again.
    called: BTreeMap<Key, u64>,
    /// Whose place was given up, has lapsed, or whose session was ended.
    over: BTreeMap<Epoch, Places>,
    /// The latest second that any clock has shown.
    pub latest_s: u64,
    /// The epochs that nobody remembered any more who was alive, or that had to give way.
    forgotten: BTreeSet<Epoch>,
    /// What was published before a draw: above which number the entries of each commitment begin.
    promises: BTreeMap<[u8; 32], Number>,
    /// What was published after it.
    draws: Vec<Rc<Lots>>,
}

impl Ever {
    pub fn fate(&self, (epoch, number): Key) -> Fate {
        let is_over = |epoch| self.over.get(&epoch).is_some_and(|over| over.contains(number));
        let ends_s = |epoch| self.called.get(&(epoch, number)).copied();
        Fate {
            ends_s: ends_s(epoch).or_else(|| ends_s(BYGONE)),
            is_over: is_over(epoch) || is_over(BYGONE),
            latest_s: self.latest_s,
            is_forgotten: self.forgotten.contains(&epoch),
        }
    }

    pub fn call(&mut self, key: Key, ends_s: u64) {
        let first = self.called.entry(key).or_insert(ends_s);
        *first = ends_s.min(*first);
    }

    pub fn end(&mut self, (epoch, number): Key) {
        self.over.entry(epoch).or_default().insert(number);
    }

    /// Notes that a run of numbers is over, which may be of several epochs.
    pub fn end_run(&mut self, eras: &[Era], first: Number, last: Number) {
        for (i, era) in eras.iter().enumerate() {
            let above = eras.get(i + 1).map_or(Number::MAX, |next| next.above);
            let (first, last) = (first.max(era.above + 1), last.min(above));
            if first <= last {
                self.over.entry(era.epoch).or_default().insert_run(first, last);
            }
        }
    }

    /// Notes that nobody is owed a place of this epoch any more.
    pub fn forget(&mut self, epoch: Epoch) {
        self.forgotten.insert(epoch);
    }

    /// Notes a promise; tells whether its seed was never promised before.
    pub fn promise(&mut self, commitment: [u8; 32], above: Number) -> bool {
        self.promises.insert(commitment, above).is_none()
    }

    /// Finds out the places of a draw, of which the seed was promised before the first entry, and which was not
    /// published otherwise before.
    pub fn lots(&mut self, draw: &Draw) -> Result<Rc<Lots>, String> {
        if let Some(lots) = self.draws.iter().find(|lots| lots.draw == *draw) {
            return Ok(Rc::clone(lots));
        }
        let promised = self.promises.get(&draw.reveal.commitment()).copied();
        if promised != Some(draw.first - 1) {
            return Err(format!("{draw:?} was promised above {promised:?}"));
        }
        let is_another = |lots: &&Rc<Lots>| lots.draw.covers(draw.first) || draw.covers(lots.draw.first);
        if let Some(lots) = self.draws.iter().find(is_another).filter(|lots| lots.draw.reveal == draw.reveal) {
            return Err(format!("{draw:?} was drawn before: {:?}", lots.draw));
        }
        let lots = Rc::new(Lots::of(draw));
        if !lots.are_fair() {
            return Err(format!("{draw:?} gives a place to two numbers"));
        }
        self.draws.push(Rc::clone(&lots));
        Ok(lots)
    }

    /// Tells whether a draw of so many has been published, be it that the line was lost since.
    pub fn has_lots_of_more_than(&self, count: u64) -> bool {
        self.draws.iter().any(|lots| lots.draw.last + 1 - lots.draw.first > count)
    }

    /// Tells whether a promise that has come back is as it was published.
    pub fn has_promised(&self, commitment: [u8; 32], above: Number) -> bool {
        self.promises.get(&commitment) == Some(&above)
    }
}
