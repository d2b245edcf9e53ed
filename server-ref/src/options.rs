//! What flags, environment and file ask for.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::builder::BoolishValueParser;
use clap::{Args, CommandFactory};
use moorline_server::config::{self, DurabilityKind, EngineKind, File, Listen, LogFormat, SHARDS};
use moorline_server::http::{self, ConsoleConfig};
use moorline_server::jwt::Tokens;
use moorline_server::server::{Engine, Options};

use crate::descriptors;

/// Flags; each of them but `--restored` is an environment variable, too.
#[derive(Args)]
pub(crate) struct Run {
    /// Lets everybody in with the token `dev:<user>` or none. Listens on the loopback interface only.
    #[arg(long, env = "MOORLINE_DEV", value_parser = BoolishValueParser::new())]
    pub(crate) dev: bool,
    /// Address and port [default: 127.0.0.1:8000].
    #[arg(long, env = "MOORLINE_LISTEN")]
    listen: Option<Listen>,
    /// Address and port of the HTTP API [default: those of --listen].
    #[arg(long, env = "MOORLINE_HTTP_LISTEN")]
    http_listen: Option<Listen>,
    /// The data directory [default: ./moorline-data].
    #[arg(long, env = "MOORLINE_DATA")]
    data: Option<PathBuf>,
    /// The configuration file.
    #[arg(long, env = "MOORLINE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Where messages live [default: log].
    #[arg(long, env = "MOORLINE_ENGINE")]
    engine: Option<EngineKind>,
    /// When a publish is answered [default: disk].
    #[arg(long, env = "MOORLINE_DURABILITY")]
    durability: Option<DurabilityKind>,
    /// Threads for connections, 1 to 256 [default: one less than the processors, at least 1].
    #[arg(long, env = "MOORLINE_SHARDS", value_parser = clap::value_parser!(u16).range(1..=256))]
    shards: Option<u16>,
    /// The data directory was restored from a backup: every channel begins a new epoch, and every client is told.
    #[arg(long)]
    restored: bool,
    /// How the server's own log on standard error is written [default: text].
    #[arg(long, env = "MOORLINE_LOG_FORMAT")]
    log_format: Option<LogFormat>,
}

/// Something the user has to change; exit code 2.
pub(crate) struct Misuse(pub(crate) String);

/// What came of it.
pub(crate) struct Settings {
    pub(crate) options: Options,
    pub(crate) log_format: LogFormat,
    /// What looks wrong, and can be right.
    pub(crate) warnings: Vec<String>,
    /// The files it was read from.
    pub(crate) files: Vec<PathBuf>,
    /// The apps.
    pub(crate) apps: Vec<String>,
    /// In development mode: what logs in to the console once.
    pub(crate) console_key: Option<String>,
}

