//! Reads a large range in parts, all of one revision, so that memory holds one part.
//!
//! A range of keys `a…e` with a page of two is asked for as `[a, end)` at the newest revision, which the answer tells to
//! be 9; then as `[b\0, end)` at 9, and `[d\0, end)` at 9.

use tonic::{Code, Status};
use watchful_wire::etcdserverpb::range_request::{SortOrder, SortTarget};
use watchful_wire::etcdserverpb::{RangeRequest, RangeResponse};

use crate::failure::Failure;
use crate::json::revision;

/// The keys of the first page. Nobody knows yet how large they are.
const KEYS_FIRST: i64 = 64;

/// The most keys of a page.
const KEYS_MAX: i64 = 8192;

/// What a page should have: above it the next one is made smaller, below the half larger.
const PAGE_BYTES: usize = 1 << 20;

/// A range that is being read.
pub(crate) struct Pages {
    /// What is still to be read.
    rest: RangeRequest,
    /// How many keys a page may have; none where the range comes in one answer.
    page: Option<i64>,
    is_done: bool,
}

impl Pages {
    pub(crate) fn new(request: RangeRequest) -> Self {
        let by_key = request.sort_order == i32::from(SortOrder::None)
            && request.sort_target == i32::from(SortTarget::Key);
        let is_paged = by_key && !request.range_end.is_empty() && !request.count_only;
        Self { page: is_paged.then_some(KEYS_FIRST), rest: request, is_done: false }
    }

    pub(crate) fn count_only(&self) -> bool {
        self.rest.count_only
    }

    /// What to ask next. None when everything has been read.
    pub(crate) fn next(&self) -> Option<RangeRequest> {
        let limit = match (self.page, self.rest.limit) {
            (Some(page), 0) => page,
            (Some(page), limit) => page.min(limit),
            (None, limit) => limit,
        };
        (!self.is_done).then(|| RangeRequest { limit, ..self.rest.clone() })
    }

    /// Goes on behind what was answered.
    pub(crate) fn took(&mut self, response: &RangeResponse) -> Result<(), Failure> {
        let (Some(page), true) = (self.page, response.more) else {
            self.is_done = true;
            return Ok(());
        };
        let Some(last) = response.kvs.last() else {
            return Err(Failure::told("the server answered that there is more, and gave nothing"));
        };
        let given = i64::try_from(response.kvs.len()).unwrap_or(i64::MAX);
        if self.rest.limit > 0 {
            self.rest.limit -= given;
            self.is_done = self.rest.limit <= 0;
        }
        if self.rest.revision == 0 {
            self.rest.revision = revision(response.header.as_ref());
        }
        self.rest.key = [last.key(), b"\0"].concat().into();
        let bytes: usize = response.kvs.iter().map(|kv| kv.key().len() + kv.value().len()).sum();
        self.page = Some(next_page(page, bytes));
        Ok(())
    }

    /// Whether an answer was refused here for its size, and a smaller page is worth trying.
    pub(crate) fn is_too_large(&mut self, status: &Status) -> bool {
        let is_size =
            status.code() == Code::OutOfRange && status.message().contains("decoded message length");
        match self.page {
            Some(page) if is_size && page > 1 => {
                self.page = Some(page / 8 + 1).map(|smaller| smaller.min(page - 1));
                true
            }
            _ => false,
        }
    }
}

