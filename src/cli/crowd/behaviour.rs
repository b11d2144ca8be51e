//! How people behave, and which part of a crowd behaves how.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How one visitor behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Behaviour {
    /// Stays on its live connection until its turn.
    #[default]
    Patient,
    /// Loads the page anew every few seconds.
    Reloading,
    /// Gives its place up half way.
    Leaving,
    /// Is away once for a good part of the grace period, as a phone in a pocket.
    Sleeping,
    /// Opens the page in a second tab, and closes the first half way.
    SecondTab,
    /// Has no scripts: looks at the page again as often as that says.
    NoScript,
    /// Is a program: joins by the protocol, keeps its ticket in a header, and asks now and then.
    App,
    /// Takes places by the dozen without waiting in any of them.
    Robot,
    /// Waits patiently, holds seats and pays, whatever the others do.
    Payer,
    /// Waits patiently, holds seats, and goes without paying.
    Abandoner,
}

impl Behaviour {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Patient,
        Self::Reloading,
        Self::Leaving,
        Self::Sleeping,
        Self::SecondTab,
        Self::NoScript,
        Self::App,
        Self::Robot,
        Self::Payer,
        Self::Abandoner,
    ];

    /// Names it as the command line and the report do.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Patient => "patient",
            Self::Reloading => "reloading",
            Self::Leaving => "leaving",
            Self::Sleeping => "sleeping",
            Self::SecondTab => "second-tab",
            Self::NoScript => "no-script",
            Self::App => "app",
            Self::Robot => "robot",
            Self::Payer => "payer",
            Self::Abandoner => "abandoner",
        }
    }

    /// Tells whether it stands in line on a live connection.
    #[must_use]
    pub const fn is_live(self) -> bool {
        !matches!(self, Self::NoScript | Self::App | Self::Robot)
    }
}

impl fmt::Display for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which part of the crowd behaves how; whoever is left is patient.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Mix(Vec<(Behaviour, f64)>);

impl Mix {
    /// Returns the behaviour of the one who draws `fraction`, 0 ≤ fraction < 1.
    #[must_use]
    pub fn draw(&self, fraction: f64) -> Behaviour {
        let mut rest = fraction;
        for (behaviour, share) in &self.0 {
            if rest < *share {
                return *behaviour;
            }
            rest -= share;
        }
        Behaviour::Patient
    }

    /// Returns the share of a behaviour, from 0 to 1.
    #[must_use]
    pub fn share(&self, wanted: Behaviour) -> f64 {
        let named = self.0.iter().find(|(behaviour, _)| *behaviour == wanted).map(|(_, share)| *share);
        let rest = || 1.0 - self.0.iter().map(|(_, share)| share).sum::<f64>();
        named.unwrap_or_else(|| if wanted == Behaviour::Patient { rest().max(0.0) } else { 0.0 })
    }
}

impl FromStr for Mix {
    type Err = String;

    /// Reads `NAME=SHARE,…`, each share from 0 to 1 and all together at most 1.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut shares: Vec<(Behaviour, f64)> = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (behaviour, share) = share_of(part)?;
            if shares.iter().any(|(known, _)| *known == behaviour) {
                return Err(format!("`{behaviour}` is there twice"));
            }
            shares.push((behaviour, share));
        }
        let sum: f64 = shares.iter().map(|(_, share)| share).sum();
        if sum > 1.0 + 1e-9 {
            return Err(format!("the shares add up to {sum}; expected at most 1, and whoever is left is patient"));
        }
        Ok(Self(shares))
    }
}

fn share_of(part: &str) -> Result<(Behaviour, f64), String> {
    let expected = || {
        let names = Behaviour::ALL.map(Behaviour::name).join(", ");
        format!("`{part}` is not NAME=SHARE, a share from 0 to 1 of one of {names}")
    };
    let (name, share) = part.split_once('=').ok_or_else(expected)?;
    let behaviour =
        Behaviour::ALL.into_iter().find(|behaviour| behaviour.name() == name.trim()).ok_or_else(expected)?;
    let share = share.trim().parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share)).ok_or_else(expected)?;
    Ok((behaviour, share))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_drawn_in_turn_and_the_rest_is_patient() {
        let mix: Mix = "reloading=0.25, robot=0.5".parse().unwrap();
        assert_eq!(mix.draw(0.0), Behaviour::Reloading);
        assert_eq!(mix.draw(0.249), Behaviour::Reloading);
        assert_eq!(mix.draw(0.25), Behaviour::Robot);
        assert_eq!(mix.draw(0.75), Behaviour::Patient);
        let shares = [Behaviour::Reloading, Behaviour::Robot, Behaviour::Patient, Behaviour::App].map(|b| mix.share(b));
        assert_eq!(shares, [0.25, 0.5, 0.25, 0.0]);
        assert_eq!(Mix::default().draw(0.999), Behaviour::Patient);
    }

    #[test]
    fn what_cannot_be_is_refused_in_words() {
        for (text, word) in [
            ("hasty=0.1", "`hasty=0.1` is not NAME=SHARE"),
            ("robot", "of one of patient, reloading"),
            ("robot=2", "from 0 to 1"),
            ("robot=0.6,app=0.6", "add up to 1.2"),
            ("robot=0.1,robot=0.1", "twice"),
        ] {
            let refused = text.parse::<Mix>().unwrap_err();
            assert!(refused.contains(word), "{text}: {refused}");
        }
    }
}
