use hyper::Request;

use super::*;

fn parse(method: &str, line: &str, headers: &[(&str, &str)]) -> Result<Target, BadTarget> {
    let mut request = Request::builder().method(method).uri(line);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Target::parse(&request.body(()).unwrap(), "http")
}

fn path(line: &str) -> Result<String, BadTarget> {
    parse("GET", line, &[("host", "a")]).map(|target| target.to_uri().to_string())
}

fn host(host: &str) -> Result<String, BadTarget> {
    parse("GET", "/", &[("host", host)]).map(|target| target.host().to_owned())
}

#[test]
fn one_path_one_spelling() {
    let check = |line: &str, expected: &str| assert_eq!(path(line).as_deref(), Ok(expected), "{line}");
    check("/", "/");
    check("/book/a.b?x=%2e%2e/&y=//", "/book/a.b?x=%2e%2e/&y=//");
    check("/%62ook/%7Euser", "/book/~user");
    check("//book///now/", "/book/now/");
    check("/a%c3%a9", "/a%C3%A9");
    check("/a%20b", "/a%20b");
    check("/a{b}", "/a%7Bb%7D");
    check("/.well-known/x", "/.well-known/x");
    check("/a..b/...", "/a..b/...");
    check("/a;v=1/b", "/a;v=1/b");
    check("/%252e%252e/x", "/%252e%252e/x");
}

#[test]
fn ambiguous_paths_are_refused() {
    for line in [
        "/a/../b",
        "/a/./b",
        "/..",
        "/a/%2e%2e/b",
        "/a/.%2E/b",
        "/%2e",
        "/a/..;x=1/b",
        "/a/..%3bx/b",
        "/a%2fb",
        "/a%2Fb",
        "/a%5cb",
        "/a%5Cb",
        "/a%00",
        "/a%0d%0ab",
        "/a%7f",
        "/a%20b/%",
        "/a%zz",
        "/a%2",
        "//..//x",
    ] {
        assert_eq!(path(line), Err(BadTarget::BadPath), "{line}");
    }
}

#[test]
fn one_host_one_spelling() {
    let check = |told: &str, expected: &str| assert_eq!(host(told).as_deref(), Ok(expected), "{told}");
    check("Example.COM", "example.com");
    check("example.com:80", "example.com");
    check("example.com.", "example.com");
    check("example.com.:80", "example.com");
    check("example.com:8080", "example.com:8080");
    check("127.0.0.1:08080", "127.0.0.1:8080");
    check("[::1]:80", "[::1]");
    check("a_b", "a_b");
}

#[test]
fn bad_hosts_are_refused() {
    for told in [
        "", ".", "a..b", ".a", "a:", "a:0", "a:65536", "a:+1", "a:1:2", "user@a", "a/b", "a b", "a,b", "a%41", "[::1",
        "::1", "[x]", "a\\b", "[::1]x", "a?b", "a#b", "é", "a\t",
    ] {
        assert_eq!(host(told), Err(BadTarget::BadHost), "{told}");
    }
}

#[test]
fn there_is_exactly_one_host() {
    assert_eq!(parse("GET", "/", &[]), Err(BadTarget::NotOneHost));
    assert_eq!(parse("GET", "/", &[("host", "a"), ("host", "a")]), Err(BadTarget::NotOneHost));
    assert_eq!(parse("GET", "http://b/", &[("host", "a")]), Err(BadTarget::HostsDiffer));
    assert_eq!(parse("GET", "http://a:81/", &[("host", "a")]), Err(BadTarget::HostsDiffer));
    assert_eq!(parse("GET", "http://u@a/", &[("host", "a")]), Err(BadTarget::BadHost));
    let same = parse("GET", "http://A:80/x?y", &[("host", "a")]).unwrap();
    assert_eq!((same.host(), same.path(), same.query()), ("a", "/x", Some("y")));
    let without_path = parse("GET", "http://a?y", &[("host", "a")]).unwrap().to_uri();
    assert_eq!(without_path.path_and_query().unwrap().as_str(), "/?y", "as it is sent");
}

#[test]
fn in_http_2_the_authority_is_the_host() {
    let read = |line: &str, host: Option<&str>| {
        let request = Request::builder().version(Version::HTTP_2).uri(line);
        let request = host.into_iter().fold(request, |request, host| request.header("host", host));
        Target::parse(&request.body(()).unwrap(), "https").map(|target| target.to_string())
    };
    assert_eq!(read("https://A:443/x", None).as_deref(), Ok("a/x"));
    assert_eq!(read("https://a/x", Some("A")).as_deref(), Ok("a/x"));
    assert_eq!(read("https://a/x", Some("b")), Err(BadTarget::HostsDiffer));
    assert_eq!(read("/x", None), Err(BadTarget::NotOneHost));
}

#[test]
fn only_web_requests_are_carried() {
    let host = [("host", "a")];
    assert_eq!(parse("CONNECT", "a:443", &host), Err(BadTarget::BadMethod));
    assert_eq!(parse("TRACE", "/", &host), Err(BadTarget::BadMethod));
    assert_eq!(parse("GET", "*", &host), Err(BadTarget::BadForm));
    assert_eq!(parse("GET", "a:443", &host), Err(BadTarget::BadForm));
    assert_eq!(parse("GET", "ftp://a/", &host), Err(BadTarget::BadForm));
    assert_eq!(parse("OPTIONS", "*", &host).unwrap().path(), "*");
}

#[test]
fn the_body_has_one_length() {
    let check = |extra: &[(&str, &str)], expected: Result<(), BadTarget>| {
        let headers = [&[("host", "a")], extra].concat();
        assert_eq!(parse("POST", "/", &headers).map(|_| ()), expected, "{extra:?}");
    };
    let refused = Err(BadTarget::BadFraming);
    check(&[("content-length", "5")], Ok(()));
    check(&[("transfer-encoding", "Chunked")], Ok(()));
    check(&[("content-length", "5"), ("transfer-encoding", "chunked")], refused);
    check(&[("content-length", "5"), ("content-length", "6")], refused);
    check(&[("content-length", "5"), ("content-length", "5")], refused);
    for length in ["+5", "5,5", "0x5", "-1", "", "5 "] {
        check(&[("content-length", length)], refused);
    }
    for coding in ["gzip, chunked", "chunked, chunked", "identity", "xchunked", "chunked;q=1", "chunked,"] {
        check(&[("transfer-encoding", coding)], refused);
    }
    check(&[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")], refused);
}
