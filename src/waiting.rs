//! The pages that the gateway itself shows: the waiting page and short notices.
//!
//! Each is one response with everything in it, rendered from the templates in `waiting-room-ui/waiting`, which the
//! binary carries, or from a room's own template; in the visitor's language, and only that one goes along.

mod accent;
mod checksum;
mod figures;
mod language;
mod mould;
mod numerals;
mod packing;
mod policy;
mod proof;
mod sample;
mod sentence;
mod theme;
mod whole;
mod words;

use std::collections::HashMap;
use std::sync::Arc;

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};
use quick_cache::sync::Cache;
use rust_embed::RustEmbed;

use self::figures::Shown;
use self::mould::{Mould, Own, Shape};
use self::packing::Piece;
use self::words::{Words, in_script};
use crate::status::Status;
pub use accent::Accent;
pub use language::Language;
pub use packing::Coding;
pub use policy::{Nonce, by_nonce};
pub use sample::{SAMPLES, sample};
pub use theme::{BadTemplate, Theme};
pub use whole::WaitingPage;

#[derive(RustEmbed)]
#[folder = "waiting-room-ui/waiting"]
struct Files;

/// The templates, parsed once, and the sentences of all languages.
pub struct Pages {
    environment: Environment<'static>,
    words: Vec<Words>,
    style: Piece,
    script: Piece,
    rooms: HashMap<String, Look>,
    languages: Value,
}

/// How a room's page looks.
struct Look {
    title: String,
    theme: Value,
    template: String,
    /// What it may load and do; `None` for a template of the room's own, whose styles and scripts show a nonce.
    policy: Option<Arc<str>>,
    /// Pages with gaps, by their shapes; `None` for a template of the room's own, of which it is not known what it does
    /// with what it is given.
    moulds: Option<Cache<Shape, Arc<Mould>>>,
}

/// So many shapes of a room's page are kept; a room has a few at a time.
const MOULDS_CAP: usize = 48;

/// Who sees a page: the language, how it is sent, and what lets its styles and scripts run.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    /// What it is written in.
    pub language: Language,
    /// How it is sent.
    pub coding: Coding,
    /// What the policy of the response names; empty where that names hashes.
    pub nonce: &'a str,
}

/// What a short notice says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Notice<'a> {
    /// Which of the notices in a language's sentences it is.
    pub kind: &'a str,
    /// The heading and the text where no language has it.
    pub plain: (&'a str, &'a str),
    /// What a button does.
    pub action: Option<Action<'a>>,
    /// After how many seconds the page asks again.
    pub refresh_seconds: Option<u64>,
    /// A link to be copied, and its picture, an SVG.
    pub link: Option<(&'a str, &'a str)>,
}

/// What a notice's button does.
#[derive(Clone, Copy, Debug)]
pub enum Action<'a> {
    /// Leads to an address; the empty one is this page.
    Go(&'a str, Label),
    /// Sends a form to an address.
    Send(&'a str, Label),
}

/// What a notice's button says.
#[derive(Clone, Copy, Debug)]
pub enum Label {
    /// Try again.
    Again,
    /// Sign in.
    SignIn,
    /// Join again.
    JoinAgain,
    /// Continue here.
    Continue,
}

impl Label {
    const fn key(self) -> &'static str {
        match self {
            Self::Again => "again",
            Self::SignIn => "sign_in_button",
            Self::JoinAgain => "join_again",
            Self::Continue => "continue_button",
        }
    }
}

