//! What the wire does to a call: delivers it, delays it, loses it or its answer, or cuts it in the middle.

use std::collections::BTreeMap;

use tokio::sync::oneshot;
use vestibule::line::{Epoch, News, Roll, Steering, StoreFault};

use super::{Due, World};
use crate::simulation::gateway::{Gateway, Heard};
use crate::simulation::machine::Drawing;
use crate::simulation::plan::{SECOND, Weather};
use crate::simulation::wire::{Answer, Call, Reply, Verb};

/// How long it takes at the most to draw lots.
const SLOWEST_DRAW_US: u64 = SECOND / 2;

/// How long a gateway waits for an answer, as [`vestibule::room::timed`] does.
const TIMEOUT_US: u64 = 3 * SECOND;

/// So many copies are kept; a replica that takes over is as old as the first of them.
const REPLICAS: usize = 3;

/// The wire between the gateways and the store.
pub struct Network {
    pub weather: Weather,
    /// Until when the store refuses every connection.
    pub away_until_us: u64,
    /// Until when it takes connections and answers nothing.
    pub hangs_until_us: u64,
    /// The epoch of which the store has lost everything, and nobody has brought it back.
    pub lost: Option<Epoch>,
    waiting: BTreeMap<u64, Waiting>,
    calls: u64,
    /// When the last call of each gateway arrives, and the last answer: a connection keeps order.
    last_arrival_us: Vec<u64>,
    last_return_us: Vec<u64>,
}

/// A gateway that waits for an answer.
struct Waiting {
    from: usize,
    asked_us: u64,
    reply: oneshot::Sender<Reply>,
}

/// A call on its way to the store.
#[derive(Debug)]
pub struct Arrival {
    call: u64,
    from: usize,
    verb: Verb,
    /// How many parts of a tick get through.
    parts: u64,
    is_answer_lost: bool,
    /// Lots that were being drawn for it.
    drawing: Option<Box<Drawing>>,
}

/// An answer on its way to a gateway, or the end of its patience.
#[derive(Debug)]
pub struct Return {
    call: u64,
    reply: Reply,
    /// What the store's clock really showed when it did the call, and when that was, where it did.
    done: Option<Done>,
}

#[derive(Clone, Copy, Debug)]
struct Done {
    clock_us: u64,
    at_us: u64,
}

impl Network {
    pub fn new(weather: Weather, gateways: usize) -> Self {
        Self {
            weather,
            away_until_us: 0,
            hangs_until_us: 0,
            lost: None,
            waiting: BTreeMap::new(),
            calls: 0,
            last_arrival_us: vec![0; gateways],
            last_return_us: vec![0; gateways],
        }
    }

    pub fn calm(&mut self) {
        (self.away_until_us, self.hangs_until_us) = (0, 0);
    }
}

impl World {
    /// Sends a call on its way.
    pub(super) fn send(&mut self, call: Call) {
        let Call { from, verb, reply } = call;
        self.network.calls += 1;
        let call = self.network.calls;
        self.network.waiting.insert(call, Waiting { from, asked_us: self.now_us, reply });
        let timeout = Return { call, reply: Err(unreachable("no answer in time")), done: None };
        self.after(TIMEOUT_US, Due::Return(timeout));
        let weather = self.network.weather;
        let is_cut_off = self.now_us < self.gateways[from].cut_off_until_us;
        if is_cut_off || self.chance.permille(weather.lost_requests) {
            self.census("request lost");
            return self.lose_request(call);
        }
        let way_us = self.way_us();
        let in_order_us = (self.now_us + way_us).max(self.network.last_arrival_us[from] + 1);
        let is_late = self.chance.permille(weather.late);
        self.oracle.census.count_if(is_late, "request late");
        let at_us = match is_late {
            true => self.now_us + self.chance.between(TIMEOUT_US, 3 * TIMEOUT_US),
            false => std::mem::replace(&mut self.network.last_arrival_us[from], in_order_us).max(in_order_us),
        };
        let is_cut = matches!(verb, Verb::Tick(_)) && self.chance.permille(weather.cut);
        let parts = if is_cut { self.chance.below(5) } else { 5 };
        self.oracle.census.count_if(is_cut, "tick cut");
        let is_answer_lost = is_cut || self.chance.permille(weather.lost_replies);
        self.at(at_us, Due::Arrival(Arrival { call, from, verb, parts, is_answer_lost, drawing: None }));
    }

