//! Several addresses behind one room, and what is spoken with them.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use hyper::Version;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use vestibule::tls::{Certificate, CertificateFiles};

use super::site::Site;
use super::stand::{Setup, Stand, eventually, json};
use super::upstream::Upstream;
use super::visitor::Visitor;
use crate::certificates;
use crate::proxy::wire::{Wire, within};

/// A room that lets everyone through to these addresses.
async fn before(addresses: &[SocketAddr], forward: &str) -> Stand {
    let addresses: Vec<String> = addresses.iter().map(|address| format!("\"http://{address}\"")).collect();
    let keys = format!(
        "upstream = [{}]\nqueueing_method = \"passthrough\"\n[room.sale.forward]\n{forward}\n",
        addresses.join(", ")
    );
    let nowhere = Upstream::elsewhere(([127, 0, 0, 1], 1).into());
    Setup::rooms(&format!("[room.sale]\n{keys}")).start_before(nowhere).await
}

async fn statuses(visitor: &Visitor, path: &str, count: usize) -> Vec<u16> {
    let mut told = Vec::new();
    for _ in 0..count {
        told.push(visitor.clone().get(path).await.status());
    }
    told
}

/// How the console shows the address with this index.
async fn shown(stand: &Stand, i: usize) -> Value {
    json(&stand.operator.ask("GET", "/api/upstreams", "").await)["upstreams"][i].clone()
}

#[tokio::test]
async fn one_of_two_is_killed_under_load_and_nobody_notices() {
    let (one, other) = (Site::start().await, Site::start().await);
    let stand = before(&[one.address, other.address], "").await;
    let visitor = stand.visitor();
    let load = || join_all((0..8).map(|_| statuses(&visitor, "/", 30)));
    assert_eq!(within(load()).await.concat(), [200; 240]);
    let (seen_by_one, seen_by_other) = (one.asked().len(), other.asked().len());
    assert!(seen_by_one > 60 && seen_by_other > 60, "{seen_by_one} and {seen_by_other}");
    let (told, _) = tokio::join!(within(load()), one.kill());
    assert_eq!(told.concat(), [200; 240]);
    assert_eq!(within(load()).await.concat(), [200; 240]);
    stand.stop().await;
}

#[tokio::test]
async fn a_slow_one_is_avoided() {
    let (slow, quick) = (Site::start().await, Site::start().await);
    let stand = before(&[slow.address, quick.address], "").await;
    let visitor = stand.visitor();
    let mut hung: Vec<_> = (0..6)
        .map(|_| {
            tokio::spawn({
                let mut visitor = visitor.clone();
                async move { visitor.get("/slow").await.status() }
            })
        })
        .collect();
    eventually("both have some to do", async || (slow.asked().len() + quick.asked().len() == 6).then_some(())).await;
    quick.release(6);
    eventually("the quick one is done", async || {
        let busy = shown(&stand, 1).await["outstanding"].as_u64().unwrap();
        (busy == 0).then_some(())
    })
    .await;
    let before = slow.asked().len();
    assert!(before > 0, "two choices see both");
    assert_eq!(statuses(&visitor, "/", 40).await, [200; 40]);
    assert_eq!(
        (slow.asked().len(), shown(&stand, 0).await["outstanding"].as_u64().unwrap() as usize),
        (before, before)
    );
    slow.release(6);
    for answer in &mut hung {
        assert_eq!(within(answer).await.unwrap(), 200);
    }
    stand.stop().await;
}

#[tokio::test]
async fn one_that_fails_is_left_alone_and_returns() {
    let (nobody, other) = (Site::nobody().await, Site::start().await);
    let stand = before(&[nobody, other.address], "eject_after = 2\neject_for = \"100ms\"").await;
    let visitor = stand.visitor();
    eventually("it is left alone", async || {
        assert_eq!(statuses(&visitor, "/", 1).await, [200], "the other answers meanwhile");
        (shown(&stand, 0).await["ejections"].as_u64().unwrap() > 0).then_some(())
    })
    .await;
    let returned = Site::at(nobody, None).await;
    eventually("it returns", async || {
        assert_eq!(statuses(&visitor, "/", 1).await, [200]);
        (returned.asked().len() > 2).then_some(())
    })
    .await;
    eventually("it is counted", async || {
        (stand.operator.metric("vestibule_upstream_ejections_total").await > 0.0).then_some(())
    })
    .await;
    stand.stop().await;
}

