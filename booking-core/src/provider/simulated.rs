//! A provider that lives in this process and misbehaves on demand.
//!
//! What it does is chosen by the payment method, as with the test cards of real providers:
//!
//! | method | what happens |
//! |---|---|
//! | `sim_ok` | takes the money, and says so once more by webhook |
//! | `sim_declined` | refuses |
//! | `sim_slow` | takes its time, then as `sim_ok` |
//! | `sim_hang` | never answers and takes nothing |
//! | `sim_late` | does not answer; takes the money later and says so by webhook |
//! | `sim_silent` | does not answer; takes the money later and tells nobody |
//! | `sim_repeat` | as `sim_ok`, with ten webhooks |
//! | `sim_error` | takes the money and then answers with garbage |

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::webhook::{ProviderNews, sign};
use super::{Charge, Charged, Provider, ProviderFault};
use crate::clock::Clock;
use crate::domain::moment::Moment;
use crate::domain::money::Paise;
use crate::domain::payment::{ChargeId, PaymentId};

/// How many charges are remembered; the oldest are forgotten beyond that.
const MEMORY: usize = 200_000;

/// Chooses what the provider does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// `sim_ok`
    Ok,
    /// `sim_declined`
    Declined,
    /// `sim_slow`
    Slow,
    /// `sim_hang`
    Hang,
    /// `sim_late`
    Late,
    /// `sim_silent`
    Silent,
    /// `sim_repeat`
    Repeat,
    /// `sim_error`
    Error,
}

impl Behaviour {
    /// Reads a payment method.
    #[must_use]
    pub fn of(method: &str) -> Option<Self> {
        Some(match method {
            "sim_ok" => Self::Ok,
            "sim_declined" => Self::Declined,
            "sim_slow" => Self::Slow,
            "sim_hang" => Self::Hang,
            "sim_late" => Self::Late,
            "sim_silent" => Self::Silent,
            "sim_repeat" => Self::Repeat,
            "sim_error" => Self::Error,
            _ => return None,
        })
    }
}

/// Is a webhook on its way: the signature header and the body.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The value of the signature header.
    pub signature: String,
    /// The body.
    pub body: Vec<u8>,
}

/// Chooses how long things take.
#[derive(Clone, Copy, Debug)]
pub struct Tempo {
    /// How long `sim_slow` takes.
    pub slow: Duration,
    /// How long after the request `sim_late` and `sim_silent` take the money.
    pub late: Duration,
}

impl Default for Tempo {
    fn default() -> Self {
        Self { slow: Duration::from_secs(2), late: Duration::from_secs(12) }
    }
}

/// Simulates a payment provider. Cheap to clone; all clones are one provider.
#[derive(Clone)]
pub struct SimulatedProvider {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Arc<dyn Clock>,
    secret: Vec<u8>,
    tempo: Tempo,
    /// Where webhooks go; when it is full they are lost, as webhooks sometimes are.
    deliveries: mpsc::Sender<Delivery>,
    ledger: Mutex<Ledger>,
    /// Whether refunds wait. Each refund under way watches it.
    refunds_hang: watch::Sender<bool>,
    /// Owns what happens after a request was given up.
    tasks: TaskTracker,
    stopped: CancellationToken,
}

#[derive(Default)]
struct Ledger {
    charges: HashMap<ChargeId, Charge>,
    /// In order of creation, for forgetting the oldest.
    order: std::collections::VecDeque<ChargeId>,
    /// Overrides what the payment method says.
    forced: Option<Behaviour>,
    /// Refuses refunds, as if it were down.
    refunds_down: bool,
}

impl SimulatedProvider {
    /// Opens a provider that signs its webhooks with `secret`; they come out of the receiver.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, secret: Vec<u8>, tempo: Tempo) -> (Self, mpsc::Receiver<Delivery>) {
        let (deliveries, inbox) = mpsc::channel(1024);
        let inner = Inner {
            clock,
            secret,
            tempo,
            deliveries,
            ledger: Mutex::default(),
            refunds_hang: watch::Sender::new(false),
            tasks: TaskTracker::new(),
            stopped: CancellationToken::new(),
        };
        (Self { inner: Arc::new(inner) }, inbox)
    }

    /// Makes every later charge behave in one way, whatever its method; `None` ends that.
    pub fn force(&self, behaviour: Option<Behaviour>) {
        self.inner.ledger().forced = behaviour;
    }

    /// Returns the secret webhooks are signed with.
    #[must_use]
    pub fn secret(&self) -> &[u8] {
        &self.inner.secret
    }

    /// Makes refunds fail until told otherwise.
    pub fn refuse_refunds(&self, down: bool) {
        self.inner.ledger().refunds_down = down;
    }

    /// Makes refunds wait until told otherwise.
    pub fn hang_refunds(&self, hang: bool) {
        self.inner.refunds_hang.send_replace(hang);
    }

    /// Returns how many refunds are being waited for.
    #[must_use]
    pub fn refunds_under_way(&self) -> usize {
        self.inner.refunds_hang.receiver_count()
    }

    /// Takes money for a payment nobody asked for, as a provider's own fault would.
    #[must_use]
    pub fn stray_charge(&self, payment: PaymentId, amount: Paise) -> ChargeId {
        self.inner.take(payment, amount, "stray")
    }

    /// Returns what is kept and not given back, in all.
    #[must_use]
    pub fn kept(&self) -> Vec<Charge> {
        self.inner.ledger().charges.values().filter(|charge| !charge.refunded).cloned().collect()
    }

    /// Waits until nothing is left that would happen behind the caller's back.
    pub async fn idle(&self) {
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
        self.inner.tasks.reopen();
    }

    /// Ends what still goes on in the background.
    pub async fn stop(&self) {
        self.inner.stopped.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }
}

