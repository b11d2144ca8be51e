use super::*;

const SALE: &str = r#"
upstream = "http://127.0.0.1:9000"

[room.sale]
title = "The sale"
hosts = ["shop.example"]
paths = ["/book/*"]
items = ["/api/inventory/{key}"]
admissions_per_second = 50
session_duration = "10m"
grace = "2m"
"#;

fn problems(text: &str) -> Vec<String> {
    let problems = Config::parse(text, &Environment::new()).unwrap_err();
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn a_small_file_is_enough() {
    let config = Config::parse(SALE, &Environment::new()).unwrap();
    let room = &config.rooms[0];
    assert_eq!((room.rules.title.as_str(), room.limits.interval_us, room.limits.burst), ("The sale", 20_000, 10));
    assert_eq!((room.limits.session_duration_s, room.limits.grace_ms), (600, 120_000));
    assert_eq!((config.listen.port(), config.is_tls), (8080, false));
    let tls = Config::parse(&format!("public_scheme = \"https\"\n{SALE}"), &Environment::new()).unwrap();
    assert!(tls.is_tls);
}

#[test]
fn the_environment_sets_any_key() {
    let environment = [
        ("VESTIBULE_LISTEN", "127.0.0.1:99"),
        ("VESTIBULE_STORE_URL", "redis://127.0.0.1/"),
        ("VESTIBULE_ROOM_SALE_ADMISSIONS_PER_SECOND", "2.5"),
        ("VESTIBULE_ROOM_SALE_PATHS", "/a/*, /b"),
    ];
    let environment = environment.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    let config = Config::parse(SALE, &environment).unwrap();
    assert_eq!(config.listen.port(), 99);
    assert_eq!(config.store_url.as_deref(), Some("redis://127.0.0.1/"));
    assert_eq!(config.rooms[0].limits.interval_us, 400_000);
    assert_eq!(config.rooms[0].claim.paths.len(), 2);
}

fn with_environment(text: &str, variables: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let environment = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Config::parse(text, &environment).map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

#[test]
fn a_variable_that_sets_nothing_is_told_and_no_error() {
    let variables = [("VESTIBULE_STORE_ULR", "redis://127.0.0.1/"), ("VESTIBULE_PORT", "tcp://10.0.0.1:80")];
    let config = with_environment(SALE, &variables).unwrap();
    let told: Vec<String> = config.ignored_variables.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        ["VESTIBULE_STORE_ULR is ignored: it sets no key that is known here; did you mean VESTIBULE_STORE_URL?"]
    );
    let told = with_environment("[room.a]", &[("VESTIBULE_UPSTREEM", "x"), ("VESTIBULE_ELSE", "x")]).unwrap_err();
    assert!(told.len() == 2 && told[1].ends_with("did you mean VESTIBULE_UPSTREAM?"), "{told:?}");
}

#[test]
fn a_wrong_value_of_a_variable_names_the_variable() {
    for (name, value, what) in [
        ("VESTIBULE_ROOM_SALE_ADMISSIONS_PER_SECOND", "many", "is a number from 0 to"),
        ("VESTIBULE_LISTEN", "8080", "is an IP address and a port, such as 127.0.0.1:8080, not `8080`"),
        ("VESTIBULE_ADMIN_TOKEN", "short", "an admin token has at least 16"),
        ("VESTIBULE_ROOM_SALE_PATHS", "/a, b", "`b` is no path pattern"),
        ("VESTIBULE_UPSTREAM", "ftp://x", "an upstream is written http://HOST:PORT"),
    ] {
        let told = with_environment(SALE, &[(name, value)]).unwrap_err();
        assert!(told.len() == 1 && told[0].starts_with(&format!("{name}: {what}")), "{told:?}");
    }
}

#[test]
fn of_a_list_every_part_that_is_wrong_is_told() {
    let told = problems(&SALE.replace("[\"/book/*\"]", "[\"/book/**\", \"/boo*k\", \"book\"]"));
    assert!(told.len() == 3 && told.iter().all(|problem| problem.starts_with("line 7: room.sale.paths: ")), "{told:?}");
}

#[test]
fn what_is_misspelt_or_wrong_is_not_missing() {
    for text in [
        "upstreem = \"http://127.0.0.1:9\"\n[room.a]\n[room.b]\nhosts = [\"b\"]",
        "upstream = \"ftp://x\"\n[room.a]",
        "[room.a]\nupstreem = \"http://127.0.0.1:9\"",
        "[room.a]\nupstream = \"ftp://x\"",
        "[room.a]\nupstream = 5",
        "upstream = \"http://127.0.0.1:9\"\n[room.a]\nqueueing_method = \"draw\"\nstarts_at = \"soon\"",
        "upstream = \"http://127.0.0.1:9\"\n[room.a]\nqueueing_method = \"draw\"\nstart_at = 2026-12-01T10:00:00Z",
        "upstream = \"http://127.0.0.1:9\"\n[room.a]\n[traces]\nendpoit = \"http://127.0.0.1:9\"\nslow = \"1s\"",
    ] {
        let told = problems(text);
        assert!(told.len() == 1 && !told[0].contains("is missing"), "{text}\n{told:?}");
    }
}

#[test]
fn a_secret_may_stand_in_a_file_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (token, url) = (file("token", "sixteen characters\n"), file("url", "redis://:word@127.0.0.1/\n"));
    let text = format!("admin_token_file = \"{token}\"\n{SALE}\n[store]\nurl_file = \"{url}\"");
    let config = Config::parse(&text, &Environment::new()).unwrap();
    assert_eq!(config.admin_token.as_deref(), Some("sixteen characters"));
    assert_eq!(config.store_url.as_deref(), Some("redis://:word@127.0.0.1/"));

    let empty = file("empty", " \n");
    for (text, told) in [
        ("url_file = \"/no/such\"".to_owned(), "store.url_file: cannot read /no/such: No such file"),
        (format!("url_file = \"{empty}\""), "empty is empty"),
        (format!("url = \"redis://h\"\nurl_file = \"{url}\""), "store.url_file: give url or url_file, not both"),
        (format!("url_file = \"{token}\""), "store.url: "),
    ] {
        let problems = problems(&format!("{SALE}\n[store]\n{text}"));
        assert!(problems.len() == 1 && problems[0].contains(told), "{problems:?}");
    }
}

