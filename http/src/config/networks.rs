//! Networks: which addresses the program trusts.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::address::Peer;

/// A list of networks: of the proxies in front of a server, for example.
///
/// A network is `10.0.0.0/8` or `fd00::/8`, one address such as `127.0.0.1`, or `unix:` for the
/// clients of Unix sockets. An IPv4 address that is written as IPv6 (`::ffff:10.0.0.1`), as a
/// listener on IPv6 sees it, is the IPv4 address.
///
/// ```
/// use straightline::Networks;
///
/// let proxies = Networks::new(["10.0.0.0/8", "fd00::/8", "192.0.2.1"])?;
/// assert!(proxies.contains("10.1.2.3".parse().unwrap()));
/// assert!(!proxies.contains("192.0.2.2".parse().unwrap()));
///
/// let error = Networks::new(["10.0.0.1/8"]).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "\"10.0.0.1/8\" is not a network: the address has bits behind the prefix (10.0.0.0/8 has \
///      none)"
/// );
/// # Ok::<(), straightline::NetworkError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks {
    networks: Arc<[Network]>,
    /// The clients of Unix sockets belong to them.
    has_unix: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    /// At most 32 for IPv4, and 128 for IPv6.
    prefix: u8,
}

/// A text that is not a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkError {
    text: String,
    reason: String,
}

impl Networks {
    /// The networks of that list. An empty list contains no address. Not a yield point.
    ///
    /// # Errors
    ///
    /// The first text that is not a network, and what is wrong with it.
    pub fn new(list: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self, NetworkError> {
        let (mut networks, mut has_unix) = (Vec::new(), false);
        for text in list {
            match text.as_ref() {
                "unix:" => has_unix = true,
                text => networks.push(Network::parse(text)?),
            }
        }
        Ok(Self { networks: networks.into(), has_unix })
    }

    /// All addresses, and the clients of Unix sockets. Not a yield point.
    pub fn all() -> Self {
        let network = |address| Network { address, prefix: 0 };
        let v4 = network(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let v6 = network(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        Self { networks: [v4, v6].into(), has_unix: true }
    }

    /// All addresses that are not on the public internet: of this machine, of private networks, of
    /// the link, of groups, and those that are reserved, meant for documentation, or that stand for
    /// an address of IPv4 (6to4, Teredo, NAT64). After the registries of special addresses (RFC
    /// 6890); of IPv6 all but global unicast. Not a yield point.
    ///
    /// ```
    /// use straightline::Networks;
    ///
    /// let inner = Networks::not_public();
    /// for address in ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:10.0.0.1"] {
    ///     assert!(inner.contains(address.parse().unwrap()));
    /// }
    /// assert!(!inner.contains("9.9.9.9".parse().unwrap()));
    /// assert!(!inner.contains("2606:4700::1111".parse().unwrap()));
    /// ```
    pub fn not_public() -> Self {
        let networks = NOT_PUBLIC_4.iter().map(|&([a, b, c, d], prefix)| {
            let address = IpAddr::V4(Ipv4Addr::new(a, b, c, d));
            Network { address, prefix }
        });
        let of_ipv6 = NOT_PUBLIC_6.iter().map(|&([a, b], prefix)| {
            let address = IpAddr::V6(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0));
            Network { address, prefix }
        });
        Self { networks: networks.chain(of_ipv6).collect(), has_unix: true }
    }

    /// Whether the address belongs to one of the networks. Not a yield point.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(address))
    }

    /// As [`contains`](Self::contains), for the client of a connection. A client with a
    /// [name](Peer::named) belongs to no network. Not a yield point.
    pub fn contains_peer(&self, peer: &Peer) -> bool {
        match peer {
            Peer::Tcp(address) => self.contains(address.ip()),
            Peer::Unix => self.has_unix,
            Peer::Named(_) => false,
        }
    }
}

/// The networks, with a space between them; `none` if there are none.
impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unix = self.has_unix.then(|| "unix:".to_owned());
        let networks = self.networks.iter().map(|network| format!("{network:?}"));
        let all: Vec<_> = networks.chain(unix).collect();
        f.write_str(if all.is_empty() { "none" } else { "" })?;
        f.write_str(&all.join(" "))
    }
}

impl Network {
    fn parse(text: &str) -> Result<Self, NetworkError> {
        let fail = |reason: String| NetworkError { text: text.to_owned(), reason };
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let parsed: IpAddr =
            address.parse().map_err(|_| fail(format!("{address:?} is not an IP address")))?;
        if parsed.to_canonical() != parsed {
            return Err(fail(format!("write it as IPv4 ({})", parsed.to_canonical())));
        }
        let most = if parsed.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => most,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits
                .parse()
                .ok()
                .filter(|prefix| *prefix <= most)
                .ok_or_else(|| fail(format!("the prefix is a number from 0 to {most}")))?,
            Some(_) => return Err(fail(format!("the prefix is a number from 0 to {most}"))),
        };
        let network = Self { address: masked(parsed, prefix), prefix };
        if network.address != parsed {
            let reason = format!("the address has bits behind the prefix ({network:?} has none)");
            return Err(fail(reason));
        }
        Ok(network)
    }

    fn contains(self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4() && masked(address, self.prefix) == self.address
    }
}