#[tokio::test]
async fn checks_take_one_out_before_any_visitor_meets_it() {
    let (one, other) = (Site::start().await, Site::start().await);
    let forward = "check_path = \"/healthz\"\ncheck_interval = \"20ms\"\nill_after = 2\nwell_after = 2";
    let stand = before(&[one.address, other.address], forward).await;
    let visitor = stand.visitor();
    one.answers(503, 200);
    eventually("ill", async || (shown(&stand, 0).await["well"] == false).then_some(())).await;
    assert!(stand.operator.text("/readyz").await.contains(&format!("upstream down: http://{} of sale", one.address)));
    assert_eq!(statuses(&visitor, "/", 20).await, [200; 20]);
    assert_eq!((one.asked().len(), other.asked().len()), (0, 20));
    one.answers(200, 200);
    eventually("well again", async || (shown(&stand, 0).await["up"] == true).then_some(())).await;
    assert_eq!(statuses(&visitor, "/", 20).await, [200; 20]);
    assert!(!one.asked().is_empty());
    other.answers(503, 503);
    one.answers(503, 503);
    eventually("both ill", async || (shown(&stand, 1).await["up"] == false).then_some(())).await;
    assert_eq!(statuses(&visitor, "/", 1).await, [503], "somebody is asked all the same");
    stand.stop().await;
}

#[tokio::test]
async fn what_may_have_happened_is_not_asked_of_another() {
    let fickle = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, other) = (fickle.local_addr().unwrap(), Site::start().await);
    let reading = tokio::spawn(async move {
        let mut read = 0;
        loop {
            let (stream, _) = fickle.accept().await.unwrap();
            let request = Wire::new(stream).message(false).await.unwrap();
            assert!(request.first_line().starts_with("POST"), "{request:?}");
            read += 1;
            if read == 3 {
                return read;
            }
        }
    });
    let stand = before(&[address, other.address], "eject_after = 0").await;
    let visitor = stand.visitor();
    let mut told = Vec::new();
    while !reading.is_finished() {
        told.push(visitor.clone().post("/", "one seat").await.status());
    }
    let failed = told.iter().filter(|status| **status == 502).count();
    assert_eq!((failed, within(reading).await.unwrap()), (3, 3), "{told:?}");
    assert_eq!(other.asked().len(), told.len() - 3, "each arrived once");
    let refused: Vec<u16> = join_all((0..9).map(|_| async { visitor.clone().post("/", "x").await.status() })).await;
    assert_eq!(refused, [200; 9], "a refused connection has carried nothing");
    stand.stop().await;
}

#[tokio::test]
async fn a_request_as_a_whole_may_take_so_long() {
    let site = Site::start().await;
    let stand = before(&[site.address], "whole_timeout = \"50ms\"").await;
    assert_eq!(statuses(&stand.visitor(), "/slow", 1).await, [504]);
    assert_eq!(statuses(&stand.visitor(), "/", 1).await, [200]);
    stand.stop().await;
}

/// A site that speaks TLS with a certificate for loopback, and the keys of a room before it.
async fn secure_site(folder: &TempDir) -> (Site, String) {
    let files = certificates::make(folder.path());
    let own = CertificateFiles { chain: files.certificate, key: files.key };
    let acceptor = Certificate::open(own).unwrap().acceptor().unwrap();
    let site = Site::at("127.0.0.1:0".parse().unwrap(), Some(acceptor)).await;
    (site, format!("[forward]\nca = \"{}\"\n", files.ca.display()))
}

