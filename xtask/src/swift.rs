//! The Swift package: built and tested against the real server, with Swift from the path or from a newer Debian in a folder.

mod pages;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;

use serde_json::Value;

use pages::Pages;

use crate::chroot::{CHECKOUT, Chroot};
use crate::error::{Error, Result};
use crate::planted::{self, Planted};
use crate::process::{Process, Serving};
use crate::step::Counts;
use crate::{bindings, cargo, tools, tree};

/// The release of Debian that has Swift, and what compiling with it takes.
const RELEASE: &str = "trixie";
const PACKAGES: &[&str] = &["swiftlang", "libc6-dev", "libstdc++-14-dev"];

/// The public API, one symbol per line: a change of it is a change of this file.
const API: &str = "bindings/swift/api.txt";
/// The sources have the form that Swift's own formatter gives them.
const FORMAT: &str = "swift format lint --strict --configuration bindings/swift/.swift-format -r \
                      bindings/swift/Sources/Moorline bindings/swift/Sources/MoorlineTesting bindings/swift/Tests \
                      examples/chat-ios/Sources examples/chat-ios/Tests \
                      examples/chat-ios/ChatApp";
/// What needs frameworks of Apple's: the views of the example are parsed, and what follows the network is checked against a
/// stand-in of Network.
const APPLE: &str = "swiftc -frontend -parse -swift-version 6 examples/chat-ios/ChatApp/*.swift; \
                     mkdir -p target/swift/stubs; \
                     swiftc -swift-version 6 -parse-as-library -emit-module -module-name Network \
                     bindings/swift/Tests/Stubs/Network.swift -o target/swift/stubs/Network.swiftmodule; \
                     swiftc -swift-version 6 -parse-as-library -module-name Moorline -typecheck -I target/swift/stubs \
                     -I target/swift/build/debug/Modules -Xcc -fmodule-map-file=bindings/swift/Sources/CMoorline/module.modulemap \
                     bindings/swift/Sources/Moorline/*.swift bindings/swift/Sources/Moorline/Internal/*.swift";
const ELSEWHERE: &str = "Swift 6 is missing: install it from https://swift.org/install";

/// Where the compiler finds the modules of the package.
const MODULES: &str =
    "-I target/swift/build/debug/Modules -Xcc -fmodule-map-file=bindings/swift/Sources/CMoorline/module.modulemap";
/// The pages for Xcode: every link in them and in the comments leads somewhere.
const DOCS: &str = "docc=$(xcrun --find docc 2>/dev/null || echo \"$(dirname \"$(readlink -f \"$(command -v swiftc)\")\")/docc\"); \
                    \"$docc\" convert bindings/swift/Sources/Moorline/Moorline.docc --warnings-as-errors \
                    --fallback-display-name Moorline --fallback-bundle-identifier dev.moorline \
                    --additional-symbol-graph-dir target/swift/api --output-dir target/swift/docs";
/// What is built, and where.
const PACKAGE: &str = "--package-path bindings/swift --scratch-path target/swift/build";
/// Where the linker finds the library.
const LINK: &str = "-Xlinker -L$PWD/target/swift/lib";

/// The same with bugs in it.
const PLANTED: &str = "-Xlinker -L$PWD/target/planted/static";
/// Bugs of the core, and the tests that must notice them.
const BUGS: &[Planted] = &[
    ("outbox-unbounded", "PublishTests.test_an_outbox_that_is_full_says_so"),
    ("resume-from-now", "ConnectionTests.test_gets_what_it_missed_when_it_comes_back"),
];

/// `cargo xtask swift`
#[derive(Debug, clap::Args)]
pub(crate) struct Swift {
    /// Run its tests, too, and compare its public API with `bindings/swift/api.txt`.
    #[arg(long)]
    test: bool,
    /// Only the tests whose name matches this, such as `SeamTests` or `test_goes_on`.
    #[arg(long, requires = "test", value_name = "PATTERN")]
    filter: Option<String>,
    /// Only see that the tests notice bugs that are planted in the core.
    #[arg(long, conflicts_with_all = ["test", "api"])]
    planted: bool,
    /// Write down the public API anew.
    #[arg(long, conflicts_with = "test")]
    api: bool,
}

impl Swift {
    pub(crate) fn run(&self) -> Result {
        let swift = Toolchain::find()?;
        if self.planted {
            return swift.planted();
        }
        swift.build()?;
        match (&self.filter, self.test, self.api) {
            (Some(filter), ..) => swift.test(&["--filter", filter], &mut Counts::default()),
            (_, true, _) => swift.check(&mut Counts::default()),
            (.., true) => tree::write(&tree::root().join(API), &swift.api()?),
            _ => Ok(()),
        }
    }
}

