//! Certificates from an authority that hands them out by itself (ACME, RFC 8555), shown to be ours on the public
//! listener (TLS-ALPN-01, RFC 8737), and renewed when a third of their time is left.
//!
//! The certificate and its key are one file, written whole; whoever follows that file takes it. The account is another.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Limited;
use hyper::Request;
use hyper::header::{self, HeaderValue};
use hyper_util::rt::TokioIo;
use instant_acme::{
    Account, AccountCredentials, AuthorizationHandle, AuthorizationStatus, BodyWrapper, BytesResponse, ChallengeType,
    HttpClient, Identifier, NewAccount, NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use x509_parser::parse_x509_certificate;
use x509_parser::prelude::GeneralName;

use super::certificate::read_chain;
use super::{Certificate, CertificateFiles, TlsFault, connector, provider};
use crate::clock::Clock;
use crate::disk::write_private;

/// How long one question to the authority may take, and how long its answer may be.
const ASK_TIMEOUT: Duration = Duration::from_secs(30);
const ANSWER_CAP_BYTES: usize = 1 << 20;

/// How long the authority may take to look, and to sign.
const PATIENCE: RetryPolicy = RetryPolicy::new().timeout(Duration::from_secs(120));

/// How often it is looked whether it is time.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// How long it rests after a failure, at first and at the most: authorities count failures.
const REST: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(6 * 3_600));

/// What is to be certified, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeRules {
    /// The names, at least one.
    pub domains: Vec<String>,
    /// Whom the authority may tell of trouble, such as `mailto:ops@shop.example`.
    pub contacts: Vec<String>,
    /// The authority's directory, an https address.
    pub directory: String,
    /// Whose certificates are believed of the authority; `None` for the system's.
    pub ca: Option<PathBuf>,
}

