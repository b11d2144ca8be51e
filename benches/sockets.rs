//! Visitors who join, connect and listen, many to a process: the other side of `benches/live --sockets`.
//!
//! Each line on the standard input is a wish, each line on the standard output an answer in JSON:
//! `open COUNT` adds visitors and says when all are connected; `listen SECONDS` says how many frames came and how old they
//! were. Arguments: the source address, then the gateways' addresses, which are taken in turn.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep, timeout};
use vestibule::clock::Clock;

/// So many visitors of a process are on their way in at once.
const AT_ONCE: usize = 64;

/// A visitor who is not connected after this long is counted as a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// Ports below are left to others.
const FIRST_PORT: u16 = 10_000;

/// An answer to a ping, empty, with a mask of zeros.
const PONG: [u8; 6] = [0x8a, 0x80, 0, 0, 0, 0];

/// What was heard since it was last told.
struct Heard {
    clock: Clock,
    connected: usize,
    failures: usize,
    closed: usize,
    frames: u64,
    ages_ms: Histogram<u64>,
    /// When each visitor was last told something.
    told: Vec<Instant>,
}

impl Heard {
    fn new() -> Self {
        let ages_ms = Histogram::new_with_bounds(1, 600_000, 3).expect("these are bounds");
        Self { clock: Clock::system(), connected: 0, failures: 0, closed: 0, frames: 0, ages_ms, told: Vec::new() }
    }

    fn note(&mut self, visitor: usize, text: &[u8]) {
        self.frames += 1;
        self.told[visitor] = Instant::now();
        if let Some(as_of) = as_of_ms(text) {
            self.ages_ms.saturating_record(self.clock.now_ms().saturating_sub(as_of).max(1));
        }
    }

    /// Tells it and begins anew. Who was told nothing for longest is told as well: nobody is to be starved.
    fn tell(&mut self, since: Instant) -> serde_json::Value {
        let now = Instant::now();
        let silent = self.told.iter().map(|at| now.duration_since(*at)).max().unwrap_or_default();
        let told = json!({
            "connected": self.connected, "failures": self.failures, "closed": self.closed,
            "frames_per_second": self.frames as f64 / since.elapsed().as_secs_f64(),
            "ages_ms": self.ages_ms.iter_recorded().map(|step| (step.value_iterated_to(), step.count_at_value())).collect::<Vec<_>>(),
            "longest_silence_ms": silent.as_millis() as u64,
        });
        (self.frames, self.closed) = (0, 0);
        self.ages_ms.reset();
        told
    }
}

/// Finds when a status was true.
fn as_of_ms(text: &[u8]) -> Option<u64> {
    const NAME: &[u8] = b"\"as_of\":";
    let at = text.windows(NAME.len()).position(|window| window == NAME)? + NAME.len();
    let digits = text[at..].iter().take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |ms, digit| ms * 10 + u64::from(digit - b'0')))
}

async fn connect(source: IpAddr, gateway: SocketAddr) -> io::Result<TcpStream> {
    let stream = bound(source)?.connect(gateway).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Takes the next port of the address that nobody has. The system would look for one among all ports of all addresses, which
/// takes longer than all else where hundreds of thousands are taken.
fn bound(source: IpAddr) -> io::Result<TcpSocket> {
    static NEXT: AtomicU16 = AtomicU16::new(FIRST_PORT);
    loop {
        let socket = if source.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        let port = NEXT.fetch_add(1, Ordering::Relaxed).max(FIRST_PORT);
        match socket.bind(SocketAddr::new(source, port)) {
            Err(fault) if fault.kind() == io::ErrorKind::AddrInUse => {}
            done => return done.map(|()| socket),
        }
    }
}

/// Takes a place and returns the ticket, over a connection that is used on.
async fn join(stream: &mut TcpStream, gateway: SocketAddr) -> io::Result<String> {
    let ask = format!(
        "POST /.vestibule/join HTTP/1.1\r\nHost: {gateway}\r\nAccept: application/json\r\nContent-Length: 15\r\n\r\n{{\"room\":\"sale\"}}"
    );
    stream.write_all(ask.as_bytes()).await?;
    let mut answer = Vec::new();
    loop {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let text = String::from_utf8_lossy(&answer);
        let whole = text.split_once("\r\n\r\n").is_some_and(|(_, body)| body.ends_with('}'));
        if whole {
            let ticket = text.split_once("\"ticket\":\"").and_then(|(_, rest)| rest.split('"').next());
            return ticket.map(str::to_owned).ok_or_else(|| io::Error::other(text.into_owned()));
        }
    }
}

/// Asks for a live connection; returns what came behind the answer.
async fn upgrade(stream: &mut TcpStream, gateway: SocketAddr, ticket: &str) -> io::Result<Vec<u8>> {
    let ask = format!(
        "GET /.vestibule/live?room=sale HTTP/1.1\r\nHost: {gateway}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nVestibule-Ticket: {ticket}\r\n\r\n"
    );
    stream.write_all(ask.as_bytes()).await?;
    let mut answer = Vec::new();
    loop {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") {
            let is_open = answer.starts_with(b"HTTP/1.1 101");
            return if is_open { Ok(answer.split_off(end + 4)) } else { Err(io::Error::other("not switched")) };
        }
    }
}

