//! What `--cache-from` and `--cache-to` say.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::boolean;

/// Where a cache is read from or written to: `type=registry,ref=…`, and so on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheTarget {
    /// `registry`, `inline` or `local`; `image` is docker's classic `cachefrom`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The other attributes as the user wrote them. Of a directory to read from, the client adds
    /// `context`, by which it sent what is there; of one to write to, `have`: the blobs that are
    /// there, `<digest>:<length>,…`.
    pub attributes: BTreeMap<String, String>,
}

/// A cache to read from, as it was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheSource {
    /// A cache in a registry, or an image there that carries one.
    Registry {
        /// Its name.
        name: String,
        /// Verified TLS need not be.
        insecure: bool,
    },
    /// A directory of the client's.
    Local {
        /// What the user calls it.
        dir: String,
        /// The context that has its files; empty before they were sent.
        context: String,
    },
    /// An image that is here, if it is.
    Image(String),
}

/// A cache to write, as it was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheSink {
    /// Where.
    pub place: CachePlace,
    /// Steps of all stages, not only of those that the result stands on.
    pub max: bool,
    /// The build works even if this does not.
    pub ignore_error: bool,
}

/// Where a cache is written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CachePlace {
    /// Into the image that is made.
    Inline,
    /// To a registry.
    Registry {
        /// Its name.
        name: String,
        /// Verified TLS need not be.
        insecure: bool,
    },
    /// To a directory of the client's.
    Local {
        /// The name that the client is told of it.
        dir: String,
        /// Blobs that are there, by their digests without the algorithm, and their lengths.
        have: BTreeMap<String, u64>,
    },
}

/// Blobs that a client says it has.
const MAX_HAVE: usize = 20_000;

/// Reads `<digest>:<length>,…`, of which nothing else is believed than that it need not be sent.
fn have(text: &str) -> BTreeMap<String, u64> {
    let pairs = text.split(',').filter_map(|one| one.split_once(':'));
    let pairs = pairs.filter_map(|(digest, size)| Some((digest.to_owned(), size.parse().ok()?)));
    pairs.take(MAX_HAVE).collect()
}

/// The attributes of one flag, taken one by one; what nobody took is refused.
struct Attributes<'a> {
    flag: &'a str,
    kind: &'a str,
    left: BTreeMap<&'a str, &'a str>,
}

impl<'a> Attributes<'a> {
    fn new(flag: &'a str, target: &'a CacheTarget) -> Self {
        let all = target.attributes.iter();
        Self {
            flag,
            kind: &target.kind,
            left: all.map(|(n, v)| (n.as_str(), v.as_str())).collect(),
        }
    }

    fn take(&mut self, name: &str) -> Option<&'a str> {
        self.left.remove(name).filter(|value| !value.is_empty())
    }

    fn need(&mut self, name: &str) -> Result<String, String> {
        let (flag, kind) = (self.flag, self.kind);
        let missing = || format!("{flag} type={kind} needs {name}=");
        self.take(name).map(str::to_owned).ok_or_else(missing)
    }

    fn on(&mut self, name: &str) -> Result<bool, String> {
        let Some(value) = self.take(name) else {
            return Ok(false);
        };
        let flag = self.flag;
        boolean::parse(value).ok_or_else(|| format!("{flag} {name}={value}: it is true or false"))
    }

    /// What is done in any case may be asked for.
    fn only(&mut self, name: &str, value: &str) {
        if self.left.get(name).is_some_and(|given| {
            *given == value
                || boolean::parse(value).is_some_and(|v| boolean::parse(given) == Some(v))
        }) {
            self.left.remove(name);
        }
    }

    fn end(self) -> Result<(), String> {
        match self.left.first_key_value() {
            None => Ok(()),
            Some((name, value)) => Err(format!(
                "{} type={}: {name}={value} is not supported by wharf yet",
                self.flag, self.kind
            )),
        }
    }
}

fn unknown(flag: &str, kind: &str) -> String {
    format!("{flag} type={kind} is not supported by wharf yet: there are registry, inline, local")
}

