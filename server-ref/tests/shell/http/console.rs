//! The console: who gets in, what for, and what is never said.

use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::Http;
use super::client::Answer;
use crate::support::Wire;
use crate::support::program::{Program, command, run};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const API: &str = "/console/api";

/// Makes a key with the program. Returns it and what it prints for the configuration.
fn key(args: &[&str]) -> (String, String) {
    let (code, said) = run([&["key", "new"], args].concat());
    assert_eq!(code, 0, "{said}");
    let key = said.lines().find_map(|line| line.strip_prefix("#   ")).unwrap().to_owned();
    (key, said.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n"))
}

/// A server with two keys to its console, one of which may only look.
struct World {
    /// The file, and what it says of `ops`.
    config: (PathBuf, String),
    program: Program,
    http: Http,
    ops: String,
    looker: String,
    backend: String,
}

fn world(dir: &Path) -> World {
    let (ops, of_ops) = key(&["--console", "--name", "ops"]);
    let (looker, of_looker) = key(&["--console", "--name", "looker"]);
    let (backend, of_backend) = key(&["--name", "backend"]);
    let config = dir.join("moorline.toml");
    let text = format!(
        "[[apps]]\nname = \"shop\"\n[[apps.keys]]\nkid = \"k1\"\nalg = \"HS256\"\nsecret = \"{SECRET}\"\n{of_backend}\n\
         {of_ops}\n{of_looker}\nread_only = true\n"
    );
    std::fs::write(&config, &text).unwrap();
    let mut command = command(["--listen", "127.0.0.1:0", "--data"]);
    let program = Program::start(command.arg(dir.join("data")).arg("--config").arg(&config));
    let http = Http::new(program.address(), "");
    World { config: (config, of_ops), program, http, ops, looker, backend }
}

impl World {
    fn login(&self, key: &str, headers: &[(&str, &str)]) -> Answer {
        let all = [&[("content-type", "application/json")], headers].concat();
        self.http.bare("POST", &format!("{API}/session"), &all, Some(json!({ "key": key }).to_string().as_bytes()))
    }

    /// Logs in as the page does. Returns the cookie.
    fn cookie(&self, key: &str) -> String {
        let answer = self.login(key, &[("origin", "http://x")]);
        answer.good();
        answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
    }

    fn get(&self, cookie: &str, path: &str) -> Answer {
        self.http.bare("GET", &format!("{API}{path}"), &[("cookie", cookie)], None)
    }

    /// Asks as the page does.
    fn act(&self, cookie: &str, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.act_from("http://x", cookie, method, path, body)
    }

    fn act_from(&self, origin: &str, cookie: &str, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let headers = [("cookie", cookie), ("origin", origin), ("content-type", "application/json")];
        let body = body.map(Value::to_string);
        self.http.bare(method, &format!("{API}{path}"), &headers, body.as_deref().map(str::as_bytes))
    }
}

#[test]
fn a_session_begins_with_a_key_and_ends_when_it_is_ended() {
    let dir = tempfile::tempdir().unwrap();
    let world = world(dir.path());
    world.get("", "/session").problem(401, "auth.invalid");
    world.get("moorline-console=AAAA", "/overview").problem(401, "auth.invalid");
    world.login("mlk_wrong", &[("origin", "http://x")]).problem(401, "auth.invalid");
    // A backend's key is none to the console.
    world.login(&world.backend, &[("origin", "http://x")]).problem(401, "auth.invalid");
    let answer = world.login(&world.ops, &[("origin", "http://x")]);
    assert_eq!((&answer.good()["name"], &answer.json()["read_only"]), (&json!("ops"), &json!(false)));
    let set = answer.header("set-cookie").unwrap();
    for part in ["; Path=/console", "; HttpOnly", "; SameSite=Strict", "; Max-Age=43200"] {
        assert!(set.contains(part), "{set}");
    }
    assert!(!set.contains("Secure"), "plain HTTP: {set}");
    let by_tls = [("origin", "http://x"), ("x-forwarded-proto", "https")];
    assert!(world.login(&world.ops, &by_tls).header("set-cookie").unwrap().ends_with("; Secure"));
    let cookie = set.split(';').next().unwrap();
    world.get(cookie, "/session").good();
    assert_eq!(world.act(cookie, "DELETE", "/session", None).status, 204);
    world.get(cookie, "/session").problem(401, "auth.invalid");
    world.program.stop();
}

#[test]
fn a_key_that_is_gone_ends_its_sessions_and_one_that_comes_begins_some() {
    let dir = tempfile::tempdir().unwrap();
    let world = world(dir.path());
    let (ops, looker) = (world.cookie(&world.ops), world.cookie(&world.looker));
    let (new, of_new) = key(&["--console", "--name", "new"]);
    let log_in = |key: &str| world.login(key, &[("origin", "http://x")]);
    log_in(&new).problem(401, "auth.invalid");
    let (path, of_ops) = &world.config;
    let before = std::fs::read_to_string(path).unwrap();
    let reload = |config: &str| {
        let said = world.program.said().len();
        std::fs::write(path, config).unwrap();
        world.program.signal(Signal::HUP);
        world.program.wait_for(said, "the configuration was reloaded");
    };
    reload(&before.replace(of_ops, &of_new));
    for path in ["/session", "/overview", "/apps/shop/channels"] {
        world.get(&ops, path).problem(401, "auth.invalid");
    }
    log_in(&world.ops).problem(401, "auth.invalid");
    world.get(&looker, "/session").good();
    let newcomer = world.cookie(&new);
    assert_eq!(world.get(&newcomer, "/session").good()["name"], "new");
    // A session may what its key may: now this one only looks, then it has expired.
    let may_change = || world.act(&newcomer, "DELETE", "/apps/shop/users/nobody/connections", None).status;
    assert_ne!(may_change(), 403);
    let looks = format!("{of_new}\nread_only = true\n");
    reload(&before.replace(of_ops, &looks));
    assert_eq!((may_change(), world.get(&newcomer, "/session").status), (403, 200));
    let expired = format!("{of_new}\nexpires = 2020-01-01\n");
    reload(&before.replace(of_ops, &expired));
    world.get(&newcomer, "/session").problem(401, "auth.invalid");
    // The key comes back, and what it began does not.
    reload(&before);
    world.get(&ops, "/session").problem(401, "auth.invalid");
    world.get(&newcomer, "/session").problem(401, "auth.invalid");
    world.get(&world.cookie(&world.ops), "/session").good();
}

#[test]
fn only_the_own_page_may_change_anything() {
    let dir = tempfile::tempdir().unwrap();
    let world = world(dir.path());
    let cookie = world.cookie(&world.ops);
    let message = json!({"channel": "a", "text": "x"});
    for origin in ["http://evil.example", "http://x.evil.example", "null", "http://x:81"] {
        world.act_from(origin, &cookie, "POST", "/apps/shop/messages", Some(&message)).problem(403, "feature.disabled");
        world.login(&world.ops, &[("origin", origin)]).problem(403, "feature.disabled");
    }
    world.login(&world.ops, &[]).problem(403, "feature.disabled");
    let foreign = [("cookie", cookie.as_str()), ("sec-fetch-site", "same-site")];
    world.http.bare("GET", "/console/api/apps", &foreign, None).problem(403, "feature.disabled");
    assert_eq!(world.act(&cookie, "POST", "/apps/shop/messages", Some(&message)).good()["offset"], 1);
    world.act(&cookie, "POST", "/apps/bank/messages", Some(&message)).problem(404, "app.unknown");
    // A session is none to the HTTP API, and a backend's key none to the console.
    let api = world.http.bare("GET", "/v1/apps/shop/channels", &[("cookie", &cookie)], None);
    api.problem(401, "auth.invalid");
    let bearer = format!("Bearer {}", world.backend);
    world
        .http
        .bare("GET", "/console/api/apps/shop/channels", &[("authorization", &bearer)], None)
        .problem(401, "auth.invalid");
    world.program.stop();
}

#[test]
fn who_may_only_look_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let world = world(dir.path());
    let cookie = world.cookie(&world.looker);
    assert_eq!(world.get(&cookie, "/session").good()["read_only"], true);
    world.get(&cookie, "/apps/shop/channels").good();
    let message = json!({"channel": "a", "text": "x"});
    world.act(&cookie, "POST", "/apps/shop/messages", Some(&message)).problem(403, "feature.disabled");
    world.act(&cookie, "DELETE", "/apps/shop/users/alice/connections", None).problem(403, "feature.disabled");
    assert_eq!(world.get(&cookie, "/apps/shop/channels").good()["channels"], json!([]), "nothing was published");
    world.program.stop();
}

