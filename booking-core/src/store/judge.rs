//! Who gets what: the part of taking seats that is the same in every database.

use std::time::Duration;

use super::till::{TakeAnswer, TakeRequest};
use crate::domain::coach::Plan;
use crate::domain::hold::Hold;
use crate::domain::inventory::InventoryId;
use crate::domain::seat::{Free, Numbering, SeatNumber, Wish};

/// How often a row is read again whose version has changed; whoever has no luck by then is told to come back.
pub(super) const OPTIMISTIC_TRIES: u32 = 12;

/// How often numbers are chosen again that others took first.
pub(super) const KEY_TRIES: u32 = 24;

/// The longest pause before the second try, in microseconds; each later one may be that much longer.
const PAUSE_US: u64 = 256;

/// Waits a little, so that those who stood in each other's way do not meet again: how long follows from the hold's id,
/// which is as good as random, and from how often it was tried.
pub(super) async fn pause(requests: &[TakeRequest], attempt: u32) {
    let id = requests.first().map_or(&[0; 16], |request| request.hold.as_bytes());
    let share = u64::from(id[attempt as usize % id.len()]);
    tokio::time::sleep(Duration::from_micros(share * PAUSE_US * u64::from(attempt) / 256)).await;
}

/// Is a row as a transaction found it.
#[derive(Clone, Debug)]
pub(super) struct Shelf {
    /// Which row.
    pub row: InventoryId,
    /// Its key in the database.
    pub id: i64,
    /// Seats in all.
    pub capacity: u32,
    /// Seats on sale.
    pub available: u32,
    /// Whether they have numbers.
    pub numbering: Numbering,
    /// Which change of the counts this is.
    pub version: i64,
}

impl Shelf {
    /// Answers requests in arrival order, each all or nothing. A request for more than what is left does not bar a later
    /// one that asks for less. `known` are the holds that exist already, `taken` the numbers that have an owner.
    pub fn judge(&self, taken: &[SeatNumber], requests: &[TakeRequest], known: &[Hold]) -> Vec<TakeAnswer> {
        let numbered = self.numbering != Numbering::Pool;
        let free = Free::of(if numbered { self.capacity } else { 0 }, taken);
        let mut rest = Rest { shelf: self, available: self.available, free };
        requests.iter().map(|request| replay(request, known).unwrap_or_else(|| rest.serve(request))).collect()
    }
}

/// Answers a request whose hold exists already.
pub(super) fn replay(request: &TakeRequest, known: &[Hold]) -> Option<TakeAnswer> {
    let hold = known.iter().find(|hold| hold.id == request.hold)?;
    let same = hold.request_hash == request.request_hash;
    Some(if same { TakeAnswer::Replayed(hold.clone()) } else { TakeAnswer::KeyReused })
}

/// Lists the holds that come into being.
pub(super) fn grants(answers: &[TakeAnswer]) -> Vec<&Hold> {
    fn granted(answer: &TakeAnswer) -> Option<&Hold> {
        match answer {
            TakeAnswer::Granted(hold) => Some(hold),
            _ => None,
        }
    }
    answers.iter().filter_map(granted).collect()
}

/// Sums the seats of holds of one row.
pub(super) fn seats(holds: &[&Hold]) -> i32 {
    holds.iter().map(|hold| hold.quantity() as i32).sum()
}

/// What is left while requests are answered.
struct Rest<'a> {
    shelf: &'a Shelf,
    available: u32,
    free: Free,
}

/// Why a request gets no seats.
enum Refusal {
    SoldOut,
    SeatTaken(Vec<SeatNumber>),
}

