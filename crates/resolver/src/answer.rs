//! What is said to a question: an answer of our own, or that others are to be asked.
//!
//! Two rules come from the C libraries. A name that exists has no "no such name" for any type:
//! musl asks for A and AAAA at once, and one NXDOMAIN ends it. And who may ask nobody outside is
//! told "no such name" and not "server failure" about what we do not know: at the latter musl gives
//! up before it has tried the name without the search domain.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use domain::base::iana::{Class, Opcode, OptRcode, Rcode, Rtype};
use domain::base::message_builder::{MessageBuilder, PushError};
use domain::base::name::ToLabelIter;
use domain::base::{Message, Name, ParsedName, StaticCompressor, Ttl};
use domain::rdata::{A, Aaaa, Ptr};

use crate::model::{Asker, SingleLabels};
use crate::random::Random;
use crate::zones::{Reverse, Zones};

/// How long clients may remember an answer: not at all, so that a container that came back with
/// another address is found at once.
const TTL: Ttl = Ttl::ZERO;
/// The largest packet that we say we take. Questions come by loopback, so larger ones arrive too.
pub(crate) const OUR_SIZE: u16 = 1232;
/// What a client takes that does not say.
const PLAIN_SIZE: u16 = 512;
/// More is not sent in one packet, whatever a client says.
const MOST: u16 = 4096;
/// What our OPT record takes.
const OPT_LEN: usize = 11;

/// What to do about a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// This is said.
    Reply(Vec<u8>),
    /// Others are to be asked.
    Forward,
    /// Nothing is said: it is no question.
    Ignore,
}

/// The records of an answer.
enum Records {
    None,
    Addresses(Vec<IpAddr>),
    Name(String),
}

/// Judges a message that came from an asker.
pub(crate) fn judge(
    bytes: &[u8],
    asker: &Asker,
    zones: &Zones,
    random: &mut Random,
    tcp: bool,
) -> Verdict {
    let Ok(message) = Message::from_octets(bytes) else {
        return Verdict::Ignore;
    };
    let header = message.header();
    if header.qr() {
        return Verdict::Ignore;
    }
    let say = |rcode, records| reply(message, rcode, records, tcp);
    if header.opcode() != Opcode::QUERY {
        return say(Rcode::NOTIMP, Records::None);
    }
    let Ok(question) = message.sole_question() else {
        return say(Rcode::FORMERR, Records::None);
    };
    if message.opt().is_some_and(|opt| opt.version() > 0) {
        return bad_version(message);
    }
    let (kind, class) = (question.qtype(), question.qclass());
    if [Rtype::AXFR, Rtype::IXFR].contains(&kind) {
        return say(Rcode::REFUSED, Records::None);
    }
    let name = text(question.qname());
    if let (Some(name), Class::IN | Class::ANY) = (&name, class)
        && let Some((rcode, records)) = own(name, kind, asker, zones, random)
    {
        return say(rcode, records);
    }
    if !asker.forward {
        return say(Rcode::NXDOMAIN, Records::None);
    }
    let single = name.is_some_and(|name| !name.is_empty() && !name.contains('.'));
    if single
        && asker.single_labels == SingleLabels::Unknown
        && [Rtype::A, Rtype::AAAA].contains(&kind)
    {
        return say(Rcode::NXDOMAIN, Records::None);
    }
    Verdict::Forward
}

/// "The server could not", for a message that was to be forwarded.
pub(crate) fn failure(bytes: &[u8], tcp: bool) -> Option<Vec<u8>> {
    let message = Message::from_octets(bytes).ok()?;
    match reply(message, Rcode::SERVFAIL, Records::None, tcp) {
        Verdict::Reply(bytes) => Some(bytes),
        Verdict::Forward | Verdict::Ignore => None,
    }
}

/// A name as our names are compared: lower case, without a dot at its end. Names with a dot inside
/// a label, or that are no text, are none of ours.
fn text(name: &ParsedName<&[u8]>) -> Option<String> {
    let mut all = Vec::with_capacity(64);
    for label in name.iter_labels() {
        let label = label.as_slice();
        if label.contains(&b'.') {
            return None;
        }
        if !label.is_empty() && !all.is_empty() {
            all.push(b'.');
        }
        all.extend(label.iter().map(u8::to_ascii_lowercase));
    }
    String::from_utf8(all).ok()
}

