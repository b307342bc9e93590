//! The borrowed view against prost: the same bytes are accepted, and read as the same values.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use prost::Message;
use watchful_revision::{KeyValue, KeyValueRef};

/// Decodes `message` both ways and compares; says whether it was accepted.
fn check_as_prost(message: &[u8]) -> bool {
    let owned = KeyValue::decode(message).ok();
    let view = KeyValueRef::parse(message).ok();
    assert_eq!(view, owned.as_ref().map(KeyValueRef::from), "the view, then prost, of {message:02x?}");
    owned.is_some()
}

fn arb_number() -> impl Strategy<Value = u64> {
    prop_oneof![0..3_u64, 126..130_u64, Just(1 << 63), Just(u64::MAX), any::<u64>()]
}

fn arb_message() -> impl Strategy<Value = Vec<u8>> {
    let bytes = || vec(any::<u8>(), 0..200);
    let numbers = (arb_number(), arb_number(), arb_number(), arb_number());
    (bytes(), bytes(), numbers).prop_map(|(key, value, (create_revision, mod_revision, version, lease))| {
        let (key, value, lease) = (key.into(), value.into(), lease.cast_signed());
        KeyValue { key, create_revision, mod_revision, version, value, lease }.encode_to_vec()
    })
}

/// A piece of a message, right or nearly so: any field number with any wire type and something after it.
fn arb_field() -> impl Strategy<Value = Vec<u8>> {
    let number = prop_oneof![6 => 0..9_u64, 1 => Just((1 << 29) - 1), 1 => arb_number()];
    let content = prop_oneof![
        arb_number().prop_map(varint),
        vec(any::<u8>(), 0..10).prop_map(|bytes| [varint(bytes.len() as u64), bytes].concat()),
        vec(any::<u8>(), 4),
        vec(any::<u8>(), 8),
        Just(Vec::new()),
        arb_long_varint(),
    ];
    (number, 0..8_u64, content)
        .prop_map(|(number, wire, content)| [varint(number << 3 | wire), content].concat())
}

/// Nine to eleven bytes, with a last byte around the greatest that fits; often zeroes that a shorter form would not need.
fn arb_long_varint() -> impl Strategy<Value = Vec<u8>> {
    let body = prop_oneof![Just(0x80), Just(0xff), 0x80..=0xff_u8];
    (vec(body, 1..=10), 0..4_u8).prop_map(|(body, last)| [&body[..], &[last]].concat())
}

fn varint(number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    prost::encoding::encode_varint(number, &mut out);
    out
}

#[derive(Clone, Debug)]
enum Damage {
    Flip(Index, u8),
    Cut(Index),
    Insert(Index, u8),
    Remove(Index),
}

fn arb_damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (any::<Index>(), 0..8_u8).prop_map(|(place, bit)| Damage::Flip(place, bit)),
        any::<Index>().prop_map(Damage::Cut),
        (any::<Index>(), any::<u8>()).prop_map(|(place, byte)| Damage::Insert(place, byte)),
        any::<Index>().prop_map(Damage::Remove),
    ]
}

fn mutate(message: &mut Vec<u8>, damage: &Damage) {
    match damage {
        Damage::Insert(place, byte) => message.insert(place.index(message.len() + 1), *byte),
        _ if message.is_empty() => {}
        Damage::Flip(place, bit) => *place.get_mut(message) ^= 1 << bit,
        Damage::Cut(place) => message.truncate(place.index(message.len())),
        Damage::Remove(place) => drop(message.remove(place.index(message.len()))),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 3_000 }))]

    #[test]
    fn valid_bytes_are_read_as_prost_reads_them(message in arb_message()) {
        prop_assert!(check_as_prost(&message));
    }

    #[test]
    fn arbitrary_bytes_are_read_as_prost_reads_them(bytes in vec(any::<u8>(), 0..40)) {
        check_as_prost(&bytes);
    }

    #[test]
    fn loose_fields_are_read_as_prost_reads_them(fields in vec(arb_field(), 0..5)) {
        check_as_prost(&fields.concat());
    }

    #[test]
    fn mutated_bytes_are_read_as_prost_reads_them(
        mut message in arb_message(),
        damages in vec(arb_damage(), 1..4),
    ) {
        damages.iter().for_each(|damage| mutate(&mut message, damage));
        check_as_prost(&message);
    }

    /// The last of a repeated field wins, and what lies between is passed over.
    #[test]
    fn two_messages_in_a_row_are_one(a in arb_message(), b in arb_message(), between in arb_field()) {
        check_as_prost(&[a.clone(), b.clone()].concat());
        check_as_prost(&[a, between, b].concat());
    }
}

/// Field 9 as a group, nested so deep, with a number inside the innermost.
fn nested(depth: usize) -> Vec<u8> {
    let (open, close) = (9 << 3 | 3, 9 << 3 | 4);
    [vec![open; depth], vec![9 << 3, 1], vec![close; depth]].concat()
}

#[test]
fn groups_nest_as_deep_as_prost_allows() {
    let accepted: Vec<_> = (95..105).filter(|depth| check_as_prost(&nested(*depth))).collect();
    assert_eq!(accepted, [95, 96, 97, 98, 99], "the limit is within what was looked at");
}

#[test]
fn a_group_must_close_itself() {
    let check = |message: &[u8], expected| assert_eq!(check_as_prost(message), expected, "{message:02x?}");
    check(&[9 << 3 | 3, 9 << 3 | 4], true);
    check(&[9 << 3 | 3, 8 << 3 | 4], false);
    check(&[9 << 3 | 3], false);
    check(&[9 << 3 | 4], false);
    // The key's number as a group.
    check(&[1 << 3 | 3, 1 << 3 | 4], false);
}

#[test]
fn numbers_of_ten_bytes_end_at_64_bits() {
    let check = |last: u8, expected| {
        let message = [&[2 << 3][..], &[0xff; 9], &[last]].concat();
        assert_eq!(check_as_prost(&message), expected, "{last:#04x}");
    };
    check(0x00, true);
    check(0x01, true);
    check(0x02, false);
    check(0x81, false);
}
