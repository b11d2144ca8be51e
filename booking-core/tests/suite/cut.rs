//! A wire to PostgreSQL that can be cut at the worst moment: when a commit has arrived and its answer has not.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What is waited for: a connection that has prepared or said `text`, and a message that begins with `kind`.
#[derive(Clone, Copy)]
struct Wanted {
    text: &'static [u8],
    kind: u8,
}

#[derive(Default)]
struct State {
    wanted: Mutex<Option<Wanted>>,
    cuts: AtomicU32,
}

/// The wire.
pub struct Cut {
    url: String,
    state: Arc<State>,
}

impl Cut {
    /// Lays a wire to the server of `url`.
    pub async fn open(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (before, after) = url.split_once('@').unwrap();
        let (server, name) = after.split_once('/').unwrap();
        let url = format!("{before}@{}/{name}", listener.local_addr().unwrap());
        let (state, server) = (Arc::<State>::default(), server.to_owned());
        let accepting = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                tokio::spawn(carry(client, server, Arc::clone(&accepting)));
            }
        });
        Self { url, state }
    }

    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Cuts the next connection that sends a message of a kind (`Q` a simple query, `B` a bind), once it has been
    /// answered, before the answer is passed on. A `Q` must contain `text`; of a `B` the text was prepared before.
    pub fn next(&self, text: &'static [u8], kind: &[u8; 1]) {
        *self.state.wanted.lock().unwrap() = Some(Wanted { text, kind: kind[0] });
    }

    pub fn cuts(&self) -> u32 {
        self.state.cuts.load(Ordering::SeqCst)
    }
}

impl State {
    /// Tells whether these bytes are what is waited for, and then waits for nothing more.
    fn is_wanted(&self, bytes: &[u8], has_prepared: &[u8]) -> bool {
        let mut wanted = self.wanted.lock().unwrap();
        let found = wanted.is_some_and(|wanted| {
            let among = if wanted.kind == b'B' { has_prepared } else { bytes };
            bytes.first() == Some(&wanted.kind) && among.windows(wanted.text.len()).any(|text| text == wanted.text)
        });
        if found {
            *wanted = None;
        }
        found
    }
}

async fn carry(mut client: TcpStream, mut server: TcpStream, state: Arc<State>) -> std::io::Result<()> {
    let (mut up, mut down, mut prepared) = ([0; 65_536], [0; 65_536], Vec::new());
    loop {
        tokio::select! {
            read = client.read(&mut up) => {
                let bytes = &up[..read?];
                if bytes.is_empty() {
                    return Ok(());
                }
                if bytes.first() == Some(&b'P') {
                    prepared.extend_from_slice(bytes);
                }
                server.write_all(bytes).await?;
                if state.is_wanted(bytes, &prepared) {
                    // The server answers when it has committed. Nobody hears it.
                    assert!(server.read(&mut down).await? > 0, "the server answers");
                    state.cuts.fetch_add(1, Ordering::SeqCst);
                    return Ok(());
                }
            }
            read = server.read(&mut down) => {
                let bytes = &down[..read?];
                if bytes.is_empty() {
                    return Ok(());
                }
                client.write_all(bytes).await?;
            }
        }
    }
}
