//! Which addresses a receiver may have: public ones. A name is resolved first; what it means is checked, not what it
//! says, and it is connected to what was checked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Tells whether an address is one of the public internet.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => is_public_v4(mapped),
            None => is_public_v6(address),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let protocols = a == 192 && b == 0 && (c == 0 || c == 2);
    let relay = (a, b, c) == (192, 88, 99);
    let benchmark = a == 198 && (b == 18 || b == 19);
    let examples = (a, b, c) == (198, 51, 100) || (a, b, c) == (203, 0, 113);
    let inside = address.is_private() || address.is_loopback() || address.is_link_local();
    !(a == 0 || a >= 224 || inside || shared || protocols || relay || benchmark || examples)
}

/// Of 2000::/3, what is routed: everything else is local, reserved, or a way to say an IPv4 address.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    let special = a == 0x2001 && b < 0x0200;
    let examples = (a == 0x2001 && b == 0x0db8) || (a == 0x3fff && b < 0x1000);
    a & 0xe000 == 0x2000 && !special && !examples && a != 0x2002
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_pass() {
        let bad = "0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.127.255.255 127.0.0.1 127.9.9.9 169.254.169.254 172.16.0.1 \
            172.31.255.255 192.0.0.1 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.19.255.255 198.51.100.7 \
            203.0.113.7 224.0.0.1 240.0.0.1 255.255.255.255 :: ::1 ::ffff:127.0.0.1 ::ffff:169.254.169.254 \
            ::ffff:10.0.0.1 ::127.0.0.1 64:ff9b::7f00:1 100::1 fc00::1 fd00:ec2::254 fe80::1 fec0::1 ff02::1 \
            2001::1 2001:db8::1 2002:7f00:1:: 3fff::1 4000::1";
        for address in bad.split(' ') {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        let good = "1.1.1.1 8.8.8.8 100.63.255.255 100.128.0.1 172.15.0.1 172.32.0.1 169.253.1.1 192.0.1.1 192.167.1.1 \
            198.17.1.1 223.255.255.255 ::ffff:8.8.8.8 2606:4700:4700::1111 2a00:1450::1 2001:4860:4860::8888";
        for address in good.split(' ') {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }
}
