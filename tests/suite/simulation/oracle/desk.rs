//! Which tickets and passes there are and whose: what the gate may say to whoever shows them (T1, T2, T3, L1, L3).

use std::collections::BTreeMap;

use vestibule::gate::Decision;
use vestibule::line::{Epoch, Number};
use vestibule::person;
use vestibule::room::TICKET_LIFETIME_MS;
use vestibule::token::{CLOCK_SKEW_MS, Ticket, TicketId};

/// Every ticket and pass that a gateway has made.
#[derive(Debug, Default)]
pub struct Desk {
    tickets: BTreeMap<String, Ticket>,
    passes: BTreeMap<String, Admission>,
    holders: BTreeMap<Key, TicketId>,
}

/// Who holds a place, in whichever line: numbers go up over the epochs of one line, and begin again in a line that
/// nobody remembered.
pub type Key = (Epoch, Number);

/// Returns what a ticket stands for.
pub fn key(ticket: &Ticket) -> Key {
    (ticket.epoch, ticket.number)
}

/// What a pass was signed for.
#[derive(Clone, Copy, Debug)]
struct Admission {
    ticket: TicketId,
    number: Number,
    issued_ms: u64,
    ends_s: u64,
}

/// What somebody shows at the gate, and what is known of the number.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    pub ticket: Option<&'a str>,
    pub pass: Option<&'a str>,
    /// The gateway's clock. A ticket that is current by it, or by the store's, is to be honoured.
    pub now_ms: u64,
    /// The store's clock, by which sessions end.
    pub line: LineNow,
}

/// How late it is at the store, as far as a gateway can know.
#[derive(Clone, Copy, Debug)]
pub struct LineNow {
    /// It is this late. Somebody whose session has ended by then must be out: the slot may be another's.
    pub surely_ms: u64,
    /// It may be this late. Somebody whose session ends after that must be in.
    pub maybe_ms: u64,
}

/// What has become of a number, as far as the log ever said.
#[derive(Clone, Copy, Debug)]
pub struct Fate {
    /// The last second of the session, for somebody who was called.
    pub ends_s: Option<u64>,
    /// Whether the place was given up, has lapsed, or the session was ended.
    pub is_over: bool,
    /// The latest second that any clock has shown.
    pub latest_s: u64,
    /// Whether it was of a line, or of an epoch of one, that nobody remembered any more.
    pub is_forgotten: bool,
}

impl Desk {
    /// Notes a new ticket; says so when its number has a holder already.
    pub fn issue(&mut self, text: &str, ticket: Ticket) -> Result<(), String> {
        self.tickets.insert(text.to_owned(), ticket);
        match self.holders.insert(key(&ticket), ticket.id) {
            Some(other) if other != ticket.id || person::holder(other).is_none() => {
                Err(format!("(L1) number {} of epoch {} has two holders", ticket.number, ticket.epoch))
            }
            _ => Ok(()),
        }
    }

    /// Walks what a person's tickets stand for; anybody's are not known.
    pub fn keys_of(&self, id: TicketId) -> impl Iterator<Item = Key> + '_ {
        let is_one = move |ticket: &&Ticket| ticket.id == id && person::holder(id).is_some();
        self.tickets.values().filter(is_one).map(key)
    }

    /// Returns what a ticket stands for, if a gateway has made it.
    pub fn find(&self, text: &str) -> Option<Key> {
        self.tickets.get(text).map(key)
    }

    /// Notes a new pass.
    pub fn sign(&mut self, text: &str, ticket: &Ticket, issued_ms: u64, ends_s: u64) {
        self.passes.insert(text.to_owned(), Admission { ticket: ticket.id, number: ticket.number, issued_ms, ends_s });
    }

    /// Walks all places that were ever given.
    pub fn keys(&self) -> impl Iterator<Item = Key> + '_ {
        self.tickets.values().map(key)
    }

    /// Judges what the gate decided, where `fate_of` knows the places.
    pub fn judge(&self, shown: &Shown<'_>, decision: &Decision, fate_of: impl Fn(Key) -> Fate) -> Result<(), String> {
        let says_nothing = matches!(decision, Decision::Join | Decision::Reject(_));
        let Some(ticket) = shown.ticket.and_then(|text| self.tickets.get(text)) else {
            return says_nothing.then_some(()).ok_or_else(|| format!("(T1) no good ticket, and yet {decision:?}"));
        };
        if says_nothing && !is_current(ticket, shown.now_ms) && !is_current(ticket, shown.line.surely_ms) {
            return Ok(());
        }
        let fate = fate_of(key(ticket));
        self.judge_pass(shown, ticket, decision, &fate)?;
        match decision {
            Decision::Join | Decision::Reject(_) if !fate.is_forgotten && !fate.has_ended(shown.line.maybe_ms) => {
                Err(format!("(L3, L8) {ticket:?} is good, and yet {decision:?}"))
            }
            Decision::Enter { .. } if fate.ends_s.is_none() => Err(format!("{ticket:?} enters and was never called")),
            Decision::Enter { ends_s, .. } if ends_s * 1_000 <= shown.line.surely_ms => {
                Err(format!("(L6) {ticket:?} enters after the session has ended"))
            }
            Decision::Pass => Err("a guarded room does not ask".to_owned()),
            _ => Ok(()),
        }
    }

    fn judge_pass(&self, shown: &Shown<'_>, ticket: &Ticket, decision: &Decision, fate: &Fate) -> Result<(), String> {
        let pass = shown.pass.and_then(|text| self.passes.get(text));
        let own = pass.filter(|pass| (pass.ticket, pass.number) == (ticket.id, ticket.number));
        let LineNow { surely_ms, maybe_ms } = shown.line;
        let admits = matches!(decision, Decision::Admit(..));
        if admits && own.is_some_and(|pass| pass.has_ended(surely_ms)) {
            Err(format!("(L6) {ticket:?} stays after the session has ended, with {pass:?}"))
        } else if admits && !own.is_some_and(|pass| pass.has_begun(maybe_ms)) {
            Err(format!("(T1, T3) {ticket:?} is admitted with {pass:?}"))
        } else if own.is_some_and(|p| p.has_begun(surely_ms) && !p.has_ended(maybe_ms))
            && !admits
            // The line may tell that the session is over before the gateway hears how late the store's clock shows it to be.
            && !fate.has_ended(maybe_ms)
        {
            Err(format!("(T2) {ticket:?} has a good pass, and yet {decision:?}"))
        } else {
            Ok(())
        }
    }
}

impl Admission {
    fn has_begun(&self, line_ms: u64) -> bool {
        self.issued_ms / 1_000 * 1_000 <= line_ms + CLOCK_SKEW_MS
    }

    fn has_ended(&self, line_ms: u64) -> bool {
        line_ms >= self.ends_s * 1_000
    }
}

impl Fate {
    /// Tells whether a place stands no more where it may be this late.
    pub fn has_ended(&self, line_ms: u64) -> bool {
        self.is_over || self.ends_s.is_some_and(|ends_s| ends_s <= self.latest_s.max(line_ms / 1_000))
    }
}

fn is_current(ticket: &Ticket, now_ms: u64) -> bool {
    ticket.issued_ms <= now_ms + CLOCK_SKEW_MS && now_ms.saturating_sub(ticket.issued_ms) <= TICKET_LIFETIME_MS
}
