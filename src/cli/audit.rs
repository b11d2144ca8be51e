//! `vestibule audit`: verifies an exported admission log.

use std::path::PathBuf;

use vestibule_telemetry::say;

use super::CommandFault;
use crate::audit::{self, AuditedDraw, Passed};

/// How much of a list of numbers is printed.
const LONGEST: usize = 400;

/// What the command takes.
#[derive(Debug, clap::Args)]
pub struct AuditArgs {
    /// The log, as `GET /api/rooms/ROOM/log` of the admin listener gives it
    file: PathBuf,
    /// Also tells the place that lots gave to this number
    #[arg(long, value_name = "NUMBER")]
    number: Option<u64>,
}

/// Verifies the file.
///
/// # Errors
/// [`CommandFault::Failed`] with every finding; [`CommandFault::Input`] when there is no file, or nothing in it.
pub fn run(args: &AuditArgs) -> Result<(), CommandFault> {
    let text = std::fs::read_to_string(&args.file)
        .map_err(|e| CommandFault::Input(format!("cannot read {}: {e}", args.file.display())))?;
    let (summary, findings) = audit::verify(text.lines());
    if !findings.is_empty() {
        let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
        return Err(CommandFault::Failed(format!("the log does not hold:\n{}", lines.join("\n"))));
    }
    // A log without an entry says where it begins all the same.
    if text.trim().is_empty() {
        return Err(CommandFault::Input(format!(
            "there is nothing in {}: `GET /api/rooms/ROOM/log` of the admin listener gives the log",
            args.file.display()
        )));
    }
    say!("{} entries hold together; the last link is {:?}", summary.entries, summary.link);
    say!("{} were called, none twice", summary.called);
    print_passed(&summary.passed);
    for AuditedDraw { draw, promise_seen } in &summary.draws {
        let kept = match promise_seen {
            true => "by the seed that was promised".to_owned(),
            false => format!(
                "by a seed whose promise is not in this log; compare the commitment {} with what was published before",
                hex::encode(draw.reveal.commitment())
            ),
        };
        say!("the order of the numbers {} to {} was drawn {kept}", draw.first, draw.last);
    }
    if let Some(number) = args.number {
        match summary.draws.iter().find(|audited| audited.draw.covers(number)) {
            Some(AuditedDraw { draw, .. }) => {
                say!("number {number} drew place {}", draw.permutation().place(number))
            }
            None => say!("number {number} was in no draw of this log: its place is {number}"),
        }
    }
    match (summary.called - summary.unchecked, summary.unchecked) {
        (checked, 0) => say!("none of {checked} was called beyond the rate"),
        (0, _) => say!("the rate could not be checked: no entry tells the limits"),
        (checked, unchecked) => say!(
            "none of {checked} was called beyond the rate; {unchecked} came before the first entry that tells the limits"
        ),
    }
    Ok(())
}

/// Names those who waited while a higher number was called. Only they themselves know whether they were away.
fn print_passed(passed: &Passed) {
    let count = passed.called.len() + passed.over.len() + passed.waiting.len();
    say!("{count} were passed over, being away as far as the gateways saw");
    let ends =
        [("were called later", &passed.called), ("gave up or lapsed", &passed.over), ("wait on", &passed.waiting)];
    for (end, numbers) in ends.into_iter().filter(|(_, numbers)| !numbers.is_empty()) {
        say!("  {} {end}: {}", numbers.len(), shortened(&numbers.to_string()));
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{} …", &text[..end]),
        None => text.to_owned(),
    }
}
