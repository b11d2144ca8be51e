//! Whether keys are looked up before a group is written.
//!
//! That a key was used before is rare, and is noticed anyhow when the hold's id is noted (`ids`). But then the whole
//! group is undone and written again. So once that has happened the next groups look first; somebody who repeats keys all the
//! time costs little more than the looking.
//!
//! With only one writer at a time this is safe. PostgreSQL would wait at the key for whoever is changing that hold just now,
//! with the row's count locked, for which that one waits; so there the look comes first, always.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::store::{TakeAnswer, Taken};

/// Groups that look first after one that met a key again.
const GROUPS: u32 = 256;

/// Counts down.
#[derive(Debug, Default)]
pub(in crate::store) struct Wariness(AtomicU32);

impl Wariness {
    /// Tells whether this group looks first.
    pub fn looks(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }

    /// Takes note of the answers to a group: whether a key was met again.
    pub fn note(&self, taken: &Taken) {
        let again = |answer: &TakeAnswer| matches!(answer, TakeAnswer::Replayed(_) | TakeAnswer::KeyReused);
        if taken.answers.iter().any(again) {
            self.0.store(GROUPS, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_looks_for_a_while_after_a_key_was_met_again() {
        let wariness = Wariness::default();
        assert!(!wariness.looks());
        let taken = |answer| Taken { answers: vec![TakeAnswer::SoldOut, answer], available: 0 };
        wariness.note(&taken(TakeAnswer::Contended));
        assert!(!wariness.looks());
        wariness.note(&taken(TakeAnswer::KeyReused));
        assert_eq!((0..2 * GROUPS).filter(|_| wariness.looks()).count() as u32, GROUPS);
    }
}
