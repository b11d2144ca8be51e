//! The gate: credentials, the line as this gateway knows it, and now → a decision.
//!
//! Pure. It asks no store: a ticket carries the number, and the mirror knows where the number
//! stands.

use std::sync::Arc;

use crate::clock::Between;
use crate::line::{Phase, Roll, Standing};
use crate::schedule::Stage;
use crate::token::{Claims, KeyRing, PassVerifier, RoomHash, Ticket};

/// How people get into a room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueueingMethod {
    /// First come, first served.
    #[default]
    Fifo,
    /// Those who come before the start have their order drawn; the others stand behind them.
    Draw,
    /// Everyone goes through; nothing is counted.
    Passthrough,
    /// Nobody gets in without a pass.
    Reject,
}

/// What a request brings along, unverified.
#[derive(Clone, Copy, Debug, Default)]
pub struct Credentials<'a> {
    /// The ticket's text.
    pub ticket: Option<&'a str>,
    /// The pass's text.
    pub pass: Option<&'a str>,
}

/// What the gate looks through: one room's keys, rules and line.
pub struct View<'a> {
    /// The room's name.
    pub room: &'a str,
    /// What tickets call it.
    pub room_hash: RoomHash,
    /// How people get in.
    pub method: QueueingMethod,
    /// How many may wait; beyond it the room is full.
    pub max_waiting: u64,
    /// For how long a ticket is honoured, in milliseconds.
    pub ticket_lifetime_ms: u64,
    /// The keys.
    pub ring: &'a KeyRing,
    /// The memory of what was verified.
    pub verifier: &'a PassVerifier,
    /// The line as this gateway knows it.
    pub roll: &'a Roll,
    /// The time of the line's store: sales open, and sessions end, on all gateways at once.
    pub line_now: Between,
    /// When this gateway issued its newest ticket, in milliseconds since the Unix epoch.
    pub last_issue_ms: u64,
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// It goes to the upstream: its pass is good.
    Admit(Ticket, Arc<Claims>),
    /// It goes to the upstream with a pass yet to be signed: its number was called.
    Enter {
        /// The ticket that was called.
        ticket: Ticket,
        /// When the session ends, in seconds since the Unix epoch.
        ends_s: u64,
    },
    /// It goes to the upstream; the room does not ask.
    Pass,
    /// It has no place yet and gets one.
    Join,
    /// It has a place and waits.
    Wait(Ticket, Standing),
    /// It has no place and gets none.
    Reject(Refusal),
}

impl Decision {
    /// Names the decision.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Admit(..) => "admit",
            Self::Enter { .. } => "enter",
            Self::Pass => "pass",
            Self::Join => "join",
            Self::Wait(..) => "wait",
            Self::Reject(_) => "reject",
        }
    }

    /// Returns the ticket of whoever has a place.
    #[must_use]
    pub const fn ticket(&self) -> Option<&Ticket> {
        match self {
            Self::Admit(ticket, _) | Self::Enter { ticket, .. } | Self::Wait(ticket, _) => Some(ticket),
            Self::Pass | Self::Join | Self::Reject(_) => None,
        }
    }
}

/// Why nobody joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The room is closed, or the sale is over.
    Closed,
    /// Those in line are let in, and nobody else joins.
    Draining,
    /// The sale has not opened yet.
    Early,
    /// As many wait as may wait.
    Full,
}

/// Opens the ticket that the credentials hold, if it is sound at `now_ms` of this gateway's clock. Somebody may have set
/// that clock, or the store's: so it is enough that a ticket is current by one of them, and one that is no newer than the
/// newest of this gateway is not from the future.
#[must_use]
pub fn ticket(credentials: &Credentials<'_>, view: &View<'_>, now_ms: u64) -> Option<Ticket> {
    let text = credentials.ticket?;
    let open = |now_ms| Ticket::open(text, view.room_hash, view.ring, now_ms, view.ticket_lifetime_ms);
    let line_ms = view.line_now.latest_ms;
    open(now_ms).or_else(|| open(line_ms)).or_else(|| open(now_ms.max(line_ms).max(view.last_issue_ms)))
}

/// Decides about a request for a guarded path at `now_ms` of this gateway's clock.
///
/// Sessions end by the clock of the store, as their slots do, and at the latest that it may be by now: nobody
/// stays when the slot may be somebody else's (L6).
///
/// A pass counts only beside the ticket that it was earned with (T3). Whoever's place is over, or
/// whose ticket is not of this line, joins anew.
#[must_use]
pub fn decide(credentials: &Credentials<'_>, view: &View<'_>, now_ms: u64) -> Decision {
    if view.method == QueueingMethod::Passthrough {
        return Decision::Pass;
    }
    let Some(ticket) = ticket(credentials, view, now_ms) else { return join(view) };
    if let Some(claims) = pass_of(&ticket, credentials, view) {
        return Decision::Admit(ticket, claims);
    }
    match view.roll.standing(ticket.epoch, ticket.number, view.line_now.latest_s()) {
        Standing::Called { ends_s, .. } => Decision::Enter { ticket, ends_s },
        standing @ (Standing::Waiting { .. } | Standing::Unseen | Standing::Unheard | Standing::Bygone) => {
            Decision::Wait(ticket, standing)
        }
        Standing::Over | Standing::Foreign => join(view),
    }
}

