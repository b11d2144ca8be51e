//! The shapes of what the API returns. Times are milliseconds since the Unix epoch, money is paise.

use serde::Serialize;
use time::Date;

use super::seats::{ItemView, SeatMapView};
use crate::catalogue::{Catalogue, Station, Train};
use crate::domain::booking::Reference;
use crate::domain::hold::{Hold, HoldId, HoldState, HoldStatus};
use crate::domain::inventory::{Class, InventoryId, TrainNumber};
use crate::domain::moment::Moment;
use crate::domain::money::Paise;
use crate::domain::payment::{Challenge, PaymentId, PaymentState, PaymentStatus};
use crate::domain::seat::Numbering;
use crate::service::Service;
use crate::service::browsing::{Listing, TrainOfDay};
use crate::service::paying::PaymentAnswer;
use crate::service::seating::SeatMap;

pub mod booking;

const CURRENCY: &str = "INR";
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// A station.
#[derive(Debug, Serialize)]
pub struct StationView<'a> {
    code: &'a str,
    name: &'a str,
}

impl<'a> From<&'a Station> for StationView<'a> {
    fn from(station: &'a Station) -> Self {
        Self { code: &station.code, name: &station.name }
    }
}

/// A class of a train on a day.
#[derive(Debug, Serialize)]
pub struct ListingView {
    inventory: InventoryId,
    class: Class,
    class_name: &'static str,
    available: u32,
    capacity: u32,
    price_paise: Paise,
    currency: &'static str,
    /// When `available` was true.
    as_of: Moment,
}

impl From<&Listing> for ListingView {
    fn from(listing: &Listing) -> Self {
        let class = listing.inventory.class;
        Self {
            inventory: listing.inventory,
            class,
            class_name: class.title(),
            available: listing.seen.available,
            capacity: listing.capacity,
            price_paise: listing.price,
            currency: CURRENCY,
            as_of: listing.seen.as_of,
        }
    }
}

/// A row with the train it belongs to.
#[derive(Debug, Serialize)]
pub struct InventoryView<'a> {
    #[serde(flatten)]
    listing: ListingView,
    train: Option<TrainView<'a>>,
    /// Who offers the appointment, and when; `null` for a train.
    practice: Option<PracticeView<'a>>,
    date: String,
    /// Whether seats have numbers: `pool`, `seats`, `tickets`.
    numbering: Numbering,
    /// Which seats are free, as of a second ago at most; `null` where there are none to choose.
    seats: Option<SeatMapView>,
    most_seats: u32,
    now: Moment,
}

impl<'a> InventoryView<'a> {
    pub(super) fn new(service: &'a Service, listing: &Listing, seats: Option<&SeatMap>) -> Self {
        let (catalogue, row) = (service.catalogue(), listing.inventory);
        Self {
            listing: listing.into(),
            train: TrainView::of(catalogue, row),
            practice: PracticeView::of(catalogue, row),
            date: row.date.to_string(),
            numbering: service.numbering(row),
            seats: seats.map(SeatMapView::new),
            most_seats: service.terms().most_seats,
            now: service.now(),
        }
    }
}

/// A practice, and when a slot of it begins.
#[derive(Debug, Serialize)]
pub struct PracticeView<'a> {
    number: &'a str,
    name: &'a str,
    slot: &'a str,
}

impl<'a> PracticeView<'a> {
    fn of(catalogue: &'a Catalogue, row: InventoryId) -> Option<Self> {
        let practice = catalogue.practice(row)?;
        Some(Self { number: &practice.number, name: &practice.name, slot: practice.slot(row)? })
    }
}

/// A train.
#[derive(Debug, Serialize)]
pub struct TrainView<'a> {
    number: TrainNumber,
    name: &'a str,
    origin: Option<StationView<'a>>,
    destination: Option<StationView<'a>>,
    distance_km: u32,
    duration_min: u32,
    /// The days on which it leaves its origin.
    days: Vec<&'static str>,
}

impl<'a> TrainView<'a> {
    fn of(catalogue: &'a Catalogue, row: InventoryId) -> Option<Self> {
        catalogue.train(row.train).map(|train| Self::new(catalogue, train))
    }

    fn new(catalogue: &'a Catalogue, train: &'a Train) -> Self {
        Self {
            number: train.number,
            name: &train.name,
            origin: catalogue.stops(train).next().map(StationView::from),
            destination: catalogue.stops(train).next_back().map(StationView::from),
            distance_km: train.distance_km,
            duration_min: train.duration_min,
            days: DAYS.into_iter().zip(train.runs_on).filter(|(_, runs)| *runs).map(|(day, _)| day).collect(),
        }
    }
}

/// A train of the day between two stations.
#[derive(Debug, Serialize)]
pub struct TrainOfDayView<'a> {
    #[serde(flatten)]
    train: TrainView<'a>,
    /// Stops between boarding and leaving.
    stops_between: usize,
    /// Whether one boards where the train begins; else the date is the day on which it left there.
    from_origin: bool,
    classes: Vec<ListingView>,
}

