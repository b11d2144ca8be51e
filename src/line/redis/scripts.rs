//! The verbs as Lua scripts: one file each, behind a prelude that all share.

use std::sync::LazyLock;

use redis::{Cmd, Pipeline, Script, cmd, pipe};

use super::drawing::DRAW_REST_US;
use super::words::LIMITS;
use crate::admission::{MAX_INTERVAL_US, MAX_TAT_US, STOPPED_INTERVAL_US};
use crate::line::board::{KEYS_CAP, NEWS_MS, SHARE_LIMIT, WORD_KEPT_MS};
use crate::line::{
    CALL_LIMIT, COUNTED_PER_US, DOOR_US, EPOCH_MARGIN, Epoch, JOIN_LIMIT, LAPSE_LIMIT, LOG_CAP, LONG_LINE,
    MUSTER_EACH_US, MUSTER_US, PACE_STEP_US, REST_US, UNSEEN_S,
};

/// The form of what a room's keys hold. A program that writes another refuses to touch them.
pub const LAYOUT: &str = "5";

/// Over how many small hashes a room's persons are spread. Redis packs a hash of up to 512 fields, so this is
/// small for about eight million persons.
const BUCKETS: u32 = 1 << 14;

/// What a script does; each is atomic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Join,
    Claim,
    Vouch,
    TakeBack,
    Leave,
    End,
    Renew,
    Introduce,
    Call,
    Follow,
    Steer,
    Restore,
    Checkpoint,
    Draw,
    Rest,
    Find,
    Share,
}

/// The verbs in the order of [`Verb`].
const VERBS: [&str; 17] = [
    include_str!("join.lua"),
    include_str!("claim.lua"),
    include_str!("vouch.lua"),
    include_str!("take_back.lua"),
    include_str!("leave.lua"),
    include_str!("end.lua"),
    include_str!("renew.lua"),
    include_str!("introduce.lua"),
    include_str!("call.lua"),
    include_str!("follow.lua"),
    include_str!("steer.lua"),
    include_str!("restore.lua"),
    include_str!("checkpoint.lua"),
    include_str!("draw.lua"),
    include_str!("rest.lua"),
    include_str!("find.lua"),
    include_str!("share.lua"),
];

const PRELUDE: [&str; 11] = [
    include_str!("prelude/numbers.lua"),
    include_str!("prelude/bitmaps.lua"),
    include_str!("prelude/room.lua"),
    include_str!("prelude/sessions.lua"),
    include_str!("prelude/log.lua"),
    include_str!("prelude/bases.lua"),
    include_str!("prelude/muster.lua"),
    include_str!("prelude/calling.lua"),
    include_str!("prelude/joining.lua"),
    include_str!("prelude/persons.lua"),
    include_str!("prelude/epoch.lua"),
];

/// Each verb's whole text and its SHA-1, by which Redis knows it.
static SCRIPTS: LazyLock<[(String, String); VERBS.len()]> = LazyLock::new(|| {
    VERBS.map(|verb| {
        // In a function of its own, for Lua has no more than 200 local names in one.
        let text = format!("{}{}local function verb()\n{verb}\nend\nreturn verb()\n", constants(), PRELUDE.concat());
        let hash = Script::new(&text).get_hash().to_owned();
        (text, hash)
    })
});

/// The numbers that Rust and Lua share, so that they are written down once.
fn constants() -> String {
    format!(
        "local ROOM, LAYOUT = string.sub(KEYS[1], 1, -5), '{LAYOUT}'\n\
         local LOG_CAP, DOOR_US, JOIN_LIMIT, BUCKETS = {LOG_CAP}, {DOOR_US}, {JOIN_LIMIT}, {BUCKETS}\n\
         local EPOCH_MARGIN, REST_US, UNSEEN_S = {EPOCH_MARGIN}, {REST_US}, {UNSEEN_S}\n\
         local CALL_LIMIT, LAPSE_LIMIT = {CALL_LIMIT}, {LAPSE_LIMIT}\n\
         local LONG_LINE, COUNTED_PER_US = {LONG_LINE}, {COUNTED_PER_US}\n\
         local PACE_STEP_US, DRAW_REST_US = {PACE_STEP_US}, {DRAW_REST_US}\n\
         local MUSTER_US, MUSTER_EACH_US = {MUSTER_US}, {MUSTER_EACH_US}\n\
         local KEYS_CAP, WORD_KEPT_MS, NEWS_MS = {KEYS_CAP}, {WORD_KEPT_MS}, {NEWS_MS}\n\
         local SHARE_LIMIT = {SHARE_LIMIT}\n\
         local LIMITS = {{'{}'}}\n\
         local MAX_INTERVAL_US, STOPPED_INTERVAL_US = {MAX_INTERVAL_US}, {STOPPED_INTERVAL_US}\n\
         local MAX_TAT_US, MAX_EPOCH = {MAX_TAT_US}, {}\n",
        LIMITS.join("', '"),
        Epoch::MAX
    )
}

/// Begins the command that runs a verb on a room, whose keys begin with `prefix`.
///
/// The second key never exists. So while a cluster moves the room's slot from node to node, no node has all keys of
/// the command, and Redis refuses it on both (`ASK`, `TRYAGAIN`): no verb ever runs on half a room.
pub fn call(verb: Verb, prefix: &str) -> Cmd {
    let mut call = cmd("EVALSHA");
    call.arg(&SCRIPTS[verb as usize].1).arg(2).arg(format!("{prefix}line")).arg(format!("{prefix}never"));
    call
}

/// Makes the command that asks which verbs a server knows.
pub fn known() -> Cmd {
    let mut known = cmd("SCRIPT");
    known.arg("EXISTS");
    for (_, hash) in SCRIPTS.iter() {
        known.arg(hash);
    }
    known
}

/// Makes the commands that teach a server all verbs.
pub fn load() -> Pipeline {
    let mut load = pipe();
    for (text, _) in SCRIPTS.iter() {
        load.cmd("SCRIPT").arg("LOAD").arg(text).ignore();
    }
    load
}
