//! Packs a page for the way: gzip (RFC 1952), mostly from pieces that were packed when the gateway started.
//!
//! Styles, script and the sentences of a language are most of a page and the same in all of them, so they are deflated
//! once and well. What stands between them is deflated for each page. A piece ends at a byte's end and refers to nothing
//! before it, so that a page is its parts one after the other.

use std::ops::Range;

use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use memchr::memmem::Finder;

/// For what is packed once.
const BEST: Compression = Compression::new(9);

/// For what is packed on each request: a level at which every page fits the first packets, as a test holds.
const QUICK: Compression = Compression::new(4);

/// Gzip's header: deflate, no name, no time, of no particular system.
pub(super) const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// A text that pages have in common, as it is and deflated.
pub(super) struct Piece {
    text: String,
    finder: Finder<'static>,
    deflated: Vec<u8>,
}

impl Piece {
    pub(super) fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        let mut deflated = Vec::new();
        deflate(&mut Compress::new(BEST, false), text.as_bytes(), FlushCompress::Sync, &mut deflated);
        Self { finder: Finder::new(&text).into_owned(), text, deflated }
    }

    #[cfg(test)]
    pub(super) fn stands_in(&self, page: &str) -> bool {
        page.contains(&self.text)
    }
}

/// Packs a page in which some of these pieces may stand, in this order.
pub(super) fn gzip<'p>(page: &str, pieces: impl IntoIterator<Item = &'p Piece>) -> Vec<u8> {
    let mut packed = Vec::with_capacity(page.len() / 2);
    packed.extend_from_slice(&HEADER);
    let mut compress = Compress::new(QUICK, false);
    let mut done = 0;
    for piece in pieces {
        let Some(found) = find(page, done, piece) else { continue };
        deflate(&mut compress, &page.as_bytes()[done..found.start], FlushCompress::Sync, &mut packed);
        packed.extend_from_slice(&piece.deflated);
        done = found.end;
    }
    deflate(&mut compress, &page.as_bytes()[done..], FlushCompress::Finish, &mut packed);
    let mut sum = Crc::new();
    sum.update(page.as_bytes());
    packed.extend_from_slice(&end(sum.sum(), sum.amount()));
    packed
}

/// So many bytes stand behind a packed text.
pub(super) const END_BYTES: usize = 8;

/// Returns them: its checksum, and its length.
pub(super) fn end(sum: u32, length: u32) -> [u8; END_BYTES] {
    (u64::from(sum) | u64::from(length) << 32).to_le_bytes()
}

fn find(page: &str, from: usize, piece: &Piece) -> Option<Range<usize>> {
    let start = from + piece.finder.find(&page.as_bytes()[from..])?;
    Some(start..start + piece.text.len())
}

/// Deflates a text to the end of `out`, with no memory of what came before it.
pub(super) fn deflate(compress: &mut Compress, text: &[u8], flush: FlushCompress, out: &mut Vec<u8>) {
    compress.reset();
    deflate_on(compress, text, flush, out);
}

/// Does the same with what the compressor remembers.
pub(super) fn deflate_on(compress: &mut Compress, text: &[u8], flush: FlushCompress, out: &mut Vec<u8>) {
    // What is remembered may count as taken in.
    let before = compress.total_in();
    loop {
        out.reserve(text.len() / 2 + 64);
        let rest = &text[(compress.total_in() - before) as usize..];
        let status = compress.compress_vec(rest, out, flush).expect("a compressor takes any bytes");
        // Room that is left says that everything was written, up to the flush.
        let is_flushed = (compress.total_in() - before) as usize == text.len() && out.len() < out.capacity();
        if status == Status::StreamEnd || (flush == FlushCompress::Sync && is_flushed) {
            return;
        }
    }
}

/// How a page goes to whoever asked for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Coding {
    /// As it is.
    #[default]
    Identity,
    /// Packed.
    Gzip,
}

/// At most so many codings of a request are looked at.
const CODINGS_CAP: usize = 32;

