//! Inside: looking at pages, then buying.

use std::time::Duration;

use tokio::time::sleep;

use super::super::notes::End;
use super::super::wire::Ask;
use super::Visitor;

impl Visitor<'_> {
    /// Is in. Asks when it was called if it never saw it, looks around, and buys.
    pub(super) async fn enter(&mut self) -> End {
        self.note.admitted_ms = Some(self.now_ms());
        self.scene.tally.admitted.up();
        if !self.jar.has_pass() {
            self.scene.tally.error("no_pass");
        }
        if self.note.called_at_ms.is_none()
            && let Some(status) = self.status().await
        {
            self.scene.tally.limits(&status);
            self.note.heed(&status, self.now_ms());
        }
        self.look_around().await;
        match &self.scene.inventory {
            Some(inventory) if self.plan.holds => self.buy(inventory).await,
            _ => End::Served,
        }
    }

    /// Looks at the site's pages one after the other.
    async fn look_around(&mut self) {
        for page in &self.scene.pages {
            let asked_us = self.scene.clock.now_us();
            match self.ask(Ask::page(page)).await {
                Ok(answer) if answer.status.as_u16() < 400 => {
                    let now_us = self.scene.clock.now_us();
                    self.scene.tally.page(self.second(now_us), now_us.saturating_sub(asked_us));
                }
                Ok(answer) => self.scene.tally.error(&format!("page_{}", answer.status.as_u16())),
                Err(fault) => self.scene.tally.error(fault.kind()),
            }
            sleep(self.think()).await;
        }
    }

    /// Returns how long this page is looked at: between half the usual time and one and a half of it.
    fn think(&mut self) -> Duration {
        self.scene.think.mul_f64(0.5 + self.plan.chance.fraction())
    }
}
