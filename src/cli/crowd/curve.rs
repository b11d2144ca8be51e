//! When the visitors come: a shape over time, squeezed into the seconds asked for.

use std::path::Path;
use std::str::FromStr;

use super::chance::Chance;

const ROWS_MAX: usize = 100_000;
const FILE_MAX_BYTES: u64 = 16 << 20;
/// How many times over the spike's density falls by a factor of e during the run.
const SPIKE_DECAY: f64 = 8.0;

/// The shape of the arrivals over the run.
#[derive(Clone, Debug, PartialEq)]
pub enum Curve {
    /// The same number every second.
    Flat,
    /// Most come at the opening: the rate falls by a factor of e in every eighth of the run.
    Spike,
    /// Each comes whenever it likes, the same chance at every instant: a Poisson process, of which the number is known.
    Poisson,
    /// Follows counts over intervals of equal length; here summed up, from 0 to 1.
    Recorded(Vec<f64>),
}

/// Says what is wrong with a curve.
#[derive(Debug, thiserror::Error)]
pub enum CurveError {
    /// The file could not be read.
    #[error("the curve {path} cannot be read: {source}; use `flat`, `spike`, `poisson` or a CSV file")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is larger than any sensible curve.
    #[error("the curve has more than {ROWS_MAX} rows or {FILE_MAX_BYTES} bytes; use longer intervals")]
    TooLong,
    /// A row does not end in a count.
    #[error("line {line} of the curve is `{text}`; expected a count of 0 or more in its last column")]
    BadRow {
        /// The line, from 1.
        line: usize,
        /// Its beginning.
        text: String,
    },
    /// Nobody would come.
    #[error("the counts of the curve add up to nothing; expected a header, then a row for each interval")]
    Empty,
}

/// Every so many-th visitor of a crowd: what one of several processes carries out.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// The first of them.
    pub first: u64,
    /// After how many the next one follows; at least 1.
    pub every: u64,
}

impl Share {
    /// Everyone.
    pub const ALL: Self = Self { first: 0, every: 1 };

    fn indices(self, visitors: u64) -> impl Iterator<Item = u64> {
        (self.first..visitors).step_by(self.every as usize)
    }

    fn of(self, all: &[u64]) -> Vec<u64> {
        self.indices(all.len() as u64).map(|i| all[i as usize]).collect()
    }
}

impl Curve {
    /// Takes `flat`, `spike`, `poisson`, or the path of a CSV file.
    ///
    /// # Errors
    /// See [`CurveError`].
    pub fn load(name: &str) -> Result<Self, CurveError> {
        match name {
            "flat" => Ok(Self::Flat),
            "spike" => Ok(Self::Spike),
            "poisson" => Ok(Self::Poisson),
            path => read(Path::new(path))?.parse(),
        }
    }

    /// Returns when each of a share of `visitors` comes, in microseconds from the start, in order, with its index.
    ///
    /// Visitor `i` comes somewhere in the `i`-th of as many equal parts of the crowd, so that the shape is
    /// followed closely and the chance only decides within a part: nobody's instant asks for another's. Of a Poisson
    /// process, given how many come, each instant is uniform and independent of the others (S. Ross, Stochastic Processes,
    /// 2nd ed., 2.3); who is the `i`-th to come only shows when all are thrown, after which the share alone is kept.
    pub fn arrivals_us(
        self,
        visitors: u64,
        over_us: u64,
        seed: u64,
        share: Share,
    ) -> impl Iterator<Item = (u64, u64)> + use<> {
        let kept = (self == Self::Poisson).then(|| share.of(&poisson(visitors, over_us, seed)));
        let even = move |i: u64| (i as f64 + Chance::after(seed, i).fraction()) / visitors as f64;
        share.indices(visitors).enumerate().map(move |(at, i)| match &kept {
            Some(kept) => (i, kept[at]),
            None => (i, (self.instant(even(i)) * over_us as f64) as u64),
        })
    }

    /// Returns by which fraction of the run the fraction `share` of the crowd has come.
    fn instant(&self, share: f64) -> f64 {
        match self {
            Self::Flat | Self::Poisson => share,
            Self::Spike => -(1.0 - share * (1.0 - (-SPIKE_DECAY).exp())).ln() / SPIKE_DECAY,
            Self::Recorded(sums) => instant_recorded(sums, share),
        }
    }
}

fn poisson(visitors: u64, over_us: u64, seed: u64) -> Vec<u64> {
    let mut chance = Chance::new(seed);
    let mut instants: Vec<u64> = (0..visitors).map(|_| (chance.fraction() * over_us as f64) as u64).collect();
    instants.sort_unstable();
    instants
}

fn instant_recorded(sums: &[f64], share: f64) -> f64 {
    let interval = sums.partition_point(|&sum| sum <= share).min(sums.len() - 1);
    let before = if interval == 0 { 0.0 } else { sums[interval - 1] };
    let within = (share - before) / (sums[interval] - before).max(f64::MIN_POSITIVE);
    (interval as f64 + within.clamp(0.0, 1.0)) / sums.len() as f64
}

fn read(path: &Path) -> Result<String, CurveError> {
    let unreadable = |source| CurveError::Unreadable { path: path.display().to_string(), source };
    if std::fs::metadata(path).map_err(unreadable)?.len() > FILE_MAX_BYTES {
        return Err(CurveError::TooLong);
    }
    std::fs::read_to_string(path).map_err(unreadable)
}

impl FromStr for Curve {
    type Err = CurveError;

