//! Many rows to a statement.
//!
//! Beginning and ending a statement takes SQLite about as long as writing a short row. A statement has a fixed number of
//! rows, so they are written in blocks of [`ROWS`], and what is left over one by one.

use rusqlite::{CachedStatement, ToSql, Transaction};

use super::fault;
use crate::store::StoreError;

/// Rows of a block.
pub(super) const ROWS: usize = 16;

/// A statement about rows that are bound to it.
pub(super) struct Rows {
    /// What stands before the rows.
    pub into: &'static str,
    /// How many values a row has.
    pub columns: usize,
    /// What stands after the rows.
    pub then: &'static str,
}

impl Rows {
    /// Runs the statement for a block of rows, and returns how many it has changed.
    pub fn write<T>(
        &self,
        tx: &Transaction<'_>,
        rows: &[T],
        bind: impl Fn(&T, &mut Values<'_, '_>) -> rusqlite::Result<()>,
    ) -> Result<usize, StoreError> {
        self.bound(tx, rows, bind).and_then(|mut sql| sql.raw_execute()).map_err(|error| fault(&error))
    }

    /// Runs the statement for a block of rows, and tells whether it finds anything.
    pub fn finds<T>(
        &self,
        tx: &Transaction<'_>,
        rows: &[T],
        bind: impl Fn(&T, &mut Values<'_, '_>) -> rusqlite::Result<()>,
    ) -> Result<bool, StoreError> {
        let found = self.bound(tx, rows, bind).and_then(|mut sql| Ok(sql.raw_query().next()?.is_some()));
        found.map_err(|error| fault(&error))
    }

    fn bound<'a, T>(
        &self,
        tx: &'a Transaction<'_>,
        rows: &[T],
        bind: impl Fn(&T, &mut Values<'_, '_>) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<CachedStatement<'a>> {
        let mut sql = tx.prepare_cached(&self.text(rows.len()))?;
        let mut values = Values { sql: &mut sql, bound: 0 };
        rows.iter().try_for_each(|row| bind(row, &mut values))?;
        Ok(sql)
    }

    fn text(&self, rows: usize) -> String {
        let row = format!("({})", vec!["?"; self.columns].join(", "));
        format!("{} VALUES {} {}", self.into, vec![row; rows].join(", "), self.then)
    }
}

/// The values of a statement, in order.
pub(super) struct Values<'a, 'b> {
    sql: &'a mut CachedStatement<'b>,
    bound: usize,
}

impl Values<'_, '_> {
    pub fn bind(&mut self, value: impl ToSql) -> rusqlite::Result<()> {
        self.bound += 1;
        self.sql.raw_bind_parameter(self.bound, value)
    }
}

/// Cuts rows into blocks, and what is left over into single ones.
pub(super) fn blocks<T>(rows: &[T]) -> impl Iterator<Item = &[T]> {
    let (blocks, rest) = rows.split_at(rows.len() / ROWS * ROWS);
    blocks.chunks(ROWS).chain(rest.chunks(1))
}