    /// Half of the lost calls are known to be lost at once; the others run into the timeout.
    fn lose_request(&mut self, call: u64) {
        if self.chance.one_in(2) {
            self.after(1_000, Due::Return(Return { call, reply: Err(unreachable("refused")), done: None }));
        }
    }

    /// A call reaches the store, which does it, unless it is away.
    pub(super) fn arrive(&mut self, mut arrival: Arrival) {
        if self.now_us < self.network.away_until_us {
            self.census("request refused");
            return self.lose_request(arrival.call);
        }
        if self.now_us < self.network.hangs_until_us {
            self.census("request hung");
            return self.at(self.network.hangs_until_us, Due::Arrival(arrival));
        }
        if !self.plan.overlaps && self.would_be_another_line(&arrival.verb) {
            return self.lose_request(arrival.call);
        }
        if let (Verb::Steer(Steering::Draw(reveal)), None) = (&arrival.verb, &arrival.drawing)
            && let Some(drawing) = self.machine.begin_draw(reveal)
        {
            arrival.drawing = Some(Box::new(drawing));
            let takes_us = self.chance.below(SLOWEST_DRAW_US);
            return self.after(takes_us, Due::Arrival(arrival));
        }
        self.obey(arrival);
    }

    /// Does a call at the store, and sends the answer on its way.
    fn obey(&mut self, arrival: Arrival) {
        let Arrival { call, from, verb, parts, is_answer_lost, drawing } = arrival;
        let clock_us = self.store_clock_us();
        let reply = match (&verb, drawing) {
            (Verb::Tick(tick), _) if parts < 5 => {
                self.machine.do_parts(tick, parts, clock_us);
                Err(unreachable("cut"))
            }
            (_, Some(drawing)) => match self.machine.end_draw(*drawing, clock_us) {
                true => Ok(Answer::Done),
                false => {
                    self.census("server gone while lots were drawn");
                    return self.lose_request(call);
                }
            },
            (verb, None) => self.machine.answer(verb, clock_us),
        };
        self.note(|| format!("gateway {from}: {} -> {}", told(&verb), answered(&reply)));
        self.count_verb(&verb, &reply);
        self.oracle.heard(&verb, reply.as_ref().ok(), parts, &self.machine, clock_us);
        self.look_for_the_lost();
        self.replicate();
        if is_answer_lost {
            self.census("answer lost");
            return self.lose_request(call);
        }
        let is_slow = self.chance.permille(self.network.weather.slow_replies);
        self.oracle.census.count_if(is_slow, "answer slow");
        let way_us = if is_slow { self.chance.between(SECOND, 2 * TIMEOUT_US) } else { self.way_us() };
        let at_us = (self.now_us + way_us).max(self.network.last_return_us[from] + 1);
        self.network.last_return_us[from] = at_us;
        let done = Some(Done { clock_us, at_us: self.now_us });
        self.at(at_us, Due::Return(Return { call, reply, done }));
    }

    /// Notes whether the store has got back what it had lost.
    pub(super) fn look_for_the_lost(&mut self) {
        let eras = &self.machine.roll().eras;
        if self.network.lost.is_some_and(|lost| eras.iter().any(|era| era.epoch == lost)) {
            self.network.lost = None;
        }
    }

    fn count_verb(&mut self, verb: &Verb, reply: &Reply) {
        let is_lost = self.network.lost.is_some();
        self.census(match (verb, reply) {
            (Verb::Join(_) | Verb::Claim(..), Err(_)) => "nobody joins a lost room",
            (Verb::Join(_), _) => "join",
            (Verb::Claim(..), Ok(Answer::Claimed(None))) => "claim refused",
            (Verb::Claim(..), _) => "claim",
            (Verb::Tick(_), Ok(Answer::Page(page))) => match &page.news {
                News::Entries(_) => "page of entries",
                News::Roll(_) => "page with a roll",
                News::Behind => "page of one who is behind",
            },
            (Verb::Tick(_), _) => "tick in parts",
            (Verb::Steer(Steering::Configure(_)), _) if is_lost => "lost room configured",
            (Verb::Steer(Steering::Configure(_)), _) => "configured",
            (Verb::Steer(Steering::Draw(_)), _) => "draw asked for",
            (Verb::Steer(_), _) if is_lost => "lost room steered",
            (Verb::Steer(_), _) => "steered",
            (Verb::Restore(_), _) => "restore",
        });
    }

