//! Work that takes long, off the threads that serve visitors and outside of any lock.

/// Does `work` on a thread of its own kind, and waits for the outcome.
///
/// # Cancel safety
/// The work goes on when the future is dropped; its outcome is lost.
///
/// # Panics
/// When the work does.
pub(crate) async fn apart<A: Send + 'static>(work: impl FnOnce() -> A + Send + 'static) -> A {
    match tokio::task::spawn_blocking(work).await.map_err(tokio::task::JoinError::try_into_panic) {
        Ok(outcome) => outcome,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // The runtime stops, and with it whoever waits here.
        Err(Err(_)) => std::future::pending().await,
    }
}
