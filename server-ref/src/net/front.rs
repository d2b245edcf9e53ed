use super::{Certificate, ForwardedHeader, Proxies};

/// What stands in front of a server, and who is believed.
#[derive(Clone, Debug, Default)]
pub struct Front {
    /// What clients are shown; `None` = they speak in the clear.
    pub tls: Option<Certificate>,
    /// Who is believed when it speaks for others: many clients come from each.
    pub proxies: Proxies,
    /// The header in which they say whom they speak for.
    pub forwarded: ForwardedHeader,
    /// Where clients come in.
    pub listen: Listening,
    /// Where the HTTP API has a listener of its own.
    pub http_listen: Listening,
}

/// What each connection of a listener begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Listening {
    /// A header of the PROXY protocol, from a proxy that is believed.
    pub proxy_protocol: bool,
    /// A handshake of TLS, if there is a certificate; at once, or behind that header.
    pub tls: bool,
}