    /// Reads the text of a CSV file: a header, then rows whose last column is a count.
    fn from_str(text: &str) -> Result<Self, CurveError> {
        let rows = text.lines().enumerate().skip(1).filter(|(_, row)| !row.trim().is_empty());
        let counts = rows.map(|(at, row)| count(at + 1, row)).collect::<Result<Vec<f64>, _>>()?;
        if counts.len() > ROWS_MAX {
            return Err(CurveError::TooLong);
        }
        let total: f64 = counts.iter().sum();
        if total <= 0.0 || !total.is_finite() {
            return Err(CurveError::Empty);
        }
        let running = counts.iter().scan(0.0, |sum, count| {
            *sum += count;
            Some(*sum / total)
        });
        Ok(Self::Recorded(running.collect()))
    }
}

fn count(line: usize, row: &str) -> Result<f64, CurveError> {
    let last = row.rsplit(',').next().unwrap_or_default().trim();
    let count = last.parse::<f64>().ok().filter(|count| count.is_finite() && *count >= 0.0);
    count.ok_or_else(|| CurveError::BadRow { line, text: row.chars().take(60).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn arrivals(curve: &Curve, visitors: u64) -> Vec<u64> {
        came(curve, visitors, 60_000_000, 3, Share::ALL).into_iter().map(|(_, at)| at).collect()
    }

    fn came(curve: &Curve, visitors: u64, over_us: u64, seed: u64, share: Share) -> Vec<(u64, u64)> {
        curve.clone().arrivals_us(visitors, over_us, seed, share).collect()
    }

    fn came_before(arrivals: &[u64], us: u64) -> usize {
        arrivals.partition_point(|&at| at < us)
    }

    #[test]
    fn the_same_seed_brings_the_same_crowd_in_later_versions() {
        let first = |curve| arrivals(&curve, 5);
        assert_eq!(first(Curve::Flat), [1_361_404, 20_403_522, 31_355_696, 36_874_400, 50_597_269]);
        assert_eq!(first(Curve::Spike), [172_077, 3_115_736, 5_542_671, 7_146_522, 13_886_556]);
        assert_eq!(first(Curve::Poisson), [4_372_004, 6_807_020, 12_986_346, 36_778_480, 42_017_610]);
    }

    #[test]
    fn flat_is_flat() {
        let flat = arrivals(&Curve::Flat, 6_000);
        assert_eq!(came_before(&flat, 15_000_000), 1_500);
        assert_eq!(came_before(&flat, 60_000_000), 6_000);
    }

    #[test]
    fn a_spike_brings_most_at_the_opening() {
        let spike = arrivals(&Curve::Spike, 10_000);
        let first_eighth = came_before(&spike, 7_500_000);
        assert!((6_300..6_350).contains(&first_eighth), "{first_eighth}");
        assert!(spike.last().is_some_and(|&last| last <= 60_000_000));
    }

    #[test]
    fn a_poisson_crowd_varies_as_one() {
        let came = arrivals(&Curve::Poisson, 60_000);
        let counts: Vec<f64> = (0..60)
            .map(|s| (came_before(&came, (s + 1) * 1_000_000) - came_before(&came, s * 1_000_000)) as f64)
            .collect();
        let mean = counts.iter().sum::<f64>() / 60.0;
        let variance = counts.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / 59.0;
        assert_eq!(mean, 1_000.0);
        assert!((0.5..1.7).contains(&(variance / mean)), "{}", variance / mean);
    }

    #[test]
    fn a_recorded_day_keeps_its_shape() {
        let curve: Curve = "minute,requests\n00:00,1\n00:01,0\n00:02,3\n".parse().unwrap();
        let came = arrivals(&curve, 4_000);
        assert_eq!(came_before(&came, 20_000_000), 1_000);
        assert_eq!(came_before(&came, 40_000_000), 1_000);
        assert_eq!(came.len(), 4_000);
    }

    #[test]
    fn the_recorded_world_cup_day_loads() {
        let day = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/crowd/worldcup98-1998-06-29.csv");
        let Curve::Recorded(sums) = Curve::load(day).unwrap() else { panic!("not a recorded curve") };
        assert_eq!(sums.len(), 1_440);
    }

    #[test]
    fn bad_files_are_told_apart_and_named() {
        let message = |text: &str| text.parse::<Curve>().unwrap_err().to_string();
        assert!(message("minute,requests\n00:00,12\n00:01,many\n").contains("line 3"));
        assert!(message("minute,requests\n00:00,-4\n").contains("line 2"));
        assert!(message("minute,requests\n00:00,0\n").contains("add up to nothing"));
        assert!(message("").contains("add up to nothing"));
        assert!(Curve::load("no-such-file.csv").unwrap_err().to_string().contains("no-such-file.csv"));
    }

    proptest! {
        #[test]
        fn arrivals_are_in_order_within_the_run_and_the_same_for_the_same_seed(
            counts in prop::collection::vec(0u32..50, 1..40),
            visitors in 1u64..500,
            seed: u64,
            troops in 1u64..9,
        ) {
            prop_assume!(counts.iter().any(|&count| count > 0));
            let rows: String = counts.iter().map(|count| format!("x,{count}\n")).collect();
            let curve: Curve = format!("minute,requests\n{rows}").parse().unwrap();
            for curve in [curve, Curve::Flat, Curve::Spike, Curve::Poisson] {
                let all = came(&curve, visitors, 1_000_000, seed, Share::ALL);
                prop_assert!(all.iter().map(|(index, _)| *index).eq(0..visitors));
                prop_assert!(all.is_sorted_by_key(|(_, at)| *at));
                prop_assert!(all.iter().all(|&(_, at)| at <= 1_000_000));
                prop_assert_eq!(&all, &came(&curve, visitors, 1_000_000, seed, Share::ALL));
                for first in 0..troops {
                    let share = came(&curve, visitors, 1_000_000, seed, Share { first, every: troops });
                    prop_assert!(share.iter().eq(all.iter().filter(|(index, _)| index % troops == first)));
                }
            }
        }
    }
}
