//! What must be so of a draw: it is the one that was promised, nobody is called before it, and everyone is told the
//! place that an outsider computes.

use vestibule::line::Entry;
use vestibule::line::draw::{Draw, DrawStep, Pending, Promise};
use vestibule::line::{Number, Roll};
use vestibule::schedule::Stage;

use super::lots::Draws;
use super::{Key, Oracle, Told};

/// A draw of more than these is made on a thread of its own.
const LARGE: u64 = 256;

impl Oracle {
    /// Tells whether somebody may know a draw that takes long: a mirror may be busy with one that the store has lost.
    pub fn has_large_lots(&self) -> bool {
        self.ever.has_lots_of_more_than(LARGE)
    }

    /// Tells whether a draw is promised, and whether its entries are closed.
    pub fn pending_draw(&self) -> Option<bool> {
        self.draws.pending.as_ref().map(|pending| pending.closed.is_some())
    }

    /// Tells whether lots were drawn in this line.
    pub fn has_drawn(&self) -> bool {
        !self.draws.made.is_empty()
    }

    /// Returns who has a place: the epoch and the number.
    pub(super) fn key_of(&self, place: Number) -> Key {
        let number = self.draws.number(place);
        let epoch = self.rebuilt.eras.iter().rev().find(|era| era.above < number).map_or(0, |era| era.epoch);
        (epoch, number)
    }

    pub(super) fn take_step(&mut self, entry: &Entry, step: &DrawStep) {
        match step {
            DrawStep::Promised(promise) => self.promised(promise),
            DrawStep::Closed { last } => self.closed(*last),
            DrawStep::Drawn(draw) => self.drawn(draw, entry.seq),
            DrawStep::Forgone => self.demand(false, || "a draw was forgone, and nobody asked".to_owned()),
        }
    }

    fn stage(&self) -> Stage {
        let schedule = self.books.limits.as_ref().map(|limits| limits.schedule).unwrap_or_default();
        schedule.stage(self.books.clock_us / 1_000)
    }

    fn promised(&mut self, promise: &Promise) {
        self.census.count("promised");
        let (stage, above) = (self.stage(), self.books.issued);
        let is_early = matches!(stage, Stage::Early | Stage::Gathering);
        let is_new = self.ever.promise(promise.commitment, above);
        let is_fair = is_early && is_new && self.draws.pending.is_none();
        self.demand(is_fair, || format!("(draw) {promise:?} was promised at {stage:?}, new: {is_new}"));
        self.draws.pending = Some(Pending { promise: promise.clone(), above, closed: None });
    }

    fn closed(&mut self, last: Number) {
        self.census.count("closed");
        // Whoever joins with the verb that closes the entries is not among them.
        let issued = self.asked.joining.map_or(self.books.issued, |first| first - 1);
        let stage = self.stage();
        let has_started = matches!(stage, Stage::Running | Stage::Ended);
        let is_fair = has_started && last == issued && self.pending_draw() == Some(false);
        self.demand(is_fair, || format!("(draw) entries were closed at {last}, {stage:?}, and {issued} were given"));
        self.draws.pending.iter_mut().for_each(|pending| pending.closed = Some(last));
    }

    fn drawn(&mut self, draw: &Draw, seq: u64) {
        let pending = self.draws.pending.take();
        let is_promised = pending.as_ref().is_some_and(|pending| {
            let is_of_seed = draw.reveal.commitment() == pending.promise.commitment;
            is_of_seed && draw.first == pending.above + 1 && Some(draw.last) == pending.closed
        });
        self.demand(is_promised, || format!("(draw) {draw:?} was made, and {pending:?} was promised"));
        if draw.first > draw.last {
            self.books.unsettle(seq);
            return self.census.count("drawn among nobody");
        }
        self.census.count("drawn");
        self.census.count_if(self.has_drawn(), "drawn a second time");
        match self.ever.lots(draw) {
            Ok(lots) => {
                self.books.redraw(&lots, seq);
                self.draws.made.push(lots);
            }
            Err(what) => self.demand(false, || format!("(draw) {what}")),
        }
    }

    /// Takes the draws of a line that was restored: they are as they were published.
    pub(super) fn agree_on_draws(&mut self, roll: &Roll) {
        let made = roll.draws.iter().map(|draw| self.ever.lots(draw)).collect::<Result<_, _>>();
        let pending = roll.pending.clone();
        let is_promised =
            pending.as_ref().is_none_or(|pending| self.ever.has_promised(pending.promise.commitment, pending.above));
        self.demand(is_promised, || format!("(draw) {pending:?} was never promised"));
        match made {
            Ok(made) => self.draws = Draws { pending, made },
            Err(what) => self.demand(false, || format!("(draw) {what}")),
        }
    }

    /// The place that somebody is told is the one that was drawn, and can be computed from what was published.
    pub(super) fn check_lot(&mut self, told: &Told<'_>) {
        let number = told.ticket.number;
        let draw = told.room.mirror.read(|roll| roll.draws.iter().find(|draw| draw.covers(number)).cloned());
        let (Some(place), Some(draw)) = (told.status.place, draw) else { return };
        self.census.count("told its place");
        match self.ever.lots(&draw) {
            Ok(lots) => {
                let drawn = lots.place(number);
                self.demand(place == drawn, || format!("(draw) {number} is told place {place}, and drew {drawn}"));
            }
            Err(what) => self.demand(false, || format!("(draw) {what}")),
        }
    }
}
