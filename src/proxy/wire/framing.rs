//! Where the body of an answer ends, and what is in it.

use bytes::{Buf as _, Bytes, BytesMut};
use httparse::Status;
use hyper::HeaderMap;
use hyper::body::{Frame, SizeHint};
use hyper::header::{HeaderName, HeaderValue};

use super::WireFault;

/// The line before a chunk may be so long, with what it says besides the length.
const LINE_CAP_BYTES: usize = 4 << 10;

/// All trailers together may be so long.
const TRAILERS_CAP_BYTES: usize = 16 << 10;

/// There may be so many of them.
const TRAILERS_CAP: usize = 64;

/// The end of a line.
const LINE_END: &[u8] = b"\r\n";

/// What is still to come of a body.
#[derive(Debug)]
pub struct Framing(Left);

#[derive(Debug)]
enum Left {
    /// So many bytes.
    Sized(u64),
    /// All until the peer closes the connection.
    UntilEnd,
    /// A chunk, beginning with the line that says how long it is.
    Chunk,
    /// So many bytes of a chunk, and others after it.
    InChunk(u64),
    /// The end of its last line.
    ChunkEnd,
    /// What is said after the last of them.
    Trailers,
    Nothing,
}

impl Framing {
    pub(super) const fn over() -> Self {
        Self(Left::Nothing)
    }

    pub(super) const fn sized(bytes: u64) -> Self {
        Self(if bytes == 0 { Left::Nothing } else { Left::Sized(bytes) })
    }

    pub(super) const fn until_end() -> Self {
        Self(Left::UntilEnd)
    }

    pub(super) const fn chunked() -> Self {
        Self(Left::Chunk)
    }

    /// Says whether all has come.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        matches!(self.0, Left::Nothing)
    }

    /// Says whether the peer may close the connection here without that anything is missing.
    #[must_use]
    pub const fn may_end(&self) -> bool {
        matches!(self.0, Left::UntilEnd | Left::Nothing)
    }

    /// Takes note that it has.
    pub const fn end(&mut self) {
        self.0 = Left::Nothing;
    }

    /// Returns how many bytes are still to come, where that is known.
    #[must_use]
    pub fn size_hint(&self) -> SizeHint {
        match self.0 {
            Left::Sized(bytes) => SizeHint::with_exact(bytes),
            Left::Nothing => SizeHint::with_exact(0),
            _ => SizeHint::default(),
        }
    }

    /// Takes the whole of a body from what was heard, where that is all of it and nothing is said after it.
    pub fn whole(&mut self, heard: &mut BytesMut) -> Option<Bytes> {
        let whole = match self.0 {
            Left::Nothing => Bytes::new(),
            Left::Sized(bytes) => {
                let bytes = usize::try_from(bytes).ok().filter(|bytes| *bytes <= heard.len())?;
                heard.split_to(bytes).freeze()
            }
            Left::Chunk => chunks(heard)?,
            _ => return None,
        };
        self.0 = Left::Nothing;
        Some(whole)
    }

    /// Takes the next piece from what was heard; `None` where it is over, or more has to be heard.
    ///
    /// # Errors
    /// A [`WireFault`] where chunks are not written as they have to be.
    pub fn take(&mut self, heard: &mut BytesMut) -> Result<Option<Frame<Bytes>>, WireFault> {
        loop {
            match self.0 {
                Left::Nothing => return Ok(None),
                Left::UntilEnd => return Ok(piece(heard, u64::MAX)),
                Left::Sized(bytes) => {
                    let piece = piece(heard, bytes);
                    *self = Self::sized(bytes - length(piece.as_ref()));
                    return Ok(piece);
                }
                Left::InChunk(bytes) => {
                    let piece = piece(heard, bytes);
                    let left = bytes - length(piece.as_ref());
                    self.0 = if left == 0 { Left::ChunkEnd } else { Left::InChunk(left) };
                    return Ok(piece);
                }
                Left::ChunkEnd if heard.len() < LINE_END.len() => return Ok(None),
                Left::ChunkEnd if heard.starts_with(LINE_END) => {
                    heard.advance(LINE_END.len());
                    self.0 = Left::Chunk;
                }
                Left::ChunkEnd => return Err(WireFault::Unclear),
                Left::Chunk => {
                    let Some((line_bytes, bytes)) = chunk(heard)? else { return Ok(None) };
                    heard.advance(line_bytes);
                    self.0 = if bytes == 0 { Left::Trailers } else { Left::InChunk(bytes) };
                }
                Left::Trailers => match trailers(heard)? {
                    Some(trailers) => {
                        self.0 = Left::Nothing;
                        return Ok((!trailers.is_empty()).then(|| Frame::trailers(trailers)));
                    }
                    None => return Ok(None),
                },
            }
        }
    }
}

