//! The `moorline-server` binary.
#![expect(clippy::print_stderr, clippy::print_stdout, reason = "a command line tool talks to people")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};
use moorline_server::config::{self, File};
use moorline_server::jwt::Tokens;
use moorline_server::server::{Engine, Options, Server};

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

Flags win over environment variables, these over the file, this over the defaults.";

#[derive(Subcommand)]
enum Command {
    /// Checks a configuration file and says what is in it.
    CheckConfig {
        /// The file.
        file: PathBuf,
    },
    /// Shows what is in a data directory, and whether it is damaged. Changes nothing.
    Inspect {
        /// The directory.
        dir: PathBuf,
    },
}

#[derive(Args)]
struct Run {
    /// Lets everybody in with the token `dev:<user>` or none. Listens on the loopback interface only.
    #[arg(long, env = "MOORLINE_DEV")]
    dev: bool,
    /// Address and port [default: 127.0.0.1:8000].
    #[arg(long, env = "MOORLINE_LISTEN")]
    listen: Option<String>,
    /// The data directory [default: ./moorline-data].
    #[arg(long, env = "MOORLINE_DATA")]
    data: Option<PathBuf>,
    /// The configuration file.
    #[arg(long, env = "MOORLINE_CONFIG")]
    config: Option<PathBuf>,
    /// Where messages live: `log` or `memory` [default: log].
    #[arg(long, env = "MOORLINE_ENGINE")]
    engine: Option<String>,
    /// When a publish is answered: `disk` (after fdatasync) or `process` (survives a killed process) [default: disk].
    #[arg(long, env = "MOORLINE_DURABILITY")]
    durability: Option<String>,
    /// Threads for connections [default: one less than the processors, at least 1].
    #[arg(long, env = "MOORLINE_SHARDS")]
    shards: Option<u16>,
    /// The data directory was restored from a backup: every channel begins a new epoch, and every client is told.
    #[arg(long)]
    restored: bool,
    /// `text` or `json` [default: text].
    #[arg(long, env = "MOORLINE_LOG_FORMAT")]
    log_format: Option<String>,
}

/// Something the user has to change; exit code 2.
struct Misuse(String);

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Some(Command::CheckConfig { file }) => return check_config(&file),
        Some(Command::Inspect { dir }) => return inspect(&dir),
        None => options(&cli.run),
    };
    match result {
        Ok((options, dev)) => serve(options, dev),
        Err(Misuse(text)) => {
            eprintln!("moorline-server: {text}");
            ExitCode::from(2)
        }
    }
}

fn check_config(path: &Path) -> ExitCode {
    match config::read(path) {
        Ok(file) => {
            let apps: Vec<&str> = file.apps.iter().map(|app| app.name.as_str()).collect();
            println!("ok: apps {}; {} channel rules", apps.join(", "), file.channels.len());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("moorline-server: {error}");
            ExitCode::FAILURE
        }
    }
}

