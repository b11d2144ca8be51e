//! What the simulated bank does wrong, and when: by payment method, or by a script that is replaced at any time with
//! `PUT /faults`. A script's chance comes from its seed, so that a run can be repeated.

use serde::{Deserialize, Serialize};

/// How the bank treats a charge because of its payment method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Manner {
    /// What goes wrong while it is asked for.
    pub fault: Option<FaultKind>,
    /// How often each piece of news is told.
    pub copies: u8,
    /// Whether the money is taken at once.
    pub instant: bool,
    /// Whether the buyer must confirm.
    pub challenge: bool,
}

impl Manner {
    /// Reads a payment method; `None` for one the bank does not know.
    #[must_use]
    pub fn of(method: &str) -> Option<Self> {
        let fault = |fault, copies| Self { fault: Some(fault), copies, ..Self::default() };
        let good = Self { copies: 1, ..Self::default() };
        Some(match method {
            "sim_ok" => good,
            "sim_instant" => Self { instant: true, ..good },
            "sim_challenge" => Self { challenge: true, ..good },
            "sim_repeat" => Self { copies: 10, ..good },
            "sim_declined" => fault(FaultKind::Decline, 1),
            "sim_slow" => fault(FaultKind::Slow, 1),
            "sim_hang" => fault(FaultKind::Hang, 1),
            "sim_late" => fault(FaultKind::Late, 1),
            "sim_silent" => fault(FaultKind::Late, 0),
            "sim_error" => fault(FaultKind::Garbage, 0),
            _ => return None,
        })
    }
}

/// Names what the bank is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// To set money aside.
    Authorize,
    /// To take it.
    Capture,
    /// To let it go.
    Void,
    /// To give it back.
    Refund,
    /// To list its charges.
    List,
    /// To tell its news.
    Webhook,
}

/// Says what goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// It is not done, and the answer says 503. A webhook is lost.
    Fail,
    /// Only for `authorize` and `refund`: the bank refuses.
    Decline,
    /// Only for `refund`: it is done, and sent back by the buyer's bank after `ms`, which a webhook says.
    Bounce,
    /// It is not done, and there is no answer.
    Hang,
    /// It is done and answered, after `ms`. A webhook comes late, and so after younger ones.
    Slow,
    /// It is done after `ms`, and there is no answer.
    Late,
    /// It is done, and the answer makes no sense.
    Garbage,
    /// Only for `webhook`: it comes three times.
    Duplicate,
}

/// Is one line of a script.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// When this is asked for,
    pub verb: Verb,
    /// this goes wrong,
    pub fault: FaultKind,
    /// with this probability, from 0 to 1;
    #[serde(default = "always")]
    pub probability: f64,
    /// so many times, or without end.
    #[serde(default)]
    pub times: Option<u32>,
    /// How long `slow` and `late` take; the bank's own pace if it is not given.
    #[serde(default)]
    pub ms: Option<u64>,
}

const fn always() -> f64 {
    1.0
}

/// Is what goes wrong this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What.
    pub kind: FaultKind,
    /// How long it takes, where the script says so.
    pub ms: Option<u64>,
}

/// Is a script of faults: the first rule that applies and whose chance comes up decides.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// Where its chance begins.
    #[serde(default)]
    pub seed: u64,
    /// Its lines.
    #[serde(default)]
    pub rules: Vec<Rule>,
}

/// The most lines a script may have.
pub const MOST_RULES: usize = 64;

impl Script {
    /// Says what goes wrong this time, if anything; counts it, and moves the chance on.
    pub fn next(&mut self, verb: Verb) -> Option<Fault> {
        for index in 0..self.rules.len() {
            if self.rules[index].verb != verb || self.rules[index].times == Some(0) {
                continue;
            }
            let chance = self.draw();
            let rule = &mut self.rules[index];
            if chance < rule.probability {
                rule.times = rule.times.map(|left| left - 1);
                return Some(Fault { kind: rule.fault, ms: rule.ms });
            }
        }
        None
    }

    /// Draws a number from 0 up to 1 (SplitMix64, Steele, Lea and Flood 2014).
    fn draw(&mut self) -> f64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.seed;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(rules: &str) -> Script {
        serde_json::from_str(&format!(r#"{{"seed":7,"rules":{rules}}}"#)).unwrap()
    }

    #[test]
    fn a_rule_applies_as_often_as_it_says() {
        let mut script = script(r#"[{"verb":"capture","fault":"fail","times":2}]"#);
        assert_eq!(script.next(Verb::Void), None);
        let fail = Some(Fault { kind: FaultKind::Fail, ms: None });
        assert_eq!([0, 1, 2].map(|_| script.next(Verb::Capture)), [fail, fail, None]);
    }

    #[test]
    fn one_seed_gives_one_history() {
        let rules = r#"[{"verb":"capture","fault":"fail","probability":0.3}]"#;
        let history = |mut script: Script| (0..1_000).map(|_| script.next(Verb::Capture).is_some()).collect::<Vec<_>>();
        let first = history(script(rules));
        assert_eq!(first, history(script(rules)));
        let failed = first.iter().filter(|failed| **failed).count();
        assert!((250..350).contains(&failed), "about three in ten: {failed}");
    }

    #[test]
    fn an_unknown_word_in_a_script_is_an_error() {
        for bad in [r#"[{"verb":"capture","fault":"explode"}]"#, r#"[{"verb":"capture","fault":"fail","often":1}]"#] {
            assert!(serde_json::from_str::<Script>(&format!(r#"{{"rules":{bad}}}"#)).is_err());
        }
    }
}
