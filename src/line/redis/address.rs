//! Where Redis is, as a URL says it: one server, one that Sentinels name, or a cluster.

use std::path::{Path, PathBuf};

use redis::{
    Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo, RedisError, RedisResult,
    TlsCertificates,
};

/// Where a Redis store is found, and with what it is entered.
#[derive(Clone, Debug)]
pub struct Address {
    place: Place,
    entry: Entry,
}

/// The servers that an address names.
#[derive(Clone)]
pub(super) enum Place {
    /// This server, over TCP or a socket.
    Server(ConnectionInfo),
    /// The master that these Sentinels know by a name.
    Sentinels { sentinels: Vec<ConnectionInfo>, master: String },
    /// A cluster of which these nodes are known.
    Cluster(Vec<Host>),
}

/// A server's host and port.
pub(super) type Host = (String, u16);

/// With what every server of an address is entered.
#[derive(Clone)]
pub(super) struct Entry {
    login: RedisConnectionInfo,
    is_tls: bool,
    /// The certificates to trust instead of the system's.
    ca: Option<PathBuf>,
}

/// Says what is wrong with an address, and what to write. Holds no password.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "this is no address of a Redis store ({0}); write redis://host:port, redis://:password@host:port/database, \
     redis+unix:///path/of/socket, redis+sentinel://host:port,host:port/NAME-OF-MASTER or \
     redis+cluster://host:port,host:port; with TLS rediss://, rediss+sentinel:// or rediss+cluster://"
)]
pub struct BadAddress(String);

impl Address {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`BadAddress`] when it cannot be read, or names a file of certificates that cannot.
    pub fn parse(url: &str) -> Result<Self, BadAddress> {
        let parts = Parts::of(url)?;
        match parts.form {
            "" => parts.server(),
            "+unix" => parts.socket(url),
            "+sentinel" => parts.sentinels(),
            _ => parts.cluster(),
        }
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    pub(super) fn entry(&self) -> &Entry {
        &self.entry
    }
}

impl Entry {
    /// Makes the client of a server of this address.
    pub(super) fn client(&self, (host, port): &Host) -> RedisResult<Client> {
        let (host, port) = (host.clone(), *port);
        let address = match self.is_tls {
            true => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
            false => ConnectionAddr::Tcp(host, port),
        };
        self.client_of(address.into_connection_info()?.set_redis_settings(self.login.clone()))
    }

    /// The same, for one whose login is said.
    pub(super) fn client_of(&self, server: ConnectionInfo) -> RedisResult<Client> {
        match &self.ca {
            Some(ca) if self.is_tls => Client::build_with_tls(server, trusted(ca)?),
            _ => Client::open(server),
        }
    }
}

/// Reads the certificates each time, so that renewed ones are taken without a restart.
fn trusted(ca: &Path) -> RedisResult<TlsCertificates> {
    Ok(TlsCertificates { client_tls: None, root_cert: Some(std::fs::read(ca)?) })
}

/// The parts of `redis[s][+form]://[user:password@]host[:port][,…][/path][?options]`.
struct Parts<'a> {
    is_tls: bool,
    form: &'a str,
    login: &'a str,
    hosts: &'a str,
    path: &'a str,
    ca: Option<PathBuf>,
    sentinel_password: Option<&'a str>,
}

impl<'a> Parts<'a> {
    fn of(url: &'a str) -> Result<Self, BadAddress> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| bad("it begins with no scheme"))?;
        let (base, form) = scheme.split_at(scheme.find('+').unwrap_or(scheme.len()));
        let (base, form) = if scheme == "unix" { ("redis", "+unix") } else { (base, form) };
        let is_tls = matches!(base, "rediss" | "valkeys");
        if !matches!(base, "redis" | "rediss" | "valkey" | "valkeys")
            || !matches!(form, "" | "+unix" | "+sentinel" | "+cluster")
            || (is_tls && form == "+unix")
        {
            return Err(bad("its scheme is none of them"));
        }
        let (rest, options) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, hosts) = authority.rsplit_once('@').map_or(("", authority), |(login, hosts)| (login, hosts));
        let mut parts = Self { is_tls, form, login, hosts, path, ca: None, sentinel_password: None };
        if form != "+unix" {
            options.split('&').filter(|option| !option.is_empty()).try_for_each(|option| parts.take(option))?;
        }
        Ok(parts)
    }

    fn take(&mut self, option: &'a str) -> Result<(), BadAddress> {
        match option.split_once('=') {
            Some(("ca", file)) if self.is_tls => {
                std::fs::metadata(file).map_err(|e| BadAddress(format!("`ca`: cannot read {file}: {e}")))?;
                self.ca = Some(PathBuf::from(file));
            }
            Some(("ca", _)) => return Err(bad("`ca` is for TLS: begin with rediss://")),
            Some(("sentinel_password", password)) if self.form == "+sentinel" => {
                self.sentinel_password = Some(password);
            }
            _ => return Err(bad("the only options are ?ca=FILE with TLS, and &sentinel_password= with Sentinels")),
        }
        Ok(())
    }

    fn server(self) -> Result<Address, BadAddress> {
        let server = info(&format!("{}{}/{}", self.before_host(self.login), self.hosts, self.path))?;
        Ok(self.address(server.redis_settings().clone(), Place::Server(server)))
    }

    fn socket(self, url: &str) -> Result<Address, BadAddress> {
        let server = info(url)?;
        Ok(self.address(server.redis_settings().clone(), Place::Server(server)))
    }

    fn sentinels(self) -> Result<Address, BadAddress> {
        let (master, database) = self.path.split_once('/').unwrap_or((self.path, ""));
        if master.is_empty() {
            return Err(bad("after the Sentinels stands the name of the master that they watch, as in /mymaster"));
        }
        let login = info(&format!("{}localhost/{database}", self.before_host(self.login)))?;
        let password = self.sentinel_password.map(|password| format!(":{password}")).unwrap_or_default();
        let sentinels = self.each_host("26379", |host| info(&format!("{}{host}", self.before_host(&password))))?;
        let place = Place::Sentinels { sentinels, master: master.to_owned() };
        Ok(self.address(login.redis_settings().clone(), place))
    }

    fn cluster(self) -> Result<Address, BadAddress> {
        if !matches!(self.path, "" | "0") {
            return Err(bad("a cluster has no databases; leave out what follows the hosts"));
        }
        let login = info(&format!("{}localhost", self.before_host(self.login)))?;
        let nodes = self.each_host("6379", |host| host_of(&info(&format!("redis://{host}"))?))?;
        Ok(self.address(login.redis_settings().clone(), Place::Cluster(nodes)))
    }

    fn address(self, login: RedisConnectionInfo, place: Place) -> Address {
        Address { place, entry: Entry { login, is_tls: self.is_tls, ca: self.ca } }
    }

    fn before_host(&self, login: &str) -> String {
        let scheme = if self.is_tls { "rediss" } else { "redis" };
        if login.is_empty() { format!("{scheme}://") } else { format!("{scheme}://{login}@") }
    }

    fn each_host<T>(
        &self,
        default_port: &str,
        read: impl Fn(&str) -> Result<T, BadAddress>,
    ) -> Result<Vec<T>, BadAddress> {
        let with_port = |host: &str| {
            let has_port = host.rsplit(']').next().is_some_and(|end| end.contains(':'));
            if has_port { host.to_owned() } else { format!("{host}:{default_port}") }
        };
        self.hosts.split(',').map(|host| read(&with_port(host))).collect()
    }
}

