//! Constraints: on which nodes a service's tasks may run, as users write it (`node.labels.zone!=a`).
//!
//! What is accepted, and what it means, is SwarmKit's: an unknown subject is no error but fits no node, a
//! missing label has the empty value, letters' case never counts in a value, and a value is no pattern
//! though characters of patterns may be in it. One thing is friendlier: an architecture goes by all its
//! names (`amd64` and `x86_64`), as for an image's platforms.

use std::fmt;
use std::net::IpAddr;

use swarm_api::Node;

/// What is wrong with a constraint's text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It has no operator.
    #[error("constraint expected one operator from ==, !=")]
    Operator,
    /// What stands before the operator.
    #[error("key '{0}' is invalid")]
    Key(String),
    /// What stands after it.
    #[error("value '{0}' is invalid")]
    Value(String),
}

/// One constraint, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constraint {
    key: String,
    subject: Subject,
    /// `==`, where it is not `!=`.
    equal: bool,
    value: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Subject {
    Id,
    Hostname,
    Ip,
    Role,
    Os,
    Arch,
    NodeLabel(String),
    EngineLabel(String),
    Unknown,
}

/// Reads a service's constraints.
///
/// # Errors
/// With the first that cannot be read.
pub fn parse(texts: &[String]) -> Result<Vec<Constraint>, Error> {
    texts.iter().map(|text| Constraint::parse(text)).collect()
}

/// Whether a node fits all of them.
#[must_use]
pub fn fits(constraints: &[Constraint], node: &Node) -> bool {
    constraints.iter().all(|c| c.fits(node))
}

impl Constraint {
    /// Reads one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (equal, (key, value)) = match text.split_once("==") {
            Some(parts) => (true, parts),
            None => (false, text.split_once("!=").ok_or(Error::Operator)?),
        };
        let (key, value) = (key.trim(), value.trim());
        if !is_key(key) {
            return Err(Error::Key(key.to_owned()));
        }
        if !is_value(value) {
            return Err(Error::Value(value.to_owned()));
        }
        Ok(Self {
            key: key.to_owned(),
            subject: Subject::of(key),
            equal,
            value: value.to_owned(),
        })
    }

    /// Whether a node fits it.
    #[must_use]
    pub fn fits(&self, node: &Node) -> bool {
        let about = &node.description;
        match &self.subject {
            Subject::Id => self.is(&node.id.to_string()),
            Subject::Hostname => self.is(&about.hostname),
            Subject::Ip => self.fits_addr(&node.addr),
            Subject::Role => self.is(node.role.word()),
            Subject::Os => self.is(&about.platform.os),
            Subject::Arch => {
                let same = arch(&about.platform.architecture) == arch(&self.value);
                same == self.equal
            }
            Subject::NodeLabel(name) => self.is(label(node.spec.labels.get(name))),
            Subject::EngineLabel(name) => self.is(label(about.engine.labels.get(name))),
            Subject::Unknown => false,
        }
    }

    fn is(&self, value: &str) -> bool {
        same(value, &self.value) == self.equal
    }

    /// An address, or a network in the form `address/length`. What is neither fits no node.
    fn fits_addr(&self, addr: &str) -> bool {
        let Ok(addr) = addr.parse::<IpAddr>() else {
            // A node whose address is not known is not the one that was named.
            return !self.equal;
        };
        if let Ok(wanted) = self.value.parse::<IpAddr>() {
            return (wanted == addr) == self.equal;
        }
        let network = self.value.split_once('/');
        let network = network.and_then(|(net, length)| {
            let net = net.parse::<IpAddr>().ok()?;
            Some((net, length.parse::<u32>().ok()?))
        });
        match network {
            Some((net, length)) => within(net, length, addr) == self.equal,
            None => false,
        }
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operator = if self.equal { "==" } else { "!=" };
        write!(f, "{}{operator}{}", self.key, self.value)
    }
}

impl Subject {
    fn of(key: &str) -> Self {
        // Words of the key in any case; a label's name as it is.
        let after = |prefix: &str| {
            let (head, tail) = key.split_at_checked(prefix.len())?;
            (head.eq_ignore_ascii_case(prefix) && !tail.is_empty()).then(|| tail.to_owned())
        };
        if let Some(name) = after("node.labels.") {
            return Self::NodeLabel(name);
        }
        if let Some(name) = after("engine.labels.") {
            return Self::EngineLabel(name);
        }
        match key.to_ascii_lowercase().as_str() {
            "node.id" => Self::Id,
            "node.hostname" => Self::Hostname,
            "node.ip" => Self::Ip,
            "node.role" => Self::Role,
            "node.platform.os" => Self::Os,
            "node.platform.arch" => Self::Arch,
            _ => Self::Unknown,
        }
    }
}

