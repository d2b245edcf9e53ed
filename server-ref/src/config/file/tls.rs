use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::net::TlsFiles;

/// `[server.tls]`: what clients are shown.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSection {
    /// The server's certificate and those between it and a root, in PEM; a relative path begins at the configuration file.
    pub cert: PathBuf,
    /// Its private key, in PEM; likewise.
    pub key: PathBuf,
    /// Whether `http_listen` speaks TLS, too (default true).
    pub http: Option<bool>,
}

impl TlsSection {
    /// Returns where the files are. Relative paths begin at `dir`.
    pub fn files(&self, dir: &Path) -> TlsFiles {
        TlsFiles { cert: dir.join(&self.cert), key: dir.join(&self.key) }
    }
}
