//! The operations: what is sent, and what the answer has to say.

use bytes::{Bytes, BytesMut};
use watchful_wire::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use watchful_wire::etcdserverpb::request_op::Request;
use watchful_wire::etcdserverpb::{Compare, PutRequest, RangeRequest, RequestOp, TxnRequest};

use super::connection::framed;
use super::fields::{Field, Fields, KeyValue};
use super::{KEYS, PREFIX, VALUE_LEN, key};
use crate::Outcome;
use crate::keys::value_of;

/// How many keys a list is of.
pub(crate) const LIST_LEN: u64 = 1000;

/// One kind of call: its method, its request about key number so and so, and the check of its answer.
#[derive(Clone, Copy)]
pub(crate) struct Operation {
    pub(crate) path: &'static str,
    pub(crate) request: fn(u64) -> Outcome<Bytes>,
    pub(crate) check: fn(u64, &Bytes) -> Outcome,
}

pub(crate) const PUT: Operation =
    Operation { path: "/etcdserverpb.KV/Put", request: |number| put(number, number), check: has_revision };

pub(crate) const GET: Operation =
    Operation { path: "/etcdserverpb.KV/Range", request: get, check: is_the_key };

pub(crate) const LIST: Operation =
    Operation { path: "/etcdserverpb.KV/Range", request: list, check: is_the_list };

pub(crate) const TXN: Operation =
    Operation { path: "/etcdserverpb.KV/Txn", request: txn, check: has_succeeded };

/// A put of the key, with a value that begins with `told`.
pub(crate) fn put(number: u64, told: u64) -> Outcome<Bytes> {
    frame(&put_request(number, told))
}

fn put_request(number: u64, told: u64) -> PutRequest {
    PutRequest { key: key(number).into(), value: value_of(told, VALUE_LEN).into(), ..PutRequest::default() }
}

pub(crate) fn get(number: u64) -> Outcome<Bytes> {
    frame(&RangeRequest { key: key(number).into(), ..RangeRequest::default() })
}

/// From a key on that has so many behind it.
fn list(number: u64) -> Outcome<Bytes> {
    let first = number % (KEYS - LIST_LEN + 1);
    let request = RangeRequest {
        key: key(first).into(),
        range_end: key(first + LIST_LEN).into(),
        ..RangeRequest::default()
    };
    frame(&request)
}

/// If the key is there, put it.
fn txn(number: u64) -> Outcome<Bytes> {
    let compare = Compare {
        result: CompareResult::Greater.into(),
        target: CompareTarget::Create.into(),
        key: key(number).into(),
        target_union: Some(TargetUnion::CreateRevision(0)),
        ..Compare::default()
    };
    let put = RequestOp { request: Some(Request::RequestPut(put_request(number, number))) };
    frame(&TxnRequest { compare: vec![compare], success: vec![put], failure: Vec::new() })
}

pub(crate) fn frame(message: &impl prost::Message) -> Outcome<Bytes> {
    let mut buf = BytesMut::new();
    framed(message, &mut buf)?;
    Ok(buf.freeze())
}

fn has_revision(_: u64, answer: &Bytes) -> Outcome {
    match revision_in(answer)? {
        0 | 1 => Err("a put was answered without a revision".into()),
        _ => Ok(()),
    }
}

/// The revision in the answer's header.
pub(crate) fn revision_in(answer: &[u8]) -> Outcome<u64> {
    for field in Fields(answer) {
        if let (1, Field::Bytes(header)) = field? {
            for field in Fields(header) {
                if let (3, Field::Number(revision)) = field? {
                    return Ok(revision);
                }
            }
        }
    }
    Ok(0)
}

fn is_the_key(number: u64, answer: &Bytes) -> Outcome {
    for field in Fields(answer) {
        if let (2, Field::Bytes(found)) = field? {
            let found = KeyValue::parse(found)?;
            let is_it = found.key == key(number) && found.value.len() == VALUE_LEN;
            return if is_it { Ok(()) } else { Err("a get found another key".into()) };
        }
    }
    Err(format!("key {number} was not found").into())
}

/// As many as there have to be, and the first and the last of them.
fn is_the_list(number: u64, answer: &Bytes) -> Outcome {
    let first = number % (KEYS - LIST_LEN + 1);
    let (mut found, mut ends) = (0, (PREFIX, PREFIX));
    for field in Fields(answer) {
        if let (2, Field::Bytes(message)) = field? {
            ends = if found == 0 { (message, message) } else { (ends.0, message) };
            found += 1;
        }
    }
    let ends = (KeyValue::parse(ends.0)?.key, KeyValue::parse(ends.1)?.key);
    if found == LIST_LEN && ends.0 == key(first) && ends.1 == key(first + LIST_LEN - 1) {
        Ok(())
    } else {
        Err(format!("{LIST_LEN} keys were to come, and there came {found}").into())
    }
}

fn has_succeeded(_: u64, answer: &Bytes) -> Outcome {
    for field in Fields(answer) {
        if let (2, Field::Number(1)) = field? {
            return Ok(());
        }
    }
    Err("a transaction did not succeed".into())
}