impl CacheTarget {
    /// As `--cache-from`.
    ///
    /// # Errors
    /// With the reason, when it has what is not supported or lacks what is needed.
    pub fn source(&self) -> Result<CacheSource, String> {
        let flag = "--cache-from";
        let mut all = Attributes::new(flag, self);
        let source = match self.kind.as_str() {
            "registry" => CacheSource::Registry {
                name: all.need("ref")?,
                insecure: all.on("registry.insecure")?,
            },
            "local" => {
                all.only("tag", "latest");
                CacheSource::Local {
                    dir: all.need("src")?,
                    context: all.take("context").unwrap_or_default().to_owned(),
                }
            }
            "image" => CacheSource::Image(all.need("ref")?),
            "inline" => {
                return Err(format!(
                    "{flag} type=inline: what an image carries is read with type=registry,ref=IMAGE"
                ));
            }
            other => return Err(unknown(flag, other)),
        };
        all.end()?;
        Ok(source)
    }

    /// As `--cache-to`.
    ///
    /// # Errors
    /// With the reason, when it has what is not supported or lacks what is needed.
    pub fn sink(&self) -> Result<CacheSink, String> {
        let flag = "--cache-to";
        let mut all = Attributes::new(flag, self);
        let place = match self.kind.as_str() {
            "inline" => {
                all.only("mode", "min");
                all.end()?;
                return Ok(CacheSink {
                    place: CachePlace::Inline,
                    max: false,
                    ignore_error: false,
                });
            }
            "registry" => CachePlace::Registry {
                name: all.need("ref")?,
                insecure: all.on("registry.insecure")?,
            },
            "local" => {
                all.only("tag", "latest");
                CachePlace::Local {
                    dir: all.need("dest")?,
                    have: have(all.take("have").unwrap_or_default()),
                }
            }
            other => return Err(unknown(flag, other)),
        };
        let max = match all.take("mode") {
            None | Some("min") => false,
            Some("max") => true,
            Some(other) => return Err(format!("{flag} mode={other}: it is min or max")),
        };
        let ignore_error = all.on("ignore-error")?;
        for (name, value) in [
            ("image-manifest", "true"),
            ("oci-mediatypes", "true"),
            ("compression", "gzip"),
            ("force-compression", "false"),
        ] {
            all.only(name, value);
        }
        all.end()?;
        Ok(CacheSink {
            place,
            max,
            ignore_error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(kind: &str, attributes: &[(&str, &str)]) -> CacheTarget {
        let attributes = attributes.iter();
        CacheTarget {
            kind: kind.to_owned(),
            attributes: attributes
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .collect(),
        }
    }

    #[test]
    fn what_is_asked_for_is_understood_or_refused_by_name() {
        let all = [
            ("ref", "r/x"),
            ("mode", "max"),
            ("image-manifest", "1"),
            ("oci-mediatypes", "true"),
            ("compression", "gzip"),
            ("ignore-error", "true"),
        ];
        let sink = target("registry", &all).sink().unwrap();
        assert!(sink.max && sink.ignore_error);
        assert!(matches!(
            sink.place,
            CachePlace::Registry {
                insecure: false,
                ..
            }
        ));
        assert_eq!(
            target("inline", &[("mode", "min")]).sink().unwrap().place,
            CachePlace::Inline
        );
        for (kind, attributes, text) in [
            ("registry", &[][..], "--cache-to type=registry needs ref="),
            (
                "local",
                &[("dest", "")],
                "--cache-to type=local needs dest=",
            ),
            (
                "registry",
                &[("ref", "x"), ("oci-mediatypes", "false")],
                "--cache-to type=registry: oci-mediatypes=false is not supported by wharf yet",
            ),
            (
                "inline",
                &[("mode", "max")],
                "--cache-to type=inline: mode=max is not supported by wharf yet",
            ),
            (
                "registry",
                &[("ref", "x"), ("mode", "some")],
                "--cache-to mode=some: it is min or max",
            ),
            (
                "gha",
                &[],
                "--cache-to type=gha is not supported by wharf yet: there are registry, inline, local",
            ),
        ] {
            assert_eq!(target(kind, attributes).sink().unwrap_err(), text);
        }
        let have = target("local", &[("dest", "/d"), ("have", "aa:5,b,cc:x,dd:7")]).sink();
        let CachePlace::Local { have, .. } = have.unwrap().place else {
            panic!("it is local");
        };
        assert_eq!(
            have.into_iter().collect::<Vec<_>>(),
            [("aa".into(), 5), ("dd".into(), 7)]
        );
        let local = target("local", &[("src", "/d"), ("context", "c")]).source();
        assert!(matches!(local, Ok(CacheSource::Local { .. })));
        for bad in [
            target("local", &[]),
            target("inline", &[]),
            target("s3", &[]),
            target("registry", &[("ref", "x"), ("digest", "y")]),
        ] {
            assert!(bad.source().is_err(), "{bad:?}");
        }
    }
}
