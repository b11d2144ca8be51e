//! The commands that do their work and end.

use vestibule::audit_trail::Change;
use vestibule::clock::Clock;
use vestibule::token::{KeyRing, Revocation};

use crate::gateway::stand::Setup;
use crate::program::{text, told, told_in, told_to_nobody, write};
use crate::redis_server::RedisServer;

#[test]
fn without_a_command_it_prints_its_help() {
    let (code, said) = told(&[]);
    assert_eq!(code, Some(2));
    for command in ["demo", "serve", "check", "doctor", "crowd", "capacity", "audit", "keys", "bypass"] {
        assert!(said.lines().any(|line| line.trim_start().starts_with(command)), "{command} in {said}");
    }
    assert_eq!(told(&["--help"]).0, Some(0));
}

#[test]
fn check_names_every_line_of_a_bad_file() {
    let folder = tempfile::tempdir().unwrap();
    let bad = "listen = \"nowhere\"\nworkers = \"two\"\nadmission_rate = 5\n\n[room.sale]\nupstream = \"ftp://x\"\n\
               admissions_per_second = -3\ngrace = \"soon\"\nitems = [\"nothing\"]\n[store]\nurl = \"http://x\"\n";
    let (code, said) = told(&["check", text(&write(folder.path(), "bad.toml", bad))]);
    assert_eq!(code, Some(2), "{said}");
    for line in [1, 2, 3, 6, 7, 8, 9, 11] {
        assert!(said.contains(&format!("line {line}: ")), "line {line} in {said}");
    }
    assert!(!said.contains("line 4: ") && !said.contains("line 5: "), "{said}");

    let good = write(folder.path(), "good.toml", "[room.sale]\nupstream = \"http://127.0.0.1:9000\"\n");
    let named = told(&["check", "--config", text(&good)]);
    let (code, said) = told(&["check", text(&good)]);
    assert_eq!(named, (code, said.clone()), "as the other commands take it");
    assert!(code == Some(0) && said.contains("room sale: unlimited, to http://127.0.0.1:9000"), "{said}");
    let (code, said) = told(&["check", text(&folder.path().join("none.toml"))]);
    assert!(code == Some(2) && said.contains("cannot read"), "{said}");
}

#[test]
fn a_misspelt_variable_is_told_by_check_and_doctor() {
    let folder = tempfile::tempdir().unwrap();
    let site = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let room = format!("[room.sale]\nupstream = \"http://{}\"\n", site.local_addr().unwrap());
    let file = write(folder.path(), "vestibule.toml", &format!("data = \"{}\"\n{room}", folder.path().display()));
    let variables = [("VESTIBULE_STORE_ULR", "redis://:word@127.0.0.1/"), ("VESTIBULE_SERVICE_HOST", "10.0.0.1")];
    for arguments in [["check", text(&file)].to_vec(), ["doctor", "--config", text(&file)].to_vec()] {
        let (code, said) = told_in(&variables, &arguments);
        assert_eq!(code, Some(0), "no error: {said}");
        let line = said.lines().find(|line| line.contains("VESTIBULE_STORE_ULR")).unwrap();
        assert!(line.starts_with("warning") && line.ends_with("did you mean VESTIBULE_STORE_URL?"), "{said}");
        assert!(!said.contains("SERVICE_HOST") && !said.contains("word@"), "{said}");
    }
    let (code, said) = told_in(&[("VESTIBULE_LISTEN", "localhost:8080")], &["check", text(&file)]);
    assert!(code == Some(2) && said.contains("\nVESTIBULE_LISTEN: is an IP address and a port"), "{said}");
}

