//! What the manifests for Kubernetes name has to be there: files, flags, ports, users, times.

use std::collections::BTreeSet;

use serde_json::Value;

/// s that a graceful stop may take.
const DRAIN: u64 = 30;

/// What a pod does.
#[derive(Debug, PartialEq)]
pub(super) struct Pod {
    /// The program's arguments.
    pub(super) args: Vec<String>,
    /// Paths that are asked for, with the ports.
    pub(super) probes: Vec<(u64, String)>,
}

/// Reads the StatefulSet, and names what cannot be: `help` is what the program says of its flags, `user` and `exposed` are the
/// image's.
#[expect(clippy::indexing_slicing, reason = "what a JSON value does not have is null")]
pub(super) fn pod(set: &Value, help: &str, user: &str, exposed: &[u64]) -> Result<Pod, Vec<String>> {
    let mut broken = Vec::new();
    let spec = &set["spec"]["template"]["spec"];
    let container = &spec["containers"][0];
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let args = texts(&container["args"]);
    let mut listens = BTreeSet::new();
    for arg in &args {
        let (flag, value) = arg.split_once('=').unwrap_or((arg, ""));
        if !help.contains(&format!("{flag} ")) {
            broken.push(format!("the program has no flag {flag}"));
        }
        if flag.ends_with("listen") {
            listens.extend(value.rsplit_once(':').and_then(|(_, port)| port.parse::<u64>().ok()));
        }
    }
    let ports: Vec<(&str, u64)> = container["ports"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|port| Some((port["name"].as_str()?, port["containerPort"].as_u64()?)))
        .collect();
    let numbers: BTreeSet<u64> = ports.iter().map(|(_, number)| *number).collect();
    if numbers != listens || numbers != exposed.iter().copied().collect() {
        broken.push(format!("ports {numbers:?}, but it listens on {listens:?}, and the image exposes {exposed:?}"));
    }
    let mut probes = Vec::new();
    for name in ["startupProbe", "readinessProbe", "livenessProbe"] {
        let get = &container[name]["httpGet"];
        let port = ports.iter().find(|(name, _)| get["port"] == **name).map(|(_, number)| *number);
        match (port, get["path"].as_str()) {
            (Some(port), Some(path)) => probes.push((port, path.to_owned())),
            _ => broken.push(format!("{name} asks for no path on one of the ports")),
        }
    }
    let security = &spec["securityContext"];
    if format!("{}:{}", security["runAsUser"], security["runAsGroup"]) != user
        || security["fsGroup"] != security["runAsGroup"]
    {
        broken.push(format!("runs as {security}, the image as {user}"));
    }
    let pause = container["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap_or_default();
    if spec["terminationGracePeriodSeconds"].as_u64().is_none_or(|grace| grace < pause + DRAIN) {
        broken.push(format!("a pause of {pause} s and a stop of up to {DRAIN} s do not fit into the grace period"));
    }
    if set["spec"]["replicas"] != 1 {
        broken.push("one server owns its data: one replica".into());
    }
    if broken.is_empty() { Ok(Pod { args, probes }) } else { Err(broken) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set() -> Value {
        let get = |path: &str| json!({"httpGet": {"path": path, "port": "ws"}});
        json!({"spec": {"replicas": 1, "template": {"spec": {
            "terminationGracePeriodSeconds": 45,
            "securityContext": {"runAsUser": 7, "runAsGroup": 8, "fsGroup": 8},
            "containers": [{
                "args": ["--listen=0.0.0.0:8000"],
                "ports": [{"name": "ws", "containerPort": 8000}],
                "startupProbe": get("/healthz"), "readinessProbe": get("/readyz"), "livenessProbe": get("/healthz"),
                "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
            }],
        }}}})
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let read = |set: &Value| pod(set, "      --listen <LISTEN>", "7:8", &[8000]);
        assert_eq!(read(&set()).unwrap().probes.len(), 3);
        for (place, wrong) in [
            ("/spec/replicas", json!(2)),
            ("/spec/template/spec/terminationGracePeriodSeconds", json!(30)),
            ("/spec/template/spec/securityContext/fsGroup", json!(7)),
            ("/spec/template/spec/containers/0/args/0", json!("--listen=0.0.0.0:8001")),
            ("/spec/template/spec/containers/0/args", json!(["--listen=0.0.0.0:8000", "--lisen=1"])),
            ("/spec/template/spec/containers/0/livenessProbe/httpGet/port", json!("http")),
        ] {
            let mut set = set();
            *set.pointer_mut(place).unwrap() = wrong;
            assert_eq!(read(&set).unwrap_err().len(), 1, "{place}");
        }
    }
}
