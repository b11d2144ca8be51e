//! A pass is read by standard JWT libraries of other languages, and refused by them where we refuse it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use axum::body::Body;
use axum::{Extension, Router};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tower_layer::Layer as _;
use tower_service::Service as _;
use vestibule::token::key_ring::{KeyRing, PassAlgorithm};
use vestibule::token::pass::{ISSUER, Pass};
use vestibule::token::ticket::TicketId;
use vestibule_pass::{Claims, Passes, RequirePass, Unsound};

const ISSUED_MS: u64 = 1_700_000_000_000;
const CENTURY_MS: u64 = 100 * 365 * 86_400_000;

/// A library of another language: the program that runs it, and the script it runs, with the code of docs/integrate.md.
struct Reader {
    program: PathBuf,
    script: PathBuf,
}

impl Reader {
    fn ask(&self, room: &str, jwks: &Value, token: &str) -> Output {
        let mut child = Command::new(&self.program)
            .arg(&self.script)
            .arg(room)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/integrate.md"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let asked = json!({"jwks": jwks, "token": token}).to_string();
        child.stdin.take().unwrap().write_all(asked.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }
}

fn run(program: impl AsRef<Path>, arguments: &[&str], inside: &Path) {
    let program = program.as_ref();
    let outcome = Command::new(program).args(arguments).current_dir(inside).output();
    let outcome = outcome.unwrap_or_else(|fault| panic!("{} does not start: {fault}", program.display()));
    let said = String::from_utf8_lossy(&outcome.stderr);
    assert!(outcome.status.success(), "{} {arguments:?} failed: {said}", program.display());
}

/// A folder that outlives the test, so that the libraries are installed once.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop").join(name)
}

fn python() -> Reader {
    let folder = folder("interop-python");
    let program = folder.join("venv/bin/python");
    let installed = folder.join("installed");
    if !installed.exists() {
        run("python3", &["-m", "venv", "--clear", "venv"], &folder);
        run(&program, &["-m", "pip", "install", "--quiet", "PyJWT[crypto]>=2.8,<3"], &folder);
        std::fs::write(installed, "").unwrap();
    }
    Reader { program, script: script("verify_pass.py") }
}

/// Node finds packages beside the script that asks for them, so the script is copied to where they are.
fn node() -> Reader {
    let folder = folder("interop-node");
    if !folder.join("node_modules/jose/package.json").exists() {
        run("npm", &["install", "--silent", "--no-audit", "--no-fund", "--prefix", ".", "jose@6"], &folder);
    }
    let copy = folder.join("verify_pass.mjs");
    std::fs::copy(script("verify_pass.mjs"), &copy).unwrap();
    Reader { program: "node".into(), script: copy }
}

fn pass() -> Pass<'static> {
    Pass {
        issuer: ISSUER,
        room: "tatkal",
        ticket: TicketId(0xfeed),
        number: 4182,
        id: 99,
        issued_ms: ISSUED_MS,
        lifetime_ms: CENTURY_MS,
    }
}

fn check(reader: &Reader) {
    let mut rng = StdRng::seed_from_u64(1);
    let mut ring = KeyRing::generate(ISSUED_MS, &mut rng);
    let text = pass().sign(&ring).unwrap();
    ring.rotate_passes_to(PassAlgorithm::Es256, ISSUED_MS, CENTURY_MS, &mut rng).unwrap();
    let newer = pass().sign(&ring).unwrap();
    let expired = Pass { lifetime_ms: 1000, ..pass() }.sign(&ring).unwrap();
    let jwks = ring.jwks();

    for sound in [&text, &newer] {
        let told = reader.ask("tatkal", &jwks, sound);
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        let claims: Value = serde_json::from_slice(&told.stdout).unwrap();
        let expected = json!({
            "iss": "vestibule", "aud": "tatkal", "sub": format!("{:032x}", 0xfeed), "jti": format!("{:032x}", 99),
            "iat": ISSUED_MS / 1000, "exp": (ISSUED_MS + CENTURY_MS) / 1000, "num": 4182,
        });
        assert_eq!(claims, expected);
    }

    let (message, signature) = text.rsplit_once('.').unwrap();
    let swapped = if signature.starts_with('A') { 'B' } else { 'A' };
    let forged = format!("{message}.{swapped}{}", &signature[1..]);
    for (room, bad) in [("other", &text), ("tatkal", &expired), ("tatkal", &forged)] {
        let told = reader.ask(room, &jwks, bad);
        let said = String::from_utf8_lossy(&told.stderr);
        assert!(!told.status.success() && said.contains("not sound"), "{said}");
    }
}

/// A site in Rust behind the layer: answers a request with `passes` in its header by the number in line.
async fn of_rust_site(passes: &Arc<Passes>, shown: &[&str]) -> (u16, String) {
    let site = async |Extension(claims): Extension<Claims>| claims.num.to_string();
    let mut site = RequirePass::new(Arc::clone(passes)).layer(Router::new().fallback(site));
    let mut request = axum::http::Request::new(Body::empty());
    for pass in shown {
        request.headers_mut().append("vestibule-pass", pass.parse().unwrap());
    }
    let answer = site.call(request).await.unwrap();
    let status = answer.status().as_u16();
    let bytes = axum::body::to_bytes(answer.into_body(), 4_096).await.unwrap();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

#[tokio::test]
async fn a_tower_layer_lets_sound_passes_through_alone() {
    let mut rng = StdRng::seed_from_u64(1);
    let mut ring = KeyRing::generate(ISSUED_MS, &mut rng);
    let first = pass().sign(&ring).unwrap();
    let passes = Arc::new(Passes::new("tatkal", &ring.jwks().to_string()).unwrap());
    assert_eq!(of_rust_site(&passes, &[&first]).await, (200, "4182".to_owned()));

    ring.rotate_passes_to(PassAlgorithm::Es256, ISSUED_MS, CENTURY_MS, &mut rng).unwrap();
    let newer = pass().sign(&ring).unwrap();
    assert_eq!(passes.check(&newer), Err(Unsound::UnknownKey), "so newer keys are to be read");
    assert!(passes.replace_keys("{\"keys\":[]}").is_err(), "no keys are not newer keys");
    passes.replace_keys(&ring.jwks().to_string()).unwrap();
    for sound in [&first, &newer] {
        assert_eq!(of_rust_site(&passes, &[sound]).await.0, 200);
    }

    let foreign = Pass { room: "other", ..pass() }.sign(&ring).unwrap();
    let of_others = Pass { issuer: "somebody", ..pass() }.sign(&ring).unwrap();
    let over = Pass { lifetime_ms: 1_000, ..pass() }.sign(&ring).unwrap();
    let (message, _) = newer.rsplit_once('.').unwrap();
    let (_, signature) = first.rsplit_once('.').unwrap();
    let forged = format!("{message}.{signature}");
    for (bad, why) in [
        (&foreign, Unsound::Refused),
        (&of_others, Unsound::Refused),
        (&over, Unsound::Refused),
        (&forged, Unsound::Refused),
        (&"x".repeat(5_000), Unsound::NoPass),
    ] {
        assert_eq!(passes.check(bad), Err(why));
        let (status, told) = of_rust_site(&passes, &[bad]).await;
        assert!(status == 401 && told.contains("/problems/no_pass"), "{told}");
    }
    assert_eq!(of_rust_site(&passes, &[]).await.0, 401);
    assert_eq!(of_rust_site(&passes, &[&first, &newer]).await.0, 401, "two passes are none");
}

#[test]
fn pyjwt_reads_a_pass() {
    check(&python());
}

#[test]
fn jose_reads_a_pass() {
    check(&node());
}
