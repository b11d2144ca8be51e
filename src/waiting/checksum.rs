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

    /// Goes on with a text that was not known.
    pub(super) fn read(&mut self, text: &[u8]) {
        let mut sum = crc32fast::Hasher::new_with_initial(self.0);
        sum.update(text);
        self.0 = sum.finalize();
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
fn product(a: u32, mut b: u32) -> u32 {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The checksum as the standard defines it, bit by bit.
    fn expected(text: &[u8]) -> u32 {
        let bit = |sum: u32| if sum & 1 == 0 { sum >> 1 } else { (sum >> 1) ^ POLYNOMIAL };
        !text.iter().fold(u32::MAX, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), |sum, _| bit(sum)))
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
