//! What a sale needs: gateways, Redis, memory, files, bandwidth.
//!
//! Sums over a few coefficients, each of which a command of this project measures; docs/capacity.md says how, on what, and
//! how far they can be trusted.

/// What something costs, as it was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coefficient {
    /// Of what.
    pub of: &'static str,
    /// How much.
    pub value: f64,
    /// In which unit.
    pub unit: &'static str,
    /// The command that measures it.
    pub measured_by: &'static str,
}

const fn gateway(of: &'static str, value: f64, unit: &'static str) -> Coefficient {
    Coefficient { of, value, unit, measured_by: "benches/capacity" }
}

const fn other(of: &'static str, value: f64, unit: &'static str, measured_by: &'static str) -> Coefficient {
    Coefficient { of, value, unit, measured_by }
}

const VAST: &str = "cargo bench --bench line -- vast";

/// Processor time of a gateway for somebody who comes: page, ticket, handshake of the live connection.
pub const ARRIVAL: Coefficient = gateway("an arrival, processor", 182.0, "µs");
/// Bytes on the wire for it, with all headers.
pub const ARRIVAL_WIRE: Coefficient = gateway("an arrival, on the wire", 16_133.0, "bytes");
/// Memory of the gateway's process for a live connection.
pub const CONNECTION: Coefficient = other("a live connection, the process", 2_318.0, "bytes", "benches/million");
/// Memory of the kernel for the gateway's end of it.
pub const CONNECTION_KERNEL: Coefficient = gateway("a live connection, the kernel", 4_635.0, "bytes");
/// Processor time for a status over a live connection.
pub const FRAME: Coefficient = gateway("a status over a live connection, processor", 12.2, "µs");
/// Bytes on the wire for it.
pub const FRAME_WIRE: Coefficient = gateway("a status over a live connection, on the wire", 520.0, "bytes");
/// Processor time for a request that goes through to the site.
pub const FORWARD: Coefficient = gateway("a forwarded request, processor", 22.0, "µs");
/// Bytes of the gateway's copy of the line for each number, where half of them were called at random.
pub const MIRROR: Coefficient =
    other("a number in line, a gateway's mirror", 1.0, "bytes", "cargo bench --bench line -- mirror");
/// Bytes of Redis for each who waits, while gateways say anew who is here.
pub const LINE: Coefficient = other("somebody who waits, Redis", 0.66, "bytes", "cargo bench --bench line -- memory");
/// Bytes of Redis for each who was let in and whose session runs, where every tick calls one or two.
pub const SESSION: Coefficient = other("a session, Redis", 6.0, "bytes", "cargo bench --bench line -- memory");
/// Processor time of Redis for a tick that calls some, whatever the line's length: as with ten million, of whom 20,000 are
/// let in a second.
pub const TICK: Coefficient = other("a tick, Redis", 500.0, "µs", VAST);

/// All of them.
pub const COEFFICIENTS: [Coefficient; 11] =
    [ARRIVAL, ARRIVAL_WIRE, CONNECTION, CONNECTION_KERNEL, FRAME, FRAME_WIRE, FORWARD, MIRROR, LINE, SESSION, TICK];

/// How many statuses a second a gateway says in one room, unless the room says otherwise.
pub const UPDATES_PER_SECOND: u32 = 20_000;

/// How often each gateway ticks, a second.
const TICKS_PER_SECOND: f64 = 10.0;

/// Which part of its processors, files and memory a machine may use: the rest is for the moment in which another one fails.
const LOAD: f64 = 0.7;

/// A sale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sale {
    /// Who is in line at once, on live connections.
    pub visitors: u64,
    /// Within how many seconds they come.
    pub over_s: f64,
    /// How many are let in a second.
    pub admissions_per_second: f64,
    /// How long they stay, in seconds.
    pub session_s: f64,
    /// How many requests each of them makes a minute.
    pub requests_per_minute: f64,
}

/// What a gateway runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Processors.
    pub cores: u64,
    /// Files that a process may open.
    pub files: u64,
    /// Memory, in bytes.
    pub memory_bytes: u64,
}

/// What a sale needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Need {
    /// Gateways, with one more than it takes.
    pub gateways: u64,
    /// What decides how many.
    pub bound_by: &'static str,
    /// What each of them carries when all are there.
    pub each: Share,
    /// The line's memory in Redis, in bytes.
    pub redis_bytes: f64,
    /// The part of a processor that Redis needs for the ticks. Redis has one.
    pub redis_cores: f64,
    /// Into how many rooms, each on a Redis node of its own and with gateways of its own, so many have to be spread for that.
    pub rooms: u64,
    /// Seconds in which everyone hears of their place once.
    pub period_s: f64,
    /// Bits a second from all gateways while people come, and while they wait.
    pub wire_bits: (f64, f64),
}

/// What one gateway carries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// Live connections, each an open file.
    pub connections: f64,
    /// Memory of process and kernel, in bytes.
    pub memory_bytes: f64,
    /// Processors in use while people come.
    pub cores: f64,
}

