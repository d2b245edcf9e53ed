//! What the service manager is told, where there is one that asks (`Type=notify` of systemd, `NOTIFY_SOCKET`).

use std::time::Duration;

use moorline_server::pulse::Pulse;
use sd_notify::NotifyState;

/// The server listens.
pub(crate) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The configuration is being read again. The next one says [`ready`], whatever became of it.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        // Since when: systemd 253 and newer does without what was said before a request to reload.
        Ok(since) => tell(&[NotifyState::Reloading, since]),
        Err(error) => tracing::warn!(%error, "the service manager is not told of the reload: there is no clock"),
    }
}

/// The server drains.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("clients are sent away")]);
}

/// Begins to tell the watchdog that every shard answers, if there is one. It is told twice within its time; when a shard hangs,
/// it is told nothing, and restarts the server.
///
/// # Errors
/// The system has no thread for it.
pub(crate) fn watch(pulse: Pulse) -> std::io::Result<()> {
    let Some(within) = sd_notify::watchdog_enabled() else { return Ok(()) };
    let pause = within / 2;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let run = move || runtime.block_on(feed(&pulse, pause));
    std::thread::Builder::new().name("moorline-watch".into()).spawn(run).map(drop)
}

async fn feed(pulse: &Pulse, pause: Duration) {
    let mut next = tokio::time::interval(pause);
    next.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        next.tick().await;
        if pulse.beats(pause).await {
            tell(&[NotifyState::Watchdog]);
        }
    }
}

/// A manager that cannot be told finds out by itself, and stops the server if it must.
fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}
