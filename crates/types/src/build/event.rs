//! What a client is told while a build runs. The parts are those of BuildKit's `rawjson` progress.

use serde::{Deserialize, Serialize};

/// A step of a build.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Vertex {
    /// Names the step within this build: `sha256:…`.
    pub digest: String,
    /// What is shown: `[stage 2/5] RUN make`.
    pub name: String,
    /// RFC 3339, from its start on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<String>,
    /// RFC 3339, from its end on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed: Option<String>,
    /// It was taken from the cache.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cached: bool,
    /// Why it failed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error: String,
}

/// How far a transfer within a step is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// What is transferred.
    pub id: String,
    /// The step's digest.
    pub vertex: String,
    /// What is done with it: `downloading`, …
    pub name: String,
    /// Bytes that are to come in all; 0 where nobody knows.
    pub total: i64,
    /// Bytes until now.
    pub current: i64,
    /// RFC 3339.
    pub timestamp: String,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<String>,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed: Option<String>,
}

/// What a step wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BuildLog {
    /// The step's digest.
    pub vertex: String,
    /// 1 for standard output, 2 for standard error.
    pub stream: u8,
    /// Base64 of the bytes.
    pub data: String,
    /// RFC 3339.
    pub timestamp: String,
}

/// Something in the Dockerfile that is no error.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BuildWarning {
    /// The rule: `JSONArgsRecommended`.
    pub rule: String,
    /// What the rule is about.
    pub description: String,
    /// More about the rule.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// What is wrong here.
    pub message: String,
    /// The file.
    pub file: String,
    /// Its first line, from 1.
    pub line: u32,
    /// Its column, from 1.
    pub column: u32,
    /// Its last line.
    pub end_line: u32,
    /// The lines, for a drawing.
    pub source: Vec<String>,
}

/// The end of a build that went well.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Built {
    /// The image's identifier, `sha256:…` of its configuration; empty where none was made.
    pub image: String,
    /// Digest of its manifest.
    pub manifest: String,
    /// Length of its manifest.
    pub manifest_size: u64,
    /// Media type of its manifest.
    pub media_type: String,
    /// Its names.
    pub names: Vec<String>,
    /// What was asked for by [`super::BuildRequest::call`], as JSON.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub answer: String,
}

/// One line of a build's progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BuildEvent {
    /// A step begins, or ends; the newest word on it counts.
    Vertex(Vertex),
    /// A transfer goes on.
    Status(Status),
    /// A step wrote something.
    Log(BuildLog),
    /// Something to be told after the build.
    Warning(BuildWarning),
    /// A step asks the client's SSH agent: the bytes go to it as they are.
    Agent(AgentFrame),
    /// What comes of archives from here on is the cache for this directory of the client's.
    Cache(String),
    /// The last line of a build that went well.
    Built(Built),
    /// The last line of one that did not: the text to show, ready with drawing and advice.
    Error(String),
}

/// Bytes between a step and the client's SSH agent. From the client they come as lines of JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentFrame {
    /// The agent's name; needed in the first frame of a connection.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub agent: String,
    /// Names the connection.
    pub connection: u32,
    /// Base64 of the bytes; empty at its end.
    pub data: String,
}