#[test]
fn every_problem_is_told_with_its_place() {
    let text = r#"listen = "nonsense"
lisen = "127.0.0.1:1"
workers = -1
[store]
url = "http://x"
[room.Sale]
[room.a]
paths = ["book"]
admissions_per_second = "many"
session_duration = "soon"
queueing_method = "lottery"
queueing_status = 418
total_active_user = 5
upstream = "http://x/y"
"#;
    let told = problems(text);
    for (line, part) in [
        (1, "listen: is an IP address and a port, such as 127.0.0.1:8080, not `nonsense`"),
        (2, "lisen: is no key that is known here; did you mean `listen`?"),
        (3, "workers: is a whole number from 0 to 256"),
        (5, "store.url: this is no address of a Redis store"),
        (6, "room.Sale: `Sale` cannot name a room"),
        (6, "room.Sale.upstream: is missing"),
        (8, "room.a.paths: `book` is no path pattern"),
        (9, "room.a.admissions_per_second: is a number"),
        (10, "room.a.session_duration: is a time span"),
        (11, "room.a.queueing_method: is one of fifo"),
        (12, "room.a.queueing_status: the waiting page has status"),
        (13, "room.a.total_active_user: is no key that is known here; did you mean `total_active_users`?"),
        (14, "room.a.upstream: `http://x/y`"),
    ] {
        let place = format!("line {line}: {part}");
        assert!(told.iter().any(|problem| problem.starts_with(&place)), "{place}\n{told:#?}");
    }
}

#[test]
fn a_text_that_is_no_toml_is_told_with_its_line() {
    assert!(problems("listen = \"127.0.0.1:1\"\n[room")[0].starts_with("line 2: "));
}

#[test]
fn rooms_that_claim_the_same_are_told() {
    let text = "upstream = \"http://127.0.0.1:1\"\n[room.a]\n[room.b]\n";
    assert!(problems(text)[0].contains("rooms `a` and `b` both claim */*"));
    assert!(problems("")[0].contains("there is no room"));
}

#[test]
fn what_could_not_work_is_told() {
    let text = "listen = \"127.0.0.1:9\"\nadmin_listen = \"127.0.0.1:9\"\nupstream = \"http://127.0.0.1:9\"\n[room.a]\n\
                paths = []\nsession_duration = \"0s\"\ntitel = \"x\"\n";
    let told = problems(text);
    for part in
        ["the same address as `listen`", "this gateway itself", "paths: is empty", "\"1s\" to", "did you mean `title`?"]
    {
        assert!(told.iter().any(|problem| problem.contains(part)), "{part}\n{told:#?}");
    }
}

