//! Starts that fail, each with a text that says what to do and exit code 2.

use std::net::TcpListener;

use crate::gateway::stand::Setup;
use crate::gateway::upstream::Upstream;
use crate::program::{Process, text, told, write};

fn refused(arguments: &[&str], parts: &[&str]) {
    let (code, said) = told(arguments);
    assert_eq!(code, Some(2), "{said}");
    for part in parts {
        assert!(said.contains(part), "`{part}` in {said}");
    }
    assert!(!said.contains("panicked") && !said.contains("gateway http"), "nothing starts half: {said}");
}

const ROOM: &str = "[room.sale]\nupstream = \"http://127.0.0.1:9\"\n";

#[test]
fn a_port_in_use_is_named_with_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = busy.local_addr().map(|address| (busy, address.to_string())).unwrap();
    for (key, other) in [("listen", "admin_listen"), ("admin_listen", "listen")] {
        let config = format!("{key} = \"{}\"\n{other} = \"127.0.0.1:0\"\ndata = \":memory:\"\n{ROOM}", busy.1);
        let file = write(folder.path(), "busy.toml", &config);
        let told = format!("set `{key}` to another address");
        refused(&["serve", "--config", text(&file)], &[&format!("cannot listen on {}", busy.1), &told]);
    }
    let demo = ["demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", ":memory:", "--booking"];
    refused(&[&demo[..], &[&busy.1]].concat(), &["give --booking another address"]);
}

#[test]
fn a_store_that_does_not_answer_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let top = "listen = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\ndata = \":memory:\"\n";
    let config = format!("{top}{ROOM}[store]\nurl = \"redis://{free}\"\n");
    let file = write(folder.path(), "redis.toml", &config);
    refused(&["serve", "--config", text(&file)], &["store does not answer", &free.to_string()]);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = config.replace(&free.to_string(), &silent.local_addr().unwrap().to_string());
    let file = write(folder.path(), "silent.toml", &config);
    refused(&["serve", "--config", text(&file)], &["store does not answer"]);
}

#[test]
fn bad_arguments_say_what_would_be_right() {
    let quiet = ["demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--booking", "127.0.0.1:0"];
    let demo = |more: &[&'static str]| [&quiet[..], &["--data", ":memory:"], more].concat();
    refused(&demo(&["--rate", "fast"]), &["--rate", "fast"]);
    refused(&demo(&["--rate=-1"]), &["--rate is from 0 to 1000000, not -1"]);
    refused(&demo(&["--rate", "NaN"]), &["--rate is from 0 to 1000000"]);
    refused(&demo(&["--item", "nonsense", "--seats", "5"]), &["--item `nonsense`"]);
    refused(&demo(&["--seats", "5"]), &["--item"]);
    refused(&demo(&["--database", "mysql://x"]), &["database must read sqlite:FILE"]);
    for address in ["nowhere", "localhost:8090"] {
        refused(&["demo", "--listen", address], &[address, "an IP address and a port, such as 127.0.0.1:8080"]);
    }
    refused(&["serve", "--config", "/nonexistent/vestibule.toml"], &["cannot read /nonexistent/vestibule.toml"]);
    refused(&["serv"], &["serve"]);
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "a-file", "");
    let data = file.join("data");
    refused(&[&quiet[..], &["--data", text(&data)]].concat(), &["cannot make the folder", "--data"]);
    let keys = write(folder.path(), "keys.toml", "nonsense");
    let top = "listen = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\ndata = \":memory:\"\n";
    let config = format!("{top}keys = \"{}\"\n{ROOM}", keys.display());
    let file = write(folder.path(), "vestibule.toml", &config);
    refused(&["serve", "--config", text(&file)], &["the keys in", "cannot be used"]);
}

#[tokio::test]
async fn a_data_folder_has_one_owner() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start().await;
    let setup = Setup::room("").data(&folder.path().join("data"));
    let first = Process::serve(&setup, upstream.address, folder.path());
    let file = folder.path().join("vestibule.toml");
    refused(&["serve", "--config", text(&file)], &["is in use by another process", "choose another folder"]);
    assert_eq!(first.visitor().get("/").await.text(), "the site at /", "the owner goes on");
}