impl Inner {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the money, once for each payment and kind.
    fn take(&self, payment: PaymentId, amount: Paise, kind: &str) -> ChargeId {
        let id = ChargeId(format!("{kind}_{payment}"));
        let mut ledger = self.ledger();
        if !ledger.charges.contains_key(&id) {
            let created_at = self.clock.now();
            let charge = Charge { id: id.clone(), payment, amount, created_at, refunded: false };
            ledger.charges.insert(id.clone(), charge);
            ledger.order.push_back(id.clone());
            while ledger.order.len() > MEMORY {
                let oldest = ledger.order.pop_front();
                oldest.and_then(|oldest| ledger.charges.remove(&oldest));
            }
        }
        id
    }

    fn tell(&self, news: &ProviderNews, copies: usize) {
        let Ok(body) = serde_json::to_vec(news) else { return };
        for _ in 0..copies {
            let signature = sign(&self.secret, self.clock.now(), &body);
            let _lost_when_full = self.deliveries.try_send(Delivery { signature, body: body.clone() });
        }
    }

    fn capture(&self, payment: PaymentId, amount: Paise, copies: usize) -> ChargeId {
        let charge = self.take(payment, amount, "ch");
        let news = ProviderNews::Captured { payment, charge: charge.clone(), amount_paise: amount.get() };
        self.tell(&news, copies);
        charge
    }
}

#[async_trait]
impl Provider for SimulatedProvider {
    fn accepts(&self, method: &str) -> bool {
        Behaviour::of(method).is_some()
    }

    async fn charge(&self, payment: PaymentId, amount: Paise, method: &str) -> Result<Charged, ProviderFault> {
        let inner = &self.inner;
        let forced = inner.ledger().forced;
        let behaviour = forced.or_else(|| Behaviour::of(method));
        match behaviour.ok_or_else(|| ProviderFault("unknown method".to_owned()))? {
            Behaviour::Ok => Ok(Charged::Captured(inner.capture(payment, amount, 1))),
            Behaviour::Repeat => Ok(Charged::Captured(inner.capture(payment, amount, 10))),
            Behaviour::Declined => {
                let reason = "the bank refused this payment".to_owned();
                inner.tell(&ProviderNews::Failed { payment, reason: reason.clone() }, 1);
                Ok(Charged::Declined(reason))
            }
            Behaviour::Slow => {
                tokio::time::sleep(inner.tempo.slow).await;
                Ok(Charged::Captured(inner.capture(payment, amount, 1)))
            }
            Behaviour::Hang => std::future::pending().await,
            Behaviour::Late => self.hang_then_capture(payment, amount, 1).await,
            Behaviour::Silent => self.hang_then_capture(payment, amount, 0).await,
            Behaviour::Error => {
                inner.capture(payment, amount, 0);
                Err(ProviderFault("an answer that makes no sense".to_owned()))
            }
        }
    }

    async fn refund(&self, charge: &ChargeId) -> Result<(), ProviderFault> {
        let mut hang = self.inner.refunds_hang.subscribe();
        let _never_closed = hang.wait_for(|hang| !hang).await;
        let mut ledger = self.inner.ledger();
        if ledger.refunds_down {
            return Err(ProviderFault("refunds are down".to_owned()));
        }
        // A charge from before a restart is not remembered; it is taken to be given back.
        if let Some(charge) = ledger.charges.get_mut(charge) {
            charge.refunded = true;
        }
        Ok(())
    }

    async fn list(&self, since: Moment) -> Result<Vec<Charge>, ProviderFault> {
        let ledger = self.inner.ledger();
        Ok(ledger.charges.values().filter(|charge| charge.created_at >= since).cloned().collect())
    }
}

impl SimulatedProvider {
    /// Lets the caller wait in vain while the money is taken behind its back.
    async fn hang_then_capture(
        &self,
        payment: PaymentId,
        amount: Paise,
        copies: usize,
    ) -> Result<Charged, ProviderFault> {
        let inner = Arc::clone(&self.inner);
        self.inner.tasks.spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(inner.tempo.late) => drop(inner.capture(payment, amount, copies)),
                () = inner.stopped.cancelled() => {}
            }
        });
        std::future::pending().await
    }
}
