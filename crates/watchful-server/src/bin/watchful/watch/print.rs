//! What a watch prints.

use serde::Serialize;
use watchful_wire::mvccpb::Event;
use watchful_wire::mvccpb::event::EventType;

use crate::failure::Failure;
use crate::json::{Base64, JsonKeyValue};
use crate::output::Output;
use crate::text::shown;

#[derive(Serialize)]
struct JsonEvent<'a> {
    r#type: &'static str,
    revision: i64,
    watch: Base64<'a>,
    kv: JsonKeyValue<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_kv: Option<JsonKeyValue<'a>>,
}

#[derive(Serialize)]
struct JsonProgress {
    r#type: &'static str,
    revision: i64,
}

#[derive(Serialize)]
struct JsonCompacted<'a> {
    r#type: &'static str,
    watch: Base64<'a>,
    revision: i64,
    compact_revision: i64,
}

pub(crate) fn event(event: &Event, watch: &[u8], out: &mut Output<'_>) -> Result<(), Failure> {
    let is_put = event.r#type() == EventType::Put;
    let r#type = if is_put { "PUT" } else { "DELETE" };
    let kv = event.kv.clone().unwrap_or_default();
    let revision = kv.mod_revision();
    if out.json {
        let prev_kv = event.prev_kv.as_ref().map(JsonKeyValue::from);
        return out.object(&JsonEvent { r#type, revision, watch: Base64(watch), kv: (&kv).into(), prev_kv });
    }
    let mut line = format!("{revision}  {type:<6}  {}", shown(kv.key()));
    if is_put {
        line.push_str(" = ");
        line.push_str(&shown(kv.value()));
    }
    if let Some(prev) = &event.prev_kv {
        line.push_str("  (was ");
        line.push_str(&shown(prev.value()));
        line.push(')');
    }
    out.line(line)
}

pub(crate) fn progress(revision: i64, out: &mut Output<'_>) -> Result<(), Failure> {
    out.answer(&JsonProgress { r#type: "PROGRESS", revision }, format_args!("{revision}  PROGRESS"))
}

/// For people it is the error that tells.
pub(crate) fn compacted(
    watch: &[u8],
    revision: i64,
    compact_revision: i64,
    out: &mut Output<'_>,
) -> Result<(), Failure> {
    if !out.json {
        return Ok(());
    }
    out.object(&JsonCompacted { r#type: "COMPACTED", watch: Base64(watch), revision, compact_revision })
}

#[cfg(test)]
mod tests {
    use watchful_revision::KeyValue as Fields;
    use watchful_wire::KeyValue;

    use super::*;
    use crate::output::printed;

    fn kv(value: &'static str, revision: u64) -> KeyValue {
        let (key, value) = (b"a".to_vec().into(), value.as_bytes().to_vec().into());
        KeyValue::from_fields(Fields { key, value, mod_revision: revision, ..Default::default() })
    }

    fn check(r#type: EventType, value: &'static str, prev: Option<&'static str>, text: &str, json: &str) {
        let prev_kv = prev.map(|value| kv(value, 6));
        let event = Event { r#type: r#type.into(), kv: Some(kv(value, 7)), prev_kv };
        assert_eq!(printed(false, |out| super::event(&event, b"a", out)).trim_end(), text);
        let found = printed(true, |out| super::event(&event, b"a", out));
        let found: serde_json::Value = serde_json::from_str(&found).unwrap();
        assert_eq!(found, serde_json::from_str::<serde_json::Value>(json).unwrap());
    }

    #[test]
    fn changes() {
        check(
            EventType::Put,
            "1",
            None,
            "7  PUT     a = 1",
            r#"{"type":"PUT","revision":7,"watch":"YQ==","kv":
                {"key":"YQ==","value":"MQ==","create_revision":0,"mod_revision":7,"version":0}}"#,
        );
        check(
            EventType::Delete,
            "",
            Some("\n"),
            r#"7  DELETE  a  (was "\n")"#,
            r#"{"type":"DELETE","revision":7,"watch":"YQ==","kv":
                {"key":"YQ==","value":"","create_revision":0,"mod_revision":7,"version":0},"prev_kv":
                {"key":"YQ==","value":"Cg==","create_revision":0,"mod_revision":6,"version":0}}"#,
        );
    }

    #[test]
    fn progress_and_compaction() {
        assert_eq!(printed(false, |out| progress(9, out)), "9  PROGRESS\n");
        assert_eq!(printed(true, |out| progress(9, out)), "{\"type\":\"PROGRESS\",\"revision\":9}\n");
        assert_eq!(printed(false, |out| compacted(b"a", 3, 5, out)), "");
        assert_eq!(
            printed(true, |out| compacted(b"a", 3, 5, out)),
            "{\"type\":\"COMPACTED\",\"watch\":\"YQ==\",\"revision\":3,\"compact_revision\":5}\n"
        );
    }
}
