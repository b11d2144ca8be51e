//! The live connection of one visitor: a WebSocket with small buffers.

use std::net::IpAddr;
use std::time::Duration;

use futures_util::StreamExt;
use hyper::header::{HeaderValue, ORIGIN};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::jar::Jar;
use super::status::Status;
use super::target::Target;

const BUFFER_BYTES: usize = 1 << 10;
const FRAME_MAX_BYTES: usize = 16 << 10;
const PATIENCE: Duration = Duration::from_secs(30);

/// An open live connection; dropping it closes the socket. It is boxed, for those who have none are many.
pub struct Live(Box<WebSocketStream<TcpStream>>);

/// Why there is no next frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The other side closed it or it broke.
    Closed,
    /// Nothing came for longer than promised.
    Silent,
    /// What came is no status.
    Garbled,
}

impl Live {
    /// Opens it; `None` when it is refused, cannot be reached or takes over 30 seconds.
    pub async fn open(target: &Target, source: Option<IpAddr>, room: &str, jar: &Jar) -> Option<Self> {
        let request = request(target, room, jar)?;
        let opening = async {
            let stream = target.connect(source).await.ok()?;
            client_async_with_config(request, stream, Some(small())).await.ok()
        };
        let (stream, _) = timeout(PATIENCE, opening).await.ok()??;
        Some(Self(Box::new(stream)))
    }

    /// Waits for the next status, at most `patience`; pings are answered on the way.
    ///
    /// # Errors
    /// [`Ended`] when there will be none.
    pub async fn next(&mut self, patience: Duration) -> Result<Status, Ended> {
        timeout(patience, self.next_text()).await.unwrap_or(Err(Ended::Silent))
    }

    async fn next_text(&mut self) -> Result<Status, Ended> {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => return Status::read(text.as_bytes()).ok_or(Ended::Garbled),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(Ended::Closed),
                Some(Ok(_)) => {}
            }
        }
    }

    /// Waits for the next status on any of a visitor's tabs. A second tab that ends is only missing from then on, which
    /// `lost` counts.
    ///
    /// # Errors
    /// [`Ended`] when there will be none in the first.
    pub async fn next_of(
        first: &mut Self,
        second: &mut Option<Self>,
        patience: Duration,
        lost: impl Fn(),
    ) -> Result<Status, Ended> {
        loop {
            let Some(other) = second.as_mut() else { return first.next(patience).await };
            tokio::select! {
                status = first.next(patience) => return status,
                status = other.next(patience) => match status {
                    Ok(status) => return Ok(status),
                    Err(_) => {
                        *second = None;
                        lost();
                    }
                },
            }
        }
    }

    /// Says goodbye, as a browser does; a peer that does not listen is left after a second.
    pub async fn close(mut self) {
        let goodbye: Result<Result<(), Error>, _> = timeout(Duration::from_secs(1), self.0.close(None)).await;
        drop(goodbye);
    }
}

fn request(target: &Target, room: &str, jar: &Jar) -> Option<Request> {
    let url = format!("ws://{}/.vestibule/live?room={room}", target.authority);
    let mut request = url.into_client_request().ok()?;
    let headers = request.headers_mut();
    headers.insert(ORIGIN, HeaderValue::from_str(&format!("http://{}", target.authority)).ok()?);
    for (name, value) in jar.headers() {
        headers.insert(name, HeaderValue::from_str(&value).ok()?);
    }
    Some(request)
}

/// The defaults would cost 130 KB a socket.
fn small() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(FRAME_MAX_BYTES)
        .max_message_size(Some(FRAME_MAX_BYTES))
        .max_frame_size(Some(FRAME_MAX_BYTES))
}
