//! Messages for people: without the fields that hold nothing.

use std::fmt::Debug;

/// The lines of `{:#?}`, without the fields at their default.
pub(crate) fn lines(message: &impl Debug) -> Vec<String> {
    let text = format!("{message:#?}");
    text.lines().filter(|line| !is_default(line)).map(str::to_owned).collect()
}

/// The same on one line.
pub(crate) fn terse(message: &impl Debug) -> String {
    let joined = lines(message).iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ");
    joined.replace(", }", " }").replace(", ]", "]").replace("[ ", "[").replace("( ", "(").replace(", )", ")")
}

fn is_default(line: &str) -> bool {
    let Some((name, value)) = line.trim().split_once(": ") else { return false };
    let named = name.chars().all(|one| one.is_ascii_alphanumeric() || one == '_');
    named && matches!(value, "0," | "false," | "b\"\"," | "\"\"," | "[]," | "None," | "Key,")
}

#[cfg(test)]
mod tests {
    use super::*;
    use watchful_wire::etcdserverpb::RangeRequest;

    #[test]
    fn fields_at_their_default_are_left_out() {
        let request = RangeRequest { key: "a".into(), limit: 3, ..Default::default() };
        assert_eq!(terse(&request), r#"RangeRequest { key: b"a", limit: 3 }"#);
    }
}
