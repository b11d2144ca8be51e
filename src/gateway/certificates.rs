//! The certificates of a gateway's two listeners.

use std::path::PathBuf;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::config::{AdminTls, Config};
use crate::tls::acme::{Acme, AcmeRules, certificate_files};
use crate::tls::{Certificate, TlsFault};

/// Which there are.
#[derive(Clone, Debug)]
pub struct Certificates {
    public: Option<Arc<Certificate>>,
    admin: Option<(Arc<Certificate>, AdminTls)>,
    /// How the public one is got, and where it is kept.
    acme: Option<(AcmeRules, PathBuf)>,
}

impl Certificates {
    /// Reads what there is. One that an authority is yet to hand out may be missing: until then nobody is greeted.
    ///
    /// # Errors
    /// [`TlsFault`], which names the file.
    pub fn open(config: &Config) -> Result<Self, TlsFault> {
        let folder = config.data.as_ref().map(|data| data.join("tls"));
        let acme = config.acme.clone().zip(folder);
        let public = match &acme {
            Some((_, folder)) => Some(Certificate::awaited(certificate_files(folder))?),
            None => config.certificate.clone().map(Certificate::open).transpose()?,
        };
        let of_admin = |tls: &AdminTls| Ok((Certificate::open(tls.files.clone())?, tls.clone()));
        let admin = config.admin_tls.as_ref().map(of_admin).transpose()?;
        Ok(Self { public, admin, acme })
    }

    /// Walks all of them.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Certificate>> {
        self.public.iter().chain(self.admin.iter().map(|(certificate, _)| certificate))
    }

    /// Makes what greets visitors, where this gateway ends TLS.
    ///
    /// # Errors
    /// [`TlsFault`] when the system has no randomness.
    pub fn public_acceptor(&self) -> Result<Option<TlsAcceptor>, TlsFault> {
        self.public.as_ref().map(Certificate::acceptor).transpose()
    }

    /// Makes what greets operators, where that is over TLS.
    ///
    /// # Errors
    /// [`TlsFault`] when those who vouch for operators cannot be read.
    pub fn admin_acceptor(&self) -> Result<Option<TlsAcceptor>, TlsFault> {
        let acceptor = |(certificate, tls): &(Arc<Certificate>, AdminTls)| {
            certificate.operators_acceptor(tls.client_ca.as_deref())
        };
        self.admin.as_ref().map(acceptor).transpose()
    }

    /// Keeps the public certificate current, where an authority hands it out.
    pub fn run(&self, clock: &Clock, tasks: &TaskTracker, end: &CancellationToken) {
        if let (Some((rules, folder)), Some(certificate)) = (self.acme.clone(), &self.public) {
            tasks.spawn(Acme::new(rules, folder, Arc::clone(certificate)).run(clock.clone(), end.clone()));
        }
    }
}