impl Pages {
    /// Parses the templates; `rooms` are the rooms' names, titles and themes.
    ///
    /// # Panics
    /// When what was built in is not sound; a test holds that it is. A room's own template was read with its theme.
    #[must_use]
    pub fn new<'r>(rooms: impl IntoIterator<Item = (&'r str, &'r str, &'r Theme)>) -> Self {
        let mut environment = environment();
        let [style, script] = [STYLE, SCRIPT].map(|name| shared(&environment, name));
        let mut looks = HashMap::new();
        for (name, title, theme) in rooms {
            let template = own_name(name, theme);
            if let Some(own) = &theme.template {
                environment.add_template_owned(template.clone(), own.clone()).expect("it was tried when it was read");
            }
            let can_mould = theme.template.is_none() && !theme.texts().chain([title]).any(mould::has_mark);
            let moulds = can_mould.then(|| Cache::new(MOULDS_CAP));
            let is_built_in = theme.template.is_none();
            let policy = is_built_in.then(|| policy::by_hash(&[style.as_str(), &theme.css()].concat(), &script).into());
            let (title, theme) = (title.to_owned(), theme.value());
            looks.insert(name.to_owned(), Look { title, theme, template, policy, moulds });
        }
        let offered = |language: Language| context! { tag => language.tag(), name => language.own_name() };
        Self {
            environment,
            words: Language::ALL.into_iter().map(Words::of).collect(),
            style: Piece::new(style),
            script: Piece::new(script),
            rooms: looks,
            languages: Language::ALL.into_iter().map(offered).collect(),
        }
    }

    /// Makes the waiting page of someone with this status, as it is sent.
    #[must_use]
    pub fn waiting(&self, status: &Status, support_code: &str, language: Language, coding: Coding) -> WaitingPage {
        let mould = || self.mould(status, support_code, language);
        let fill = |mould: Arc<Mould>| mould.fill(status, support_code, self.words(language), coding);
        match Mould::fits(support_code).then(mould).flatten() {
            Some(Ok(mould)) => WaitingPage::Filled(fill(mould)),
            _ => self.render_whole(status, support_code, language, coding),
        }
    }

    fn render_whole(&self, status: &Status, code: &str, language: Language, coding: Coding) -> WaitingPage {
        let policy = self.rooms.get(&status.room).and_then(|look| look.policy.clone());
        let nonce = policy.is_none().then(Nonce::random);
        let reader = Reader { language, coding, nonce: nonce.as_ref().map_or("", Nonce::as_str) };
        let rendered = self.render(status, code, reader).unwrap_or_else(|fault| {
            tracing::error!(%fault, room = %status.room, "a waiting page could not be rendered");
            PLAIN.to_owned()
        });
        let policy = policy.unwrap_or_else(|| by_nonce(reader.nonce).into());
        WaitingPage::Rendered { body: self.coded(rendered, reader), policy }
    }

    fn render(&self, status: &Status, code: &str, reader: Reader<'_>) -> Result<String, minijinja::Error> {
        let (words, refresh_seconds) = (self.words(reader.language), refresh_seconds(status));
        let own = Own {
            nonce: reader.nonce.to_owned(),
            code: code.to_owned(),
            status_json: in_script(status),
            shown: Shown::plain(status, words, refresh_seconds),
        };
        self.show(status, &own, words, &Paths::of(&status.room))
    }

    /// Finds, or makes, the mould of a status's page; `None` where the room's page cannot have one.
    fn mould(&self, status: &Status, code: &str, language: Language) -> Option<Result<Arc<Mould>, minijinja::Error>> {
        let look = self.rooms.get(&status.room)?;
        let (moulds, policy) = (look.moulds.as_ref()?, look.policy.as_ref()?);
        if status.message.as_deref().is_some_and(mould::has_mark) {
            return None;
        }
        let (words, refresh_seconds) = (self.words(language), refresh_seconds(status));
        let shape = Shape::of(status, code, language, refresh_seconds);
        let make = || {
            let own = Own::marks(status, code, words, refresh_seconds);
            let page = self.show(status, &own, words, &Paths::of(&status.room))?;
            Ok(Arc::new(Mould::of(&page, Arc::clone(policy))))
        };
        Some(moulds.get_or_insert_with(&shape, make))
    }

    /// Renders the page as it would look at `now_ms` to somebody who has it open, with nothing behind it.
    ///
    /// # Errors
    /// The template's fault, with its line.
    pub fn preview(&self, status: &Status, reader: Reader<'_>, now_ms: u64) -> Result<String, BadTemplate> {
        let words = self.words(reader.language);
        let own = Own {
            nonce: reader.nonce.to_owned(),
            code: "1A2B-3C4D".to_owned(),
            status_json: in_script(status),
            shown: Shown::plain(status, words, refresh_seconds(status)).followed(status, words, now_ms),
        };
        self.show(status, &own, words, &Paths::default()).map_err(BadTemplate::of)
    }

    fn show(&self, status: &Status, own: &Own, words: &Words, paths: &Paths) -> Result<String, minijinja::Error> {
        let refresh_seconds = refresh_seconds(status);
        let look = self.rooms.get(&status.room);
        let template = look.map_or(BUILT_IN, |look| &look.template);
        self.environment.get_template(template)?.render(context! {
            nonce => own.nonce.as_str(),
            support_code => own.code.as_str(),
            refresh_seconds,
            status_json => own.status_json.as_str(),
            words_json => words.live_json.as_str(),
            status => Serde(status),
            shown => Serde(&own.shown),
            t => words.page.clone(),
            lang => words.language.tag(),
            dir => words.language.direction(),
            languages => self.languages.clone(),
            theme => look.map_or(Value::from(()), |look| look.theme.clone()),
            room => status.room.as_str(),
            title => look.map_or(status.room.as_str(), |look| look.title.as_str()),
            grace_seconds => status.grace_seconds,
            live_path => paths.live.as_str(),
            status_path => paths.status.as_str(),
            leave_path => paths.leave.as_str(),
            link_path => paths.link.as_str(),
        })
    }

    /// Renders a notice, in English where the language does not have it.
    #[must_use]
    pub fn notice(&self, notice: &Notice<'_>, reader: Reader<'_>) -> String {
        let own = self.words(reader.language);
        let (words, (heading, text)) = match own.notice(notice.kind) {
            Some(said) => (own, said),
            None => (self.words(Language::En), notice.plain),
        };
        let (href, form, label) = match notice.action {
            Some(Action::Go(href, label)) => (Some(href), None, Some(label)),
            Some(Action::Send(form, label)) => (None, Some(form), Some(label)),
            None => (None, None, None),
        };
        let every = |seconds: u64| words.short("renews", &[("span", &words.span(seconds as f64))]);
        let rendered = self.environment.get_template("waiting/notice.html").and_then(|template| {
            template.render(context! {
                nonce => reader.nonce,
                lang => words.language.tag(),
                dir => words.language.direction(),
                heading, text,
                action_href => href,
                form_action => form,
                action_label => label.map(|label| words.short(label.key(), &[])),
                refresh_seconds => notice.refresh_seconds,
                renews => notice.refresh_seconds.map(every),
                link => notice.link.map(|(link, _)| link),
                picture => notice.link.map(|(_, picture)| picture),
            })
        });
        rendered.unwrap_or_else(|fault| {
            tracing::error!(%fault, kind = notice.kind, "a notice could not be rendered");
            PLAIN.to_owned()
        })
    }

    /// Makes of a page what is sent.
    #[must_use]
    pub fn coded(&self, page: String, reader: Reader<'_>) -> Vec<u8> {
        match reader.coding {
            Coding::Identity => page.into_bytes(),
            Coding::Gzip => packing::gzip(&page, [&self.style, &self.words(reader.language).live_piece, &self.script]),
        }
    }

    fn words(&self, language: Language) -> &Words {
        let found = self.words.iter().find(|words| words.language == language);
        found.expect("the words of every language are there")
    }
}

