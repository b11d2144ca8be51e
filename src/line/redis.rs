//! The Redis store: one line for every gateway that names the same server.
//!
//! A room's keys share the hash tag `{room}`: a hash of its fields (`line`), a bitmap for each of
//! waiting, called, over, at the door, here and seen, a lease for each gateway, the sessions by their
//! last second, and the log. Every verb is one atomic script that does just what
//! [`LineState`](super::state::LineState) does; a tick is one round trip. Restoring is rare, so the
//! merge is made by the pure machine itself, and written only if the room has not changed meanwhile.
//!
//! A room where one person holds one place also keeps which number is whose, in small hashes.
//!
//! Redis must keep these keys: with an eviction policy other than `noeviction` it may throw a line
//! away. A line that is lost comes back from the gateways' mirrors.

mod address;
mod chains;
mod cluster;
mod connection;
mod drawing;
mod facts;
mod fault;
mod reply;
mod scripts;
mod sentinel;
mod servers;
mod sharing;
mod stored;
mod words;

use std::time::Duration;

use async_trait::async_trait;
use redis::{Cmd, Pipeline, Value};

pub use self::address::{Address, BadAddress};
use self::chains::Chains;
pub use self::facts::{Facts, Sight};
use self::fault::Repeat;
use self::reply::{Reply, corrupt};
use self::scripts::Verb;
use self::servers::Servers;
use self::stored::{StoredRoll, read_entries, read_eras, read_roll, roll_arguments};
use self::words::{limit_words, promise_text, set_word};
use super::board::{Heard, Reading, Word};
use super::roll::{Era, epoch_of};
use super::state::LineState;
use super::{
    Arrival, Claimed, Entry, Epoch, JOIN_LIMIT, Joined, Known, LineStore, Mark, News, Number, Numbers, Page, PersonId,
    Renewal, Roll, RoomName, Slots, Steering, StoreFault, Tick, apart,
};
use crate::clock::Clock;

/// How long Redis may take to accept a connection, and to answer, unless told otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(2);

/// How often a restore is tried again because the room changed while it was merged.
const RESTORE_TRIES: usize = 16;

/// Keeps the lines of all rooms in Redis: one server, one that Sentinels name, or a cluster.
///
/// # Cancel safety
/// A verb whose future is dropped may or may not have been done, as with a lost answer.
#[derive(Debug)]
pub struct RedisLine {
    servers: Servers,
    /// Stands in for the server's clock in tests.
    clock: Option<Clock>,
    chains: Chains,
}

impl RedisLine {
    /// Connects to an [`Address`].
    ///
    /// # Errors
    /// [`StoreFault`] with a text that says what to do: the address cannot be read, nobody answers
    /// within `timeout`, the password is wrong, or the server is older than 6.2.
    pub async fn connect(url: &str, timeout: Duration) -> Result<Self, StoreFault> {
        let address = Address::parse(url).map_err(|bad| StoreFault::Refused(bad.to_string()))?;
        Ok(Self { servers: Servers::open(address, timeout).await?, clock: None, chains: Chains::default() })
    }

    /// The same, but goes by `clock` instead of the server's: for tests and simulations.
    ///
    /// # Errors
    /// As [`RedisLine::connect`].
    pub async fn connect_with_clock(url: &str, timeout: Duration, clock: Clock) -> Result<Self, StoreFault> {
        Ok(Self { clock: Some(clock), ..Self::connect(url, timeout).await? })
    }

    /// Begins a verb's command; its first argument is the time, empty for the server's own.
    fn verb(&self, verb: Verb, room: &RoomName) -> Cmd {
        let mut call = scripts::call(verb, &format!("vestibule:{{{room}}}:"));
        call.arg(self.clock.as_ref().map_or_else(String::new, |clock| clock.now_us().to_string()));
        call
    }

    async fn run_one(&self, room: &RoomName, call: Cmd, repeat: Repeat) -> Result<Value, StoreFault> {
        let mut answers = self.servers.run(room, &together([call]), repeat).await?;
        answers.pop().ok_or_else(|| corrupt("no answer"))
    }

