use super::*;
use crate::cli::crowd::behaviour::Mix;
use crate::cli::crowd::plan::{Habits, plans};

#[test]
fn somebody_who_waits_needs_little_memory() {
    let target = Target { address: ([127, 0, 0, 1], 1).into(), authority: String::new(), page: String::new() };
    let scene = Scene {
        targets: vec![target],
        room: String::new(),
        status_path: String::new(),
        inventory: None,
        quantity: 1,
        pages: Vec::new(),
        think: Duration::ZERO,
        visitors: 1,
        run: String::new(),
        through: None,
        clock: Clock::system(),
        started: Instant::now(),
        started_us: 0,
        deadline: Instant::now(),
        settling: Duration::ZERO,
        stop: CancellationToken::new(),
        tally: Arc::new(Tally::new()),
    };
    let habits = Habits { drop: 0.0, hold: 0.0, pay: 0.0, mix: Mix::default() };
    let plan = plans([(0, 0)].into_iter(), habits, 1).next().unwrap();
    let bytes = size_of_val(&visit(&scene, plan));
    assert!(bytes <= 2_048, "{bytes} bytes for each visitor");
}
