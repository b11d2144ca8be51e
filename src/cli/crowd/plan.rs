//! What each visitor will do, thrown from the seed before anyone comes.

use super::behaviour::{Behaviour, Mix};
use super::chance::Chance;

/// The shares of the crowd that behave in a way; each from 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Habits {
    /// Lose their connection once while they wait.
    pub drop: f64,
    /// Hold seats once they are in.
    pub hold: f64,
    /// Pay for what they hold.
    pub pay: f64,
    /// Wait in ways of their own.
    pub mix: Mix,
}

/// One visitor before it comes.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which one it is, from 0.
    pub index: u64,
    /// When it means to come, in microseconds from the start.
    pub arrives_us: u64,
    /// How it behaves.
    pub behaviour: Behaviour,
    /// For how long it will be away once, in milliseconds; `None` for those who stay.
    pub away_ms: Option<u64>,
    /// Whether it holds seats.
    pub holds: bool,
    /// Whether it pays.
    pub pays: bool,
    /// Its own dice, for what comes later.
    pub chance: Chance,
}

/// Throws the plans of those who arrive, given by their index and when they do, in order. What a visitor does depends on the
/// seed and its index alone, so that a part of the crowd can be thrown without the rest.
pub fn plans<A: Iterator<Item = (u64, u64)>>(
    arrivals_us: A,
    habits: Habits,
    seed: u64,
) -> impl Iterator<Item = Plan> + use<A> {
    arrivals_us.map(move |(index, arrives_us)| plan(index, arrives_us, &habits, seed))
}

fn plan(index: u64, arrives_us: u64, habits: &Habits, seed: u64) -> Plan {
    let mut chance = Chance::stream(seed, index);
    let drops = chance.fraction() < habits.drop;
    let away_ms = chance.between(2_000, 6_000);
    let holds = chance.fraction() < habits.hold;
    let pays = chance.fraction() < habits.pay;
    let behaviour = habits.mix.draw(chance.fraction());
    let (holds, pays) = match behaviour {
        Behaviour::Payer => (true, true),
        Behaviour::Abandoner => (true, false),
        Behaviour::Robot => (false, false),
        _ => (holds, pays),
    };
    Plan { index, arrives_us, behaviour, away_ms: drops.then_some(away_ms), holds, pays, chance }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thrown(habits: &Habits, seed: u64) -> Vec<Plan> {
        plans((0..10_000).zip(0..), habits.clone(), seed).collect()
    }

    #[test]
    fn the_same_seed_throws_the_same_crowd_and_the_shares_are_kept() {
        let mix: Mix = "robot=0.1,payer=0.2,abandoner=0.1".parse().unwrap();
        let habits = Habits { drop: 0.05, hold: 0.5, pay: 0.0, mix };
        let one = thrown(&habits, 9);
        let doings = |plans: &[Plan]| plans.iter().map(|plan| (plan.away_ms, plan.behaviour)).collect::<Vec<_>>();
        assert_eq!(doings(&one), doings(&thrown(&habits, 9)));
        assert_ne!(doings(&one), doings(&thrown(&habits, 10)));
        let of = |wanted| one.iter().filter(|plan| plan.behaviour == wanted).collect::<Vec<_>>();
        let droppers = one.iter().filter(|plan| plan.away_ms.is_some()).count();
        assert!((400..600).contains(&droppers), "{droppers}");
        assert!((900..1_100).contains(&of(Behaviour::Robot).len()), "{}", of(Behaviour::Robot).len());
        assert!(of(Behaviour::Payer).iter().all(|plan| plan.holds && plan.pays));
        assert!(of(Behaviour::Abandoner).iter().all(|plan| plan.holds && !plan.pays));
        let holders = of(Behaviour::Patient).iter().filter(|plan| plan.holds).count();
        assert!((2_800..3_200).contains(&holders), "{holders}");
    }
}
