//! A growing bitmap that counts below any bit in logarithmic time.
//!
//! One bit for each number in line. A Fenwick tree (P. Fenwick, 1994) over blocks of 1,024 bits
//! keeps the counts, so "how many waiting before me" adds at most one sum per level and sixteen
//! population counts; ten million numbers cost 1.25 MB and 40 KB of counts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use super::Number;

const WORD_BITS: u64 = 64;
const BLOCK_WORDS: usize = 16;

/// A set of numbers as bits, with counts per block.
///
/// # Invariants
/// `words.len()` is a multiple of the block, and `tree` has one entry for each block.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Bits {
    words: Vec<u64>,
    tree: Vec<u32>,
    count: u64,
}

impl Bits {
    /// Counts the numbers in the set.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Tells whether `number` is in the set.
    #[must_use]
    pub fn contains(&self, number: Number) -> bool {
        self.words.get(word_of(number)).is_some_and(|word| word & mask_of(number) != 0)
    }

    /// Adds `number`; returns whether it was absent.
    pub fn insert(&mut self, number: Number) -> bool {
        self.grow_to(word_of(number));
        let word = &mut self.words[word_of(number)];
        let absent = *word & mask_of(number) == 0;
        *word |= mask_of(number);
        if absent {
            self.adjust(word_of(number), 1);
        }
        absent
    }

    /// Removes `number`; returns whether it was present.
    pub fn remove(&mut self, number: Number) -> bool {
        let present = self.contains(number);
        if present {
            self.words[word_of(number)] &= !mask_of(number);
            self.adjust(word_of(number), -1);
        }
        present
    }

    /// Adds every number of `first..=last`.
    pub fn insert_run(&mut self, first: Number, last: Number) {
        if first <= last {
            self.grow_to(word_of(last));
            self.write_run(first, last, |word, mask| word | mask);
        }
    }

    /// Removes every number of `first..=last`.
    pub fn remove_run(&mut self, first: Number, last: Number) {
        let last = last.min((self.words.len() as u64 * WORD_BITS).saturating_sub(1));
        if first <= last && !self.words.is_empty() {
            self.write_run(first, last, |word, mask| word & !mask);
        }
    }

    /// Adds those of `first..=last` that `other` holds.
    pub fn insert_run_of(&mut self, other: &Self, first: Number, last: Number) {
        let last = last.min((other.words.len() as u64 * WORD_BITS).saturating_sub(1));
        if first <= last && !other.words.is_empty() {
            self.grow_to(word_of(last));
            for i in word_of(first)..=word_of(last) {
                self.write_word(i, |word| word | (other.words[i] & run_mask(i, first, last)));
            }
        }
    }

    /// Counts the numbers of the set below `number`.
    #[must_use]
    pub fn count_below(&self, number: Number) -> u64 {
        let word = word_of(number);
        if word >= self.words.len() {
            return self.count;
        }
        let block = word / BLOCK_WORDS;
        let within = &self.words[block * BLOCK_WORDS..word];
        let partial = self.words[word] & (mask_of(number) - 1);
        self.count_blocks(block)
            + within.iter().map(|w| u64::from(w.count_ones())).sum::<u64>()
            + u64::from(partial.count_ones())
    }

