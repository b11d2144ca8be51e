//! The variables of the environment that set keys, and those that look as if they did.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::spelling::nearest;

/// The variables that may set a key, such as `VESTIBULE_LISTEN` or `VESTIBULE_ROOM_SALE_TITLE`.
pub type Environment = BTreeMap<String, String>;

/// What these variables begin with.
const PREFIX: &str = "VESTIBULE_";

/// What else is set by variables that begin so: the log, a crowd, and the project's own tests and scripts.
const OTHERS: [&str; 5] = ["LOG", "CROWD_ALLOW_REMOTE", "BIN", "TORTURE_SECONDS", "TEST_"];

/// A variable that looks as if it set a key, and sets none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IgnoredVariable {
    name: String,
    /// The variable that may be meant.
    pub(super) like: Option<String>,
}

impl fmt::Display for IgnoredVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is ignored: it sets no key that is known here", self.name)?;
        self.like.iter().try_for_each(|like| write!(f, "; did you mean {like}?"))
    }
}

/// The variable that sets the key at this path.
pub(super) fn name<'a>(path: impl IntoIterator<Item = &'a str>) -> String {
    let parts: Vec<String> = path.into_iter().map(|part| part.to_ascii_uppercase().replace('-', "_")).collect();
    PREFIX.to_owned() + &parts.join("_")
}

/// Finds the variables that set nothing, where `heard` are those that could.
pub(super) fn ignored(environment: &Environment, heard: &BTreeSet<String>) -> Vec<IgnoredVariable> {
    let rest = |name: &'_ str| name.strip_prefix(PREFIX).map(str::to_owned);
    let known: Vec<String> = heard.iter().filter_map(|name| rest(name)).collect();
    let names = environment.keys().filter(|name| !heard.contains(*name));
    let strange = names.filter_map(|name| rest(name)).filter(|rest| !is_of_others(rest) && !is_of_a_service(rest));
    let of = |rest: String| {
        let like = nearest(known.iter().map(String::as_str), &rest).map(|like| format!("{PREFIX}{like}"));
        IgnoredVariable { name: format!("{PREFIX}{rest}"), like }
    };
    strange.map(of).collect()
}

fn is_of_others(rest: &str) -> bool {
    OTHERS.iter().any(|other| if other.ends_with('_') { rest.starts_with(other) } else { rest == *other })
}

/// Tells whether Kubernetes or Docker makes such a variable by itself, for a service whose name begins with `vestibule`:
/// `SERVICE_HOST`, `SERVICE_PORT`, `SERVICE_PORT_HTTP`, `PORT`, `PORT_8080_TCP`, `PORT_8080_TCP_ADDR`.
fn is_of_a_service(rest: &str) -> bool {
    let rest = format!("_{rest}");
    let is_port = |after: &str| {
        let number = after.trim_start_matches(|c: char| c.is_ascii_digit());
        number.len() < after.len() && ["_TCP", "_UDP", "_SCTP"].iter().any(|kind| number.starts_with(kind))
    };
    rest.ends_with("_SERVICE_HOST")
        || rest.ends_with("_PORT")
        || rest.contains("_SERVICE_PORT_")
        || rest.match_indices("_PORT_").any(|(at, word)| is_port(&rest[at + word.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(names: &[&str]) -> Vec<String> {
        let environment = names.iter().map(|name| ((*name).to_owned(), String::new())).collect();
        let heard = ["LISTEN", "ADMIN_TOKEN", "STORE_URL", "ROOM_SALE_BURST"].map(|key| format!("VESTIBULE_{key}"));
        ignored(&environment, &BTreeSet::from(heard)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_misspelt_variable_is_told_with_the_nearest() {
        for (given, meant) in [
            ("VESTIBULE_LISTN", "did you mean VESTIBULE_LISTEN?"),
            ("VESTIBULE_STORE_ULR", "did you mean VESTIBULE_STORE_URL?"),
            ("VESTIBULE_TOKEN", "did you mean VESTIBULE_ADMIN_TOKEN?"),
            ("VESTIBULE_ROOM_SALE_BRUST", "did you mean VESTIBULE_ROOM_SALE_BURST?"),
            ("VESTIBULE_ANYTHING_ELSE", "VESTIBULE_ANYTHING_ELSE is ignored: it sets no key that is known here"),
        ] {
            let told = told(&[given]);
            assert!(told.len() == 1 && told[0].starts_with(given) && told[0].ends_with(meant), "{told:?}");
        }
    }

    #[test]
    fn what_sets_a_key_and_what_others_make_is_not_told() {
        let names = [
            "VESTIBULE_LISTEN",
            "VESTIBULE_LOG",
            "VESTIBULE_CROWD_ALLOW_REMOTE",
            "VESTIBULE_BIN",
            "VESTIBULE_TEST_PERSONS",
            "VESTIBULE_SERVICE_HOST",
            "VESTIBULE_SERVICE_PORT",
            "VESTIBULE_SERVICE_PORT_HTTP",
            "VESTIBULE_PORT",
            "VESTIBULE_PORT_8080_TCP",
            "VESTIBULE_PORT_8080_TCP_ADDR",
            "VESTIBULE_REDIS_SERVICE_HOST",
            "VESTIBULE_REDIS_PORT_6379_TCP_PROTO",
        ];
        assert_eq!(told(&names), [""; 0]);
        assert_eq!(told(&["VESTIBULE_PORT_TCP", "VESTIBULE_BINS"]).len(), 2);
    }
}
