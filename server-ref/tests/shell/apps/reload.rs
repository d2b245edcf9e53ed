//! The configuration changes while clients are there.

use std::time::Duration;

use moorline_server::http::ConsoleConfig;
use moorline_server::net::{Front, Listening};
use moorline_server::server::{Options, Server};
use serde_json::json;

use super::{Site, api_key, app, enter, knock, secret, settled, token};
use crate::hooks::SECRET;
use crate::hooks::receiver::{Answer, Receiver};
use crate::http::Http;
use crate::support::program::run;
use crate::support::{Wire, upgrade};

const RELOADED: &str = "the configuration was reloaded";
const REFUSED: &str = "the configuration was not reloaded";

#[test]
fn apps_and_keys_come_and_go_and_who_stays_does_not_notice() {
    let (old_key, old_section) = api_key("old");
    let (new_key, new_section) = api_key("new");
    let stays = app("stays", &secret(1));
    let mut site = Site::start(&format!("{stays}{old_section}{}", app("goes", &secret(2))));
    let address = site.address();
    let (mut here, _) = enter(address, "stays", &token("stays", "alice", &secret(1)));
    let (mut gone, _) = enter(address, "goes", &token("goes", "alice", &secret(2)));
    let mut silent = Wire::open_at(address, "/ws/goes");
    knock(address, "comes", &token("comes", "alice", &secret(3))).expect_end("app.unknown", 4505);
    let post = |key: &str| {
        Http::new(address, key).post("/v1/apps/stays/messages", &json!({"channel": "room", "text": "x"})).status
    };
    assert_eq!((post(&old_key), post(&new_key)), (200, 401));

    let second_key = format!("[[apps.keys]]\nalg = \"HS256\"\nsecret = \"{}\"\n", secret(4));
    let said = site.reload(&format!("{stays}{second_key}{new_section}{}", app("comes", &secret(3))));
    assert!(said.contains("stays, comes"), "{said}");
    gone.expect_end("app.unknown", 4505);
    silent.expect_end("app.unknown", 4505);
    knock(address, "goes", &token("goes", "alice", &secret(2))).expect_end("app.unknown", 4505);
    enter(address, "comes", &token("comes", "alice", &secret(3)));
    enter(address, "stays", &token("stays", "bob", &secret(4)));
    settled(&mut here);
    assert_eq!((post(&old_key), post(&new_key)), (401, 200));

    // The first key goes: its tokens are refused, and who is in with one stays.
    site.reload(&format!("{}{new_section}", app("stays", &secret(4))));
    knock(address, "stays", &token("stays", "alice", &secret(1))).expect_end("auth.invalid", 4502);
    enter(address, "stays", &token("stays", "alice", &secret(4)));
    settled(&mut here);
    let said = site.stop();
    assert!(!said.contains("ERROR") && !said.contains(&secret(4)), "{said}");
}

