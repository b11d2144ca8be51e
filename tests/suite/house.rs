//! The house rules that a test can hold: the law of imports, the length of files, the reference configuration.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use vestibule::config::{Config, Environment};

/// A file's length at the most, before its tests.
const LINES_CAP: usize = 400;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files below a folder, by their path from it.
fn files(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.insert(path.strip_prefix(folder).unwrap().to_owned(), fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

/// The part of a file before its tests; nothing of a file that is all tests.
fn before_tests<'a>(path: &Path, text: &'a str) -> &'a str {
    if path.file_name().is_some_and(|name| name == "tests.rs") {
        return "";
    }
    let tests = text.find("\n#[cfg(test)]\nmod tests");
    &text[..tests.unwrap_or(text.len())]
}

/// The chapters in reading order, as `lib.rs` declares them.
fn chapters(lib: &str) -> Vec<String> {
    let names = lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    names.map(str::to_owned).collect()
}

/// The chapters that a text names by `crate::`, in `use` lines, lists and paths.
fn imports(text: &str) -> Vec<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for (at, part) in code.match_indices("crate::") {
        let rest = &code[at + part.len()..];
        let names = match rest.strip_prefix('{') {
            Some(list) => first_names(&list[..closing(list)]),
            None => vec![rest],
        };
        let word = |name: &str| name.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        found.extend(names.into_iter().map(word));
    }
    found
}

/// Where the brace that was opened before `list` is closed.
fn closing(list: &str) -> usize {
    let mut depth = 1;
    let end = list.char_indices().find(|(_, c)| {
        depth += i32::from(*c == '{') - i32::from(*c == '}');
        depth == 0
    });
    end.map_or(list.len(), |(at, _)| at)
}

/// The parts of a list of imports, split at commas outside inner braces.
fn first_names(list: &str) -> Vec<&str> {
    let mut depth = 0;
    list.split(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        depth == 0 && c == ','
    })
    .collect()
}

/// What breaks the law: (file, chapter imported from).
fn broken(chapters: &[String], files: &BTreeMap<PathBuf, String>) -> Vec<String> {
    let place = |name: &str| chapters.iter().position(|chapter| chapter == name);
    let mut broken = Vec::new();
    for (path, text) in files {
        let first = path.components().next().unwrap().as_os_str().to_str().unwrap();
        let Some(own) = place(first.trim_end_matches(".rs")) else { continue };
        for import in imports(before_tests(path, text)) {
            match place(&import) {
                Some(other) if other <= own => {}
                Some(_) => broken.push(format!("{} imports from `{import}`, a chapter below its own", path.display())),
                None => broken.push(format!("{} imports `{import}`, which is no chapter", path.display())),
            }
        }
    }
    broken
}

#[test]
fn every_file_imports_from_above_only() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let (chapters, files) = (chapters(&lib), files(&root().join("src")));
    assert!(chapters.len() > 20 && files.len() > 60, "{} chapters, {} files", chapters.len(), files.len());
    for path in files.keys().filter(|path| path.components().count() == 1) {
        let name = path.to_str().unwrap().trim_end_matches(".rs");
        assert!(["lib", "main"].contains(&name) || chapters.iter().any(|c| c == name), "{name} is no chapter");
    }
    assert_eq!(broken(&chapters, &files), Vec::<String>::new());
}

#[test]
fn an_import_from_below_is_found_however_it_is_written() {
    let chapters = ["clock", "line", "gate"].map(str::to_owned);
    for (text, count) in [
        ("use crate::clock::Clock;\nuse crate::line::Line;", 0),
        ("use crate::gate::Gate;", 1),
        ("use crate::{clock::Clock, gate::{self, Gate}};", 1),
        ("fn f() { crate::gate::decide() }", 1),
        ("// crate::gate\n/// [`crate::gate`]\nuse super::x;", 0),
        ("use crate::clock::Clock;\n#[cfg(test)]\nmod tests {\n    use crate::gate::Gate;\n}", 0),
        ("use crate::nowhere::X;", 1),
    ] {
        let files = BTreeMap::from([(PathBuf::from("line/state.rs"), text.to_owned())]);
        assert_eq!(broken(&chapters, &files).len(), count, "{text}");
    }
}

#[test]
fn no_file_is_longer_than_it_may_be() {
    let mut long = Vec::new();
    for folder in ["src", "booking-core/src"] {
        for (path, text) in files(&root().join(folder)) {
            let lines = before_tests(&path, &text).lines().count();
            if lines > LINES_CAP {
                long.push(format!("{folder}/{}: {lines}", path.display()));
            }
        }
    }
    assert_eq!(long, Vec::<String>::new());
}

/// The keys that the configuration reads, as its source asks for them.
fn keys_read() -> Vec<String> {
    let parts = files(&root().join("src/config"));
    let parts = parts.iter().filter(|(path, _)| !["file.rs", "tests.rs"].contains(&path.to_str().unwrap()));
    let source = fs::read_to_string(root().join("src/config.rs")).unwrap();
    let source = parts.fold(source, |all, (_, part)| all + part);
    let readers = [
        "parsed",
        "parsed_list",
        "parsed_one_or_more",
        "text",
        "whole",
        "number",
        "duration",
        "choice",
        "flag",
        "instant",
        "address",
    ];
    let mut keys = Vec::new();
    for (at, _) in source.match_indices("(\"") {
        let (before, after) = source.split_at(at);
        let method = before.rsplit('.').next().unwrap().split("::").next().unwrap();
        let key = after[2..].split('"').next().unwrap();
        if method == "secret" {
            keys.extend([key.to_owned(), format!("{key}_file")]);
        } else if readers.contains(&method) {
            keys.push(key.to_owned());
        }
    }
    keys
}

