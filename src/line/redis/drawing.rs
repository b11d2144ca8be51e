//! The draw on Redis: the pure machine makes it, beside the room, and a script puts it in place.
//!
//! A draw of a million takes about a second, in which people go on to come and leave. Those who
//! come are not in it. Where somebody of it has left meanwhile, only the difference is drawn anew.

use super::reply::corrupt;
use super::scripts::Verb;
use super::stored::{StoredRoll, over_to_keep};
use super::words::{draw_text, promise_text};
use super::{RedisLine, Repeat, StoreFault};
use crate::line::bits::{Bits, ones};
use crate::line::draw::{Draw, Pending, Reveal};
use crate::line::{Roll, RoomName};
use redis::Value;

/// How often it is tried to put a draw in place before somebody else of it leaves.
const TRIES: usize = 64;

/// A draw as it was made of what was read.
struct Drawn {
    draw: Draw,
    before: Roll,
    after: Roll,
}

impl RedisLine {
    /// Makes the draw that is pending; does nothing where there is none, or `reveal` is not what was promised.
    pub(super) async fn draw(&self, room: &RoomName, reveal: &Reveal) -> Result<(), StoreFault> {
        let mut made: Option<Drawn> = None;
        for _ in 0..TRIES {
            let read = self.read_roll(room).await?;
            let Some(pending) = read.roll.pending.clone() else { return Ok(()) };
            let Some(draw) = pending.draw(reveal) else { return Ok(()) };
            let roll = read.roll.clone();
            let drawn = match made.take() {
                Some(drawn) if drawn.draw == draw => drawn.following(roll),
                _ => tokio::task::spawn_blocking(move || Drawn::of(draw, roll))
                    .await
                    .map_err(|_| corrupt("a draw could not be made"))?,
            };
            if self.write_draw(room, &read, &pending, &drawn).await? {
                return Ok(());
            }
            made = Some(drawn);
        }
        Err(StoreFault::Refused("people of the draw kept leaving while it was made; it is tried again".to_owned()))
    }

    async fn write_draw(
        &self,
        room: &RoomName,
        read: &StoredRoll,
        pending: &Pending,
        drawn: &Drawn,
    ) -> Result<bool, StoreFault> {
        let (roll, draw) = (&read.roll, &drawn.draw);
        let mut call = self.verb(Verb::Draw, room);
        call.arg(roll.epoch()).arg(promise_text(&pending.promise)).arg(roll.tally.left).arg(roll.tally.lapsed);
        call.arg(draw.within(&roll.waiting).count()).arg(draw.first).arg(draw.last).arg(draw_text(draw));
        let after = &drawn.after;
        for bits in [&after.waiting, &after.called, &over_to_keep(after), &Bits::from(&after.unseen)] {
            call.arg(draw.within(bits).to_bytes());
        }
        Ok(self.run_one(room, call, Repeat::Once).await? == Value::Int(1))
    }
}

impl Drawn {
    fn of(draw: Draw, before: Roll) -> Self {
        let mut after = before.clone();
        after.redraw(&draw);
        Self { draw, before, after }
    }

    /// Draws only for those who have come or gone since.
    fn following(mut self, now: Roll) -> Self {
        let permutation = self.draw.permutation();
        let after = &mut self.after;
        let sets = [
            (&self.before.waiting, &now.waiting, &mut after.waiting),
            (&self.before.called, &now.called, &mut after.called),
            (&self.before.over, &now.over, &mut after.over),
        ];
        for (before, now, after) in sets {
            for number in difference(before, now).filter(|number| self.draw.covers(*number)) {
                let place = permutation.place(number);
                if now.contains(number) {
                    after.insert(place)
                } else {
                    after.remove(place)
                };
            }
        }
        Self { before: now, ..self }
    }
}

fn difference(a: &Bits, b: &Bits) -> impl Iterator<Item = u64> {
    let words = 0..a.word_count().max(b.word_count());
    words.flat_map(|i| ones(i, a.word(i) ^ b.word(i)))
}