#[test]
fn an_address_that_fails_too_often_waits_even_with_the_right_key() {
    let dir = tempfile::tempdir().unwrap();
    let world = world(dir.path());
    let from = |key: &str, address: &str| world.login(key, &[("origin", "http://x"), ("x-forwarded-for", address)]);
    for _ in 0..10 {
        from("mlk_guess", "192.0.2.1").problem(401, "auth.invalid");
    }
    let answer = from(&world.ops, "192.0.2.1");
    answer.problem(429, "limit.rate");
    assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() <= 60);
    from(&world.ops, "192.0.2.2").good();
    world.program.stop();
}

#[test]
fn no_answer_holds_a_secret_and_none_is_kept_or_framed() {
    let dir = tempfile::tempdir().unwrap();
    let world = world(dir.path());
    let page = world.http.bare("GET", "/console", &[("accept-encoding", "gzip")], None);
    assert_eq!((page.status, page.header("content-encoding")), (200, Some("gzip")));
    let policy = page.header("content-security-policy").unwrap();
    assert!(!policy.contains("unsafe-inline") && policy.contains("frame-ancestors 'none'"), "{policy}");
    let cookie = world.cookie(&world.ops);
    let mut said = String::new();
    for path in ["/session", "/overview", "/apps", "/log", "/apps/shop/channels", "/apps/shop/connections"] {
        let answer = world.get(&cookie, path);
        answer.good();
        for (name, value) in
            [("cache-control", "no-store"), ("x-frame-options", "DENY"), ("x-content-type-options", "nosniff")]
        {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
        said.push_str(&answer.text());
    }
    let config = std::fs::read_to_string(dir.path().join("moorline.toml")).unwrap();
    let hashes: Vec<&str> = config.split("sha256:").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(hashes.len(), 3);
    for secret in hashes.into_iter().chain([SECRET, &world.ops, &world.looker, &world.backend]) {
        assert!(!said.contains(secret), "{secret}");
    }
    let apps = world.get(&cookie, "/apps").good();
    let shown = &apps["apps"][0];
    assert_eq!(
        (&shown["api_keys"][0]["name"], &shown["token_keys"][0]),
        (&json!("backend"), &json!({"id": "k1", "algorithm": "HS256"}))
    );
    assert_eq!(shown["api_keys"][0]["hash"].as_str().unwrap().len(), 8);
    let log = world.program.stop();
    assert!(log.contains("console: logged in") && !log.contains("mlk_"), "{log}");
}

#[test]
fn the_pages_token_reads_its_app_and_does_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let world = world(dir.path());
    let cookie = world.cookie(&world.looker);
    let token = world.act(&cookie, "POST", "/apps/shop/token", None).good()["token"].as_str().unwrap().to_owned();
    let mut wire = Wire::open_at(world.program.address(), "/ws/shop");
    let subscribe = json!([{"req": 1, "channel": "orders"}]);
    wire.say(&json!({"t": "hello", "v": 1, "token": token, "subscribe": subscribe}));
    assert!(wire.expect("welcome").get("user").is_none());
    wire.expect("subscribed");
    wire.say(&json!({"t": "publish", "channel": "orders", "qos": 1, "req": 2, "id": "m", "text": "x"}));
    wire.expect_error("channel.denied");
    // What is subscribed is counted, and the connection is seen.
    let channels = world.get(&cookie, "/apps/shop/channels").good();
    assert_eq!(
        (&channels["channels"][0]["channel"], &channels["channels"][0]["subscribers"]),
        (&json!("orders"), &json!(1))
    );
    let connections = world.get(&cookie, "/apps/shop/connections").good();
    assert_eq!((&connections["total"], &connections["connections"][0]["channels"]), (&json!(1), &json!(["orders"])));
    assert_eq!(connections["connections"][0]["address"], wire.local_address().ip().to_string());
    // Another server has another secret.
    let other_dir = tempfile::tempdir().unwrap();
    let other = self::world(other_dir.path());
    let mut wire = Wire::open_at(other.program.address(), "/ws/shop");
    wire.say(&json!({"t": "hello", "v": 1, "token": token}));
    wire.expect_error("auth.invalid");
    other.program.stop();
    world.program.stop();
}

