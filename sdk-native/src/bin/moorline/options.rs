use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use moorline::{Qos, Since};

/// Reads and publishes real-time messages. One JSON object per line on standard output; words for people on standard
/// error.
#[derive(Parser)]
#[command(
    version,
    after_help = "Examples:
  moorline sub room:42 --token dev:alice
  moorline pub room:42 '{\"text\": \"hello\"}' --token dev:bob --qos 2
  tail -f app.log | moorline pub logs - --token dev:app
  moorline history room:42 --limit 10 --token dev:alice
  moorline call cart.add '{\"sku\": 7}' --token dev:alice
  moorline presence room:42 --enter '{\"nick\": \"Al\"}' --token dev:alice
  moorline status alice bob --watch --token dev:carol

Exit code: 0 when all went as asked, 1 when a message failed or the server refused, 2 for a mistake in the command."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Prints the messages of a channel as they come, and acknowledges each after its line is out.
    Sub(Sub),
    /// Publishes one message, or each line of standard input.
    Pub(Pub),
    /// Prints a part of a channel's log.
    History(HistoryOptions),
    /// Calls a method of the app's backend and prints its answer.
    Call(CallCommand),
    /// Prints who is present in a channel.
    Presence(PresenceOptions),
    /// Prints which users are online.
    Status(StatusOptions),
    /// Makes a token (a JWT signed with HS256) for tests and scripts.
    Token(TokenOptions),
}

#[derive(Args)]
pub(crate) struct Server {
    /// The server.
    #[arg(long, env = "MOORLINE_URL", default_value = "ws://127.0.0.1:8000/ws")]
    pub(crate) url: String,
    /// The token; a development server takes `dev:<user>`.
    #[arg(long, env = "MOORLINE_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// Gives up when the server has not answered within this time, such as 500ms, 10s or 5m [default: never].
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) timeout: Option<Duration>,
    /// Writes what the client was told to this file at the end, without payloads and tokens, for a report of a fault.
    #[arg(long, value_name = "FILE")]
    pub(crate) blackbox: Option<PathBuf>,
    /// Has the server send everything as it is.
    #[arg(long)]
    pub(crate) no_compression: bool,
}

#[derive(Args)]
pub(crate) struct Sub {
    /// The channel; `@me` is your own inbox.
    pub(crate) channel: String,
    #[command(flatten)]
    pub(crate) server: Server,
    /// Where to begin: resume, live, cursor, first, or last:N.
    #[arg(long, default_value = "resume", value_parser = since)]
    pub(crate) since: Since,
    /// Has the server keep a cursor: what was not acknowledged comes again.
    #[arg(long)]
    pub(crate) durable: bool,
    /// 0: at most once, 1: at least once, 2: exactly once [default: 1].
    #[arg(long, value_parser = qos)]
    pub(crate) qos: Option<Qos>,
    /// Ends after so many messages.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// Keeps the device and how far it has read in this file: the next start with it goes on from there.
    #[arg(long, value_name = "FILE")]
    pub(crate) store: Option<PathBuf>,
    /// Registers where your backend reaches this device while its user is away, such as the token of a push service.
    #[arg(long, value_name = "HANDLE", requires = "store")]
    pub(crate) push: Option<String>,
}

#[derive(Args)]
pub(crate) struct Pub {
    /// The channel; `@alice` is the inbox of alice.
    pub(crate) channel: String,
    /// What to publish: JSON, otherwise a text; `-` or nothing reads lines from standard input.
    pub(crate) payload: Option<String>,
    #[command(flatten)]
    pub(crate) server: Server,
    /// 0: sent once, not stored; 1: stored, by id; 2: stored once, by sequence [default: 1].
    #[arg(long, value_parser = qos)]
    pub(crate) qos: Option<Qos>,
    /// The message's id: the same id is stored once (one message only).
    #[arg(long)]
    pub(crate) id: Option<String>,
    /// Keeps what is not settled in this file: the next start with it sends it first.
    #[arg(long, value_name = "FILE")]
    pub(crate) store: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct HistoryOptions {
    /// The channel.
    pub(crate) channel: String,
    #[command(flatten)]
    pub(crate) server: Server,
    /// The oldest messages after this offset.
    #[arg(long, conflicts_with = "before")]
    pub(crate) after: Option<u64>,
    /// The newest messages before this offset.
    #[arg(long)]
    pub(crate) before: Option<u64>,
    /// At most so many, 1 to 256.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) limit: u32,
}

#[derive(Args)]
pub(crate) struct CallCommand {
    /// The method, such as `cart.add`.
    pub(crate) method: String,
    /// The arguments: JSON, otherwise a text [default: null].
    pub(crate) data: Option<String>,
    #[command(flatten)]
    pub(crate) server: Server,
    /// How long the answer is awaited, at most 30s [default: 10s].
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) within: Option<Duration>,
    /// Names the call for the backend, which can tell by it that a call is made again [default: random].
    #[arg(long)]
    pub(crate) id: Option<String>,
}

#[derive(Args)]
pub(crate) struct PresenceOptions {
    /// The channel.
    pub(crate) channel: String,
    #[command(flatten)]
    pub(crate) server: Server,
    /// Goes on: prints each change of the members as it happens.
    #[arg(long)]
    pub(crate) watch: bool,
    /// Is present as well, with this state (JSON, or a text), until it is interrupted; prints as with --watch.
    #[arg(long, value_name = "STATE")]
    pub(crate) enter: Option<String>,
}

#[derive(Args)]
pub(crate) struct StatusOptions {
    /// The users, at most 500.
    #[arg(required = true, value_name = "USER")]
    pub(crate) users: Vec<String>,
    #[command(flatten)]
    pub(crate) server: Server,
    /// Goes on: prints who comes and who goes.
    #[arg(long)]
    pub(crate) watch: bool,
}

#[derive(Args)]
pub(crate) struct TokenOptions {
    /// The secret that the server's configuration has for the app.
    #[arg(long, env = "MOORLINE_KEY", hide_env_values = true)]
    pub(crate) key: String,
    /// The user.
    #[arg(long)]
    pub(crate) sub: String,
    /// The app.
    #[arg(long, default_value = "default")]
    pub(crate) app: String,
    /// What is allowed where, such as `chat:*=subscribe,publish`; may stand several times. Without it: everything.
    #[arg(long = "grant")]
    pub(crate) grants: Vec<String>,
    /// How long it is good for: 30s, 15m, 1h or 7d.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = time)]
    pub(crate) ttl: Duration,
}

fn time(text: &str) -> Result<Duration, String> {
    let wrong = || "a time is written as 500ms, 30s, 15m, 1h or 7d".to_owned();
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let ms = match text.strip_prefix(digits).unwrap_or_default() {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    let number = digits.parse::<u64>().ok().filter(|number| *number > 0);
    number.and_then(|number| number.checked_mul(ms)).map(Duration::from_millis).ok_or_else(wrong)
}

fn qos(text: &str) -> Result<Qos, String> {
    let level = text.parse::<u8>().ok().and_then(Qos::from_level);
    level.ok_or_else(|| "the level is 0, 1 or 2".into())
}

fn since(text: &str) -> Result<Since, String> {
    match (text, text.strip_prefix("last:").map(str::parse)) {
        ("resume", _) => Ok(Since::Resume),
        ("live", _) => Ok(Since::Live),
        ("cursor", _) => Ok(Since::Cursor),
        ("first", _) => Ok(Since::First),
        (_, Some(Ok(count))) => Ok(Since::Last(count)),
        _ => Err("it is resume, live, cursor, first, or last:N".into()),
    }
}
