//! The language of Dockerfiles and of `.dockerignore`: texts in, values or located errors out.
//!
//! Pure: no files, no clock, no runtime. The parser is our own so that each error can name line
//! and column, draw the line and say what to write instead; what it accepts, and the wording of
//! what it does not, follows BuildKit's, as people search the web for those sentences.
//! Words stay unexpanded: what a variable is worth depends on the build, see [`expand`].

mod ast;
mod call;
mod check;
mod draw;
mod error;
mod expand;
mod glob;
mod ignore;
mod locate;
mod parse;
mod span;
mod suggest;
mod text;

pub use ast::{
    Argument, Command, Copy, Dockerfile, From, Healthcheck, Heredoc, Instruction, Run, Source,
    Stage,
};
pub use ast::{Check, Directives, Mount, MountKind, Sharing};
pub use call::{Outline, Taken, TakenArgument, Target, outline, targets};
pub use check::{Warning, base_image_platform, base_images, check, check_with, fails};
pub use error::Error;
pub use expand::{Expanded, Variables, expand, expand_raw, expand_words};
pub use glob::glob_match;
pub use ignore::Patterns;
pub use locate::error_at;
pub use parse::{parse, parse_instruction};
pub use span::{Located, Span};