fn inspect(dir: &Path) -> ExitCode {
    match moorline_server::engine::log::inspect(dir) {
        Ok(report) => {
            println!("{report}");
            if report.damage.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("moorline-server: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Makes one set of options of flags, environment, file and defaults.
fn options(run: &Run) -> Result<(Options, bool), Misuse> {
    let file = match &run.config {
        Some(path) => config::read(path).map_err(|error| Misuse(error.to_string()))?,
        None => File::default(),
    };
    let dir = run.config.as_deref().and_then(Path::parent).unwrap_or_else(|| Path::new(".")).to_owned();
    let keys = config::app_keys(&file, &dir).map_err(Misuse)?;
    if keys.is_empty() && !run.dev {
        let text = "nobody could connect: there is no app in the configuration. Write one (docs/moorline.toml is an \
                    example) and pass it with --config, or try the server with --dev";
        return Err(Misuse(text.into()));
    }
    log_to_stderr(run.log_format.as_deref().or(file.server.log_format.as_deref()))?;
    let listen = run.listen.as_deref().or(file.server.listen.as_deref()).unwrap_or("127.0.0.1:8000");
    let listen: SocketAddr = listen
        .parse()
        .map_err(|_| Misuse(format!("--listen takes an address and a port, such as 127.0.0.1:8000, not `{listen}`")))?;
    if run.dev && !listen.ip().is_loopback() {
        return Err(Misuse(format!(
            "--dev lets everybody in, so it listens on the loopback interface only, not on {listen}"
        )));
    }
    let tokens = Tokens::new(keys);
    let processors = std::thread::available_parallelism().map_or(1, usize::from) as u16;
    let defaults = Options::dev();
    let limits = &file.limits;
    let rate = limits.publish_rate.unwrap_or(if run.dev { 0 } else { 50 });
    let message = limits.message.map_or_else(|| u64::from(defaults.max_message), |size| size.0);
    if !(1..=512 * 1024).contains(&message) {
        return Err(Misuse("limits.message is 1 to 512 KiB".into()));
    }
    let ping = limits.ping.map_or_else(|| u64::from(defaults.ping_ms), |age| age.0);
    if !(5_000..=25_000).contains(&ping) {
        return Err(Misuse("limits.ping is 5s to 25s: presence rests on it".into()));
    }
    let options = Options {
        listen,
        engine: engine(run, &file)?,
        retention: config::retention(&file),
        tokens: if run.dev { tokens.with_dev() } else { tokens },
        name_anonymous: run.dev,
        shards: run.shards.or(file.server.shards).unwrap_or_else(|| processors.saturating_sub(1)).max(1),
        origins: file.server.origins.clone(),
        ping_ms: ping as u32,
        max_message: message as u32,
        max_channels: limits.channels.unwrap_or(defaults.max_channels),
        max_connections: limits.connections_per_user.unwrap_or(defaults.max_connections),
        publish_rate: (rate > 0).then_some(rate),
        publish_burst: limits.publish_burst.unwrap_or(defaults.publish_burst),
        on_fatal: Arc::new(|fatal| {
            eprintln!("moorline-server: {fatal}");
            std::process::exit(1);
        }),
        ..defaults
    };
    Ok((options, run.dev))
}

fn engine(run: &Run, file: &File) -> Result<Engine, Misuse> {
    let engine = run.engine.as_deref().or(file.server.engine.as_deref()).unwrap_or("log");
    let durability = run.durability.as_deref().or(file.server.durability.as_deref()).unwrap_or("disk");
    let sync = match durability {
        "disk" => true,
        "process" => false,
        other => return Err(Misuse(format!("--durability is `disk` or `process`, not `{other}`"))),
    };
    match engine {
        "memory" => Ok(Engine::Memory),
        "log" => {
            let dir = run.data.clone().or_else(|| file.server.data.clone().map(PathBuf::from));
            let dir = dir.unwrap_or_else(|| PathBuf::from("moorline-data"));
            Ok(Engine::Log { dir, sync, restored: run.restored })
        }
        other => Err(Misuse(format!("--engine is `log` or `memory`, not `{other}`"))),
    }
}

fn log_to_stderr(format: Option<&str>) -> Result<(), Misuse> {
    let filter = tracing_subscriber::EnvFilter::try_from_env("MOORLINE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format.unwrap_or("text") {
        "text" => subscriber.init(),
        "json" => subscriber.json().init(),
        other => return Err(Misuse(format!("--log-format is `text` or `json`, not `{other}`"))),
    }
    Ok(())
}

fn serve(options: Options, dev: bool) -> ExitCode {
    let engine = options.engine.clone();
    let server = match Server::start(options) {
        Ok(server) => server,
        Err(error) => {
            eprintln!("moorline-server: {error}");
            return ExitCode::FAILURE;
        }
    };
    if dev {
        announce(&server, &engine);
    }
    // Tests and scripts wait for this line.
    println!("moorline-server: listening on {}", server.url());
    if let Err(error) = wait_for_signal(&server) {
        eprintln!("moorline-server: cannot listen for signals: {error}");
    }
    server.wait();
    tracing::info!("stopped");
    ExitCode::SUCCESS
}

fn announce(server: &Server, engine: &Engine) {
    let kept = match engine {
        Engine::Memory => "in memory; they die with this process".to_owned(),
        Engine::Log { dir, .. } => format!("in {}", dir.display()),
    };
    eprintln!(
        "DEVELOPMENT MODE: everybody on this machine may connect, as anybody, and do everything.\n\
         Messages are kept {kept}.\n\
         Try, in two other terminals:\n  moorline sub room:42 --url {url} --token dev:alice\n  \
         moorline pub room:42 '{{\"text\": \"hello\"}}' --url {url} --token dev:bob",
        url = server.url()
    );
}

/// Waits for SIGTERM or SIGINT and begins a drain; a second one ends the process at once.
fn wait_for_signal(server: &Server) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        tracing::info!("stopping: clients are sent away; a second signal stops at once");
        server.drain();
        Ok::<_, std::io::Error>(())
    })?;
    std::thread::spawn(move || {
        let again = runtime.block_on(async {
            let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
            Ok::<_, std::io::Error>(())
        });
        if again.is_ok() {
            std::process::exit(130);
        }
    });
    Ok(())
}
