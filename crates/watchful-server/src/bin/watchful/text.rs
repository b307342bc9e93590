//! Bytes as text that people read, and the quotes they write.

use std::fmt::Write as _;

/// Bytes as they are where they are text without control characters; otherwise in quotes, with escapes.
pub(crate) fn shown(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => quoted(bytes),
    }
}

fn quoted(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() + 2);
    text.push('"');
    for chunk in bytes.utf8_chunks() {
        chunk.valid().chars().for_each(|one| push_escaped(&mut text, one));
        push_hex(&mut text, chunk.invalid());
    }
    text.push('"');
    text
}

fn push_escaped(text: &mut String, one: char) {
    match one {
        '\n' => text.push_str("\\n"),
        '\r' => text.push_str("\\r"),
        '\t' => text.push_str("\\t"),
        '"' | '\\' => text.extend(['\\', one]),
        one if one.is_control() => push_hex(text, one.encode_utf8(&mut [0; 4]).as_bytes()),
        one => text.push(one),
    }
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // A String takes everything.
        let _ = write!(text, "\\x{byte:02x}");
    }
}

/// Splits a line into words as a shell does: by spaces, but not those in quotes. `"…"` knows the escapes that
/// [`shown`] writes, `'…'` none.
pub(crate) fn words(line: &str) -> Result<Vec<Vec<u8>>, String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let (word, after) = word(rest, |one| one.is_whitespace())?;
        words.push(word);
        rest = after.trim_start();
    }
    Ok(words)
}

/// One word and what comes after it: up to the first character outside quotes that is an end.
pub(crate) fn word(text: &str, is_end: impl Fn(char) -> bool) -> Result<(Vec<u8>, &str), String> {
    let mut word = Vec::new();
    let mut rest = text;
    while let Some(one) = rest.chars().next().filter(|&one| !is_end(one)) {
        let after = &rest[one.len_utf8()..];
        rest = match one {
            '"' => double_quoted(after, &mut word)?,
            '\'' => {
                let end = after.find('\'').ok_or("a ' is not closed")?;
                word.extend_from_slice(&after.as_bytes()[..end]);
                &after[end + 1..]
            }
            one => {
                word.extend_from_slice(one.encode_utf8(&mut [0; 4]).as_bytes());
                after
            }
        };
    }
    Ok((word, rest))
}

/// Reads to the closing quote, and gives back what comes after it.
fn double_quoted<'a>(text: &'a str, word: &mut Vec<u8>) -> Result<&'a str, String> {
    let mut chars = text.chars();
    while let Some(one) = chars.next() {
        match one {
            '"' => return Ok(chars.as_str()),
            '\\' => word.extend_from_slice(&escape(&mut chars)?),
            one => word.extend_from_slice(one.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Err("a \" is not closed".to_owned())
}

fn escape(chars: &mut std::str::Chars<'_>) -> Result<[u8; 1], String> {
    let known = "write \\n, \\r, \\t, \\0, \\\\, \\\", \\' or \\xHH";
    Ok([match chars.next() {
        Some('n') => b'\n',
        Some('r') => b'\r',
        Some('t') => b'\t',
        Some('0') => 0,
        Some(same @ ('\\' | '"' | '\'')) => u8::try_from(same).unwrap_or_default(),
        Some('x') => {
            let digits = chars.as_str().get(..2).ok_or(known)?;
            *chars = chars.as_str()[2..].chars();
            u8::from_str_radix(digits, 16).map_err(|_| known)?
        }
        Some(other) => return Err(format!("there is no escape \\{other}: {known}")),
        None => return Err("a \" is not closed".to_owned()),
    }])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_is_shown_as_it_is_and_bytes_are_quoted() {
        let check = |bytes: &[u8], expected: &str| assert_eq!(shown(bytes), expected);
        check(b"", "");
        check(b"/app/color", "/app/color");
        check("größer \\ \"x\"".as_bytes(), "größer \\ \"x\"");
        check(b"a\nb", r#""a\nb""#);
        check(b"a\"\\\t\r\0\x1b[31m", r#""a\"\\\t\r\x00\x1b[31m""#);
        check(b"\xffo\xcc", r#""\xffo\xcc""#);
        check("ü\u{85}".as_bytes(), r#""ü\xc2\x85""#);
    }

    fn check_words(line: &str, expected: &[&[u8]]) {
        assert_eq!(words(line).unwrap(), expected, "{line}");
    }

    #[test]
    fn words_are_split_as_a_shell_does() {
        check_words("", &[]);
        check_words("  put  a b ", &[b"put", b"a", b"b"]);
        check_words(r#"put "a b" 'c "d'"#, &[b"put", b"a b", b"c \"d"]);
        check_words(r#"put "" x"y"z"#, &[b"put", b"", b"xyz"]);
        check_words(r#""\n\x00\xfF\\\"\'\0""#, &[b"\n\0\xff\\\"'\0"]);
        check_words("put größe ä", &["put".as_bytes(), "größe".as_bytes(), "ä".as_bytes()]);
    }

    #[test]
    fn quotes_that_are_wrong_are_told() {
        let check = |line: &str, expected: &str| {
            let error = words(line).unwrap_err();
            assert!(error.contains(expected), "{line}: {error}");
        };
        check(r#"put "a"#, "not closed");
        check("put 'a", "not closed");
        check(r#"put "a\"#, "not closed");
        check(r#"put "\q""#, r"no escape \q");
        check(r#"put "\x1""#, r"\xHH");
        check(r#"put "\xä""#, r"\xHH");
    }

    proptest! {
        /// What is shown in quotes is read as what it was.
        #[test]
        fn quoted_bytes_are_read_back(bytes: Vec<u8>) {
            prop_assert_eq!(words(&quoted(&bytes)).unwrap(), vec![bytes]);
        }
    }
}
