//! A line of those who wait for the next commit: in arrival order, and no two of one name in one commit.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;

/// Bounds a line.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// How many may wait.
    pub for_all: usize,
    /// How many may wait under one name; a commit serves one of them, so more would only fill the line.
    pub for_one_name: usize,
}

/// Says that a line takes nobody more, or nobody more of that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Who waits, in arrival order.
#[derive(Debug)]
pub struct Line<N, T> {
    waiting: VecDeque<(N, T)>,
    /// How many of them come under each name.
    same: HashMap<N, usize>,
}

impl<N: Copy + Eq + Hash, T> Line<N, T> {
    /// Begins a line.
    pub fn of(name: N, first: T) -> Self {
        Self { same: HashMap::from([(name, 1)]), waiting: VecDeque::from([(name, first)]) }
    }

    /// Stands in line, if there is room.
    ///
    /// # Errors
    /// [`Full`].
    pub fn join(&mut self, name: N, next: T, room: Room) -> Result<(), Full> {
        let same = self.same.get(&name).copied().unwrap_or(0);
        if self.waiting.len() >= room.for_all || same >= room.for_one_name {
            return Err(Full);
        }
        self.same.insert(name, same + 1);
        self.waiting.push_back((name, next));
        Ok(())
    }

    /// Takes the next ones out for one commit, `limit` at the most. No name goes twice: whoever comes under one that is
    /// called already is passed over, and keeps the place in front for the next commit.
    pub fn call(&mut self, limit: usize) -> Vec<T> {
        let (mut batch, mut passed_over, mut called) = (Vec::new(), Vec::new(), HashSet::new());
        while batch.len() < limit {
            let Some((name, next)) = self.waiting.pop_front() else { break };
            if called.insert(name) {
                batch.push(next);
            } else {
                passed_over.push((name, next));
            }
        }
        passed_over.into_iter().rev().for_each(|waits| self.waiting.push_front(waits));
        called.iter().for_each(|name| self.leave(name));
        batch
    }

    fn leave(&mut self, name: &N) {
        if let Some(same) = self.same.get_mut(name) {
            *same -= 1;
            if *same == 0 {
                self.same.remove(name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room { for_all: 100, for_one_name: 8 };

    #[test]
    fn a_repeated_name_is_passed_over_and_keeps_its_place() {
        let mut line = Line::of(1, 10);
        for (name, what) in [(1, 11), (1, 12), (2, 20), (3, 30), (4, 40)] {
            line.join(name, what, ROOM).unwrap();
        }
        assert_eq!(line.call(3), [10, 20, 30]);
        assert_eq!(line.call(3), [11, 40]);
        assert_eq!(line.call(3), [12]);
        assert!(line.call(3).is_empty() && line.same.is_empty());
    }

    #[test]
    fn one_name_cannot_fill_the_line() {
        let mut line = Line::of(1, ());
        for _ in 1..ROOM.for_one_name {
            line.join(1, (), ROOM).unwrap();
        }
        assert_eq!(line.join(1, (), ROOM), Err(Full));
        line.join(2, (), ROOM).unwrap();
        assert_eq!(line.call(100).len(), 2);
        line.join(1, (), ROOM).expect("one of them was called");
        assert_eq!(line.join(3, (), Room { for_all: line.waiting.len(), ..ROOM }), Err(Full));
    }
}