#[test]
fn a_rate_adapts_between_a_floor_and_a_ceiling() {
    let adaptive = |keys: &str| format!("{SALE}[room.sale.adaptive]\n{keys}\n");
    let config = Config::parse(&adaptive("floor = 5\nmax_in_flight = 40"), &Environment::new()).unwrap();
    let room = &config.rooms[0];
    assert_eq!((room.limits.floor_interval_us, room.rules.tolerance.max_in_flight), (Some(200_000), Some(40)));
    assert!(room.limits.adapts());
    let silent = Config::parse(&adaptive(""), &Environment::new()).unwrap();
    assert!(!silent.rooms[0].limits.adapts(), "until an operator sets a floor");
    let found = problems(&adaptive("floor = 51\ntolerance = 1\nmax_errors = 0\nmost = 3"));
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(found[0].contains("line 13") && found[0].contains("above the ceiling"), "{found:?}");
    let unlimited = adaptive("floor = 5").replace("admissions_per_second = 50\n", "");
    assert!(problems(&unlimited)[0].contains("give the room admissions_per_second"));
}

/// A room that knows persons by these keys, and a folder with a key of the site's.
fn known_by(top: &str, keys: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("secret");
    std::fs::write(&key, "a secret of the site's own, 32 bytes long at least").unwrap();
    let keys = keys.replace("KEY", key.to_str().unwrap());
    let text =
        format!("upstream = \"http://127.0.0.1:9\"\n{top}\n[room.a]\nbypass = [\"/login\"]\n[room.a.person]\n{keys}");
    match Config::parse(&text, &Environment::new()) {
        Ok(config) => {
            assert!(config.rooms[0].rules.person.is_some());
            Vec::new()
        }
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn a_room_may_know_persons() {
    let signed = "claim = \"sub\"\nalgorithm = \"HS256\"\nkey_file = \"KEY\"\n";
    let proxies = "trusted_proxies = [\"127.0.0.1\"]";
    let sign_in = "sign_in = \"/login?next={return}\"\n";
    assert_eq!(known_by("", &format!("cookie = \"session\"\n{signed}{sign_in}")), [""; 0]);
    assert_eq!(
        known_by("", &format!("header = \"Authorization\"\n{signed}issuer = \"x\"\nrequired = false\n")),
        [""; 0]
    );
    assert_eq!(known_by(proxies, &format!("header = \"X-User\"\n{sign_in}")), [""; 0]);
    assert!(Config::parse(SALE, &Environment::new()).unwrap().rooms[0].rules.person.is_none());
}

#[test]
fn what_could_not_tell_persons_apart_is_told() {
    let signed = "claim = \"sub\"\nalgorithm = \"HS256\"\nkey_file = \"KEY\"\n";
    let proxies = "trusted_proxies = [\"127.0.0.1\"]";
    for (top, keys, parts) in [
        ("", String::new(), vec!["line 5: room.a.person.header: is missing"]),
        ("", "header = \"X-User\"".to_owned(), vec!["counts from `trusted_proxies` only"]),
        ("", "cookie = \"s\"".to_owned(), vec!["claim: is missing", "algorithm: is missing", "key_file: is missing"]),
        (
            "",
            format!("cookie = \"s\"\nheader = \"x\"\n{signed}"),
            vec!["line 6: room.a.person.cookie: give `header` or"],
        ),
        (proxies, "header = \"Cookie\"".to_owned(), vec!["is taken for something else"]),
        (proxies, "header = \"Vestibule-Visitor\"".to_owned(), vec!["is taken for something else"]),
        (proxies, "header = \"no header\"".to_owned(), vec!["line 6: room.a.person.header: `no header`"]),
        (
            "",
            format!("cookie = \"s\"\n{}", signed.replace("HS256", "none")),
            vec!["algorithm: `none`: is none of EdDSA"],
        ),
        (
            "",
            format!("cookie = \"s\"\n{}", signed.replace("HS256", "ES256")),
            vec!["line 9: room.a.person.key_file: ES256 needs"],
        ),
        ("", format!("cookie = \"s\"\n{}", signed.replace("KEY", "/no/such")), vec!["key_file: cannot read /no/such"]),
        (proxies, "header = \"X-User\"\nrequired = \"yes\"".to_owned(), vec!["required: is true or false"]),
        (proxies, "header = \"X-User\"\nsign_in = \"//evil\"".to_owned(), vec!["sign_in: is a path of the site"]),
        (
            proxies,
            "header = \"X-User\"\nsign_in = \"/enter\"".to_owned(),
            vec!["guards /enter, so that nobody could sign in"],
        ),
        (
            proxies,
            "header = \"X-User\"\nrequired = false\nsign_in = \"/login\"".to_owned(),
            vec!["sign_in: is only shown where `required` is true"],
        ),
        (proxies, "header = \"X-User\"\nhedaer = 1".to_owned(), vec!["did you mean `header`?"]),
    ] {
        let told = known_by(top, &keys);
        for part in parts {
            assert!(told.iter().any(|problem| problem.contains(part)), "{part}\n{told:#?}");
        }
    }
    let through = "trusted_proxies = [\"::1\"]\n[room.a]\nupstream = \"http://127.0.0.1:9\"\n\
                   queueing_method = \"passthrough\"\n[room.a.person]\nheader = \"X-User\"\n";
    assert!(problems(through)[0].contains("lets everyone through"));
}

#[test]
fn a_theme_is_tried_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let bad = write("bad.html", "<p>{{ t.h_waiting }}\n{{ statsu.state }}");
    let told = problems(&format!(
        "{SALE}[room.sale.theme]\nlogo = \"https://cdn.example/logo.png\"\naccent = \"#ffcc00\"\nhelp = \"javascript:x\"\n\
         template = {bad:?}\nacent = \"#000000\"\n"
    ));
    for (line, words) in told.iter().zip([
        "line 13: room.sale.theme.logo: is a picture as data:image/… or a path of the site",
        "line 14: room.sale.theme.accent: `#ffcc00`: its contrast on the page is",
        "line 15: room.sale.theme.help: is a path of the site or an address",
        "line 16: room.sale.theme.template: ",
        "line 17: room.sale.theme.acent: is no key that is known here; did you mean `accent`?",
    ]) {
        assert!(line.starts_with(words), "{line}");
    }
    assert_eq!(told.len(), 5, "{told:?}");
    assert!(told[3].contains("bad.html: line 2: undefined value"), "{}", told[3]);

    let dumb = write("dumb.html", "<body><script nonce=\"{{ nonce }}\">{% include \"waiting/script.html\" %}</script>");
    let told = problems(&format!("{SALE}[room.sale.theme]\ntemplate = {dumb:?}\n"));
    assert!(told[0].starts_with("line 13: room.sale.theme.template: ") && told[0].contains("id=words, "), "{told:?}");

    let good = write("good.html", "<!doctype html><title>{{ shown.tab }}</title>");
    let theme = format!("[room.sale.theme]\nlogo = \"/logo.svg\"\naccent = \"#8A1538\"\ntemplate = {good:?}\n");
    let config = Config::parse(&format!("{SALE}{theme}"), &Environment::new()).unwrap();
    let look = &config.rooms[0].theme;
    assert_eq!((look.logo.as_deref(), look.accent.unwrap().to_string()), (Some("/logo.svg"), "#8a1538".to_owned()));
    assert!(look.template.as_ref().unwrap().contains("shown.tab"));
}

#[test]
fn a_certificate_that_cannot_be_shown_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("empty.pem");
    std::fs::write(&file, "nothing").unwrap();
    let [file, nowhere] = [file, folder.path().join("nowhere.pem")].map(|path| path.display().to_string());
    let with = |top: &str, keys: &str| problems(&format!("{top}{SALE}[tls]\n{keys}"));
    let told = with("", &format!("certificate = \"{nowhere}\"\nkey = \"{nowhere}\""));
    assert!(
        told.len() == 2 && told[0].contains("tls.certificate: cannot") && told[1].contains("tls.key: "),
        "{told:?}"
    );
    for (top, keys, part) in [
        ("", format!("certificate = \"{nowhere}\"\nkey = \"{file}\""), "cannot read"),
        ("", format!("[admin_tls]\nclient_ca = \"{nowhere}\""), "admin_tls.certificate: is missing"),
        ("", format!("[admin_tls]\nclient_ca = \"{nowhere}\""), "admin_tls.client_ca: cannot read"),
        ("", format!("certificate = \"{file}\"\nkey = \"{file}\""), "holds no certificate in PEM"),
        ("", format!("certificate = \"{file}\""), "tls.key: is missing"),
        ("", format!("key = \"{file}\""), "tls.certificate: is missing"),
        ("public_scheme = \"http\"\n", format!("certificate = \"{file}\"\nkey = \"{file}\""), "leave it out"),
        ("proxy_protocol = true\n", String::new(), "there are none; name the balancer"),
        ("trusted_proxies = [\"10.1.2.3/8\"]\n", String::new(), "write `10.0.0.0/8`"),
    ] {
        let told = with(top, &keys);
        assert!(told.iter().any(|problem| problem.contains(part)), "{part}\n{told:#?}");
    }
}
