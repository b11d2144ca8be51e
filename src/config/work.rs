//! `[room.NAME.work]`: what is asked of newcomers before they get a place.

use super::file::Section;
use crate::token::proof::WorkRule;

/// Reads the table, where a room has one.
pub(super) fn work(room: &mut Section<'_>) -> Option<WorkRule> {
    if !room.gives("work") {
        return None;
    }
    let mut section = room.section("work")?;
    let patience = section.duration("patience");
    if patience.is_some_and(|patience| !(1..=110).contains(&patience.as_secs())) {
        section.problem("patience", "is from \"1s\" to \"110s\"".to_owned());
    }
    let rule = WorkRule {
        difficulty: section.whole("difficulty", 1_000..=50_000_000).unwrap_or(100_000),
        patience_s: patience.map_or(15, |patience| patience.as_secs()),
    };
    room.close(section);
    Some(rule)
}
