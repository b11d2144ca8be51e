//! The certificate that visitors see. It is exchanged while connections stay as they are.

use std::collections::HashMap;
use std::fmt;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, NoClientAuth, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use super::authorities::named;
use super::{ACME, PROTOCOLS, TlsFault, provider};
use crate::disk::Edition;

/// The two files of a certificate, both in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate and those between it and its authority, in this order.
    pub chain: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl CertificateFiles {
    /// Reads both and sees to it that they belong together.
    ///
    /// # Errors
    /// [`TlsFault`], which names the file.
    pub fn read(&self) -> Result<CertifiedKey, TlsFault> {
        let (chain, key) = (self.read_chain()?, self.read_key()?);
        let provider = provider();
        CertifiedKey::from_der(chain, key, &provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                TlsFault::Mismatch { chain: self.chain.clone(), key: self.key.clone() }
            }
            rustls::Error::InvalidCertificate(_) => TlsFault::Unusable { path: self.chain.clone(), error },
            error => TlsFault::Unusable { path: self.key.clone(), error },
        })
    }

    /// Reads the certificate alone.
    ///
    /// # Errors
    /// [`TlsFault`], which names the file.
    pub fn read_chain(&self) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
        read_chain(&self.chain)
    }

    /// Reads the key alone.
    ///
    /// # Errors
    /// [`TlsFault`], which names the file.
    pub fn read_key(&self) -> Result<PrivateKeyDer<'static>, TlsFault> {
        PrivateKeyDer::from_pem_file(&self.key).map_err(|e| pem_fault(&self.key, "private key", e))
    }

    /// Tells whether others than the key's owner can read the key.
    #[must_use]
    pub fn key_is_open(&self) -> bool {
        std::fs::metadata(&self.key).is_ok_and(|file| file.permissions().mode() & 0o077 != 0)
    }

    fn edition(&self) -> [Edition; 2] {
        [&self.chain, &self.key].map(|path| Edition::of(path))
    }
}

/// Reads the certificates of a file, of which there has to be one.
pub(super) fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let chain: Vec<_> = read.map_err(|e| pem_fault(path, "certificate", e))?;
    if chain.is_empty() { Err(TlsFault::Missing { path: path.to_owned(), what: "certificate" }) } else { Ok(chain) }
}

fn pem_fault(path: &Path, what: &'static str, fault: pem::Error) -> TlsFault {
    let path = path.to_owned();
    match fault {
        pem::Error::Io(error) => TlsFault::Unreadable { path, error },
        _ => TlsFault::Missing { path, what },
    }
}

/// The certificate in use.
pub struct Certificate {
    files: CertificateFiles,
    /// None until an authority has handed out the first.
    current: ArcSwapOption<CertifiedKey>,
    /// What an authority is to see that looks whether a name leads here.
    challenges: Mutex<HashMap<String, Arc<CertifiedKey>>>,
    edition: Mutex<[Edition; 2]>,
}

impl Certificate {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// [`TlsFault`], which names the file.
    pub fn open(files: CertificateFiles) -> Result<Arc<Self>, TlsFault> {
        if files.key_is_open() {
            tracing::warn!(key = %files.key.display(), "others can read the key of the certificate; chmod 600 keeps it");
        }
        let current = files.read()?;
        Ok(Self::with(files, Some(current)))
    }

    /// Does the same with files that may be yet to come.
    ///
    /// # Errors
    /// [`TlsFault`] for files that are there and cannot be used.
    pub fn awaited(files: CertificateFiles) -> Result<Arc<Self>, TlsFault> {
        if files.chain.exists() { Self::open(files) } else { Ok(Self::with(files, None)) }
    }

    fn with(files: CertificateFiles, current: Option<CertifiedKey>) -> Arc<Self> {
        let edition = Mutex::new(files.edition());
        let current = ArcSwapOption::from_pointee(current);
        Arc::new(Self { files, current, challenges: Mutex::default(), edition })
    }

