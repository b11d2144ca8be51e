//! The program itself, as a process of its own.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::gateway::stand::{Operator, Setup, eventually};
use crate::gateway::visitor::Visitor;

const PROGRAM: &str = env!("CARGO_BIN_EXE_vestibule");

/// Runs a command to its end.
fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).output().unwrap()
}

/// What a command said and how it ended.
pub fn told(arguments: &[&str]) -> (Option<i32>, String) {
    said_of(run(arguments))
}

/// The same with these variables in its environment.
pub fn told_in(environment: &[(&str, &str)], arguments: &[&str]) -> (Option<i32>, String) {
    said_of(Command::new(PROGRAM).envs(environment.iter().copied()).args(arguments).output().unwrap())
}

/// The same, where nobody reads what it prints: what it said of that.
pub fn told_to_nobody(arguments: &[&str]) -> (Option<i32>, String) {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    said_of(Command::new(PROGRAM).args(arguments).stdout(writer).output().unwrap())
}

/// What a command said with so many files that may be open, and no more.
pub fn told_with_files(files: usize, arguments: &[&str]) -> (Option<i32>, String) {
    said_of(with_files(files, arguments).output().unwrap())
}

fn with_files(files: usize, arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n {files}; exec \"$0\" \"$@\""), PROGRAM]).args(arguments);
    command
}

fn said_of(output: Output) -> (Option<i32>, String) {
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    (output.status.code(), said.concat())
}

/// A process that serves; killed when it is dropped.
pub struct Process {
    child: Child,
    said: Receiver<String>,
    logs: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
    /// The addresses and words it printed, in order.
    pub lines: Vec<(String, String)>,
}

impl Process {
    /// Starts the program and reads the first `lines` of what it prints.
    pub fn start(arguments: &[&str], lines: usize) -> Self {
        Self::start_in(&[], arguments, lines)
    }

    /// The same with these variables in its environment.
    pub fn start_in(environment: &[(&str, &str)], arguments: &[&str], lines: usize) -> Self {
        let mut command = Command::new(PROGRAM);
        command.envs(environment.iter().copied()).args(arguments);
        Self::run(command, lines)
    }

    /// What a command said with so many files that may be open, and no more.
    pub fn start_with_files(files: usize, arguments: &[&str], lines: usize) -> Self {
        Self::run(with_files(files, arguments), lines)
    }

    fn run(mut command: Command, lines: usize) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (say, said) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| say.send(line)));
        let errors = BufReader::new(child.stderr.take().unwrap());
        let logs = Arc::<Mutex<String>>::default();
        let kept = Arc::clone(&logs);
        let reader = std::thread::spawn(move || {
            errors.lines().map_while(Result::ok).for_each(|line| *kept.lock().unwrap() += &(line + "\n"));
        });
        let mut process = Self { child, said, logs, reader: Some(reader), lines: Vec::new() };
        for _ in 0..lines {
            match process.said.recv_timeout(Duration::from_secs(30)) {
                Ok(line) => {
                    let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
                    process.lines.push((word.to_owned(), rest.to_owned()));
                }
                Err(_) => {
                    let logs = process.kill();
                    panic!("{lines} lines were to be printed, not {:?}\n{logs}", process.lines);
                }
            }
        }
        process
    }

    /// Starts a gateway of this configuration, kept in `folder`.
    pub fn serve(setup: &Setup, upstream: SocketAddr, folder: &Path) -> Self {
        let file = folder.join("vestibule.toml");
        std::fs::write(&file, setup.text(upstream)).unwrap();
        Self::start(&["serve", "--config", text(&file)], 2)
    }

    /// What it printed after this word.
    pub fn said(&self, word: &str) -> &str {
        &self.lines.iter().find(|(first, _)| first == word).unwrap().1
    }

    /// The address it printed after this word.
    pub fn address(&self, word: &str) -> SocketAddr {
        self.said(word).strip_prefix("http://").unwrap().parse().unwrap()
    }

    pub fn gateway(&self) -> SocketAddr {
        self.address("gateway")
    }

    pub fn visitor(&self) -> Visitor {
        Visitor::new(self.gateway())
    }

    pub fn operator(&self) -> Operator {
        Operator { address: self.address("console") }
    }

    /// Sends a signal, such as `TERM` or `HUP`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end; returns how it ended and what was logged.
    pub async fn end(mut self) -> (ExitStatus, String) {
        let status = eventually("the process's end", async || self.child.try_wait().unwrap()).await;
        (status, self.whole_log())
    }

    /// Kills it as `kill -9` does; returns what was logged.
    pub fn kill(&mut self) -> String {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.whole_log()
    }

    /// Waits until this is logged.
    pub async fn until_logged(&self, words: &str) {
        eventually(words, async || self.logs.lock().unwrap().contains(words).then_some(())).await;
    }

    fn whole_log(&mut self) -> String {
        self.reader.take().into_iter().for_each(|reader| reader.join().unwrap());
        self.logs.lock().unwrap().clone()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Writes a file and returns its path.
pub fn write(folder: &Path, name: &str, content: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path
}