/// Why there is no new certificate.
#[derive(Debug, Error)]
pub enum AcmeFault {
    /// The authority refused, or could not be asked.
    #[error("the authority: {0}")]
    Authority(#[from] instant_acme::Error),
    /// It could not convince itself, or offers no way that is known here.
    #[error("the authority did not certify {0}: can it reach this listener as port 443 of that name?")]
    NotShown(String),
    /// A file cannot be used.
    #[error("cannot use {}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// Nobody is believed.
    #[error(transparent)]
    Tls(#[from] TlsFault),
    /// The certificate that answers a challenge could not be made.
    #[error("no answer to the challenge could be made: {0}")]
    Answer(#[from] rcgen::Error),
}

/// Keeps one certificate current.
#[derive(Debug)]
pub struct Acme {
    rules: AcmeRules,
    folder: PathBuf,
    certificate: Arc<Certificate>,
}

/// Where the certificate and its key are kept, in a folder of the gateway's.
#[must_use]
pub fn certificate_files(folder: &Path) -> CertificateFiles {
    let file = folder.join("certificate.pem");
    CertificateFiles { chain: file.clone(), key: file }
}

impl Acme {
    /// Makes what keeps `certificate`, whose files are in `folder`.
    #[must_use]
    pub const fn new(rules: AcmeRules, folder: PathBuf, certificate: Arc<Certificate>) -> Self {
        Self { rules, folder, certificate }
    }

    /// Gets a certificate whenever it is time, until `end`.
    pub async fn run(self, clock: Clock, end: CancellationToken) {
        let mut rest = REST.0;
        loop {
            let wait = match self.is_due(clock.now_ms()) {
                false => LOOK_EVERY,
                true => match end.run_until_cancelled(self.obtain()).await {
                    Some(Ok(())) => {
                        tracing::info!(domains = self.rules.domains.join(", "), "got a certificate");
                        rest = REST.0;
                        LOOK_EVERY
                    }
                    Some(Err(fault)) => {
                        tracing::error!(%fault, again_in_seconds = rest.as_secs(), "got no certificate");
                        let now = rest;
                        rest = (now * 2).min(REST.1);
                        now
                    }
                    None => return,
                },
            };
            if end.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                return;
            }
        }
    }

    /// Tells whether there is no certificate for all names, or less than a third of its time is left.
    fn is_due(&self, now_ms: u64) -> bool {
        let chain = read_chain(&certificate_files(&self.folder).chain);
        chain.map_or(true, |chain| !chain.first().is_some_and(|leaf| covers(leaf, &self.rules.domains, now_ms)))
    }

    /// Gets a certificate and writes it down.
    async fn obtain(&self) -> Result<(), AcmeFault> {
        let account = self.account().await?;
        let names: Vec<_> = self.rules.domains.iter().cloned().map(Identifier::Dns).collect();
        let mut order = account.new_order(&NewOrder::new(&names)).await?;
        let obtained = self.certify(&mut order).await;
        self.certificate.forget_challenges();
        self.write("certificate.pem", &obtained?)
    }

    async fn certify(&self, order: &mut Order) -> Result<String, AcmeFault> {
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            self.show(authorization?).await?;
        }
        if order.poll_ready(&PATIENCE).await? != OrderStatus::Ready {
            return Err(AcmeFault::NotShown(self.rules.domains.join(", ")));
        }
        let key = order.finalize().await?;
        let chain = order.poll_certificate(&PATIENCE).await?;
        Ok(format!("{chain}\n{key}"))
    }

    /// Shows the authority that a name leads here.
    async fn show(&self, mut authorization: AuthorizationHandle<'_>) -> Result<(), AcmeFault> {
        if authorization.status == AuthorizationStatus::Valid {
            return Ok(());
        }
        let unable = || AcmeFault::NotShown(self.rules.domains.join(", "));
        let mut challenge = authorization.challenge(ChallengeType::TlsAlpn01).ok_or_else(unable)?;
        let name = challenge.identifier().to_string();
        let answer = answer(&name, challenge.key_authorization().digest().as_ref())?;
        self.certificate.answer_challenge(name, answer);
        Ok(challenge.set_ready().await?)
    }

    /// Takes up the account that there is, or makes one.
    async fn account(&self) -> Result<Account, AcmeFault> {
        let http = || Ok::<_, TlsFault>(Box::new(Asking(connector(self.rules.ca.as_deref(), false)?)));
        let path = self.folder.join("account.json");
        let kept = std::fs::read(&path).ok().and_then(|text| serde_json::from_slice::<Kept>(&text).ok());
        if let Some(kept) = kept.filter(|kept| kept.directory == self.rules.directory) {
            return Ok(Account::builder_with_http(http()?).from_credentials(kept.credentials).await?);
        }
        let contacts: Vec<&str> = self.rules.contacts.iter().map(String::as_str).collect();
        // Whoever names the directory in the configuration has agreed there.
        let new = NewAccount { contact: &contacts, terms_of_service_agreed: true, only_return_existing: false };
        let directory = self.rules.directory.clone();
        let (account, credentials) = Account::builder_with_http(http()?).create(&new, directory.clone(), None).await?;
        let text = serde_json::to_string(&Kept { directory, credentials }).map_err(instant_acme::Error::from)?;
        self.write("account.json", &text).map(|()| account)
    }

    fn write(&self, name: &str, text: &str) -> Result<(), AcmeFault> {
        let path = self.folder.join(name);
        let written = std::fs::create_dir_all(&self.folder).and_then(|()| write_private(&path, text));
        written.map_err(|error| AcmeFault::File { path, error })
    }
}

/// The account as it is kept, beside whose it is.
#[derive(serde::Serialize, serde::Deserialize)]
struct Kept {
    directory: String,
    credentials: AccountCredentials,
}

/// Tells whether a certificate has all these names, and more than a third of its time is left.
fn covers(leaf: &[u8], domains: &[String], now_ms: u64) -> bool {
    let Ok((_, leaf)) = parse_x509_certificate(leaf) else { return false };
    let [begins_s, ends_s] = [leaf.validity().not_before, leaf.validity().not_after].map(|time| time.timestamp());
    let left_s = ends_s - i64::try_from(now_ms / 1_000).unwrap_or(i64::MAX);
    let names = leaf.subject_alternative_name().ok().flatten().map(|names| &names.value.general_names);
    let has = |domain: &String| {
        names.is_some_and(|names| names.iter().any(|name| matches!(name, GeneralName::DNSName(name) if name == domain)))
    };
    left_s > (ends_s - begins_s) / 3 && domains.iter().all(has)
}

/// Makes the certificate that answers a challenge about a name.
fn answer(name: &str, digest: &[u8]) -> Result<CertifiedKey, AcmeFault> {
    let mut parameters = CertificateParams::new(vec![name.to_owned()])?;
    parameters.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate()?;
    let certificate = parameters.self_signed(&key)?;
    let secret = PrivateKeyDer::try_from(key.serialize_der()).map_err(|_| rcgen::Error::CouldNotParseKeyPair)?;
    let secret = provider().key_provider.load_private_key(secret).map_err(|_| rcgen::Error::CouldNotParseKeyPair)?;
    // Not looked at as other certificates are: what it says is in an extension that only authorities have to know.
    Ok(CertifiedKey::new(vec![certificate.der().clone()], secret))
}

/// Why a question got no answer.
type Broken = Box<dyn std::error::Error + Send + Sync>;

/// How the authority is asked: over HTTP/1.1 and TLS, with a connection for each question, of which there are few.
struct Asking(TlsConnector);

impl HttpClient for Asking {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, instant_acme::Error>> + Send>> {
        let connector = self.0.clone();
        Box::pin(async move {
            let asked = tokio::time::timeout(ASK_TIMEOUT, ask(connector, request)).await;
            let late = || std::io::Error::from(std::io::ErrorKind::TimedOut);
            asked.unwrap_or_else(|_| Err(late().into())).map_err(instant_acme::Error::Other)
        })
    }
}

async fn ask(connector: TlsConnector, mut request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Broken> {
    let uri = request.uri().clone();
    let (Some("https"), Some(host)) = (uri.scheme_str(), uri.host()) else {
        return Err("the authority is asked over https only".into());
    };
    let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(443))).await?;
    let stream = connector.connect(ServerName::try_from(host.to_owned())?, stream).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let authority = uri.authority().map_or(host, |authority| authority.as_str());
    request.headers_mut().insert(header::HOST, HeaderValue::from_str(authority)?);
    *request.uri_mut() = uri.path_and_query().map_or("/", |path| path.as_str()).parse()?;
    let answered = async {
        let (parts, body) = sender.send_request(request).await?.into_parts();
        let body = http_body_util::BodyExt::collect(Limited::new(body, ANSWER_CAP_BYTES)).await?.to_bytes();
        Ok::<_, Broken>(BytesResponse { parts, body: Box::new(body) })
    };
    tokio::pin!(connection);
    tokio::select! {
        answered = answered => answered,
        ended = &mut connection => Err(ended.err().map_or("it closed the connection".into(), Broken::from)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_good_for_its_names_until_a_third_is_left() {
        let mut parameters = CertificateParams::new(vec!["a.example".to_owned(), "b.example".to_owned()]).unwrap();
        (parameters.not_before, parameters.not_after) =
            (rcgen::date_time_ymd(2026, 1, 1), rcgen::date_time_ymd(2026, 4, 1));
        let leaf = parameters.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let covers = |domains: &[&str], day: u64| {
            let domains: Vec<String> = domains.iter().map(|name| (*name).to_owned()).collect();
            covers(leaf.der(), &domains, 1_767_225_600_000 + day * 86_400_000)
        };
        assert!(covers(&["a.example"], 1) && covers(&["b.example", "a.example"], 59));
        assert!(!covers(&["a.example"], 61), "a third is left");
        assert!(!covers(&["a.example", "c.example"], 1), "a name is missing");
        assert!(!super::covers(b"nonsense", &["a.example".to_owned()], 0));
    }
}