impl Run {
    /// Makes one set of options of flags, environment, file and defaults.
    #[expect(clippy::too_many_lines, reason = "one line per setting")]
    pub(crate) fn settings(&self) -> Result<Settings, Misuse> {
        let file = match &self.config {
            Some(path) => config::read(path).map_err(|error| Misuse(error.to_string()))?,
            None => File::default(),
        };
        let dir = self.config.as_deref().and_then(Path::parent).unwrap_or_else(|| Path::new(".")).to_owned();
        let keys = config::app_keys(&file, &dir).map_err(Misuse)?;
        if keys.is_empty() && !self.dev {
            let text = "nobody could connect: there is no app in the configuration. Write one (docs/moorline.toml is \
                        an example) and pass it with --config, or try the server with --dev";
            return Err(Misuse(text.into()));
        }
        let listen = self.listen.or(file.server.listen).map_or_else(default_listen, |listen| listen.0);
        self.keep_to_loopback(listen)?;
        let api_keys = config::api_keys(&file).map_err(Misuse)?;
        let mut console = config::console(&file).map_err(Misuse)?;
        let console_key = if self.dev { Some(once(&mut console)?) } else { None };
        let tokens = Tokens::new(keys).with_sets(config::key_sets(&file, &dir).map_err(Misuse)?);
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let shards =
            u16::try_from(processors.saturating_sub(1)).unwrap_or(u16::MAX).clamp(*SHARDS.start(), *SHARDS.end());
        let (limits, defaults) = (&file.limits, Options::dev());
        let mut options = Options {
            listen,
            api_keys: if self.dev { api_keys.with_dev() } else { api_keys },
            http_listen: self.http_listen(&file)?,
            api_rate: self.or_none(limits.api_rate, API_RATE),
            api_burst: limits.api_burst.unwrap_or(defaults.api_burst),
            hooks: config::hooks(&file, &dir).map_err(Misuse)?,
            callouts: config::callouts(&file, &dir).map_err(Misuse)?,
            console,
            engine: self.engine(&file),
            disk_reserve: file.server.disk_reserve.map(|size| size.0),
            retention: config::retention(&file),
            compression: config::compression(&file),
            tokens: if self.dev { tokens.with_dev() } else { tokens },
            name_anonymous: self.dev,
            page: self.dev,
            shards: self.shards.or(file.server.shards).unwrap_or(shards),
            origins: file.server.origins.clone(),
            app_origins: config::app_origins(&file),
            ping_ms: limits.ping.map_or(defaults.ping_ms, |age| age.0 as u32),
            drain_window_ms: limits.reconnect_window.map_or(defaults.drain_window_ms, |age| age.0 as u32),
            accept_rate: self.or_none(limits.accept_rate, ACCEPT_RATE),
            handshakes_per_address: self.or_none(limits.handshakes_per_address, HANDSHAKES),
            front: config::front(&file, &dir).map_err(Misuse)?,
            tcp_user_timeout_ms: limits.tcp_user_timeout.map_or(defaults.tcp_user_timeout_ms, |age| age.0 as u32),
            max_message: limits.message.map_or(defaults.max_message, |size| size.0 as u32),
            max_channels: limits.channels.unwrap_or(defaults.max_channels),
            max_connections: limits.connections_per_user.unwrap_or(defaults.max_connections),
            max_cursors: limits.cursors_per_user.unwrap_or(defaults.max_cursors),
            publish_rate: self.or_none(limits.publish_rate, PUBLISH_RATE),
            publish_burst: limits.publish_burst.unwrap_or(defaults.publish_burst),
            max_sockets: descriptors::for_clients(),
            on_fatal: Arc::new(|fatal| {
                crate::complain(fatal);
                std::process::exit(1);
            }),
            ..defaults
        };
        options.apps = config::app_limits(&file, &options.limits());
        let log_format = self.log_format.or(file.server.log_format).unwrap_or(LogFormat::Text);
        let warnings = strange_variables().into_iter().chain(example_secrets(&file)).collect();
        let files = self.files(&file, &dir);
        let apps = file.apps.into_iter().map(|app| app.name).collect();
        Ok(Settings { options, log_format, warnings, files, apps, console_key })
    }

    /// Returns what a configuration rests on.
    fn files(&self, file: &File, dir: &Path) -> Vec<PathBuf> {
        self.config.iter().cloned().chain(config::reload::files(file, dir)).collect()
    }

    fn http_listen(&self, file: &File) -> Result<Option<SocketAddr>, Misuse> {
        let listen = self.http_listen.or(file.server.http_listen).map(|listen| listen.0);
        listen.map(|listen| self.keep_to_loopback(listen).map(|()| listen)).transpose()
    }

    fn keep_to_loopback(&self, listen: SocketAddr) -> Result<(), Misuse> {
        if self.dev && !listen.ip().is_loopback() {
            return Err(Misuse(format!(
                "--dev lets everybody in, so it listens on the loopback interface only, not on {listen}"
            )));
        }
        Ok(())
    }

    /// Returns a limit: the one that is set, where 0 is none, or the default, which is none with `--dev`.
    fn or_none(&self, set: Option<u32>, default: u32) -> Option<u32> {
        let limit = set.unwrap_or(if self.dev { 0 } else { default });
        (limit > 0).then_some(limit)
    }

