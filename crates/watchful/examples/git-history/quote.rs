//! A path as git prints it: as it is, or between quotes and with escapes where a plain line could not hold it.
//!
//! The rule is `core.quotePath`'s (git-config(1)): control characters, `"` and `\` are always escaped; bytes above 0x7f are
//! where that setting is on, as it is by default.

use std::fmt::Write as _;

/// Appends `path` as git prints it.
pub(crate) fn push_quoted(path: &[u8], quote_high_bytes: bool, line: &mut Vec<u8>) {
    if !path.iter().any(|byte| needs_escape(*byte, quote_high_bytes)) {
        return line.extend_from_slice(path);
    }
    line.push(b'"');
    for byte in path {
        push_byte(*byte, quote_high_bytes, line);
    }
    line.push(b'"');
}

/// A path for people, with everything escaped that is not plain text.
pub(crate) fn quoted(path: &[u8]) -> String {
    let mut line = Vec::new();
    push_quoted(path, true, &mut line);
    String::from_utf8_lossy(&line).into_owned()
}

fn needs_escape(byte: u8, quote_high_bytes: bool) -> bool {
    match byte {
        0..=0x1f | b'"' | b'\\' | 0x7f => true,
        0x80.. => quote_high_bytes,
        _ => false,
    }
}

fn push_byte(byte: u8, quote_high_bytes: bool, line: &mut Vec<u8>) {
    if !needs_escape(byte, quote_high_bytes) {
        return line.push(byte);
    }
    let letter = match byte {
        0x07 => b'a',
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0b => b'v',
        0x0c => b'f',
        b'\r' => b'r',
        b'"' | b'\\' => byte,
        _ => return push_octal(byte, line),
    };
    line.extend_from_slice(&[b'\\', letter]);
}

fn push_octal(byte: u8, line: &mut Vec<u8>) {
    let mut octal = String::new();
    // Writing into a string cannot fail.
    let _ = write!(octal, "\\{byte:03o}");
    line.extend_from_slice(octal.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &[u8], on: &str, off: &[u8]) {
        assert_eq!(quoted(path), on);
        let mut line = Vec::new();
        push_quoted(path, false, &mut line);
        assert_eq!(line, off, "with core.quotePath off");
    }

    #[test]
    fn paths_are_quoted_as_git_does() {
        check(b"plain name/x.rs", "plain name/x.rs", b"plain name/x.rs");
        check(b"a\tb\n\"\\", r#""a\tb\n\"\\""#, br#""a\tb\n\"\\""#);
        check(b"\x07\x08\x0b\x0c\r\x01\x7f", r#""\a\b\v\f\r\001\177""#, br#""\a\b\v\f\r\001\177""#);
        check("ü".as_bytes(), r#""\303\274""#, "ü".as_bytes());
        check(b"\xff\"", r#""\377\"""#, b"\"\xff\\\"\"");
    }
}