/// Builds the package, runs all its tests and compares its public API.
///
/// # Errors
/// Swift that cannot be had; what does not build; a test that fails; an API that is not the one written down.
pub(crate) fn test(counts: &mut Counts) -> Result {
    let swift = Toolchain::find()?;
    swift.build()?;
    swift.check(counts)
}

/// Where Swift runs: in a newer Debian, or here, from the path.
struct Toolchain {
    chroot: Option<Chroot>,
}

impl Toolchain {
    /// Takes Swift from the path, or from a newer Debian, which is made if need be.
    fn find() -> Result<Self> {
        let is_here = tools::answers("swift", &["--version"]);
        let chroot = if is_here { None } else { Some(Chroot::debian(RELEASE, PACKAGES, ELSEWHERE)?) };
        Ok(Self { chroot })
    }

    /// Begins a script in the checkout.
    fn shell(&self, script: &str) -> Process {
        match &self.chroot {
            Some(chroot) => chroot.shell(&format!("export HOME=/root; cd {CHECKOUT}; {script}")),
            None => Process::new("sh").args(["-ec", script, "sh"]).directory(tree::root()),
        }
    }

    /// Builds the core's library, the package and its tests.
    fn build(&self) -> Result {
        let library = bindings::library("dev", &[])?.with_file_name(bindings::STATIC);
        let folder = folder().join("lib");
        tree::create(&folder)?;
        // A folder with nothing else: a linker would prefer the library for loading.
        tree::copy(&library, &folder.join(bindings::STATIC))?;
        self.link(LINK)
    }

    /// Builds the package and its tests with a library.
    fn link(&self, library: &str) -> Result {
        // SwiftPM does not notice that a library is new.
        let old = "rm -rf target/swift/build/debug/Probe target/swift/build/debug/*.xctest";
        self.shell(&format!("{old}; swift build --build-tests {PACKAGE} {library}")).run()
    }

    /// Runs tests that are linked with a core that has bugs; the next build links them anew.
    fn planted(&self) -> Result {
        planted::library()?;
        self.link(PLANTED)?;
        let lab = lab()?;
        planted::prove(BUGS, |tests| {
            let test = format!("exec swift test --skip-build --disable-swift-testing {PACKAGE} --filter \"$@\" 2>&1");
            Ok(self.shell(&test).args([tests.join("|")]).env("MOORLINE_LAB", lab.line()))
        })
    }

    /// Runs all tests, compares the public API, compiles what the pages say, runs the example, looks at what cannot be
    /// compiled here, and sees that a bug of the core is noticed.
    fn check(&self, counts: &mut Counts) -> Result {
        self.test(&[], counts)?;
        let api = self.api()?;
        if tree::read_if_present(&tree::root().join(API))?.is_none_or(|found| api != found) {
            return Err(Error::Rules(vec![format!("{API} is old: cargo xtask swift --api")]));
        }
        self.pages()?;
        self.example(counts)?;
        self.shell(DOCS).run()?;
        self.shell(FORMAT).run()?;
        if self.chroot.is_some() {
            self.shell(APPLE).run()?;
        }
        self.planted()
    }

    fn test(&self, filter: &[&str], counts: &mut Counts) -> Result {
        let lab = lab()?;
        let test = format!("exec swift test --skip-build --disable-swift-testing {PACKAGE} \"$@\" 2>&1");
        let process =
            self.shell(&test).args(filter).env("MOORLINE_LAB", lab.line()).env("MOORLINE_SERVER", self.server()?);
        process.run_tests(counts)
    }

    /// Lays the server where the tests can start it, and returns the path there.
    fn server(&self) -> Result<PathBuf> {
        let (from, to) = (cargo::target()?.join("debug").join("moorline-server"), folder().join("moorline-server"));
        std::fs::copy(&from, &to).map_err(|source| Error::File { path: from, source })?;
        Ok(if self.chroot.is_some() { PathBuf::from(CHECKOUT).join("target/swift/moorline-server") } else { to })
    }

    /// Builds the model of the chat and runs its test.
    fn example(&self, counts: &mut Counts) -> Result {
        let lab = lab()?;
        let package = "--package-path examples/chat-ios --scratch-path target/swift/chat --disable-swift-testing";
        // Swift 6.0's own libswiftObservation.so for Linux lacks a symbol that it needs for a message before it aborts.
        let observation = if self.chroot.is_some() { "-Xlinker --allow-shlib-undefined" } else { "" };
        let process = self.shell(&format!("exec swift test {package} {LINK} {observation} 2>&1"));
        process.env("MOORLINE_URL", server(lab.line())?).run_tests(counts)
    }

