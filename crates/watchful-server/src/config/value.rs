//! The values that flags take, read as Go's flag package and etcd read them.

use std::time::Duration;

/// Why a value cannot be read, and what to write.
pub(crate) type Wrong = String;

const NANOS_MAX: u128 = i64::MAX.cast_unsigned() as u128;

pub(crate) fn boolean(text: &str) -> Result<bool, Wrong> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false")),
    }
}

/// A whole number of `least..=most`.
pub(crate) fn number<N>(text: &str, least: N, most: N) -> Result<N, Wrong>
where
    N: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    match text.trim().parse::<N>() {
        Ok(number) if number >= least && number <= most => Ok(number),
        _ => Err(format!("{text:?} is not a whole number from {least} to {most}")),
    }
}

/// What stands between commas, without blanks around it and without doubles. Nothing where there is nothing.
pub(crate) fn list(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    parts
}

/// A duration as Go writes it: `300ms`, `1.5h`, `1h30m`. Zero may be written without a unit.
pub(crate) fn duration(text: &str) -> Result<Duration, Wrong> {
    let wrong = || format!("{text:?} is not a duration; write it as 300ms, 10s, 5m or 1h30m");
    let mut rest = text.trim().strip_prefix('+').unwrap_or(text.trim());
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut nanos: u128 = 0;
    while !rest.is_empty() {
        let (part, after) = duration_part(rest).ok_or_else(wrong)?;
        nanos = nanos.checked_add(part).filter(|nanos| *nanos <= NANOS_MAX).ok_or_else(wrong)?;
        rest = after;
    }
    u64::try_from(nanos).map(Duration::from_nanos).map_err(|_| wrong())
}

/// The nanoseconds of the first number and unit, and what comes after them.
fn duration_part(text: &str) -> Option<(u128, &str)> {
    let number_end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, rest) = text.split_at(number_end);
    let unit_end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_end);
    let scale = unit_nanos(unit)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u128>().ok()? };
    let nanos = whole.checked_mul(scale)?.checked_add(fraction_nanos(fraction, scale)?)?;
    Some((nanos, rest))
}

fn unit_nanos(unit: &str) -> Option<u128> {
    Some(match unit {
        "ns" => 1,
        // The micro sign and the Greek letter, as in Go.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// What the digits after the point are worth. Beyond fifteen digits nothing changes.
fn fraction_nanos(digits: &str, scale: u128) -> Option<u128> {
    let digits = digits.get(..15).unwrap_or(digits);
    if digits.is_empty() {
        return Some(0);
    }
    let power = 10_u128.pow(u32::try_from(digits.len()).ok()?);
    digits.parse::<u128>().ok().map(|fraction| fraction * scale / power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<u64>) {
        assert_eq!(duration(text).ok(), expected.map(Duration::from_nanos), "{text}");
    }

    #[test]
    fn durations_are_read_as_in_go() {
        check("0", Some(0));
        check("0s", Some(0));
        check("300ms", Some(300_000_000));
        check("1.5h", Some(5_400_000_000_000));
        check("1h30m", Some(5_400_000_000_000));
        check("+5s", Some(5_000_000_000));
        check(".5s", Some(500_000_000));
        check("2us", Some(2_000));
        check("2\u{b5}s", Some(2_000));
        check("600000000000ns", Some(600_000_000_000));
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "5", "s", ".", ".s", "-5s", "5x", "5m3", "1.2.3s", "99999999999999h", "h5"] {
            check(text, None);
        }
    }

    #[test]
    fn booleans_are_read_as_in_go() {
        assert_eq!(boolean("T"), Ok(true));
        assert_eq!(boolean("0"), Ok(false));
        assert_eq!(boolean("yes"), Err("\"yes\" is neither true nor false".to_owned()));
    }

    #[test]
    fn lists_have_no_blanks_and_no_doubles() {
        assert_eq!(list(" a, b,,a "), ["a", "b"]);
        assert!(list("").is_empty());
    }
}
