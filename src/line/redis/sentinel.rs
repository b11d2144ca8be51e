//! Asking Sentinels which server is the master now.
//!
//! They are asked all at once, on every new connection, and the first answer is taken: it is made sure of by the
//! server itself, which must say that it is a master. So no Sentinel that is down, slow or behind holds anyone up.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use redis::{AsyncConnectionConfig, ConnectionInfo, ErrorKind, RedisError, RedisResult, cmd};

use super::address::{Entry, Host};

/// How long one Sentinel may take.
const PATIENCE: Duration = Duration::from_millis(500);

/// Returns where the master is that the Sentinels know as `name`.
pub async fn find_master(sentinels: &[ConnectionInfo], name: &str, entry: &Entry) -> RedisResult<Host> {
    let mut asked: FuturesUnordered<_> = sentinels.iter().map(|sentinel| ask(sentinel, name, entry)).collect();
    let mut fault = RedisError::from((ErrorKind::InvalidClientConfig, "no Sentinel is named"));
    while let Some(answer) = asked.next().await {
        match answer {
            Ok(master) => return Ok(master),
            Err(error) => fault = error,
        }
    }
    Err(fault)
}

async fn ask(sentinel: &ConnectionInfo, name: &str, entry: &Entry) -> RedisResult<Host> {
    let config =
        AsyncConnectionConfig::new().set_connection_timeout(Some(PATIENCE)).set_response_timeout(Some(PATIENCE));
    let client = entry.client_of(sentinel.clone())?;
    let mut sentinel = client.get_multiplexed_async_connection_with_config(&config).await?;
    let master: Option<Host> =
        cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(name).query_async(&mut sentinel).await?;
    let unknown =
        || RedisError::from((ErrorKind::Client, "the Sentinels know no master of this name", name.to_owned()));
    master.ok_or_else(unknown)
}