    async fn read_roll(&self, room: &RoomName) -> Result<StoredRoll, StoreFault> {
        let answer = self.run_one(room, self.follow(room, Known::default()), Repeat::Once).await?;
        let mut reply = Reply::of(answer)?;
        match reply.text()?.as_str() {
            "roll" => read_roll(reply),
            other => Err(corrupt(&format!("`{other}` where a roll was asked for"))),
        }
    }

    /// Writes a merged line, unless the room has changed since it was read; returns whether it was written.
    async fn write_roll(&self, room: &RoomName, read: &StoredRoll, line: &LineState) -> Result<bool, StoreFault> {
        let roll = line.roll();
        let begins_epoch = roll.epoch() > read.roll.epoch();
        let log: Vec<Entry> = line.kept().cloned().collect();
        let mut call = self.verb(Verb::Restore, room);
        call.arg(&read.stamp[..]).arg(u8::from(begins_epoch)).arg(roll_arguments(roll, &log));
        Ok(self.run_one(room, call, Repeat::Once).await? == Value::Int(1))
    }

    fn follow(&self, room: &RoomName, known: Known) -> Cmd {
        self.verb_after(Verb::Follow, room, known)
    }

    /// Begins a verb that does nothing where the store knows less than `known`.
    fn verb_after(&self, verb: Verb, room: &RoomName, known: Known) -> Cmd {
        let mut call = self.verb(verb, room);
        call.arg(known.epoch).arg(known.seq).arg(known.issued);
        call
    }

    /// Lines up the verbs of a tick: vouch first, call and follow last. Each judges for itself whether the
    /// store is behind, or of a newer epoch: until then nothing of this tick was appended, so all judge alike.
    fn tick_verbs(&self, room: &RoomName, tick: &Tick, checkpoint: Option<Cmd>) -> Vec<Cmd> {
        let mut vouch = self.verb(Verb::Vouch, room);
        vouch.arg(tick.gateway.to_string()).arg(tick.lease_ms).arg(set_word(&tick.here)).arg(set_word(&tick.gone));
        vouch.arg(tick.known.seq).arg(tick.known.epoch);
        vouch.arg(tick.wish_us.map_or_else(String::new, |wish_us| wish_us.to_string()));
        vouch.arg(tick.serial).arg(u8::from(tick.all_here));
        let mut verbs = vec![vouch];
        let after = |verb| self.verb_after(verb, room, tick.known);
        for (verb, numbers) in [(Verb::TakeBack, &tick.returned), (Verb::Leave, &tick.left)] {
            if !numbers.is_empty() {
                verbs.push(with(after(verb), numbers));
            }
        }
        if !tick.ended.is_empty() {
            verbs.push(with_ended(after(Verb::End), &tick.ended));
        }
        if !tick.renewed.is_empty() {
            verbs.push(with_renewed(after(Verb::Renew), &tick.renewed));
        }
        if !tick.introduced.is_empty() {
            verbs.push(with_persons(after(Verb::Introduce), &tick.introduced));
        }
        verbs.extend(checkpoint);
        verbs.extend([after(Verb::Call), self.follow(room, tick.known)]);
        verbs
    }

    fn read_news(&self, room: &RoomName, answer: Value) -> Result<News, StoreFault> {
        let mut reply = Reply::of(answer)?;
        match reply.text()?.as_str() {
            "behind" => Ok(News::Behind),
            "entries" => {
                let entries = read_new_entries(reply)?;
                self.chains.follow(room, &entries);
                Ok(News::Entries(entries))
            }
            _ => {
                let read = read_roll(reply)?;
                self.note_roll(room, &read);
                Ok(News::Roll(Box::new(read.roll)))
            }
        }
    }

    fn note_roll(&self, room: &RoomName, read: &StoredRoll) {
        if read.is_linked {
            self.chains.start(room, &read.roll, read.link_seq);
        }
    }
}

#[async_trait]
impl LineStore for RedisLine {
    async fn join(&self, room: &RoomName, count: u64) -> Result<Joined, StoreFault> {
        let mut call = self.verb(Verb::Join, room);
        call.arg(count.clamp(1, JOIN_LIMIT));
        read_joined(&mut Reply::of(self.run_one(room, call, Repeat::Never).await?)?)
    }

