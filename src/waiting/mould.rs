//! A page that is alike for many: rendered and packed once, with gaps for what each visitor is told.
//!
//! In a rush everybody gets the waiting page, and nearly all of it is the same for all who stand in one line. So the
//! template is rendered with a mark in the place of each text that is a visitor's own, and cut at the marks. What stands
//! between them is deflated once and well; what goes into the gaps is put there as it is (a stored block of RFC 1951,
//! section 3.2.4). Everything that decides how the template branches is in the [`Shape`].

use std::borrow::Cow;
use std::sync::Arc;

use flate2::{Compress, Compression, FlushCompress};
use minijinja::HtmlEscape;

use super::Language;
use super::checksum::{Checksum, Known};
use super::figures::{Figure, Shown};
use super::packing::{self, Coding};
use super::words::{Words, harmless};
use crate::forecast::Forecast;
use crate::status::{DrawStage, State, Status};

/// For what is packed once.
const BEST: Compression = Compression::new(9);

/// The first mark; they are in a plane of private use, so that no language has them.
const FIRST_MARK: u32 = 0xf_0000;

/// How far back deflate refers.
const WINDOW_BYTES: usize = 32 << 10;

/// What stands for a visitor's text in what is referred to; no page has it, so that nothing refers to such a text.
const FILLER: u8 = 1;

/// How a page looks, whoever it is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Shape {
    language: Language,
    state: State,
    draw: Option<DrawStage>,
    forecast: Option<Forecast>,
    message: Option<String>,
    grace_seconds: Option<u64>,
    refresh_seconds: u64,
    has_number: bool,
    has_code: bool,
    /// Which figures are a visitor's own.
    own: [bool; Figure::ALL.len()],
    opens: bool,
    store_up: bool,
}

/// What a gap is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gap {
    Code,
    Status,
    Figure(Figure),
}

impl Gap {
    const ALL: [Self; 2 + Figure::ALL.len()] = {
        let mut all = [Self::Code; 2 + Figure::ALL.len()];
        all[1] = Self::Status;
        let mut i = 0;
        while i < Figure::ALL.len() {
            all[2 + i] = Self::Figure(Figure::ALL[i]);
            i += 1;
        }
        all
    };

    fn of_mark(mark: char) -> Option<Self> {
        Self::ALL.get(u32::from(mark).checked_sub(FIRST_MARK)? as usize).copied()
    }

    /// Returns how long every visitor's text is, where they are all of one length.
    const fn length(self) -> Option<usize> {
        match self {
            Self::Code => Some(9),
            Self::Status | Self::Figure(_) => None,
        }
    }

    fn mark(self) -> String {
        let at = Self::ALL.iter().position(|gap| *gap == self).unwrap_or_default() as u32;
        char::from_u32(FIRST_MARK + at).map(String::from).unwrap_or_default()
    }
}

/// What a template is given that is a visitor's own.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) nonce: String,
    pub(super) code: String,
    pub(super) status_json: String,
    pub(super) shown: Shown,
}

impl Own {
    /// What stands in the places of a mould's gaps.
    pub(super) fn marks(status: &Status, code: &str, words: &Words, refresh_seconds: u64) -> Self {
        let [written, status_json] = [Gap::Code, Gap::Status].map(Gap::mark);
        let shown = Shown::of(status, words, refresh_seconds, |figure| match figure.is_own(status) {
            true => Some(Gap::Figure(figure).mark()),
            false => figure.say(status, words),
        });
        Self { nonce: String::new(), code: if code.is_empty() { String::new() } else { written }, status_json, shown }
    }
}

/// Tells whether a text could be taken for a mark.
pub(super) fn has_mark(text: &str) -> bool {
    text.chars().any(|c| Gap::of_mark(c).is_some())
}

impl Shape {
    pub(super) fn of(status: &Status, code: &str, language: Language, refresh_seconds: u64) -> Self {
        Self {
            language,
            state: status.state,
            draw: status.draw,
            forecast: status.forecast,
            message: status.message.clone(),
            grace_seconds: status.grace_seconds,
            refresh_seconds,
            has_number: status.number.is_some(),
            has_code: !code.is_empty(),
            own: Figure::ALL.map(|figure| figure.is_own(status)),
            opens: status.opens_at.is_some_and(|ms| ms > 0),
            store_up: status.store_up,
        }
    }
}

/// A page with gaps.
#[derive(Debug)]
pub(super) struct Mould {
    /// Texts, each with the gap behind it.
    pieces: Vec<(Piece, Gap)>,
    /// What stands behind the last gap, half of a page: it is sent from here.
    last: Piece,
    /// What the page may load and do.
    policy: Arc<str>,
}

/// A text that is the same for all.
#[derive(Debug)]
struct Piece {
    text: String,
    deflated: Vec<u8>,
    sum: Known,
}

/// A page whose gaps are filled.
#[derive(Debug)]
pub struct Filled {
    /// Everything up to the last gap.
    front: Vec<u8>,
    mould: Arc<Mould>,
    /// What ends a packed page.
    end: Option<[u8; packing::END_BYTES]>,
}

impl Filled {
    /// Returns what is sent, piece by piece.
    pub(super) fn parts(&self) -> [&[u8]; 3] {
        let Self { front, mould, end } = self;
        match end {
            None => [front, mould.last.text.as_bytes(), &[]],
            Some(end) => [front, &mould.last.deflated, end],
        }
    }

    /// Returns what the page may load and do.
    pub(super) fn policy(&self) -> &str {
        &self.mould.policy
    }
}

