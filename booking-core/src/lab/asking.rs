//! One person at the stores: sends a step to the store that it is for, and says what was answered.

use super::connection::Connection;
use super::lease::{Leases, Names};
use super::step::{Engine, Step};
use super::way::Heard;

/// Is one person with a connection, and Redis where there is one.
pub(super) struct Asking {
    pub(super) connection: Connection,
    pub(super) leases: Option<Leases>,
    pub(super) names: Names,
    pub(super) engine: Engine,
    pub(super) row: i64,
}

/// What was answered: for the next decision, and for the log.
pub(super) struct Answer {
    pub(super) heard: Heard,
    pub(super) words: String,
}

impl Asking {
    /// Writes a step as it is sent.
    pub(super) fn order(&self, step: Step, person: u32) -> String {
        match step {
            Step::Lease(seat) => self.names.taking(seat, person),
            Step::LetGo(seat) => self.names.letting_go(seat, person),
            other => other.sql(self.engine, self.row, person).unwrap_or_default(),
        }
    }

    /// Has a store do a step.
    pub(super) async fn ask(&mut self, step: Step, person: u32) -> Answer {
        let outcome = match step {
            Step::Lease(seat) => self.lease(seat, person).await,
            Step::LetGo(seat) => self.let_go(seat, person).await,
            _ => self.database(step, person).await,
        };
        outcome.unwrap_or_else(|words| Answer { heard: Heard::Failed, words })
    }

    async fn lease(&self, seat: i64, person: u32) -> Result<Answer, String> {
        let leases = self.leases.as_ref().ok_or("no Redis")?;
        let ours = leases.take(&self.names.key(seat), person).await?;
        let words = if ours { "OK" } else { "nil: somebody has it" };
        Ok(Answer { heard: Heard::Leased(ours), words: words.to_owned() })
    }

    async fn let_go(&self, seat: i64, person: u32) -> Result<Answer, String> {
        let leases = self.leases.as_ref().ok_or("no Redis")?;
        let released = leases.let_go(&self.names.key(seat), person).await?;
        Ok(Answer { heard: Heard::Changed(released), words: format!("{released} released") })
    }

    async fn database(&mut self, step: Step, person: u32) -> Result<Answer, String> {
        let sql = self.order(step, person);
        let reply = self.connection.ask(&sql).await?;
        if step.columns().is_empty() {
            return Ok(Answer { heard: Heard::Changed(reply.changed), words: changed(step, reply.changed) });
        }
        let row = reply.rows.into_iter().next().ok_or("the row is gone")?;
        let pairs: Vec<String> =
            step.columns().iter().zip(&row).map(|(name, value)| format!("{name} = {value}")).collect();
        Ok(Answer { heard: Heard::Row(row), words: pairs.join(", ") })
    }
}

fn changed(step: Step, rows: u64) -> String {
    match step {
        Step::Begin | Step::BeginLocked | Step::Commit | Step::Rollback => "done".to_owned(),
        _ if rows == 1 => "1 row".to_owned(),
        _ => format!("{rows} rows"),
    }
}
