//! Addresses that are never called, whoever names them: link-local ones and those where clouds hand out credentials.
//!
//! The check is made where a name is resolved, so a name that leads there does not help.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Metadata services outside the link-local ranges: Alibaba's, Oracle's and Amazon's on IPv6.
const METADATA_V4: [Ipv4Addr; 2] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
];
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

#[derive(Debug, thiserror::Error)]
#[error("the address is link-local or a cloud's metadata service; such addresses are never called")]
pub(super) struct Forbidden;

pub(crate) fn is_forbidden(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_forbidden_v4(v4),
        IpAddr::V6(v6) => {
            let embedded = v6.to_ipv4_mapped().or_else(|| nat64(v6));
            embedded.is_some_and(is_forbidden_v4)
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6.is_unicast_link_local()
                || v6 == METADATA_V6
        }
    }
}

fn is_forbidden_v4(v4: Ipv4Addr) -> bool {
    v4.is_link_local()
        || v4.is_unspecified()
        || v4.is_multicast()
        || v4.is_broadcast()
        || METADATA_V4.contains(&v4)
}

/// `64:ff9b::/96` leads to the IPv4 address in its last 32 bits.
fn nat64(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = v6.segments() else {
        return None;
    };
    Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
}

/// A host of an address as it is written there: a literal is not resolved, so it is checked here.
pub(crate) fn is_forbidden_host(host: &str) -> bool {
    host.trim_start_matches('[')
        .trim_end_matches(']')
        .parse()
        .is_ok_and(is_forbidden)
}

/// Resolves names as the system does and leaves out what is never called.
pub(super) struct Guarded;

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found
                .filter(|address| !is_forbidden(address.ip()))
                .collect();
            if allowed.is_empty() {
                return Err(Forbidden.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::metadata("169.254.169.254", true)]
    #[case::metadata_v6("fd00:ec2::254", true)]
    #[case::alibaba("100.100.100.200", true)]
    #[case::oracle("192.0.0.192", true)]
    #[case::link_local("fe80::1", true)]
    #[case::mapped("::ffff:169.254.169.254", true)]
    #[case::translated("64:ff9b::a9fe:a9fe", true)]
    #[case::any("0.0.0.0", true)]
    #[case::brackets("[fe80::1]", true)]
    #[case::loopback("127.0.0.1", false)]
    #[case::cluster("10.96.0.1", false)]
    #[case::cluster_v6("fd12::1", false)]
    #[case::name("gitea.example.com", false)]
    fn link_local_and_metadata_addresses_are_refused_in_every_notation(
        #[case] host: &str,
        #[case] refused: bool,
    ) {
        assert_eq!(is_forbidden_host(host), refused, "{host}");
    }
}
