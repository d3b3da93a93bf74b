//! Mount options as the specification spells them, sorted by who acts on them.

use rustix::mount::MountAttrFlags;

use crate::oci::error::{Error, Result};

const MS_UNBINDABLE: u64 = 1 << 17;
pub(super) const MS_PRIVATE: u64 = 1 << 18;
pub(super) const MS_SLAVE: u64 = 1 << 19;
pub(super) const MS_SHARED: u64 = 1 << 20;

/// `MOUNT_ATTR__ATIME`: how access times are kept.
pub(super) const ATIME: u64 = 0x70;

/// Where mount events go and come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Propagation {
    pub(super) kind: u64,
    pub(super) recursive: bool,
}

impl Propagation {
    pub(super) const PRIVATE: Self = Self {
        kind: MS_PRIVATE,
        recursive: true,
    };

    /// `None` if it is no propagation.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (kind, recursive) = match text {
            "private" => (MS_PRIVATE, false),
            "rprivate" => (MS_PRIVATE, true),
            "slave" => (MS_SLAVE, false),
            "rslave" => (MS_SLAVE, true),
            "shared" => (MS_SHARED, false),
            "rshared" => (MS_SHARED, true),
            "unbindable" => (MS_UNBINDABLE, false),
            "runbindable" => (MS_UNBINDABLE, true),
            _ => return None,
        };
        Some(Self { kind, recursive })
    }
}

/// Attributes to set and to clear (`MOUNT_ATTR_*`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Attrs {
    pub(super) set: u64,
    pub(super) clear: u64,
}

impl Attrs {
    fn add(&mut self, flag: MountAttrFlags, on: bool) {
        let bits = u64::from(flag.bits());
        if on {
            self.set |= bits;
            self.clear &= !bits;
        } else {
            self.set &= !bits;
            self.clear |= bits;
        }
    }

    fn atime(&mut self, flag: MountAttrFlags) {
        let all = u64::from(MountAttrFlags::MOUNT_ATTR__ATIME.bits());
        self.set = self.set & !all | u64::from(flag.bits());
        self.clear |= all;
    }

    pub(super) fn is_empty(self) -> bool {
        self.set == 0 && self.clear == 0
    }

    pub(super) fn readonly(self) -> bool {
        self.set & u64::from(MountAttrFlags::MOUNT_ATTR_RDONLY.bits()) != 0
    }

    pub(super) fn without_readonly(mut self) -> Self {
        self.set &= !u64::from(MountAttrFlags::MOUNT_ATTR_RDONLY.bits());
        self
    }
}

/// All that a mount's `options` can say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Options {
    /// `bind` or `rbind`.
    pub(super) bind: bool,
    /// `rbind`.
    pub(super) recursive: bool,
    /// For the mount itself.
    pub(super) attrs: Attrs,
    /// For it and all below.
    pub(super) rec_attrs: Attrs,
    pub(super) propagation: Option<Propagation>,
    /// `idmap` or `ridmap`.
    pub(super) idmap: bool,
    pub(super) ridmap: bool,
    pub(super) tmpcopyup: bool,
    /// Flags of the file system itself: `sync`, `dirsync`, `lazytime`, `mand`.
    pub(super) fs_flags: Vec<&'static str>,
    /// What is left: the file system's own.
    pub(super) data: Vec<(String, Option<String>)>,
}

impl Options {
    /// Sorts them. What contradicts something before it wins.
    pub(super) fn parse(options: &[String]) -> Self {
        let mut all = Self::default();
        for option in options {
            all.one(option);
        }
        all
    }

    fn one(&mut self, option: &str) {
        if let Some(propagation) = Propagation::parse(option) {
            self.propagation = Some(propagation);
            return;
        }
        let plain = option.strip_prefix('r').filter(|o| is_attr(o));
        if let Some(plain) = plain {
            attr(&mut self.rec_attrs, plain);
            return;
        }
        if attr(&mut self.attrs, option) {
            return;
        }
        match option {
            "bind" => self.bind = true,
            "rbind" => (self.bind, self.recursive) = (true, true),
            "idmap" => self.idmap = true,
            "ridmap" => (self.idmap, self.ridmap) = (true, true),
            "tmpcopyup" => self.tmpcopyup = true,
            // What holds anyway, and what never changed anything.
            "defaults" | "" | "loud" | "silent" | "norelatime" | "nostrictatime" | "iversion"
            | "noiversion" => {}
            "sync" => self.flag("sync", true),
            "async" => self.flag("sync", false),
            "dirsync" => self.flag("dirsync", true),
            "lazytime" => self.flag("lazytime", true),
            "nolazytime" => self.flag("lazytime", false),
            "mand" => self.flag("mand", true),
            "nomand" => self.flag("mand", false),
            _ => self.data.push(match option.split_once('=') {
                Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                None => (option.to_owned(), None),
            }),
        }
    }

