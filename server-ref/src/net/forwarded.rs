//! Whom a request is from when a proxy sends it: `X-Forwarded-For`, or `Forwarded` (RFC 7239).

use std::net::{IpAddr, SocketAddr};

use serde::Deserialize;

use super::Proxies;

/// The header in which proxies say whom they speak for. Only one is looked at: a proxy that writes one of them hands the
/// other through as the client wrote it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    /// `X-Forwarded-For: client, proxy, proxy`.
    #[default]
    XForwardedFor,
    /// `Forwarded: for=client, for=proxy`.
    Forwarded,
    /// None is believed.
    None,
}

impl ForwardedHeader {
    /// Returns its name in lower case.
    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            Self::XForwardedFor => Some("x-forwarded-for"),
            Self::Forwarded => Some("forwarded"),
            Self::None => None,
        }
    }
}

/// Returns whom a connection of `peer` speaks for. Each proxy adds the address it was asked by at the end; so from the
/// end on, addresses of proxies are passed over, and the first other one is the client. What stands before it, anybody
/// may have written. Where something is no address, the proxy that wrote it down is as far as one can see.
///
/// `lines` are the header's values in their order.
pub(crate) fn client<'a>(
    proxies: &Proxies,
    header: ForwardedHeader,
    peer: IpAddr,
    lines: impl DoubleEndedIterator<Item = &'a str>,
) -> IpAddr {
    let mut seen = peer.to_canonical();
    let hops = lines.rev().flat_map(|line| line.rsplit(','));
    for hop in hops {
        if !proxies.trust(seen) {
            return seen;
        }
        let address = match header {
            ForwardedHeader::XForwardedFor => address(hop.trim()),
            ForwardedHeader::Forwarded => forwarded_for(hop).and_then(address),
            ForwardedHeader::None => None,
        };
        let Some(address) = address else { return seen };
        seen = address;
    }
    seen
}

/// Reads `192.0.2.7`, `192.0.2.7:443`, `2001:db8::7`, `[2001:db8::7]` and `[2001:db8::7]:443`.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = match bare {
        Some(six) => six.parse::<std::net::Ipv6Addr>().ok().map(IpAddr::from),
        None => text.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip())),
    };
    address.map(|address| address.to_canonical())
}

/// Returns the `for` of an element, without its quotes. A comma or a semicolon in quotes only makes it no address.
fn forwarded_for(element: &str) -> Option<&str> {
    let value = element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| value.trim())
    })?;
    Some(value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(header: ForwardedHeader, peer: &str, lines: &[&str]) -> String {
        let proxies = ["10.0.0.0/8", "2001:db8:1::/48"].map(|text| text.parse().unwrap());
        client(&Proxies::new(proxies.to_vec()), header, peer.parse().unwrap(), lines.iter().copied()).to_string()
    }

    #[test]
    fn the_last_address_that_is_no_proxys_is_the_client() {
        for (peer, lines, client) in [
            ("10.0.0.1", &["192.0.2.7"][..], "192.0.2.7"),
            ("::ffff:10.0.0.1", &["192.0.2.7"], "192.0.2.7"),
            ("10.0.0.1", &["192.0.2.7, 10.0.0.2"], "192.0.2.7"),
            ("10.0.0.1", &["192.0.2.7", "10.0.0.2,10.0.0.3"], "192.0.2.7"),
            ("10.0.0.1", &["2001:db8::7"], "2001:db8::7"),
            ("10.0.0.1", &["[2001:db8::7]:443, 2001:db8:1::1"], "2001:db8::7"),
            ("10.0.0.1", &["192.0.2.7:50000"], "192.0.2.7"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["10.0.0.2, 10.0.0.3"], "10.0.0.2"),
        ] {
            assert_eq!(found(ForwardedHeader::XForwardedFor, peer, lines), client, "{peer} {lines:?}");
        }
    }

    #[test]
    fn nobody_is_believed_who_is_no_proxy_and_nothing_that_a_client_wrote() {
        for (peer, lines, client) in [
            ("192.0.2.7", &["198.51.100.1"][..], "192.0.2.7"),
            ("192.0.2.7", &["10.0.0.1"], "192.0.2.7"),
            ("10.0.0.1", &["198.51.100.1, 192.0.2.7"], "192.0.2.7"),
            ("10.0.0.1", &["10.0.0.9, 198.51.100.1, 192.0.2.7, 10.0.0.2"], "192.0.2.7"),
            ("10.0.0.1", &["192.0.2.7, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["192.0.2.7, , 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["192.0.2.7 10.0.0.2"], "10.0.0.1"),
            ("10.0.0.1", &[""], "10.0.0.1"),
        ] {
            assert_eq!(found(ForwardedHeader::XForwardedFor, peer, lines), client, "{peer} {lines:?}");
        }
        assert_eq!(found(ForwardedHeader::None, "10.0.0.1", &["192.0.2.7"]), "10.0.0.1");
    }

    #[test]
    fn the_standard_header_is_read_too() {
        for (lines, client) in [
            (&["for=192.0.2.7"][..], "192.0.2.7"),
            (&["For=\"[2001:db8::7]:4711\";proto=https, for=10.0.0.2;by=10.0.0.3"], "2001:db8::7"),
            (&["by=10.0.0.3; for = 192.0.2.7"], "192.0.2.7"),
            (&["for=192.0.2.7", "for=\"_hidden, for=198.51.100.1\""], "10.0.0.1"),
            (&["for=192.0.2.7, for=unknown"], "10.0.0.1"),
            (&["proto=https"], "10.0.0.1"),
        ] {
            assert_eq!(found(ForwardedHeader::Forwarded, "10.0.0.1", lines), client, "{lines:?}");
        }
    }
}
