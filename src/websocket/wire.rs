//! The frames of a live connection (RFC 6455), without buffers of their own: what a visitor says is short and rare, and
//! what a visitor is told is made when it is sent.

use std::future::poll_fn;
use std::io::{self, Cursor};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

/// A reader that takes longer than this for one frame is cut.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a goodbye is waited for, so that ours is not lost with the connection.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest message that a visitor may send, in bytes; none is expected.
const MESSAGE_CAP_BYTES: u64 = 1_024;

/// The longest control frame, by the protocol.
const CONTROL_CAP_BYTES: u64 = 125;

/// How much is read at once, in bytes.
const READ_BYTES: usize = 512;

/// The connection, with the beginning of a frame whose rest has yet to come, and the rest of one that has yet to go.
pub struct Wire<S> {
    stream: S,
    begun: Vec<u8>,
    unsent: Vec<u8>,
}

/// What came from the visitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// An answer is asked for, with these bytes.
    Ping(Vec<u8>),
    /// The visitor says goodbye.
    Goodbye,
    /// Any sign of life.
    Sign,
}

/// Why there is no more to hear or to say.
#[derive(Debug)]
pub enum Ended {
    /// The visitor is gone.
    Gone,
    /// It is to end, and this is what to say of it.
    Over(CloseCode),
}

impl From<io::Error> for Ended {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Begins with what was read already.
    #[must_use]
    pub fn begun(stream: S, begun: &[u8]) -> Self {
        Self { stream, begun: begun.to_vec(), unsent: Vec::new() }
    }

    /// Waits for the next frame.
    ///
    /// # Cancel safety
    /// What came stays: the next call goes on with it.
    ///
    /// # Errors
    /// When the visitor is gone, or says what is not allowed.
    pub async fn hear(&mut self) -> Result<Heard, Ended> {
        poll_fn(|cx| self.poll_hear(cx)).await
    }

    fn poll_hear(&mut self, cx: &mut Context<'_>) -> Poll<Result<Heard, Ended>> {
        loop {
            if let Some(heard) = self.take_frame().map_err(Ended::Over)? {
                return Poll::Ready(Ok(heard));
            }
            let mut space = [MaybeUninit::uninit(); READ_BYTES];
            let mut read = ReadBuf::uninit(&mut space);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Err(Ended::Gone));
            }
            self.begun.extend_from_slice(read.filled());
        }
    }

    fn take_frame(&mut self) -> Result<Option<Heard>, CloseCode> {
        let mut cursor = Cursor::new(&self.begun[..]);
        let parsed = FrameHeader::parse(&mut cursor).map_err(|_| CloseCode::Protocol)?;
        let Some((header, length)) = parsed else { return Ok(None) };
        let mask = judged(&header, length)?;
        let start = cursor.position() as usize;
        let end = start + length as usize;
        let Some(payload) = self.begun.get(start..end) else { return Ok(None) };
        let heard = match header.opcode {
            OpCode::Control(Control::Ping) => Heard::Ping(unmasked(payload, mask)),
            OpCode::Control(Control::Close) => Heard::Goodbye,
            _ => Heard::Sign,
        };
        self.begun.drain(..end);
        if self.begun.is_empty() {
            // Most visitors say nothing for long: nothing is kept for what they may say.
            self.begun = Vec::new();
        }
        Ok(Some(heard))
    }

    /// Tells the visitor a text.
    pub(super) async fn tell(&mut self, text: &str) -> Result<(), Ended> {
        self.send(OpCode::Data(Data::Text), text.as_bytes()).await
    }

    /// Asks for a sign of life.
    pub(super) async fn ping(&mut self) -> Result<(), Ended> {
        self.send(OpCode::Control(Control::Ping), &[]).await
    }

    /// Answers a ping.
    pub(super) async fn pong(&mut self, payload: &[u8]) -> Result<(), Ended> {
        self.send(OpCode::Control(Control::Pong), payload).await
    }

    /// Says goodbye, and waits a little for the visitor's. Whether either arrives or not, the connection ends here.
    pub(super) async fn close(&mut self, code: CloseCode) {
        if self.send(OpCode::Control(Control::Close), &u16::from(code).to_be_bytes()).await.is_ok() {
            let goodbye = async { while !matches!(self.hear().await, Ok(Heard::Goodbye) | Err(_)) {} };
            let _ = Box::pin(timeout(GOODBYE_TIMEOUT, goodbye)).await;
        }
    }

    /// Sends a frame: at once, as nearly always, else with patience, in a box so that only whoever needs it pays for it.
    ///
    /// # Cancel safety
    /// What has not gone stays, and goes before the next frame.
    async fn send(&mut self, opcode: OpCode, payload: &[u8]) -> Result<(), Ended> {
        frame(opcode, payload, &mut self.unsent);
        if let Some(sent) = self.send_unsent().now_or_never() {
            return Ok(sent?);
        }
        let patient = timeout(SEND_TIMEOUT, self.send_unsent());
        Ok(Box::pin(patient).await.map_err(|_| Ended::Gone)??)
    }

    async fn send_unsent(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            let sent = self.stream.write(&self.unsent).await?;
            self.unsent.drain(..sent);
        }
        self.unsent = Vec::new();
        self.stream.flush().await
    }
}