fn info(url: &str) -> Result<ConnectionInfo, BadAddress> {
    if url.contains('#') {
        return Err(bad("there is nothing after a `#`; for certificates of your own, write ?ca=FILE"));
    }
    url.into_connection_info().map_err(|error| BadAddress(why(&error)))
}

/// The library's detail may quote the URL, and so the password.
fn why(error: &RedisError) -> String {
    error.detail().map_or_else(|| error.to_string(), |_| "it cannot be read".to_owned())
}

fn host_of(server: &ConnectionInfo) -> Result<Host, BadAddress> {
    match server.addr() {
        ConnectionAddr::Tcp(host, port) => Ok((host.clone(), *port)),
        _ => Err(bad("a node is host:port")),
    }
}

fn bad(why: &str) -> BadAddress {
    BadAddress(why.to_owned())
}

impl std::fmt::Display for Place {
    /// Names the servers, and no password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Server(server) => write!(f, "{}", server.addr()),
            Self::Sentinels { sentinels, master } => {
                let at: Vec<String> = sentinels.iter().map(|sentinel| sentinel.addr().to_string()).collect();
                write!(f, "`{master}`, as the Sentinels at {} name it", at.join(", "))
            }
            Self::Cluster(nodes) => {
                let at: Vec<String> = nodes.iter().map(|(host, port)| format!("{host}:{port}")).collect();
                write!(f, "the cluster at {}", at.join(", "))
            }
        }
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

impl std::fmt::Debug for Entry {
    /// Leaves the password out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Entry {{ is_tls: {}, ca: {:?} }}", self.is_tls, self.ca)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(url: &str) -> String {
        Address::parse(url).map_or_else(|bad| panic!("{url}: {bad}"), |address| address.place.to_string())
    }

    #[test]
    fn each_form_is_read() {
        for (url, expected) in [
            ("redis://cache", "cache:6379"),
            ("redis://:pw@cache:7000/2", "cache:7000"),
            ("rediss://u:pw@[::1]:7000", "::1:7000"),
            ("redis+unix:///run/redis.sock?db=1", "/run/redis.sock"),
            ("unix:///run/redis.sock", "/run/redis.sock"),
            ("redis+sentinel://a,b:26380/main/1", "`main`, as the Sentinels at a:26379, b:26380 name it"),
            ("rediss+cluster://:pw@a:7000,[::1]", "the cluster at a:7000, ::1:6379"),
        ] {
            assert_eq!(place(url), expected, "{url}");
        }
    }

    #[test]
    fn logins_and_databases_are_kept_apart() {
        let address = Address::parse("redis+sentinel://u:p%40w@a/main/3?sentinel_password=s").unwrap();
        let Place::Sentinels { sentinels, .. } = &address.place else { panic!() };
        assert_eq!((sentinels[0].redis_settings().password(), sentinels[0].redis_settings().db()), (Some("s"), 0));
        let login = &address.entry.login;
        assert_eq!((login.username(), login.password(), login.db()), (Some("u"), Some("p@w"), 3));
        assert!(!format!("{address:?}").contains("p@w"));
    }

    #[test]
    fn what_cannot_be_read_is_said_with_the_forms_and_without_the_password() {
        for url in [
            "",
            "cache:6379",
            "http://cache",
            "redis+stream://cache",
            "redis://:secret@cache:99999",
            "redis://cache/first",
            "redis://cache#insecure",
            "redis://cache?ca=/etc/ca.pem",
            "rediss://cache?ca=/nowhere/ca.pem",
            "rediss+unix:///run/redis.sock",
            "redis+sentinel://a:26379",
            "redis+sentinel://a,:secret/main",
            "redis+cluster://a:7000/2",
            "redis+cluster://",
        ] {
            let bad = Address::parse(url).map(drop).expect_err(url).to_string();
            assert!(bad.contains("redis://host:port") && !bad.contains("secret"), "{url}: {bad}");
        }
    }
}
