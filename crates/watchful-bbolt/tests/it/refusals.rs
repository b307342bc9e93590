//! What a writer does not take.

use std::io::Cursor;

use watchful_bbolt::{KEY_LEN_MAX, WriteError, Writer};

fn writer() -> Writer<Cursor<Vec<u8>>> {
    Writer::new(Cursor::new(Vec::new())).unwrap()
}

#[test]
fn keys_and_buckets_come_in_order() {
    let mut writer = writer();
    assert!(matches!(writer.put(b"a", b""), Err(WriteError::NoBucket)));
    writer.bucket(b"b").unwrap();
    writer.put(b"b", b"").unwrap();
    for key in [b"a", b"b"] {
        assert!(matches!(writer.put(key, b""), Err(WriteError::NotAfter { .. })));
    }
    for name in [b"a", b"b"] {
        assert!(matches!(writer.bucket(name), Err(WriteError::NotAfter { .. })));
    }
}

#[test]
fn lengths_are_bbolts() {
    let mut writer = writer();
    assert!(matches!(writer.bucket(b""), Err(WriteError::KeyLength { len: 0 })));
    writer.bucket(b"b").unwrap();
    assert!(matches!(writer.put(b"", b""), Err(WriteError::KeyLength { len: 0 })));
    assert!(writer.put(&[1; KEY_LEN_MAX], b"").is_ok());
    assert!(matches!(writer.put(&[2; KEY_LEN_MAX + 1], b""), Err(WriteError::KeyLength { .. })));
}
