//! The differential test.
fn main() {}