impl Mould {
    /// Cuts a page at its marks.
    pub(super) fn of(page: &str, policy: Arc<str>) -> Self {
        let (mut pieces, mut rest, mut before) = (Vec::new(), page, Vec::new());
        while let Some((at, gap)) = rest.char_indices().find_map(|(at, c)| Some((at, Gap::of_mark(c)?))) {
            pieces.push((Piece::new(&rest[..at], FlushCompress::Sync, &before), gap));
            before.extend_from_slice(&rest.as_bytes()[..at]);
            match gap.length() {
                Some(length) => before.resize(before.len() + length, FILLER),
                None => before.clear(),
            }
            rest = &rest[at + gap.mark().len()..];
        }
        Self { pieces, last: Piece::new(rest, FlushCompress::Finish, &before), policy }
    }

    /// Tells whether a mould's gaps have room for this.
    pub(super) fn fits(code: &str) -> bool {
        code.is_empty() || Some(code.len()) == Gap::Code.length()
    }

    /// Fills the gaps.
    pub(super) fn fill(self: Arc<Self>, status: &Status, code: &str, words: &Words, coding: Coding) -> Filled {
        let pieces = self.pieces.iter().map(|(piece, _)| piece);
        let mut page = match coding {
            Coding::Identity => Page::plain(pieces.map(|piece| piece.text.len()).sum()),
            Coding::Gzip => Page::packed(pieces.map(|piece| piece.deflated.len()).sum()),
        };
        for (piece, gap) in &self.pieces {
            page.put(piece);
            match gap {
                Gap::Code => page.fill(escaped(code).as_bytes()),
                Gap::Status => page.fill(&harmless(status.json())),
                Gap::Figure(figure) => page.fill(escaped(&figure.say(status, words).unwrap_or_default()).as_bytes()),
            }
        }
        let end = page.end(&self.last);
        Filled { front: page.out, mould: self, end }
    }
}

impl Piece {
    /// Deflates a text, which may refer to what stands before it as far as it is known how far back that is.
    fn new(text: &str, flush: FlushCompress, before: &[u8]) -> Self {
        let (mut compress, mut deflated) = (Compress::new(BEST, false), Vec::new());
        let window = &before[before.len().saturating_sub(WINDOW_BYTES)..];
        if !window.is_empty() {
            compress.set_dictionary(window).expect("a compressor that has not begun takes any");
        }
        packing::deflate_on(&mut compress, text.as_bytes(), flush, &mut deflated);
        if flush == FlushCompress::Sync {
            // It ends with a stored block of length 0: the gap takes its place.
            deflated.truncate(deflated.len() - EMPTY.len());
        }
        Self { sum: Known::of(text.as_bytes()), text: text.to_owned(), deflated }
    }
}

/// Writes a text so that it can stand in HTML, whatever is in it. Most texts of ours can as they are.
fn escaped(text: &str) -> Cow<'_, str> {
    let is_special = |byte| matches!(byte, b'<' | b'>' | b'&' | b'"' | b'\'' | b'/');
    if text.bytes().any(is_special) { HtmlEscape(text).to_string().into() } else { text.into() }
}

/// The length of a stored block of nothing, and the same with all bits turned.
const EMPTY: [u8; 4] = [0, 0, 0xff, 0xff];

/// How much a stored block holds.
const STORED_CAP_BYTES: usize = u16::MAX as usize;

/// What stands in the gaps of a page is mostly less, and so is what is around a packed one.
const GAPS_EXPECTED_BYTES: usize = 2 << 10;

/// A page that is being written.
struct Page {
    out: Vec<u8>,
    /// `None` where nothing is packed.
    packed: Option<Packed>,
}

/// What is said of a packed text behind it.
#[derive(Default)]
struct Packed {
    sum: Checksum,
    /// In bytes, before they were packed.
    length: u32,
}

impl Page {
    fn plain(known_bytes: usize) -> Self {
        Self { out: Vec::with_capacity(known_bytes + GAPS_EXPECTED_BYTES), packed: None }
    }

    fn packed(known_bytes: usize) -> Self {
        let mut out = Vec::with_capacity(known_bytes + GAPS_EXPECTED_BYTES);
        out.extend_from_slice(&packing::HEADER);
        Self { out, packed: Some(Packed::default()) }
    }

    fn put(&mut self, piece: &Piece) {
        match &mut self.packed {
            None => self.out.extend_from_slice(piece.text.as_bytes()),
            Some(packed) => {
                self.out.extend_from_slice(&piece.deflated);
                packed.pass(piece);
            }
        }
    }

    fn fill(&mut self, value: &[u8]) {
        let Some(packed) = &mut self.packed else { return self.out.extend_from_slice(value) };
        packed.sum.read(value);
        packed.length += value.len() as u32;
        // What says that the first is one stands at the end of the piece before it.
        let (first, others) = value.split_at(value.len().min(STORED_CAP_BYTES));
        store(&mut self.out, first);
        for block in others.chunks(STORED_CAP_BYTES) {
            self.out.push(0);
            store(&mut self.out, block);
        }
    }

    /// Returns what stands behind the last piece of a packed page.
    fn end(&mut self, last: &Piece) -> Option<[u8; packing::END_BYTES]> {
        let packed = self.packed.as_mut()?;
        packed.pass(last);
        Some(packing::end(packed.sum.value(), packed.length))
    }
}

impl Packed {
    fn pass(&mut self, piece: &Piece) {
        self.sum.pass(&piece.sum);
        self.length += piece.text.len() as u32;
    }
}

/// Writes a stored block, but for what says that it is one.
fn store(out: &mut Vec<u8>, block: &[u8]) {
    let length = block.len() as u16;
    let both = u32::from(length) | u32::from(!length) << 16;
    out.extend_from_slice(&both.to_le_bytes());
    out.extend_from_slice(block);
}
