//! TODO
/// TODO
pub fn main(_: &str, _: Vec<std::ffi::OsString>) -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
