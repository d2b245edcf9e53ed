use tokio::sync::watch;

/// Tells when the user, or the system, wants an end. A second wish ends the process at once.
#[derive(Clone)]
pub(crate) struct Stop(watch::Receiver<bool>);

/// The exit code after the second wish.
const INTERRUPTED: i32 = 130;

impl Stop {
    /// Listens from now on.
    pub(crate) fn listen() -> std::io::Result<Self> {
        let mut signals = Signals::listen()?;
        let (wanted, receiver) = watch::channel(false);
        tokio::spawn(async move {
            signals.next().await;
            wanted.send_replace(true);
            signals.next().await;
            std::process::exit(INTERRUPTED);
        });
        Ok(Self(receiver))
    }

    /// Waits for the first wish.
    pub(crate) async fn wanted(&self) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|wanted| *wanted).await.is_err() {
            // Nobody can wish any more.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(unix)]
struct Signals(tokio::signal::unix::Signal, tokio::signal::unix::Signal);

#[cfg(unix)]
impl Signals {
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self(signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?))
    }

    async fn next(&mut self) {
        tokio::select! { _ = self.0.recv() => {}, _ = self.1.recv() => {} }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
