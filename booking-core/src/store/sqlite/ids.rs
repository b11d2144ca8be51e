//! Which hold has which id.
//!
//! An id follows from the buyer's key and is as good as random. An index in the order of the ids changes a page of its own for
//! each, which would be most of what a busy row writes. So there are two: new ids go into a small one, which has room on a
//! few pages, and from there a part at a time into the large one: a thirty-second of the ids that there can be, which is one
//! stretch of it, so that pages are shared. It is the idea of the log-structured merge-tree (O'Neil, Cheng, Gawlick and
//! O'Neil 1996), with two levels and no pauses.
//!
//! No id is in both, and who writes holds the lock of the whole database, so an id is in them once.

use rusqlite::{Transaction, params};

use super::rows::Rows;
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

const SETTLED: Rows =
    Rows { into: "SELECT 1 FROM (", columns: 1, then: ") AS new CROSS JOIN settled_ids ON id = new.column1" };
// What fails undoes the whole transaction. Left to undo one statement by itself, SQLite would keep a copy of each page it changes;
// so it would with `ON CONFLICT DO NOTHING`, for a column that is null.
const NOTE: Rows = Rows { into: "INSERT OR IGNORE INTO recent_ids (id, hold)", columns: 2, then: "" };
const SETTLE: &str = "INSERT OR FAIL INTO settled_ids SELECT id, hold FROM recent_ids WHERE id >= ?1 AND id < ?2";
const FORGET: &str = "DELETE FROM recent_ids WHERE id >= ?1 AND id < ?2";

/// Holds after which the next part is settled. In the small index there are then some [`PARTS`] / 2 times as many ids.
const HOLDS: i64 = 256;

/// Parts of all ids, by their first five bits.
const PARTS: i64 = 32;

/// Notes the ids of a block of holds that have just been written one after the other, of which the last is `last`; `false`
/// when another hold has one of them, and then nothing may be committed.
pub(super) fn note(tx: &Transaction<'_>, ids: &[HoldId], last: i64) -> Result<bool, StoreError> {
    if SETTLED.finds(tx, ids, |id, values| values.bind(id.as_bytes()))? {
        return Ok(false);
    }
    let first = last + 1 - ids.len() as i64;
    let numbered: Vec<(&HoldId, i64)> = ids.iter().zip(first..).collect();
    let noted = NOTE.write(tx, &numbered, |(id, hold), values| {
        values.bind(id.as_bytes())?;
        values.bind(hold)
    })?;
    if noted < ids.len() {
        return Ok(false);
    }
    if last / HOLDS > (first - 1) / HOLDS {
        settle(tx, (last / HOLDS) % PARTS)?;
    }
    Ok(true)
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
    use crate::store::sqlite::rows::blocks;

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
            let holds: Vec<i64> = (1..=LAST).collect();
            for holds in holds.chunks(100).flat_map(blocks) {
                let ids: Vec<HoldId> = holds.iter().map(|hold| id(*hold, shard)).collect();
                assert!(note(&tx, &ids, holds[holds.len() - 1]).unwrap());
                most = most.max(count(&tx, "recent_ids"));
            }
            tx.commit().unwrap();
            assert_eq!(count(&db, "hold_ids"), LAST);
            assert!(most <= HOLDS * PARTS, "{most} are in the small index");
            assert!((1..=LAST).all(|hold| found(&db, id(hold, shard)) == [hold]));
            let tx = db.transaction().unwrap();
            let is_new = |hold| note(&tx, &[id(LAST + 1, shard), id(hold, shard)], LAST + 2).unwrap();
            assert!((1..=LAST).all(|hold| !is_new(hold)), "an id names one hold");
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
