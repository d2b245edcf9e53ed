//! The configuration is read again: when SIGHUP says so, and when a file changes.

use std::time::Duration;

use moorline_server::config::LogFormat;
use moorline_server::config::reload::Watch;
use moorline_server::server::Server;

use crate::notify;
use crate::options::{Misuse, Run, Settings};

/// How often files are looked at.
pub(crate) const LOOK: Duration = Duration::from_secs(1);

/// See the module's documentation.
pub(crate) struct Reloading<'a> {
    run: &'a Run,
    watch: Watch,
    log_format: LogFormat,
}

impl<'a> Reloading<'a> {
    /// Begins with what was read. `watch` knows of the file from before.
    pub(crate) fn new(run: &'a Run, mut watch: Watch, settings: &Settings) -> Self {
        watch.follow(settings.files.clone());
        Self { run, watch, log_format: settings.log_format }
    }

    /// Tells whether there is a file to read again.
    pub(crate) fn has_file(&self) -> bool {
        self.run.config.is_some()
    }

    /// Reads the file again if it, or one that it names, has changed.
    pub(crate) fn look(&mut self, server: &Server) {
        server.look();
        if self.watch.has_changed() {
            self.reload(server);
        }
    }

    /// Reads the file again. One that is not good changes nothing.
    pub(crate) fn reload(&mut self, server: &Server) {
        notify::reloading();
        let status = match self.try_reload(server) {
            Ok(()) => format!("listening on {}", server.url()),
            Err(Misuse(problem)) => {
                server.reloads().count_refused();
                tracing::error!(%problem, "the configuration was not reloaded; the server goes on with the one before");
                "the configuration was not reloaded; the log says why".to_owned()
            }
        };
        notify::ready(&status);
    }

    fn try_reload(&mut self, server: &Server) -> Result<(), Misuse> {
        self.watch.begin();
        let settings = self.run.settings()?;
        for warning in &settings.warnings {
            tracing::warn!("{warning}");
        }
        self.watch.follow(settings.files);
        let mut later = server.reload(settings.options);
        if settings.log_format != self.log_format {
            later.push("server.log_format");
        }
        for key in later {
            tracing::warn!(key, "this has changed, and holds with the next start only");
        }
        tracing::info!(apps = settings.apps.join(", "), "the configuration was reloaded");
        Ok(())
    }
}
