//! The pages that the gateway itself shows: the waiting page and short notices.
//!
//! Each is one response with everything in it, rendered from the templates in `waiting-room-ui/waiting`,
//! which the binary carries.

use minijinja::{Environment, context};
use rust_embed::RustEmbed;

use crate::room::Room;
use crate::status::Status;

#[derive(RustEmbed)]
#[folder = "waiting-room-ui/waiting"]
struct Files;

/// The templates, parsed once.
#[derive(Debug)]
pub struct Pages(Environment<'static>);

/// What a short notice says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Notice<'a> {
    /// The window's title.
    pub title: &'a str,
    /// What has happened, in a line.
    pub heading: &'a str,
    /// What it means and what to do.
    pub text: &'a str,
    /// Where a button leads, and what it says.
    pub action: Option<(&'a str, &'a str)>,
    /// After how many seconds the page asks again.
    pub refresh_seconds: Option<u64>,
}

impl Pages {
    /// Parses the templates.
    ///
    /// # Panics
    /// When a template that was built in does not parse; a test holds that they do.
    #[must_use]
    pub fn new() -> Self {
        let mut environment = Environment::new();
        for name in Files::iter() {
            let file = Files::get(&name).map(|file| file.data.into_owned()).unwrap_or_default();
            let text = String::from_utf8(file).expect("templates are UTF-8");
            environment.add_template_owned(format!("waiting/{name}"), text).expect("templates parse");
        }
        Self(environment)
    }

    /// Renders the waiting page of someone with this status.
    #[must_use]
    pub fn waiting(&self, room: &Room, status: &Status, support_code: &str, nonce: &str) -> String {
        let name = room.rules.name.as_str();
        let status_json = serde_json::to_string(status).unwrap_or_default().replace('<', "\\u003c");
        self.render(
            "waiting/page.html",
            context! {
                nonce, status_json, support_code,
                status => minijinja::value::Serde(status),
                lang => "en",
                room => name,
                title => room.rules.title.as_str(),
                refresh_seconds => status.next_update_seconds.max(5),
                grace_seconds => status.grace_seconds,
                live_path => format!("/.vestibule/live?room={name}"),
                status_path => format!("/.vestibule/status?room={name}"),
                leave_path => format!("/.vestibule/leave?room={name}"),
            },
        )
    }

    /// Renders a notice.
    #[must_use]
    pub fn notice(&self, notice: &Notice<'_>, nonce: &str) -> String {
        self.render(
            "waiting/notice.html",
            context! {
                nonce,
                lang => "en",
                title => notice.title,
                heading => notice.heading,
                text => notice.text,
                action_href => notice.action.map(|(href, _)| href),
                action_label => notice.action.map(|(_, label)| label),
                refresh_seconds => notice.refresh_seconds,
            },
        )
    }

    fn render(&self, name: &str, context: minijinja::Value) -> String {
        let rendered = self.0.get_template(name).and_then(|template| template.render(context));
        rendered.unwrap_or_else(|fault| {
            tracing::error!(%fault, name, "a page could not be rendered");
            "Please wait a moment, then load this page again. Your place is kept.".to_owned()
        })
    }
}

impl Default for Pages {
    fn default() -> Self {
        Self::new()
    }
}
