//! Which room a request belongs to: by host, path, method and headers, most specific first.
//!
//! Hosts and paths come in the one canonical form that is also sent upstream (P4). Sites read that more or less freely, so
//! a room guards whatever the freest of them would take for a path of its own; what needs no pass is read letter by letter.

mod pattern;

use std::net::IpAddr;

use hyper::Method;
use hyper::header::HeaderMap;

use crate::canonical::loose_path;
use crate::networks::Networks;
pub use pattern::{BadPattern, HeaderPattern, HostPattern, ItemPattern, PathPattern};

/// What one room claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Its hosts.
    pub hosts: Vec<HostPattern>,
    /// Its paths.
    pub paths: Vec<PathPattern>,
    /// Its methods in whatever case, of which `GET` stands for `HEAD` too; empty for all.
    pub methods: Vec<Method>,
    /// Headers that its requests have, all of them.
    pub headers: Vec<HeaderPattern>,
    /// Paths within those that need no pass.
    pub bypass: Vec<PathPattern>,
    /// Visitors who need none.
    pub bypass_addresses: Networks,
}

/// What a route leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// The room with this index, guarded.
    Guarded(usize),
    /// A path of that room which needs no pass.
    Bypass(usize),
    /// No room's.
    Open,
}

/// Finds the room of a request.
#[derive(Clone, Debug, Default)]
pub struct Routes(Vec<Claim>);

impl Routes {
    /// Makes the table; rooms are known by their index.
    #[must_use]
    pub fn new(claims: Vec<Claim>) -> Self {
        Self(claims)
    }

    /// Returns the pairs of rooms that claim the very same requests, neither more narrowly than the other.
    #[must_use]
    pub fn conflicts(&self) -> Vec<(usize, usize, String)> {
        let mut found = Vec::new();
        for (j, b) in self.0.iter().enumerate() {
            for (i, a) in self.0[..j].iter().enumerate() {
                found.extend(a.shared_with(b).map(|what| (i, j, what)));
            }
        }
        found
    }

    /// Tells whether a method decides about the room of any request.
    #[must_use]
    pub fn tell_methods_apart(&self) -> bool {
        self.0.iter().any(|claim| !claim.methods.is_empty())
    }

    /// Finds the room that claims a request most narrowly: its host (with or without a port) decides first, then its
    /// path, then its method, then its headers.
    #[must_use]
    pub fn find(&self, host: &str, path: &str, method: &Method, headers: &HeaderMap) -> Route {
        let (host, loose) = (without_port(host), loose_path(path));
        let claims = self.0.iter().enumerate();
        let narrowest = claims.filter_map(|(i, claim)| claim.rank(host, &loose, method, headers).map(|rank| (rank, i)));
        match narrowest.max_by_key(|(rank, _)| *rank) {
            Some((_, i)) if self.0[i].bypass.iter().any(|pattern| pattern.matches(path)) => Route::Bypass(i),
            Some((_, i)) => Route::Guarded(i),
            None => Route::Open,
        }
    }

    /// Tells whether a visitor from this address needs no pass in the room with this index.
    #[must_use]
    pub fn lets_pass(&self, i: usize, address: IpAddr) -> bool {
        self.0.get(i).is_some_and(|claim| claim.bypass_addresses.contains(address))
    }
}

/// How narrowly a claim matches: by host, by path, whether by method, by how many headers.
type Rank = (usize, usize, bool, usize);

impl Claim {
    fn rank(&self, host: &str, loose: &str, method: &Method, headers: &HeaderMap) -> Option<Rank> {
        let host = self.hosts.iter().filter_map(|pattern| pattern.rank(host)).max()?;
        let path = self.paths.iter().filter_map(|pattern| pattern.rank(loose)).max()?;
        let is_own = self.takes(method) && self.headers.iter().all(|pattern| pattern.matches(headers));
        is_own.then_some((host, path, !self.methods.is_empty(), self.headers.len()))
    }

    fn takes(&self, method: &Method) -> bool {
        // A method is told apart by its case, but not every site does.
        let is = |method: &Method, name: &Method| method.as_str().eq_ignore_ascii_case(name.as_str());
        let has = |method| self.methods.iter().any(|own| is(own, method));
        self.methods.is_empty() || has(method) || (is(method, &Method::HEAD) && has(&Method::GET))
    }

