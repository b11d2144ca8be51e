//! The verbs of a draw, and what the line does not do until it is made.

use super::LineState;
use crate::line::draw::{Draw, DrawStep, Promise, Reveal};
use crate::line::roll::Drawn;
use crate::line::{Entry, Known};
use crate::schedule::Stage;

impl LineState {
    /// Tells whether there is an order to call by: no draw is to come, and who is present is known by place.
    pub(super) fn has_order(&self) -> bool {
        self.roll.pending.is_none() && self.attendance.is_settled()
    }

    /// Tells whether a gateway that knows this much means the same people by the same places. One that has not heard
    /// of a draw does not.
    pub(super) fn understands(&self, known: Known) -> bool {
        known.seq >= self.roll.drawn_seq
    }

    pub(super) fn promise(&mut self, promise: &Promise, now_us: u64) {
        let stage = self.settings().map(|settings| settings.limits.schedule.stage(now_us / 1_000));
        let is_early = matches!(stage, Some(Stage::Early | Stage::Gathering));
        if is_early && self.roll.pending.is_none() {
            self.append_step(DrawStep::Promised(promise.clone()), now_us);
        }
    }

    pub(super) fn forgo(&mut self, now_us: u64) {
        if self.roll.pending.is_some() {
            self.append_step(DrawStep::Forgone, now_us);
        }
    }

    /// Closes the entries of a promised draw at the first verb after the start.
    pub(super) fn close_entries(&mut self, now_us: u64) {
        let is_open = self.roll.pending.as_ref().is_some_and(|pending| pending.closed.is_none());
        let schedule = self.settings().map(|settings| settings.limits.schedule).unwrap_or_default();
        if is_open && matches!(schedule.stage(now_us / 1_000), Stage::Running | Stage::Ended) {
            self.append_step(DrawStep::Closed { last: self.roll.issued }, now_us);
        }
    }

    /// Makes the draw.
    pub(super) fn draw(&mut self, reveal: &Reveal, now_us: u64) {
        if let Some(draw) = self.due_draw(reveal) {
            self.put_draw(Drawn::of(draw, &self.roll), now_us);
        }
    }

    /// Returns the draw that `reveal` decides, if it is due.
    #[must_use]
    pub fn due_draw(&self, reveal: &Reveal) -> Option<Draw> {
        self.roll.pending.as_ref().and_then(|pending| pending.draw(reveal))
    }

    /// Puts a draw in place that was made meanwhile, if it is the one that is due. Gateways knew by number who is
    /// present, and say it again by place.
    pub fn put_draw(&mut self, drawn: Drawn, now_us: u64) {
        let draw = drawn.draw().clone();
        if self.due_draw(&draw.reveal).as_ref() == Some(&draw) {
            self.roll.put_drawn(drawn);
            self.append_step(DrawStep::Drawn(draw), now_us);
            self.attendance.unsettle(self.roll.issued, now_us);
        }
    }

    fn append_step(&mut self, step: DrawStep, now_us: u64) {
        self.append(Entry { draw: Some(step), ..Entry::default() }, now_us);
    }
}
