//! The laws of the line, held after every step of random histories.

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Join(u64),
    Wait(u64),
    Here(usize, Vec<u64>),
    Gone(usize, Vec<u64>),
    Left(Vec<u64>),
    End(Vec<u64>),
    Renew(Vec<u64>),
    Steer(f64, u64, Option<u64>),
    Phase(Phase),
    Revive,
    Succeed,
}

fn step() -> impl Strategy<Value = Step> {
    let some = || prop::collection::vec(1u64..60, 0..8);
    prop_oneof![
        3 => (1u64..6).prop_map(Step::Join),
        4 => (0u64..3_000_000).prop_map(Step::Wait),
        3 => (0usize..2, some()).prop_map(|(g, n)| Step::Here(g, n)),
        2 => (0usize..2, some()).prop_map(|(g, n)| Step::Gone(g, n)),
        1 => some().prop_map(Step::Left),
        1 => some().prop_map(Step::End),
        2 => some().prop_map(Step::Renew),
        1 => (0.0f64..20.0, 1u64..6, prop::option::of(0u64..10)).prop_map(|(r, b, a)| Step::Steer(r, b, a)),
        1 => prop_oneof![Just(Phase::Open), Just(Phase::Paused)].prop_map(Step::Phase),
        1 => Just(Step::Revive),
        1 => Just(Step::Succeed),
    ]
}

fn renewals(roll: &Roll, numbers: &[Number], now_us: u64) -> Vec<Renewal> {
    numbers.iter().filter_map(|number| roll.renewal(*number, now_us / 1_000_000)).collect()
}

/// Follows the line as a mirror does, and checks every call against what was so just before it.
struct Watch {
    state: LineState,
    mirror: Roll,
    now_us: u64,
    ahead: BTreeMap<(Epoch, Number), u64>,
    calls: Vec<(u64, u64)>,
    /// The loosest limits that have held so far.
    rate: f64,
    burst: u64,
}

impl Watch {
    fn do_step(&mut self, step: &Step) {
        let gateway = |g: usize| GatewayId(g as u64);
        let mut tick = tick_of(gateway(0), Numbers::default(), Numbers::default());
        match step {
            Step::Join(n) => return self.join(*n),
            Step::Wait(us) => self.now_us += us,
            Step::Here(g, n) => (tick.gateway, tick.here) = (gateway(*g), n.iter().copied().collect()),
            Step::Gone(g, n) => (tick.gateway, tick.gone) = (gateway(*g), n.iter().copied().collect()),
            Step::Left(n) => tick.left = n.iter().copied().collect(),
            Step::End(n) => tick.ended = vec![Slots { ends_s: 0, numbers: n.iter().copied().collect() }],
            Step::Renew(n) => tick.renewed = renewals(&self.mirror, n, self.now_us),
            Step::Steer(rate, burst, active) => {
                let limits = Limits { total_active_users: *active, ..limits(*rate, *burst) };
                (self.rate, self.burst) = (self.rate.max(*rate), self.burst.max(*burst));
                self.state.steer(&Steering::Limits(limits), self.now_us);
            }
            Step::Phase(phase) => self.state.steer(&Steering::Phase(*phase), self.now_us),
            Step::Succeed => self.state.succeed(self.now_us),
            Step::Revive => self.state = LineState::revive(self.mirror.clone(), BTreeMap::new(), self.now_us),
        }
        self.tick(tick);
    }

    fn join(&mut self, count: u64) {
        let before = self.state.roll.issued;
        let joined = self.state.join(count, self.now_us);
        assert_eq!(joined.first, before + 1, "(L1)");
        self.mirror.note(&joined);
        self.follow();
    }

    fn tick(&mut self, tick: Tick) {
        self.state.vouch(&tick, self.now_us);
        self.state.leave(&tick.left, self.now_us);
        self.state.end(&tick.ended, self.now_us);
        self.state.renew(&tick.renewed, self.now_us);
        self.follow();
        self.state.attendance.tend(self.state.roll.issued, self.now_us);
        let callable: Vec<Number> = self.state.lowest_callable(u64::MAX).iter().collect();
        self.state.call(self.now_us);
        let called: Vec<Number> = callable.iter().copied().filter(|n| self.state.roll.called.contains(*n)).collect();
        assert_eq!(called, callable[..called.len()], "(L2)");
        self.follow();
        let roll = self.state.roll.clone();
        self.state.call(self.now_us);
        assert_eq!(roll, self.state.roll, "(L7)");
    }

