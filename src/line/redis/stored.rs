//! The roll of a room as its keys hold it: read for a mirror, and written after a merge.

use std::collections::{BTreeMap, HashMap};

use super::chains::link_after;
use super::reply::{Reply, corrupt};
use super::words::{
    LIMITS, begins_epoch, draw_text, letters, limit_words, promise_text, read_draw, read_entry, read_letters,
    read_limits, read_phase, read_promise, write_entry,
};
use crate::line::bits::Bits;
use crate::line::chain::Link;
use crate::line::draw::{Draw, Pending};
use crate::line::roll::{Era, Session, SessionRun, Sessions, Tally};
use crate::line::{Entry, Number, Numbers, Roll, Settings, StoreFault};

/// A roll as it was at one instant, and what tells whether it has changed since.
pub struct StoredRoll {
    /// The roll.
    pub roll: Roll,
    /// The entry of the last link that the store remembers.
    pub link_seq: u64,
    /// Whether the log reached back to that link; if not, the roll's link is not the true one.
    pub is_linked: bool,
    /// When it was read.
    pub now_us: u64,
    /// The epoch, seq and issued.
    pub stamp: [u64; 3],
}

/// As long as a Redis string can be.
const MAX_BASE: usize = 512 << 20;

/// The fields of a room, taken out one by one.
struct Fields(HashMap<String, String>);

impl Fields {
    fn text(&self, name: &str) -> Result<&str, StoreFault> {
        self.0.get(name).map(String::as_str).ok_or_else(|| corrupt(&format!("a room has no `{name}`")))
    }

    fn number(&self, name: &str) -> Result<u64, StoreFault> {
        self.text(name)?.parse().map_err(|_| corrupt(&format!("a room's `{name}` is no number")))
    }

    /// The base of the bitmap of who waits, in bytes; 0 where nothing was cut off yet.
    fn base(&self) -> Result<usize, StoreFault> {
        let base = self.0.get("base").map_or(Ok(0), |base| base.parse());
        base.ok().filter(|base| *base <= MAX_BASE).ok_or_else(|| corrupt("a room's `base` is no number of bytes"))
    }

    fn settings(&self) -> Result<Option<Settings>, StoreFault> {
        let Ok(phase) = self.text("phase") else { return Ok(None) };
        let limits = read_limits(LIMITS.into_iter().filter_map(|name| self.text(name).ok()));
        let configured = read_limits(self.text("configured")?.split(' '));
        let read = read_phase(phase).zip(limits.zip(configured));
        let (phase, (limits, configured)) = read.ok_or_else(|| corrupt("a room's settings cannot be read"))?;
        Ok(Some(Settings { phase, limits, configured, message: self.0.get("message").cloned() }))
    }

    fn pending(&self) -> Result<Option<Pending>, StoreFault> {
        let Ok(text) = self.text("pending") else { return Ok(None) };
        let promise = read_promise(text).ok_or_else(|| corrupt("a room's promised draw cannot be read"))?;
        let closed = self.text("pending_closed").is_ok().then(|| self.number("pending_closed")).transpose()?;
        Ok(Some(Pending { promise, above: self.number("pending_above")?, closed }))
    }

    fn draws(&self) -> Result<Vec<Draw>, StoreFault> {
        let texts = self.text("draws").unwrap_or_default().split(',').filter(|text| !text.is_empty());
        texts.map(|text| read_draw(text).ok_or_else(|| corrupt("a room's draws cannot be read"))).collect()
    }
}

