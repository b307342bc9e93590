//! (front page)
fn main() {}
