//! The `moorline-server` binary.

mod descriptors;
mod health;
mod notify;
mod options;
mod reload;
mod signals;

use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use moorline_server::config::reload::Watch;
use moorline_server::config::{self, LogFormat};
use moorline_server::server::{Engine, Options, Server};
use moorline_server::traces::{self, Traces};

use self::health::Health;
use self::options::{Misuse, Run};
use self::reload::Reloading;
use self::signals::{Asked, Signals};

/// A real-time messaging server with an embedded durable log.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Run,
}

const EXAMPLES: &str = "Examples:
  moorline-server --dev                        try it: everybody may connect, from this machine
  moorline-server --config moorline.toml       run it with apps, keys and rules
  moorline-server check-config moorline.toml   look for mistakes first
  moorline-server backup moorline-data /backup/today

Flags win over environment variables, these over the file, this over the defaults.

Exit code: 0 after a graceful stop, 1 when the server cannot start or go on, 2 for a mistake in flags, environment or
configuration, 130 after a second signal.";

#[derive(Subcommand)]
enum Command {
    /// Checks a configuration file and says what is in it.
    CheckConfig {
        /// The file.
        file: PathBuf,
    },
    /// Copies a data directory, also while a server runs on it. Everything that was answered before is in the copy.
    ///
    /// To restore, start a server on the copy: every channel begins a new epoch, and every client is told.
    Backup {
        /// The data directory.
        dir: PathBuf,
        /// The copy: a directory that does not exist yet; those above it are made. It is there completely or not at all.
        to: PathBuf,
    },
    /// Asks a running server whether it takes clients: exit code 0 if it does, 1 if not. For containers without a shell.
    Health(Health),
    /// API keys for the HTTP API.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Shows what is in a data directory, and whether it is damaged. Changes nothing.
    Inspect {
        /// The directory.
        dir: PathBuf,
    },
}

#[derive(Subcommand)]
enum KeyCommand {
    /// Makes a key. Prints it once, and what to write into the configuration: its hash.
    New {
        /// Names it in the configuration and in the server's log. To replace a key, keep its name.
        #[arg(long, default_value = "backend")]
        name: String,
        /// Makes a key to the console instead of one to the HTTP API.
        #[arg(long)]
        console: bool,
    },
}

fn main() -> ExitCode {
    end_with_the_first_thread_that_panics();
    let cli = Cli::parse();
    match cli.command {
        Some(Command::CheckConfig { file }) => check_config(&file),
        Some(Command::Backup { dir, to }) => backup(&dir, &to),
        Some(Command::Inspect { dir }) => inspect(&dir),
        Some(Command::Health(health)) => ask_health(&health),
        Some(Command::Key(KeyCommand::New { name, console })) => new_key(&name, console),
        None => match start(&cli.run) {
            Ok(code) => code,
            Err(Misuse(text)) => {
                complain(text);
                ExitCode::from(2)
            }
        },
    }
}

/// A server that has lost a thread would look alive and serve nobody; started again, it has lost nothing.
fn end_with_the_first_thread_that_panics() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        print(panic);
        std::process::exit(101);
    }));
}

