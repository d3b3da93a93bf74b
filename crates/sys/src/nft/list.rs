//! Looking at what is there, ours and others'.

use super::{DATA_VALUE, Family, LIST_ELEM, message};
use crate::netlink::{Attrs, Batch, Error, Socket};

const GETTABLE: u16 = message(1);
const GETCHAIN: u16 = message(4);
const GETRULE: u16 = message(7);
const GETSETELEM: u16 = message(13);
const DUMP: u16 = libc::NLM_F_DUMP as u16;

/// A base chain of anyone's.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Chain {
    /// The packets its table sees.
    pub family: Family,
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// `filter`, `nat` or `route`.
    pub kind: String,
    /// The hook's number; 2 is forward.
    pub hook: u32,
    /// Its order among the chains there.
    pub priority: i32,
    /// Whether it drops what none of its rules decided about.
    pub drops: bool,
}

/// All base chains of IP families in the namespace.
///
/// # Errors
/// When the kernel refuses or cannot be asked.
pub fn base_chains(socket: &mut Socket) -> Result<Vec<Chain>, Error> {
    let mut batch = Batch::new();
    batch.push(GETCHAIN, DUMP, "list the nftables chains".into(), |b| {
        b.raw(&[0; 4])
    });
    socket.dump(&mut batch, |p| {
        let attrs = Attrs(p.get(4..)?);
        let hook = attrs.nested(4);
        Some(Chain {
            family: Family::from_number(*p.first()?)?,
            table: attrs.text(1)?.to_owned(),
            name: attrs.text(3)?.to_owned(),
            kind: attrs.text(7)?.to_owned(),
            hook: hook.be32(1)?,
            priority: hook.be32(2)? as i32,
            drops: attrs.be32(5) == Some(0),
        })
    })
}

/// Whether there is such a table.
///
/// # Errors
/// When the kernel refuses or cannot be asked.
pub fn has_table(socket: &mut Socket, family: Family, table: &str) -> Result<bool, Error> {
    let mut batch = Batch::new();
    let what = format!("look for the nftables table {table}");
    batch.push(GETTABLE, libc::NLM_F_ACK as u16, what, |b| {
        b.raw(&[family as u8, 0, 0, 0]);
        b.attr_str(1, table);
    });
    match socket.all(&mut batch) {
        Ok(()) => Ok(true),
        Err(e) if e.is_absent() => Ok(false),
        Err(e) => Err(e),
    }
}

/// A rule of anyone's.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found {
    /// What it is deleted by.
    pub handle: u64,
    /// Its remark; empty if it has none.
    pub comment: String,
    expressions: Vec<u8>,
}

/// What a rule does with the packets that it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// They go on to the next base chain.
    Accepts,
    /// They go no further; the sender may be told.
    Drops,
    /// This chain decides, and the next rule where it does not.
    Jumps(String),
    /// This chain decides, and the base chain's policy where it does not.
    Goes(String),
    /// They leave the chain.
    Returns,
    /// They go on to the next rule.
    Continues,
}

/// Parts of a rule that choose no packets.
const CHOOSE_NOTHING: [&str; 6] = ["counter", "log", "immediate", "reject", "target", "notrack"];

impl Found {
    /// Whether it lets pass what comes from or goes to the link of this name.
    #[must_use]
    pub fn accepts(&self, link: &str) -> bool {
        let mut name = link.as_bytes().to_vec();
        name.push(0);
        let mentions = self.expressions.windows(name.len()).any(|w| w == name);
        mentions && self.outcome() == Outcome::Accepts
    }

    /// Whether it is for some packets only.
    #[must_use]
    pub fn is_conditional(&self) -> bool {
        self.parts()
            .any(|(name, _)| !CHOOSE_NOTHING.contains(&name))
    }

    /// What it does with the packets that it is for.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let decided = self.parts().find_map(|(name, data)| match name {
            "reject" => Some(Outcome::Drops),
            // What iptables' own extensions do.
            "target" => match data.text(1) {
                Some("REJECT" | "DROP") => Some(Outcome::Drops),
                _ => None,
            },
            "immediate" => {
                let verdict = data.nested(2).nested(2);
                let chain = || verdict.text(2).unwrap_or_default().to_owned();
                match verdict.be32(1)? as i32 {
                    libc::NF_DROP => Some(Outcome::Drops),
                    libc::NF_ACCEPT => Some(Outcome::Accepts),
                    libc::NFT_JUMP => Some(Outcome::Jumps(chain())),
                    libc::NFT_GOTO => Some(Outcome::Goes(chain())),
                    libc::NFT_RETURN => Some(Outcome::Returns),
                    _ => None,
                }
            }
            _ => None,
        });
        decided.unwrap_or(Outcome::Continues)
    }

    /// Its parts by name, in their order.
    fn parts(&self) -> impl Iterator<Item = (&str, Attrs<'_>)> {
        let all = Attrs(&self.expressions).filter(|(kind, _)| *kind == LIST_ELEM);
        all.filter_map(|(_, part)| Some((Attrs(part).text(1)?, Attrs(part).nested(2))))
    }
}

/// The rules of a chain, in their order.
///
/// # Errors
/// When the kernel refuses or cannot be asked.
pub fn rules(socket: &mut Socket, chain: &Chain) -> Result<Vec<Found>, Error> {
    let mut batch = Batch::new();
    let what = format!("list the rules of the chain {}", chain.name);
    batch.push(GETRULE, DUMP, what, |b| {
        b.raw(&[chain.family as u8, 0, 0, 0]);
        b.attr_str(1, &chain.table);
        b.attr_str(2, &chain.name);
    });
    socket.dump(&mut batch, |p| {
        let attrs = Attrs(p.get(4..)?);
        let handle = attrs.get(3)?.try_into().ok()?;
        Some(Found {
            handle: u64::from_be_bytes(handle),
            comment: attrs.get(7).map(comment).unwrap_or_default(),
            expressions: attrs.get(4).unwrap_or_default().to_vec(),
        })
    })
}

/// The remark in what `nft` keeps beside a rule: entries of kind, length and bytes; kind 0 is it.
fn comment(mut data: &[u8]) -> String {
    while let [kind, len, rest @ ..] = data {
        let Some((value, after)) = rest.split_at_checked(usize::from(*len)) else {
            break;
        };
        if *kind == 0 {
            let text = value.strip_suffix(&[0]).unwrap_or(value);
            return String::from_utf8_lossy(text).into_owned();
        }
        data = after;
    }
    String::new()
}

/// An entry of a map: key and value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// The entries of a map: keys and values.
///
/// # Errors
/// When the kernel refuses or cannot be asked; [`Error::is_absent`] when there is no such map.
pub fn elements(
    socket: &mut Socket,
    family: Family,
    table: &str,
    map: &str,
) -> Result<Vec<Entry>, Error> {
    let mut batch = Batch::new();
    batch.push(
        GETSETELEM,
        DUMP,
        format!("list the map {map} (nftables table {table})"),
        |b| {
            b.raw(&[family as u8, 0, 0, 0]);
            b.attr_str(1, table);
            b.attr_str(2, map);
        },
    );
    let parts = socket.dump(&mut batch, |p| {
        let list = Attrs(p.get(4..)?).nested(3);
        let entries = list
            .filter(|(kind, _)| *kind == LIST_ELEM)
            .filter_map(|(_, e)| {
                let value = |kind| Attrs(e).nested(kind).get(DATA_VALUE).map(<[u8]>::to_vec);
                Some((value(1)?, value(2)?))
            });
        Some(entries.collect::<Vec<_>>())
    })?;
    Ok(parts.into_iter().flatten().collect())
}