/// Works out what a sale needs of such machines.
#[must_use]
pub fn need(sale: &Sale, machine: &Machine) -> Need {
    let bounds = [
        ("files", least(sale, |share| share.connections <= machine.files as f64 * LOAD)),
        ("memory", least(sale, |share| share.memory_bytes <= machine.memory_bytes as f64 * LOAD)),
        ("processors", least(sale, |share| share.cores <= machine.cores as f64 * LOAD)),
    ];
    let (bound_by, least) = bounds.into_iter().rev().max_by_key(|(_, count)| *count).unwrap_or(("files", 1));
    let gateways = least + 1;
    let visitors = sale.visitors as f64;
    let redis_cores = ticking(gateways as f64);
    let each = share(sale, gateways);
    let frames = frames(each.connections) * gateways as f64;
    let arrivals = visitors / sale.over_s;
    Need {
        gateways,
        bound_by,
        each,
        redis_bytes: visitors * LINE.value + sale.admissions_per_second * sale.session_s * SESSION.value,
        redis_cores,
        rooms: rooms(gateways as f64),
        period_s: (each.connections / f64::from(UPDATES_PER_SECOND)).max(1.0),
        wire_bits: (8.0 * (arrivals * ARRIVAL_WIRE.value + frames * FRAME_WIRE.value), 8.0 * frames * FRAME_WIRE.value),
    }
}

/// The part of a processor that Redis needs for the ticks of so many gateways over one line.
fn ticking(gateways: f64) -> f64 {
    gateways * TICKS_PER_SECOND * TICK.value / 1e6
}

/// The least number of rooms, of as many gateways each, of which each Redis bears its own.
fn rooms(gateways: f64) -> u64 {
    (ticking(gateways) / LOAD).ceil().max(1.0) as u64
}

/// The least number of gateways of which each bears its share.
fn least(sale: &Sale, bears: impl Fn(Share) -> bool) -> u64 {
    let most = sale.visitors.max(1);
    let (mut low, mut high) = (1, most);
    while low < high {
        let middle = low + (high - low) / 2;
        if bears(share(sale, middle)) { high = middle } else { low = middle + 1 }
    }
    low
}

fn share(sale: &Sale, gateways: u64) -> Share {
    let (visitors, gateways) = (sale.visitors as f64, gateways as f64);
    let connections = visitors / gateways;
    let inside = sale.admissions_per_second * sale.session_s;
    let requests = inside * sale.requests_per_minute / 60.0 / gateways;
    let arrivals = visitors / sale.over_s / gateways;
    let busy_us = arrivals * ARRIVAL.value + frames(connections) * FRAME.value + requests * FORWARD.value;
    Share {
        connections,
        memory_bytes: connections * (CONNECTION.value + CONNECTION_KERNEL.value) + visitors * MIRROR.value,
        cores: busy_us / 1e6,
    }
}

/// How many statuses a gateway says a second.
fn frames(connections: f64) -> f64 {
    connections.min(f64::from(UPDATES_PER_SECOND))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALE: Sale = Sale {
        visitors: 1_000_000,
        over_s: 60.0,
        admissions_per_second: 100.0,
        session_s: 600.0,
        requests_per_minute: 6.0,
    };
    const MACHINE: Machine = Machine { cores: 8, files: 100_000, memory_bytes: 16 << 30 };

    #[test]
    fn the_scarcest_decides_and_one_is_spare() {
        let need = need(&SALE, &MACHINE);
        assert_eq!((need.bound_by, need.gateways), ("files", 16));
        assert!((need.each.connections - 62_500.0).abs() < 1.0);
        let many = |machine: Machine| super::need(&SALE, &machine);
        assert_eq!(many(Machine { memory_bytes: 1 << 28, ..MACHINE }).bound_by, "memory");
        let quick = Sale { over_s: 1.0, ..SALE };
        assert_eq!(super::need(&quick, &Machine { cores: 1, ..MACHINE }).bound_by, "processors");
    }

    #[test]
    fn every_gateway_bears_its_share_and_one_fewer_than_enough_does_not() {
        for visitors in [1, 10_000, 1_000_000, 100_000_000] {
            let sale = Sale { visitors, ..SALE };
            let bears = |share: Share| share.connections <= 70_000.0;
            let least = least(&sale, bears);
            assert!(bears(share(&sale, least)));
            assert!(least == 1 || !bears(share(&sale, least - 1)), "{visitors}");
        }
    }

    #[test]
    fn what_grows_with_the_crowd_grows() {
        let at = |visitors| need(&Sale { visitors, ..SALE }, &MACHINE);
        let (small, large) = (at(100_000), at(10_000_000));
        assert!(large.redis_bytes > small.redis_bytes);
        assert!(large.redis_cores > 20.0 * small.redis_cores, "more gateways tick");
        assert!(large.wire_bits > small.wire_bits);
        assert!(large.gateways > 50 * small.gateways / 2);
        assert_eq!((small.rooms, large.rooms), (1, 2));
        assert!(ticking(large.gateways as f64) > LOAD && ticking(large.gateways as f64 / 2.0) <= LOAD);
    }
}
