//! Addresses that belong together, such as those of the proxies in front.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use thiserror::Error;

/// Says that a text is no network.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadNetwork {
    /// It is something else.
    #[error("`{0}` is no network: write an address such as 192.0.2.7, or a network such as 10.0.0.0/8")]
    NotOne(String),
    /// It has bits beyond its own length.
    #[error("`{0}` has an address in the middle of its network; write `{1}`")]
    NotItsBeginning(String, IpNet),
}

/// One address, or all that begin alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let of_one = || text.parse::<IpAddr>().ok().map(|address| IpNet::from(address.to_canonical()));
        let network = text.parse().ok().or_else(of_one).ok_or_else(|| BadNetwork::NotOne(text.to_owned()))?;
        let begun = network.trunc();
        if begun == network { Ok(Self(network)) } else { Err(BadNetwork::NotItsBeginning(text.to_owned(), begun)) }
    }
}

/// Some networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<Network>);

impl Networks {
    /// Tells whether an address is of one of them; an IPv4 address in the clothes of IPv6 is one of IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.0.contains(&address))
    }

    /// Tells whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Vec<Network>> for Networks {
    fn from(networks: Vec<Network>) -> Self {
        Self(networks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_of_a_network_or_not() {
        let of = |texts: &[&str]| Networks(texts.iter().map(|text| text.parse().unwrap()).collect());
        let networks = of(&["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::ffff:198.51.100.1"]);
        for (address, expected) in [
            ("10.255.0.1", true),
            ("::ffff:10.1.2.3", true),
            ("11.0.0.1", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("2001:db8:1::1", true),
            ("2001:db9::1", false),
            ("198.51.100.1", true),
        ] {
            assert_eq!(networks.contains(address.parse().unwrap()), expected, "{address}");
        }
        assert!(of(&["0.0.0.0/0"]).contains([1, 2, 3, 4].into()));
        assert!(!of(&[]).contains([127, 0, 0, 1].into()));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "10.0.0.0/33", "10.0.0", "proxy.example", "10.0.0.0/", "::/129"] {
            assert_eq!(text.parse::<Network>(), Err(BadNetwork::NotOne(text.to_owned())), "{text}");
        }
        let told = "10.1.2.3/8".parse::<Network>().unwrap_err().to_string();
        assert!(told.contains("10.0.0.0/8"), "{told}");
    }
}
