//! Which trains run, where they stop, what they carry: read once from the embedded data, then only looked up.
//!
//! Two rules follow from the data having no times of day. A date is the day on which the train leaves its origin, and
//! `runs_on` is read for that day, wherever one boards. And a seat is sold for the whole run, at one price.

use std::collections::HashMap;

use thiserror::Error;
use time::Date;

use crate::domain::inventory::{Class, InventoryId, Offer, TrainNumber};
use crate::domain::seat::Numbering;

mod fares;

pub mod practice;

use fares::Kind;
use practice::Practice;

const TRAINS: &str = include_str!("../data/trains.csv");
const STATIONS: &str = include_str!("../data/stations.csv");

/// How many stations a suggestion lists.
const SUGGESTIONS: usize = 10;

/// Is a place where trains stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Station {
    /// Its code, one to four letters.
    pub code: String,
    /// Its name.
    pub name: String,
}

/// Is a train as the timetable has it.
#[derive(Clone, Debug)]
pub struct Train {
    /// Its number.
    pub number: TrainNumber,
    /// Its name.
    pub name: String,
    /// Minutes from origin to destination.
    pub duration_min: u32,
    /// Kilometres from origin to destination.
    pub distance_km: u32,
    /// On which days it leaves its origin, Monday first.
    pub runs_on: [bool; 7],
    /// The classes it carries, the dearest first.
    pub classes: Vec<Class>,
    kind: Kind,
    /// Its stops in running order, as indexes of stations.
    stops: Vec<u16>,
}

impl Train {
    /// Tells whether it leaves its origin on a day.
    #[must_use]
    pub fn runs(&self, date: Date) -> bool {
        self.runs_on[usize::from(date.weekday().number_days_from_monday())]
    }
}

/// Is a train found between two stations.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// The train.
    pub train: &'a Train,
    /// How many stops after its origin one boards.
    pub from_stop: usize,
    /// How many stops after its origin one leaves.
    pub to_stop: usize,
}

/// Says why something is not on sale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotOnSale {
    /// There is no such train.
    #[error("there is no train {0}")]
    UnknownTrain(TrainNumber),
    /// The train does not carry the class.
    #[error("train {0} has no class {class}", class = .1.code())]
    NoSuchClass(TrainNumber, Class),
    /// The train does not leave its origin on that day of the week.
    #[error("train {0} does not leave its origin on that day of the week")]
    NotRunning(TrainNumber),
    /// The practice is closed on that day of the week.
    #[error("practice {0} is closed on that day of the week")]
    NotOpen(TrainNumber),
    /// The day is over.
    #[error("that day is over")]
    Past,
    /// Sale of that day has not begun.
    #[error("that day is not on sale yet; the last day on sale is {0}")]
    TooEarly(Date),
}

/// The embedded data cannot be read; a fault of the build.
#[derive(Debug, Error)]
#[error("the train catalogue is damaged: {0}")]
pub struct DamagedCatalogue(String);

/// Holds every train and station, with an index from each station to the trains that stop there.
#[derive(Debug)]
pub struct Catalogue {
    stations: Vec<Station>,
    by_code: HashMap<String, u16>,
    trains: Vec<Train>,
    by_number: HashMap<TrainNumber, usize>,
    /// For each station its trains in ascending order, each with the place of the stop in the run.
    calls: Vec<Vec<(usize, usize)>>,
    /// Who offers appointments, which the configuration says.
    practices: Vec<Practice>,
}

impl Catalogue {
    /// Reads the data that is embedded in the binary.
    ///
    /// # Errors
    /// [`DamagedCatalogue`] when it is not what it should be.
    pub fn embedded() -> Result<Self, DamagedCatalogue> {
        let stations = read_stations(STATIONS)?;
        let by_code: HashMap<String, u16> =
            stations.iter().zip(0..).map(|(station, index)| (station.code.clone(), index)).collect();
        let trains = read_trains(TRAINS, &by_code)?;
        let by_number = trains.iter().enumerate().map(|(index, train)| (train.number, index)).collect();
        let mut calls = vec![Vec::new(); stations.len()];
        for (index, train) in trains.iter().enumerate() {
            for (place, &stop) in train.stops.iter().enumerate() {
                calls[usize::from(stop)].push((index, place));
            }
        }
        Ok(Self { stations, by_code, trains, by_number, calls, practices: Vec::new() })
    }

    /// Adds practices.
    ///
    /// # Errors
    /// What is wrong with them, all at once, such as a number that a train has.
    pub fn with_practices(mut self, practices: Vec<Practice>) -> Result<Self, Vec<String>> {
        let mut problems: Vec<String> = practices.iter().flat_map(Practice::problems).collect();
        let taken = |practice: &&Practice| practice.number().is_some_and(|number| self.train(number).is_some());
        problems.extend(
            practices
                .iter()
                .filter(taken)
                .map(|practice| format!("practices: {}: a train has this number; choose another", practice.number)),
        );
        if !problems.is_empty() {
            return Err(problems);
        }
        self.practices = practices;
        Ok(self)
    }

    /// Returns the practice that a row is a slot of.
    #[must_use]
    pub fn practice(&self, row: InventoryId) -> Option<&Practice> {
        self.practices.iter().find(|practice| practice.slot(row).is_some())
    }

    /// Returns all trains.
    #[must_use]
    pub fn trains(&self) -> &[Train] {
        &self.trains
    }

    /// Returns a station by its code, in any case.
    #[must_use]
    pub fn station(&self, code: &str) -> Option<&Station> {
        self.station_index(code).map(|index| &self.stations[index])
    }

    fn station_index(&self, code: &str) -> Option<usize> {
        self.by_code.get(&code.to_ascii_uppercase()).map(|&index| usize::from(index))
    }

