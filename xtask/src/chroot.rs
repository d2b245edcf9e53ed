//! Another release of Debian in a folder, for a tool that this one does not have.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::process::Process;
use crate::{cargo, tools, tree};

/// Where the checkout is inside.
pub(crate) const CHECKOUT: &str = "/srv/moorline";
/// Where the mirror of Debian is when this machine names none.
const MIRROR: &str = "http://deb.debian.org/debian";

/// A root directory with a release of Debian in it. It is made once and kept in the build folder.
pub(crate) struct Chroot {
    folder: PathBuf,
}

impl Chroot {
    /// Finds the root directory of `release` with these packages, or makes it (half a minute, some GB); `elsewhere` says what
    /// to do on other machines.
    ///
    /// # Errors
    /// [`Error::Unobtainable`] if this machine cannot have one.
    pub(crate) fn debian(release: &str, packages: &[&str], elsewhere: &str) -> Result<Self> {
        let build = cargo::target()?;
        let folder = build.join(release);
        let chroot = Self { folder: folder.clone() };
        let (include, made) = (packages.join(","), folder.join("srv").join("packages"));
        if tree::read_if_present(&made)?.is_some_and(|found| found == include) {
            return Ok(chroot);
        }
        if !is_possible() {
            return Err(Error::Unobtainable(format!("{elsewhere} (this machine lets nobody mount a folder for it)")));
        }
        if !tools::can_install() || !tools::answers("mmdebstrap", &["--version"]) {
            tools::install_debian(&["mmdebstrap"], elsewhere)?;
        }
        tree::create(&build)?;
        remove(&folder)?;
        let (include, mirror) = (format!("--include={include}"), mirror()?);
        // What it mounts is gone with its process, however that ends.
        private("exec mmdebstrap -q --variant=minbase \"$@\"")
            .args([include.as_ref(), release.as_ref(), folder.as_os_str(), mirror.as_ref()])
            .obtain(elsewhere)?;
        tree::create(&folder.join("srv").join("moorline"))?;
        // Last: a root directory without this file is made anew.
        tree::write(&made, &packages.join(","))?;
        Ok(chroot)
    }

    /// Begins a script inside, with the checkout at [`CHECKOUT`] and `/proc`; both are mounted for this process alone, so
    /// that nothing stays mounted. The script's arguments follow.
    pub(crate) fn shell(&self, script: &str) -> Process {
        private(
            "mount -t proc proc \"$1/proc\" && mount --bind \"$2\" \"$1$3\" && root=$1 script=$4 && shift 4 && \
             exec chroot \"$root\" sh -ec \"$script\" sh \"$@\"",
        )
        .args([self.folder.as_os_str(), tree::root().as_os_str(), CHECKOUT.as_ref(), script.as_ref()])
    }
}

/// Says whether this machine lets a process put things where a root directory wants them.
///
/// # Errors
/// [`Error::Unobtainable`].
pub(crate) fn needed() -> Result {
    if tools::can_install() && is_possible() {
        return Ok(());
    }
    Err(Error::Unobtainable("needs root on Debian, and leave to mount".to_owned()))
}

/// Tells whether this machine lets a process mount things of its own.
fn is_possible() -> bool {
    tools::answers("unshare", &["--mount", "--propagation", "private", "true"])
}

/// Begins a shell script whose mounts nobody else sees.
pub(crate) fn private(script: &str) -> Process {
    Process::new("unshare").args(["--mount", "--propagation", "private", "sh", "-ec", script, "sh"])
}

/// Removes a root directory, unless something is mounted in it.
fn remove(folder: &Path) -> Result {
    let mounts = tree::read_if_present(Path::new("/proc/self/mounts"))?.unwrap_or_default();
    let below = format!("{}/", folder.display());
    if let Some(point) = mounts.lines().filter_map(|line| line.split(' ').nth(1)).find(|at| at.starts_with(&below)) {
        return Err(Error::Missing(format!("{point} is mounted: umount {point}")));
    }
    if folder.exists() { Process::new("rm").args(["-rf", "--one-file-system"]).args([folder]).run() } else { Ok(()) }
}

/// Returns the mirror that this machine installs from.
fn mirror() -> Result<String> {
    let mut text = String::new();
    for list in ["/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"] {
        text += &tree::read_if_present(Path::new(list))?.unwrap_or_default();
    }
    let found = text
        .split_whitespace()
        .find(|word| word.starts_with("http") && word.trim_end_matches('/').ends_with("/debian"));
    Ok(found.unwrap_or(MIRROR).to_owned())
}
