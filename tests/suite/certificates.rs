//! Certificates for the tests, made by openssl.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The files of an authority and of a certificate for loopback that it has signed.
pub struct Files {
    pub ca: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Makes them in a folder; whatever is there is replaced.
pub fn make(folder: &Path) -> Files {
    let openssl = |words: &str| {
        let done = Command::new("openssl").current_dir(folder).args(words.split(' ')).output().expect("openssl runs");
        assert!(done.status.success(), "{words}: {}", String::from_utf8_lossy(&done.stderr));
    };
    std::fs::write(folder.join("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1").expect("a file");
    openssl("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem");
    openssl("req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr");
    openssl("x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem");
    Files { ca: folder.join("ca.pem"), certificate: folder.join("server.pem"), key: folder.join("server.key") }
}
