//! Revisions and their bytes.

use proptest::prelude::*;
use watchful_revision::{MalformedRevision, REVISION_LEN, Revision};

/// Numbers near each other and near the places where a byte is carried.
fn arb_revision() -> impl Strategy<Value = Revision> {
    let main = prop_oneof![0..4_u64, 254..258_u64, Just(u64::MAX), Just(1 << 63), any::<u64>()];
    let sub = prop_oneof![0..4_u32, 254..258_u32, Just(u32::MAX), Just(1 << 31), any::<u32>()];
    (main, sub).prop_map(|(main, sub)| Revision::new(main, sub))
}

proptest! {
    #[test]
    fn bytes_sort_as_revisions_do(a in arb_revision(), b in arb_revision()) {
        prop_assert_eq!(a.to_bytes().cmp(&b.to_bytes()), a.cmp(&b));
        prop_assert_eq!(a.cmp(&b), (a.main, a.sub).cmp(&(b.main, b.sub)));
    }

    #[test]
    fn bytes_come_back(revision in arb_revision()) {
        prop_assert_eq!(Revision::from_bytes(&revision.to_bytes()), Ok(revision));
    }

    #[test]
    fn no_other_length_is_a_revision(bytes in proptest::collection::vec(any::<u8>(), 0..30)) {
        let expected = match bytes.len() {
            REVISION_LEN => None,
            len => Some(MalformedRevision { len }),
        };
        prop_assert_eq!(Revision::from_bytes(&bytes).err(), expected);
    }

    #[test]
    fn nothing_lies_between_a_revision_and_the_next(a in arb_revision(), b in arb_revision()) {
        prop_assume!(a != Revision::new(u64::MAX, u32::MAX));
        prop_assert!(a < a.next());
        prop_assert!(b <= a || b >= a.next());
    }
}

#[test]
fn the_bytes_are_big_endian() {
    let bytes = Revision::new(0x0102_0304_0506_0708, 0x090a_0b0c).to_bytes();
    assert_eq!(bytes, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    assert_eq!(Revision::new(3, 1).to_string(), "3.1");
    assert_eq!(Revision::new(3, u32::MAX).next(), Revision::start_of(4));
}
