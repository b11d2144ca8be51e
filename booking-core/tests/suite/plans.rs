//! Statements are planned on an empty database here, as on the first day of a new one: the plans that are kept must not
//! read whole tables, which are small now and will not stay so.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use booking_core::domain::payment::PaymentStatus;
use booking_core::reaper;
use booking_core::service::paying::PaymentAnswer;
use tokio::task::JoinSet;

use crate::database::Database;
use crate::world::{self, HOLD_MS, World, row};

/// How often each table was read whole, once every other session has ended and has said so.
async fn whole_readings(db: &Database) -> BTreeMap<String, i64> {
    let (client, connection) = tokio_postgres::connect(&db.url, tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let others = "SELECT count(*) FROM pg_stat_activity, pg_stat_clear_snapshot()
                  WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
    while client.query_one(others, &[]).await.unwrap().get::<_, i64>(0) > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let rows = client.query("SELECT relname::text, seq_scan FROM pg_stat_user_tables", &[]).await.unwrap();
    drop(client);
    connection.await.unwrap().unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_a_buyer_waits_for_reads_a_whole_table_on_postgres() {
    let db = Database::postgres().await;
    drop(db.open().await);
    let before = whole_readings(&db).await;
    let world = World::new(&db, 480).await;
    for round in 0..8 {
        let mut buying = JoinSet::new();
        for number in 0..60 {
            let (service, key) = (Arc::clone(&world.service), format!("{round}-{number}"));
            buying.spawn(async move {
                let held = world::hold(&service, &key, 1).await.unwrap();
                if number % 2 == 0 { Some(world::pay(&service, &held, &key, "sim_ok").await.unwrap()) } else { None }
            });
        }
        let kept = |paid: &PaymentAnswer| paid.payment.state.status() == PaymentStatus::Kept;
        assert!(buying.join_all().await.iter().flatten().all(kept));
    }
    world.clock.advance_ms(HOLD_MS);
    reaper::pass(&world.service).await.unwrap();
    world.service.sold_out_word(row()).await;
    drop(world);
    let after = whole_readings(&db).await;
    for table in ["holds", "payments", "bookings", "ledger", "outbox", "seats", "inventory"] {
        assert_eq!(after[table], before[table], "{table}");
    }
}