    /// Walks the numbers upwards from `from`.
    pub fn iter_from(&self, from: Number) -> impl Iterator<Item = Number> + '_ {
        let start = word_of(from);
        (start..self.words.len()).flat_map(move |i| {
            let word = if i == start { self.words[i] & !(mask_of(from) - 1) } else { self.words[i] };
            ones(i, word)
        })
    }

    /// Walks the runs upwards: numbers that follow each other, of which the ends are given. A long run costs
    /// no more than its words.
    pub fn runs(&self) -> impl Iterator<Item = (Number, Number)> + '_ {
        let end = self.words.len() as u64 * WORD_BITS;
        let mut at = 0;
        std::iter::from_fn(move || {
            let first = self.next_of(at, |word| word)?;
            at = self.next_of(first, |word| !word).unwrap_or(end);
            Some((first, at - 1))
        })
    }

    /// Returns the lowest bit from `from` on that is set in what `look` makes of the words.
    fn next_of(&self, from: Number, look: impl Fn(u64) -> u64) -> Option<Number> {
        let start = word_of(from);
        let head = look(*self.words.get(start)?) & !(mask_of(from) - 1);
        let rest = (start + 1..self.words.len()).map(|i| (i, look(self.words[i])));
        let (i, word) = std::iter::once((start, head)).chain(rest).find(|(_, word)| *word != 0)?;
        Some(i as u64 * WORD_BITS + u64::from(word.trailing_zeros()))
    }

    /// Returns the 64 numbers of word `i` as bits; zero beyond the end.
    #[must_use]
    pub fn word(&self, i: usize) -> u64 {
        self.words.get(i).copied().unwrap_or(0)
    }

    /// Returns how many words there are.
    #[must_use]
    pub fn word_count(&self) -> usize {
        self.words.len()
    }

    /// Adds all that `other` holds.
    pub fn union_with(&mut self, other: &Self) {
        self.combine(other, |mine, theirs| mine | theirs);
    }

    /// Keeps what `other` holds too.
    pub fn intersect(&mut self, other: &Self) {
        self.combine(other, |mine, theirs| mine & theirs);
    }

    /// Removes all that `other` holds.
    pub fn subtract(&mut self, other: &Self) {
        self.combine(other, |mine, theirs| mine & !theirs);
    }

    /// Makes the set from bytes, the lowest number first, most significant bit first within a
    /// byte: the order of a Redis string under `SETBIT`.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self::from_bytes_at(0, bytes)
    }

    /// The same, but the first byte stands for the numbers from `8 * base` on.
    #[must_use]
    pub fn from_bytes_at(base: usize, bytes: &[u8]) -> Self {
        let word = |chunk: &[u8]| {
            let mut eight = [0u8; 8];
            eight[..chunk.len()].copy_from_slice(chunk);
            u64::from_be_bytes(eight).reverse_bits()
        };
        let (head, body) = bytes.split_at(bytes.len().min(base.wrapping_neg() % 8));
        let mut first = [0; 8];
        first[base % 8..][..head.len()].copy_from_slice(head);
        let mut words = vec![0; base / 8];
        words.extend((!head.is_empty()).then(|| word(&first)));
        words.extend(body.chunks(8).map(word));
        let mut bits = Self { words, ..Self::default() };
        bits.recount();
        bits
    }

    /// Gives the set as bytes in the order of [`Bits::from_bytes`], without trailing zeros.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.words.iter().flat_map(|word| word.reverse_bits().to_be_bytes()).collect();
        bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
        bytes
    }

    fn combine(&mut self, other: &Self, op: impl Fn(u64, u64) -> u64) {
        self.words.resize(self.words.len().max(other.words.len()), 0);
        for (i, word) in self.words.iter_mut().enumerate() {
            *word = op(*word, other.word(i));
        }
        self.recount();
    }

    fn write_run(&mut self, first: Number, last: Number, op: impl Fn(u64, u64) -> u64) {
        for i in word_of(first)..=word_of(last) {
            self.write_word(i, |word| op(word, run_mask(i, first, last)));
        }
    }

    fn write_word(&mut self, i: usize, op: impl Fn(u64) -> u64) {
        let before = self.words[i];
        self.words[i] = op(before);
        let change = i64::from(self.words[i].count_ones()) - i64::from(before.count_ones());
        self.adjust(i, change);
    }

    fn grow_to(&mut self, word: usize) {
        let blocks = word / BLOCK_WORDS + 1;
        while self.tree.len() < blocks {
            self.words.resize((self.tree.len() + 1) * BLOCK_WORDS, 0);
            self.tree.push(0);
            self.seed_last_node();
        }
    }

    /// A new node of the tree covers a power-of-two range that ends at it: it starts with what
    /// its children, which are there already, count.
    fn seed_last_node(&mut self) {
        let node = self.tree.len();
        let (mut child, bottom) = (node - 1, node - lowest_bit(node));
        let mut sum = 0;
        while child > bottom {
            sum += self.tree[child - 1];
            child -= lowest_bit(child);
        }
        self.tree[node - 1] = sum;
    }

    fn adjust(&mut self, word: usize, change: i64) {
        if change == 0 {
            return;
        }
        self.count = self.count.wrapping_add_signed(change);
        let mut node = word / BLOCK_WORDS + 1;
        while node <= self.tree.len() {
            let cell = &mut self.tree[node - 1];
            *cell = cell.wrapping_add_signed(change as i32);
            node += lowest_bit(node);
        }
    }

    fn count_blocks(&self, blocks: usize) -> u64 {
        let (mut node, mut sum) = (blocks, 0);
        while node > 0 {
            sum += u64::from(self.tree[node - 1]);
            node -= lowest_bit(node);
        }
        sum
    }

    /// Counts anew: each node first has its own block's count, then hands its sum on to its parent.
    fn recount(&mut self) {
        self.words.resize(self.words.len().next_multiple_of(BLOCK_WORDS), 0);
        let count = |block: &[u64]| block.iter().map(|word| word.count_ones()).sum();
        self.tree = self.words.chunks(BLOCK_WORDS).map(count).collect();
        self.count = self.tree.iter().map(|count| u64::from(*count)).sum();
        for node in 1..=self.tree.len() {
            let parent = node + lowest_bit(node);
            if parent <= self.tree.len() {
                self.tree[parent - 1] += self.tree[node - 1];
            }
        }
    }
}

