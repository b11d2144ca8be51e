//! `vestibule keys`: makes, lists, rotates and retires keys, in the file that gateways share.

use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use clap::Subcommand;
use tokio::time::timeout;
use vestibule_telemetry::say;

use super::{CommandFault, serve};
use crate::clock::Clock;
use crate::config::Config;
use crate::gateway::{change_keys, keys_path, make_folder, make_keys, read_keys};
use crate::line::redis::RedisLine;
use crate::room::{STORE_TIMEOUT, TICKET_LIFETIME_MS};
use crate::token::key_ring::{KeyKind, KeyState};
use crate::token::{KeyRing, KeyRingFault, Kid, PassAlgorithm, Revocation, TicketId};

/// Where the keys are unless something else is said.
const DEFAULT_FILE: &str = "vestibule-data/keys.toml";

/// How long the store's clock is waited for.
const PATIENCE: Duration = Duration::from_secs(3);

/// A pass may be dated ahead of the store's clock by as much as the gateways wait for its answers, and in whole seconds.
const DATED_AHEAD_MS: u64 = STORE_TIMEOUT.as_millis() as u64 + 1_000;

/// What the command takes.
#[derive(Debug, clap::Args)]
pub struct KeysArgs {
    /// The file of the keys. Default: that of the configuration, or vestibule-data/keys.toml
    #[arg(long)]
    file: Option<PathBuf>,
    /// The gateways' configuration: it names the keys, and the store whose clock dates the passes
    #[arg(long)]
    config: Option<PathBuf>,
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
    /// Adds keys that verify and do not sign yet: for several gateways, before `rotate`
    Announce {
        /// How passes are signed from the rotation on: EdDSA, ES256 or HS256. Default: as before
        #[arg(long)]
        algorithm: Option<PassAlgorithm>,
    },
    /// Puts the announced keys in use, or new ones; the old ones verify until all they signed has expired. The root, from which draws are
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
        /// The room; whoever was called gets a new pass. Passes are dated by the store's clock: name it with --config,
        /// or this machine's counts
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
pub async fn run(args: KeysArgs) -> Result<(), CommandFault> {
    let config = args.config.as_deref().map(serve::read).transpose()?;
    let file = args.file.or_else(|| config.as_ref().and_then(keys_path)).unwrap_or_else(|| DEFAULT_FILE.into());
    let done = match args.what {
        What::New { algorithm } => new(&file, algorithm),
        What::List => read_keys(&file),
        What::Announce { algorithm } => change_keys(&file, |ring| announce(ring, algorithm)),
        What::Rotate { algorithm } => change_keys(&file, |ring| rotate(ring, algorithm)),
        What::Retire { kid } => change_keys(&file, |ring| ring.retire(kid)),
        What::Revoke { visitor: Some(id), .. } => change_keys(&file, |ring| revoke_visitor(ring, id)),
        What::Revoke { visitor: None, room: None } => unreachable!("the group asks for one of them"),
        What::Revoke { visitor: None, room: Some(room) } => {
            // The store is asked before the file is held, for which others wait; of two instants the ring keeps the later.
            let passes = passes_so_far(&room, config.as_ref()).await?;
            change_keys(&file, |ring| revoke(ring, passes))
        }
    };
    let ring = done.map_err(CommandFault::Input)?;
    for card in ring.list() {
        let algorithm = card.algorithm.map(|algorithm| format!(" {algorithm}")).unwrap_or_default();
        say!("{} {}{algorithm} {}", card.kid, kind_word(card.kind), state_words(card.state));
    }
    ring.revocations().iter().for_each(|revocation| say!("{}", revoked_words(revocation)));
    Ok(())
}

fn kind_word(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::Ticket => "ticket",
        KeyKind::Pass => "pass",
    }
}

fn state_words(state: KeyState) -> String {
    match state {
        KeyState::Announced => "announced, verifies already".to_owned(),
        KeyState::Active => "active".to_owned(),
        KeyState::Verifying { until_ms } => format!("verifies until {}", instant(until_ms)),
        KeyState::Retired => "retired".to_owned(),
    }
}

