//! The law of imports and the absences, read from the source itself.

use std::path::{Path, PathBuf};

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Returns each library file with its path below `src` and its text.
fn library() -> Vec<(String, String)> {
    let name = |path: &PathBuf| path.strip_prefix(root()).unwrap().display().to_string();
    let files = sources(&root()).into_iter().map(|path| (name(&path), std::fs::read_to_string(&path).unwrap()));
    files.filter(|(name, _)| name != "lib.rs" && !name.starts_with("bin/")).collect()
}

#[test]
fn a_file_imports_only_from_chapters_before_its_own() {
    let lib = include_str!("../../src/lib.rs");
    let chapter = |line: &'static str| line.trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';');
    let chapters: Vec<&str> = lib.lines().filter_map(chapter).collect();
    let place = |name: &str| chapters.iter().position(|chapter| *chapter == name);
    let mut seen = 0;
    for (file, text) in library() {
        let own = place(file.split(['/', '.']).next().unwrap()).expect(&file);
        for import in text.lines().filter_map(|line| line.trim().strip_prefix("use crate::")) {
            for name in import.trim_start_matches('{').split(", ").take(if import.starts_with('{') { 9 } else { 1 }) {
                let chapter = name.split([':', ';', '}']).next().unwrap();
                let other = place(chapter).unwrap_or_else(|| panic!("{file}: {import}"));
                assert!(other <= own, "{file} imports {chapter}, which comes after it");
                seen += 1;
            }
        }
    }
    assert!(seen > 100, "the test reads what it should: {seen}");
}

/// The lab shows the stores from outside, so it has its own small way to each, one file a store, and tables of its own.
const LAB: [(&str, &str); 5] = [
    ("rusqlite", "lab/sqlite.rs"),
    ("tokio_postgres", "lab/postgres.rs"),
    ("UPDATE inventory", "lab/step.rs"),
    ("std::fs", "lab/ground.rs"),
    ("redis::", "lab/lease.rs"),
];

/// The kernel tells in files what the processors did, and nobody but the bench asks; secrets may have files of their own.
const FILES: [(&str, &str); 2] = [("std::fs", "bench/processor.rs"), ("std::fs", "secret.rs")];

#[test]
fn every_test_that_the_documents_name_is_there() {
    let page = std::fs::read_to_string(root().join("../../docs/selling.md")).unwrap();
    let tests: String = [root(), root().join("../tests/suite")]
        .iter()
        .flat_map(|folder| sources(folder))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    let rows = page.lines().filter_map(|line| line.strip_prefix('|')?.strip_suffix('|')?.rsplit('|').next());
    let named: Vec<&str> = rows.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    let gone: Vec<_> = named.iter().filter(|name| !tests.contains(&format!("fn {name}("))).collect();
    assert!(gone.is_empty() && named.len() > 40, "{gone:?} of {}", named.len());
}

#[test]
fn each_thing_is_known_in_one_place_only() {
    for (word, home) in [
        ("SystemTime::now", "clock.rs"),
        ("Instant::now", "clock.rs"),
        ("StatusCode::NOT_FOUND", "api/problem.rs"),
        ("rusqlite", "store/sqlite"),
        ("tokio_postgres", "store/postgres"),
        ("UPDATE inventory", "store"),
        ("std::fs", "config.rs"),
        ("redis::", "seat_lock.rs"),
        ("rand::rng()", "app.rs"),
    ] {
        for (file, text) in library() {
            // A provider is another company, even the one that is simulated: it has its own files and its own answers.
            let elsewhere = file.starts_with("provider/") && matches!(word, "StatusCode::NOT_FOUND" | "std::fs");
            let elsewhere = elsewhere || LAB.iter().chain(&FILES).any(|known| *known == (word, file.as_str()));
            assert!(elsewhere || file.starts_with(home) || !text.contains(word), "{file} knows {word}");
        }
    }
    for (file, text) in library().into_iter().filter(|(file, _)| file.starts_with("domain")) {
        assert!(!text.contains("async") && !text.contains("crate::clock"), "{file} is not pure");
    }
}
