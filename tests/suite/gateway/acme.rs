//! Certificates from an authority: pebble, which the people of ACME test with.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use vestibule::tls::connector;

use super::stand::{Setup, Stand, eventually};
use crate::certificates;
use crate::proxy::wire::within;
use crate::redis_server::free_port;

/// An authority that finds every name on this machine.
struct Authority {
    folder: TempDir,
    directory: String,
    management: String,
    _processes: [Child; 2],
}

impl Authority {
    /// Starts one that looks at this port of a name.
    async fn start(port: u16) -> Self {
        let folder = TempDir::new().unwrap();
        let files = certificates::make(folder.path());
        let [listen, management, names, unused] = [(); 4].map(|()| format!("127.0.0.1:{}", free_port()));
        let config = json!({"pebble": {
            "listenAddress": listen, "managementListenAddress": management, "tlsPort": port, "httpPort": 1,
            "certificate": files.certificate, "privateKey": files.key,
        }});
        let path = folder.path().join("pebble.json");
        std::fs::write(&path, config.to_string()).unwrap();
        let off = ["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""];
        let dns = run("pebble-challtestsrv", &[&["-dns01", &names, "-management", &unused], &off[..]].concat());
        let authority = run("pebble", &["-config", path.to_str().unwrap(), "-dnsserver", &names]);
        let directory = format!("https://localhost:{}/dir", listen.rsplit_once(':').unwrap().1);
        let this = Self { folder, directory, management, _processes: [dns, authority] };
        eventually("the authority answers", async || this.root().await).await;
        this
    }

    fn ca(&self) -> std::path::PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The certificate of the authority itself, as a file.
    async fn root(&self) -> Option<std::path::PathBuf> {
        let stream = TcpStream::connect(&self.management).await.ok()?;
        let connector = connector(Some(&self.ca()), false).unwrap();
        let mut stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.ok()?;
        stream.write_all(b"GET /roots/0 HTTP/1.0\r\n\r\n").await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let path = self.folder.path().join("root.pem");
        std::fs::write(&path, answer.split_once("\r\n\r\n")?.1).unwrap();
        CertificateDer::from_pem_file(&path).ok().map(|_| path)
    }
}

fn run(program: &str, arguments: &[&str]) -> Child {
    let mut command = Command::new(program);
    // Without its wait before each look, and with three questions of a hundred refused, as may happen. Who is refused three
    // times in a row rests for a minute: with ten of a hundred that was so in one run of twenty-five.
    command.args(arguments).env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_WFE_NONCEREJECT", "3");
    command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    command.spawn().unwrap_or_else(|e| panic!("{program}, of Debian's package pebble: {e}"))
}

async fn stand(authority: &Authority, data: &Path, port: u16, domains: &str) -> Stand {
    let (directory, ca) = (&authority.directory, authority.ca().display().to_string());
    let acme = format!(
        "[tls.acme]\ndomains = [{domains}]\ndirectory = \"{directory}\"\nca = \"{ca}\"\nagree_to_terms = true\n\
         contacts = [\"mailto:ops@shop.example\"]\n"
    );
    let rooms = format!("{acme}[room.sale]\nupstream = \"http://UPSTREAM\"\nqueueing_method = \"passthrough\"\n");
    Setup::rooms(&rooms).data(data).listen(port).start().await
}

/// The certificate that a visitor sees, if a chain leads from it to the authority.
async fn shown(gateway: SocketAddr, root: &Path, name: &'static str) -> Option<CertificateDer<'static>> {
    let stream = TcpStream::connect(gateway).await.unwrap();
    let greeting = connector(Some(root), true).unwrap().connect(ServerName::try_from(name).unwrap(), stream);
    let stream = within(greeting).await.ok()?;
    Some(stream.get_ref().1.peer_certificates()?[0].clone().into_owned())
}

#[tokio::test]
async fn a_certificate_is_got_kept_and_got_anew_for_another_name() {
    let (data, port) = (TempDir::new().unwrap(), free_port());
    let authority = Authority::start(port).await;
    let root = authority.root().await.unwrap();
    let first = stand(&authority, data.path(), port, "\"shop.example\"").await;
    let address = first.gateway.address;
    let certificate = eventually("the first certificate", async || shown(address, &root, "shop.example").await).await;
    assert_eq!(shown(address, &root, "www.example").await, None, "it is of no other name");
    first.stop().await;
    for name in ["certificate.pem", "account.json"] {
        use std::os::unix::fs::PermissionsExt as _;
        let kept = std::fs::metadata(data.path().join("tls").join(name)).unwrap();
        assert_eq!(kept.permissions().mode() & 0o077, 0, "{name} is its owner's");
    }

    let second = stand(&authority, data.path(), port, "\"shop.example\"").await;
    let kept = shown(address, &root, "shop.example").await;
    assert_eq!(kept, Some(certificate.clone()), "there at once, and the same");
    second.stop().await;

    let third = stand(&authority, data.path(), port, "\"shop.example\", \"www.example\"").await;
    let both = eventually("one for both names", async || shown(address, &root, "www.example").await).await;
    assert_ne!(both, certificate);
    assert_eq!(shown(address, &root, "shop.example").await, Some(both));
    third.stop().await;
}

#[test]
fn what_an_authority_would_refuse_is_told_before() {
    use vestibule::config::{Config, Environment};
    let text = "data = \":memory:\"\n[tls.acme]\ndomains = [\"*.shop.example\"]\ndirectory = \"http://x\"\n\
                [room.sale]\nupstream = \"http://127.0.0.1:1\"\n";
    let problems = Config::parse(text, &Environment::new()).unwrap_err().to_string();
    for part in
        ["tls.acme.domains: names what", "tls.acme.directory: is an https", "tls.acme.agree_to_terms: has to be"]
    {
        assert!(problems.contains(part), "{part} in {problems}");
    }
}
