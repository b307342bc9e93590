//! Streams of watchers, and the check that each watcher gets each event once and in order.

use bytes::{Bytes, BytesMut};
use h2::SendStream;
use watchful_wire::etcdserverpb::watch_request::RequestUnion;
use watchful_wire::etcdserverpb::{WatchCreateRequest, WatchRequest};

use super::connection::{Answers, Connection, framed};
use super::fields::{KeyValue, WatchAnswer};
use super::{PREFIX, PREFIX_END, VALUE_LEN};
use crate::Outcome;

/// How many watches are asked for before their answers are read.
const PORTION: usize = 1000;

/// One stream of watchers. Watch ids are chosen by the server, from 0 up.
pub(crate) struct WatchStream {
    requests: SendStream<Bytes>,
    answers: Answers,
    asked: usize,
    created: usize,
}

impl WatchStream {
    pub(crate) async fn open(connection: &Connection) -> Outcome<Self> {
        let (requests, answers) = connection.method("/etcdserverpb.Watch/Watch")?.start().await?;
        Ok(Self { requests, answers, asked: 0, created: 0 })
    }

    /// Asks for watches, and waits until each is there. Nothing may happen meanwhile that one of them would be told.
    pub(crate) async fn create(&mut self, watches: impl Iterator<Item = WatchCreateRequest>) -> Outcome {
        let mut watches = watches.peekable();
        while watches.peek().is_some() {
            self.ask(watches.by_ref().take(PORTION))?;
            while self.created < self.asked {
                self.take(|_, _| Err("an event came before anything happened".into())).await?;
            }
        }
        Ok(())
    }

    /// Asks for watches; that they are there is told among the events.
    pub(crate) fn ask(&mut self, watches: impl Iterator<Item = WatchCreateRequest>) -> Outcome {
        let mut buf = BytesMut::new();
        for watch in watches {
            framed(&WatchRequest { request_union: Some(RequestUnion::CreateRequest(watch)) }, &mut buf)?;
            self.asked += 1;
        }
        Ok(self.requests.send_data(buf.freeze(), false)?)
    }

    /// Takes the next answer, and hands each event in it to `receive`, with the watch's number. Returns how many. Nothing is
    /// lost where this future is dropped.
    pub(crate) async fn take(
        &mut self,
        mut receive: impl FnMut(usize, KeyValue<'_>) -> Outcome,
    ) -> Outcome<usize> {
        let message = self.answers.next().await?.ok_or("the watch stream is over")?;
        let answer = WatchAnswer::parse(&message)?;
        let number = usize::try_from(answer.watch_id)?;
        if answer.canceled {
            return Err(format!("watch {number} was canceled").into());
        }
        if answer.created {
            if number != self.created {
                return Err(format!("watch {} was to be created, and {number} was", self.created).into());
            }
            self.created += 1;
        }
        let mut count = 0;
        for put in answer.puts() {
            receive(number, put?)?;
            count += 1;
        }
        Ok(count)
    }
}

/// Watches of all keys, from a revision on; 0 for what is still to come.
pub(crate) fn of_all_keys(count: usize, start_revision: i64) -> impl Iterator<Item = WatchCreateRequest> {
    let watch = WatchCreateRequest {
        key: PREFIX.into(),
        range_end: PREFIX_END.into(),
        start_revision,
        ..WatchCreateRequest::default()
    };
    std::iter::repeat_n(watch, count)
}

/// A watch of one key.
pub(crate) fn of_key(key: Vec<u8>) -> WatchCreateRequest {
    WatchCreateRequest { key: key.into(), ..WatchCreateRequest::default() }
}

/// A watcher of all keys: what it has still to get begins at this revision.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Follower {
    pub(crate) next: u64,
}

impl Follower {
    /// Every revision is one put, so the events' revisions have no gap and no repeat.
    pub(crate) fn take(&mut self, put: &KeyValue<'_>) -> Outcome {
        if put.mod_revision != self.next || !put.key.starts_with(PREFIX) || put.value.len() != VALUE_LEN {
            return Err(format!("revision {} was to come, and there came {put:?}", self.next).into());
        }
        self.next += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_follower_takes_each_revision_once_and_in_order() {
        let put = |mod_revision| KeyValue { key: b"k1", mod_revision, version: 1, value: &[0; VALUE_LEN] };
        let mut follower = Follower { next: 5 };
        assert!(follower.take(&put(5)).is_ok());
        assert!(follower.take(&put(5)).is_err(), "a repeat");
        assert!(follower.take(&put(7)).is_err(), "a gap");
        assert!(follower.take(&put(6)).is_ok());
    }
}
