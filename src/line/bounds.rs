//! How far, how many, how long: what both stores agree on.

/// How far a new epoch's numbers begin above the highest that is remembered: more than could have
/// been given and forgotten.
pub const EPOCH_MARGIN: u64 = 1 << 17;

/// The most numbers that one join may ask for: half the margin.
pub const JOIN_LIMIT: u64 = EPOCH_MARGIN / 2;

/// For how long nobody is called after an epoch has begun because something may have been lost, in
/// microseconds: some ticks, in which every gateway says what it remembers.
pub const REST_US: u64 = 1_000_000;

/// For how long after an epoch has begun somebody may come back with a number that was given unseen before, in seconds:
/// an hour longer than a ticket is honoured. Then the places are given up, so that nothing is kept of them for ever.
pub const UNSEEN_S: u64 = 25 * 3_600;

/// How many entries a store keeps at the least for mirrors to follow.
pub const LOG_CAP: usize = 2_048;

/// The most who are called by one tick, or at once by hand, so that no other verb waits long behind it and an
/// entry stays small. Who is still allowed in is called by the next.
pub const CALL_LIMIT: u64 = 5_000;

/// From so many numbers on, those from the lowest that waits to the last that was given, who is present is not counted
/// in every tick.
pub const LONG_LINE: u64 = 1 << 17;

/// For so many numbers of a long line a count is good for a microsecond: for a tenth of a second where there are a million.
pub const COUNTED_PER_US: u64 = 10;

/// The most who lapse in one tick.
pub const LAPSE_LIMIT: usize = 2_000;

/// The least time between two changes of a rate that adapts, in microseconds.
pub const PACE_STEP_US: u64 = 1_000_000;

/// The least time between two musters of all gateways, where somebody who was here through two of them may have gone from
/// both, in microseconds: for about so long they still count as here.
pub const MUSTER_US: u64 = 5_000_000;

/// By how much longer it is for each who is here, in microseconds, where that comes to more: a minute for a million. A
/// gateway needs about one for each to say who is here where lots were drawn.
pub const MUSTER_EACH_US: u64 = 60;

/// For how long, at the least, someone who has just joined counts as present before the first
/// poll or live connection, in microseconds; at the most twice as long.
pub const DOOR_US: u64 = 5_000_000;