/// Reads the line before a chunk: how long it is itself, and how long the chunk. `None` where it is not all there.
fn chunk(heard: &[u8]) -> Result<Option<(usize, u64)>, WireFault> {
    match httparse::parse_chunk_size(heard).map_err(|_| WireFault::Unclear)? {
        Status::Complete((line_bytes, bytes)) => {
            let line = &heard[..line_bytes - LINE_END.len()];
            // The reader takes a line without a number for one of zero, and a line feed for a part of an extension.
            let is_clear = line.first().is_some_and(u8::is_ascii_hexdigit) && !line.contains(&b'\n');
            if is_clear { Ok(Some((line_bytes, bytes))) } else { Err(WireFault::Unclear) }
        }
        Status::Partial if heard.len() > LINE_CAP_BYTES => Err(WireFault::TooLong),
        Status::Partial => Ok(None),
    }
}

/// Takes what is in all chunks, where all have come and no trailers follow them.
fn chunks(heard: &mut BytesMut) -> Option<Bytes> {
    let (mut at, mut pieces) = (0, Vec::new());
    loop {
        let (line_bytes, bytes) = chunk(&heard[at..]).ok()??;
        let begin = at + line_bytes;
        let end = begin.checked_add(usize::try_from(bytes).ok()?)?;
        at = end.checked_add(LINE_END.len())?;
        if heard.get(end..at)? != LINE_END {
            return None;
        }
        if bytes == 0 {
            break;
        }
        pieces.push(begin..end);
    }
    let heard = heard.split_to(at).freeze();
    if let [only] = &pieces[..] {
        return Some(heard.slice(only.clone()));
    }
    let mut all = BytesMut::with_capacity(heard.len());
    pieces.into_iter().for_each(|piece| all.extend_from_slice(&heard[piece]));
    Some(all.freeze())
}

/// Takes as many bytes as there are, up to so many.
fn piece(heard: &mut BytesMut, most: u64) -> Option<Frame<Bytes>> {
    let bytes = heard.len().min(usize::try_from(most).unwrap_or(usize::MAX));
    (bytes > 0).then(|| Frame::data(heard.split_to(bytes).freeze()))
}

fn length(piece: Option<&Frame<Bytes>>) -> u64 {
    piece.and_then(Frame::data_ref).map_or(0, |data| data.len() as u64)
}

