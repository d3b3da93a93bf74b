//! Other people's firewall rules that would keep packets from containers.
//!
//! An accept in a table of our own cannot override a drop in another one. So chains that drop what is
//! forwarded are looked for and named, and where the operator wants it (`--firewall=integrate`) rules
//! of ours are put into them: for each bridge one for what comes from it and one for what goes to it,
//! before all others, and marked by a remark. Ports that are not published stay closed: our own
//! table sees to that.

use sys::netlink::{Error, Socket};
use sys::nft::{
    Chain, Family, Outcome, Rule, Transaction, Verdict, base_chains, legacy_forward, rules,
};

use crate::firewall::Firewall;

const FORWARD: u32 = 2;

/// How deep chains are followed that lead to others.
const DEPTH: u32 = 16;

/// The chains of others that drop forwarded packets that none of their rules chose: by their policy, or by
/// a last rule for all.
fn dropping(socket: &mut Socket, own: &str) -> Result<Vec<Chain>, Error> {
    let operators = operators_table(own);
    let mut found = Vec::new();
    for mut chain in base_chains(socket)? {
        if chain.hook != FORWARD || chain.table == own || chain.table == operators {
            continue;
        }
        let drops = match end(socket, &chain, DEPTH)? {
            End::Drops => {
                chain.drops = false;
                true
            }
            End::Accepts => false,
            End::Open => chain.drops,
        };
        if drops {
            found.push(chain);
        }
    }
    Ok(found)
}

/// What becomes of a packet that no rule of a chain chooses.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Drops,
    Accepts,
    Open,
}

fn end(socket: &mut Socket, chain: &Chain, depth: u32) -> Result<End, Error> {
    if depth == 0 {
        return Ok(End::Open);
    }
    for rule in rules(socket, chain)? {
        if rule.is_conditional() {
            continue;
        }
        let next = match rule.outcome() {
            Outcome::Drops => return Ok(End::Drops),
            Outcome::Accepts => return Ok(End::Accepts),
            Outcome::Returns => return Ok(End::Open),
            Outcome::Continues => continue,
            Outcome::Jumps(ref next) | Outcome::Goes(ref next) => next.clone(),
        };
        let mut there = chain.clone();
        there.name = next;
        match end(socket, &there, depth - 1)? {
            End::Open if matches!(rule.outcome(), Outcome::Goes(_)) => return Ok(End::Open),
            End::Open => {}
            decided => return Ok(decided),
        }
    }
    Ok(End::Open)
}

fn place(chain: &Chain) -> String {
    format!("{} {} {}", chain.family.name(), chain.table, chain.name)
}

/// One sentence for each chain that drops forwarded packets by default and does not mention all of the
/// bridges. Those of IPv6 do not matter where no network has it.
pub(crate) fn warnings(
    firewall: &Firewall,
    bridges: &[String],
    ipv6: bool,
) -> Result<Vec<String>, Error> {
    let table = firewall.table();
    firewall.with_socket(|socket| {
        let mut found = Vec::new();
        for chain in dropping(socket, table)? {
            if chain.family == Family::Ip6 && !ipv6 {
                continue;
            }
            let known = rules(socket, &chain)?;
            let blocked = bridges
                .iter()
                .filter(|b| !known.iter().any(|r| r.accepts(b)));
            let blocked: Vec<&str> = blocked.map(String::as_str).collect();
            if blocked.is_empty() {
                continue;
            }
            let (place, all, set) = (place(&chain), blocked.join(", "), set(&blocked));
            let by = if chain.drops {
                "policy drop"
            } else {
                "its last rule for all"
            };
            found.push(format!(
                "the nftables chain '{place}' drops forwarded packets ({by}), so \
                 containers on {all} reach nothing and their published ports cannot be reached; \
                 allow them with: nft insert rule {place} iifname {set} accept; nft insert rule \
                 {place} oifname {set} accept; or start the daemon with --firewall=integrate, \
                 which does that (ports that are not published stay closed: table {table} sees to \
                 that)",
            ));
        }
        found.extend(legacy_warning(table, bridges));
        Ok(found)
    })
}

/// Names of links as nft takes them.
fn set(links: &[&str]) -> String {
    match links {
        [one] => format!("\"{one}\""),
        all => format!("{{ \"{}\" }}", all.join("\", \"")),
    }
}

