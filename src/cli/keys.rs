//! `vestibule keys`: makes, lists, rotates and retires keys, in the file that gateways share.

use std::path::PathBuf;

use clap::Subcommand;

use super::CommandFault;
use crate::clock::Clock;
use crate::gateway::{make_folder, read_keys, write_keys};
use crate::room::TICKET_LIFETIME_MS;
use crate::token::key_ring::KeyKind;
use crate::token::{KeyRing, KeyRingFault, Kid, PassAlgorithm, Revocation, TicketId};

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
    New {
        /// How passes are signed: EdDSA, ES256 or HS256
        #[arg(long, default_value_t)]
        algorithm: PassAlgorithm,
    },
    /// Lists the keys, without their secrets
    List,
    /// Puts new keys in use; the old ones verify until all they signed has expired. The root, from which draws are
    /// made, stays
    Rotate {
        /// How passes are signed from now on: EdDSA, ES256 or HS256. Default: as before
        #[arg(long)]
        algorithm: Option<PassAlgorithm>,
    },
    /// Takes a rotated-out key from use at once, with all that it signed
    Retire {
        /// The key's name, as `list` shows it
        kid: Kid,
    },
    /// Takes all tickets and passes of a visitor from use, or all passes of a room that were issued so far
    #[group(required = true, multiple = false)]
    Revoke {
        /// The visitor, as upstreams know it from `Vestibule-Visitor`
        #[arg(long, value_parser = visitor)]
        visitor: Option<TicketId>,
        /// The room; whoever was called gets a new pass
        #[arg(long)]
        room: Option<String>,
    },
}

fn visitor(text: &str) -> Result<TicketId, &'static str> {
    text.parse().map_err(|()| "a visitor is named by 32 hexadecimal digits in lower case")
}

/// Does what is asked. A running gateway takes the changed file on SIGHUP.
///
/// # Errors
/// [`CommandFault::Input`] when the file cannot be used or the key cannot be retired.
pub fn run(args: KeysArgs) -> Result<(), CommandFault> {
    let now_ms = Clock::system().now_ms();
    let mut ring = match args.what {
        What::New { .. } if args.file.exists() => {
            let text = format!("{} exists; use `rotate`, or move it away", args.file.display());
            return Err(CommandFault::Input(text));
        }
        What::New { algorithm } => {
            make_folder(args.file.parent()).map_err(|fault| CommandFault::Input(fault.to_string()))?;
            KeyRing::generate_for(algorithm, now_ms, &mut rand::rng())
        }
        _ => read_keys(&args.file).map_err(CommandFault::Input)?,
    };
    match args.what {
        What::New { .. } | What::List => {}
        What::Rotate { algorithm } => rotate(&mut ring, algorithm, now_ms).map_err(refused)?,
        What::Retire { kid } => ring.retire(kid).map_err(refused)?,
        What::Revoke { visitor, ref room } => {
            ring.prune(now_ms);
            let of_visitor = visitor.map(|id| Revocation::Visitor { id, until_ms: now_ms + TICKET_LIFETIME_MS });
            // The second that has begun counts as well: passes are dated in whole seconds.
            let of_room = room.clone().map(|room| Revocation::Passes { room, before_ms: now_ms + 1_000 });
            of_visitor.into_iter().chain(of_room).try_for_each(|what| ring.revoke(what)).map_err(refused)?;
        }
    }
    if !matches!(args.what, What::List) {
        write_keys(&args.file, &ring).map_err(CommandFault::Input)?;
    }
    for card in ring.list() {
        let algorithm = card.algorithm.map(|algorithm| format!(" {algorithm}")).unwrap_or_default();
        println!("{} {:?} {:?}{algorithm}", card.kid, card.kind, card.state);
    }
    ring.revocations().iter().for_each(|revocation| println!("revoked {revocation:?}"));
    Ok(())
}

fn rotate(ring: &mut KeyRing, algorithm: Option<PassAlgorithm>, now_ms: u64) -> Result<(), KeyRingFault> {
    ring.prune(now_ms);
    ring.rotate(KeyKind::Ticket, now_ms, TICKET_LIFETIME_MS, &mut rand::rng())?;
    match algorithm {
        Some(algorithm) => ring.rotate_passes_to(algorithm, now_ms, TICKET_LIFETIME_MS, &mut rand::rng())?,
        None => ring.rotate(KeyKind::Pass, now_ms, TICKET_LIFETIME_MS, &mut rand::rng())?,
    };
    Ok(())
}

fn refused(fault: KeyRingFault) -> CommandFault {
    CommandFault::Input(fault.to_string())
}