/// Reads the answer of `follow` when it is a roll.
pub fn read_roll(mut reply: Reply) -> Result<StoredRoll, StoreFault> {
    let fields = Fields(pairs(reply.array()?)?.into_iter().collect());
    let eras = read_eras(fields.text("eras")?)?;
    let base = fields.base()?;
    let mut roll = Roll {
        seq: fields.number("seq")?,
        issued: fields.number("issued")?,
        waiting: Bits::from_bytes_at(base, &reply.bytes()?),
        called: Bits::from_bytes(&reply.bytes()?),
        over: Bits::from_bytes(&reply.bytes()?),
        unseen: Bits::from_bytes(&reply.bytes()?).into(),
        tat_us: fields.number("tat")?,
        pace_us: fields.number("pace")?,
        paced_at_us: fields.number("paced_at")?,
        sessions: read_sessions(&mut reply)?,
        settings: fields.settings()?,
        set_at_us: fields.number("set_at")?,
        tally: Tally {
            called: fields.number("tally_called")?,
            left: fields.number("tally_left")?,
            lapsed: fields.number("tally_lapsed")?,
        },
        pending: fields.pending()?,
        draws: fields.draws()?,
        drawn_seq: fields.number("drawn_seq")?,
        step_seq: fields.number("step_seq")?,
        eras,
        link: Link::default(),
    };
    roll.over.union_with(&given_up(&roll));
    let link_seq = fields.number("link_seq")?;
    let first = reply.number()?;
    let entries = read_entries(reply.array()?, first, &roll.eras)?;
    let start = Link::try_from(fields.text("link")?.to_owned()).map_err(|_| corrupt("a room's link is no hash"))?;
    roll.link = link_after(start, &entries);
    let stamp = [u64::from(roll.epoch()), roll.seq, roll.issued];
    Ok(StoredRoll { link_seq, is_linked: first == link_seq + 1, now_us: reply.number()?, stamp, roll })
}

/// Returns who gave up, for whoever neither waits nor was called did. Of those whom the store had forgotten once, and of
/// ended sessions, it keeps a bitmap.
fn given_up(roll: &Roll) -> Bits {
    let mut over = Bits::default();
    over.insert_run(1, roll.issued);
    over.subtract(&roll.waiting);
    over.subtract(&roll.called);
    over.subtract(&Bits::from(&roll.unseen));
    over
}

/// Returns those of who is over whom the store's bitmap has to have.
pub fn over_to_keep(called: &Bits, unseen: &Bits, over: &Bits) -> Bits {
    let mut kept = called.clone();
    kept.union_with(unseen);
    kept.intersect(over);
    kept
}

/// Reads entries, of which the first has the place `first` and the last is of the newest era.
pub fn read_entries(reply: Reply, first: u64, eras: &[Era]) -> Result<Vec<Entry>, StoreFault> {
    let texts = reply.texts()?;
    let mut begun = texts.iter().filter(|text| begins_epoch(text)).count();
    let read = (first..).zip(&texts).map(|(seq, text)| {
        begun -= usize::from(begins_epoch(text));
        let era = eras.len().checked_sub(begun + 1).map(|i| eras[i])?;
        read_entry(text, seq, era.epoch)
    });
    read.map(|entry| entry.ok_or_else(|| corrupt("an entry of the log cannot be read"))).collect()
}

/// Writes a merged roll and its log as the arguments of `restore`.
pub fn roll_arguments(roll: &Roll, log: &[Entry]) -> Vec<Vec<u8>> {
    let fields = fields_of(roll);
    let mut arguments = vec![fields.len().to_string().into_bytes()];
    arguments.extend(fields.into_iter().flat_map(|(name, value)| [name.into(), value.into_bytes()]));
    let unseen = Bits::from(&roll.unseen);
    let over = over_to_keep(&roll.called, &unseen, &roll.over);
    arguments.extend([&roll.waiting, &roll.called, &over, &unseen].map(Bits::to_bytes));
    let of_numbers = |numbers: &[u64]| numbers.iter().map(|number| number.to_string().into_bytes()).collect::<Vec<_>>();
    let mut counted = |count: usize, values: Vec<Vec<u8>>| {
        arguments.extend(of_numbers(&[count as u64]));
        arguments.extend(values);
    };
    let (in_use, renewed, runs) = (roll.sessions.in_use(), roll.sessions.renewed(), run_texts(&roll.sessions));
    counted(in_use.len(), in_use.iter().flat_map(|(ends_s, count)| of_numbers(&[*ends_s, *count])).collect());
    counted(runs.len(), runs.into_iter().map(String::into_bytes).collect());
    let session = |(number, session): (&Number, &Session)| of_numbers(&[*number, session.ends_s, session.at_us]);
    counted(renewed.len(), renewed.iter().flat_map(session).collect());
    arguments.extend(log.iter().map(|entry| write_entry(entry).into_bytes()));
    arguments
}

