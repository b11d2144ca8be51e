//! `vestibule demo`: gateway, booking API, booking site and console in one process.

mod company;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use booking_core::app::App;
use booking_core::clock::SystemClock;
use booking_core::config::{Config as BookingConfig, SaleRow};
use booking_core::notifier::GatewayAddress;
use booking_core::seat_lock::SeatLock;
use booking_core::strategy::{Rule, Strategy};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use vestibule_telemetry::say;

use super::CommandFault;
use super::serve::{Stop, environment, start_telling};
use crate::clock::Clock;
use crate::config::Config;
use crate::gateway::Gateway;
use crate::line::Phase;
use crate::room::Room;
use crate::telemetry::{LogForm, Traces};

/// The name of the demo's room.
const ROOM: &str = "tatkal";

/// The rate of a demo that is started with nothing said: slow enough to see the line move.
const QUIET_RATE: f64 = 2.0;

/// How many are ahead in a demo that is started with nothing said.
const QUIET_COMPANY: u64 = 20;

/// The classes whose seats have numbers in the demo, to be chosen on a map; the others are pools.
const NUMBERED: [&str; 4] = ["*:*:1A", "*:*:2A", "*:*:EC", "*:*:CC"];

/// What the command takes.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Where visitors come
    #[arg(long, default_value = "127.0.0.1:8080", value_parser = address)]
    listen: SocketAddr,
    /// Where operators come
    #[arg(long, default_value = "127.0.0.1:8081", value_parser = address)]
    admin: SocketAddr,
    /// Where the booking API listens
    #[arg(long, default_value = "127.0.0.1:8082", value_parser = address)]
    booking: SocketAddr,
    /// Admissions a second [default: 2, with some company in line; given a rate, the line is yours]
    #[arg(long, value_name = "PER_SECOND")]
    rate: Option<f64>,
    /// How many others the demo keeps in line, so that there is a line to see
    #[arg(long, value_name = "VISITORS")]
    company: Option<u64>,
    /// Where everything is kept; `:memory:` keeps nothing [default: in your data directory]
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// Starts to let people in after this time; until then they gather
    #[arg(long, value_name = "SECONDS")]
    starts_in: Option<u64>,
    /// Draws the order of those who gathered, by lots that anyone can check
    #[arg(long, requires = "starts_in")]
    draw: bool,
    /// Keeps the line in this Redis
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
    /// Keeps the bookings in this database, such as postgres://…
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// Gives one inventory a number of seats of its own, for a sale that is about it: those in line see what is left
    #[arg(long, value_name = "TRAIN:DATE:CLASS", requires = "seats")]
    item: Option<String>,
    /// How many seats `--item` has
    #[arg(long, value_name = "SEATS", requires = "item")]
    seats: Option<u32>,
    /// How long a seat is held before it has to be paid, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    hold: u32,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "expected an IP address and a port, such as 127.0.0.1:8080".to_owned())
}

/// Runs until it is asked to stop.
///
/// # Errors
/// When something that was given cannot be used.
pub async fn run(args: DemoArgs, log: LogForm) -> Result<(), CommandFault> {
    let mut stop = Stop::new()?;
    let demo = Demo::start(&args, log).await?;
    demo.tell();
    if let Some(words) = demo.gateway.rooms().first().and_then(|room| left_words(phase_of(room)?, args.redis.is_some()))
    {
        eprintln!("{words}");
    }
    stop.asked().await;
    tracing::info!("stopping; requests under way may end");
    demo.stop().await;
    Ok(())
}

struct Demo {
    gateway: Gateway,
    booking: SocketAddr,
    end_booking: CancellationToken,
    serving: tokio::task::JoinHandle<std::io::Result<()>>,
    company: company::Company,
    traces: Option<Traces>,
}

impl Demo {
    async fn start(args: &DemoArgs, log: LogForm) -> Result<Self, CommandFault> {
        let listener = TcpListener::bind(args.booking).await.map_err(|e| {
            input(format!(
                "cannot listen on {}: {e}; stop what uses it, or give --booking another address",
                args.booking
            ))
        })?;
        let booking = listener.local_addr().map_err(|e| input(e.to_string()))?;
        let data = args.folder()?;
        if let Some(folder) = &data {
            std::fs::create_dir_all(folder)
                .map_err(|e| input(format!("cannot make the folder {}: {e}; give --data another", folder.display())))?;
        }
        let config = args.config(booking, data.clone())?;
        let traces = start_telling(log, &config)?;
        let gateway = Gateway::start(&config, Clock::system()).await.map_err(|fault| input(fault.to_string()))?;
        traces.iter().for_each(|traces| gateway.count(traces));
        let app = match App::start(args.booking_config(&gateway, data)?, Arc::new(SystemClock::new())).await {
            Ok(app) => app,
            Err(fault) => {
                gateway.stop().await;
                return Err(input(fault.to_string()));
            }
        };
        let end_booking = CancellationToken::new();
        let end = end_booking.clone();
        let serving = tokio::spawn(app.serve(listener, async move { end.cancelled().await }));
        let wanted = args.company.unwrap_or(if args.rate.is_none() { QUIET_COMPANY } else { 0 });
        let company = company::Company::start(gateway.rooms(), wanted);
        Ok(Self { gateway, booking, end_booking, serving, company, traces })
    }

    fn tell(&self) {
        let Gateway { address, admin_address, admin_token, .. } = &self.gateway;
        say!("gateway http://{address}");
        say!("console http://{admin_address}");
        say!("booking http://{}", self.booking);
        say!("lab http://{}/lab/", self.booking);
        say!("token {admin_token}");
        eprintln!(
            "\nOpen the gateway's address as a visitor, and http://{admin_address}/#token={admin_token} as the operator."
        );
        eprintln!("Ctrl-C stops.");
    }