    /// Returns a train by its number.
    #[must_use]
    pub fn train(&self, number: TrainNumber) -> Option<&Train> {
        self.by_number.get(&number).map(|&index| &self.trains[index])
    }

    /// Returns where a train stops, in running order.
    pub fn stops<'a>(&'a self, train: &'a Train) -> impl DoubleEndedIterator<Item = &'a Station> + ExactSizeIterator {
        train.stops.iter().map(|&stop| &self.stations[usize::from(stop)])
    }

    /// Finds the trains of a day that stop at both stations, in that order.
    ///
    /// Both stations list their trains in ascending order, so one walk along both lists finds the common ones.
    #[must_use]
    pub fn search(&self, from: &str, to: &str, date: Date) -> Vec<Found<'_>> {
        let (Some(from), Some(to)) = (self.station_index(from), self.station_index(to)) else {
            return Vec::new();
        };
        let mut there = self.calls[to].iter().peekable();
        let mut found = Vec::new();
        for &(index, from_stop) in &self.calls[from] {
            while there.next_if(|(other, _)| *other < index).is_some() {}
            if let Some(&&(_, to_stop)) = there.peek().filter(|(other, _)| *other == index) {
                found.push(Found { train: &self.trains[index], from_stop, to_stop });
            }
        }
        found.retain(|hit| hit.from_stop < hit.to_stop && hit.train.runs(date));
        found
    }

    /// Suggests stations for what somebody typed: the code itself, names that begin so, names that contain it; among
    /// equals the busier first.
    #[must_use]
    pub fn suggest(&self, typed: &str) -> Vec<&Station> {
        let typed = typed.trim().to_uppercase();
        let mut ranked: Vec<(u8, usize, usize)> = self
            .stations
            .iter()
            .enumerate()
            .filter_map(|(index, station)| Some((rank(station, &typed)?, usize::MAX - self.calls[index].len(), index)))
            .collect();
        ranked.sort_unstable();
        ranked.iter().take(SUGGESTIONS).map(|&(_, _, index)| &self.stations[index]).collect()
    }

    /// Returns what is offered under an id, whatever the present day is.
    ///
    /// # Errors
    /// [`NotOnSale`] when there is no such train, it has no such class or does not leave on that day of the week.
    pub fn offer(&self, inventory: InventoryId) -> Result<Offer, NotOnSale> {
        if let Some(practice) = self.practice(inventory) {
            let open = practice.is_open(inventory.date);
            return open.then(|| practice.offer(inventory)).ok_or(NotOnSale::NotOpen(inventory.train));
        }
        let train = self.train(inventory.train).ok_or(NotOnSale::UnknownTrain(inventory.train))?;
        if !train.classes.contains(&inventory.class) {
            return Err(NotOnSale::NoSuchClass(inventory.train, inventory.class));
        }
        if !train.runs(inventory.date) {
            return Err(NotOnSale::NotRunning(inventory.train));
        }
        Ok(self.offer_of(train, inventory))
    }

    fn offer_of(&self, train: &Train, inventory: InventoryId) -> Offer {
        Offer {
            inventory,
            capacity: train.kind.seats(inventory.class),
            price: train.kind.fare(train.distance_km, inventory.class),
            numbering: Numbering::Pool,
        }
    }
}

fn rank(station: &Station, typed: &str) -> Option<u8> {
    match () {
        () if station.code == typed => Some(0),
        () if station.name.starts_with(typed) => Some(1),
        () if station.code.starts_with(typed) => Some(2),
        () if station.name.split_whitespace().any(|word| word.starts_with(typed)) => Some(3),
        () if station.name.contains(typed) => Some(4),
        () => None,
    }
}

fn records(text: &str) -> impl Iterator<Item = Result<csv::StringRecord, DamagedCatalogue>> {
    csv::Reader::from_reader(text.as_bytes())
        .into_records()
        .map(|record| record.map_err(|error| DamagedCatalogue(error.to_string())))
}

fn read_stations(text: &str) -> Result<Vec<Station>, DamagedCatalogue> {
    records(text)
        .map(|record| {
            let record = record?;
            Ok(Station { code: field(&record, 0)?.to_owned(), name: field(&record, 1)?.to_uppercase() })
        })
        .collect()
}

fn read_trains(text: &str, stations: &HashMap<String, u16>) -> Result<Vec<Train>, DamagedCatalogue> {
    records(text).map(|record| read_train(&record?, stations)).collect()
}

fn read_train(record: &csv::StringRecord, stations: &HashMap<String, u16>) -> Result<Train, DamagedCatalogue> {
    let damaged = || DamagedCatalogue(format!("train {record:?}"));
    let name = field(record, 1)?.to_owned();
    let kind = Kind::of(&name);
    let stops = field(record, 5)?.split(' ').map(|code| stations.get(code).copied().ok_or_else(damaged));
    Ok(Train {
        number: field(record, 0)?.parse().map_err(|_| damaged())?,
        classes: kind.classes().to_vec(),
        kind,
        name,
        duration_min: field(record, 2)?.parse().map_err(|_| damaged())?,
        distance_km: field(record, 3)?.parse().map_err(|_| damaged())?,
        runs_on: read_days(field(record, 4)?).ok_or_else(damaged)?,
        stops: stops.collect::<Result<_, _>>()?,
    })
}

fn read_days(text: &str) -> Option<[bool; 7]> {
    let digits: [u8; 7] = text.as_bytes().try_into().ok()?;
    digits.iter().all(|digit| matches!(digit, b'0' | b'1')).then(|| digits.map(|digit| digit == b'1'))
}

fn field(record: &csv::StringRecord, index: usize) -> Result<&str, DamagedCatalogue> {
    record.get(index).ok_or_else(|| DamagedCatalogue(format!("field {index} is missing in {record:?}")))
}
