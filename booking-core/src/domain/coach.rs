//! Coaches: which number is which seat, and which seats are near each other.
//!
//! The layouts are ours, stated whole in [`PLANS`]: each coach of a class repeats one bay (the seats between two walls,
//! or one row of chairs) until it has its seats. A row of stock is as many coaches as its capacity needs, the last one
//! cut short. A seat's number counts through the whole train, so a layout must not change for days that are on sale.

use serde::Serialize;

use super::inventory::Class;
use super::seat::{Free, SeatNumber};

/// Says where in its bay a seat is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// The lowest berth.
    Lower,
    /// The berth between.
    Middle,
    /// The highest berth.
    Upper,
    /// The lower berth along the corridor.
    SideLower,
    /// The upper berth along the corridor.
    SideUpper,
    /// A chair at the window.
    Window,
    /// A chair between two others.
    Centre,
    /// A chair at the aisle.
    Aisle,
}

use Place::{Aisle, Centre, Lower, Middle, SideLower, SideUpper, Upper, Window};

/// Describes the coaches of one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    class: Class,
    /// The letter that stands before a coach's number.
    pub letter: char,
    /// The seats of one bay, in the order of their numbers.
    pub bay: &'static [Place],
    /// Seats in one coach.
    pub seats: u32,
}

/// Every class's coach.
pub const PLANS: [Plan; 7] = [
    Plan { class: Class::FirstAc, letter: 'H', bay: &[Lower, Upper, Lower, Upper], seats: 24 },
    Plan { class: Class::ExecutiveChair, letter: 'E', bay: &[Window, Aisle, Aisle, Window], seats: 52 },
    Plan { class: Class::TwoTierAc, letter: 'A', bay: &[Lower, Upper, Lower, Upper, SideLower, SideUpper], seats: 48 },
    Plan { class: Class::ThreeTierAc, letter: 'B', bay: &BAY_OF_EIGHT, seats: 64 },
    Plan { class: Class::ChairCar, letter: 'C', bay: &[Window, Centre, Aisle, Aisle, Window], seats: 78 },
    Plan { class: Class::Sleeper, letter: 'S', bay: &BAY_OF_EIGHT, seats: 72 },
    Plan { class: Class::SecondSitting, letter: 'D', bay: &[Window, Centre, Aisle, Aisle, Centre, Window], seats: 108 },
];

/// Two walls of three berths facing each other, and two along the corridor.
const BAY_OF_EIGHT: [Place; 8] = [Lower, Middle, Upper, Lower, Middle, Upper, SideLower, SideUpper];

/// How far apart two seats are: coaches, then bays, then numbers.
type Distance = (u32, u32, u32);