    async fn stop(self) {
        self.company.stop().await;
        self.gateway.stop().await;
        self.end_booking.cancel();
        if let Ok(Err(fault)) = self.serving.await {
            tracing::error!(%fault, "the booking API has failed");
        }
        if let Some(traces) = self.traces {
            traces.stop().await;
        }
    }
}

impl DemoArgs {
    /// Where everything is kept; `None` keeps nothing.
    fn folder(&self) -> Result<Option<PathBuf>, CommandFault> {
        match self.data.as_deref() {
            Some(":memory:") => Ok(None),
            Some(folder) => Ok(Some(PathBuf::from(folder))),
            None => {
                let base = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
                let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
                let base = base.or_else(home).ok_or_else(|| input("there is no HOME; give --data".to_owned()))?;
                Ok(Some(base.join("vestibule")))
            }
        }
    }

    /// The demo is a configuration like any other; the environment may change it too.
    fn config(&self, booking: SocketAddr, data: Option<PathBuf>) -> Result<Config, CommandFault> {
        let rate = self.rate.unwrap_or(QUIET_RATE);
        if !(0.0..=1e6).contains(&rate) {
            return Err(input(format!("--rate is from 0 to 1000000, not {rate}")));
        }
        let text = format!(
            "upstream = \"http://{booking}\"\n[room.{ROOM}]\ntitle = \"Tatkal booking\"\nadmissions_per_second = {rate:?}\n\
             items = [\"/api/inventory/{{key}}\", \"/api/holds?inventory={{key}}\"]\n"
        );
        let text = text + &self.subject()? + &self.opening();
        let config = Config::parse(&text, &environment()).map_err(|problems| input(problems.to_string()))?;
        let store_url = self.redis.clone().or(config.store_url.clone());
        Ok(Config {
            listen: self.listen,
            admin_listen: self.admin,
            data,
            store_url,
            drain: Duration::from_secs(5),
            ..config
        })
    }

    /// The inventory that has seats of its own, with their number.
    fn sale(&self) -> Result<Option<SaleRow>, CommandFault> {
        let (Some(item), Some(capacity)) = (&self.item, self.seats) else { return Ok(None) };
        let inventory = item.parse().map_err(|e| input(format!("--item `{item}`: {e}")))?;
        Ok(Some(SaleRow { inventory, capacity }))
    }

    /// The key of the room that says what it is about, so that those in line see what is left of it, and whether that
    /// will last. A demo of every train is about none of them.
    fn subject(&self) -> Result<String, CommandFault> {
        Ok(self.sale()?.map(|sale| format!("item = \"{}\"\n", sale.inventory)).unwrap_or_default())
    }

    /// The keys of the room that say when it starts.
    fn opening(&self) -> String {
        let Some(seconds) = self.starts_in else { return String::new() };
        let starts_ms = Clock::system().now_ms() + seconds.min(31_536_000) * 1_000;
        let method = if self.draw { "draw" } else { "fifo" };
        format!("queueing_method = \"{method}\"\nstarts_at = \"{}\"\n", crate::config::instant_text(starts_ms))
    }

    fn booking_config(&self, gateway: &Gateway, data: Option<PathBuf>) -> Result<BookingConfig, CommandFault> {
        let bank = data.as_ref().map(|data| data.join("bank.jsonl"));
        let embedded = data.map_or_else(
            || "sqlite::memory:".to_owned(),
            |data| format!("sqlite:{}", data.join("booking.db").display()),
        );
        let mut config =
            BookingConfig { database: self.database.clone().unwrap_or(embedded), ..BookingConfig::default() };
        config.payments.simulated_state = bank;
        config.payments.return_url = Some(format!("http://{}/hold/{{hold}}", gateway.address));
        config.holds.seconds = self.hold;
        config.lab.enabled = true;
        // The line may be kept in ways that a lock on seats has no use for: by Sentinel, or in a cluster.
        config.seat_lock.redis = self.redis.clone().filter(|url| SeatLock::check(url).is_ok());
        config.gateways.push(GatewayAddress {
            admin: format!("http://{}", gateway.admin_address),
            room: ROOM.to_owned(),
            token: gateway.admin_token.clone(),
        });
        if let Some(sale) = self.sale()? {
            config.strategies.push(rule(&sale.inventory.to_string(), Strategy::Teller)?);
            config.sale.push(sale);
        }
        let choosing = if config.seat_lock.redis.is_some() { Strategy::SeatLock } else { Strategy::SeatKey };
        for rows in NUMBERED {
            config.strategies.push(rule(rows, choosing)?);
        }
        Ok(config)
    }
}

/// Has rows sold in another way than the default.
fn rule(rows: &str, strategy: Strategy) -> Result<Rule, CommandFault> {
    let rows = rows.parse().map_err(|e| input(format!("the rows `{rows}`: {e}")))?;
    Ok(Rule { rows, strategy })
}

fn phase_of(room: &Room) -> Option<Phase> {
    room.mirror.read(|roll| roll.settings.as_ref().map(|settings| settings.phase))
}

/// Says how an earlier run was left, where that keeps somebody from what a demo shows.
fn left_words(phase: Phase, is_in_redis: bool) -> Option<String> {
    let afresh = if is_in_redis { "" } else { "; --data :memory: starts afresh" };
    let name = phase.name();
    (phase != Phase::Open).then(|| format!("Room {ROOM} is {name}, as you left it: open it on the console{afresh}."))
}

fn input(text: String) -> CommandFault {
    CommandFault::Input(text)
}
