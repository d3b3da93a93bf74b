//! Users by name, for people to read.

/// The name of a user, or its number where none is known. A static program asks no name service.
pub(super) fn name(uid: u32) -> String {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    find(&passwd, uid).map_or_else(|| format!("#{uid}"), str::to_owned)
}

fn find(passwd: &str, uid: u32) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn names() {
        let passwd = "root:x:0:0::/root:/bin/sh\nbad\na:x:7:8::/:\n";
        assert_eq!(super::find(passwd, 7), Some("a"));
        assert_eq!(super::find(passwd, 8), None);
    }
}