    async fn claim(&self, room: &RoomName, arrivals: &[Arrival], known: Known) -> Result<Option<Claimed>, StoreFault> {
        let call = with_arrivals(self.verb_after(Verb::Claim, room, known), arrivals);
        let only_persons = arrivals.iter().all(|arrival| arrival.person().is_some());
        let repeat = if only_persons { Repeat::Once } else { Repeat::Never };
        match self.run_one(room, call, repeat).await? {
            Value::Nil => Ok(None),
            answer => read_claimed(Reply::of(answer)?, arrivals.len()).map(Some),
        }
    }

    async fn find(&self, room: &RoomName, person: PersonId) -> Result<Option<(Epoch, Number)>, StoreFault> {
        let mut call = self.verb(Verb::Find, room);
        call.arg(&stored_person(person)[..]);
        match self.run_one(room, call, Repeat::Once).await? {
            Value::Nil => Ok(None),
            answer => {
                let mut found = Reply::of(answer)?;
                let eras = read_eras(&found.text()?)?;
                found.number().map(|number| Some((epoch_of(&eras, number), number)))
            }
        }
    }

    /// No script: one bit is set, which tells what it was, and the bitmap goes when all in it has run out.
    async fn use_once(&self, room: &RoomName, mark: &Mark) -> Result<bool, StoreFault> {
        let key = format!("vestibule:{{{room}}}:spent:{}", mark.page());
        let (mut set, mut expire) = (redis::cmd("SETBIT"), redis::cmd("EXPIREAT"));
        set.arg(&key).arg(mark.bit()).arg(1);
        expire.arg(&key).arg(mark.forget_s());
        let answers = self.servers.run(room, &together([set, expire]), Repeat::Never).await?;
        Ok(answers.first() == Some(&Value::Int(0)))
    }

    async fn share(&self, room: &RoomName, told: &[(String, Word)], known: Reading) -> Result<Heard, StoreFault> {
        self.share_words(room, told, known).await
    }

    async fn tick(&self, room: &RoomName, tick: &Tick) -> Result<Page, StoreFault> {
        let due = self.chains.due(room);
        let checkpoint = due.map(|(known, link)| {
            let mut call = self.verb(Verb::Checkpoint, room);
            call.arg(known.epoch).arg(known.seq).arg(String::from(link));
            call
        });
        let mut answers =
            self.servers.run(room, &together(self.tick_verbs(room, tick, checkpoint)), Repeat::Once).await?;
        let (Some(news), Some(called)) = (answers.pop(), answers.pop()) else {
            return Err(corrupt("a tick has too few answers"));
        };
        let is_one = |answer: &Value| *answer == Value::Int(1);
        if let Some((known, _)) = due {
            self.chains.saved(room, known.seq);
        }
        let mut called = Reply::of(called)?;
        Ok(Page {
            present: called.number()?,
            now_us: called.number()?,
            vouched: answers.first().is_some_and(is_one),
            held: answers.iter().skip(1).any(is_one),
            news: self.read_news(room, news)?,
        })
    }

    async fn steer(&self, room: &RoomName, steering: &Steering) -> Result<(), StoreFault> {
        if let Steering::Draw(reveal) = steering {
            return self.draw(room, reveal).await;
        }
        let mut call = self.verb(Verb::Steer, room);
        match steering {
            Steering::Configure(limits) => call.arg("configure").arg(&limit_words(limits)[..]),
            Steering::Limits(limits) => call.arg("limits").arg(&limit_words(limits)[..]),
            Steering::Revise { from, to } => call.arg("revise").arg(&limit_words(from)[..]).arg(&limit_words(to)[..]),
            Steering::Phase(phase) => call.arg("phase").arg(phase.name()),
            Steering::Message(message) => call.arg("message").arg(message),
            Steering::Admit(count) => call.arg("admit").arg(count),
            Steering::Promise(promise) => call.arg("promise").arg(promise_text(promise)),
            Steering::Forgo => call.arg("forgo"),
            Steering::Reset | Steering::Draw(_) => call.arg("reset"),
        };
        let repeat = if matches!(steering, Steering::Admit(_)) { Repeat::Never } else { Repeat::Once };
        let answer = self.run_one(room, call, repeat).await?;
        if answer == Value::Int(0) { Err(StoreFault::Changed) } else { Ok(()) }
    }

