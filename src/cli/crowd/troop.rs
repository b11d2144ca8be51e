//! A crowd that needs more files than one process may open goes in troops: the command starts itself again, gives each
//! troop its orders on standard input, and reads what it has seen from its standard output, one JSON object a line.

use std::io::Write as _;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::CrowdError;
use super::notes::Note;
use super::sending::{self, March};
use super::tally::{Counts, Sums, Tally};
use super::visitor::Scene;
use crate::clock::Clock;

/// How often a troop says how far it is.
const WORD: Duration = Duration::from_millis(250);
/// Words that may wait to be read.
const WORDS_MAX: usize = 4_096;

/// What a troop says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    /// How far it is.
    Counts(Counts),
    /// What one of its visitors wrote down.
    Note(Box<Note>),
    /// What it counted; the last word.
    Sums(Box<Sums>),
}

/// Sends all troops of `march`, counts for them all in `tally`, and gathers the notes. When `stop` is cancelled, they are
/// told to end.
///
/// # Errors
/// When one cannot be started, or ends before its last word.
pub async fn send_all(march: &March, tally: &Tally, stop: &CancellationToken) -> Result<Vec<Note>, CrowdError> {
    let (say, mut heard) = mpsc::channel(WORDS_MAX);
    let mut troops = JoinSet::new();
    for troop in 0..march.troops {
        let child = start(&March { troop, ..march.clone() }).await.map_err(CrowdError::Troop)?;
        troops.spawn(listen(child, troop as usize, say.clone(), stop.clone()));
    }
    drop(say);
    let mut notes = Vec::new();
    let (mut counts, mut ended) = (vec![Counts::default(); march.troops as usize], 0);
    while let Some((troop, word)) = heard.recv().await {
        match word {
            Word::Counts(now) => counts[troop] = now,
            Word::Note(note) => notes.push(*note),
            Word::Sums(sums) => {
                tally.add(*sums);
                ended += 1;
            }
        }
        let mut all = Counts::default();
        counts.iter().for_each(|of_one| all += *of_one);
        tally.show(all);
    }
    if ended == march.troops { Ok(notes) } else { Err(CrowdError::TroopsLost(march.troops - ended)) }
}

/// Starts one, and gives it its orders.
async fn start(march: &March) -> std::io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("crowd-troop").stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let orders = serde_json::to_string(march)? + "\n";
    if let Some(stdin) = &mut child.stdin {
        stdin.write_all(orders.as_bytes()).await?;
    }
    Ok(child)
}

/// Passes on what a troop says, until it has said all. The end of its standard input tells it to end.
async fn listen(mut child: Child, troop: usize, say: mpsc::Sender<(usize, Word)>, stop: CancellationToken) {
    let Some(stdout) = child.stdout.take() else { return };
    let mut stdin = child.stdin.take();
    let words = pass_on(stdout, troop, say);
    tokio::pin!(words);
    tokio::select! {
        () = &mut words => {}
        () = stop.cancelled() => {
            drop(stdin.take());
            words.await;
        }
    }
    drop(stdin);
    let _ended = child.wait().await;
}

async fn pass_on(stdout: ChildStdout, troop: usize, say: mpsc::Sender<(usize, Word)>) {
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(word) = serde_json::from_str(&line) else { return };
        if say.send((troop, word)).await.is_err() {
            return;
        }
    }
}

/// Is a troop: takes its orders, goes, and says what it saw.
///
/// # Errors
/// When the orders cannot be followed.
pub async fn go(clock: Clock) -> Result<(), CrowdError> {
    let mut orders = String::new();
    std::io::stdin().read_line(&mut orders).map_err(CrowdError::Troop)?;
    let march: March = serde_json::from_str(&orders).map_err(|fault| CrowdError::Troop(fault.into()))?;
    rlimit::increase_nofile_limit(u64::MAX).map_err(CrowdError::Troop)?;
    let scene = Arc::new(march.scene(&clock).await?);
    end_with_input(scene.stop.clone());
    let notes = sending::send(&scene, march.plans()?, say_counts(&scene)).await;
    tell(&scene, notes).map_err(CrowdError::Troop)
}

/// Ends the visits when whoever gave the orders closes the pipe, or is gone. A thread of its own reads: it may stay in the
/// middle of that when the process ends.
fn end_with_input(stop: CancellationToken) {
    std::thread::spawn(move || {
        let mut rest = String::new();
        let _end = std::io::stdin().read_line(&mut rest);
        stop.cancel();
    });
}

async fn say_counts(scene: &Scene) {
    let mut ticks = interval(WORD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The signal comes to the whole group; whoever gave the orders tells when to end.
    let ignored = tokio::signal::ctrl_c();
    tokio::pin!(ignored);
    let mut is_heard = false;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = &mut ignored, if !is_heard => is_heard = true,
        }
        if say(&Word::Counts(scene.tally.counts())).is_err() {
            scene.stop.cancel();
        }
    }
}

fn tell(scene: &Scene, notes: Vec<Note>) -> std::io::Result<()> {
    say(&Word::Counts(scene.tally.counts()))?;
    notes.into_iter().try_for_each(|note| say(&Word::Note(Box::new(note))))?;
    say(&Word::Sums(Box::new(scene.tally.sums())))
}

fn say(word: &Word) -> std::io::Result<()> {
    let line = serde_json::to_string(word)? + "\n";
    std::io::stdout().lock().write_all(line.as_bytes())
}