impl Plan {
    /// Returns the plan of a class; `None` for what has no coaches.
    #[must_use]
    pub fn of(class: Class) -> Option<&'static Self> {
        PLANS.iter().find(|plan| plan.class == class)
    }

    /// Returns how many coaches a capacity needs.
    #[must_use]
    pub const fn coaches(&self, capacity: u32) -> u32 {
        capacity.div_ceil(self.seats)
    }

    /// Returns the name of a coach, which counts from 1: `B2`.
    #[must_use]
    pub fn coach_name(&self, coach: u32) -> String {
        format!("{}{coach}", self.letter)
    }

    /// Returns a seat's label: `B2-14`.
    #[must_use]
    pub fn label(&self, seat: SeatNumber) -> String {
        format!("{}-{}", self.coach_name(self.coach(seat) + 1), self.in_coach(seat) + 1)
    }

    /// Reads a label in its one spelling, for a row of some capacity.
    #[must_use]
    pub fn seat(&self, label: &str, capacity: u32) -> Option<SeatNumber> {
        let (coach, seat) = label.strip_prefix(self.letter)?.split_once('-')?;
        let (coach, seat): (u32, u32) = (coach.parse().ok()?, seat.parse().ok()?);
        let number = coach.checked_sub(1)?.checked_mul(self.seats)?.checked_add(seat)?;
        let seat = SeatNumber::new(number);
        ((1..=capacity).contains(&number) && self.label(seat) == label).then_some(seat)
    }

    /// Returns where in its bay a seat is.
    #[must_use]
    pub fn place(&self, seat: SeatNumber) -> Place {
        self.bay[self.in_coach(seat) as usize % self.bay.len()]
    }

    /// The coach a seat is in, from 0.
    const fn coach(&self, seat: SeatNumber) -> u32 {
        (seat.get() - 1) / self.seats
    }

    /// The place of a seat in its coach, from 0.
    const fn in_coach(&self, seat: SeatNumber) -> u32 {
        (seat.get() - 1) % self.seats
    }

    /// The bay a seat is in, counted through the whole train.
    const fn bay_of(&self, seat: SeatNumber) -> u32 {
        let size = self.bay.len() as u32;
        self.coach(seat) * self.seats.div_ceil(size) + self.in_coach(seat) / size
    }

    fn distance(&self, one: SeatNumber, other: SeatNumber) -> Distance {
        let apart = |measure: fn(&Self, SeatNumber) -> u32| measure(self, one).abs_diff(measure(self, other));
        (apart(Self::coach), apart(Self::bay_of), one.get().abs_diff(other.get()))
    }

    /// Chooses free seats that are as near each other as can be: in one coach, in one bay, side by side. Among equals it
    /// breaks up as little as it can: it takes the bay with the fewest other free seats, then the lowest numbers.
    ///
    /// `None` when there are too few.
    ///
    /// The first and last of any choice bound it, and the free seats that follow the first reach no further than its
    /// last. So only runs of neighbours in the list of free seats need a look, and one walk along it is enough.
    #[must_use]
    pub fn together(&self, free: &Free, count: usize) -> Option<Vec<SeatNumber>> {
        assert!(count > 0, "nobody is seated together with nobody");
        let free = free.numbers();
        let last_start = free.len().checked_sub(count)?;
        let start = (0..=last_start).min_by_key(|&start| {
            let end = start + count - 1;
            (self.distance(free[start], free[end]), self.left_beside(&free, start, end))
        })?;
        Some(free[start..start + count].to_vec())
    }

    /// Counts the free seats that stay behind in the bays of a run's ends.
    fn left_beside(&self, free: &[SeatNumber], start: usize, end: usize) -> usize {
        let (first, last) = (self.bay_of(free[start]), self.bay_of(free[end]));
        let before = free[..start].iter().rev().take_while(|&&seat| self.bay_of(seat) == first).count();
        let after = free[end + 1..].iter().take_while(|&&seat| self.bay_of(seat) == last).count();
        before + after
    }

    /// Lists the free seats nearest to one that is gone, the nearest first.
    #[must_use]
    pub fn nearest(&self, free: &Free, to: SeatNumber, most: usize) -> Vec<SeatNumber> {
        let mut near = free.numbers();
        near.sort_by_key(|&seat| (self.distance(seat, to), seat));
        near.truncate(most);
        near
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbers(numbers: &[u32]) -> Vec<SeatNumber> {
        numbers.iter().copied().map(SeatNumber::new).collect()
    }

    fn plan(class: Class) -> &'static Plan {
        Plan::of(class).unwrap()
    }

    /// Only these are free in a row of 200.
    fn only(free: &[u32]) -> Free {
        let taken: Vec<SeatNumber> = (1..=200).filter(|number| !free.contains(number)).map(SeatNumber::new).collect();
        Free::of(200, &taken)
    }

    #[test]
    fn a_label_has_one_spelling() {
        let three_tier = plan(Class::ThreeTierAc);
        for (label, number) in [("B1-1", 1), ("B1-64", 64), ("B2-14", 78), ("B5-64", 320)] {
            assert_eq!(three_tier.seat(label, 320), Some(SeatNumber::new(number)), "{label}");
            assert_eq!(three_tier.label(SeatNumber::new(number)), label);
        }
        for label in
            ["", "B", "B2", "B2-0", "B0-1", "B2-65", "B02-1", "B2-+1", "b2-1", "S2-1", "B6-1", "B99999999999-1"]
        {
            assert_eq!(three_tier.seat(label, 320), None, "{label}");
        }
    }

    #[test]
    fn berths_are_where_the_plan_says() {
        let places = |class, seats: &[u32]| -> Vec<Place> {
            seats.iter().map(|&seat| plan(class).place(SeatNumber::new(seat))).collect()
        };
        assert_eq!(
            places(Class::Sleeper, &[1, 2, 3, 7, 8, 72, 73]),
            [Lower, Middle, Upper, SideLower, SideUpper, SideUpper, Lower]
        );
        assert_eq!(places(Class::ChairCar, &[1, 3, 5, 78, 79]), [Window, Aisle, Window, Aisle, Window]);
    }

    #[test]
    fn people_sit_together_where_they_can() {
        let three_tier = plan(Class::ThreeTierAc);
        for (free, count, chosen) in [
            // Side by side in one bay, and the bay that is broken already.
            (vec![1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13], 3, Some(vec![11, 12, 13])),
            // One bay rather than neighbouring numbers of two.
            (vec![8, 9, 17, 24], 2, Some(vec![17, 24])),
            // One coach rather than neighbouring numbers of two.
            (vec![64, 65, 66, 128], 2, Some(vec![65, 66])),
            // A lone traveller fills a gap.
            (vec![1, 2, 20, 33, 34], 1, Some(vec![20])),
            (vec![1, 200], 2, Some(vec![1, 200])),
            (vec![1, 2], 3, None),
        ] {
            let together = three_tier.together(&only(&free), count);
            assert_eq!(together, chosen.map(|chosen| numbers(&chosen)), "{count} of {free:?}");
        }
    }

    #[test]
    fn what_is_offered_instead_is_near() {
        let near = plan(Class::ThreeTierAc).nearest(&only(&[1, 12, 64, 65, 80]), SeatNumber::new(65), 3);
        assert_eq!(near, numbers(&[65, 80, 64]));
    }

    proptest! {
        #[test]
        fn nobody_could_sit_nearer_each_other(free in prop::collection::btree_set(1..200_u32, 0..12), count in 1..5_usize) {
            let plan = plan(Class::ThreeTierAc);
            let free: Vec<u32> = free.into_iter().collect();
            let chosen = plan.together(&only(&free), count);
            prop_assert_eq!(chosen.is_some(), free.len() >= count);
            let Some(chosen) = chosen else { return Ok(()) };
            prop_assert_eq!(chosen.len(), count);
            prop_assert!(chosen.iter().all(|seat| free.contains(&seat.get())));
            let width = plan.distance(chosen[0], chosen[count - 1]);
            // Every choice of as many seats, by its first and last.
            for (at, &first) in free.iter().enumerate() {
                for &last in free.iter().skip(at + count - 1) {
                    let other = plan.distance(SeatNumber::new(first), SeatNumber::new(last));
                    prop_assert!(width <= other, "{:?} is wider than {}..{}", chosen, first, last);
                }
            }
        }
    }
}