    /// Merges in the pure machine and writes the outcome, unless the room has changed meanwhile: then
    /// the merge is made anew.
    ///
    /// The roll's `link` is true as long as the log reaches back to the last checkpoint, and ticking
    /// gateways see to that. Else it is the chain over what is left, and an export of the log begins there.
    async fn restore(&self, room: &RoomName, offered: &Roll) -> Result<Roll, StoreFault> {
        for _ in 0..RESTORE_TRIES {
            let read = self.read_roll(room).await?;
            let (roll, now_us, offered) = (read.roll.clone(), read.now_us, offered.clone());
            let restored = move || {
                let mut line = LineState::with_roll(roll, now_us);
                line.restore(&offered, now_us);
                line
            };
            let line = apart(restored).await;
            if *line.roll() == read.roll {
                self.note_roll(room, &read);
                return Ok(read.roll);
            }
            if self.write_roll(room, &read, &line).await? {
                self.chains.start(room, line.roll(), line.roll().seq);
                return Ok(line.roll().clone());
            }
        }
        Err(StoreFault::Refused("the room kept changing while it was to be restored".to_owned()))
    }
}

fn together(verbs: impl IntoIterator<Item = Cmd>) -> Pipeline {
    let mut pipe = redis::pipe();
    for verb in verbs {
        pipe.add_command(verb);
    }
    pipe
}

fn with(mut call: Cmd, numbers: &Numbers) -> Cmd {
    call.arg(set_word(numbers));
    call
}

fn with_ended(mut call: Cmd, ended: &[Slots]) -> Cmd {
    for slots in ended {
        call.arg(slots.ends_s).arg(slots.numbers.to_string());
    }
    call
}

fn with_renewed(mut call: Cmd, renewed: &[Renewal]) -> Cmd {
    for renewal in renewed {
        call.arg(renewal.number).arg(renewal.ends_s).arg(renewal.called_us);
    }
    call
}

fn with_arrivals(mut call: Cmd, arrivals: &[Arrival]) -> Cmd {
    for arrival in arrivals {
        match arrival {
            Arrival::Anybody => call.arg("").arg(""),
            Arrival::Person { id, over } => {
                call.arg(&stored_person(*id)[..]).arg(over.map_or_else(String::new, |number| number.to_string()))
            }
        };
    }
    call
}

fn with_persons(mut call: Cmd, persons: &[(PersonId, Number)]) -> Cmd {
    for (person, number) in persons {
        call.arg(&stored_person(*person)[..]).arg(number);
    }
    call
}

/// Returns ten bytes of a person's id, of which 78 bits count: that any two among ten million are alike is less likely
/// than one in a billion.
fn stored_person(person: PersonId) -> [u8; 10] {
    let [.., a, b, c, d, e, f, g, h, i, j] = person.0.to_be_bytes();
    [a, b, c, d, e, f, g, h, i, j]
}

fn read_joined(reply: &mut Reply) -> Result<Joined, StoreFault> {
    Ok(Joined {
        epoch: u32::try_from(reply.number()?).map_err(|_| corrupt("an epoch is too large"))?,
        first: reply.number()?,
        count: reply.number()?,
        admitted: reply.number()?,
        ends_s: reply.number()?,
        at_us: reply.number()?,
    })
}

fn read_claimed(mut reply: Reply, count: usize) -> Result<Claimed, StoreFault> {
    let joined = read_joined(&mut reply)?;
    let eras = read_eras(&reply.text()?)?;
    let mut numbers = reply.array()?;
    let number = |_| numbers.number().map(|number| (epoch_of(&eras, number), number));
    Ok(Claimed { joined, numbers: (0..count).map(number).collect::<Result<_, _>>()? })
}

fn read_new_entries(mut reply: Reply) -> Result<Vec<Entry>, StoreFault> {
    let epoch = u32::try_from(reply.number()?).map_err(|_| corrupt("an epoch is too large"))?;
    let first = reply.number()?;
    read_entries(reply.array()?, first, &[Era { epoch, above: 0 }])
}