#[tokio::test]
async fn an_upstream_that_speaks_tls_is_asked_over_one_connection_of_http_2() {
    let folder = TempDir::new().unwrap();
    let (site, ca) = secure_site(&folder).await;
    let room = format!(
        "[room.sale]\nupstream = \"https://localhost:{}\"\nqueueing_method = \"passthrough\"\n",
        site.address.port()
    );
    let stand = Setup::rooms(&format!("{ca}{room}")).start().await;
    let visitor = stand.visitor().at("shop.example");
    assert_eq!(within(join_all((0..8).map(|_| statuses(&visitor, "/a", 20)))).await.concat(), [200; 160]);
    for asked in site.asked() {
        assert_eq!((asked.version, asked.host.as_str(), asked.path.as_str()), (Version::HTTP_2, "shop.example", "/a"));
    }
    let mut wire = Wire::new(TcpStream::connect(visitor.gateway).await.unwrap());
    let shake =
        "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n";
    wire.send(visitor.head("GET", "/socket") + shake).await.unwrap();
    assert!(within(wire.head()).await.unwrap().starts_with("HTTP/1.1 101"));
    assert_eq!(within(wire.exactly(5)).await.unwrap(), "hello");
    assert_eq!(site.asked().last().unwrap().version, Version::HTTP_11);
    stand.stop().await;
}

#[tokio::test]
async fn an_upstream_whose_certificate_nobody_vouches_for_is_not_believed() {
    let folder = TempDir::new().unwrap();
    let (site, ca) = secure_site(&folder).await;
    let (elsewhere, _) = (TempDir::new().unwrap(), ());
    let stranger = certificates::make(elsewhere.path());
    let other = format!("[forward]\nca = \"{}\"\n", stranger.ca.display());
    for (ca, host) in [(other, "localhost"), (ca, "127.0.0.2")] {
        let room = format!(
            "[room.sale]\nupstream = \"https://{host}:{}\"\nqueueing_method = \"passthrough\"\n",
            site.address.port()
        );
        let stand = Setup::rooms(&format!("{ca}{room}")).start().await;
        assert_eq!(statuses(&stand.visitor(), "/", 1).await, [502], "{host}");
        assert!(site.asked().is_empty());
        stand.stop().await;
    }
}

#[tokio::test]
async fn an_upstream_may_be_known_to_speak_http_2() {
    let site = Site::start().await;
    let room = format!("[room.sale]\nupstream = \"h2c://{}\"\nqueueing_method = \"passthrough\"\n", site.address);
    let stand = Setup::rooms(&room).start().await;
    let mut visitor = stand.visitor();
    assert_eq!(visitor.post("/b", "a body").await.text(), "the site at /b");
    assert_eq!(statuses(&visitor, "/a", 3).await, [200; 3]);
    assert!(site.asked().iter().all(|asked| asked.version == Version::HTTP_2));
    let address = site.address;
    site.kill().await;
    assert_eq!(statuses(&visitor, "/a", 1).await, [502]);
    let again = Site::at(address, None).await;
    eventually("it is there again", async || (statuses(&visitor, "/a", 1).await == [200]).then_some(())).await;
    assert!(!again.asked().is_empty());
    stand.stop().await;
}

#[tokio::test]
async fn slots_of_one_address_are_bounded() {
    let (one, other) = (Site::start().await, Site::start().await);
    let stand = before(&[one.address, other.address], "max_connections = 1\nanswer_timeout = \"10s\"").await;
    let visitor = stand.visitor();
    let asking: Vec<_> = (0..2)
        .map(|_| {
            tokio::spawn({
                let mut visitor = visitor.clone();
                async move { visitor.get("/slow").await.status() }
            })
        })
        .collect();
    eventually("each has one", async || (one.asked().len() + other.asked().len() == 2).then_some(())).await;
    assert_eq!((one.asked().len(), other.asked().len()), (1, 1));
    assert_eq!(statuses(&visitor, "/", 1).await, [503]);
    one.release(1);
    other.release(1);
    for answer in asking {
        assert_eq!(tokio::time::timeout(Duration::from_secs(20), answer).await.unwrap().unwrap(), 200);
    }
    stand.stop().await;
}