    /// Tells whether a verb would make something else of a room that has lost all than what it was: a new one, or the
    /// line of an older epoch, from an offer that was long under way. Only where faults may overlap.
    fn would_be_another_line(&self, verb: &Verb) -> bool {
        let Some(lost) = self.network.lost else { return false };
        match verb {
            Verb::Steer(Steering::Configure(_)) => true,
            Verb::Restore(offered) => offered.epoch() < lost,
            _ => false,
        }
    }

    /// A gateway hears the answer; whatever comes after the first is too late.
    pub(super) fn give_back(&mut self, answer: Return) {
        let Some(Waiting { from, asked_us, reply }) = self.network.waiting.remove(&answer.call) else {
            self.oracle.census.count_if(answer.done.is_some(), "answer too late");
            return;
        };
        let done = answer.done.filter(|_| matches!(answer.reply, Ok(Answer::Page(_))));
        // A gateway that has crashed meanwhile hears nothing.
        if let (Ok(()), Some(Done { clock_us, at_us })) = (reply.send(answer.reply), done) {
            self.gateways[from].heard = Some(Heard { clock_us, at_us, asked_us });
        }
    }

    /// Tells whether every gateway that runs follows the epoch that the store is in, and has heard of its settings.
    pub(super) fn is_healed(&self) -> bool {
        let epoch = self.machine.roll().epoch();
        let mut rooms = self.gateways.iter().filter_map(Gateway::any_room);
        let follows = |roll: &Roll| roll.epoch() == epoch && roll.settings.is_some();
        self.network.lost.is_none() && rooms.all(|room| room.mirror.read(follows))
    }

    fn way_us(&mut self) -> u64 {
        self.chance.between(100, self.network.weather.slowest_us)
    }

    /// Lets a replica copy the line; where no two losses are to overlap, only of a line that every gateway knows.
    fn replicate(&mut self) {
        if self.chance.one_in(10) && (self.plan.overlaps || self.is_healed()) {
            self.replicas.push_back(self.machine.state().clone());
            if self.replicas.len() > REPLICAS {
                self.replicas.pop_front();
            }
        }
    }
}

fn unreachable(why: &str) -> StoreFault {
    StoreFault::Unreachable(why.to_owned())
}

/// A call in a line of the trace.
fn told(verb: &Verb) -> String {
    match verb {
        Verb::Join(count) => format!("join {count}"),
        Verb::Claim(arrivals, known) => format!("claim {arrivals:?} known {known:?}"),
        Verb::Tick(tick) => format!(
            "tick here [{}] gone [{}] left [{}] returned [{}] ended {:?} renewed {:?} known {}/{}/{}",
            tick.here,
            tick.gone,
            tick.left,
            tick.returned,
            tick.ended,
            tick.renewed,
            tick.known.epoch,
            tick.known.seq,
            tick.known.issued
        ),
        Verb::Steer(steering) => format!("{steering:?}"),
        Verb::Restore(roll) => format!("restore {:?}", roll.known()),
    }
}

fn answered(reply: &Reply) -> String {
    match reply {
        Ok(Answer::Joined(joined)) => format!("{joined:?}"),
        Ok(Answer::Claimed(claimed)) => format!("{claimed:?}"),
        Ok(Answer::Page(page)) => match &page.news {
            News::Entries(entries) => {
                let entries: Vec<String> =
                    entries.iter().filter_map(|entry| serde_json::to_string(entry).ok()).collect();
                format!("present {} vouched {} {}", page.present, page.vouched, entries.join(" "))
            }
            News::Roll(roll) => format!("a roll {:?}", roll.known()),
            News::Behind => "behind".to_owned(),
        },
        Ok(Answer::Done) => "done".to_owned(),
        Ok(Answer::Roll(roll)) => format!("{:?}", roll.known()),
        Err(fault) => fault.to_string(),
    }
}