impl Coding {
    /// Picks what an `Accept-Encoding` asks for (RFC 9110, 12.5.3): gzip, unless it is not accepted, or the plain page is
    /// wanted more.
    #[must_use]
    pub fn accepted<'h>(headers: impl IntoIterator<Item = &'h str>) -> Self {
        let (mut gzip, mut any, mut identity) = (None, None, None);
        let codings = headers.into_iter().flat_map(|header| header.split(',')).take(CODINGS_CAP);
        for (name, weight) in codings.filter_map(weighted) {
            let is = |known: &str| name.eq_ignore_ascii_case(known);
            if is("gzip") || is("x-gzip") {
                gzip = Some(weight);
            } else if is("*") {
                any = Some(weight);
            } else if is("identity") {
                identity = Some(weight);
            }
        }
        let gzip = gzip.or(any).unwrap_or(0.0);
        if gzip > 0.0 && gzip >= identity.unwrap_or(0.0) { Self::Gzip } else { Self::Identity }
    }
}

/// Reads a coding with its weight, from 0 to 1; `None` for what cannot be read.
fn weighted(text: &str) -> Option<(&str, f64)> {
    let (name, parameters) = text.split_once(';').unwrap_or((text, ""));
    let weight = match parameters.trim() {
        "" => 1.0,
        weight => weight.strip_prefix("q=").or(weight.strip_prefix("Q="))?.trim().parse::<f64>().ok()?,
    };
    (0.0..=1.0).contains(&weight).then_some((name.trim(), weight))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use proptest::prelude::*;

    use super::*;

    fn unpacked(packed: &[u8]) -> String {
        let mut text = String::new();
        flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
        text
    }

    proptest! {
        #[test]
        fn a_page_comes_out_as_it_went_in(parts in prop::collection::vec("\\PC{0,400}", 4), missing in 0..4_usize) {
            let pieces: Vec<Piece> = parts.iter().map(|part| Piece::new(format!("<{part}>"))).collect();
            let whole: String = pieces.iter().enumerate().filter(|(i, _)| *i != missing)
                .map(|(i, piece)| format!("{}{}", parts[i], piece.text)).collect();
            prop_assert_eq!(unpacked(&gzip(&whole, &pieces)), whole);
        }

        #[test]
        fn what_hardly_packs_comes_out_as_well(noise in prop::collection::vec(any::<char>(), 0..20_000)) {
            let noise: String = noise.into_iter().collect();
            prop_assert_eq!(unpacked(&gzip(&noise, &[Piece::new(noise.clone()), Piece::new("nowhere")])), noise.as_str());
            prop_assert_eq!(unpacked(&gzip(&noise, [])), noise);
        }
    }

    #[test]
    fn gzip_goes_to_those_who_accept_it() {
        for (header, coding) in [
            ("gzip, deflate, br, zstd", Coding::Gzip),
            ("br;q=1.0, GZIP;q=0.1", Coding::Gzip),
            ("x-gzip", Coding::Gzip),
            ("*", Coding::Gzip),
            ("*;q=0.5, gzip;q=0", Coding::Identity),
            ("gzip;q=0", Coding::Identity),
            ("gzip;q=0.000, *", Coding::Identity),
            ("identity", Coding::Identity),
            ("identity, gzip;q=0.5", Coding::Identity),
            ("identity;q=0.5, gzip;q=0.5", Coding::Gzip),
            ("br, deflate", Coding::Identity),
            ("gzip;q=nonsense", Coding::Identity),
            ("gzip;q=7", Coding::Identity),
            ("", Coding::Identity),
        ] {
            assert_eq!(Coding::accepted([header]), coding, "{header}");
        }
        assert_eq!(Coding::accepted(["br", "gzip"]), Coding::Gzip, "two headers are one list");
        assert_eq!(Coding::accepted([]), Coding::Identity);
        assert_eq!(Coding::accepted(["br,".repeat(CODINGS_CAP).as_str(), "gzip"]), Coding::Identity, "bounded");
    }
}