/// The answer to a search.
#[derive(Debug, Serialize)]
pub struct SearchView<'a> {
    from: StationView<'a>,
    to: StationView<'a>,
    date: String,
    now: Moment,
    trains: Vec<TrainOfDayView<'a>>,
}

impl<'a> SearchView<'a> {
    pub(super) fn new(
        catalogue: &'a Catalogue,
        (from, to): (&'a Station, &'a Station),
        date: Date,
        now: Moment,
        trains: &[TrainOfDay<'a>],
    ) -> Self {
        let train = |day: &TrainOfDay<'a>| TrainOfDayView {
            train: TrainView::new(catalogue, day.found.train),
            stops_between: day.found.to_stop - day.found.from_stop - 1,
            from_origin: day.found.from_stop == 0,
            classes: day.classes.iter().map(ListingView::from).collect(),
        };
        let trains = trains.iter().map(train).collect();
        Self { from: from.into(), to: to.into(), date: date.to_string(), now, trains }
    }
}

/// A hold. The countdown is `expires_at - now`, both by this server's clock.
#[derive(Debug, Serialize)]
pub struct HoldView<'a> {
    id: HoldId,
    /// The row of the first item, and its train or practice.
    inventory: InventoryId,
    train: Option<TrainView<'a>>,
    practice: Option<PracticeView<'a>>,
    /// Seats of all items.
    quantity: u32,
    amount_paise: Paise,
    currency: &'static str,
    /// What it has, row by row.
    items: Vec<ItemView>,
    status: HoldStatus,
    created_at: Moment,
    expires_at: Moment,
    /// How often its end was put off.
    extensions: u32,
    /// How often that may still be done.
    extensions_left: u32,
    now: Moment,
    /// The payment under way or done.
    payment: Option<PaymentId>,
    /// The booking, once there is one.
    booking: Option<Reference>,
}

impl<'a> HoldView<'a> {
    pub(super) fn new(service: &'a Service, hold: &Hold) -> Self {
        let booking = match hold.state {
            HoldState::Confirmed { booking, .. } => Some(booking),
            _ => None,
        };
        let (catalogue, inventory) = (service.catalogue(), hold.first().inventory);
        Self {
            id: hold.id,
            inventory,
            train: TrainView::of(catalogue, inventory),
            practice: PracticeView::of(catalogue, inventory),
            quantity: hold.quantity(),
            amount_paise: hold.amount(),
            currency: CURRENCY,
            items: ItemView::of(service, &hold.lines),
            status: hold.state.status(),
            created_at: hold.created_at,
            expires_at: hold.expires_at,
            extensions: hold.extensions,
            extensions_left: service.terms().extensions.most.saturating_sub(hold.extensions),
            now: service.now(),
            payment: hold.attempt,
            booking,
        }
    }
}

/// What the buyer must do before the payment goes on; one of the two.
#[derive(Debug, Serialize)]
pub struct ChallengeView {
    /// The page at the bank to go to.
    redirect: Option<String>,
    /// What the provider's script in the page asks for.
    client_secret: Option<String>,
}

impl From<&Challenge> for ChallengeView {
    fn from(challenge: &Challenge) -> Self {
        let redirect = challenge.page().map(str::to_owned);
        let client_secret = redirect.is_none().then(|| challenge.0.clone());
        Self { redirect, client_secret }
    }
}

/// A payment.
#[derive(Debug, Serialize)]
pub struct PaymentView {
    id: PaymentId,
    hold: Option<HoldId>,
    amount_paise: Paise,
    currency: &'static str,
    method: String,
    status: PaymentStatus,
    /// Why it failed.
    reason: Option<String>,
    /// What the buyer must do first.
    challenge: Option<ChallengeView>,
    /// The booking it bought.
    booking: Option<Reference>,
    hold_status: Option<HoldStatus>,
    now: Moment,
}

impl PaymentView {
    pub(super) fn new(answer: &PaymentAnswer, now: Moment) -> Self {
        let payment = &answer.payment;
        let (mut booking, mut reason, mut challenge) = (None, None, None);
        match &payment.state {
            PaymentState::Kept { booking: bought, .. } => booking = Some(*bought),
            PaymentState::Failed { reason: why } => reason = Some(why.clone()),
            PaymentState::Challenged { challenge: what, .. } => challenge = Some(ChallengeView::from(what)),
            _ => {}
        }
        Self {
            id: payment.id,
            hold: payment.hold,
            amount_paise: payment.amount,
            currency: CURRENCY,
            method: payment.method.clone(),
            status: payment.state.status(),
            reason,
            challenge,
            booking,
            hold_status: answer.hold.as_ref().map(|hold| hold.state.status()),
            now,
        }
    }
}
