//! Whom a proxy is passed by for: the list in `no_proxy`.
//!
//! In scope: names with all below them, ports, addresses and networks (CIDR), `*`, and WinHTTP's `<local>`. Out of scope: resolving names: a
//! network matches a URL that has an address for a host.

use std::net::IpAddr;

/// A list of hosts that are reached without a proxy.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Bypass(Vec<Entry>);

#[derive(Clone, PartialEq, Eq, Debug)]
struct Entry {
    hosts: Hosts,
    port: Option<u16>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Hosts {
    /// `*`.
    All,
    /// `<local>`: names without a dot.
    Plain,
    /// The name, and every name below it.
    Name(String),
    /// An address, or those that have so many bits in common with it.
    Network(IpAddr, u32),
}

impl Bypass {
    /// Reads a list whose elements are separated by commas, semicolons or blanks. What cannot be read matches nothing.
    pub fn parse(list: &str) -> Bypass {
        Bypass(list.split([',', ';', ' ', '\t']).filter(|element| !element.is_empty()).filter_map(entry).collect())
    }

    /// Whether this host is reached without a proxy.
    pub fn has(&self, host: &str, port: u16) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        let address = host.parse::<IpAddr>().ok();
        self.0.iter().any(|entry| entry.port.is_none_or(|expected| expected == port) && entry.hosts.has(host, address))
    }
}

impl Hosts {
    fn has(&self, host: &str, address: Option<IpAddr>) -> bool {
        match (self, address) {
            (Hosts::All, _) => true,
            (Hosts::Plain, None) => !host.contains('.'),
            (Hosts::Name(name), None) => {
                let (host, name) = (host.as_bytes(), name.as_bytes());
                let Some(above) = host.len().checked_sub(name.len()) else { return false };
                host[above..].eq_ignore_ascii_case(name) && (above == 0 || host[above - 1] == b'.')
            }
            (Hosts::Network(network, bits), Some(address)) => has_in_common(*network, address, *bits),
            _ => false,
        }
    }
}

fn entry(element: &str) -> Option<Entry> {
    match element {
        "*" => return Some(Entry { hosts: Hosts::All, port: None }),
        "<local>" => return Some(Entry { hosts: Hosts::Plain, port: None }),
        _ => {}
    }
    if let Some((network, bits)) = element.split_once('/') {
        let network: IpAddr = network.trim_matches(['[', ']']).parse().ok()?;
        let bits = bits.parse().ok().filter(|&bits| bits <= width(network))?;
        return Some(Entry { hosts: Hosts::Network(network, bits), port: None });
    }
    // An IPv6 address has colons of its own.
    if let Ok(address) = element.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Some(Entry { hosts: Hosts::Network(address, width(address)), port: None });
    }
    let (host, port) = match element.rsplit_once(':') {
        Some((host, port)) => (host, Some(port.parse().ok()?)),
        None => (element, None),
    };
    if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Some(Entry { hosts: Hosts::Network(address, width(address)), port });
    }
    // As curl reads it: with or without a dot before it, a name means itself and what is below it.
    let name = host.strip_prefix('*').unwrap_or(host);
    let name = name.strip_prefix('.').unwrap_or(name);
    let name = name.strip_suffix('.').unwrap_or(name);
    (!name.is_empty()).then(|| Entry { hosts: Hosts::Name(name.to_owned()), port })
}

fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn has_in_common(one: IpAddr, other: IpAddr, bits: u32) -> bool {
    let differing = match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => u128::from(one.to_bits() ^ other.to_bits()),
        (IpAddr::V6(one), IpAddr::V6(other)) => one.to_bits() ^ other.to_bits(),
        _ => return false,
    };
    differing.checked_shr(width(one) - bits).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_reached_without_a_proxy() {
        for (list, host, port, expected) in [
            ("", "h", 80, false),
            ("*", "any.example", 80, true),
            ("a.example, *", "10.0.0.1", 80, true),
            ("example.com", "example.com", 80, true),
            ("example.com", "EXAMPLE.com.", 80, true),
            ("example.com", "a.b.example.com", 80, true),
            ("example.com", "badexample.com", 80, false),
            ("example.com", "example.com.evil", 80, false),
            ("example.com", "com", 80, false),
            (".example.com", "example.com", 80, true),
            (".example.com", "a.example.com", 80, true),
            ("*.example.com", "a.example.com", 80, true),
            ("example.com:8080", "example.com", 8080, true),
            ("example.com:8080", "example.com", 80, false),
            ("a, b;c d\te", "d", 1, true),
            ("a,b,", "c", 1, false),
            ("10.0.0.0/8", "10.1.2.3", 80, true),
            ("10.0.0.0/8", "11.1.2.3", 80, false),
            ("10.0.0.0/8", "10.example", 80, false),
            ("0.0.0.0/0", "1.2.3.4", 80, true),
            ("0.0.0.0/0", "::1", 80, false),
            ("::/0", "::1", 80, true),
            ("fd00::/8", "fd12::1", 80, true),
            ("fd00::/8", "fe80::1", 80, false),
            ("192.168.1.77/31", "192.168.1.76", 80, true),
            ("192.168.1.77/31", "192.168.1.78", 80, false),
            ("10.0.0.0/33", "10.0.0.0", 80, false),
            ("127.0.0.1", "127.0.0.1", 80, true),
            ("127.0.0.1", "127.0.0.2", 80, false),
            ("127.0.0.1:81", "127.0.0.1", 81, true),
            ("127.0.0.1:81", "127.0.0.1", 80, false),
            ("::1", "::1", 80, true),
            ("[::1]", "0:0::1", 80, true),
            ("[::1]:81", "::1", 81, true),
            ("[::1]:81", "::1", 80, false),
            ("<local>", "intranet", 80, true),
            ("<local>", "intranet.example", 80, false),
            ("<local>", "127.0.0.1", 80, false),
            ("<local>", "::1", 80, false),
            ("example.com:x", "example.com", 80, false),
            (".", "example.com", 80, false),
            ("1", "0.0.0.1", 80, false),
        ] {
            assert_eq!(Bypass::parse(list).has(host, port), expected, "{list:?} {host}:{port}");
        }
    }
}