fn check_config(path: &Path) -> ExitCode {
    match config::read(path) {
        Ok(file) => {
            let apps: Vec<&str> = file.apps.iter().map(|app| app.name.as_str()).collect();
            let apps = if apps.is_empty() { "none".to_owned() } else { apps.join(", ") };
            let (rules, hooks) = (file.channels.len(), file.hooks.len());
            say(format_args!("ok: apps: {apps}; channel rules: {rules}; hooks: {hooks}"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(error);
            ExitCode::from(2)
        }
    }
}

fn backup(dir: &Path, to: &Path) -> ExitCode {
    match moorline_server::engine::log::backup(dir, to) {
        Ok(made) => {
            say(format_args!("{}: {} files, {} bytes, no damage", to.display(), made.files, made.bytes));
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(error);
            ExitCode::FAILURE
        }
    }
}

fn ask_health(health: &Health) -> ExitCode {
    match health::ask(health) {
        Ok(said) => {
            say(said);
            ExitCode::SUCCESS
        }
        Err(text) => {
            complain(text);
            ExitCode::FAILURE
        }
    }
}

fn new_key(name: &str, is_for_console: bool) -> ExitCode {
    let mut random = [0; 32];
    if let Err(error) = getrandom::fill(&mut random) {
        complain(format_args!("the system gave no random numbers: {error}"));
        return ExitCode::FAILURE;
    }
    let (key, hash) = moorline_server::http::make(random);
    let (who, place, section) = match is_for_console {
        true => ("for who logs in to the console", "the configuration", "console.keys"),
        false => ("for the backend", "the configuration, below its [[apps]]", "apps.api_keys"),
    };
    say(format_args!(
        "# The key, {who}; it is shown only now:\n#   {key}\n# For {place}:\n[[{section}]]\nname = \"{name}\"\nhash = \"{hash}\""
    ));
    ExitCode::SUCCESS
}

fn inspect(dir: &Path) -> ExitCode {
    match moorline_server::engine::log::inspect(dir) {
        Ok(report) => {
            say(&report);
            if report.damage.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            complain(error);
            ExitCode::FAILURE
        }
    }
}

/// Runs the server until it is told to stop.
fn start(run: &Run) -> Result<ExitCode, Misuse> {
    let watch = Watch::new(run.config.iter().cloned().collect());
    let settings = run.settings()?;
    log_to_stderr(settings.log_format)?;
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    let traces = traces::start().map_err(|bad| Misuse(bad.to_string()))?;
    let reloading = Reloading::new(run, watch, &settings);
    let code = serve(settings.options, settings.console_key.as_deref(), reloading);
    traces.into_iter().for_each(Traces::finish);
    Ok(code)
}

fn log_to_stderr(format: LogFormat) -> Result<(), Misuse> {
    let wanted = std::env::var("MOORLINE_LOG").unwrap_or_else(|_| "info".into());
    let filter = tracing_subscriber::EnvFilter::try_new(&wanted).map_err(|error| {
        Misuse(format!("MOORLINE_LOG is a level such as `info` or `moorline_server=debug`, not `{wanted}`: {error}"))
    })?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        // Nobody may be there to read the log; that is no reason to stop.
        .log_internal_errors(false);
    match format {
        LogFormat::Text => subscriber.init(),
        LogFormat::Json => subscriber.json().init(),
    }
    Ok(())
}

fn serve(options: Options, console_key: Option<&str>, mut reloading: Reloading<'_>) -> ExitCode {
    let engine = options.engine.clone();
    // Before anybody can be served: a signal that comes early is not lost.
    let mut signals = match Signals::listen(reloading.has_file()) {
        Ok(signals) => signals,
        Err(error) => {
            complain(format_args!("cannot listen for signals: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let server = match Server::start(options) {
        Ok(server) => server,
        Err(error) => {
            complain(error);
            return ExitCode::FAILURE;
        }
    };
    if let Some(key) = console_key {
        announce(&server, &engine, key);
    }
    // Tests and scripts wait for this line.
    say(format_args!("moorline-server: listening on {}", server.url()));
    if server.http_address() != server.address() {
        say(format_args!("moorline-server: HTTP API on {}", server.http_url()));
    }
    notify::ready(&format!("listening on {}", server.url()));
    if let Err(error) = notify::watch(server.pulse()) {
        complain(format_args!("cannot start the watchdog's thread: {error}"));
        return ExitCode::FAILURE;
    }
    loop {
        match signals.wait(reload::LOOK) {
            Asked::Stop => break,
            Asked::Reload => reloading.reload(&server),
            Asked::Nothing => reloading.look(&server),
        }
    }
    tracing::info!("stopping: clients are sent away; a second signal stops at once");
    notify::stopping();
    server.drain();
    signals.exit_at_the_next();
    server.wait();
    tracing::info!("stopped");
    ExitCode::SUCCESS
}

fn announce(server: &Server, engine: &Engine, console_key: &str) {
    let kept = match engine {
        Engine::Memory => "in memory; they die with this process".to_owned(),
        Engine::Log { dir, .. } => format!("in {}", dir.display()),
    };
    let url = server.url();
    let console = format!("{}/console#key={console_key}", server.http_url());
    let page = url.replacen("ws", "http", 1).replace("/ws", "/");
    tell(format_args!(
        "DEVELOPMENT MODE: everybody on this machine may connect, as anybody, and do everything.\n\
         Messages are kept {kept}.\n\
         Try the chat in a browser: {page}\n\
         Watch the server (this link is good once): {console}\n\
         Or, in two other terminals:\n  moorline sub room:42 --url {url} --token dev:alice\n  \
         moorline pub room:42 '{{\"text\": \"hello\"}}' --url {url} --token dev:bob"
    ));
}

/// Prints a line on standard output, if somebody is there to read it.
fn say(text: impl Display) {
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Prints a line on standard error, if somebody is there to read it.
fn tell(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn complain(text: impl Display) {
    tell(format_args!("moorline-server: {text}"));
}
