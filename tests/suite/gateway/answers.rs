//! What an upstream may answer, byte by byte, and what the visitors make of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::{TcpListener, TcpStream};

use super::stand::{Setup, Stand, eventually};
use crate::proxy::wire::{Wire, within};

/// A site that says what its script says, and counts who came and who is there.
struct Scripted {
    address: SocketAddr,
    came: Arc<AtomicUsize>,
    here: Arc<AtomicUsize>,
}

/// For each path what is said, and what the visitor reads.
const SCRIPT: [(&str, &str, &str); 10] = [
    ("/sized", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nDate: then\r\n\r\nhello", "hello"),
    ("/empty", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ""),
    ("/none", "HTTP/1.1 204 No Content\r\n\r\n", ""),
    ("/same", "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n", ""),
    (
        "/early",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate",
        "late",
    ),
    (
        "/chunks",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nin\r\n6;x\r\n three\r\n0\r\n\r\n",
        "in three",
    ),
    ("/head", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", ""),
    ("/more", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb", "a"),
    ("/slow", "", ""),
    ("/bye", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbye", "bye"),
];

impl Scripted {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (came, here) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let site = Self { address, came: Arc::clone(&came), here: Arc::clone(&here) };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                came.fetch_add(1, Ordering::Relaxed);
                here.fetch_add(1, Ordering::Relaxed);
                let here = Arc::clone(&here);
                tokio::spawn(async move {
                    let _gone = speak(Wire::new(stream)).await;
                    here.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
        site
    }

    async fn behind(&self) -> Stand {
        let upstream = format!("upstream = \"http://{}\"", self.address);
        Setup::rooms(&format!("[room.sale]\n{upstream}\nqueueing_method = \"passthrough\"\n")).start().await
    }

    fn came(&self) -> usize {
        self.came.load(Ordering::Relaxed)
    }

    fn here(&self) -> usize {
        self.here.load(Ordering::Relaxed)
    }
}

async fn speak(mut wire: Wire) -> std::io::Result<()> {
    loop {
        let request = wire.message(false).await?;
        let path = request.first_line().split(' ').nth(1).unwrap_or_default();
        let (_, said, _) = SCRIPT.iter().find(|(of, _, _)| path == *of).expect("a path of the script");
        wire.send(said).await?;
        if path == "/bye" {
            wire.hang_up().await?;
        }
    }
}

#[tokio::test]
async fn answers_of_all_kinds_follow_each_other_on_one_connection() {
    let site = Scripted::start().await;
    let stand = site.behind().await;
    let visitor = stand.visitor();
    let asked = &SCRIPT[..SCRIPT.len() - 2];
    let method = |path: &str| if path == "/head" { "HEAD" } else { "GET" };
    for first in 0..asked.len() {
        let mut wire = Wire::new(TcpStream::connect(visitor.gateway).await.unwrap());
        for (path, said, body) in asked.iter().cycle().skip(first).take(2 * asked.len()) {
            wire.send(visitor.head(method(path), path) + "\r\n").await.unwrap();
            let answer = within(wire.message(*path == "/head")).await.unwrap();
            assert_eq!(answer.text(), *body, "{path} {}", answer.head);
            assert!(said.contains(answer.first_line()), "{path} {}", answer.head);
            assert_eq!(answer.head.matches("date: ").count(), 1, "{path} {}", answer.head);
            if *path == "/chunks" {
                assert_eq!(answer.header("content-length"), Some("8"), "all of it has come");
            }
        }
    }
    let too_much = 2 * asked.len();
    assert!(site.came() <= 1 + too_much, "only what says too much costs a connection");
    stand.stop().await;
}

#[tokio::test]
async fn a_connection_is_not_kept_for_whoever_has_gone() {
    let site = Scripted::start().await;
    let stand = site.behind().await;
    let visitor = stand.visitor();
    let mut wire = Wire::new(TcpStream::connect(visitor.gateway).await.unwrap());
    wire.send(visitor.head("GET", "/slow") + "\r\n").await.unwrap();
    eventually("the site to be asked", async || (site.here() == 1).then_some(())).await;
    drop(wire);
    eventually("the site to be left", async || (site.here() == 0).then_some(())).await;
    assert_eq!(visitor.program().get("/sized").await.text(), "hello");
    stand.stop().await;
}

#[tokio::test]
async fn what_the_site_has_closed_is_let_go_of_without_a_request() {
    let site = Scripted::start().await;
    let stand = site.behind().await;
    assert_eq!(stand.visitor().program().get("/bye").await.text(), "bye");
    assert_eq!(site.came(), 1);
    eventually("the connection to be let go of", async || (site.here() == 0).then_some(())).await;
    stand.stop().await;
}