fn revoked_words(revocation: &Revocation) -> String {
    match revocation {
        Revocation::Visitor { id, until_ms } => {
            format!("revoked visitor {id}, remembered until {}", instant(*until_ms))
        }
        Revocation::Passes { room, before_ms } => {
            format!("revoked passes of room {room} from before {}", instant(*before_ms))
        }
        Revocation::Link { id, until_ms } => format!("revoked link {id}, remembered until {}", instant(*until_ms)),
    }
}

/// Writes an instant as RFC 3339 has it, in UTC.
fn instant(unix_ms: u64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(unix_ms)).to_string()
}

/// All passes of a room that gateways have dated by now.
async fn passes_so_far(room: &str, config: Option<&Config>) -> Result<Revocation, CommandFault> {
    let now_ms = line_now_ms(room, config).await?;
    Ok(Revocation::Passes { room: room.to_owned(), before_ms: now_ms + DATED_AHEAD_MS })
}

/// Reads the clock of a room's line: that of its store, or this machine's.
async fn line_now_ms(room: &str, config: Option<&Config>) -> Result<u64, CommandFault> {
    let own_ms = Clock::system().now_ms();
    let Some(config) = config else {
        eprintln!(
            "vestibule: passes are taken as dated by this machine's clock, and whether there is a room {room} was not \
             checked; --config FILE asks the store's clock, and knows the rooms"
        );
        return Ok(own_ms);
    };
    let Some(found) = config.rooms.iter().find(|known| known.rules.name.as_str() == room) else {
        return Err(CommandFault::Input(format!("the configuration has no room {room}")));
    };
    let Some(url) = &config.store_url else { return Ok(own_ms) };
    let looking = async { RedisLine::connect(url, PATIENCE).await?.look(&found.rules.name).await };
    let why = match timeout(PATIENCE, looking).await {
        Ok(Ok(sight)) => match sight.now_us {
            Some(now_us) => return Ok(now_us / 1_000),
            None => "it does not tell the time".to_owned(),
        },
        Ok(Err(fault)) => fault.to_string(),
        Err(_) => "it did not answer in time".to_owned(),
    };
    Err(CommandFault::Input(format!(
        "the store's clock dates the passes, and {why}; without --config this machine's counts"
    )))
}

fn new(file: &Path, algorithm: PassAlgorithm) -> Result<KeyRing, String> {
    let ring = KeyRing::generate_for(algorithm, Clock::system().now_ms(), &mut rand::rng());
    make_folder(file.parent()).map_err(|fault| fault.to_string())?;
    let is_new = make_keys(file, &ring)?;
    is_new.then_some(ring).ok_or_else(|| format!("{} exists; use `rotate`, or move it away", file.display()))
}

fn announce(ring: &mut KeyRing, algorithm: Option<PassAlgorithm>) -> Result<(), KeyRingFault> {
    let now_ms = Clock::system().now_ms();
    ring.prune(now_ms);
    ring.announce(KeyKind::Ticket, None, now_ms, &mut rand::rng())?;
    ring.announce(KeyKind::Pass, algorithm, now_ms, &mut rand::rng())?;
    Ok(())
}

fn rotate(ring: &mut KeyRing, algorithm: Option<PassAlgorithm>) -> Result<(), KeyRingFault> {
    let now_ms = Clock::system().now_ms();
    ring.prune(now_ms);
    ring.rotate(KeyKind::Ticket, now_ms, TICKET_LIFETIME_MS, &mut rand::rng())?;
    match algorithm {
        Some(algorithm) => ring.rotate_passes_to(algorithm, now_ms, TICKET_LIFETIME_MS, &mut rand::rng())?,
        None => ring.rotate(KeyKind::Pass, now_ms, TICKET_LIFETIME_MS, &mut rand::rng())?,
    };
    Ok(())
}

fn revoke_visitor(ring: &mut KeyRing, id: TicketId) -> Result<(), KeyRingFault> {
    // Until every gateway has read the file, tickets are renewed.
    revoke(ring, Revocation::Visitor { id, until_ms: Clock::system().now_ms() + 2 * TICKET_LIFETIME_MS })
}

fn revoke(ring: &mut KeyRing, what: Revocation) -> Result<(), KeyRingFault> {
    ring.prune(Clock::system().now_ms());
    ring.revoke(what)
}