    fn follow(&mut self) {
        match self.state.follow(self.mirror.known()) {
            News::Entries(entries) => entries.iter().for_each(|entry| self.take(entry)),
            News::Roll(roll) => self.mirror = *roll,
            News::Behind => panic!("the store never knows less than its mirror"),
        }
        self.check();
    }

    fn take(&mut self, entry: &Entry) {
        self.mirror.apply(entry);
        self.calls.push((entry.at_us, entry.called.len()));
    }

    fn check(&mut self) {
        let now_s = self.now_us / 1_000_000;
        let line = &self.state.roll;
        assert_eq!(line.known(), self.mirror.known());
        assert_eq!((&line.called, &line.over), (&self.mirror.called, &self.mirror.over));
        assert_eq!(line.active(now_s), self.mirror.active(now_s));
        for (epoch, number) in self.ahead.keys().copied().collect::<Vec<_>>() {
            match line.standing(epoch, number, now_s) {
                Standing::Waiting { ahead } => {
                    let before = self.ahead.insert((epoch, number), ahead);
                    assert!(before >= Some(ahead), "(L4) {number} moved from {before:?} to {ahead}");
                }
                _ => drop(self.ahead.remove(&(epoch, number))),
            }
        }
        let epoch = line.epoch();
        let above = line.eras.last().map_or(0, |era| era.above);
        for number in line.waiting.iter_from(above + 1) {
            self.ahead.entry((epoch, number)).or_insert(u64::MAX);
        }
        self.check_rate();
    }

    fn check_rate(&self) {
        for (i, (from, _)) in self.calls.iter().enumerate().rev().take(40) {
            let sum: u64 = self.calls[i..].iter().map(|(_, n)| n).sum();
            let window = (self.now_us - from) as f64 / 1e6;
            // After a change of limits the old TAT may stand: one burst of each.
            assert!(sum as f64 <= self.rate * window + 2.0 * self.burst as f64 + 1e-6, "(L5)");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_invariants_hold_after_every_step(steps in prop::collection::vec(step(), 1..60)) {
        let state = room(limits(5.0, 3));
        let mirror = state.roll.clone();
        let mut watch = Watch {
            state, mirror, now_us: START_US, ahead: BTreeMap::new(), calls: Vec::new(), rate: 5.0, burst: 3,
        };
        steps.iter().for_each(|step| watch.do_step(step));
    }

    /// (L6) Sessions in use never exceed the limit while it stands.
    #[test]
    fn sessions_stay_within_the_limit(limit in 0u64..8, steps in prop::collection::vec(step(), 1..60)) {
        let mut state = room(Limits { total_active_users: Some(limit), ..limits(100.0, 50) });
        let mut now_us = START_US;
        // A gateway that hears of nothing that was renewed.
        let mut stale = state.roll.clone();
        for step in steps {
            match step {
                Step::Renew(n) => {
                    state.renew(&renewals(&state.roll, &n, now_us), now_us);
                    state.renew(&renewals(&stale, &n, now_us), now_us);
                }
                Step::End(n) => {
                    let known = n.iter().filter(|number| stale.called.contains(**number));
                    let ended = known.filter_map(|number| {
                        Some(Slots { ends_s: stale.slot_end(*number, 0)?, numbers: Numbers::run(*number, *number) })
                    });
                    state.end(&ended.collect::<Vec<_>>(), now_us);
                }
                Step::Gone(..) => stale = state.roll.clone(),
                Step::Wait(us) => now_us += us * 10,
                Step::Join(n) => { state.join(n, now_us); }
                Step::Here(_, n) => {
                    state.tick(&tick_of(GATEWAY, n.into_iter().collect(), Numbers::default()), now_us);
                }
                _ => state.call(now_us),
            }
            let now_s = now_us / 1_000_000;
            prop_assert!(state.roll.active(now_s) <= limit);
            let inside = (1..=state.roll.issued).filter(|number| {
                matches!(state.roll.standing(state.roll.epoch(), *number, now_s), Standing::Called { .. })
            });
            prop_assert_eq!(state.roll.active(now_s), inside.count() as u64, "a slot for each who is inside");
        }
    }
}
