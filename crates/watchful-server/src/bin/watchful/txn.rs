//! `watchful txn`: several operations at once, if what is compared is so.

mod answer;

mod form;

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal as _, Read as _, Write as _};
use std::path::PathBuf;

use clap::Args;
use prost_reflect::{DescriptorPool, DynamicMessage};
use watchful_wire::etcdserverpb::TxnRequest;

use crate::args::Connection;
use crate::failure::Failure;
use crate::output::Output;
use crate::server::Server;

/// More than any server takes: what is read has a bound.
const INPUT_BYTES_MAX: u64 = 64 << 20;

const HELP: &str = r#"Three parts, each ended by an empty line; the last one may be left out:
  compares              mod("key") > "5"        create, mod, version, value or lease; =, !=, < or >
                        value("key") = "red"    all must hold; without any, they do
  if they hold          put key "a value"       put, get and del, with the options of these commands
  if they do not        get key

  printf 'create("a") = "0"\n\nput a 1\n\nget a\n' | watchful txn

Words with spaces go in quotes; "…" knows \n, \t, \r, \0, \\, \" and \xHH. Leases are hexadecimal.
Input that begins with { is etcd's TxnRequest as JSON, bytes in base64:
  {"compare":[{"key":"YQ==","target":"CREATE","result":"EQUAL","create_revision":0}],
   "success":[{"request_put":{"key":"YQ==","value":"MQ=="}}],"failure":[{"request_range":{"key":"YQ=="}}]}

Prints SUCCESS or FAILURE: which of the two was done; then each operation's answer after an empty line.
JSON: {"revision":7,"succeeded":true,"responses":[R]}, where R has one of "put", "get", "del" and "txn", with the
  fields that these commands print; "get" has "kvs" too."#;

/// Do several operations at once, if some compares hold
#[derive(Args, Clone, Debug)]
#[command(after_help = HELP)]
pub(crate) struct TxnArgs {
    /// Where it is written; stdin where this is left out, or -
    file: Option<PathBuf>,
}

pub(crate) async fn run(args: TxnArgs, to: &Connection, out: &mut Output<'_>) -> Result<(), Failure> {
    let text = args.read()?;
    let request = if is_json(&text) { of_json(&text) } else { form::parse(&text) };
    let request = request.map_err(Failure::Told)?;
    let server = Server::connect(to).await?;
    let response = server.answer(server.kv().txn(request)).await?;
    answer::print(&response, out)
}

impl TxnArgs {
    fn read(self) -> Result<String, Failure> {
        let stdin = io::stdin();
        match self.file.filter(|file| file.as_os_str() != "-") {
            Some(file) => {
                let unreadable = |error| Failure::told(format!("{} cannot be read: {error}", file.display()));
                let opened = File::open(&file).map_err(unreadable)?;
                read(BufReader::new(opened), |_| ()).map_err(unreadable)
            }
            None => {
                let prompts = stdin.is_terminal();
                let prompt = |part: Part| {
                    if prompts {
                        part.prompt()
                    }
                };
                read(stdin.lock(), prompt)
                    .map_err(|error| Failure::told(format!("stdin cannot be read: {error}")))
            }
        }
    }
}

/// The part of the form that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Compares,
    Success,
    Failure,
}

impl Part {
    fn prompt(self) {
        let what = match self {
            Self::Compares => "compares, and an empty line:",
            Self::Success => "operations if they hold, and an empty line:",
            Self::Failure => "operations if they do not, and an empty line:",
        };
        // Nobody may be reading.
        let _ = writeln!(io::stderr(), "{what}");
    }
}

/// Reads JSON to its end, and the form to its third empty line: so that nobody at a terminal has to end their input.
fn read(input: impl BufRead, prompt: impl Fn(Part)) -> io::Result<String> {
    let mut input = input.take(INPUT_BYTES_MAX);
    let mut text = String::new();
    for part in [Part::Compares, Part::Success, Part::Failure] {
        prompt(part);
        loop {
            let start = text.len();
            let is_end = input.read_line(&mut text)? == 0;
            if is_json(&text) {
                input.read_to_string(&mut text)?;
                return bounded(text);
            }
            if is_end {
                return bounded(text);
            }
            if text[start..].trim().is_empty() {
                break;
            }
        }
    }
    bounded(text)
}

