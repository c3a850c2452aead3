//! Who is at the other end: the peer, or whom a trusted proxy says it speaks for (S-83).

use std::net::{IpAddr, SocketAddr};

use base::vars::{self, Problems, Vars};
use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

/// Networks whose `X-Forwarded-…` headers are believed. Empty by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Trusts nobody.
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// Trusts the proxies of `networks`.
    pub fn new(networks: impl IntoIterator<Item = IpNet>) -> Self {
        Self(networks.into_iter().collect())
    }

    /// Reads `trusted_proxies`: networks such as `10.0.0.0/8`, or single addresses. A network that holds everybody is
    /// the fault BFF-PROXY-001: then each client could name the address that he likes.
    pub fn read(vars: &dyn Vars, problems: &mut Problems) -> Option<Self> {
        let place = vars.get("trusted_proxies").map(|found| found.place).unwrap_or_default();
        let mut networks = Vec::new();
        let mut sound = true;
        for text in vars::list(vars, "trusted_proxies").unwrap_or_default() {
            let network = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
            match network {
                Some(network) if network.prefix_len() == 0 => {
                    let why = "This network holds every address, so every client could choose his own.";
                    let fix = "Name the networks of your proxies.";
                    problems.fault("BFF-PROXY-001", &place, Some(&text), why, fix);
                    sound = false;
                }
                Some(network) => networks.push(network),
                None => {
                    let why = "This is neither an address nor a network.";
                    problems.fault("BFF-CONF-002", &place, Some(&text), why, "Write it like 10.0.0.0/8.");
                    sound = false;
                }
            }
        }
        sound.then_some(Self(networks))
    }

    /// Whether `address` belongs to a trusted proxy. IPv4 in IPv6 clothes counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Whether nobody is trusted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The client's address: `peer`, unless that is a trusted proxy. Then `header` is read from right to left, and the
/// first address that is no trusted proxy is the client. An entry that is no address ends the walk: what stands to
/// its left is unproven, and the hop that reported it is the answer.
///
/// Entries may carry a port. Several headers of the name count as one, in their order.
pub fn resolve(peer: IpAddr, headers: &HeaderMap, header: &HeaderName, proxies: &TrustedProxies) -> IpAddr {
    let mut client = peer.to_canonical();
    if !proxies.contains(client) {
        return client;
    }
    let lines = headers.get_all(header).iter().collect::<Vec<_>>();
    let entries = lines.into_iter().rev().flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    for entry in entries {
        let Some(address) = address(entry) else { break };
        client = address;
        if !proxies.contains(client) {
            break;
        }
    }
    client
}

fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim_matches([' ', '\t']);
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let address: Option<IpAddr> = text.parse().ok();
    address
        .or_else(bracketed)
        .or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
        .map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies() -> TrustedProxies {
        TrustedProxies::new(["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()])
    }

    fn client(peer: &str, lines: &[&str]) -> String {
        let name = HeaderName::from_static("x-forwarded-for");
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(&name, http::HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        resolve(peer.parse().unwrap(), &headers, &name, &proxies()).to_string()
    }

    /// S-83: the header of somebody who is no listed proxy says nothing; by default nobody is listed.
    #[test]
    fn an_unlisted_peer_is_the_client() {
        assert_eq!(client("203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(client("::ffff:203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert!(
            TrustedProxies::read(&Vec::<(String, String)>::new(), &mut Problems::default())
                .unwrap()
                .is_empty()
        );
    }

    /// S-83: whatever the client writes to the left, the address is the one that the outermost proxy saw.
    #[test]
    fn spoofed_entries_do_not_change_the_address() {
        let many = format!("{} 203.0.113.9", "198.51.100.1, ".repeat(50));
        let hops = format!("203.0.113.9{}", ", 10.1.1.1".repeat(50));
        let cases: [&[&str]; 10] = [
            &["203.0.113.9"],
            &["198.51.100.1, 203.0.113.9"],
            &["unknown, 203.0.113.9"],
            &["198.51.100.1", "203.0.113.9"],
            &["203.0.113.9:4711"],
            &["::ffff:203.0.113.9, 10.0.0.2"],
            &["[::ffff:203.0.113.9]:80,10.0.0.2,fd00::1"],
            &[&many],
            &[&hops],
            &["10.0.0.2, 203.0.113.9 ,\t10.0.0.3"],
        ];
        for lines in cases {
            assert_eq!(client("10.0.0.1", lines), "203.0.113.9", "{lines:?}");
        }
    }

    /// S-83: an entry that does not parse ends the walk at the hop that reported it.
    #[test]
    fn an_odd_entry_ends_the_walk() {
        let odd = [
            "unknown",
            "203.0.113.9, unknown",
            "203.0.113.9, ",
            "203.0.113.9, 1.2.3",
            "",
            "_hidden",
            "\u{a0}",
        ];
        for line in odd {
            assert_eq!(client("10.0.0.1", &[line]), "10.0.0.1", "{line:?}");
        }
        assert_eq!(client("10.0.0.1", &["203.0.113.9, unknown, 10.0.0.2"]), "10.0.0.2");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
    }

    /// S-83: BFF-PROXY-001 for a network that holds everybody.
    #[test]
    fn everybody_is_not_a_proxy() {
        for wrong in ["0.0.0.0/0", "::/0", "10.0.0.0/8,0.0.0.0/0", "proxy.internal", "10.0.0.0/33"] {
            let vars = vec![("BFF_TRUSTED_PROXIES".to_owned(), wrong.to_owned())];
            let mut problems = Problems::default();
            assert_eq!(TrustedProxies::read(&vars, &mut problems), None, "{wrong}");
            let code = if wrong.contains("/0") { "BFF-PROXY-001" } else { "BFF-CONF-002" };
            assert_eq!(problems.list()[0].code, code, "{wrong}");
        }
        let vars = vec![("BFF_TRUSTED_PROXIES".to_owned(), "10.0.0.0/8, 192.0.2.1".to_owned())];
        let read = TrustedProxies::read(&vars, &mut Problems::default()).unwrap();
        assert!(read.contains("192.0.2.1".parse().unwrap()) && !read.contains("192.0.2.2".parse().unwrap()));
    }
}