    /// Compiles what the pages say, and runs the program of the first one.
    fn pages(&self) -> Result {
        let pages = Pages::read()?;
        let (out, lab) = (folder().join("pages"), lab()?);
        tree::create(&out)?;
        tree::write(&out.join("main.swift"), &pages.program.replace(pages::SERVER, &server(lab.line())?))?;
        tree::write(&out.join("pieces.swift"), &pages.pieces)?;
        let objects = "target/swift/build/debug/Moorline.build/*.o target/swift/build/debug/MoorlineFFI.build/*.o";
        let swiftc = format!("swiftc -swift-version 6 {MODULES} -suppress-warnings");
        let link = format!("{objects} -Ltarget/swift/lib -lmoorline_mobile -o target/swift/pages/program");
        let compile = format!(
            "{swiftc} -typecheck target/swift/pages/pieces.swift && {swiftc} target/swift/pages/main.swift {link}"
        );
        let printed = self.shell(&format!("{compile} && target/swift/pages/program")).output()?;
        if printed.contains("alice says hello") {
            Ok(())
        } else {
            Err(Error::Rules(vec![format!("the README's program printed: {printed}")]))
        }
    }

    /// Returns the public API, as the compiler sees it.
    fn api(&self) -> Result<String> {
        let out = folder().join("api");
        tree::create(&out)?;
        let tool = "$(xcrun --find swift-symbolgraph-extract 2>/dev/null || \
                    echo \"$(dirname \"$(readlink -f \"$(command -v swiftc)\")\")/swift-symbolgraph-extract\")";
        let extract = format!("{tool} -module-name Moorline -minimum-access-level public -output-dir target/swift/api");
        let target =
            "-target \"$(swiftc -print-target-info | sed -n 's/.*\"triple\": \"\\(.*\\)\",/\\1/p' | head -n 1)\"";
        self.shell(&format!("{extract} {target} {MODULES}")).run()?;
        symbols(&tree::read(&out.join("Moorline.symbols.json"))?)
    }
}

/// Starts the server and the proxies that the tests steer.
fn lab() -> Result<Serving> {
    cargo::build("dev", &[("moorline-server", "moorline-server"), ("moorline-crash", "moorline-crash")])?;
    let built = cargo::target()?.join("debug");
    cargo::built(&built, "moorline-crash").args(["lab"]).arg("--server", &built.join("moorline-server")).serve()
}

/// Asks the lab where its server is.
fn server(lab: &str) -> Result<String> {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(lab)?;
        stream.write_all(b"server\n")?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer)?;
        Ok(answer.trim_end().to_owned())
    };
    ask().map_err(|source| Error::Start { command: format!("the lab on {lab}"), source })
}

/// Where Swift builds, in the checkout, so that it is the same inside.
fn folder() -> PathBuf {
    tree::root().join("target").join("swift")
}

/// Reads the compiler's symbols: one line each, by their places.
fn symbols(text: &str) -> Result<String> {
    let graph: Value = serde_json::from_str(text).map_err(|_| Error::Answer("swift symbolgraph-extract"))?;
    let symbols = graph.get("symbols").and_then(Value::as_array).ok_or(Error::Answer("swift symbolgraph-extract"))?;
    let mut lines: Vec<String> = symbols.iter().filter_map(symbol).collect();
    lines.sort_unstable();
    lines.dedup();
    let foreign: Vec<String> =
        lines.iter().filter(|line| line.contains("Ffi")).map(|line| format!("generated in public: {line}")).collect();
    Error::unless_empty(foreign)?;
    Ok(lines.join("\n") + "\n")
}

/// Returns a symbol's place and declaration; what the compiler makes by itself is left out.
fn symbol(symbol: &Value) -> Option<String> {
    if symbol.pointer("/identifier/precise")?.as_str()?.contains("::SYNTHESIZED::") {
        return None;
    }
    let words = |pointer: &str, of: &str| -> Option<Vec<String>> {
        let parts = symbol.pointer(pointer)?.as_array()?.iter();
        Some(parts.filter_map(|part| part.get(of).unwrap_or(part).as_str().map(str::to_owned)).collect())
    };
    let (path, declaration) =
        (words("/pathComponents", "")?.join("."), words("/declarationFragments", "spelling")?.concat());
    Some(format!("{path}: {}", declaration.split_whitespace().collect::<Vec<_>>().join(" ")))
}
