//! A range of addresses, written as `10.0.2.0/24`.

use std::net::IpAddr;

use serde::{Deserialize, Deserializer};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    /// Leading bits that are the network's.
    bits: u8,
}

impl Network {
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let bits: u8 = bits.parse().ok()?;
        (bits <= if address.is_ipv4() { 32 } else { 128 }).then_some(Self { address, bits })
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differs = u32::from(own) ^ u32::from(other);
                differs.leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differs = u128::from(own) ^ u128::from(other);
                differs.leading_zeros() >= u32::from(self.bits)
            }
            _ => false,
        }
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "{text:?} is no network; write for example 10.0.2.0/24"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("10.0.2.0/24", "10.0.2.255", true)]
    #[case("10.0.2.0/24", "10.0.3.0", false)]
    #[case("10.0.2.7/32", "10.0.2.7", true)]
    #[case("0.0.0.0/0", "192.0.2.1", true)]
    #[case("0.0.0.0/0", "fd00::1", false)]
    #[case("fd00:1::/32", "fd00:1:2::3", true)]
    #[case("fd00:1::/32", "fd00:2::3", false)]
    fn a_network_has_its_addresses(
        #[case] network: &str,
        #[case] address: &str,
        #[case] has: bool,
    ) {
        let network = Network::parse(network).unwrap();
        assert_eq!(network.contains(address.parse().unwrap()), has);
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for wrong in [
            "10.0.2.0",
            "10.0.2.0/33",
            "host/8",
            "/8",
            "10.0.2.0/-1",
            "fd00::/129",
        ] {
            assert_eq!(Network::parse(wrong), None, "{wrong}");
        }
    }
}
