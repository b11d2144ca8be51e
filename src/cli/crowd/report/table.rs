//! The report as a table for the terminal.

use std::fmt;

use super::super::tally::Robots;
use super::Report;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = self.admission_limit.map_or("none".to_owned(), |limit| format!("{limit}/s"));
        writeln!(
            f,
            "{} visitors over {} s ({}, seed {}), {} s in all",
            self.visitors, self.over_seconds, self.curve, self.seed, self.seconds
        )?;
        writeln!(
            f,
            "  joined     {} at {}/s; {} ms median, {} ms p99",
            self.joined, self.joins_per_second, self.join_ms.p50, self.join_ms.p99
        )?;
        writeln!(
            f,
            "  waited     {} at most at once, {} live connections; updates {} ms old median, {} ms p99",
            self.waiting_peak, self.live_connections_peak, self.update_lag_ms.p50, self.update_lag_ms.p99
        )?;
        writeln!(
            f,
            "  admitted   {} at {}/s (limit {limit}, busiest second {}, {} over rate and burst) after {} s median, {} s at most",
            self.admitted,
            self.admissions_per_second,
            self.most_admissions_in_a_second,
            self.rate_overshoot,
            self.wait_seconds.p50,
            self.wait_seconds.max
        )?;
        if self.pages > 0 {
            writeln!(
                f,
                "  looked at  {} pages; {} ms median, {} ms p99",
                self.pages, self.page_ms.p50, self.page_ms.p99
            )?;
        }
        if self.robots != Robots::default() {
            let Robots { places, let_in, refused } = self.robots;
            writeln!(f, "  robots     took {places} places, came in {let_in} times, were refused {refused} times")?;
        }
        if let (Some(inventory), Some(capacity)) = (&self.inventory, self.capacity) {
            writeln!(
                f,
                "  bought     {} holds, {} payments, {} bookings of {capacity} seats of {inventory}",
                self.holds, self.payments, self.sold
            )?;
        }
        if let Some(share) = self.forecast.share {
            writeln!(
                f,
                "  foretold   {} were given a firm forecast; {:.0} % came true",
                self.forecast.judged,
                share * 100.0
            )?;
        }
        writeln!(
            f,
            "  told       {} that everything is sold; {} left, {} turned away, {} gave up, {} unfinished",
            self.told, self.left, self.turned_away, self.gave_up, self.unfinished
        )?;
        for (kind, count) in &self.errors {
            writeln!(f, "  error      {kind}: {count}")?;
        }
        match self.broken().as_slice() {
            [] => write!(
                f,
                "Every check held: no overtaking, no risen position, no oversale, no payment without a booking, no lost place."
            ),
            broken => broken.iter().try_for_each(|(check, count)| writeln!(f, "FAILED: {check} = {count}")),
        }
    }
}