fn pass_of(ticket: &Ticket, credentials: &Credentials<'_>, view: &View<'_>) -> Option<Arc<Claims>> {
    let claims = view.verifier.verify(credentials.pass?, view.room, view.ring, view.line_now.latest_ms)?;
    let ended = view.roll.is_over(ticket.epoch, ticket.number);
    // A person's places all have one id, so the number is looked at too.
    let is_its_own = claims.ticket() == Some(ticket.id) && claims.num == ticket.number;
    (is_its_own && !ended).then_some(claims)
}

fn join(view: &View<'_>) -> Decision {
    let settings = view.roll.settings.as_ref();
    let phase = settings.map_or(Phase::Open, |settings| settings.phase);
    let stage = settings.map_or(Stage::Running, |settings| settings.limits.schedule.stage_between(view.line_now));
    if view.method == QueueingMethod::Reject || phase == Phase::Closed || stage == Stage::Ended {
        Decision::Reject(Refusal::Closed)
    } else if phase == Phase::Draining {
        Decision::Reject(Refusal::Draining)
    } else if stage == Stage::Early {
        Decision::Reject(Refusal::Early)
    } else if view.roll.waiting.count() >= view.max_waiting {
        Decision::Reject(Refusal::Full)
    } else {
        Decision::Join
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::Limits;
    use crate::line::Steering;
    use crate::line::state::LineState;
    use crate::schedule::Schedule;
    use crate::token::{Pass, TicketId};

    const NOW_MS: u64 = 1_795_000_000_000;

    struct Desk {
        ring: KeyRing,
        verifier: PassVerifier,
        line: LineState,
        line_now_ms: u64,
        last_issue_ms: u64,
    }

    impl Desk {
        fn new(burst: u64) -> Self {
            let limits = Limits {
                interval_us: 1_000_000,
                burst,
                total_active_users: None,
                session_duration_s: 60,
                grace_ms: 60_000,
                floor_interval_us: None,
                schedule: Schedule::ALWAYS,
            };
            let mut line = LineState::new(NOW_MS * 1_000);
            line.steer(&Steering::Configure(limits), NOW_MS * 1_000);
            let ring = KeyRing::generate(NOW_MS, &mut rand::rng());
            Self { ring, verifier: PassVerifier::new("vestibule", 100), line, line_now_ms: NOW_MS, last_issue_ms: 0 }
        }

        fn view(&self, method: QueueingMethod, max_waiting: u64) -> View<'_> {
            View {
                room: "sale",
                room_hash: RoomHash::of("sale"),
                method,
                max_waiting,
                ticket_lifetime_ms: 3_600_000,
                ring: &self.ring,
                verifier: &self.verifier,
                roll: self.line.roll(),
                line_now: Between::exactly(self.line_now_ms),
                last_issue_ms: self.last_issue_ms,
            }
        }

        fn ticket(&self, number: u64, id: u128) -> Ticket {
            let epoch = self.line.roll().epoch();
            Ticket { room: RoomHash::of("sale"), epoch, number, id: TicketId(id), issued_ms: NOW_MS }
        }

        fn pass(&self, ticket: &Ticket) -> String {
            let pass = Pass {
                issuer: "vestibule",
                room: "sale",
                ticket: ticket.id,
                number: ticket.number,
                id: 7,
                issued_ms: NOW_MS,
                lifetime_ms: 60_000,
            };
            pass.sign(&self.ring).unwrap()
        }

        fn decide(&self, ticket: Option<&str>, pass: Option<&str>) -> Decision {
            decide(&Credentials { ticket, pass }, &self.view(QueueingMethod::Fifo, 100), NOW_MS)
        }
    }

    #[test]
    fn a_place_in_line_decides() {
        let mut desk = Desk::new(1);
        desk.line.join(3, NOW_MS * 1_000);
        let [called, waiting] = [desk.ticket(1, 11).seal(&desk.ring), desk.ticket(3, 13).seal(&desk.ring)];
        assert_eq!(desk.decide(None, None), Decision::Join);
        assert!(matches!(desk.decide(Some(&called), None), Decision::Enter { .. }));
        let Decision::Wait(_, standing) = desk.decide(Some(&waiting), None) else { panic!() };
        assert_eq!(standing, Standing::Waiting { ahead: 1 });
    }

    #[test]
    fn a_pass_counts_beside_its_own_ticket_only() {
        let mut desk = Desk::new(2);
        desk.line.join(2, NOW_MS * 1_000);
        let (mine, theirs) = (desk.ticket(1, 11), desk.ticket(2, 12));
        let pass = desk.pass(&mine);
        assert!(matches!(desk.decide(Some(&mine.seal(&desk.ring)), Some(&pass)), Decision::Admit(..)));
        assert_eq!(desk.decide(None, Some(&pass)), Decision::Join);
        let other = desk.decide(Some(&theirs.seal(&desk.ring)), Some(&pass));
        assert!(matches!(other, Decision::Enter { .. }), "by the own call, not by the pass");
    }

    #[test]
    fn an_ended_session_takes_the_pass_along() {
        let mut desk = Desk::new(1);
        let joined = desk.line.join(1, NOW_MS * 1_000);
        let ticket = desk.ticket(1, 11);
        let pass = desk.pass(&ticket);
        let numbers = crate::line::Numbers::run(1, 1);
        desk.line.end(&[crate::line::Slots { ends_s: joined.ends_s, numbers }], NOW_MS * 1_000);
        assert_eq!(desk.decide(Some(&ticket.seal(&desk.ring)), Some(&pass)), Decision::Join);
    }

    /// Sixty seconds after the call the slot is free, whatever this gateway's clock says.
    #[test]
    fn a_session_ends_by_the_clock_of_the_line() {
        let mut desk = Desk::new(1);
        let ends_s = desk.line.join(1, NOW_MS * 1_000).ends_s;
        let ticket = desk.ticket(1, 11);
        let (text, pass) = (ticket.seal(&desk.ring), desk.pass(&ticket));
        desk.line_now_ms = ends_s * 1_000 - 1;
        assert!(matches!(desk.decide(Some(&text), Some(&pass)), Decision::Admit(..)));
        assert!(matches!(desk.decide(Some(&text), None), Decision::Enter { .. }));
        desk.line_now_ms = ends_s * 1_000;
        assert_eq!(desk.decide(Some(&text), Some(&pass)), Decision::Join);
        assert_eq!(desk.decide(Some(&text), None), Decision::Join);
    }

    /// Either clock may be wrong by days, and nobody loses the place; where both say it, a ticket is too old, or of the future.
    #[test]
    fn a_ticket_is_current_by_one_of_the_clocks() {
        const DAYS_MS: u64 = 3 * 86_400_000;
        let mut desk = Desk::new(1);
        desk.line.join(3, NOW_MS * 1_000);
        let text = desk.ticket(3, 13).seal(&desk.ring);
        let mut honours = |own_ms, line_ms, last_issue_ms| {
            (desk.line_now_ms, desk.last_issue_ms) = (line_ms, last_issue_ms);
            let view = desk.view(QueueingMethod::Fifo, 100);
            ticket(&Credentials { ticket: Some(&text), pass: None }, &view, own_ms).is_some()
        };
        for wrong_ms in [NOW_MS - DAYS_MS, NOW_MS + DAYS_MS] {
            assert!(honours(wrong_ms, NOW_MS, 0) && honours(NOW_MS, wrong_ms, 0));
            assert!(!honours(wrong_ms, wrong_ms, 0));
        }
        let (before_ms, after_ms) = (NOW_MS - DAYS_MS, NOW_MS + DAYS_MS);
        assert!(honours(before_ms, before_ms, NOW_MS), "this gateway has issued it, and its clock was put back");
        assert!(!honours(after_ms, after_ms, NOW_MS), "old is old, though nobody came after");
    }

    #[test]
    fn forged_is_as_absent() {
        let mut desk = Desk::new(1);
        desk.line.join(1, NOW_MS * 1_000);
        let mut forged = desk.ticket(1, 11).seal(&desk.ring);
        forged.replace_range(9..10, if &forged[9..10] == "A" { "B" } else { "A" });
        assert_eq!(desk.decide(Some(&forged), None), Decision::Join);
        let foreign = Desk::new(1).ticket(1, 11).seal(&Desk::new(1).ring);
        assert_eq!(desk.decide(Some(&foreign), None), Decision::Join);
    }

    #[test]
    fn a_full_and_a_closed_room_let_nobody_join() {
        let mut desk = Desk::new(1);
        desk.line.join(5, NOW_MS * 1_000);
        let nobody = Credentials::default();
        let full = decide(&nobody, &desk.view(QueueingMethod::Fifo, 4), NOW_MS);
        assert_eq!(full, Decision::Reject(Refusal::Full));
        assert_eq!(decide(&nobody, &desk.view(QueueingMethod::Passthrough, 4), NOW_MS), Decision::Pass);
        let reject = decide(&nobody, &desk.view(QueueingMethod::Reject, 9), NOW_MS);
        assert_eq!(reject, Decision::Reject(Refusal::Closed));
        desk.line.steer(&Steering::Phase(Phase::Closed), NOW_MS * 1_000);
        assert_eq!(desk.decide(None, None), Decision::Reject(Refusal::Closed));
    }

    #[test]
    fn a_draining_room_lets_nobody_join_and_keeps_those_in_line() {
        let mut desk = Desk::new(1);
        desk.line.join(2, NOW_MS * 1_000);
        desk.line.steer(&Steering::Phase(Phase::Draining), NOW_MS * 1_000);
        assert_eq!(desk.decide(None, None), Decision::Reject(Refusal::Draining));
        let [called, waiting] = [1, 2].map(|number| desk.ticket(number, 11).seal(&desk.ring));
        assert!(matches!(desk.decide(Some(&called), None), Decision::Enter { .. }));
        assert!(matches!(desk.decide(Some(&waiting), None), Decision::Wait(..)));
    }
}
