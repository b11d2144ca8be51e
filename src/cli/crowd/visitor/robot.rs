//! A robot: asks again and again as somebody new, and waits in none of the places that it gets.

use super::super::jar::Jar;
use super::super::notes::End;
use super::super::tally::Robots;
use super::super::wire::Ask;
use super::{Door, Visitor};

/// How many places a robot tries to take.
const TRIES: u32 = 12;

impl Visitor<'_> {
    pub(super) async fn swarm(&mut self) -> End {
        let page = &self.scene.targets[self.gateway].page;
        for _ in 0..TRIES {
            self.jar = Jar::default();
            let door = self.ask(Ask::get(page)).await.map(|answer| Door::read(&answer));
            self.scene.tally.robot(match door {
                Ok(Door::Line(_)) => Robots { places: 1, ..Robots::default() },
                Ok(Door::Open) => Robots { let_in: 1, ..Robots::default() },
                _ => Robots { refused: 1, ..Robots::default() },
            });
            self.pause(50, 250).await;
        }
        End::Swarmed
    }
}
