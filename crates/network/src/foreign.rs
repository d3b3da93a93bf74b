//! Other people's firewall rules that would keep packets from containers.

use sys::netlink::Error;
use sys::nft::{Family, base_chains, legacy_drops_forwarded, rules_mention};

use crate::firewall::Firewall;

const FORWARD: u32 = 2;

/// One sentence for each chain of another table that drops forwarded packets by default and
/// does not mention the bridge: an accept in our own table cannot override it.
pub(crate) fn warnings(firewall: &Firewall, bridge: &str) -> Result<Vec<String>, Error> {
    firewall.with_socket(|socket| {
        let chains = base_chains(socket)?;
        let mut found = Vec::new();
        for chain in chains.iter().filter(|c| {
            c.hook == FORWARD
                && c.drops
                && c.family != Family::Ip6
                && !(c.family == Family::Ip && c.table == firewall.table())
        }) {
            if rules_mention(socket, chain, bridge)? {
                continue;
            }
            let place = format!("{} {} {}", chain.family.name(), chain.table, chain.name);
            found.push(format!(
                "the nftables chain '{place}' drops forwarded packets (policy drop), so containers \
                 on {bridge} reach nothing and their published ports cannot be reached; allow \
                 them with: nft insert rule {place} iifname \"{bridge}\" accept; nft insert rule \
                 {place} oifname \"{bridge}\" accept (ports that are not published stay closed: \
                 table ip {} sees to that)",
                firewall.table()
            ));
        }
        match legacy_drops_forwarded(bridge) {
            Ok(false) => {}
            Ok(true) => found.push(format!(
                "the legacy iptables chain FORWARD drops forwarded packets (policy DROP), so \
                 containers on {bridge} reach nothing and their published ports cannot be \
                 reached; allow them with: iptables-legacy -I FORWARD -i {bridge} -j ACCEPT; \
                 iptables-legacy -I FORWARD -o {bridge} -j ACCEPT (ports that are not published \
                 stay closed: the nftables table ip {} sees to that)",
                firewall.table()
            )),
            Err(e) => found.push(format!(
                "cannot tell whether legacy iptables rules block {bridge}: {e}"
            )),
        }
        Ok(found)
    })
}
