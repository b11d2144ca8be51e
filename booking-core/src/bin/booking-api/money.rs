//! The commands about money: the simulated provider as a process, and the ledger in print.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use booking_core::clock::{Clock, SystemClock};
use booking_core::config::{Config, LogForm};
use booking_core::domain::ledger::Account;
use booking_core::provider::simulated::bank::{self, Tempo};
use booking_core::provider::simulated::courier::Address;
use booking_core::provider::simulated::house::House;
use booking_core::provider::wire::Wire;
use booking_core::{app, auditor};
use clap::Args;
use vestibule_telemetry::say;

/// How long a webhook waits to be taken.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Args)]
pub struct Bank {
    /// Where to listen, HOST:PORT; port 0 takes a free one and prints it.
    #[arg(long, default_value = "127.0.0.1:8083")]
    listen: String,
    /// The booking API that is told of every payment, for example http://127.0.0.1:8082.
    #[arg(long)]
    merchant: String,
    /// What webhooks are signed with; the booking API's payments.webhook_secret.
    #[arg(long, env = "BOOKING_WEBHOOK_SECRET", hide_env_values = true)]
    secret: String,
    /// The key callers must show; the booking API's payments.provider_key.
    #[arg(long, env = "BOOKING_PROVIDER_KEY", hide_env_values = true)]
    key: Option<String>,
    /// The file in which charges are remembered; in memory only without it.
    #[arg(long)]
    state: Option<PathBuf>,
}

/// Runs the simulated provider until it is asked to end.
pub async fn run_bank(arguments: Bank) -> anyhow::Result<()> {
    let asked_to_end = super::asked_to_end()?;
    super::start_logs(LogForm::Text, None);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let opened = bank::Bank::open(Arc::clone(&clock), Tempo::default(), arguments.state.as_deref());
    let opened = opened.context("the file of --state cannot be used; choose another")?;
    let mut house = House::open(super::listen(&arguments.listen).await?, opened, arguments.key)?;
    let wire = Wire::new(&arguments.merchant, None, PATIENCE).context("--merchant")?;
    let secret = arguments.secret.into_bytes();
    house.carry_news(Address { wire, path: "/api/payments/webhook".to_owned(), secret }, clock);
    say!("provider http://{}", house.address());
    asked_to_end.await;
    house.stop().await;
    Ok(())
}

/// Prints the ledger; `false` when it contradicts a payment.
pub async fn check_ledger(config: &Config) -> anyhow::Result<bool> {
    let store = app::open(config).await?;
    let report = auditor::audit(&*store).await?;
    say!("{:<22} {:>20}", "account", "paise");
    for account in Account::ALL {
        say!("{:<22} {:>20}", account.word(), report.balances.of(account));
    }
    say!("{:<22} {:>20}", "sum", report.balances.sum());
    for (status, payments) in &report.payments {
        say!("{:<22} {:>20}", format!("payments {status}"), payments);
    }
    say!("{:<22} {:>20}", "faults", report.faults);
    report.words.iter().for_each(|fault| say!("  {fault}"));
    Ok(report.faults == 0 && report.balances.sum() == 0)
}
