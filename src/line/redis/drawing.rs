//! The draw on Redis: the pure machine makes it, beside the room, and a script puts it in place.
//!
//! A draw of a million takes about half a second, in which people go on to come and leave. Those who come are not in
//! it. Where somebody of it has left meanwhile, only the difference is drawn anew; and so that this comes to an end
//! however many leave, the places of the draw rest meanwhile: the store takes none and gives none back for
//! [`DRAW_REST_US`] at the most, and says so, and the gateways say again who left.

use super::scripts::Verb;
use super::stored::{StoredRoll, over_to_keep};
use super::words::{draw_text, promise_text};
use super::{RedisLine, Repeat, StoreFault};
use crate::line::bits::Bits;
use crate::line::draw::{Pending, Reveal};
use crate::line::roll::{Drawn, Tally};
use crate::line::{RoomName, apart};
use redis::Value;

/// For how long the places of a draw rest at the most, in microseconds; afterwards they do not for as long.
pub const DRAW_REST_US: u64 = 5_000_000;

/// How often it is tried to put a draw in place. The first time without a rest; after that, only a reset, a new
/// epoch, or a rest that began for another gateway and is over can come between.
const TRIES: usize = 8;

impl RedisLine {
    /// Makes the draw that is pending; does nothing where there is none, or `reveal` is not what was promised.
    pub(super) async fn draw(&self, room: &RoomName, reveal: &Reveal) -> Result<(), StoreFault> {
        let mut made: Option<Drawn> = None;
        for _ in 0..TRIES {
            let read = self.read_roll(room).await?;
            let Some(pending) = read.roll.pending.clone() else { return Ok(()) };
            let Some(draw) = pending.draw(reveal) else { return Ok(()) };
            let before = made.take().filter(|drawn| *drawn.draw() == draw);
            let (read, drawn, call) = apart(move || {
                let drawn = before.map_or_else(|| Drawn::of(draw, &read.roll), |drawn| drawn.following(&read.roll));
                let call = arguments(&read, &pending, &drawn);
                ((read, pending), drawn, call)
            })
            .await;
            let mut verb = self.verb(Verb::Draw, room);
            verb.arg(call);
            if self.run_one(room, verb, Repeat::Once).await? == Value::Int(1) {
                return Ok(());
            }
            self.rest(room, &read.0, &read.1).await?;
            made = Some(drawn);
        }
        Err(StoreFault::Refused("the room kept changing while lots were drawn; it is tried again".to_owned()))
    }

    /// Lets the places of the pending draw rest for a moment.
    async fn rest(&self, room: &RoomName, read: &StoredRoll, pending: &Pending) -> Result<(), StoreFault> {
        let mut verb = self.verb(Verb::Rest, room);
        verb.arg(read.roll.epoch()).arg(promise_text(&pending.promise));
        self.run_one(room, verb, Repeat::Once).await.map(drop)
    }
}

/// Writes what the script is told: what was read, the draw, and who of it has which place.
fn arguments(read: &StoredRoll, pending: &Pending, drawn: &Drawn) -> Vec<Vec<u8>> {
    let (roll, draw) = (&read.roll, drawn.draw());
    let mut over_unseen = Bits::from(&roll.unseen);
    let unseen = draw.within(&over_unseen).count();
    over_unseen.intersect(&roll.over);
    let [waiting, over_unseen] = [&roll.waiting, &over_unseen].map(|set| draw.within(set).count());
    let Tally { left, lapsed, .. } = roll.tally;
    let words = [u64::from(roll.epoch()), left, lapsed, waiting, unseen, over_unseen, draw.first, draw.last];
    let [epoch, rest @ ..] = words.map(|word| word.to_string().into_bytes());
    let mut arguments = vec![epoch, promise_text(&pending.promise).into_bytes()];
    arguments.extend(rest);
    arguments.push(draw_text(draw).into_bytes());
    let [waiting, called, over, unseen] = drawn.within();
    let over = over_to_keep(&called, &unseen, &over);
    arguments.extend([waiting, called, over, unseen].map(|bits| bits.to_bytes()));
    arguments
}
