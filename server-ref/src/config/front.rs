use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use super::File;
use crate::net::{Front, Listening, Network, Proxies};

/// Makes what stands in front of a server. Reads the certificate; relative paths begin at `dir`.
///
/// # Errors
/// A sentence that names the file and what is wrong with it; never the key.
pub fn front(file: &File, dir: &Path) -> Result<Front, String> {
    let server = &file.server;
    let tls = server.tls.as_ref().map(|tls| tls.files(dir).read()).transpose().map_err(|error| error.to_string())?;
    let http_tls = server.tls.as_ref().is_some_and(|tls| tls.http.unwrap_or(true));
    Ok(Front {
        proxies: Proxies::new(server.proxies.clone().unwrap_or_else(this_machine)),
        forwarded: server.forwarded_header.unwrap_or_default(),
        listen: Listening { proxy_protocol: server.proxy_protocol, tls: tls.is_some() },
        http_listen: Listening { proxy_protocol: server.http_proxy_protocol, tls: http_tls },
        tls,
    })
}

/// Proxies, where nothing else is said: one on this machine.
fn this_machine() -> Vec<Network> {
    [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()].map(Network::from).to_vec()
}
