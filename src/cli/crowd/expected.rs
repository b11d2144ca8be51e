//! Who is expected: how many, when, and how they behave. What a crowd and a rehearsal are asked for alike.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::behaviour::{Behaviour, Mix};
use super::curve::{Curve, CurveError, Share};
use super::plan::{self, Habits, Plan};

const VISITORS_MAX: u64 = 10_000_000;
const SECONDS_MAX: f64 = 86_400.0;

/// A crowd before it comes.
#[derive(Clone, Debug, clap::Args, Serialize, Deserialize)]
pub struct Expected {
    /// How many come
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=VISITORS_MAX))]
    pub visitors: u64,
    /// How they come: flat, spike, poisson, or a CSV file with a header and a count in the last column of each row
    #[arg(long, default_value = "flat", value_name = "flat|spike|poisson|CSV")]
    pub curve: String,
    /// Over how many seconds they come
    #[arg(long, default_value_t = 30.0, value_name = "SECONDS", value_parser = seconds)]
    pub over: f64,
    /// How parts of them behave, such as reloading=0.2,app=0.1; the others are patient. There are patient, reloading,
    /// leaving, sleeping, second-tab, no-script, app, robot, payer and abandoner
    #[arg(long, default_value = "", hide_default_value = true, value_name = "NAME=SHARE,…")]
    pub behave: Mix,
    /// Which part of them loses the connection once and comes back some seconds later
    #[arg(long, default_value_t = 0.0, value_name = "FRACTION", value_parser = fraction)]
    pub drop: f64,
    /// Which part of those let in holds seats [default: 1 where there is a booking API]
    #[arg(long, value_name = "FRACTION", value_parser = fraction)]
    pub hold: Option<f64>,
    /// Which part of those who hold seats pays
    #[arg(long, default_value_t = 1.0, value_name = "FRACTION", value_parser = fraction)]
    pub pay: f64,
    /// How many seats each buyer wants
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub quantity: u32,
    /// The same seed brings the same crowd [default: the time]
    #[arg(long)]
    pub seed: Option<u64>,
}

impl Expected {
    /// Throws the plans of a share of them, in the order of coming.
    ///
    /// # Errors
    /// When the curve cannot be followed.
    pub fn plans(&self, seed: u64, share: Share) -> Result<impl Iterator<Item = Plan> + use<>, CurveError> {
        let over_us = (self.over * 1e6) as u64;
        let arrivals = Curve::load(&self.curve)?.arrivals_us(self.visitors, over_us, seed, share);
        Ok(plan::plans(arrivals, self.habits(), seed))
    }

    fn habits(&self) -> Habits {
        Habits { drop: self.drop, hold: self.hold.unwrap_or(1.0), pay: self.pay, mix: self.behave.clone() }
    }

    /// Tells whether anybody may hold seats.
    #[must_use]
    pub fn may_buy(&self) -> bool {
        let buyers = self.behave.share(Behaviour::Payer) + self.behave.share(Behaviour::Abandoner);
        self.hold != Some(0.0) || buyers > 0.0
    }

    /// Names the curve, without the folder of its file.
    #[must_use]
    pub fn curve_name(&self) -> String {
        Path::new(&self.curve).file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// Reads a number from 0 to 1.
pub fn fraction(text: &str) -> Result<f64, String> {
    let fraction = text.parse::<f64>().ok().filter(|fraction| (0.0..=1.0).contains(fraction));
    fraction.ok_or_else(|| "expected a number from 0 to 1".to_owned())
}

/// Reads a time in seconds.
pub fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| *seconds > 0.0 && *seconds <= SECONDS_MAX);
    seconds.ok_or_else(|| format!("expected seconds above 0, at most {SECONDS_MAX}"))
}
