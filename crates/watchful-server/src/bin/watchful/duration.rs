//! Spans of time, as they are written on a command line.

use std::time::Duration;

/// `500ms`, `5s`, `1m`, `2h`; a bare number is seconds.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.find(|one: char| !one.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let millis = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("write a number and ms, s, m or h, as in 5s".to_owned()),
    };
    let number: u64 =
        number.parse().map_err(|_| "write a whole number and ms, s, m or h, as in 5s".to_owned())?;
    match number.checked_mul(millis) {
        Some(0) => Err("it has to be longer than nothing".to_owned()),
        Some(millis) => Ok(Duration::from_millis(millis)),
        None => Err("it is longer than time itself".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, millis: Option<u64>) {
        assert_eq!(parse(text).ok(), millis.map(Duration::from_millis), "{text}");
    }

    #[test]
    fn spans_of_time() {
        check("500ms", Some(500));
        check("5s", Some(5_000));
        check("5", Some(5_000));
        check("1m", Some(60_000));
        check("2h", Some(7_200_000));
        check("0s", None);
        check("s", None);
        check("-1s", None);
        check("1.5s", None);
        check("5 s", None);
        check("18446744073709551615h", None);
    }
}