    /// Names what two claims have in common of which neither is the narrower.
    fn shared_with(&self, other: &Self) -> Option<String> {
        let host = self.hosts.iter().find(|host| other.hosts.contains(host))?;
        let path = self.paths.iter().find(|path| other.paths.iter().any(|others| others.is_like(path)))?;
        let method = match (self.methods.is_empty(), other.methods.is_empty()) {
            (true, true) => String::new(),
            (false, false) => {
                let mut both = self.methods.iter().chain(&other.methods);
                format!("{} ", both.find(|method| self.takes(method) && other.takes(method))?)
            }
            _ => return None,
        };
        let is_apart = self.headers.iter().any(|own| other.headers.iter().any(|others| own.excludes(others)));
        let is_alike = self.headers.len() == other.headers.len() && !is_apart;
        is_alike.then(|| format!("{method}{host}{path}"))
    }
}

fn without_port(host: &str) -> &str {
    host.trim_end_matches(|letter: char| letter.is_ascii_digit()).strip_suffix(':').unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(hosts: &[&str], paths: &[&str], bypass: &[&str]) -> Claim {
        Claim {
            hosts: hosts.iter().map(|text| text.parse().unwrap()).collect(),
            paths: paths.iter().map(|text| text.parse().unwrap()).collect(),
            methods: Vec::new(),
            headers: Vec::new(),
            bypass: bypass.iter().map(|text| text.parse().unwrap()).collect(),
            bypass_addresses: Networks::default(),
        }
    }

    fn only(methods: &[&str], headers: &[&str], claim: Claim) -> Claim {
        let methods = methods.iter().map(|text| text.parse().unwrap()).collect();
        Claim { methods, headers: headers.iter().map(|text| text.parse().unwrap()).collect(), ..claim }
    }

    /// Finds the room of a plain `GET`.
    fn find(routes: &Routes, host: &str, path: &str) -> Route {
        routes.find(host, path, &Method::GET, &HeaderMap::new())
    }

    #[test]
    fn the_narrowest_claim_wins() {
        let routes = Routes::new(vec![
            claim(&["*"], &["/*"], &["/assets/*", "/health"]),
            claim(&["*.rail.example"], &["/*"], &[]),
            claim(&["book.rail.example"], &["/sale/*"], &[]),
            claim(&["book.rail.example"], &["/sale/tatkal"], &[]),
        ]);
        for (host, path, expected) in [
            ("other.example", "/", Route::Guarded(0)),
            ("other.example:8080", "/assets/x.css", Route::Bypass(0)),
            ("other.example", "/assets", Route::Bypass(0)),
            ("other.example", "/assetsx", Route::Guarded(0)),
            ("other.example", "/health", Route::Bypass(0)),
            ("other.example", "/health/x", Route::Guarded(0)),
            ("a.rail.example", "/assets/x.css", Route::Guarded(1)),
            ("rail.example", "/", Route::Guarded(0)),
            ("book.rail.example", "/sale/x", Route::Guarded(2)),
            ("book.rail.example", "/sale/tatkal", Route::Guarded(3)),
            ("book.rail.example", "/", Route::Guarded(1)),
        ] {
            assert_eq!(find(&routes, host, path), expected, "{host}{path}");
        }
        assert_eq!(find(&Routes::default(), "x", "/"), Route::Open);
    }

    #[test]
    fn no_spelling_is_a_way_around() {
        let paths = ["/book/*", "/api/book/*", "/api/1:A", "/Caf\u{e9}/*", "/one", "/a b/*"];
        let routes = Routes::new(vec![claim(&["*"], &paths, &["/book/help", "/book/Style/*"])]);
        for (path, expected) in [
            ("/BOOK/7", Route::Guarded(0)),
            ("/Api/book", Route::Guarded(0)),
            ("/api/1%3AA", Route::Guarded(0)),
            ("/api/1:a", Route::Guarded(0)),
            ("/Caf%C3%A9/1", Route::Guarded(0)),
            ("/caf%C3%89/1", Route::Guarded(0)),
            ("/one/", Route::Guarded(0)),
            ("/one/more", Route::Open),
            ("/a%20b/c", Route::Guarded(0)),
            ("/book/HELP", Route::Guarded(0)),
            ("/book/help/", Route::Guarded(0)),
            ("/book/Style/a.css", Route::Bypass(0)),
            ("/book/style/a.css", Route::Guarded(0)),
            ("/book;x/seat", Route::Guarded(0)),
            ("/api;v=1/book;x/9", Route::Guarded(0)),
            ("/book/seat;x", Route::Guarded(0)),
            ("/book/help", Route::Bypass(0)),
            ("/book/help;x", Route::Guarded(0)),
            ("/about;x", Route::Open),
        ] {
            assert_eq!(find(&routes, "h", path), expected, "{path}");
        }
    }

    #[test]
    fn methods_and_headers_decide_after_host_and_path() {
        let any = || claim(&["*"], &["/book/*"], &[]);
        let routes = Routes::new(vec![
            any(),
            only(&["POST", "PUT"], &[], any()),
            only(&[], &["x-channel: app"], any()),
            only(&[], &["x-channel", "x-partner"], any()),
            only(&["GET"], &[], claim(&["*"], &["/book/list"], &[])),
        ]);
        for (method, path, headers, expected) in [
            ("GET", "/book/1", &[][..], 0),
            ("POST", "/book/1", &[], 1),
            ("Post", "/book/1", &[], 1),
            ("POST", "/book/1", &[("x-channel", "app")], 1),
            ("GET", "/book/1", &[("x-channel", "app")], 2),
            ("GET", "/book/1", &[("x-channel", "App")], 0),
            ("GET", "/book/1", &[("x-channel", "app"), ("x-channel", "app")], 0),
            ("GET", "/book/1", &[("x-channel", "web"), ("x-partner", "7")], 3),
            ("HEAD", "/book/list", &[], 4),
            ("POST", "/book/list", &[], 1),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(*name, value.parse().unwrap());
            }
            let method: Method = method.parse().unwrap();
            assert_eq!(routes.find("h", path, &method, &map), Route::Guarded(expected), "{method} {path} {headers:?}");
        }
        let posts = Routes::new(vec![only(&["POST"], &[], any())]);
        assert_eq!(find(&posts, "h", "/book/1"), Route::Open);
        assert!(posts.tell_methods_apart() && !Routes::new(vec![any()]).tell_methods_apart());
    }

    #[test]
    fn claims_that_differ_by_method_or_header_conflict_only_where_they_meet() {
        let any = || claim(&["*"], &["/*"], &[]);
        for (a, b, expected) in [
            (only(&["GET"], &[], any()), only(&["POST"], &[], any()), None),
            (only(&["GET"], &[], any()), any(), None),
            (any(), only(&["GET"], &[], any()), None),
            (only(&["GET", "PUT"], &[], any()), only(&["POST", "PUT"], &[], any()), Some("PUT */*")),
            (only(&["HEAD"], &[], any()), only(&["GET"], &[], any()), Some("HEAD */*")),
            (only(&["GET"], &[], any()), only(&["HEAD"], &[], any()), Some("HEAD */*")),
            (only(&[], &["x: 1"], any()), only(&[], &["x: 2"], any()), None),
            (only(&[], &["x: 1"], any()), only(&[], &["y: 2"], any()), Some("*/*")),
            (only(&[], &["x"], any()), only(&[], &["x: 2"], any()), Some("*/*")),
            (only(&[], &["x", "y"], any()), only(&[], &["x: 2"], any()), None),
        ] {
            let found = Routes::new(vec![a, b]).conflicts().pop().map(|(_, _, what)| what);
            assert_eq!(found.as_deref(), expected);
        }
    }

    #[test]
    fn equal_claims_conflict() {
        let routes = Routes::new(vec![
            claim(&["a", "b"], &["/x"], &[]),
            claim(&["c"], &["/x"], &[]),
            claim(&["b"], &["/x"], &[]),
        ]);
        assert_eq!(routes.conflicts(), [(0, 2, "b/x".to_owned())]);
        let alike = Routes::new(vec![claim(&["*"], &["/x:/*"], &[]), claim(&["*"], &["/X%3a/*"], &[])]);
        assert_eq!(alike.conflicts(), [(0, 1, "*/x:/*".to_owned())]);
    }
}