/// Takes what follows the last chunk; `None` where that is not all there.
fn trailers(heard: &mut BytesMut) -> Result<Option<HeaderMap>, WireFault> {
    let mut space = [httparse::EMPTY_HEADER; TRAILERS_CAP];
    let Status::Complete((bytes, lines)) = httparse::parse_headers(heard, &mut space)? else {
        return if heard.len() > TRAILERS_CAP_BYTES { Err(WireFault::TooLong) } else { Ok(None) };
    };
    let mut trailers = HeaderMap::new();
    for line in lines {
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| WireFault::BadHead)?;
        trailers.append(name, HeaderValue::from_bytes(line.value).map_err(|_| WireFault::BadHead)?);
    }
    let is_bare = |at: usize| at.checked_sub(1).is_none_or(|before| heard[before] != b'\r');
    if memchr::memchr_iter(b'\n', &heard[..bytes]).any(is_bare) {
        return Err(WireFault::Unclear);
    }
    heard.advance(bytes);
    Ok(Some(trailers))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a body that comes in one piece; the fault's name where it is none, and `more` where something is missing.
    fn read(framing: &mut Framing, text: &str) -> (String, String) {
        let (mut heard, mut body) = (BytesMut::from(text), Vec::new());
        let end = loop {
            match framing.take(&mut heard).map(|frame| frame.map(Frame::into_data)) {
                Ok(Some(Ok(data))) => body.extend_from_slice(&data),
                Ok(Some(Err(last))) => {
                    body.extend_from_slice(format!("{:?}", last.into_trailers().unwrap()).as_bytes());
                }
                Ok(None) if framing.is_over() => break format!("over, {}", heard.len()),
                Ok(None) => break "more".to_owned(),
                Err(fault) => break format!("{fault:?}"),
            }
        };
        (String::from_utf8(body).unwrap(), end)
    }

    #[test]
    fn chunks_are_read_as_they_have_to_be_written() {
        for (text, body, end) in [
            ("5\r\nhello\r\n0\r\n\r\n", "hello", "over, 0"),
            (
                "005;a=\"b\"\r\nhello\r\nA \r\n0123456789\r\n0\r\nx: y\r\n\r\nHTTP",
                "hello0123456789{\"x\": \"y\"}",
                "over, 4",
            ),
            ("0\r\n\r", "", "more"),
            ("5\r\nhello\r", "hello", "more"),
            ("5\r\nhello!\r\n", "hello", "Unclear"),
            ("5\r\nhello\r\n\r\n\r\n", "hello", "Unclear"),
            (";a\r\n\r\n", "", "Unclear"),
            ("-1\r\n\r\n", "", "Unclear"),
            ("0x5\r\nhello", "", "Unclear"),
            ("1ffffffffffffffff\r\n", "", "Unclear"),
            ("5;a\nb\r\nhello", "", "Unclear"),
            ("5\nhello", "", "Unclear"),
            ("0\r\nx: y\n\r\n", "", "Unclear"),
            ("0\r\n\n", "", "Unclear"),
        ] {
            assert_eq!(read(&mut Framing::chunked(), text), (body.to_owned(), end.to_owned()), "{text:?}");
        }
        let end_of = |text: String| read(&mut Framing::chunked(), &text).1;
        assert_eq!(end_of(format!("5;{}", "a".repeat(LINE_CAP_BYTES))), "TooLong");
        assert_eq!(end_of(format!("0\r\nx: {}", "a".repeat(TRAILERS_CAP_BYTES))), "TooLong");
        assert_eq!(end_of(format!("0\r\n{}", "a: b\r\n".repeat(TRAILERS_CAP + 1))), "Head(TooManyHeaders)");
    }

    #[test]
    fn other_bodies_end_where_they_say_or_with_the_connection() {
        assert_eq!(read(&mut Framing::sized(3), "abcd"), ("abc".to_owned(), "over, 1".to_owned()));
        let mut short = Framing::sized(3);
        assert_eq!((read(&mut short, "ab").1.as_str(), short.may_end()), ("more", false));
        let mut endless = Framing::until_end();
        assert_eq!((read(&mut endless, "ab"), endless.may_end()), (("ab".to_owned(), "more".to_owned()), true));
        assert_eq!(Framing::sized(2).whole(&mut BytesMut::from("abc")).unwrap(), "ab");
        assert!(Framing::sized(4).whole(&mut BytesMut::from("abc")).is_none());
    }

    #[test]
    fn chunks_that_have_all_come_are_one_piece() {
        let whole = |text: &str| {
            let mut heard = BytesMut::from(text);
            let whole = Framing::chunked().whole(&mut heard);
            assert!(whole.is_some() || heard == text, "what is not whole stays");
            whole.map(|whole| (String::from_utf8(whole.to_vec()).unwrap(), heard.len()))
        };
        assert_eq!(whole("5\r\nhello\r\n0\r\n\r\n"), Some(("hello".to_owned(), 0)));
        assert_eq!(whole("2;x\r\nhe\r\n03\r\nllo\r\n0\r\n\r\nHTTP"), Some(("hello".to_owned(), 4)));
        assert_eq!(whole("0\r\n\r\n"), Some((String::new(), 0)));
        for part in ["", "5", "5\r\nhel", "5\r\nhello", "5\r\nhello\r\n", "5\r\nhello\r\n0\r\n", "0\r\nx: y\r\n\r\n"] {
            assert_eq!(whole(part), None, "{part:?}");
        }
        for odd in ["5\r\nhello!\r\n0\r\n\r\n", "\r\n\r\n", "ffffffffffffffff\r\n", "0\r\n\n"] {
            assert_eq!(whole(odd), None, "{odd:?}");
        }
    }
}
