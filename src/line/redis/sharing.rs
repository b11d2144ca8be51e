//! The board of a room in Redis: see [`Board`](crate::line::board::Board), which the scripts are tested against.

use super::fault::Repeat;
use super::scripts::Verb;
use super::{RedisLine, Reply, RoomName, StoreFault, corrupt};
use crate::line::board::{Heard, Reading, Word};

impl RedisLine {
    pub(super) async fn share_words(
        &self,
        room: &RoomName,
        told: &[(String, Word)],
        known: Reading,
    ) -> Result<Heard, StoreFault> {
        let mut call = self.verb(Verb::Share, room);
        call.arg(known.began_us).arg(known.change);
        for (key, word) in told {
            let version = word.as_said().version.map_or_else(String::new, |(number, _)| number.to_string());
            call.arg(key).arg(word.until_ms).arg(word.said_ms).arg(version);
        }
        read_heard(Reply::of(self.run_one(room, call, Repeat::Once).await?)?)
    }
}

fn read_heard(mut reply: Reply) -> Result<Heard, StoreFault> {
    let reading = Reading { began_us: reply.number()?, change: reply.number()? };
    let is_more = reply.number()? == 1;
    let texts = reply.array()?.texts()?;
    let words = texts.chunks_exact(5).map(read_word).collect::<Option<_>>();
    Ok(Heard { reading, is_more, words: words.ok_or_else(|| corrupt("a word cannot be read"))? })
}

fn read_word(texts: &[String]) -> Option<(String, Word)> {
    let [key, until, said, version, heard] = texts else { return None };
    let number = |text: &String| text.parse::<u64>().ok();
    let version = match version.as_str() {
        "" => None,
        _ => Some((number(version)?, number(heard)?)),
    };
    Some((key.clone(), Word { until_ms: number(until)?, said_ms: number(said)?, version }))
}
