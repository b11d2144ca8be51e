//! What each visitor will do, thrown from the seed before anyone comes.

use super::chance::Chance;

/// The shares of the crowd that behave in a way; each from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Habits {
    /// Lose their connection once while they wait.
    pub drop: f64,
    /// Hold seats once they are in.
    pub hold: f64,
    /// Pay for what they hold.
    pub pay: f64,
}

/// One visitor before it comes.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which one it is, from 0.
    pub index: u64,
    /// When it means to come, in microseconds from the start.
    pub arrives_us: u64,
    /// For how long it will be away once, in milliseconds; `None` for those who stay.
    pub away_ms: Option<u64>,
    /// Whether it holds seats.
    pub holds: bool,
    /// Whether it pays.
    pub pays: bool,
    /// Its own dice, for what comes later.
    pub chance: Chance,
}

/// Throws the plans of everyone in `arrivals_us`, in order.
#[must_use]
pub fn plans(arrivals_us: &[u64], habits: Habits, seed: u64) -> Vec<Plan> {
    let plan = |(index, &arrives_us): (usize, &u64)| {
        let mut chance = Chance::stream(seed, index as u64);
        let drops = chance.fraction() < habits.drop;
        let away_ms = chance.between(2_000, 6_000);
        Plan {
            index: index as u64,
            arrives_us,
            away_ms: drops.then_some(away_ms),
            holds: chance.fraction() < habits.hold,
            pays: chance.fraction() < habits.pay,
            chance,
        }
    };
    arrivals_us.iter().enumerate().map(plan).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_throws_the_same_crowd_and_the_shares_are_kept() {
        let arrivals: Vec<u64> = (0..10_000).collect();
        let habits = Habits { drop: 0.05, hold: 1.0, pay: 0.0 };
        let (one, two) = (plans(&arrivals, habits, 9), plans(&arrivals, habits, 9));
        let away = |plans: &[Plan]| plans.iter().map(|plan| plan.away_ms).collect::<Vec<_>>();
        assert_eq!(away(&one), away(&two));
        assert_ne!(away(&one), away(&plans(&arrivals, habits, 10)));
        let droppers = one.iter().filter(|plan| plan.away_ms.is_some()).count();
        assert!((400..600).contains(&droppers), "{droppers}");
        assert!(one.iter().all(|plan| plan.holds && !plan.pays));
    }
}
