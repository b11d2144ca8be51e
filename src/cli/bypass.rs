//! `vestibule bypass`: links past the line, made and revoked where the keys are.

use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;
use serde_json::json;
use vestibule_telemetry::say;

use super::{CommandFault, serve};
use crate::audit_trail::{AuditTrail, Change};
use crate::clock::Clock;
use crate::config::Config;
use crate::gateway::{change_keys, keys_path, read_keys};
use crate::token::bypass_link::{MAX_LIFETIME_MS, MAX_ROOMS};
use crate::token::{BypassLink, KeyRing, LinkId, Revocation, RoomHash};

const NO_ROOT: &str = "the keys have no root yet, from which links are sealed; `vestibule keys rotate` gives them one";

/// What the command takes.
#[derive(Debug, clap::Args)]
pub struct BypassArgs {
    /// The configuration file
    #[arg(long, global = true, default_value = "vestibule.toml")]
    config: PathBuf,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Makes a link with which one browser needs no place in some rooms, until the link's end
    New {
        /// A room that it opens; may be given several times
        #[arg(long, required = true)]
        room: Vec<String>,
        /// How long it is good, such as 2h; at most 30d
        #[arg(long = "for", value_parser = humantime::parse_duration)]
        lifetime: Duration,
        /// Whom it is for, for the audit trail
        #[arg(long, default_value = "")]
        note: String,
        /// What to print before the path, such as https://shop.example
        #[arg(long, default_value = "")]
        site: String,
    },
    /// Takes a link from use, and the cookie that it left. Running gateways take it on SIGHUP
    Revoke {
        /// The link's name, as `new` printed it
        #[arg(value_parser = link_id)]
        id: LinkId,
    },
}

fn link_id(text: &str) -> Result<LinkId, &'static str> {
    text.parse().map_err(|()| "a link is named by 20 hexadecimal digits in lower case")
}

/// Makes or revokes a link, and notes it in the audit trail.
///
/// # Errors
/// [`CommandFault::Input`] when the configuration, the keys or what was asked cannot be used.
pub fn run(args: BypassArgs) -> Result<(), CommandFault> {
    let config = serve::read(&args.config)?;
    let keys =
        keys_path(&config).ok_or_else(|| input("nothing is kept (`data`), so the keys are the gateway's alone"))?;
    let now_ms = Clock::system().now_ms();
    match args.what {
        What::New { room, lifetime, note, site } => {
            let link = link(&config, &room, lifetime, now_ms)?;
            let ring = read_keys(&keys).map_err(CommandFault::Input)?;
            let path = link.path(&ring).ok_or_else(|| input(NO_ROOT))?;
            let detail = json!({"id": link.id.to_string(), "expires_at": link.until_ms, "note": note});
            note_change(&config, now_ms, "bypass-link", &room.join(","), &detail)?;
            say!("{}\n{}{path}", link.id, site.trim_end_matches('/'));
        }
        What::Revoke { id } => {
            let revocation = Revocation::Link { id, until_ms: now_ms + MAX_LIFETIME_MS };
            let revoke = |ring: &mut KeyRing| {
                ring.prune(now_ms);
                ring.revoke(revocation)
            };
            change_keys(&keys, revoke).map_err(CommandFault::Input)?;
            note_change(&config, now_ms, "bypass-link-revoked", "", &json!({"id": id.to_string()}))?;
            say!("{id} is revoked; send SIGHUP to the gateways that run");
        }
    }
    Ok(())
}

fn link(config: &Config, rooms: &[String], lifetime: Duration, now_ms: u64) -> Result<BypassLink, CommandFault> {
    let lifetime_ms = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
    if !(1_000..=MAX_LIFETIME_MS).contains(&lifetime_ms) || rooms.len() > MAX_ROOMS {
        return Err(input(&format!("a link is good for 1s to 30d, in at most {MAX_ROOMS} rooms")));
    }
    let is_known = |name: &&String| config.rooms.iter().any(|room| room.rules.name.as_str() == name.as_str());
    if let Some(unknown) = rooms.iter().find(|name| !is_known(name)) {
        return Err(input(&format!("the configuration has no room `{unknown}`")));
    }
    let rooms = rooms.iter().map(|name| RoomHash::of(name)).collect();
    Ok(BypassLink { id: LinkId(rand::random()), until_ms: now_ms + lifetime_ms, rooms })
}

fn note_change(
    config: &Config,
    at: u64,
    action: &str,
    room: &str,
    detail: &serde_json::Value,
) -> Result<(), CommandFault> {
    let trail = AuditTrail::open(config.data.as_deref()).map_err(|e| input(&format!("the audit trail: {e}")))?;
    let (action, room, detail) = (action.to_owned(), room.to_owned(), detail.to_string());
    trail.note(Change { at, who: "command line".to_owned(), action, room, detail });
    Ok(())
}

fn input(text: &str) -> CommandFault {
    CommandFault::Input(text.to_owned())
}