fn next_page(page: i64, bytes: usize) -> i64 {
    match bytes {
        _ if bytes > PAGE_BYTES => (page / 2).max(1),
        _ if bytes < PAGE_BYTES / 2 => (page * 2).min(KEYS_MAX),
        _ => page,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use watchful_revision::KeyValue as Fields;
    use watchful_wire::KeyValue;
    use watchful_wire::etcdserverpb::ResponseHeader;

    use super::*;

    /// Keys in order, with how large each value is; answers as a server does.
    struct Store(Vec<(Vec<u8>, usize)>);

    impl Store {
        fn answer(&self, request: &RangeRequest) -> RangeResponse {
            let matching = |key: &[u8]| {
                key >= &request.key[..] && (request.range_end == "\0" || key < &request.range_end[..])
            };
            let all: Vec<_> = self.0.iter().filter(|(key, _)| matching(key)).collect();
            let limit = usize::try_from(request.limit).unwrap();
            let given = if limit == 0 { all.len() } else { limit.min(all.len()) };
            let kv = |(key, size): &&(Vec<u8>, usize)| {
                KeyValue::from_fields(Fields {
                    key: key.clone().into(),
                    value: vec![0; *size].into(),
                    ..Default::default()
                })
            };
            RangeResponse {
                header: Some(ResponseHeader { revision: 9, ..Default::default() }),
                kvs: all[..given].iter().map(kv).collect(),
                more: given < all.len(),
                count: i64::try_from(all.len()).unwrap(),
            }
        }

        /// Reads everything, and the sizes of the pages.
        fn read(&self, request: RangeRequest) -> (Vec<Vec<u8>>, Vec<usize>) {
            let (mut keys, mut sizes) = (Vec::new(), Vec::new());
            let mut pages = Pages::new(request);
            while let Some(request) = pages.next() {
                assert_eq!(request.revision, if sizes.is_empty() { 0 } else { 9 });
                let response = self.answer(&request);
                sizes.push(response.kvs.len());
                keys.extend(response.kvs.iter().map(|kv| kv.key().to_vec()));
                pages.took(&response).unwrap();
            }
            (keys, sizes)
        }
    }

    fn everything() -> RangeRequest {
        RangeRequest { key: "\0".into(), range_end: "\0".into(), ..Default::default() }
    }

    fn numbered(count: u32, size: usize) -> Store {
        Store((0..count).map(|number| (number.to_be_bytes().to_vec(), size)).collect())
    }

    #[test]
    fn pages_of_small_keys_grow_and_of_large_ones_shrink() {
        assert_eq!(numbered(1000, 1).read(everything()).1, [64, 128, 256, 512, 40]);
        assert_eq!(numbered(100, 100 << 10).read(everything()).1, [64, 32, 4]);
    }

    #[test]
    fn one_key_a_count_and_other_orders_come_in_one_answer() {
        let check = |request: RangeRequest| assert_eq!(Pages::new(request.clone()).next(), Some(request));
        check(RangeRequest { range_end: "".into(), ..everything() });
        check(RangeRequest { count_only: true, ..everything() });
        check(RangeRequest { sort_order: SortOrder::Descend.into(), ..everything() });
        check(RangeRequest { sort_order: SortOrder::Ascend.into(), sort_target: 2, ..everything() });
    }

    #[test]
    fn a_page_that_is_too_large_is_asked_for_smaller_until_it_is_one_key() {
        let mut pages = Pages::new(everything());
        let large = Status::out_of_range(
            "Error, decoded message length too large: found 9 bytes, the limit is: 4 bytes",
        );
        let mut limits = Vec::new();
        while pages.is_too_large(&large) {
            limits.push(pages.next().unwrap().limit);
        }
        assert_eq!(limits, [9, 2, 1]);
        assert!(
            !pages.is_too_large(&Status::out_of_range(
                "etcdserver: mvcc: required revision has been compacted"
            ))
        );
    }

    #[test]
    fn a_server_that_promises_more_and_gives_nothing_is_told() {
        let mut pages = Pages::new(everything());
        assert!(pages.took(&RangeResponse { more: true, ..Default::default() }).is_err());
    }

    proptest! {
        /// Whatever the keys, their sizes and the limit: each key once, in order, up to the limit.
        #[test]
        fn pages_are_the_whole_range(
            keys in prop::collection::btree_map(prop::collection::vec(0u8..3, 1..6), 0usize..60_000, 0..300),
            limit in 0i64..400,
        ) {
            let store = Store(keys.into_iter().collect());
            let (read, _) = store.read(RangeRequest { limit, ..everything() });
            let wanted = if limit == 0 { usize::MAX } else { usize::try_from(limit).unwrap() };
            let expected: Vec<_> = store.0.iter().map(|(key, _)| key.clone()).take(wanted).collect();
            prop_assert_eq!(read, expected);
        }
    }
}
