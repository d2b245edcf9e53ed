//! Every target lives through its seeds and through everything that was ever worth keeping.
#![expect(clippy::unwrap_used, reason = "a test that cannot begin fails")]

use std::path::Path;

use moorline_fuzz::{TARGETS, corpus, find};

/// Lines of all corpora together, and their bytes.
const MOST: (usize, usize) = (8_000, 2_000_000);

fn replay(name: &str) {
    let target = find(name).unwrap();
    let committed = std::fs::read_to_string(corpus::file(name)).unwrap();
    for input in (target.seeds)().into_iter().chain(corpus::read(&committed)) {
        (target.run)(&input);
    }
}

macro_rules! replays {
    ($($name:ident)*) => {
        const REPLAYED: &[&str] = &[$(stringify!($name)),*];
        $(#[test] fn $name() { replay(stringify!($name)); })*
    };
}

replays! { binary json jwt log upgrade websocket client node inflate store proxy }

#[test]
fn every_target_is_replayed_and_has_a_wrapper() {
    let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(names, REPLAYED);
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    for name in names {
        assert!(manifest.contains(&format!("name = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"")), "{name}");
        let wrapper = std::fs::read_to_string(fuzz.join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(wrapper.contains(&format!("moorline_fuzz::{name}(")), "{name}");
    }
}

#[test]
fn the_corpus_stays_small() {
    let texts = TARGETS.iter().map(|target| std::fs::read_to_string(corpus::file(target.name)).unwrap());
    let (inputs, bytes) =
        texts.fold((0, 0), |(inputs, bytes), text| (inputs + corpus::read(&text).len(), bytes + text.len()));
    assert!(inputs <= MOST.0 && bytes <= MOST.1, "{inputs} inputs, {bytes} bytes");
}