/// After how many seconds a page without scripts asks again.
fn refresh_seconds(status: &Status) -> u64 {
    status.next_update_seconds.max(5)
}

/// What is shown where a template fails.
const PLAIN: &str = "Please wait a moment, then load this page again. Your place is kept.";

/// The page that a room has unless it has its own.
const BUILT_IN: &str = "waiting/page.html";

/// What every page has in common.
const STYLE: &str = "waiting/page.css";
const SCRIPT: &str = "waiting/script.html";

/// Renders a part that is given no values, and so is the same on every page.
fn shared(environment: &Environment<'_>, name: &str) -> String {
    let rendered = environment.get_template(name).and_then(|part| part.render(()));
    rendered.expect("what is built in is whole")
}

/// Where a room's page asks; nowhere in a preview.
#[derive(Debug, Default)]
struct Paths {
    live: String,
    status: String,
    leave: String,
    link: String,
}

impl Paths {
    fn of(room: &str) -> Self {
        let [live, status, leave, link] =
            ["live", "status", "leave", "link"].map(|verb| format!("/.vestibule/{verb}?room={room}"));
        Self { live, status, leave, link }
    }
}

fn own_name(room: &str, theme: &Theme) -> String {
    if theme.template.is_some() { format!("room/{room}.html") } else { BUILT_IN.to_owned() }
}

/// Makes an environment with the templates that the binary carries. What no template is given is an error in it, but may
/// be asked after.
fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_auto_escape_callback(|name| match name.ends_with(".html") {
        true => AutoEscape::Html,
        false => AutoEscape::None,
    });
    for name in Files::iter().filter(|name| !name.starts_with("languages/")) {
        let file = Files::get(&name).map(|file| file.data.into_owned()).unwrap_or_default();
        let text = String::from_utf8(file).expect("templates are UTF-8");
        let text = match name.rsplit('.').next() {
            Some("html") => unindented(&text),
            Some("css") => tight(&lean(&text)),
            _ => lean(&text),
        };
        environment.add_template_owned(format!("waiting/{name}"), text).expect("templates parse");
    }
    environment
}

/// Leaves out the indentation, which a browser does not show.
fn unindented(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    lines.join("\n")
}

/// Leaves out the comments of a script or style, its indentation, and what else a browser does not need: the ends of
/// lines where something else ends, and `export`. A comment stands on a line of its own.
fn lean(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !is_comment(line));
    let lines = lines.map(|line| line.strip_prefix("export ").unwrap_or(line));
    lines.flat_map(|line| [line, if line.ends_with([';', '{']) { "" } else { "\n" }]).collect()
}

/// Leaves out the spaces of a style that part nothing. No string in it has any of these.
fn tight(style: &str) -> String {
    let parts = [(": ", ":"), (", ", ","), ("; ", ";"), (" {", "{"), ("{ ", "{"), (" }", "}")];
    let tight = parts.iter().fold(style.to_owned(), |text, (spaced, bare)| text.replace(spaced, bare));
    tight.replace(";}", "}").replace("}\n", "}")
}

fn is_comment(line: &str) -> bool {
    line.starts_with("//") || (line.starts_with("/*") && line.ends_with("*/"))
}

#[cfg(test)]
mod tests;
