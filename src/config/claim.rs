//! Which requests are a room's: hosts, paths, methods, headers, and what of them needs no pass.

use std::path::PathBuf;

use hyper::Method;

use super::file::Section;
use crate::crawlers::Crawlers;
use crate::networks::Network;
use crate::route::{Claim, HeaderPattern, HostPattern, PathPattern};

/// Reads what a room claims; what it leaves out is no condition.
pub(super) fn claim(section: &mut Section<'_>) -> Claim {
    let (hosts, paths) = (section.parsed_list("hosts"), section.parsed_list("paths"));
    check_not_empty(section, "hosts", hosts.as_ref());
    check_not_empty(section, "paths", paths.as_ref());
    let paths = paths.unwrap_or_else(|| vec![PathPattern::all()]);
    Claim {
        hosts: hosts.unwrap_or_else(|| vec![HostPattern::Any]),
        bypass: bypass(section, &paths),
        paths,
        methods: methods(section),
        headers: section.parsed_list::<HeaderPattern>("headers").unwrap_or_default(),
        bypass_addresses: section.parsed_list::<Network>("bypass_addresses").unwrap_or_default().into(),
    }
}

/// Reads which files name the addresses of crawlers, and the files themselves.
pub(super) fn crawlers(section: &mut Section<'_>) -> Vec<PathBuf> {
    let files: Vec<PathBuf> = section.parsed_list("crawlers").unwrap_or_default();
    if let Err(bad) = Crawlers::open(&files) {
        section.problem("crawlers", bad.to_string());
    }
    files
}

/// Reads what of the room's paths needs no pass.
fn bypass(section: &mut Section<'_>, paths: &[PathPattern]) -> Vec<PathPattern> {
    let bypass: Vec<PathPattern> = section.parsed_list("bypass").unwrap_or_default();
    for pattern in &bypass {
        if !paths.iter().any(|path| path.meets(pattern)) {
            section.problem(
                "bypass",
                format!("{pattern} is not among the room's `paths`, so nobody needs a pass there: leave it out"),
            );
        }
    }
    bypass
}

/// A list may be left out, but not be empty: it would claim nothing.
fn check_not_empty<T>(section: &mut Section<'_>, key: &str, list: Option<&Vec<T>>) {
    if list.is_some_and(Vec::is_empty) {
        section.problem(key, "is empty, so the room would have no request; leave it out for all".to_owned());
    }
}

fn methods(section: &mut Section<'_>) -> Vec<Method> {
    let methods = section.parsed_list::<Method>("methods");
    check_not_empty(section, "methods", methods.as_ref());
    let methods = methods.unwrap_or_default();
    for method in &methods {
        if matches!(*method, Method::CONNECT | Method::TRACE) {
            section.problem("methods", format!("{method} is never forwarded; leave it out"));
        } else if method.as_str().bytes().any(|byte| byte.is_ascii_lowercase()) {
            let right = method.as_str().to_ascii_uppercase();
            section.problem("methods", format!("`{method}` is not `{right}`: methods are written in capitals"));
        }
    }
    methods
}