    fn flag(&mut self, flag: &'static str, on: bool) {
        self.fs_flags.retain(|f| *f != flag);
        if on {
            self.fs_flags.push(flag);
        }
    }

    /// Refuses by name what a bind mount cannot do.
    pub(super) fn check_bind(&self, field: &str) -> Result<()> {
        let foreign = self
            .data
            .first()
            .map(|(key, _)| key.as_str())
            .or(self.fs_flags.first().copied())
            .or(self.tmpcopyup.then_some("tmpcopyup"));
        match foreign {
            Some(option) => Err(Error::config(
                format!("{field}.options"),
                format!("{option:?} is not an option of a bind mount"),
            )),
            None => Ok(()),
        }
    }
}

/// Whether a name with an `r` before it is the recursive form of an attribute; `relatime` is none.
fn is_attr(name: &str) -> bool {
    attr(&mut Attrs::default(), name)
}

fn attr(attrs: &mut Attrs, name: &str) -> bool {
    use MountAttrFlags as A;
    match name {
        "ro" => attrs.add(A::MOUNT_ATTR_RDONLY, true),
        "rw" => attrs.add(A::MOUNT_ATTR_RDONLY, false),
        "nosuid" => attrs.add(A::MOUNT_ATTR_NOSUID, true),
        "suid" => attrs.add(A::MOUNT_ATTR_NOSUID, false),
        "nodev" => attrs.add(A::MOUNT_ATTR_NODEV, true),
        "dev" => attrs.add(A::MOUNT_ATTR_NODEV, false),
        "noexec" => attrs.add(A::MOUNT_ATTR_NOEXEC, true),
        "exec" => attrs.add(A::MOUNT_ATTR_NOEXEC, false),
        "nodiratime" => attrs.add(A::MOUNT_ATTR_NODIRATIME, true),
        "diratime" => attrs.add(A::MOUNT_ATTR_NODIRATIME, false),
        "nosymfollow" => attrs.add(A::MOUNT_ATTR_NOSYMFOLLOW, true),
        "symfollow" => attrs.add(A::MOUNT_ATTR_NOSYMFOLLOW, false),
        "noatime" => attrs.atime(A::MOUNT_ATTR_NOATIME),
        "relatime" | "atime" => attrs.atime(A::MOUNT_ATTR_RELATIME),
        "strictatime" => attrs.atime(A::MOUNT_ATTR_STRICTATIME),
        _ => return false,
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &[&str]) -> Options {
        let options: Vec<String> = options.iter().map(|o| (*o).to_owned()).collect();
        Options::parse(&options)
    }

    #[test]
    fn sorted_by_who_acts() {
        let o = parse(&["rbind", "ro", "rnosuid", "rslave", "mode=755", "sync"]);
        assert!(o.bind && o.recursive && o.attrs.readonly() && !o.rec_attrs.readonly());
        assert_eq!(o.rec_attrs.set, 2);
        assert_eq!(o.propagation, Propagation::parse("rslave"));
        assert_eq!(o.data, [("mode".to_owned(), Some("755".to_owned()))]);
        assert_eq!(o.fs_flags, ["sync"]);
    }

    #[test]
    fn the_last_counts() {
        let o = parse(&["ro", "rw", "noexec", "exec", "noatime", "strictatime"]);
        assert_eq!(o.attrs.set, 0x20);
        assert_eq!(o.attrs.clear, 0x70 | 1 | 8);
        assert!(parse(&["rro", "relatime"]).rec_attrs.readonly());
        assert_eq!(parse(&["relatime"]).rec_attrs, Attrs::default());
    }

    #[test]
    fn foreign_options_of_a_bind_are_named() {
        for bad in ["size=1", "sync", "tmpcopyup", "fly"] {
            let error = parse(&["bind", bad]).check_bind("mounts[3]").unwrap_err();
            let name = bad.split('=').next().unwrap();
            assert!(error.to_string().contains(name), "{error}");
            assert!(error.to_string().contains("mounts[3].options"));
        }
    }
}