/// What we know ourselves.
fn own(
    name: &str,
    kind: Rtype,
    asker: &Asker,
    zones: &Zones,
    random: &mut Random,
) -> Option<(Rcode, Records)> {
    if let Some(ip) = reverse_address(name) {
        return match zones.reverse(asker, ip) {
            Reverse::Name(host) if [Rtype::PTR, Rtype::ANY].contains(&kind) => {
                Some((Rcode::NOERROR, Records::Name(host)))
            }
            Reverse::Name(_) => Some((Rcode::NOERROR, Records::None)),
            Reverse::Nobody => Some((Rcode::NXDOMAIN, Records::None)),
            Reverse::Elsewhere => None,
        };
    }
    let mut addresses = zones.addresses(asker, name, |ip| match kind {
        Rtype::A => ip.is_ipv4(),
        Rtype::AAAA => ip.is_ipv6(),
        _ => kind == Rtype::ANY,
    })?;
    random.shuffle(&mut addresses);
    Some((Rcode::NOERROR, Records::Addresses(addresses)))
}

/// The address that a name below `in-addr.arpa` or `ip6.arpa` stands for.
fn reverse_address(name: &str) -> Option<IpAddr> {
    if let Some(name) = name.strip_suffix(".in-addr.arpa") {
        let mut bytes = [0_u8; 4];
        let mut parts = name.split('.');
        for byte in bytes.iter_mut().rev() {
            *byte = parts.next()?.parse().ok()?;
        }
        return parts.next().is_none().then(|| Ipv4Addr::from(bytes).into());
    }
    let name = name.strip_suffix(".ip6.arpa")?;
    let mut bits = 0_u128;
    let mut count = 0;
    for part in name.rsplit('.') {
        let digit = (part.len() == 1).then(|| u128::from_str_radix(part, 16).ok());
        bits = bits << 4 | digit.flatten()?;
        count += 1;
    }
    (count == 32).then(|| Ipv6Addr::from_bits(bits).into())
}

/// How much may be said in one message.
fn limit(message: &Message<&[u8]>, tcp: bool) -> usize {
    if tcp {
        return u16::MAX.into();
    }
    let size = message
        .opt()
        .map_or(PLAIN_SIZE, |opt| opt.udp_payload_size());
    size.clamp(PLAIN_SIZE, MOST).into()
}

fn reply(message: Message<&[u8]>, rcode: Rcode, records: Records, tcp: bool) -> Verdict {
    match build(message, rcode, &records, tcp) {
        Ok(bytes) => Verdict::Reply(bytes),
        // Only where a question alone is longer than what may be said.
        Err(_) => Verdict::Ignore,
    }
}

fn build(
    message: Message<&[u8]>,
    rcode: Rcode,
    records: &Records,
    tcp: bool,
) -> Result<Vec<u8>, PushError> {
    let target = StaticCompressor::new(Vec::with_capacity(PLAIN_SIZE.into()));
    let mut builder = MessageBuilder::from_target(target).map_err(|_| PushError::ShortBuf)?;
    let opt = message.opt();
    let spare = if opt.is_some() { OPT_LEN } else { 0 };
    let most = limit(&message, tcp);
    builder.set_push_limit(most - spare);
    let mut answer = builder.start_answer(&message, rcode)?;
    answer.header_mut().set_ra(true);
    answer
        .header_mut()
        .set_aa(rcode == Rcode::NOERROR || rcode == Rcode::NXDOMAIN);
    let mut all = true;
    if let Ok(question) = message.sole_question() {
        let name = question.qname();
        let mut push = |ip: &IpAddr| match ip {
            IpAddr::V4(ip) => answer.push((name, Class::IN, TTL, A::new(*ip))),
            IpAddr::V6(ip) => answer.push((name, Class::IN, TTL, Aaaa::new(*ip))),
        };
        match records {
            Records::None => {}
            Records::Addresses(list) => all = list.iter().all(|ip| push(ip).is_ok()),
            Records::Name(host) => {
                // A name that no answer can hold has none.
                if let Ok(host) = Name::<Vec<u8>>::vec_from_str(host) {
                    all = answer.push((name, Class::IN, TTL, Ptr::new(host))).is_ok();
                }
            }
        }
    }
    answer.header_mut().set_tc(!all);
    let mut additional = answer.additional();
    if opt.is_some() {
        additional.set_push_limit(most);
        additional.opt(|opt| {
            opt.set_udp_payload_size(OUR_SIZE);
            Ok(())
        })?;
    }
    Ok(additional.finish().into_target())
}

/// EDNS of a version that does not exist yet.
fn bad_version(message: Message<&[u8]>) -> Verdict {
    let built = (|| {
        let builder = MessageBuilder::new_vec();
        let answer = builder.start_answer(&message, Rcode::NOERROR)?;
        let mut additional = answer.additional();
        additional.opt(|opt| {
            opt.set_udp_payload_size(OUR_SIZE);
            opt.set_rcode(OptRcode::BADVERS);
            Ok(())
        })?;
        Ok::<_, PushError>(additional.finish())
    })();
    built.map_or(Verdict::Ignore, Verdict::Reply)
}
