//! Crawlers that need no place, known by the addresses that their owners publish.
//!
//! A `User-Agent` is what anybody may write, so it is not looked at. Google, Bing and others publish the networks of
//! their crawlers as files; whoever has fetched one names it here, and it is read again when it changes.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use arc_swap::ArcSwap;
use serde::Deserialize;
use thiserror::Error;

use crate::disk::Edition;
use crate::networks::{BadNetwork, Network, Networks};

/// The most networks that the files of one room may name: each request of a newcomer is compared with all of them.
const NETWORKS_CAP: usize = 10_000;

/// Why a file of networks is not taken.
#[derive(Debug, Error)]
pub enum BadList {
    /// It cannot be read.
    #[error("cannot read {0}: {1}")]
    Unreadable(PathBuf, std::io::Error),
    /// It is neither of the forms that are known.
    #[error(
        "{0} holds no list of networks: {1}; it is JSON with `prefixes`, as search engines publish it, or one network a line"
    )]
    NoList(PathBuf, String),
    /// It has too many.
    #[error("{0} and the files before it name more than {NETWORKS_CAP} networks")]
    TooLong(PathBuf),
}

/// The form that Google and Bing publish.
#[derive(Deserialize)]
struct Published {
    prefixes: Vec<Prefix>,
}

#[derive(Deserialize)]
enum Prefix {
    #[serde(rename = "ipv4Prefix", alias = "ipv6Prefix")]
    Of(String),
}

/// The crawlers of one room.
#[derive(Debug)]
pub struct Crawlers {
    files: Vec<PathBuf>,
    networks: ArcSwap<Networks>,
    editions: Mutex<Vec<Edition>>,
}

impl Crawlers {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// [`BadList`], which names the file.
    pub fn open(files: &[PathBuf]) -> Result<Self, BadList> {
        let editions = Mutex::new(editions(files));
        Ok(Self { files: files.to_vec(), networks: ArcSwap::from_pointee(read(files)?), editions })
    }

    /// Tells whether an address is a crawler's.
    #[must_use]
    pub fn have(&self, address: IpAddr) -> bool {
        self.networks.load().contains(address)
    }

    /// Reads the files again if any has changed since they were last looked at; returns whether one had.
    ///
    /// # Errors
    /// [`BadList`]; then the networks stay as they were, until a file changes again.
    pub fn follow(&self) -> Result<bool, BadList> {
        let now = editions(&self.files);
        let before = std::mem::replace(&mut *self.editions.lock().unwrap_or_else(PoisonError::into_inner), now.clone());
        if now == before {
            return Ok(false);
        }
        self.networks.store(read(&self.files)?.into());
        Ok(true)
    }
}

fn editions(files: &[PathBuf]) -> Vec<Edition> {
    files.iter().map(|path| Edition::of(path)).collect()
}

/// Reads all networks of some files.
///
/// # Errors
/// [`BadList`], which names the file.
fn read(files: &[PathBuf]) -> Result<Networks, BadList> {
    let mut all = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(path).map_err(|e| BadList::Unreadable(path.clone(), e))?;
        all.extend(parse(&text).map_err(|why| BadList::NoList(path.clone(), why))?);
        check_length(path, all.len())?;
    }
    Ok(all.into())
}

fn check_length(path: &Path, count: usize) -> Result<(), BadList> {
    if count > NETWORKS_CAP { Err(BadList::TooLong(path.to_owned())) } else { Ok(()) }
}

fn parse(text: &str) -> Result<Vec<Network>, String> {
    let told = |bad: BadNetwork| bad.to_string();
    if text.trim_start().starts_with('{') {
        let published: Published = serde_json::from_str(text).map_err(|e| e.to_string())?;
        return published.prefixes.iter().map(|Prefix::Of(text)| text.parse().map_err(told)).collect();
    }
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines.filter(|line| !line.is_empty()).map(|line| line.parse().map_err(told)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) {
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn both_forms_are_read_and_followed() {
        let folder = tempfile::tempdir().unwrap();
        let [json, lines] = ["google.json", "own.txt"].map(|name| folder.path().join(name));
        write(
            &json,
            r#"{"creationTime":"x","prefixes":[{"ipv6Prefix":"2001:db8::/32"},{"ipv4Prefix":"192.0.2.0/27"}]}"#,
        );
        write(&lines, "# ours\n\n198.51.100.7 # the monitor\n");
        let crawlers = Crawlers::open(&[json.clone(), lines.clone()]).unwrap();
        let has = |text: &str| crawlers.have(text.parse().unwrap());
        assert!(has("192.0.2.31") && has("2001:db8::7") && has("198.51.100.7"));
        assert!(!has("192.0.2.32") && !has("198.51.100.8"));
        assert!(!crawlers.follow().unwrap());
        write(&lines, "203.0.113.0/24\n");
        assert!(crawlers.follow().unwrap() && has("203.0.113.9") && !has("198.51.100.7"));
        write(&json, "{}");
        assert!(crawlers.follow().is_err() && has("192.0.2.1"), "what was good goes on");
    }

    #[test]
    fn what_is_no_list_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        for text in ["Googlebot", r#"{"prefixes":[{"ipv4Prefix":"10.0.0.0/99"}]}"#, r#"{"prefixes":[{"asn":1}]}"#, "{"]
        {
            write(&path, text);
            assert!(matches!(Crawlers::open(std::slice::from_ref(&path)), Err(BadList::NoList(..))), "{text}");
        }
        write(&path, &"192.0.2.0/24\n".repeat(NETWORKS_CAP + 1));
        assert!(matches!(Crawlers::open(&[path]), Err(BadList::TooLong(_))));
        assert!(matches!(Crawlers::open(&[folder.path().join("none")]), Err(BadList::Unreadable(..))));
    }
}