/// A line of the reference that sets a key, or would: the key, and whether it is commented out.
fn setting(line: &str) -> Option<(&str, bool)> {
    let bare = line.strip_prefix('#').unwrap_or(line);
    let (key, _) = bare.split_once(" = ")?;
    let is_key = !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    is_key.then_some((key, bare != line))
}

#[test]
fn the_reference_configuration_is_true_and_names_every_key() {
    let text = fs::read_to_string(root().join("vestibule.toml")).unwrap();
    let parse = |text: &str| Config::parse(text, &Environment::new());
    let told = parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
    let named: Vec<&str> = text.lines().filter_map(|line| Some(setting(line)?.0)).collect();
    let read = keys_read();
    assert!(read.len() > 25, "{read:?}");
    for key in &read {
        assert!(named.contains(&key.as_str()), "`{key}` is read, and not in the reference");
    }
    for key in named {
        assert!(read.iter().any(|read| read == key), "`{key}` is in the reference, and not read");
    }
    let room =
        "[room.sale]\nupstream = \"http://127.0.0.1:9000\"\ntitle = \"Ticket sale\"\nadmissions_per_second = 10\n";
    let silent = parse(room).unwrap();
    assert_eq!(format!("{told:?}"), format!("{silent:?}"), "the values of the reference are the defaults");
}

#[test]
fn whatever_the_reference_shows_commented_out_can_be_used() {
    let text = fs::read_to_string(root().join("vestibule.toml")).unwrap();
    // A table that is commented out is read as a whole below.
    let text = text.split("\n#[").next().unwrap();
    let mut tried = 0;
    for (at, key) in text.lines().enumerate().filter_map(|(at, line)| Some((at, setting(line)?))) {
        let (key, true) = key else { continue };
        let rival = if key == "new_users_per_minute" { "admissions_per_second" } else { key };
        let lines = text.lines().enumerate().filter_map(|(i, line)| match setting(line) {
            _ if i == at => line.strip_prefix('#'),
            Some((other, false)) if other == rival && key != "upstream" => None,
            _ => Some(line),
        });
        let mut text = lines.collect::<Vec<_>>().join("\n");
        if key == "draw_public_value" {
            text = text.replace("\"fifo\"\n", "\"draw\"\nstarts_at = 2026-12-01T10:00:00Z\n");
        }
        let problems = Config::parse(&text, &Environment::new()).err().map(|problems| problems.to_string());
        let elsewhere = ["cannot read /run/secrets", "cannot read /etc/vestibule"];
        let is_file = ["admin_token_file", "url_file", "template", "crawlers"].contains(&key);
        let excused = |problem: &String| is_file && elsewhere.iter().any(|words| problem.contains(words));
        assert!(problems.as_ref().is_none_or(excused), "{key}: {problems:?}");
        tried += 1;
    }
    assert!(tried > 5, "{tried}");
}

#[test]
fn every_table_that_the_reference_shows_commented_out_can_be_used() {
    let text = fs::read_to_string(root().join("vestibule.toml")).unwrap();
    let mut parts = text.split("\n#[");
    let before = parts.next().unwrap().replace("trusted_proxies = []", "trusted_proxies = [\"127.0.0.1\"]");
    let before = before.replace("bypass = []", "bypass = [\"/login\"]");
    let tables: Vec<String> = parts.map(uncommented).collect();
    assert!(tables.len() >= 2, "{tables:?}");
    for table in tables {
        let told = Config::parse(&format!("{before}\n[{table}"), &Environment::new());
        let problems = told.err().map(|problems| problems.to_string());
        let is_excused = |problem: &String| problem.lines().all(|line| line.contains("cannot read /etc/vestibule"));
        assert!(problems.as_ref().is_none_or(is_excused), "{problems:?}\n{table}");
    }
}

#[test]
fn every_test_that_the_page_on_guarding_names_is_there() {
    let page = fs::read_to_string(root().join("docs/guarding.md")).unwrap();
    let tests: String = ["tests/suite", "src"].iter().flat_map(|at| files(&root().join(at)).into_values()).collect();
    let rows = page.lines().filter_map(|line| line.strip_prefix('|')?.strip_suffix('|')?.rsplit('|').next());
    let named: Vec<&str> = rows.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    let gone: Vec<_> = named.iter().filter(|name| !tests.contains(&format!("fn {name}("))).collect();
    assert!(gone.is_empty() && named.len() > 60, "{gone:?} of {}", named.len());
}

/// A part of the reference with all its keys in use.
fn uncommented(part: &str) -> String {
    let line = |line: &str| match setting(line) {
        Some((_, true)) => line[1..].to_owned(),
        _ => line.to_owned(),
    };
    part.lines().map(line).collect::<Vec<_>>().join("\n")
}