#[test]
fn capacity_says_what_a_crowd_needs_and_with_what_it_counts() {
    let (code, said) = told(&["capacity", "--visitors", "100000", "--files", "20000", "--rate", "100"]);
    assert_eq!(code, Some(0), "{said}");
    for line in ["gateways            9 (files decide; one of them is spare)", "the last is called  after 16m 40s"] {
        assert!(said.contains(line), "{line} in {said}");
    }
    let (code, said) = told(&["capacity", "--coefficients"]);
    assert!(code == Some(0) && said.contains("benches/capacity") && said.contains("-- memory"), "{said}");
    let (code, said) = told(&["capacity", "--visitors", "100000000", "--rate", "20000"]);
    assert!(code == Some(0) && said.contains("More than one Redis bears"), "{said}");
    assert_eq!(told(&["capacity"]).0, Some(2), "how many?");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_fault() {
    assert_eq!(told_to_nobody(&["capacity", "--coefficients"]), (Some(0), String::new()));
}

#[test]
fn the_doctor_finds_what_a_sale_would_have_found() {
    let folder = tempfile::tempdir().unwrap();
    let redis = RedisServer::start(&["--maxmemory-policy", "allkeys-lru"]);
    let upstream = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = upstream.local_addr().unwrap();
    let config = |address| {
        let (path, url) = (folder.path().display(), redis.url());
        let room = format!("[room.sale]\nupstream = \"http://{address}\"\nadmissions_per_second = 5\n");
        write(folder.path(), "vestibule.toml", &format!("data = \"{path}\"\n[store]\nurl = \"{url}\"\n{room}"))
    };
    let (code, said) = told(&["doctor", "--config", text(&config(address))]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.starts_with("BAD      store's eviction: maxmemory-policy is allkeys-lru\n"),
        "the worst first: {said}"
    );
    for part in [
        "warning  store's memory",
        "warning  keys",
        "good     clocks",
        "good     upstream of sale",
        "good     store: Redis",
    ] {
        assert!(said.lines().any(|line| line.starts_with(part)), "{part} in {said}");
    }
    redis.tell(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    let (code, said) = told(&["doctor", "--config", text(&config(address))]);
    assert_eq!(code, Some(0), "warnings do no harm: {said}");
    drop(upstream);
    let (code, said) = told(&["doctor", "--config", text(&config(address))]);
    assert!(code == Some(1) && said.starts_with(&format!("BAD      upstream of sale: http://{address}")), "{said}");
}

#[test]
fn keys_are_made_listed_rotated_and_retired() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("not-there-yet/keys.toml");
    let keys = |words: &[&str]| told(&[&["keys", "--file", text(&file)], words].concat());
    let (code, said) = keys(&["list"]);
    assert!(code == Some(2) && said.contains("cannot read the keys"), "{said}");
    assert_eq!(keys(&["new"]).0, Some(0));
    let first = std::fs::read_to_string(&file).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600, "for its owner only");
    let (code, said) = keys(&["new"]);
    assert!(code == Some(2) && said.contains("exists; use `rotate`"), "{said}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), first, "no key is written over");

    let (_, listed) = keys(&["list"]);
    assert_eq!(listed.lines().count(), 2, "{listed}");
    for line in first.lines().filter(|line| line.contains("secret") || line.contains("private")) {
        let secret = line.split('"').nth(1).unwrap();
        assert!(!listed.contains(secret));
    }
    let (code, rotated) = keys(&["rotate"]);
    assert_eq!((code, rotated.lines().count()), (Some(0), 4), "{rotated}");
    let old = listed.split(' ').next().unwrap();
    assert_eq!(keys(&["retire", old]).0, Some(0));
    let (_, left) = keys(&["list"]);
    assert!(left.lines().any(|line| line.starts_with(old) && line.ends_with("retired")), "{left}");
    let active = left.lines().find(|line| line.ends_with("active")).unwrap().split(' ').next().unwrap();
    assert_eq!(keys(&["retire", active]).0, Some(2), "the active key stays");
    assert_eq!(keys(&["retire", "nonsense"]).0, Some(2));
    let (code, changed) = keys(&["rotate", "--algorithm", "ES256"]);
    assert!(code == Some(0) && changed.lines().any(|line| line.ends_with("pass ES256 active")), "{changed}");
    assert_eq!(keys(&["rotate", "--algorithm", "none"]).0, Some(2));
    let (code, revoked) = keys(&["revoke", "--visitor", "000000000000000000000000000000ab"]);
    assert!(code == Some(0) && revoked.contains("revoked visitor"), "{revoked}");
    assert_eq!([keys(&["revoke"]).0, keys(&["revoke", "--visitor", "x"]).0], [Some(2); 2]);
    let (_, revoked) = keys(&["revoke", "--room", "sale"]);
    assert!(revoked.contains("revoked passes of room sale from before 2"), "{revoked}");
    assert!(revoked.contains("whether there is a room sale was not checked"), "{revoked}");
}

/// Runs commands all at once; returns what each said and how it ended.
fn all_at_once(commands: &[Vec<String>]) -> Vec<(Option<i32>, String)> {
    let run = |words: &Vec<String>| told(&words.iter().map(String::as_str).collect::<Vec<_>>());
    std::thread::scope(|scope| {
        let running: Vec<_> = commands.iter().map(|words| scope.spawn(move || run(words))).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn of_many_commands_at_once_none_loses_what_another_did() {
    let folder = tempfile::tempdir().unwrap();
    let room = "[room.sale]\nupstream = \"http://127.0.0.1:1\"\nadmissions_per_second = 5\n";
    let data = folder.path().join("data");
    let file = write(folder.path(), "vestibule.toml", &format!("data = \"{}\"\n{room}", data.display()));
    let command = |verb: &str, words: &[&str]| {
        let words = [&[verb, "--config", text(&file)], words].concat();
        words.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let made = all_at_once(&vec![command("keys", &["new"]); 8]);
    assert_eq!(made.iter().filter(|(code, _)| *code == Some(0)).count(), 1, "{made:?}");

    let visitors: Vec<_> = (0..12).map(|i| format!("{i:032x}")).collect();
    let links: Vec<_> = (0..12).map(|i| format!("{i:020x}")).collect();
    let of_visitors = visitors.iter().map(|id| command("keys", &["revoke", "--visitor", id]));
    let of_links = links.iter().map(|id| command("bypass", &["revoke", id]));
    let rotations = (0..6).map(|_| command("keys", &["rotate"]));
    let ended = all_at_once(&of_visitors.chain(of_links).chain(rotations).collect::<Vec<_>>());
    assert!(ended.iter().all(|(code, _)| *code == Some(0)), "{ended:?}");

    let ring = KeyRing::from_toml(&std::fs::read_to_string(data.join("keys.toml")).unwrap()).unwrap();
    let revocations = ring.revocations();
    let revoked = revocations.iter().map(|revocation| match revocation {
        Revocation::Visitor { id, .. } => id.to_string(),
        Revocation::Passes { room, .. } => room.clone(),
        Revocation::Link { id, .. } => id.to_string(),
    });
    let revoked: Vec<_> = revoked.collect();
    assert_eq!(revoked, [visitors, links].concat());
    assert_eq!(ring.list().count(), 2 * 7, "two for each rotation");
    let trail = std::fs::read_to_string(data.join("audit.jsonl")).unwrap();
    assert_eq!(trail.lines().filter(|line| serde_json::from_str::<Change>(line).is_ok()).count(), 12, "{trail}");
    let mut left: Vec<_> = std::fs::read_dir(&data).unwrap().map(|file| file.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["audit.jsonl", "keys.toml"]);
}

#[test]
fn passes_are_revoked_by_the_stores_clock() {
    let folder = tempfile::tempdir().unwrap();
    let redis = RedisServer::start(&[]);
    let (path, url) = (folder.path().display(), redis.url());
    let room = "[room.sale]\nupstream = \"http://127.0.0.1:1\"\nadmissions_per_second = 5\n";
    let file = write(folder.path(), "vestibule.toml", &format!("data = \"{path}\"\n[store]\nurl = \"{url}\"\n{room}"));
    let keys = |words: &[&str]| told(&[&["keys", "--config", text(&file)], words].concat());
    assert_eq!(keys(&["new"]).0, Some(0));
    assert!(folder.path().join("keys.toml").exists(), "where the configuration has them");
    let before_ms = Clock::system().now_ms();
    let (code, said) = keys(&["revoke", "--room", "sale"]);
    assert_eq!(code, Some(0), "{said}");
    let instant = humantime::parse_rfc3339(said.split("from before ").nth(1).unwrap().trim_end()).unwrap();
    let revoked_ms = instant.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
    assert!((before_ms + 2_000..before_ms + 30_000).contains(&revoked_ms), "{revoked_ms} after {before_ms}");
    let (code, said) = keys(&["revoke", "--room", "sail"]);
    assert!(code == Some(2) && said.contains("no room sail"), "{said}");
    drop(redis);
    let (code, said) = keys(&["revoke", "--room", "sale"]);
    assert!(code == Some(2) && said.contains("the store's clock dates the passes"), "{said}");
}

#[tokio::test]
async fn audit_tells_a_true_log_from_an_edited_one() {
    let stand = Setup::room("admissions_per_second = 0").start().await;
    let mut line = stand.waiting(3).await;
    stand.operator.act("admit", r#"{"count":2}"#).await;
    line[1].until_state("called").await;
    let log = stand.operator.text("/api/rooms/sale/log").await;
    stand.stop().await;
    let folder = tempfile::tempdir().unwrap();
    let (code, said) = told(&["audit", text(&write(folder.path(), "log.jsonl", &log))]);
    assert!(code == Some(0) && said.contains("2 were called, none twice"), "{said}");
    let edited = log.replacen("\"issued\":3", "\"issued\":2", 1);
    assert_ne!(edited, log);
    let (code, said) = told(&["audit", text(&write(folder.path(), "edited.jsonl", &edited))]);
    assert!(code == Some(1) && said.contains("the chain is broken"), "{said}");
    let (code, said) = told(&["audit", text(&folder.path().join("none"))]);
    assert!(code == Some(2) && said.contains("cannot read"), "{said}");
}
