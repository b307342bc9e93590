//! `watchful put`: puts one key.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt as _;

use clap::Args;
use serde::Serialize;
use watchful_wire::etcdserverpb::{PutRequest, PutResponse};

use crate::failure::Failure;
use crate::get::key_and_value;
use crate::json::{JsonKeyValue, key_value_help, revision};
use crate::lease_id::LeaseId;
use crate::output::Output;
use crate::server::Server;

/// More than any server takes: what is read from stdin has a bound.
const VALUE_BYTES_MAX: usize = 64 << 20;

const HELP: &str = concat!(
    r#"Prints OK, and with --prev-kv the key and the value before.
JSON: {"revision":7,"prev_kv":KV}; prev_kv only with --prev-kv, and where the key was there."#,
    key_value_help!()
);

/// Put a key
#[derive(Args, Clone, Debug)]
#[command(after_help = HELP)]
pub(crate) struct PutArgs {
    /// The key
    #[arg(allow_negative_numbers = true)]
    key: OsString,
    /// The value; - reads it from stdin
    #[arg(
        allow_negative_numbers = true,
        required_unless_present = "ignore_value",
        conflicts_with = "ignore_value"
    )]
    value: Option<OsString>,
    /// Attach the key to this lease (hexadecimal)
    #[arg(long, value_name = "ID", conflicts_with = "ignore_lease")]
    lease: Option<LeaseId>,
    /// Tell what the key was before
    #[arg(long)]
    prev_kv: bool,
    /// Keep the key's value; it has to be there
    #[arg(long)]
    ignore_value: bool,
    /// Keep the key's lease; it has to be there
    #[arg(long)]
    ignore_lease: bool,
}

pub(crate) async fn run(args: PutArgs, server: &Server, out: &mut Output<'_>) -> Result<(), Failure> {
    let request = args.request(Some(&mut io::stdin())).map_err(Failure::Told)?;
    let response = server.answer(server.kv().put(request)).await?;
    print(&response, out)
}

impl PutArgs {
    /// The request; the value is read from `stdin` where it is `-` and there is one.
    pub(crate) fn request(self, stdin: Option<&mut dyn Read>) -> Result<PutRequest, String> {
        let value = self.value.map(OsString::into_vec).unwrap_or_default();
        let value = match stdin {
            Some(stdin) if value == b"-" => read_value(stdin)?,
            _ => value,
        };
        Ok(PutRequest {
            key: self.key.into_vec().into(),
            value: value.into(),
            lease: self.lease.map_or(0, |lease| lease.0),
            prev_kv: self.prev_kv,
            ignore_value: self.ignore_value,
            ignore_lease: self.ignore_lease,
        })
    }
}

fn read_value(stdin: &mut dyn Read) -> Result<Vec<u8>, String> {
    let mut value = Vec::new();
    let read = stdin.take(VALUE_BYTES_MAX as u64 + 1).read_to_end(&mut value);
    read.map_err(|error| format!("stdin cannot be read: {error}"))?;
    if value.len() > VALUE_BYTES_MAX {
        return Err(format!(
            "the value on stdin has more than {VALUE_BYTES_MAX} bytes: no server takes that"
        ));
    }
    Ok(value)
}

/// The answer to a put, for programs.
#[derive(Serialize)]
pub(crate) struct JsonPut<'a> {
    revision: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_kv: Option<JsonKeyValue<'a>>,
}

impl<'a> From<&'a PutResponse> for JsonPut<'a> {
    fn from(response: &'a PutResponse) -> Self {
        Self {
            revision: revision(response.header.as_ref()),
            prev_kv: response.prev_kv.as_ref().map(JsonKeyValue::from),
        }
    }
}

pub(crate) fn print(response: &PutResponse, out: &mut Output<'_>) -> Result<(), Failure> {
    out.answer(&JsonPut::from(response), "OK")?;
    match &response.prev_kv {
        Some(kv) if !out.json => out.line(key_and_value(kv)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::output::printed;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        put: PutArgs,
    }

    fn request(words: &[&str], stdin: &[u8]) -> PutRequest {
        let line = Line::try_parse_from(std::iter::once(&"put").chain(words)).unwrap();
        line.put.request(Some(&mut &*stdin)).unwrap()
    }

    #[test]
    fn requests() {
        let put = |key: &'static str, value: &'static str| PutRequest {
            key: key.into(),
            value: value.into(),
            ..Default::default()
        };
        assert_eq!(request(&["a", "1"], b"x"), put("a", "1"));
        assert_eq!(request(&["a", "-1"], b"x"), put("a", "-1"));
        assert_eq!(request(&["a", ""], b"x"), put("a", ""));
        assert_eq!(request(&["a", "-"], b"x\n"), put("a", "x\n"));
        let expected = PutRequest { lease: 16, prev_kv: true, ..put("a", "1") };
        assert_eq!(request(&["a", "1", "--lease", "10", "--prev-kv"], b""), expected);
        let expected = PutRequest { ignore_value: true, lease: 16, ..put("a", "") };
        assert_eq!(request(&["a", "--ignore-value", "--lease", "10"], b""), expected);
    }

    #[test]
    fn mistakes() {
        let check = |words: &[&str]| {
            assert!(Line::try_parse_from(std::iter::once(&"put").chain(words)).is_err(), "{words:?}");
        };
        check(&["a"]);
        check(&["a", "1", "--ignore-value"]);
        check(&["a", "1", "--lease", "1", "--ignore-lease"]);
    }

    #[test]
    fn a_value_without_end_is_refused() {
        let line = Line::try_parse_from(["put", "a", "-"]).unwrap();
        assert!(line.put.request(Some(&mut io::repeat(b'x'))).unwrap_err().contains("67108864"));
    }

    #[test]
    fn answers() {
        let response = PutResponse::default();
        assert_eq!(printed(false, |out| print(&response, out)), "OK\n");
        assert_eq!(printed(true, |out| print(&response, out)), "{\"revision\":0}\n");
    }
}