fn is_key(key: &str) -> bool {
    let mut bytes = key.bytes();
    let head = bytes.next();
    key.len() > 1
        && head.is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

fn is_value(value: &str) -> bool {
    let good = |b: u8| {
        b.is_ascii_alphanumeric() || b.is_ascii_whitespace() || b":-_.*()?+[]\\^$|/".contains(&b)
    };
    !value.is_empty() && value.bytes().all(good)
}

fn label(value: Option<&String>) -> &str {
    value.map_or("", String::as_str)
}

fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

/// The name by which an architecture is compared.
fn arch(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    match name.as_str() {
        "x86_64" | "x86-64" => "amd64".to_owned(),
        "aarch64" => "arm64".to_owned(),
        "i386" | "i686" => "386".to_owned(),
        _ => name,
    }
}

fn within(net: IpAddr, length: u32, addr: IpAddr) -> bool {
    match (net, addr) {
        (IpAddr::V4(net), IpAddr::V4(addr)) if length <= 32 => {
            let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
            (net.to_bits() ^ addr.to_bits()) & mask == 0
        }
        (IpAddr::V6(net), IpAddr::V6(addr)) if length <= 128 => {
            let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
            (net.to_bits() ^ addr.to_bits()) & mask == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use types::swarm::node::{NodeDescription, NodeRole, NodeSpec};

    use super::*;

    fn node() -> Node {
        let mut description = NodeDescription {
            hostname: "Alpha".into(),
            ..NodeDescription::default()
        };
        description.platform.os = "linux".into();
        description.platform.architecture = "x86_64".into();
        let of_engine = &mut description.engine.labels;
        of_engine.insert("storage".into(), "ssd".into());
        let mut spec = NodeSpec::default();
        spec.labels.insert("zone".into(), "eu-1".into());
        spec.labels.insert("Disk.Kind".into(), "f*o".into());
        Node {
            id: "2ivku8v2gvtg4".into(),
            role: NodeRole::Manager,
            addr: "10.1.2.3".into(),
            spec: Arc::new(spec),
            description: Arc::new(description),
            ..Node::default()
        }
    }

    #[test]
    fn what_can_be_read() {
        for good in [
            " node == node1",
            "NoDe==node1",
            "no.de==node1",
            "_node==_node1",
            "node==[a-b]+c*(n|b)/",
            "node==node 1",
            "node.name==f.-$o",
            "node.ip!=fe80::1/64",
        ] {
            assert!(Constraint::parse(good).is_ok(), "{good}");
        }
        let error = |text: &str| Constraint::parse(text).unwrap_err();
        for bad in ["", " ", "nodeabc", "node ~ abc", "node=abc"] {
            assert_eq!(error(bad), Error::Operator, "{bad}");
        }
        for bad in [
            "1node==a2",
            "no de== node1",
            "no*de==node1",
            "==node1",
            "no$de==node1",
            "a==b",
            "node!=b==c",
        ] {
            assert!(matches!(error(bad), Error::Key(_)), "{bad}");
        }
        for bad in ["node==", "node== ", "node==é", "node===a"] {
            assert!(matches!(error(bad), Error::Value(_)), "{bad}");
        }
        let texts = ["node.id==a".to_owned(), "node".to_owned()];
        assert_eq!(
            parse(&texts).unwrap_err().to_string(),
            "constraint expected one operator from ==, !="
        );
    }

    #[test]
    fn nodes_that_fit() {
        for (text, fits) in [
            ("node.id==2ivku8v2gvtg4", true),
            ("node.id!=2ivku8v2gvtg4", false),
            ("node.hostname==alpha", true),
            ("node.hostname==alph", false),
            ("NODE.ROLE==Manager", true),
            ("node.role!=worker", true),
            ("node.platform.os==linux", true),
            ("node.platform.arch==x86_64", true),
            ("node.platform.arch==amd64", true),
            ("node.platform.arch!=arm64", true),
            ("node.labels.zone==EU-1", true),
            ("node.labels.zone!=eu-1", false),
            ("node.labels.Zone==eu-1", false),
            ("node.labels.none==a", false),
            ("node.labels.none!=a", true),
            ("Node.Labels.Disk.Kind==F*O", true),
            ("node.labels.Disk.Kind==foo", false),
            ("engine.labels.storage==ssd", true),
            ("engine.labels.zone==eu-1", false),
            ("node.ip==10.1.2.3", true),
            ("node.ip==10.1.0.0/16", true),
            ("node.ip!=10.1.0.0/16", false),
            ("node.ip==10.2.0.0/16", false),
            ("node.ip==0.0.0.0/0", true),
            ("node.ip!=nonsense", false),
            ("node.labels.==a", false),
            ("node.unknown!=a", false),
        ] {
            let constraint = Constraint::parse(text).expect(text);
            assert_eq!(constraint.fits(&node()), fits, "{text}");
        }
        let both = ["node.role==manager".to_owned(), "node.id==x".to_owned()];
        assert!(!fits(&parse(&both).unwrap(), &node()));
        assert!(fits(&[], &node()));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,40}") {
            if let Ok(constraint) = Constraint::parse(&text) {
                let again = Constraint::parse(&constraint.to_string());
                prop_assert_eq!(again, Ok(constraint.clone()));
                let _ = constraint.fits(&node());
            }
        }

        #[test]
        fn one_operator_is_the_others_contrary(name in "[a-z]{2,8}", value in "[a-z0-9]{1,8}") {
            let equal = Constraint::parse(&format!("node.labels.{name}=={value}")).unwrap();
            let other = Constraint::parse(&format!("node.labels.{name}!={value}")).unwrap();
            prop_assert_ne!(equal.fits(&node()), other.fits(&node()));
        }
    }
}