fn fields_of(roll: &Roll) -> Vec<(&'static str, String)> {
    let eras: Vec<String> = roll.eras.iter().map(|era| format!("{}:{}", era.epoch, era.above)).collect();
    let mut fields = vec![
        ("eras", eras.join(",")),
        ("seq", roll.seq.to_string()),
        ("link_seq", roll.seq.to_string()),
        ("link", roll.link.into()),
        ("issued", roll.issued.to_string()),
        ("tat", roll.tat_us.to_string()),
        ("pace", roll.pace_us.to_string()),
        ("paced_at", roll.paced_at_us.to_string()),
        ("set_at", roll.set_at_us.to_string()),
        ("tally_called", roll.tally.called.to_string()),
        ("tally_left", roll.tally.left.to_string()),
        ("tally_lapsed", roll.tally.lapsed.to_string()),
        ("draws", roll.draws.iter().map(draw_text).collect::<Vec<_>>().join(",")),
        ("drawn_seq", roll.drawn_seq.to_string()),
        ("step_seq", roll.step_seq.to_string()),
    ];
    if let Some(Pending { promise, above, closed }) = &roll.pending {
        fields.push(("pending", promise_text(promise)));
        fields.push(("pending_above", above.to_string()));
        fields.extend(closed.map(|closed| ("pending_closed", closed.to_string())));
    }
    if let Some(settings) = &roll.settings {
        fields.push(("phase", settings.phase.name().to_owned()));
        fields.extend(LIMITS.into_iter().zip(limit_words(&settings.limits)));
        fields.push(("configured", limit_words(&settings.configured).join(" ")));
        fields.extend(settings.message.clone().map(|message| ("message", message)));
    }
    fields
}

/// Writes the runs, those that end first first.
fn run_texts(sessions: &Sessions) -> Vec<String> {
    let mut by_end: Vec<(&Number, &SessionRun)> = sessions.runs().iter().collect();
    by_end.sort_by_key(|(_, run)| run.ends_s);
    let text = |(first, run): (&Number, &SessionRun)| {
        let before_us = i128::from(run.ends_s) * 1_000_000 - i128::from(run.at_us);
        format!("{}|{before_us}|{first}|{}{}", run.ends_s, letters(0), Numbers::run(0, run.last - first))
    };
    by_end.into_iter().map(text).collect()
}

/// Reads the sessions: how many of each last second are in use, the runs, and of those that were renewed the end and the call.
/// Runs that have run out may still be in the list, but are not in use.
fn read_sessions(reply: &mut Reply) -> Result<Sessions, StoreFault> {
    let numbers = |reply: &mut Reply| {
        let pairs = pairs(reply.array()?)?;
        pairs.iter().map(|(a, b)| Ok((number(a)?, number(b)?))).collect::<Result<BTreeMap<_, _>, StoreFault>>()
    };
    let in_use = numbers(reply)?;
    let mut by_first: BTreeMap<Number, SessionRun> = BTreeMap::new();
    for text in reply.array()?.texts()? {
        let (ends_s, calls) = read_runs(&text).ok_or_else(|| corrupt("a room's sessions cannot be read"))?;
        for (at_us, called) in calls.into_iter().filter(|_| in_use.contains_key(&ends_s)) {
            by_first.extend(called.into_iter().map(|(first, last)| (first, SessionRun { last, ends_s, at_us })));
        }
    }
    let (ends, calls) = (numbers(reply)?, numbers(reply)?);
    let renewed = |(number, ends_s)| {
        let at_us = calls.get(&number).ok_or_else(|| corrupt("a room does not know when a session began"))?;
        Ok((number, Session { ends_s, at_us: *at_us }))
    };
    let renewed = ends.into_iter().map(renewed).collect::<Result<_, StoreFault>>()?;
    Ok(Sessions::from_parts(by_first, in_use, renewed))
}

