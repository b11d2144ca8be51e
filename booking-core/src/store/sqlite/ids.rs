//! Which hold has which id.
//!
//! An id follows from the buyer's key and is as good as random. An index in the order of the ids changes a page of its own for
//! each, which would be most of what a busy row writes. So there are two: new ids go into a small one, which has room on a
//! few pages, and from there a part at a time into the large one: a thirty-second of the ids that there can be, which is one
//! stretch of it, so that pages are shared. It is the idea of the log-structured merge-tree (O'Neil, Cheng, Gawlick and
//! O'Neil 1996), with two levels and no pauses.
//!
//! No id is in both, and who writes holds the lock of the whole database, so an id is in them once.

use rusqlite::{CachedStatement, Transaction, params};

use super::fault;
use super::write::execute;
use crate::domain::hold::HoldId;
use crate::store::StoreError;

/// Finds the hold of the id that is bound as `?1`.
macro_rules! of_id {
    () => {
        "(SELECT hold FROM hold_ids WHERE id = ?1)"
    };
}
pub(super) use of_id;

const SETTLED: &str = "SELECT 1 FROM settled_ids WHERE id = ?1";
const NOTE: &str = "INSERT INTO recent_ids (id, hold) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
// What fails undoes the whole transaction. Left to undo one statement by itself, SQLite would keep a copy of each page it changes.
const SETTLE: &str = "INSERT OR FAIL INTO settled_ids SELECT id, hold FROM recent_ids WHERE id >= ?1 AND id < ?2";
const FORGET: &str = "DELETE FROM recent_ids WHERE id >= ?1 AND id < ?2";

/// Holds after which the next part is settled. In the small index there are then some [`PARTS`] / 2 times as many ids.
const HOLDS: i64 = 256;

/// Parts of all ids, by their first five bits.
const PARTS: i64 = 32;

/// Notes ids of holds that have just been written, in one transaction.
pub(super) struct Notes<'a> {
    tx: &'a Transaction<'a>,
    look: CachedStatement<'a>,
    note: CachedStatement<'a>,
}

impl<'a> Notes<'a> {
    pub fn of(tx: &'a Transaction<'a>) -> Result<Self, StoreError> {
        let prepare = |sql| tx.prepare_cached(sql).map_err(|error| fault(&error));
        Ok(Self { tx, look: prepare(SETTLED)?, note: prepare(NOTE)? })
    }

    /// Notes whose id this is; `false` when another hold has it, and then nothing may be committed.
    pub fn note(&mut self, id: HoldId, hold: i64) -> Result<bool, StoreError> {
        let is_settled = self.look.exists([id.as_bytes()]).map_err(|error| fault(&error))?;
        if is_settled || self.note.execute(params![id.as_bytes(), hold]).map_err(|error| fault(&error))? == 0 {
            return Ok(false);
        }
        if hold % HOLDS == 0 {
            settle(self.tx, (hold / HOLDS) % PARTS)?;
        }
        Ok(true)
    }
}

fn settle(tx: &Transaction<'_>, part: i64) -> Result<(), StoreError> {
    // An id has sixteen bytes: the last part ends with what is longer than any.
    let begin = |part: i64| if part < PARTS { vec![(part * 256 / PARTS) as u8] } else { vec![u8::MAX; 17] };
    let (first, end) = (begin(part), begin(part + 1));
    execute(tx, SETTLE, params![first, end])?;
    execute(tx, FORGET, params![first, end])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::store::sqlite::prepare;

    fn database() -> Connection {
        let mut db = Connection::open_in_memory().unwrap();
        prepare(&mut db).unwrap();
        db
    }

    /// Weyl's sequence: sixteen bytes as even as random ones, and never the same. The first five bits name a `shard`, if one is
    /// given.
    fn id(hold: i64, shard: Option<u8>) -> HoldId {
        let mut bytes = (hold as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes();
        bytes[0] = shard.map_or(bytes[0], |shard| (shard << 3) | (bytes[0] & 7));
        HoldId::from_bytes(bytes)
    }

    fn count(db: &Connection, of: &str) -> i64 {
        db.query_row(&format!("SELECT count(*) FROM {of}"), [], |row| row.get(0)).unwrap()
    }

    fn found(db: &Connection, id: HoldId) -> Vec<i64> {
        let mut sql = db.prepare_cached("SELECT hold FROM hold_ids WHERE id = ?1").unwrap();
        sql.query_map([id.as_bytes()], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn every_id_is_found_and_noted_once_wherever_it_stands() {
        const LAST: i64 = 40_000;
        for shard in [None, Some(0), Some(31)] {
            let mut db = database();
            let tx = db.transaction().unwrap();
            let mut most = 0;
            let mut notes = Notes::of(&tx).unwrap();
            for hold in 1..=LAST {
                assert!(notes.note(id(hold, shard), hold).unwrap());
                if hold % HOLDS == 0 {
                    most = most.max(count(&tx, "recent_ids"));
                }
            }
            drop(notes);
            tx.commit().unwrap();
            assert_eq!(count(&db, "hold_ids"), LAST);
            assert!(most <= HOLDS * PARTS, "{most} are in the small index");
            assert!((1..=LAST).all(|hold| found(&db, id(hold, shard)) == [hold]));
            let tx = db.transaction().unwrap();
            let mut notes = Notes::of(&tx).unwrap();
            assert!((1..=LAST).all(|hold| !notes.note(id(hold, shard), LAST + 1).unwrap()), "an id names one hold");
        }
    }

    #[test]
    fn a_hold_is_found_by_its_id_in_two_steps() {
        let db = database();
        let sql = format!("EXPLAIN QUERY PLAN SELECT id FROM holds WHERE number = {}", of_id!());
        let mut steps = db.prepare(&sql).unwrap();
        let steps: Vec<String> =
            steps.query_map([vec![0; 16]], |row| row.get(3)).unwrap().collect::<Result<_, _>>().unwrap();
        assert!(steps.iter().all(|step| !step.contains("SCAN")), "{steps:?}");
    }
}