    fn engine(&self, file: &File) -> Engine {
        match self.engine.or(file.server.engine).unwrap_or(EngineKind::Log) {
            EngineKind::Memory => Engine::Memory,
            EngineKind::Log => {
                let dir = self.data.clone().or_else(|| file.server.data.clone());
                let dir = dir.unwrap_or_else(|| PathBuf::from("moorline-data"));
                let durability = self.durability.or(file.server.durability).unwrap_or(DurabilityKind::Disk);
                let state_cache = file.server.state_cache.map_or(STATE_CACHE, |size| size.0 as usize);
                let sync = durability == DurabilityKind::Disk;
                Engine::Log { dir, sync, restored: self.restored, state_cache }
            }
        }
    }
}

/// Bytes of memory for ids, producers and cursors, where nothing else is said.
const STATE_CACHE: usize = 64 << 20;
/// Publishes per second and connection, where nothing else is said.
const PUBLISH_RATE: u32 = 50;
/// Requests and messages per second and API key, where nothing else is said.
const API_RATE: u32 = 2_000;
/// Connections taken in per second, where nothing else is said: as many as `reconnect_window` is meant for.
const ACCEPT_RATE: u32 = 5_000;
/// Connections per address without a good `hello`, where nothing else is said: many people behind one address that come
/// back at once are fewer at any moment.
const HANDSHAKES: u32 = 256;

/// Lets somebody in to the console once. Returns the key.
fn once(console: &mut Option<ConsoleConfig>) -> Result<String, Misuse> {
    let mut random = [0; 32];
    let refused = |error| Misuse(format!("the system gave no random numbers: {error}"));
    getrandom::fill(&mut random).map_err(refused)?;
    let (key, hash) = http::make(random);
    let none = ConsoleConfig { keys: Vec::new(), once: None, session: ConsoleConfig::SESSION, socket: None };
    console.get_or_insert(none).once = http::read_hash(&hash).ok();
    Ok(key)
}

fn default_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8000))
}

/// Finds environment variables that were meant to be settings.
fn strange_variables() -> Vec<String> {
    let command = crate::Cli::command();
    let known: Vec<String> = command
        .get_arguments()
        .filter_map(|argument| argument.get_env()?.to_str().map(str::to_owned))
        .chain(["MOORLINE_LOG".to_owned()])
        .collect();
    let close = |name: &str| {
        let likely = known.iter().max_by(|a, b| strsim::jaro(a, name).total_cmp(&strsim::jaro(b, name)));
        likely.filter(|likely| strsim::jaro(likely, name) > 0.95).cloned()
    };
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let strange = names.filter(|name| name.starts_with("MOORLINE_") && !known.contains(name));
    strange
        .filter_map(|name| close(&name).map(|known| format!("{name} is not a setting; did you mean {known}?")))
        .collect()
}

/// Finds apps that everybody has the secret of.
fn example_secrets(file: &File) -> Vec<String> {
    let known = |app: &&config::App| app.keys.iter().any(|key| key.secret.as_deref() == Some(EXAMPLE_SECRET));
    file.apps
        .iter()
        .filter(known)
        .map(|app| {
            let name = &app.name;
            format!("app `{name}` has the secret of the example: anybody can make tokens. Make your own: openssl rand -base64 32")
        })
        .collect()
}

const EXAMPLE_SECRET: &str = "change-me-change-me-change-me-32b";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_and_variable_stands_in_the_docs() {
        let docs = include_str!("../../docs/server.md");
        for argument in crate::Cli::command().get_arguments() {
            let flag = argument.get_long().unwrap();
            assert!(docs.contains(&format!("`--{flag}")), "docs/server.md says nothing of --{flag}");
            let variable = argument.get_env().map(|name| name.to_str().unwrap());
            assert!(variable.is_none_or(|name| docs.contains(&format!("`{name}`"))), "nor of {variable:?}");
        }
    }

    #[test]
    fn the_secret_of_the_example_is_known() {
        assert!(include_str!("../../docs/moorline.toml").contains(EXAMPLE_SECRET));
    }
}