impl PartialEq for Bits {
    /// Two sets are equal when they hold the same numbers, however far each has grown.
    fn eq(&self, other: &Self) -> bool {
        let longest = self.words.len().max(other.words.len());
        self.count == other.count && (0..longest).all(|i| self.word(i) == other.word(i))
    }
}

impl Eq for Bits {}

impl From<Bits> for String {
    fn from(bits: Bits) -> Self {
        BASE64.encode(bits.to_bytes())
    }
}

impl TryFrom<String> for Bits {
    type Error = base64::DecodeError;

    fn try_from(text: String) -> Result<Self, base64::DecodeError> {
        BASE64.decode(text).map(|bytes| Self::from_bytes(&bytes))
    }
}

impl FromIterator<Number> for Bits {
    fn from_iter<I: IntoIterator<Item = Number>>(numbers: I) -> Self {
        let mut bits = Self::default();
        numbers.into_iter().for_each(|number| {
            bits.insert(number);
        });
        bits
    }
}

/// Walks the numbers that the bits of word `i` stand for, upwards.
pub fn ones(i: usize, word: u64) -> impl Iterator<Item = Number> {
    let mut rest = word;
    std::iter::from_fn(move || {
        let bit = (rest != 0).then(|| u64::from(rest.trailing_zeros()))?;
        rest &= rest - 1;
        Some(i as u64 * WORD_BITS + bit)
    })
}

fn word_of(number: Number) -> usize {
    (number / WORD_BITS) as usize
}

fn mask_of(number: Number) -> u64 {
    1 << (number % WORD_BITS)
}

fn run_mask(i: usize, first: Number, last: Number) -> u64 {
    let base = i as u64 * WORD_BITS;
    let low = u64::MAX << first.saturating_sub(base);
    let high = u64::MAX >> (WORD_BITS - 1 - (last - base).min(WORD_BITS - 1));
    low & high
}

fn lowest_bit(node: usize) -> usize {
    node & node.wrapping_neg()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u64),
        Remove(u64),
        InsertRun(u64, u64),
        RemoveRun(u64, u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let n = 0u64..9_000;
        prop_oneof![
            n.clone().prop_map(Step::Insert),
            n.clone().prop_map(Step::Remove),
            (n.clone(), 0u64..3_000).prop_map(|(a, len)| Step::InsertRun(a, a + len)),
            (n, 0u64..3_000).prop_map(|(a, len)| Step::RemoveRun(a, a + len)),
        ]
    }

    proptest! {
        #[test]
        fn bits_are_a_set_that_counts(steps in prop::collection::vec(step(), 0..40), probe in 0u64..13_000) {
            let (mut bits, mut set) = (Bits::default(), BTreeSet::new());
            for step in steps {
                match step {
                    Step::Insert(n) => prop_assert_eq!(bits.insert(n), set.insert(n)),
                    Step::Remove(n) => prop_assert_eq!(bits.remove(n), set.remove(&n)),
                    Step::InsertRun(a, b) => { bits.insert_run(a, b); set.extend(a..=b); }
                    Step::RemoveRun(a, b) => { bits.remove_run(a, b); set.retain(|n| *n < a || *n > b); }
                }
            }
            prop_assert_eq!(bits.count(), set.len() as u64);
            prop_assert_eq!(bits.count_below(probe), set.range(..probe).count() as u64);
            prop_assert!(bits.iter_from(probe).eq(set.range(probe..).copied()));
            prop_assert_eq!(&Bits::from_bytes(&bits.to_bytes()), &bits);
        }
    }

    #[test]
    fn bytes_are_in_the_order_of_setbit() {
        let bits: Bits = [0u64, 9, 23].into_iter().collect();
        assert_eq!(bits.to_bytes(), [0b1000_0000, 0b0100_0000, 0b0000_0001]);
    }
}
