use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// An address, or a range of them in CIDR notation: `10.0.0.7`, `10.0.0.0/8`, `2001:db8::/32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// Tells whether an address is in it. An IPv4 address that an IPv6 socket shows as `::ffff:…` is the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        Self(address.to_canonical().into())
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(address.into());
        }
        let network: IpNet = text.parse().map_err(|_| {
            format!("`{text}` is neither an address nor a range such as \"10.0.0.0/8\" or \"2001:db8::/32\"")
        })?;
        // Somebody who means one machine and writes a whole network would trust all of it.
        if network.addr() != network.network() {
            return Err(format!("`{text}` has bits beyond its prefix: the range is \"{}\"", network.trunc()));
        }
        match network {
            IpNet::V6(mapped) if mapped.addr().to_ipv4_mapped().is_some() => {
                Err(format!("`{text}`: write a range of IPv4 as such"))
            }
            IpNet::V4(_) | IpNet::V6(_) => Ok(Self(network)),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() { self.0.addr().fmt(f) } else { self.0.fmt(f) }
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Who is believed when it speaks for others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies(Vec<Network>);

impl Proxies {
    /// Trusts these.
    pub fn new(networks: Vec<Network>) -> Self {
        Self(networks)
    }

    /// Tells whether an address is a proxy's.
    pub fn trust(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_ranges_are_trusted_in_either_family() {
        let networks = ["192.0.2.1", "10.0.0.0/8", "2001:db8::/32"].map(|text| text.parse().unwrap());
        let proxies = Proxies::new(networks.to_vec());
        for (address, is_trusted) in [
            ("192.0.2.1", true),
            ("::ffff:192.0.2.1", true),
            ("192.0.2.2", false),
            ("10.255.1.2", true),
            ("::ffff:10.1.1.1", true),
            ("11.0.0.1", false),
            ("2001:db8:1::1", true),
            ("2001:db9::1", false),
            ("::10.0.0.1", false),
        ] {
            assert_eq!(proxies.trust(address.parse().unwrap()), is_trusted, "{address}");
        }
        assert!(!Proxies::default().trust("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in ["", "proxy", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/", "::ffff:10.0.0.0/104", "10.0.0.0/8 "] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
        assert_eq!("10.0.0.1/32".parse::<Network>().unwrap().to_string(), "10.0.0.1");
    }
}
