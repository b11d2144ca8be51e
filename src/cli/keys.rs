//! `vestibule keys`: makes, lists, rotates and retires keys, in the file that gateways share.

use std::path::PathBuf;

use clap::Subcommand;

use super::CommandFault;
use crate::clock::Clock;
use crate::gateway::{make_folder, read_keys, write_keys};
use crate::room::TICKET_LIFETIME_MS;
use crate::token::key_ring::KeyKind;
use crate::token::{KeyRing, Kid};

/// What the command takes.
#[derive(Debug, clap::Args)]
pub struct KeysArgs {
    /// The file of the keys
    #[arg(long, default_value = "vestibule-data/keys.toml")]
    file: PathBuf,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Makes a file with new keys
    New,
    /// Lists the keys, without their secrets
    List,
    /// Puts new keys in use; the old ones verify until all they signed has expired. The root, from which draws are
    /// made, stays
    Rotate,
    /// Takes a rotated-out key from use at once, with all that it signed
    Retire {
        /// The key's name, as `list` shows it
        kid: Kid,
    },
}

/// Does what is asked. A running gateway takes the changed file on SIGHUP.
///
/// # Errors
/// [`CommandFault::Input`] when the file cannot be used or the key cannot be retired.
pub fn run(args: KeysArgs) -> Result<(), CommandFault> {
    let now_ms = Clock::system().now_ms();
    let mut ring = match args.what {
        What::New if args.file.exists() => {
            let text = format!("{} exists; use `rotate`, or move it away", args.file.display());
            return Err(CommandFault::Input(text));
        }
        What::New => {
            make_folder(args.file.parent()).map_err(|fault| CommandFault::Input(fault.to_string()))?;
            KeyRing::generate(now_ms, &mut rand::rng())
        }
        _ => read_keys(&args.file).map_err(CommandFault::Input)?,
    };
    match args.what {
        What::New | What::List => {}
        What::Rotate => {
            ring.prune(now_ms);
            for kind in [KeyKind::Ticket, KeyKind::Pass] {
                let rotated = ring.rotate(kind, now_ms, TICKET_LIFETIME_MS, &mut rand::rng());
                rotated.map_err(|e| CommandFault::Input(e.to_string()))?;
            }
        }
        What::Retire { kid } => ring.retire(kid).map_err(|e| CommandFault::Input(e.to_string()))?,
    }
    if !matches!(args.what, What::List) {
        write_keys(&args.file, &ring).map_err(CommandFault::Input)?;
    }
    ring.list().for_each(|card| println!("{} {:?} {:?}", card.kid, card.kind, card.state));
    Ok(())
}