/// Listens until the connection ends.
async fn listen(
    visitor: usize,
    mut stream: TcpStream,
    mut begun: Vec<u8>,
    heard: Rc<RefCell<Heard>>,
) -> io::Result<()> {
    loop {
        while let Some((opcode, start, end)) = frame(&begun) {
            match opcode {
                1 => heard.borrow_mut().note(visitor, &begun[start..end]),
                8 => return Ok(()),
                9 => stream.write_all(&PONG).await?,
                _ => {}
            }
            begun.drain(..end);
        }
        begun.shrink_to(0);
        stream.readable().await?;
        let mut space = [0; 4_096];
        match stream.try_read(&mut space) {
            Ok(0) => return Ok(()),
            Ok(count) => begun.extend_from_slice(&space[..count]),
            Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => {}
            Err(fault) => return Err(fault),
        }
    }
}

/// Finds the first whole frame: its kind, and where what it says begins and ends.
fn frame(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (start, length) = match bytes.get(1)? {
        126 => (4, usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]))),
        short => (2, usize::from(*short)),
    };
    (bytes.len() >= start + length).then_some((bytes[0] & 15, start, start + length))
}

async fn visit(
    visitor: usize,
    source: IpAddr,
    gateway: SocketAddr,
    heard: Rc<RefCell<Heard>>,
    way: tokio::sync::OwnedSemaphorePermit,
) {
    let arrive = async {
        let mut stream = connect(source, gateway).await?;
        let ticket = join(&mut stream, gateway).await?;
        let begun = upgrade(&mut stream, gateway, &ticket).await?;
        Ok::<_, io::Error>((stream, begun))
    };
    let arrived = timeout(PATIENCE, Box::pin(arrive)).await;
    drop(way);
    match arrived {
        Ok(Ok((stream, begun))) => {
            heard.borrow_mut().connected += 1;
            let _ = listen(visitor, stream, begun, Rc::clone(&heard)).await;
            let mut heard = heard.borrow_mut();
            (heard.connected, heard.closed) = (heard.connected - 1, heard.closed + 1);
        }
        Ok(Err(fault)) => {
            eprintln!("visitor {visitor}: {fault}");
            heard.borrow_mut().failures += 1;
        }
        Err(_) => heard.borrow_mut().failures += 1,
    }
}

async fn serve_wishes(source: IpAddr, gateways: Vec<SocketAddr>) -> io::Result<()> {
    let heard = Rc::new(RefCell::new(Heard::new()));
    let mut wishes = BufReader::new(tokio::io::stdin()).lines();
    let way = std::sync::Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
    while let Some(wish) = wishes.next_line().await? {
        let begun = Instant::now();
        let (verb, number) = wish.split_once(' ').unwrap_or((&wish, "0"));
        let number: usize = number.parse().map_err(io::Error::other)?;
        match verb {
            "open" => {
                for _ in 0..number {
                    let permit = way.clone().acquire_owned().await.map_err(io::Error::other)?;
                    let visitor = heard.borrow().told.len();
                    heard.borrow_mut().told.push(Instant::now());
                    let gateway = gateways[visitor % gateways.len()];
                    tokio::task::spawn_local(visit(visitor, source, gateway, Rc::clone(&heard), permit));
                }
                drop(way.acquire_many(AT_ONCE as u32).await);
            }
            "listen" => {
                heard.borrow_mut().tell(begun);
                sleep(Duration::from_secs(number as u64)).await;
            }
            _ => return Err(io::Error::other(format!("what is {wish}?"))),
        }
        println!("{}", heard.borrow_mut().tell(begun));
    }
    Ok(())
}

fn main() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    // `cargo bench` runs all benches: without a gateway there is nothing to visit.
    let Some((source, gateways)) = words.split_first().filter(|(_, gateways)| !gateways.is_empty()) else {
        return Ok(());
    };
    let source = source.parse().map_err(io::Error::other)?;
    let gateways =
        gateways.iter().map(|address| address.parse().map_err(io::Error::other)).collect::<io::Result<_>>()?;
    rlimit::increase_nofile_limit(u64::MAX)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(LocalSet::new().run_until(serve_wishes(source, gateways)))
}