impl Rest<'_> {
    fn serve(&mut self, request: &TakeRequest) -> TakeAnswer {
        if request.quantity > self.available {
            return TakeAnswer::SoldOut;
        }
        match self.pick(request) {
            Ok(seats) => {
                self.available -= request.quantity;
                TakeAnswer::Granted(request.granted(self.shelf.row, seats))
            }
            Err(Refusal::SoldOut) => TakeAnswer::SoldOut,
            Err(Refusal::SeatTaken(gone)) => TakeAnswer::SeatTaken(gone),
        }
    }

    fn pick(&mut self, request: &TakeRequest) -> Result<Vec<SeatNumber>, Refusal> {
        let count = request.quantity as usize;
        let chosen = match (self.shelf.numbering, &request.wish) {
            (Numbering::Pool, _) => return Ok(Vec::new()),
            (_, Wish::These(seats)) => Some(seats.clone()),
            (Numbering::Tickets, Wish::Any) => self.free.lowest(count),
            (Numbering::Seats, Wish::Any) => {
                Plan::of(self.shelf.row.class).and_then(|plan| plan.together(&self.free, count))
            }
        };
        let chosen = chosen.ok_or(Refusal::SoldOut)?;
        self.free.take(&chosen).map_err(Refusal::SeatTaken)?;
        Ok(chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::hold::HoldId;
    use crate::domain::moment::Moment;
    use crate::domain::money::Paise;

    fn numbers(numbers: &[u32]) -> Vec<SeatNumber> {
        numbers.iter().copied().map(SeatNumber::new).collect()
    }

    fn shelf(numbering: Numbering, capacity: u32, available: u32) -> Shelf {
        Shelf { row: "12951:2026-11-23:3A".parse().unwrap(), id: 1, capacity, available, numbering, version: 0 }
    }

    fn request(hold: u8, quantity: u32, wish: Wish) -> TakeRequest {
        TakeRequest {
            hold: HoldId::from_bytes([hold; 16]),
            request_hash: [0; 32],
            quantity,
            wish,
            amount: Paise::new(1),
            created_at: Moment::from_ms(0),
            expires_at: Moment::from_ms(1),
        }
    }

    /// What each got: its numbers, or why not.
    fn words(answers: &[TakeAnswer]) -> Vec<String> {
        let word = |answer: &TakeAnswer| match answer {
            TakeAnswer::Granted(hold) => {
                format!("{:?}", hold.first().seats.iter().map(|s| s.get()).collect::<Vec<_>>())
            }
            TakeAnswer::SeatTaken(gone) => format!("taken {:?}", gone.iter().map(|s| s.get()).collect::<Vec<_>>()),
            other => format!("{other:?}"),
        };
        answers.iter().map(word).collect()
    }

    #[test]
    fn a_pool_is_given_out_in_arrival_order_all_or_nothing() {
        for (available, wanted, expected) in [
            (3, vec![1, 1, 1, 1], vec!["[]", "[]", "[]", "SoldOut"]),
            (3, vec![2, 2, 1], vec!["[]", "SoldOut", "[]"]),
            (0, vec![1], vec!["SoldOut"]),
            (5, vec![], vec![]),
        ] {
            let requests: Vec<TakeRequest> =
                wanted.iter().zip(0..).map(|(&quantity, hold)| request(hold, quantity, Wish::Any)).collect();
            assert_eq!(words(&shelf(Numbering::Pool, 9, available).judge(&[], &requests, &[])), expected);
        }
    }

    #[test]
    fn tickets_are_given_in_order_and_gaps_are_filled() {
        let requests = [request(1, 2, Wish::Any), request(2, 1, Wish::Any), request(3, 1, Wish::Any)];
        let answers = shelf(Numbering::Tickets, 5, 3).judge(&numbers(&[1, 3]), &requests, &[]);
        assert_eq!(words(&answers), ["[2, 4]", "[5]", "SoldOut"]);
    }

    #[test]
    fn a_chosen_seat_goes_to_the_first_who_asks() {
        let these = |seats: &[u32]| Wish::These(numbers(seats));
        let requests = [
            request(1, 2, these(&[4, 5])),
            request(2, 2, these(&[5, 6])),
            request(3, 1, these(&[6])),
            request(4, 2, Wish::Any),
            request(5, 1, these(&[99])),
        ];
        let answers = shelf(Numbering::Seats, 10, 9).judge(&numbers(&[1]), &requests, &[]);
        assert_eq!(words(&answers), ["[4, 5]", "taken [5]", "[6]", "[9, 10]", "taken [99]"]);
    }
}
