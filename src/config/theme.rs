//! `[room.NAME.theme]`: how a room's page looks.

use std::fs;

use super::file::Section;
use crate::waiting::Theme;

/// The longest picture that goes along with the page, in bytes: the page is to fit into the first packets.
const LOGO_CAP_BYTES: usize = 4_096;

/// The longest text to all.
const TEXT_CAP_CHARS: usize = 500;

/// Reads the table, where a room has one.
pub(super) fn theme(room: &mut Section<'_>) -> Theme {
    let Some(mut section) = room.section("theme") else { return Theme::default() };
    let theme = Theme {
        logo: logo(&mut section),
        accent: section.parsed("accent"),
        text: text(&mut section),
        help: help(&mut section),
        template: template(&mut section),
    };
    room.close(section);
    theme
}

fn logo(section: &mut Section<'_>) -> Option<String> {
    let logo = section.text("logo")?;
    let is_picture = logo.starts_with("data:image/");
    if !(is_picture || is_path(&logo)) {
        let what = "is a picture as data:image/… or a path of the site, such as \"/logo.svg\"; no other site is asked";
        section.problem("logo", what.to_owned());
    } else if logo.len() > LOGO_CAP_BYTES {
        let what =
            format!("has {} bytes, and {LOGO_CAP_BYTES} at most go along with the page; give its path", logo.len());
        section.problem("logo", what);
    }
    Some(logo)
}

fn text(section: &mut Section<'_>) -> Option<String> {
    let text = section.text("text")?;
    if text.chars().count() > TEXT_CAP_CHARS {
        section.problem("text", format!("has at most {TEXT_CAP_CHARS} characters"));
    }
    Some(text)
}

fn help(section: &mut Section<'_>) -> Option<String> {
    let help = section.text("help")?;
    let is_elsewhere = ["https://", "http://", "mailto:", "tel:"].iter().any(|scheme| help.starts_with(scheme));
    if !(is_path(&help) || is_elsewhere && help.bytes().all(|byte| byte.is_ascii_graphic())) {
        section.problem("help", "is a path of the site or an address, such as \"/help\"".to_owned());
    }
    Some(help)
}

/// Reads a template and tries it.
fn template(section: &mut Section<'_>) -> Option<String> {
    let path = section.text("template")?;
    let read = fs::read_to_string(&path);
    let text = read.map_err(|e| section.problem("template", format!("cannot read {path}: {e}"))).ok()?;
    let tried = Theme { template: Some(text.clone()), ..Theme::default() }.try_out();
    tried.map_err(|bad| section.problem("template", format!("{path}: {bad}"))).ok()?;
    Some(text)
}

fn is_path(text: &str) -> bool {
    crate::visitor::is_local(text)
}