#[test]
fn a_bad_file_changes_nothing_and_the_log_says_why() {
    let good = app("stays", &secret(1));
    let flags = ["--http-listen", "127.0.0.1:0"];
    let mut site = Site::start_with(&good, &flags);
    let (address, http) = (site.address(), site.program().http_address());
    let (mut here, _) = enter(address, "stays", &token("stays", "alice", &secret(1)));
    for (bad, why) in [
        ("[limits]\nchannels = \"many\"\n".to_owned(), "line 2, `channels`"),
        ("[limits]\nchanels = 5\n".to_owned(), "did you mean `channels`?"),
        (format!("{good}\n[[apps.channels]]\nprefix = \"a\"\nmax_count = 0\n"), "app `stays`: channels `a`: max_count"),
        (app("other", "short"), "32 bytes"),
        (format!("{good}public_key_file = \"gone.pem\"\n"), "cannot read"),
        (String::new(), "no app"),
    ] {
        site.replace(&bad);
        let said = site.hang_up(REFUSED);
        assert!(said.contains(why) && !said.contains("short"), "{why}: {said}");
        settled(&mut here);
        enter(address, "stays", &token("stays", "bob", &secret(1)));
        // The same mistakes are found without a server.
        let (code, said) = run([std::ffi::OsStr::new("check-config"), site.file().as_os_str()]);
        assert!(code == 2 && said.contains(why) || why == "no app", "{code} {said}");
    }
    std::fs::remove_file(site.file()).unwrap();
    site.hang_up(REFUSED);
    site.reload(&good);
    let text = Http::new(http, "").bare("GET", "/metrics", &[], None).text();
    let count = |outcome: &str| -> u64 {
        let series = format!("moorline_config_reloads_total{{outcome=\"{outcome}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&series)).unwrap().parse().unwrap()
    };
    // A change may be noticed beside the signal, too.
    assert!((7..=14).contains(&count("refused")) && (1..=2).contains(&count("done")), "{text}");
    settled(&mut here);
}

#[test]
fn a_file_that_is_replaced_is_noticed_and_so_is_one_that_it_names() {
    let mut site = Site::start(&app("one", &secret(1)));
    let address = site.address();
    let seen = |site: &mut Site, before: usize, until: &str| site.program().wait_for(before, until);
    let before = site.program().said().len();
    site.replace(&format!("{}{}", app("one", &secret(1)), app("two", &secret(2))));
    seen(&mut site, before, RELOADED);
    enter(address, "two", &token("two", "alice", &secret(2)));
    // In place, with a mistake, and without it again.
    for (config, until) in [("[limits]\nchannels = 0\n", REFUSED), (app("one", &secret(3)).as_str(), RELOADED)] {
        let before = site.program().said().len();
        std::fs::write(site.file(), config).unwrap();
        seen(&mut site, before, until);
    }
    enter(address, "one", &token("one", "alice", &secret(3)));
    // A file that the configuration names: a key that replaces another.
    let pem = |name: &str| std::fs::write(site.path().join("key.pem"), name);
    let first = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAMBk8ZkjSBYRyrVS+tpheZdeqDJpr+kMsk19xShdaKok=\n-----END PUBLIC KEY-----\n";
    pem(first).unwrap();
    let named = "[[apps.keys]]\nalg = \"EdDSA\"\npublic_key_file = \"key.pem\"\n";
    site.reload(&format!("{}{named}", app("one", &secret(3))));
    let before = site.program().said().len();
    std::fs::write(site.path().join("key.pem"), "nonsense").unwrap();
    assert!(seen(&mut site, before, REFUSED).contains("PEM"));
    let before = site.program().said().len();
    std::fs::write(site.path().join("key.pem"), first).unwrap();
    seen(&mut site, before, RELOADED);
}

#[test]
fn limits_origins_and_rules_are_those_of_now() {
    let base = app("shop", &secret(1));
    let mut site = Site::start(&base);
    let address = site.address();
    let mut wires: Vec<Wire> =
        (0..3).map(|n| enter(address, "shop", &token("shop", &format!("user-{n}"), &secret(1))).0).collect();
    let subscribe = |channel: &str| json!({"t": "subscribe", "req": 1, "channel": channel});
    for channel in ["a", "b"] {
        wires[0].say(&subscribe(channel));
        wires[0].expect("subscribed");
    }
    let publish =
        |id: &str, text: &str| json!({"t": "publish", "channel": "p", "req": 2, "id": id, "qos": 1, "text": text});
    wires[1].say(&publish("1", "more than ten bytes"));
    wires[1].expect("published");

    let own = "origins = [\"https://shop.example.com\"]\nlimits = { connections = 2, channels = 1, message = 10 }\n";
    site.reload(&base.replacen("[[apps.keys]]", &format!("{own}[[apps.keys]]"), 1));
    // Who is beyond a limit stays, and gets no more.
    wires.iter_mut().for_each(settled);
    wires[0].say(&subscribe("c"));
    wires[0].expect_error("limit.channels");
    wires[1].say(&publish("2", "more than ten bytes"));
    wires[1].expect_error("limit.message");
    knock(address, "shop", &token("shop", "late", &secret(1))).expect_end("limit.connections", 4002);
    let open = |origin: &str| {
        Wire::dial(address)
            .request(&upgrade("/ws/shop", &format!("Origin: {origin}\r\n")))
            .split(' ')
            .nth(1)
            .unwrap()
            .to_owned()
    };
    assert_eq!((open("https://shop.example.com"), open("https://evil.example.com")), ("101".into(), "403".into()));

    site.reload(&base);
    enter(address, "shop", &token("shop", "late", &secret(1)));
    wires[0].say(&subscribe("c"));
    wires[0].expect("subscribed");
    assert_eq!(open("https://evil.example.com"), "101");
}

#[test]
fn what_holds_with_the_next_start_is_named() {
    let base = app("shop", &secret(1));
    let mut site = Site::start(&base);
    let said = site.reload(&format!(
        "[server]\nshards = 3\ndurability = \"process\"\nlog_format = \"json\"\nlisten = \"127.0.0.1:1\"\n[limits]\n\
         accept_rate = 7\nreconnect_window = \"4s\"\n{base}"
    ));
    for key in
        ["server.shards", "server.durability", "server.log_format", "limits.accept_rate", "limits.reconnect_window"]
    {
        assert!(said.contains(&format!("key=\"{key}\"")), "{key}: {said}");
    }
    // A flag says where it listens, whatever the file does.
    assert!(!said.contains("server.listen"), "{said}");
    enter(site.address(), "shop", &token("shop", "alice", &secret(1)));
}

#[test]
fn each_setting_of_the_console_and_of_listeners_is_named_by_itself() {
    let console = |session: u64, socket: Option<&str>| {
        let session = Duration::from_secs(session);
        Some(ConsoleConfig { keys: Vec::new(), once: None, session, socket: socket.map(str::to_owned) })
    };
    let options = || Options { console: console(60, None), ..Options::dev() };
    let server = Server::start(options()).unwrap();
    assert_eq!(server.reload(options()), [""; 0]);
    let listening = |listen: bool, http_listen: bool| {
        let of = |proxy_protocol| Listening { proxy_protocol, tls: false };
        Front { listen: of(listen), http_listen: of(http_listen), ..Front::default() }
    };
    for (options, named) in [
        (Options { console: console(120, None), ..options() }, "console.session"),
        (Options { console: console(60, Some("wss://rt.example.com/ws")), ..options() }, "console.socket"),
        (Options { front: listening(true, false), ..options() }, "server.proxy_protocol"),
        (Options { front: listening(false, true), ..options() }, "server.http_proxy_protocol"),
    ] {
        assert_eq!(server.reload(options), [named]);
    }
}

#[test]
fn hooks_appear_change_their_receiver_and_go() {
    let base = app("shop", &secret(1));
    let (one, other) = (Receiver::start(|_| Answer::Status(200)), Receiver::start(|_| Answer::Status(200)));
    let hook = |receiver: &Receiver| {
        format!(
            "[[hooks]]\nname = \"push\"\napp = \"shop\"\nurl = \"{}\"\nsecrets = [\"{SECRET}\"]\nallow_private = true\n\
             events = [\"message.stored\", \"message.offline\"]\n",
            receiver.url()
        )
    };
    let mut site = Site::start(&base);
    let address = site.address();
    // A device that followed a channel, and left, before anybody asked for what it misses.
    let mut alice = Wire::open_at(address, "/ws/shop");
    let hello =
        json!({"t": "hello", "v": 1, "token": token("shop", "alice", &secret(1)), "device": "device-0123456789"});
    alice.say(&hello);
    alice.expect("welcome");
    alice.say(&json!({"t": "subscribe", "req": 1, "channel": "room", "durable": true, "since": {"cursor": null}}));
    alice.expect("subscribed");
    let (mut bob, _) = enter(address, "shop", &token("shop", "bob", &secret(1)));
    let mut publish = |id: &str| {
        bob.say(&json!({"t": "publish", "channel": "room", "req": 2, "id": id, "qos": 1, "text": id}));
        bob.expect("published");
    };
    publish("before");
    alice.say(&json!({"t": "park"}));
    assert_eq!(alice.expect("deliver")["messages"][0]["id"], "before");
    settled(&mut alice);

    site.reload(&format!("{base}{}", hook(&one)));
    publish("first");
    let mut told = Vec::new();
    while told.len() < 2 {
        for event in one.request().events() {
            assert!(!event.to_string().contains("before"), "{event}");
            told.push((event["type"].as_str().unwrap().to_owned(), event["user"].clone()));
        }
    }
    told.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(told, [("message.offline".into(), json!("alice")), ("message.stored".into(), json!(null))]);

    // Another receiver goes on where the first one was.
    site.reload(&format!("{base}{}", hook(&other)));
    publish("second");
    // What the first one took at the last moment may come again before it.
    while !other.request().events().iter().any(|event| event.to_string().contains("second")) {}
    site.reload(&base);
    publish("third");
    let said = site.stop();
    assert!(one.look().is_none(), "{said}");
    while let Some(request) = other.look() {
        assert!(!String::from_utf8_lossy(&request.body).contains("third"), "{request:?}");
    }
}
