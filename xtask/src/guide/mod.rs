//! `cargo xtask operations`: does what docs/operations.md says, from its first command to its last, on a machine of its own.
//!
//! The machine is a container with systemd as its first process, a network of its own, and this machine's files under a
//! layer that is thrown away. Nothing that the page does is left behind.

mod page;

use std::path::{Path, PathBuf};

use self::page::Step;
use crate::dist::{self, Arch};
use crate::error::{Error, Result};
use crate::process::Process;
use crate::step::{Counts, Steps};
use crate::{cargo, chroot, tools, tree};

const PAGE: &str = "docs/operations.md";
/// The alerts that a release carries, with their tests.
const ALERTS: &str = "deploy/prometheus";
pub(crate) const NAME: &str = "operations guide, each command of it";
/// Where the container finds what it is to do.
const INSIDE: &str = "/guide";
/// s after which it is ended.
const WITHIN: &str = "600";
/// What the page's commands use: the package of Debian, and its program.
const PROGRAMS: [(&str, &str); 9] = [
    ("systemd-container", "/usr/bin/systemd-nspawn"),
    ("systemd", "/usr/lib/systemd/systemd"),
    ("dbus", "/usr/bin/dbus-daemon"),
    ("curl", "/usr/bin/curl"),
    ("openssl", "/usr/bin/openssl"),
    ("nginx-light", "/usr/sbin/nginx"),
    ("haproxy", "/usr/sbin/haproxy"),
    ("caddy", "/usr/bin/caddy"),
    ("prometheus", "/usr/bin/promtool"),
];
/// Mounts this machine's files under an empty layer, and starts systemd on them.
const BOOT: &str = "mount -t tmpfs tmpfs \"$1\" && mkdir \"$1/upper\" \"$1/work\" \"$1/root\" && \
    mount -t overlay overlay -o \"lowerdir=/,upperdir=$1/upper,workdir=$1/work\" \"$1/root\" && \
    cp \"$2/guide.service\" \"$1/root/etc/systemd/system/\" && \
    exec timeout \"$3\" systemd-nspawn --quiet --boot --directory=\"$1/root\" --private-network --register=no --keep-unit \
    --machine=moorline-guide --link-journal=no --console=pipe --bind=\"$2:/guide\" systemd.unit=guide.service";
