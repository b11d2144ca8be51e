//! The gateway's files: keys and the admin token, readable by their owner only.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::StartFault;
use crate::config::Config;
use crate::disk::{Held, create_private, write_private};
use crate::person;
use crate::token::{KeyRing, KeyRingFault};

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
///
/// # Errors
/// A text that says what is wrong; it holds no secret.
pub fn make_keys(path: &Path, ring: &KeyRing) -> Result<bool, String> {
    match ring.to_toml().map_err(io::Error::other).and_then(|text| create_private(path, &text)) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(cannot("write", path, &e)),
    }
}

/// Reads a key ring's file.
///
/// # Errors
/// A text that says what is wrong; it holds no secret.
pub fn read_keys(path: &Path) -> Result<KeyRing, String> {
    let text = fs::read_to_string(path).map_err(|e| cannot("read", path, &e))?;
    KeyRing::from_toml(&text).map_err(|e| format!("the keys in {} cannot be used: {e}", path.display()))
}

/// Changes the key ring in a file, and returns what it is now. Of several processes that change it at once each adds to what
/// the others did.
///
/// # Errors
/// A text that says what is wrong; it holds no secret. Then the file is as before.
pub fn change_keys(
    path: &Path,
    change: impl FnOnce(&mut KeyRing) -> Result<(), KeyRingFault>,
) -> Result<KeyRing, String> {
    let _held = Held::take(path).map_err(|e| cannot("lock", path, &e))?;
    let mut ring = read_keys(path)?;
    change(&mut ring).map_err(|fault| fault.to_string())?;
    let written = ring.to_toml().map_err(io::Error::other).and_then(|text| write_private(path, &text));
    written.map(|()| ring).map_err(|e| cannot("write", path, &e))
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> String {
    format!("cannot {what} the keys {}: {error}", path.display())
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