/// A last second and, for each call whose sessions end in it, the instant and who was called.
type CallsOfSecond = (u64, Vec<(u64, Vec<(Number, Number)>)>);

/// Reads what `note_runs` writes: a last second, how long before it the first call was, the lowest number, then of each
/// call how long after the one before it was, and who was called.
fn read_runs(text: &str) -> Option<CallsOfSecond> {
    let mut words = text.splitn(4, '|');
    let ends_s: u64 = words.next()?.parse().ok()?;
    let before_us: i64 = words.next()?.parse().ok()?;
    let mut zero: Number = words.next()?.parse().ok()?;
    let mut at_us = ends_s.checked_mul(1_000_000)?.checked_add_signed(before_us.checked_neg()?)?;
    let (mut calls, mut rest) = (Vec::new(), words.next().filter(|rest| !rest.is_empty())?);
    while !rest.is_empty() {
        let (after_us, after) = read_letters(rest)?;
        let (called, next) = after.split_at(after.find(|c: char| c >= '@').unwrap_or(after.len()));
        let called = if called.is_empty() { "0" } else { called };
        let (passed_over, called) = called.split_once('+').unwrap_or(("0", called));
        zero = zero.checked_add(passed_over.parse().ok()?)?;
        at_us = at_us.checked_add(after_us)?;
        let runs: Vec<_> = called.parse::<Numbers>().ok()?.counting_from(zero)?.runs().collect();
        zero = runs.last()?.1 + 1;
        calls.push((at_us, runs));
        rest = next;
    }
    Some((ends_s, calls))
}

pub fn read_eras(text: &str) -> Result<Vec<Era>, StoreFault> {
    let era = |part: &str| {
        let (epoch, above) = part.split_once(':')?;
        Some(Era { epoch: epoch.parse().ok()?, above: above.parse().ok()? })
    };
    text.split(',').map(|part| era(part).ok_or_else(|| corrupt("a room's eras cannot be read"))).collect()
}

fn pairs(reply: Reply) -> Result<Vec<(String, String)>, StoreFault> {
    let mut texts = reply.texts()?.into_iter();
    Ok(std::iter::from_fn(|| Some((texts.next()?, texts.next()?))).collect())
}

fn number(text: &str) -> Result<u64, StoreFault> {
    text.parse().map_err(|_| corrupt(&format!("`{text}` is no number")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_read_as_they_were_written() {
        for number in [0, 31, 32, 1_023, 1_024, 100_000, u64::MAX] {
            let text = format!("{}5-7", letters(number));
            assert_eq!(read_letters(&text), Some((number, "5-7")), "{text}");
        }
        for text in ["", "A", "5`", "é`", "AAAAAAAAAAAAAAAAAA`"] {
            assert_eq!(read_letters(text), None, "{text}");
        }
    }

    #[test]
    fn runs_are_read() {
        let runs = |text| read_runs(text).unwrap();
        let (first_us, next_us) = (1_795_000_000_100_000, 1_795_000_000_200_000);
        let calls = vec![(first_us, vec![(12, 40), (45, 45)]), (next_us, vec![(46, 46)])];
        assert_eq!(runs("1795000600|599900000|12|`0-28,33CAU`"), (1_795_000_600, calls.clone()));
        let passed_over = vec![(first_us, vec![(12, 40), (45, 45)]), (next_us, vec![(48, 48), (51, 52)])];
        assert_eq!(runs("1795000600|599900000|12|`0-28,33CAU`2+0,3-4"), (1_795_000_600, passed_over));
        for text in [
            "",
            "7",
            "7|5`1",
            "7|x|1|`1",
            "7|1|2",
            "7|1|2|",
            "7|1|2|5",
            "7|1|2|A",
            "7|1|2|`5-3",
            "7|1|2|`1+",
            "7|1|18446744073709551615|`1",
        ] {
            assert_eq!(read_runs(text), None, "{text}");
        }
    }
}