#[test]
fn the_link_of_a_development_server_is_good_once() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::dev(dir.path());
    let said = program.wait_for(0, "pub room:42");
    let key = said.split("#key=").nth(1).unwrap().lines().next().unwrap().to_owned();
    let http = Http::new(program.address(), "");
    let body = json!({ "key": key }).to_string();
    let headers = [("origin", "http://x"), ("content-type", "application/json")];
    let login = || http.bare("POST", "/console/api/session", &headers, Some(body.as_bytes()));
    login().good();
    login().problem(401, "auth.invalid");
    program.stop();
}

#[test]
fn without_a_section_there_is_no_console() {
    let dir = tempfile::tempdir().unwrap();
    let (_, of_backend) = key(&[]);
    let config = dir.path().join("moorline.toml");
    let app =
        format!("[[apps]]\nname = \"shop\"\n[[apps.keys]]\nalg = \"HS256\"\nsecret = \"{SECRET}\"\n{of_backend}\n");
    std::fs::write(&config, app).unwrap();
    let mut command = command(["--listen", "127.0.0.1:0", "--data"]);
    let program = Program::start(command.arg(dir.path().join("data")).arg("--config").arg(config));
    let http = Http::new(program.address(), "");
    for path in ["/console", "/console/api/session"] {
        http.get(path).problem(404, "request.unsupported");
    }
    program.stop();
}