/// Returns the mask of a frame that a visitor may send.
fn judged(header: &FrameHeader, length: u64) -> Result<[u8; 4], CloseCode> {
    let is_control = matches!(header.opcode, OpCode::Control(_));
    let is_odd = header.rsv1 || header.rsv2 || header.rsv3;
    match header.mask {
        Some(mask) if !is_odd && !(is_control && (!header.is_final || length > CONTROL_CAP_BYTES)) => {
            if length > MESSAGE_CAP_BYTES { Err(CloseCode::Size) } else { Ok(mask) }
        }
        _ => Err(CloseCode::Protocol),
    }
}

fn unmasked(payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect()
}

fn frame(opcode: OpCode, payload: &[u8], out: &mut Vec<u8>) {
    let header = FrameHeader { opcode, ..FrameHeader::default() };
    out.reserve_exact(header.len(payload.len() as u64) + payload.len());
    header.format(payload.len() as u64, out).expect("a list of bytes takes any");
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use futures_util::{SinkExt as _, StreamExt as _};
    use proptest::prelude::*;
    use tokio::io::{DuplexStream, duplex};
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::protocol::Role;

    use super::*;

    fn wire(space: usize) -> (Wire<DuplexStream>, DuplexStream) {
        let (ours, theirs) = duplex(space);
        (Wire::begun(ours, &[]), theirs)
    }

    async fn heard(bytes: &[u8]) -> Result<Heard, Ended> {
        let (mut wire, mut visitor) = wire(4_096);
        visitor.write_all(bytes).await.unwrap();
        drop(visitor);
        wire.hear().await
    }

    #[tokio::test]
    async fn a_client_of_another_hand_understands_and_is_understood() {
        let (mut wire, visitor) = wire(64 << 10);
        let mut visitor = WebSocketStream::from_raw_socket(visitor, Role::Client, None).await;
        for length in [0, 1, 125, 126, 1_000, 65_535, 65_536] {
            let text = "x".repeat(length);
            let (told, read) = tokio::join!(wire.tell(&text), visitor.next());
            told.unwrap();
            assert_eq!(read.unwrap().unwrap(), Message::text(text));
        }
        visitor.send(Message::Ping("are you there?".into())).await.unwrap();
        visitor.send(Message::text("hello")).await.unwrap();
        assert_eq!(wire.hear().await.unwrap(), Heard::Ping("are you there?".into()));
        assert_eq!(wire.hear().await.unwrap(), Heard::Sign);
        wire.pong(b"are you there?").await.unwrap();
        assert_eq!(visitor.next().await.unwrap().unwrap(), Message::Pong("are you there?".into()));
        let ((), read) = tokio::join!(wire.close(CloseCode::Restart), visitor.next());
        let Message::Close(Some(goodbye)) = read.unwrap().unwrap() else { panic!("no goodbye") };
        assert_eq!(goodbye.code, CloseCode::Restart);
    }

    #[tokio::test]
    async fn what_the_protocol_forbids_is_not_heard() {
        let masked = |first: u8, second: u8| [&[first, second | 0x80], &[0; 4][..], &[0; 1_100][..]].concat();
        for (bytes, code) in [
            (vec![0x81, 0x00], CloseCode::Protocol),
            (masked(0xc1, 1), CloseCode::Protocol),
            (masked(0x83, 1), CloseCode::Protocol),
            (masked(0x09, 1), CloseCode::Protocol),
            ([&[0x89, 0xfe, 0, 126][..], &[0; 200]].concat(), CloseCode::Protocol),
            ([&[0x81, 0xfe, 0x04, 0x01][..], &[0; 1_100]].concat(), CloseCode::Size),
            ([&[0x81, 0xff][..], &[0xff; 8], &[0; 1_100]].concat(), CloseCode::Size),
        ] {
            let ended = heard(&bytes).await;
            assert!(matches!(&ended, Err(Ended::Over(told)) if *told == code), "{:x?}: {ended:?}", &bytes[..4]);
        }
        assert!(matches!(heard(&[0x81]).await, Err(Ended::Gone)), "half a frame is nobody");
    }

    #[tokio::test]
    async fn a_slow_reader_gets_the_whole_frame() {
        let (mut wire, visitor) = wire(16);
        let mut visitor = WebSocketStream::from_raw_socket(visitor, Role::Client, None).await;
        let text = "slow".repeat(300);
        let (told, read) = tokio::join!(wire.tell(&text), visitor.next());
        told.unwrap();
        assert_eq!(read.unwrap().unwrap(), Message::text(text));
    }

    #[tokio::test]
    async fn a_frame_that_was_broken_off_goes_on_before_the_next() {
        let (mut wire, visitor) = wire(16);
        let mut visitor = WebSocketStream::from_raw_socket(visitor, Role::Client, None).await;
        let first = "first".repeat(20);
        assert!(wire.tell(&first).now_or_never().is_none(), "it is not taken at once");
        let (told, read) = tokio::join!(wire.tell("second"), async { [visitor.next().await, visitor.next().await] });
        told.unwrap();
        assert_eq!(read.map(|read| read.unwrap().unwrap()), [Message::text(first), Message::text("second")]);
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd_and_nothing_is_kept_for_long(bytes in prop::collection::vec(any::<u8>(), 0..3_000)) {
            let (mut wire, mut visitor) = wire(4_096);
            let kept = async {
                visitor.write_all(&bytes).await.unwrap();
                drop(visitor);
                while wire.hear().await.is_ok() {}
                wire.begun.capacity()
            };
            let kept = tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(kept);
            prop_assert!(kept <= 2 * (MESSAGE_CAP_BYTES as usize + READ_BYTES + 14));
        }
    }
}
