//! How a room's page looks: a few settings, or an own template.

use std::fmt;

use minijinja::{Value, context};
use serde_json::json;

use super::accent::Accent;
use super::language::Language;
use super::sample::{SAMPLES, sample};
use super::{Coding, Pages, Reader};

/// A room's look. All of it may be left out.
#[derive(Clone, Debug, Default)]
pub struct Theme {
    /// A picture beside the title: a `data:` address or a path of the site.
    pub logo: Option<String>,
    /// The colour of what stands out.
    pub accent: Option<Accent>,
    /// What the organiser says to all, below the first words.
    pub text: Option<String>,
    /// Where help is: a path of the site or an address.
    pub help: Option<String>,
    /// The page's own template, its text.
    pub template: Option<String>,
}

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct BadTemplate(String);

impl fmt::Display for BadTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl BadTemplate {
    pub(super) fn of(fault: minijinja::Error) -> Self {
        let line = fault.line().map(|line| format!("line {line}: ")).unwrap_or_default();
        let detail = fault.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
        Self(format!("{line}{}{detail}", fault.kind()))
    }
}

/// The moment at which a template is tried, in milliseconds since the Unix epoch.
const TRIED_MS: u64 = 1_795_000_000_000;

/// What the page's script reads before anything else: the sentences, the status, and where it asks.
const NEEDED: [&str; 4] = ["id=words", "id=status", "data-live=", "data-poll="];

/// Tells whether a page has the script that follows the line, by whichever files it took it in.
fn follows(pages: &Pages, page: &str) -> bool {
    pages.environment.get_template("waiting/page.js").is_ok_and(|script| page.contains(script.source().trim()))
}

/// Lists what a page lacks of that, however it quotes.
fn lacking(page: &str) -> Vec<&'static str> {
    let bare = page.replace(['"', '\''], "");
    NEEDED.into_iter().filter(|needed| !bare.contains(needed)).collect()
}

impl Theme {
    /// Tries the own template in every state and in a language of each direction, so that no visitor is the first to
    /// find its faults.
    ///
    /// # Errors
    /// The first fault, with its line.
    pub fn try_out(&self) -> Result<(), BadTemplate> {
        let Some(template) = &self.template else { return Ok(()) };
        super::environment().add_template_owned("room/sample.html", template.clone()).map_err(BadTemplate::of)?;
        let pages = Pages::new([("sample", "Sample", self)]);
        for language in [Language::En, Language::Ar] {
            for name in SAMPLES {
                let status = sample(name, "sample", TRIED_MS).unwrap_or_else(|| unreachable!("{name} is a sample"));
                let reader = Reader { language, coding: Coding::Identity, nonce: "nonce" };
                let page = pages.preview(&status, reader, TRIED_MS)?;
                if !page.contains("nonce=\"nonce\"") && (page.contains("<script") || page.contains("<style")) {
                    return Err(BadTemplate(
                        "no style or script has nonce=\"{{ nonce }}\", so none would run".to_owned(),
                    ));
                }
                let lacking = if follows(&pages, &page) { lacking(&page) } else { Vec::new() };
                if !lacking.is_empty() {
                    return Err(BadTemplate(format!(
                        "it runs the page's script and lacks what that cannot do without: {}; take them from \
                         waiting-room-ui/waiting/page.html",
                        lacking.join(", ")
                    )));
                }
            }
        }
        Ok(())
    }

    /// Lists what an operator has written.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        [&self.logo, &self.text, &self.help].into_iter().filter_map(|text| text.as_deref())
    }

    /// Returns what the templates see of it.
    pub(super) fn value(&self) -> Value {
        context! {
            logo => self.logo.as_deref(),
            text => self.text.as_deref(),
            help => self.help.as_deref(),
            css => Value::from_safe_string(self.css()),
        }
    }

    /// Returns what stands behind the style that all pages have.
    pub(super) fn css(&self) -> String {
        self.accent.map(|accent| accent.css()).unwrap_or_default()
    }
}

impl fmt::Display for Theme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let accent = self.accent.map(|accent| accent.to_string());
        write!(f, "{}", json!({"accent": accent, "logo": self.logo.is_some(), "template": self.template.is_some()}))
    }
}
