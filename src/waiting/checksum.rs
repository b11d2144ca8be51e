//! The checksum of gzip (CRC-32, RFC 1952, section 8), of texts that are known and texts that are not, one after the
//! other: what is known is not read again.
//!
//! A text moves the checksum of what stands before it by a factor that depends on its length only, and adds its own: this
//! is the arithmetic of polynomials by which zlib combines two checksums (M. Adler, 2018).

use std::array::from_fn;

/// The polynomial, its lowest power in the highest bit.
const POLYNOMIAL: u32 = 0xedb8_8320;

/// One, in the same order.
const ONE: u32 = 1 << 31;

/// What a byte does to the checksum, with so many others behind it.
static TABLES: [[u32; 256]; 8] = tables();

/// The checksum of what was written so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Checksum(u32);

/// What a known text does to a checksum.
#[derive(Clone, Debug)]
pub(super) struct Known {
    own: u32,
    /// What its factor makes of each four bits of a checksum, the lowest first.
    moved: [[u32; 16]; 8],
}

impl Checksum {
    pub(super) const fn value(self) -> u32 {
        self.0
    }

    /// Goes on with a text that was not known: eight bytes at a time, by as many tables (M. Kounavis, F. Berry, 2005).
    pub(super) fn read(&mut self, text: &[u8]) {
        let (words, rest) = text.as_chunks::<8>();
        let sum = words.iter().fold(!self.0, |sum, word| {
            let word = u64::from_le_bytes(*word) ^ u64::from(sum);
            (0..8).fold(0, |sum, i| sum ^ TABLES[7 - i][usize::from((word >> (8 * i)) as u8)])
        });
        let step = |sum: u32, byte: &u8| TABLES[0][usize::from(sum as u8 ^ byte)] ^ (sum >> 8);
        self.0 = !rest.iter().fold(sum, step);
    }

    /// Goes on with a text that was.
    pub(super) fn pass(&mut self, known: &Known) {
        let (mut sum, mut rest) = (known.own, self.0);
        for moved in &known.moved {
            sum ^= moved[(rest & 15) as usize];
            rest >>= 4;
        }
        self.0 = sum;
    }
}

impl Known {
    pub(super) fn of(text: &[u8]) -> Self {
        let mut own = Checksum::default();
        own.read(text);
        // x to the eighth, for each byte.
        let factor = (0..text.len()).fold(ONE, |power, _| product(ONE >> 8, power));
        let moved = |i: usize, bits: usize| product(factor, (bits as u32) << (4 * i));
        Self { own: own.value(), moved: from_fn(|i| from_fn(|bits| moved(i, bits))) }
    }
}

/// Multiplies two polynomials modulo that of the checksum.
const fn product(a: u32, mut b: u32) -> u32 {
    let (mut bit, mut sum) = (ONE, 0);
    while bit != 0 {
        if a & bit != 0 {
            sum ^= b;
        }
        b = if b & 1 == 0 { b >> 1 } else { (b >> 1) ^ POLYNOMIAL };
        bit >>= 1;
    }
    sum
}

const fn tables() -> [[u32; 256]; 8] {
    let (mut tables, mut at) = ([[0; 256]; 8], 0);
    while at < 8 * 256 {
        let (table, byte) = (at / 256, at % 256);
        let before = if table == 0 { byte as u32 } else { tables[table - 1][byte] };
        tables[table][byte] = product(ONE >> 8, before);
        at += 1;
    }
    tables
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn expected(text: &[u8]) -> u32 {
        let mut sum = flate2::Crc::new();
        sum.update(text);
        sum.sum()
    }

    proptest! {
        #[test]
        fn it_is_that_of_the_whole_text(texts in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..300), any::<bool>()), 0..8)) {
            let mut sum = Checksum::default();
            for (text, is_known) in &texts {
                if *is_known { sum.pass(&Known::of(text)) } else { sum.read(text) }
            }
            let whole: Vec<u8> = texts.into_iter().flat_map(|(text, _)| text).collect();
            prop_assert_eq!(sum.value(), expected(&whole));
        }
    }

    #[test]
    fn it_is_the_known_one() {
        let mut sum = Checksum::default();
        sum.read(b"123456789");
        assert_eq!(sum.value(), 0xcbf4_3926);
    }
}
