//! Real Redis servers for tests, started by whoever needs them and stopped with this process.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;

/// Runs the server until its input ends, as it does when this process ends, however it ends.
const GUARD: &str = r#""$@" & pid=$!; read -r _; exec 2>&-; kill $pid; kill -CONT $pid; wait $pid"#;

/// Lets nothing be kept on disk.
const KEEPS_NOTHING: [&str; 4] = ["--save", "", "--appendonly", "no"];

/// Where the ports are that servers get: below those that the kernel gives to outgoing connections, and so that the bus of
/// a cluster's node, 10,000 above its port, is too.
const GIVEN_PORTS: Range<u16> = 10_000..22_000;

/// How many of them this process has looked at.
static LOOKED_AT: AtomicU64 = AtomicU64::new(0);

/// A server on a loopback port and a socket, with a folder of its own.
pub struct RedisServer {
    port: u16,
    options: Vec<String>,
    guard: Child,
    folder: TempDir,
}

impl RedisServer {
    /// Starts a server of one's own; it keeps nothing unless the options say so.
    pub fn start(options: &[&str]) -> Self {
        (0..20).find_map(|_| Self::try_start(free_port(), options)).expect("redis-server starts on a free port")
    }

    /// Returns the server that the tests of this binary share. Each uses rooms of its own.
    pub fn shared() -> &'static Self {
        static SHARED: LazyLock<RedisServer> = LazyLock::new(|| RedisServer::start(&[]));
        &SHARED
    }

    /// Starts a server on this port; `None` when somebody else has it.
    pub fn try_start(port: u16, options: &[&str]) -> Option<Self> {
        let folder = TempDir::new().expect("a temporary folder");
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        let guard = serve(port, folder.path(), &options)?;
        Some(Self { port, options, guard, folder })
    }

    /// The server's port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's address.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The address of its socket.
    pub fn socket_url(&self) -> String {
        format!("redis+unix://{}", self.folder.path().join("redis.sock").display())
    }

    /// A file in its folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A connection for what a test does to the server behind a store's back.
    pub fn connection(&self) -> redis::Connection {
        redis::Client::open(self.url()).expect("a url").get_connection().expect("a connection")
    }

    /// Does something to the server behind a store's back.
    pub fn tell(&self, words: &[&str]) -> redis::Value {
        redis::cmd(words[0]).arg(&words[1..]).query(&mut self.connection()).unwrap_or_else(|e| panic!("{words:?}: {e}"))
    }

    /// Whether it answers, and says this of itself.
    pub fn says(&self, line: &str) -> bool {
        let connection = redis::Client::open(self.url()).expect("a url").get_connection();
        let info = connection.and_then(|mut server| redis::cmd("INFO").query::<String>(&mut server));
        info.is_ok_and(|info| info.lines().any(|said| said.trim() == line))
    }

    /// Sends the process a signal.
    pub fn signal(&self, pid: u64, signal: &str) {
        let done = Command::new("kill").args([signal, &pid.to_string()]).status().expect("kill runs");
        assert!(done.success(), "{signal} to {pid}");
    }

    /// The process, which must be answering.
    pub fn pid(&self) -> u64 {
        let info: String = redis::cmd("INFO").arg("server").query(&mut self.connection()).expect("an answer");
        let pid = info.lines().find_map(|line| line.strip_prefix("process_id:"));
        pid.expect("a process").trim().parse().expect("a number")
    }

    /// Stops the server; [`RedisServer::replace`] starts an empty one.
    pub fn halt(&mut self) {
        stop(&mut self.guard);
    }

    /// Stops the server and starts an empty one in its place.
    pub fn replace(&mut self) {
        stop(&mut self.guard);
        let started = (0..20).find_map(|_| Self::try_start(self.port, &[]));
        *self = started.expect("redis-server starts again");
    }

    /// Starts a halted server again, with what its folder holds.
    pub fn resume(&mut self) {
        let folder = self.folder.path();
        self.guard = (0..20).find_map(|_| serve(self.port, folder, &self.options)).expect("redis-server starts again");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        stop(&mut self.guard);
    }
}

fn serve(port: u16, folder: &Path, options: &[String]) -> Option<Child> {
    let mut guard = guarded("redis-server");
    guard.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--unixsocket"]).arg(folder.join("redis.sock"));
    guard.arg("--dir").arg(folder).args(KEEPS_NOTHING).args(options);
    until_ready(guard, "Ready to accept connections")
}

/// Begins the command of a program that ends with this process.
pub fn guarded(program: &str) -> Command {
    let mut guard = Command::new("sh");
    guard.args(["-c", GUARD, "guard", program]);
    guard
}

/// Starts a guarded program and waits for the line that says it is ready; `None` when it ends before.
pub fn until_ready(mut command: Command, ready: &str) -> Option<Child> {
    let mut guard = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("sh runs");
    let said = BufReader::new(guard.stdout.take().expect("piped"));
    let mut lines = said.lines().map_while(Result::ok);
    if lines.any(|line| line.contains(ready)) {
        // Read on, or the server would block once the pipe is full.
        std::thread::spawn(move || lines.for_each(drop));
        Some(guard)
    } else {
        stop(&mut guard);
        None
    }
}

/// Ends a guarded program.
pub fn stop(guard: &mut Child) {
    if let Some(mut input) = guard.stdin.take() {
        end(&mut input);
    }
    drop(guard.wait());
}

fn end(input: &mut ChildStdin) {
    drop(input.write_all(b"\n"));
}

/// A port that is free at this moment, and that no outgoing connection gets: a server that comes back to it finds it free.
pub fn free_port() -> u16 {
    let begin = u64::from(std::process::id()) * 61;
    let mut ports = std::iter::repeat_with(|| {
        let next = begin + LOOKED_AT.fetch_add(1, Ordering::Relaxed);
        GIVEN_PORTS.start + (next % GIVEN_PORTS.len() as u64) as u16
    });
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a free port")
}