/// What the container does: the steps in order, each where the one before it left off. The first that fails is the last.
const DRIVE: &str = r#"cd /root
for script in /guide/*.sh; do
    name=${script%.sh}
    bash -c 'if [ -f /guide/state ]; then . /guide/state; fi; set -eu; . "$0"; { export -p; declare -f; } > /guide/state
        printf "cd %q\n" "$PWD" >> /guide/state' "$script" > "$name.out" 2>&1 < /dev/null
    echo $? > "$name.rc"
    if [ "$(cat "$name.rc")" != 0 ]; then break; fi
done
journalctl --no-pager > /guide/journal 2>&1
"#;
const UNIT: &str = "[Unit]
Wants=systemd-journald.service dbus.socket
After=systemd-journald.service dbus.socket
SuccessAction=exit-force
FailureAction=exit-force
[Service]
Type=oneshot
Environment=HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ExecStart=/bin/bash /guide/drive
TimeoutStartSec=infinity
";

/// `cargo xtask operations`
#[derive(Debug, clap::Args)]
pub(crate) struct Operations {
    /// The release that the page begins with, a `.tar.gz` of `cargo xtask dist`; without it one is put together from debug builds.
    #[arg(long, value_name = "FILE")]
    release: Option<PathBuf>,
}

impl Operations {
    pub(crate) fn run(&self) -> Result {
        let mut steps = Steps::default();
        steps.count(NAME, |counts| run(self.release.as_deref(), counts));
        steps.finish()
    }
}

/// Runs every command of the page, with a release of debug builds.
///
/// # Errors
/// What cannot be had here; a command that fails.
pub(crate) fn test(counts: &mut Counts) -> Result {
    run(None, counts)
}

fn run(release: Option<&Path>, counts: &mut Counts) -> Result {
    chroot::needed()?;
    let missing: Vec<&str> =
        PROGRAMS.iter().filter(|(_, program)| !Path::new(program).exists()).map(|(package, _)| *package).collect();
    if !missing.is_empty() {
        tools::install_debian(&missing, "the commands of the guide need more programs")?;
    }
    Process::new("promtool").args(["test", "rules", "alerts.test.yml"]).directory(tree::root().join(ALERTS)).run()?;
    counts.passed += 1;
    let steps = page::steps(&tree::read(&tree::root().join(PAGE))?)?;
    let home = cargo::target()?.join("guide");
    tree::remove(&home)?;
    let (shared, layer) = (home.join("shared"), home.join("layer"));
    tree::create(&shared)?;
    tree::create(&layer)?;
    let release = match release {
        Some(archive) => archive.to_path_buf(),
        None => {
            let built = cargo::build("dev", &[("moorline-server", "moorline-server"), ("moorline", "moorline")])?;
            dist::archive(&dist::assemble(&built, &home, Arch::X86)?)
        }
    };
    prepare(&shared, &release, &steps)?;
    let machine = chroot::private(BOOT).args([layer.as_os_str(), shared.as_os_str(), WITHIN.as_ref()]);
    // Whatever became of it, the first step that failed says more.
    let ended = machine.run();
    if !shared.join("000.rc").exists() {
        ended?;
    }
    compare(&shared, &steps, counts)
}

/// Writes down what the container is to do. The page begins with the release in the folder it is in.
fn prepare(shared: &Path, release: &Path, steps: &[Step]) -> Result {
    let name = format!("moorline-{}-{}", env!("CARGO_PKG_VERSION"), Arch::X86.target());
    tree::copy(release, &shared.join(format!("{name}.tar.gz")))?;
    let unpack =
        format!("mkdir -p /root/{name} && tar -xf {INSIDE}/{name}.tar.gz -C /root/{name} --strip-components 1\n");
    tree::write(&shared.join("drive"), &format!("{unpack}{DRIVE}"))?;
    tree::write(&shared.join("guide.service"), UNIT)?;
    for (number, step) in steps.iter().enumerate() {
        let script = match step {
            Step::Type { commands, .. } => commands.clone(),
            Step::Write { path, text, .. } => {
                let file = shared.join(format!("{number:03}.file"));
                tree::write(&file, text)?;
                format!("install -D -m 644 {INSIDE}/{number:03}.file {}\n", path.display())
            }
            Step::Elsewhere { .. } => continue,
        };
        tree::write(&shared.join(format!("{number:03}.sh")), &script)?;
    }
    Ok(())
}

/// Compares what was printed with what the page says; names what was left out.
fn compare(shared: &Path, steps: &[Step], counts: &mut Counts) -> Result {
    for (number, step) in steps.iter().enumerate() {
        let (line, printed) = match step {
            Step::Type { line, printed, .. } => (line, printed.as_slice()),
            Step::Write { line, .. } => (line, [].as_slice()),
            Step::Elsewhere { line, reason } => {
                println!("– {PAGE}:{line} not run here: {reason}");
                continue;
            }
        };
        let read = |kind: &str| tree::read_if_present(&shared.join(format!("{number:03}.{kind}")));
        let (out, code) = (read("out")?.unwrap_or_default(), read("rc")?);
        let Some(code) = code else {
            return Err(broken(format!("{PAGE}:{line}: was not reached")));
        };
        if code.trim() != "0" {
            let journal = tree::read_if_present(&shared.join("journal"))?.unwrap_or_default();
            let lines: Vec<&str> = journal.lines().collect();
            let last = lines.iter().rev().take(20).rev().copied().collect::<Vec<_>>().join("\n");
            return Err(broken(format!(
                "{PAGE}:{line}: exit code {}\n{out}\nThe machine's log ends:\n{last}",
                code.trim()
            )));
        }
        if !page::fits(&out, printed) {
            return Err(broken(format!("{PAGE}:{line}: prints\n{out}\nand not\n{}", printed.join("\n"))));
        }
        counts.passed += 1;
    }
    println!("{} steps of {PAGE} done, each with what it prints", counts.passed);
    Ok(())
}

fn broken(text: String) -> Error {
    Error::Rules(vec![text])
}
