//! `proxies`: variables that every new container gets, unless it was given its own.

use serde_json::Value;

use super::ConfigFile;

/// The members, and the variables that they become, also in small letters.
const VARIABLES: &[(&str, &str)] = &[
    ("httpProxy", "HTTP_PROXY"),
    ("httpsProxy", "HTTPS_PROXY"),
    ("noProxy", "NO_PROXY"),
    ("ftpProxy", "FTP_PROXY"),
    ("allProxy", "ALL_PROXY"),
];

impl ConfigFile {
    /// Adds to `env` what is configured for the daemon at `host`, or for all daemons.
    pub(crate) fn add_proxies(&self, host: &str, env: &mut Vec<String>) {
        let all = self.value().get("proxies");
        let Some(ours) = all.and_then(|all| all.get(host).or_else(|| all.get("default"))) else {
            return;
        };
        for (member, upper) in VARIABLES {
            let value = ours.get(member).and_then(Value::as_str).unwrap_or_default();
            if value.is_empty() {
                continue;
            }
            for name in [(*upper).to_owned(), upper.to_lowercase()] {
                let given = env.iter().any(|e| e.split('=').next() == Some(&name));
                if !given {
                    env.push(format!("{name}={value}"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_is_left_alone() {
        let config = ConfigFile::new(Some("/nonexistent"));
        let value = serde_json::json!({"proxies": {
            "default": {"httpProxy": "http://a", "noProxy": "x"},
            "unix:///b": {"ftpProxy": "ftp://b"},
        }});
        let _ = config.value.set(value.as_object().unwrap().clone());
        let mut env = vec!["http_proxy=mine".to_owned(), "NO_PROXY".to_owned()];
        config.add_proxies("tcp://elsewhere", &mut env);
        assert_eq!(
            env,
            [
                "http_proxy=mine",
                "NO_PROXY",
                "HTTP_PROXY=http://a",
                "no_proxy=x"
            ]
        );
        let mut env = Vec::new();
        config.add_proxies("unix:///b", &mut env);
        assert_eq!(env, ["FTP_PROXY=ftp://b", "ftp_proxy=ftp://b"]);
    }
}