    /// Shows an authority that looks at `name` this certificate, until [`Certificate::forget_challenges`].
    pub(super) fn answer_challenge(&self, name: String, answer: CertifiedKey) {
        self.challenges().insert(name, Arc::new(answer));
    }

    /// Shows authorities nothing any more.
    pub(super) fn forget_challenges(&self) {
        self.challenges().clear();
    }

    fn challenges(&self) -> MutexGuard<'_, HashMap<String, Arc<CertifiedKey>>> {
        self.challenges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the files again; new connections then see the new certificate.
    ///
    /// # Errors
    /// [`TlsFault`]; then the old certificate goes on.
    pub fn read_again(&self) -> Result<(), TlsFault> {
        self.current.store(Some(Arc::new(self.files.read()?)));
        Ok(())
    }

    /// Reads the files again if they have changed since they were last looked at; returns whether they had. Of two
    /// files that are exchanged one after the other, the first may be seen alone: that is told as a mismatch, and
    /// mended by the second.
    ///
    /// # Errors
    /// [`TlsFault`]; then the old certificate goes on, and the files are read again when they change again.
    pub fn follow(&self) -> Result<bool, TlsFault> {
        let now = self.files.edition();
        let before = std::mem::replace(&mut *self.edition.lock().unwrap_or_else(PoisonError::into_inner), now);
        if now == before { Ok(false) } else { self.read_again().map(|()| true) }
    }

    /// Makes what greets visitors. A session can be resumed at any thread, for which the key is made here and
    /// changes by itself.
    ///
    /// # Errors
    /// [`TlsFault`] when the system has no randomness.
    pub fn acceptor(self: &Arc<Self>) -> Result<TlsAcceptor, TlsFault> {
        let anybody = Arc::new(NoClientAuth);
        self.acceptor_for(anybody, PROTOCOLS.iter().chain(&[ACME]))
    }

    /// Makes what greets operators: over HTTP/1.1, and with `client_ca` only those whose certificate it has signed.
    ///
    /// # Errors
    /// [`TlsFault`] when that file cannot be used.
    pub fn operators_acceptor(self: &Arc<Self>, client_ca: Option<&Path>) -> Result<TlsAcceptor, TlsFault> {
        let verifier =
            client_ca.map_or_else(|| Ok(Arc::new(NoClientAuth) as Arc<dyn ClientCertVerifier>), vouched_by)?;
        self.acceptor_for(verifier, &PROTOCOLS[1..])
    }

    fn acceptor_for<'p>(
        self: &Arc<Self>,
        verifier: Arc<dyn ClientCertVerifier>,
        protocols: impl IntoIterator<Item = &'p &'static [u8]>,
    ) -> Result<TlsAcceptor, TlsFault> {
        let unusable = |error| TlsFault::Unusable { path: self.files.chain.clone(), error };
        let versions = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let builder = versions.map_err(unusable)?.with_client_cert_verifier(verifier);
        let mut config = builder.with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = protocols.into_iter().map(|name| name.to_vec()).collect();
        config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().map_err(unusable)?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// Sees to it that a file names authorities that can vouch for operators.
///
/// # Errors
/// [`TlsFault`], which names the file.
pub fn check_vouching(ca: &Path) -> Result<(), TlsFault> {
    vouched_by(ca).map(drop)
}

/// Makes what takes only those for whom an authority of a file vouches.
fn vouched_by(ca: &Path) -> Result<Arc<dyn ClientCertVerifier>, TlsFault> {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(named(ca)?), provider()).build();
    verifier.map_err(|_| TlsFault::Missing { path: ca.to_owned(), what: "authority" })
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let is_look = hello.alpn().is_some_and(|mut names| names.any(|name| name == ACME));
        if is_look { self.challenges().get(hello.server_name()?).cloned() } else { self.current.load_full() }
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("files", &self.files).finish_non_exhaustive()
    }
}
