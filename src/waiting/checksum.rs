//! The checksum of gzip (CRC-32, RFC 1952, section 8), of texts that are known and texts that are not, one after the
//! other: what is known is not read again.
//!
//! A text moves the checksum of what stands before it by a factor that depends on its length only, and adds its own: this
//! is the arithmetic of polynomials by which zlib combines two checksums (M. Adler, 2018).

/// The polynomial, its lowest power in the highest bit.
const POLYNOMIAL: u32 = 0xedb8_8320;

/// One, in the same order.
const ONE: u32 = 1 << 31;

/// What a byte does to the checksum.
const TABLE: [u32; 256] = table();

/// The checksum of what was written so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Checksum(u32);

/// What a known text does to a checksum.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    own: u32,
    factor: u32,
}

impl Checksum {
    pub(super) const fn value(self) -> u32 {
        self.0
    }

    /// Goes on with a text that was not known.
    pub(super) fn read(&mut self, text: &[u8]) {
        let step = |sum: u32, byte: &u8| TABLE[usize::from(sum as u8 ^ byte)] ^ (sum >> 8);
        self.0 = !text.iter().fold(!self.0, step);
    }

    /// Goes on with a text that was.
    pub(super) const fn pass(&mut self, known: Known) {
        self.0 = product(known.factor, self.0) ^ known.own;
    }
}

impl Known {
    pub(super) fn of(text: &[u8]) -> Self {
        let mut own = Checksum::default();
        own.read(text);
        // x to the eighth, for each byte.
        let factor = (0..text.len()).fold(ONE, |power, _| product(ONE >> 8, power));
        Self { own: own.value(), factor }
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

const fn table() -> [u32; 256] {
    let (mut table, mut byte) = ([0; 256], 0);
    while byte < 256 {
        table[byte] = product(ONE >> 8, byte as u32);
        byte += 1;
    }
    table
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
                if *is_known { sum.pass(Known::of(text)) } else { sum.read(text) }
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
