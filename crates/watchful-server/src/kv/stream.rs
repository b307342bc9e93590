//! A range that is answered in parts, each read when the connection has taken the one before in: however large the range, it
//! costs a part's memory or two. They count as what the connection has not read, and are read [in turn](crate::unread).

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use tonic::Status;
use watchful_wire::etcdserverpb::{RangeRequest, RangeResponse, RangeStreamResponse};

use super::Kv;
use crate::rights::Rights;

/// How many keys the first part has. The next ones have as many as come near its size.
const FIRST_KEYS: i64 = 10;

/// A part should have 256 KiB. Below half of that the next one has more keys, and above twice that it has fewer.
const HALF_PART_BYTES: usize = 128 << 10;
const TWO_PARTS_BYTES: usize = 512 << 10;

/// The parts of a range.
#[derive(Debug)]
pub(crate) struct RangeStream {
    kv: Kv,
    rights: Rights,
    request: RangeRequest,
    /// The most keys over all parts; 0 for all.
    limit: i64,
    keys: i64,
    header_revision: i64,
    is_done: bool,
}

impl RangeStream {
    /// For somebody who may read the range.
    pub(super) fn new(kv: Kv, rights: Rights, request: RangeRequest) -> Self {
        let limit = request.limit.max(0);
        let request = RangeRequest { limit: FIRST_KEYS, ..request };
        Self { kv, rights, request, limit, keys: 0, header_revision: 0, is_done: false }
    }

    fn next_part(&mut self) -> Result<RangeResponse, Status> {
        if self.request.count_only {
            self.is_done = true;
            let RangeResponse { header, count, .. } = self.read()?;
            return Ok(RangeResponse { header, count, ..RangeResponse::default() });
        }
        if self.limit > 0 {
            self.request.limit = self.request.limit.min(self.limit - self.keys);
        }
        let mut part = self.read()?;
        self.pin(&part);
        let read = i64::try_from(part.kvs.len()).unwrap_or(i64::MAX);
        let before = self.keys;
        self.keys += read;
        self.is_done = !part.more || self.keys == self.limit;
        if self.is_done {
            if let Some(header) = &mut part.header {
                header.revision = self.header_revision;
            }
            // What this part counted is what was left from its first key on.
            part.count += before;
            return Ok(part);
        }
        self.go_on_after(&part);
        Ok(RangeResponse { kvs: part.kvs, ..RangeResponse::default() })
    }

    /// Each part on the rights that there are by then.
    fn read(&self) -> Result<RangeResponse, Status> {
        self.rights.read_renewed(|rights| self.kv.range(rights, &self.request))
    }

    /// Every part is read at the revision of the first.
    fn pin(&mut self, part: &RangeResponse) {
        if self.header_revision == 0 {
            self.header_revision = part.header.as_ref().map_or(0, |header| header.revision);
            if self.request.revision <= 0 {
                self.request.revision = self.header_revision;
            }
        }
    }

    fn go_on_after(&mut self, part: &RangeResponse) {
        if let Some(last) = part.kvs.last() {
            self.request.key = Bytes::from([last.key(), b"\0"].concat());
        }
        let bytes: usize = part.kvs.iter().map(prost::Message::encoded_len).sum();
        self.request.limit = match bytes {
            0..HALF_PART_BYTES => self.request.limit.saturating_mul(2),
            HALF_PART_BYTES..TWO_PARTS_BYTES => self.request.limit,
            _ => (self.request.limit / 2).max(1),
        };
    }
}

impl Stream for RangeStream {
    type Item = Result<RangeStreamResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_done {
            return Poll::Ready(None);
        }
        let part = self.next_part();
        self.is_done |= part.is_err();
        Poll::Ready(Some(part.map(|part| RangeStreamResponse { range_response: Some(part) })))
    }
}
