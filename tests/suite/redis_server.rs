//! A real Redis server for tests, started by whoever needs one and stopped with this process.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::LazyLock;

use tempfile::TempDir;

/// Runs the server until its input ends, as it does when this process ends, however it ends.
const GUARD: &str = r#"redis-server "$@" & pid=$!; read -r _; kill $pid; wait $pid"#;

/// A server on a loopback port and a socket; nothing is kept on disk.
pub struct RedisServer {
    port: u16,
    guard: Child,
    folder: TempDir,
}

impl RedisServer {
    /// Starts a server of one's own.
    pub fn start(options: &[&str]) -> Self {
        (0..20).find_map(|_| Self::try_start(free_port(), options)).expect("redis-server starts on a free port")
    }

    /// Returns the server that the tests of this binary share. Each uses rooms of its own.
    pub fn shared() -> &'static Self {
        static SHARED: LazyLock<RedisServer> = LazyLock::new(|| RedisServer::start(&[]));
        &SHARED
    }

    fn try_start(port: u16, options: &[&str]) -> Option<Self> {
        let folder = TempDir::new().expect("a temporary folder");
        let mut guard = Command::new("sh");
        guard.args(["-c", GUARD, "redis-guard", "--port", &port.to_string(), "--bind", "127.0.0.1"]);
        guard.args(["--save", "", "--appendonly", "no", "--unixsocket"]).arg(folder.path().join("redis.sock"));
        guard.arg("--dir").arg(folder.path()).args(options);
        let mut guard = guard.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("sh runs");
        let said = BufReader::new(guard.stdout.take().expect("piped"));
        let mut lines = said.lines().map_while(Result::ok);
        if lines.any(|line| line.contains("Ready to accept connections")) {
            // Read on, or the server would block once the pipe is full.
            std::thread::spawn(move || lines.for_each(drop));
            Some(Self { port, guard, folder })
        } else {
            stop(&mut guard);
            None
        }
    }

    /// The server's address.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The address of its socket.
    pub fn socket_url(&self) -> String {
        format!("redis+unix://{}", self.folder.path().join("redis.sock").display())
    }

    /// A connection for what a test does to the server behind a store's back.
    pub fn connection(&self) -> redis::Connection {
        redis::Client::open(self.url()).expect("a url").get_connection().expect("a connection")
    }

    /// Kills the server; [`RedisServer::replace`] starts an empty one.
    pub fn halt(&mut self) {
        stop(&mut self.guard);
    }

    /// Kills the server and starts an empty one in its place.
    pub fn replace(&mut self) {
        stop(&mut self.guard);
        *self = (0..20).find_map(|_| Self::try_start(self.port, &[])).expect("redis-server starts again");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        stop(&mut self.guard);
    }
}

fn stop(guard: &mut Child) {
    if let Some(mut input) = guard.stdin.take() {
        end(&mut input);
    }
    drop(guard.wait());
}

fn end(input: &mut ChildStdin) {
    drop(input.write_all(b"\n"));
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}