/// The sentence about the chain of the older iptables.
fn legacy_warning(table: &str, bridges: &[String]) -> Option<String> {
    let legacy = match legacy_forward() {
        Ok(legacy) => legacy?,
        Err(e) => {
            let all = bridges.join(", ");
            return Some(format!(
                "cannot tell whether legacy iptables rules block {all}: {e}"
            ));
        }
    };
    let blocked: Vec<&str> = bridges
        .iter()
        .map(String::as_str)
        .filter(|b| legacy.drops(b))
        .collect();
    let first = blocked.first()?;
    let others = match blocked.len() {
        1 => "",
        _ => ", and so for each of them",
    };
    Some(format!(
        "the legacy iptables chain FORWARD drops forwarded packets (policy DROP), so containers on \
         {} reach nothing and their published ports cannot be reached; allow them with: \
         iptables-legacy -I FORWARD -i {first} -j ACCEPT; iptables-legacy -I FORWARD -o {first} -j \
         ACCEPT{others} (ports that are not published stay closed: the nftables table {table} sees \
         to that)",
        blocked.join(", ")
    ))
}

/// Puts our rules into chains that drop, and takes away those of bridges that are gone. Answers how
/// many were put or taken.
pub(crate) fn integrate(firewall: &Firewall, bridges: &[String]) -> Result<usize, Error> {
    let mark = format!("{}: ", firewall.table());
    firewall.with_socket(|socket| {
        let mut changed = 0;
        for chain in dropping(socket, firewall.table())? {
            let known = rules(socket, &chain)?;
            let mut t = Transaction::new(chain.family, &chain.table);
            let wanted: Vec<(String, Rule)> = bridges
                .iter()
                .flat_map(|b| {
                    [
                        (format!("{mark}from {b}"), Rule::new().came_by(b, true)),
                        (format!("{mark}to {b}"), Rule::new().goes_by(b, true)),
                    ]
                })
                .collect();
            let mut changes = 0;
            for old in &known {
                if old.comment.starts_with(&mark) && !wanted.iter().any(|(c, _)| *c == old.comment)
                {
                    t.delete_rule(&chain.name, old.handle);
                    changes += 1;
                }
            }
            for (comment, rule) in wanted {
                if !known.iter().any(|k| k.comment == comment) {
                    let rule = rule.comment(&comment).verdict(Verdict::Accept);
                    t.insert_rule(&chain.name, &rule);
                    changes += 1;
                }
            }
            match t.commit(socket) {
                // The chain went meanwhile: there is nothing to be let through any more.
                Err(e) if e.is_absent() => {}
                other => {
                    other?;
                    changed += changes;
                }
            }
        }
        Ok(changed)
    })
}

/// The operator's own table: what its chains drop is dropped before anything of ours lets it pass.
/// It is made where it is missing and never changed.
pub(crate) fn operators_table(own: &str) -> String {
    format!("{own}-user")
}

/// Makes the operator's table where it is missing.
pub(crate) fn ensure_operators(firewall: &Firewall) -> Result<(), Error> {
    use sys::nft::Base;
    let table = operators_table(firewall.table());
    let mut t = Transaction::new(Family::Inet, &table);
    t.add_table();
    for (chain, hook) in OPERATORS_CHAINS {
        let base = Base {
            kind: "filter",
            hook,
            priority: -1,
        };
        t.add_chain(chain, Some(base));
    }
    firewall.with_socket(|s| t.commit(s))
}

/// Removes the operator's table if nothing is in it.
pub(crate) fn remove_unused_operators(firewall: &Firewall) -> Result<(), Error> {
    let table = operators_table(firewall.table());
    firewall.with_socket(|socket| {
        for chain in base_chains(socket)?.iter().filter(|c| c.table == table) {
            if !rules(socket, chain)?.is_empty() {
                return Ok(());
            }
        }
        let mut t = Transaction::new(Family::Inet, &table);
        t.delete_table();
        match t.commit(socket) {
            Err(e) if e.is_absent() => Ok(()),
            other => other,
        }
    })
}

/// The chains in it, before ours: what goes to containers and comes from them, and what the host itself
/// takes, as it does for the relay.
const OPERATORS_CHAINS: [(&str, sys::nft::Hook); 2] = [
    ("forward", sys::nft::Hook::Forward),
    ("input", sys::nft::Hook::Input),
];