/// The special addresses of IPv4, as the IANA registers them.
const NOT_PUBLIC_4: [([u8; 4], u8); 15] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
];

/// What is not global unicast (`2000::/3`) in IPv6, and in it: protocols of the IETF with Teredo,
/// documentation, and 6to4. By the first two groups.
const NOT_PUBLIC_6: [([u16; 2], u8); 7] = [
    ([0, 0], 3),
    ([0x4000, 0], 2),
    ([0x8000, 0], 1),
    ([0x2001, 0], 23),
    ([0x2001, 0xdb8], 32),
    ([0x2002, 0], 16),
    ([0x3fff, 0], 20),
];

/// The address without the bits behind the prefix.
fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            Ipv4Addr::from(u32::from(address) & mask).into()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            Ipv6Addr::from(u128::from(address) & mask).into()
        }
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a network: {}", self.text, self.reason)
    }
}

impl Error for NetworkError {}

impl From<NetworkError> for io::Error {
    fn from(error: NetworkError) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::quickcheck;

    fn has(networks: &str, address: &str) -> bool {
        let networks = Networks::new(networks.split(' ')).expect(networks);
        networks.contains(address.parse().expect(address))
    }

    #[test]
    fn an_address_belongs_to_the_networks_whose_prefix_it_has() {
        assert!(has("10.0.0.0/8", "10.255.0.1") && !has("10.0.0.0/8", "11.0.0.0"));
        assert!(has("0.0.0.0/0", "8.8.8.8") && !has("0.0.0.0/0", "::1"));
        assert!(has("192.0.2.4", "192.0.2.4") && !has("192.0.2.4", "192.0.2.5"));
        assert!(has("::1 fd00::/8", "fdff::1") && !has("fd00::/8", "fe00::"));
        assert!(has("10.0.0.0/8", "::ffff:10.0.0.1") && !has("::/0", "::ffff:10.0.0.1"));
        assert!(Networks::all().contains_peer(&Peer::Unix));
        assert!(!Networks::default().contains_peer(&Peer::Unix));
        assert!(Networks::new(["unix:"]).is_ok_and(|unix| unix.contains_peer(&Peer::Unix)));
    }

    #[test]
    fn what_is_not_a_network_is_refused_with_its_reason() {
        let cases = [
            ("", "not an IP address"),
            ("localhost", "not an IP address"),
            ("10.0.0.0/33", "from 0 to 32"),
            ("10.0.0.0/", "from 0 to 32"),
            ("10.0.0.0/+8", "from 0 to 32"),
            ("::/129", "from 0 to 128"),
            ("10.0.0.0/8/8", "from 0 to 32"),
            ("010.0.0.0/8", "not an IP address"),
            ("10.0.0.1/31", "10.0.0.0/31 has none"),
            ("::ffff:10.0.0.0/104", "write it as IPv4"),
            (" 10.0.0.0/8", "not an IP address"),
        ];
        for (text, reason) in cases {
            let error = Networks::new([text]).expect_err(text).to_string();
            assert!(error.contains(reason), "{text:?}: {error}");
        }
    }

    #[test]
    fn what_is_not_public_is_known() {
        let inner = Networks::not_public();
        let has = |address: &str| inner.contains(address.parse().expect(address));
        for address in "0.0.0.0 0.1.2.3 10.255.255.255 100.64.0.1 100.127.255.255 127.1.2.3 \
                        169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.8 192.0.2.1 192.168.1.1 \
                        198.19.0.1 198.51.100.1 203.0.113.1 224.0.0.1 240.0.0.1 255.255.255.255 \
                        :: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 64:ff9b::7f00:1 \
                        64:ff9b:1::1 100::1 2001::1 2001:1ff:: 2001:db8::1 2002:7f00:1::1 3fff::1 \
                        4000::1 5f00::1 fc00::1 fd12::1 fe80::1 fec0::1 ff02::1"
            .split_ascii_whitespace()
        {
            assert!(has(address), "{address}");
        }
        for address in "1.1.1.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 \
                        128.0.0.0 172.15.255.255 172.32.0.0 192.167.255.255 192.169.0.0 \
                        198.17.255.255 198.20.0.0 223.255.255.255 ::ffff:1.1.1.1 2000::1 \
                        2001:200::1 2001:4860:4860::8888 2003::1 2606:4700::1111 2a00::1 3ffe::1"
            .split_ascii_whitespace()
        {
            assert!(!has(address), "{address}");
        }
        // As they would be written.
        let text = inner.to_string();
        let parsed = Networks::new(text.split(' ')).expect("networks");
        assert_eq!(parsed, inner);
    }

    quickcheck! {
        fn a_network_contains_what_agrees_in_its_prefix(one: u32, other: u32, prefix: u8) -> bool {
            let prefix = prefix % 33;
            let bits = |address: u32| {
                (0..u32::from(prefix)).map(|at| address >> (31 - at) & 1).collect::<Vec<_>>()
            };
            let address = masked(Ipv4Addr::from(one).into(), prefix);
            let networks = Networks::new([format!("{address}/{prefix}")]).unwrap();
            networks.contains(Ipv4Addr::from(other).into()) == (bits(one) == bits(other))
        }
    }
}
