//! Other people's tools: where they are, and what a test does that needs one which is missing.

use std::io::Write;
use std::path::PathBuf;

const REQUIRE: &str = "REQUIRE_PEERS";

/// The tool of this name; none where it is not on the PATH, and then the test has said so and should return.
///
/// With `REQUIRE_PEERS=1` a missing tool fails the test.
pub(crate) fn peer(name: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file());
    if found.is_none() {
        skip(&format!("{name} was not found on PATH"));
    }
    found
}

/// Says that a test checks nothing, past the test harness, which keeps what a passing test prints to itself.
pub(crate) fn skip(why: &str) {
    let required = std::env::var(REQUIRE).is_ok_and(|value| value == "1");
    assert!(!required, "{why}, and {REQUIRE}=1 says that it has to be there");
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let line = format!("\nSKIPPED, this test checks nothing: {why} ({test})\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}
