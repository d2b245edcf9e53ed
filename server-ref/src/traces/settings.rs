//! The variables of OpenTelemetry that decide whether there are traces. Those that only say how many are read by its SDK
//! (`OTEL_BSP_*`), and by its exporter (`OTEL_EXPORTER_OTLP_HEADERS`, `…_TIMEOUT`).

use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// What may stand in `OTEL_TRACES_SAMPLER`; the SDK would take every trace for anything else.
const SAMPLERS: [&str; 6] = [
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
];

/// Why there can be no traces.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadTraces(String);

impl BadTraces {
    pub(super) fn system(error: impl std::fmt::Display) -> Self {
        Self(format!("traces cannot be exported: {error}"))
    }
}

/// What they say.
#[derive(Debug)]
pub(super) struct Settings {
    /// Trusted beside the certificates of the web.
    pub(super) roots: Vec<CertificateDer<'static>>,
    /// Whether nothing names the service.
    pub(super) is_nameless: bool,
}

impl Settings {
    /// Reads the variables; `None`: traces are off.
    ///
    /// # Errors
    /// [`BadTraces`], if one of them means nothing.
    pub(super) fn of(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, BadTraces> {
        let variable = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        // A variable for traces alone comes before the one for everything.
        let either = |name: &str| {
            let one = format!("OTEL_EXPORTER_OTLP_TRACES_{name}");
            let all = format!("OTEL_EXPORTER_OTLP_{name}");
            variable(&one).map(|value| (one, value)).or_else(|| variable(&all).map(|value| (all, value)))
        };
        let is_off = variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let Some((name, endpoint)) = either("ENDPOINT").filter(|_| !is_off) else { return Ok(None) };
        match variable("OTEL_TRACES_EXPORTER").as_deref() {
            Some("none") => return Ok(None),
            None | Some("otlp") => {}
            Some(other) => return Err(BadTraces(format!("OTEL_TRACES_EXPORTER is `otlp` or `none`, not `{other}`"))),
        }
        let scheme = endpoint.parse().ok().and_then(|url: http::Uri| url.scheme_str().map(str::to_owned));
        if !matches!(scheme.as_deref(), Some("http" | "https")) {
            return Err(BadTraces(format!("{name} is a URL such as http://127.0.0.1:4318, not `{endpoint}`")));
        }
        if let Some((name, protocol)) = either("PROTOCOL").filter(|(_, protocol)| protocol != "http/protobuf") {
            let text = format!("{name} is `http/protobuf`, not `{protocol}`: collectors take that on port 4318");
            return Err(BadTraces(text));
        }
        sampler(variable("OTEL_TRACES_SAMPLER"), variable("OTEL_TRACES_SAMPLER_ARG"))?;
        let roots = either("CERTIFICATE").map(|(name, file)| {
            let certificates = CertificateDer::pem_file_iter(Path::new(&file)).and_then(Iterator::collect);
            certificates.map_err(|error| BadTraces(format!("{name}, `{file}`: {error}")))
        });
        let attributes = variable("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
        let is_nameless = variable("OTEL_SERVICE_NAME").is_none() && !attributes.contains("service.name=");
        Ok(Some(Self { roots: roots.transpose()?.unwrap_or_default(), is_nameless }))
    }
}

fn sampler(name: Option<String>, argument: Option<String>) -> Result<(), BadTraces> {
    let Some(name) = name else { return Ok(()) };
    if !SAMPLERS.contains(&name.as_str()) {
        return Err(BadTraces(format!("OTEL_TRACES_SAMPLER is one of {}, not `{name}`", SAMPLERS.join(", "))));
    }
    let is_ratio = argument.as_deref().is_some_and(|text| text.parse().is_ok_and(|ratio| (0.0..=1.0).contains(&ratio)));
    if name.ends_with("ratio") && !is_ratio {
        let argument = argument.unwrap_or_default();
        return Err(BadTraces(format!("OTEL_TRACES_SAMPLER_ARG is a number from 0 to 1, not `{argument}`")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Option<Settings>, BadTraces> {
        Settings::of(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    const ON: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");

    #[test]
    fn an_endpoint_switches_them_on() {
        assert!(of(&[]).unwrap().is_none());
        assert!(of(&[("OTEL_SERVICE_NAME", "chat")]).unwrap().is_none());
        assert!(of(&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]).unwrap().is_none());
        assert!(of(&[ON]).unwrap().is_some_and(|settings| settings.is_nameless));
        assert!(of(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://a/v1/traces")]).unwrap().is_some());
        assert!(of(&[ON, ("OTEL_SDK_DISABLED", "True")]).unwrap().is_none());
        assert!(of(&[ON, ("OTEL_TRACES_EXPORTER", "none")]).unwrap().is_none());
        assert!(of(&[ON, ("OTEL_SERVICE_NAME", "chat")]).unwrap().is_some_and(|settings| !settings.is_nameless));
        let sampled = [ON, ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0.1")];
        assert!(of(&sampled).unwrap().is_some());
    }

    #[test]
    fn what_means_nothing_is_named() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "127.0.0.1:4318"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_TRACES_EXPORTER", "zipkin"),
            ("OTEL_TRACES_SAMPLER", "sometimes"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/ca.pem"),
        ] {
            let error = of(&[ON, (name, value)]).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(value), "{error}");
        }
        let error = of(&[ON, ("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "7")]).unwrap_err();
        assert!(error.to_string().contains("OTEL_TRACES_SAMPLER_ARG"), "{error}");
    }
}
