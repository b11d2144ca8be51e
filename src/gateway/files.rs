//! The gateway's files: keys and the admin token, readable by their owner only.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::StartFault;
use crate::config::Config;
use crate::disk::write_private;
use crate::person;
use crate::token::KeyRing;

/// Makes the gateway's folder, or that of its keys.
///
/// # Errors
/// [`StartFault::Files`].
pub fn make_folder(folder: Option<&Path>) -> Result<(), StartFault> {
    folder.filter(|folder| !folder.as_os_str().is_empty()).map_or(Ok(()), |folder| {
        fs::create_dir_all(folder)
            .map_err(|e| StartFault::Files(format!("cannot make the folder {}: {e}; set `data`", folder.display())))
    })
}

/// Says where the key ring is kept, if anywhere.
pub fn keys_path(config: &Config) -> Option<PathBuf> {
    config.keys.clone().or_else(|| config.data.as_ref().map(|data| data.join("keys.toml")))
}

/// Reads the key ring; makes one where there is none.
pub fn key_ring(config: &Config, now_ms: u64) -> Result<KeyRing, StartFault> {
    let fresh = || KeyRing::generate(now_ms, &mut rand::rng());
    let Some(path) = keys_path(config) else { return Ok(fresh()) };
    if !path.exists() && make_keys(&path, &fresh()).map_err(StartFault::Files)? {
        tracing::info!(path = %path.display(), "made new keys; gateways of one line share this file");
    }
    read_keys(&path).map_err(StartFault::Files)
}

/// Sees to it that the ring has the key that persons are hashed with, where a room needs it.
pub fn check_persons(ring: &KeyRing, config: &Config) -> Result<(), StartFault> {
    if person::are_known_to(ring) || config.rooms.iter().all(|room| room.rules.person.is_none()) {
        return Ok(());
    }
    let file = keys_path(config).unwrap_or_default();
    let file = file.display();
    Err(StartFault::Files(format!(
        "the keys in {file} have no root yet, from which the ids of persons are made; add one with          `vestibule keys --file {file} rotate`"
    )))
}

/// Writes a key ring where there is none; of two gateways that start together one wins, and both
/// read what it wrote. Returns whether this one did.
fn make_keys(path: &Path, ring: &KeyRing) -> Result<bool, String> {
    let own = path.with_extension(format!("{:x}", std::process::id()));
    write_keys(&own, ring)?;
    let linked = fs::hard_link(&own, path);
    let removed = fs::remove_file(&own);
    match linked {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(format!("cannot write {}: {e}", path.display())),
        linked => removed.map(|()| linked.is_ok()).map_err(|e| format!("cannot remove {}: {e}", own.display())),
    }
}

/// Reads a key ring's file.
///
/// # Errors
/// A text that says what is wrong; it holds no secret.
pub fn read_keys(path: &Path) -> Result<KeyRing, String> {
    let text = fs::read_to_string(path).map_err(|e| format!("cannot read the keys {}: {e}", path.display()))?;
    KeyRing::from_toml(&text).map_err(|e| format!("the keys in {} cannot be used: {e}", path.display()))
}

/// Writes a key ring's file whole, for its owner only.
///
/// # Errors
/// A text that says what is wrong; it holds no secret.
pub fn write_keys(path: &Path, ring: &KeyRing) -> Result<(), String> {
    let cannot = |e: &dyn std::fmt::Display| format!("cannot write the keys {}: {e}", path.display());
    let text = ring.to_toml().map_err(|e| cannot(&e))?;
    write_private(path, &text).map_err(|e| cannot(&e))
}

/// Reads the admin token; makes one where there is none.
pub fn admin_token(config: &Config) -> Result<String, StartFault> {
    if let Some(token) = &config.admin_token {
        return Ok(token.clone());
    }
    let fresh = hex::encode(rand::random::<[u8; 16]>());
    let Some(path) = config.data.as_ref().map(|data| data.join("admin-token")) else { return Ok(fresh) };
    match fs::read_to_string(&path) {
        Ok(token) if token.trim().len() >= 16 => Ok(token.trim().to_owned()),
        _ => {
            let written = write_private(&path, &fresh);
            written.map_err(|e| StartFault::Files(format!("cannot write {}: {e}", path.display())))?;
            tracing::info!(path = %path.display(), "made an admin token");
            Ok(fresh)
        }
    }
}