fn bounded(text: String) -> io::Result<String> {
    if text.len() as u64 >= INPUT_BYTES_MAX {
        return Err(io::Error::other(format!(
            "it has {INPUT_BYTES_MAX} bytes or more: no server takes that"
        )));
    }
    Ok(text)
}

fn is_json(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

/// By protobuf's own mapping, so that what etcd's gateway takes is taken.
fn of_json(text: &str) -> Result<TxnRequest, String> {
    let message = || -> Result<TxnRequest, Box<dyn std::error::Error>> {
        let pool = DescriptorPool::decode(watchful_wire::DESCRIPTORS)?;
        let kind =
            pool.get_message_by_name("etcdserverpb.TxnRequest").ok_or("this build has no TxnRequest")?;
        let mut json = serde_json::Deserializer::from_str(text);
        let message = DynamicMessage::deserialize(kind, &mut json)?;
        json.end()?;
        Ok(message.transcode_to()?)
    };
    message()
        .map_err(|error| format!("the input is no TxnRequest in JSON: {error}; see `watchful txn --help`"))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use watchful_wire::etcdserverpb::compare::TargetUnion;
    use watchful_wire::etcdserverpb::request_op::Request;
    use watchful_wire::etcdserverpb::{Compare, PutRequest, RequestOp};

    use super::*;

    fn check_read(input: &str, read_part: &str, prompts: usize) {
        let prompted = RefCell::new(Vec::new());
        let text = read(input.as_bytes(), |part| prompted.borrow_mut().push(part)).unwrap();
        assert_eq!((text.as_str(), prompted.borrow().len()), (read_part, prompts), "{input:?}");
    }

    #[test]
    fn the_form_ends_at_its_third_empty_line_and_json_at_the_end() {
        check_read("a\n\nb\n\nc\n\nd\n", "a\n\nb\n\nc\n\n", 3);
        check_read("\nb\n\n\nd\n", "\nb\n\n\n", 3);
        check_read("a\n\nb", "a\n\nb", 2);
        check_read("", "", 1);
        check_read("{\n\n\n\n\n}", "{\n\n\n\n\n}", 1);
        check_read("\n {\n\n\n\n}", "\n {\n\n\n\n}", 2);
    }

    #[test]
    fn input_without_end_is_refused() {
        let endless = BufReader::new(io::repeat(b'x'));
        assert!(read(endless, |_| ()).unwrap_err().to_string().contains("67108864"));
    }

    #[test]
    fn json_is_etcds_request() {
        let expected = TxnRequest {
            compare: vec![Compare {
                target: 1,
                key: "a".into(),
                target_union: Some(TargetUnion::CreateRevision(0)),
                ..Default::default()
            }],
            success: vec![RequestOp {
                request: Some(Request::RequestPut(PutRequest {
                    key: "a".into(),
                    value: "1".into(),
                    ..Default::default()
                })),
            }],
            failure: vec![],
        };
        let snake = r#"{"compare":[{"key":"YQ==","target":"CREATE","result":"EQUAL","create_revision":0}],
            "success":[{"request_put":{"key":"YQ==","value":"MQ=="}}]}"#;
        assert_eq!(of_json(snake).unwrap(), expected);
        let camel = snake.replace("create_revision", "createRevision").replace("request_put", "requestPut");
        assert_eq!(of_json(&camel).unwrap(), expected);
    }

    #[test]
    fn json_that_is_wrong_is_told() {
        let check = |json: &str| assert!(of_json(json).unwrap_err().contains("TxnRequest in JSON"), "{json}");
        check("{");
        check("{\"compares\":[]}");
        check("{\"compare\":[{\"key\":\"not base64\"}]}");
        check("{} {}");
    }
}
