//! The store: a handle over the layers, and the threads that drive them.
//!
//! Three threads belong to a store: the writer (group commit for async callers, and chores), the driver (owns the sync
//! engine) and the reader (history). They stop when the last handle is dropped.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use parking_lot::Mutex;
use watchful_mvcc::{Deleted, Group, Mvcc, PutOptions, RangeOptions, RangeResult, TxnRequest, TxnResponse};
use watchful_revision::{KeyRange, LeaseId, Record};
use watchful_sync::{Gauges, WatcherStatus};

use crate::budget::Budget;
use crate::commit::{Committer, Settled, is_leading};
use crate::driver::Driver;
use crate::feed::{Command, Feed};
use crate::lease::LeaseClock;
use crate::promise::promise;
use crate::reader::{ReadCounts, Reader};
use crate::token::StoreName;
use crate::txn::Carried;
use crate::watch::WatchPlace;
use crate::writer::Writer;
use crate::{
    Answer, Committed, Error, LeaseStatus, Listed, Settings, Stats, Txn, View, Watch, WatchOptions,
    WatchStream, Write,
};

/// A key-value store that can be watched, in a folder on disk.
///
/// A clone is another handle to the same store. When the last one is dropped the store is closed: what was accepted is
/// done, watches end, and the folder is free.
///
/// Reads are plain calls that take microseconds. They may touch the disk where a page is cold, so an async program that
/// minds puts large ones on a blocking thread. Writes are [`Write`]s: awaited or waited for.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    mvcc: Mvcc,
    committer: Arc<Committer>,
    leases: Arc<LeaseClock>,
    place: WatchPlace,
    budget: Arc<Budget>,
    reads: Arc<ReadCounts>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Store {
    /// Opens the store in the folder `dir`, or makes one there.
    ///
    /// Reads the log once, to build the key index: about a microsecond a key.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyOpen`] when somebody has it open; [`Error::FormatVersion`]; [`Error::Settings`]; [`Error::Other`]
    /// when the folder cannot be used, or what is in it is damaged, cut short or no store. Nothing is changed then.
    pub fn open(dir: impl AsRef<Path>, settings: Settings) -> Result<Self, Error> {
        settings.check()?;
        let (mvcc, _report) = Mvcc::open(dir.as_ref(), &settings.mvcc())?;
        let feed = Arc::new(Feed::new(
            mvcc.current_revision(),
            mvcc.compact_revision(),
            settings.publish_queue_bytes_max,
        ));
        let committer = Arc::new(Committer::new(
            mvcc.clone(),
            Arc::clone(&feed),
            Arc::clone(&settings.clock),
            settings.group_transactions_max,
            settings.compaction_slice_rows,
        ));
        let leases = Arc::new(LeaseClock::new(Arc::clone(&settings.clock), mvcc.leases()));
        let place = WatchPlace {
            feed,
            name: StoreName { id: u128::from_be_bytes(mvcc.store_id()), epoch: mvcc.epoch() },
            outbox_bytes_max: settings.outbox_bytes_max,
            outbox_bytes_min: 2 * settings.chunk_bytes_max,
        };
        let budget = Budget::new(settings.shared_bytes_max);
        let (reads, threads) = (Arc::default(), Mutex::default());
        let inner = Arc::new(Inner { mvcc, committer, leases, place, budget, reads, threads });
        inner.start(&settings)?;
        Ok(Self { inner })
    }

    pub(crate) fn mvcc(&self) -> &Mvcc {
        &self.inner.mvcc
    }

    pub(crate) fn committer(&self) -> &Committer {
        &self.inner.committer
    }

    /// The newest main revision that can be read. An empty store is at 1.
    #[must_use]
    pub fn current_revision(&self) -> u64 {
        self.inner.mvcc.current_revision()
    }

    /// The oldest main revision that can be read; 0 when nothing was ever compacted.
    #[must_use]
    pub fn compact_revision(&self) -> u64 {
        self.inner.mvcc.compact_revision()
    }

    /// The store's name for itself: random, given when it was made, and kept by its backups.
    #[must_use]
    pub fn id(&self) -> u128 {
        self.inner.place.name.id
    }

    /// How often revisions may have been given out anew: 1 at first, and one more after each opening that found commits
    /// lost. See [`ResumeToken`](crate::ResumeToken).
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.inner.place.name.epoch
    }

    /// One key, as it is now.
    ///
    /// # Errors
    ///
    /// [`Error::Other`] for a damaged record or a disk that fails.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Record>, Error> {
        self.newest(|view| view.get(key.as_ref()))
    }

    /// A range, as it is now. See [`View::range`].
    ///
    /// # Errors
    ///
    /// As [`Store::get`]; [`Error::Compacted`] when compaction overtakes a long read.
    pub fn range(&self, range: &KeyRange, options: &RangeOptions) -> Result<RangeResult, Error> {
        self.newest(|view| view.range(range, options))
    }

    /// The store at main revision `revision`.
    ///
    /// # Errors
    ///
    /// [`Error::Compacted`], [`Error::FutureRevision`].
    pub fn view_at(&self, revision: u64) -> Result<View, Error> {
        Ok(View::new(self.inner.mvcc.view(Some(revision))?))
    }

    /// The store as it is now.
    ///
    /// # Errors
    ///
    /// [`Error::Other`] when the disk fails.
    pub fn view(&self) -> Result<View, Error> {
        Ok(View::new(self.inner.mvcc.view(None)?))
    }

    /// Reads the newest revision; once more at an even newer one where a compaction came right in between.
    fn newest<T>(&self, read: impl Fn(&View) -> Result<T, Error>) -> Result<T, Error> {
        match self.view().and_then(|view| read(&view)) {
            Err(Error::Compacted { .. }) => read(&self.view()?),
            answer => answer,
        }
    }

    /// Puts one key.
    ///
    /// # Errors
    ///
    /// Of the write: [`Error::EmptyKey`], [`Error::NoSpace`], [`Error::OutcomeUnknown`], [`Error::Closed`].
    pub fn put(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Write<Committed<Option<Record>>> {
        self.put_with(key, value, PutOptions::default())
    }

    /// Puts one key with options: a lease, keeping the old value or lease, answering with the record before.
    ///
    /// # Errors
    ///
    /// Of the write: as [`Store::put`]; [`Error::LeaseNotFound`]; [`Error::KeyNotFound`] where something of the key is to
    /// be kept and it is not there.
    pub fn put_with(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        options: PutOptions,
    ) -> Write<Committed<Option<Record>>> {
        let (key, value) = (Box::<[u8]>::from(key.as_ref()), Box::<[u8]>::from(value.as_ref()));
        self.transaction(move |txn| txn.put_with(&key, &value, options))
    }

    /// Deletes one key. The answer says whether it was there.
    ///
    /// # Errors
    ///
    /// Of the write: [`Error::OutcomeUnknown`], [`Error::Closed`].
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Write<Committed<Deleted>> {
        self.delete_range(KeyRange::key(key), false)
    }

    /// Deletes every key of a range, in one revision. The answer has their records where `prev_kv` asks for them.
    ///
    /// # Errors
    ///
    /// Of the write: [`Error::OutcomeUnknown`], [`Error::Closed`].
    pub fn delete_range(&self, range: KeyRange, prev_kv: bool) -> Write<Committed<Deleted>> {
        self.transaction(move |txn| txn.delete_range(&range, prev_kv))
    }

    /// Runs a transaction that is given as data: compares, then one list of operations or the other.
    ///
    /// # Errors
    ///
    /// Of the write: what its operations can fail with. Then nothing of it happened.
    pub fn execute(&self, request: TxnRequest) -> Write<Committed<TxnResponse>> {
        self.transaction(move |txn| txn.execute(&request))
    }

    /// Runs a transaction that is given as a closure. It reads its own writes; nobody else's come in between.
    ///
    /// The closure runs on whichever thread leads the group commit, and everybody else's writes wait for it: it should
    /// compute, and not wait. To abort, return an error: [`Error::abort`] or one of your own. A panic aborts too, and goes
    /// on in the caller.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = watchful::Store::open(dir.path(), watchful::Settings::default())?;
    /// use watchful::Error;
    ///
    /// store.put("from", "5").wait()?;
    /// let moved = store.transact(|txn| {
    ///     let from = txn.get("from")?.ok_or_else(|| Error::abort("there is nothing to move"))?;
    ///     txn.put("to", from.value())?;
    ///     txn.delete("from")?;
    ///     Ok::<_, Error>(())
    /// });
    /// let moved = moved.wait()?;
    /// assert_eq!((moved.revision, store.get("from")?), (3, None));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Of the write: the closure's own, or why the group was not committed.
    pub fn transact<T, E>(
        &self,
        work: impl FnOnce(&mut Txn<'_, '_, '_>) -> Result<T, E> + Send + 'static,
    ) -> Write<Committed<T>, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.transaction(work)
    }

    fn transaction<T, E>(
        &self,
        work: impl FnOnce(&mut Txn<'_, '_, '_>) -> Result<T, E> + Send + 'static,
    ) -> Write<Committed<T>, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.write(None, move |group| {
            let outcome = group.txn(|txn| work(&mut Txn::new(txn)).map_err(Carried::Own));
            let outcome = outcome.map_err(Carried::into_own)?;
            Ok(Committed::new(outcome, group.current_revision()))
        })
    }

    fn write<T, E>(
        &self,
        settled: Option<Settled>,
        work: impl FnOnce(&mut Group<'_>) -> Result<T, E> + Send + 'static,
    ) -> Write<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        Write::new(Arc::clone(&self.inner.committer), settled, work)
    }

    /// Grants a lease of `ttl_seconds`. `id` 0 lets the store choose one.
    ///
    /// A lease's keys are deleted, in one revision, when its time is over and nobody kept it alive. After a restart each
    /// lease has its full time again.
    ///
    /// # Errors
    ///
    /// Of the write: [`Error::LeaseExists`], [`Error::NoSpace`].
    pub fn lease_grant(&self, id: LeaseId, ttl_seconds: i64) -> Write<LeaseId> {
        let id = if id == 0 { choose_lease() } else { id };
        let leases = Arc::clone(&self.inner.leases);
        let settled: Settled = Box::new(move |written| {
            if written {
                leases.granted(id, ttl_seconds);
            }
        });
        self.write(Some(settled), move |group| {
            group.txn(|txn| txn.lease_grant(id, ttl_seconds))?;
            Ok(id)
        })
    }

    /// Ends a lease now, and deletes its keys in one revision. The answer is how many they were.
    ///
    /// # Errors
    ///
    /// Of the write: [`Error::LeaseNotFound`].
    pub fn lease_revoke(&self, id: LeaseId) -> Write<Committed<u64>> {
        self.lease_revoke_if(id, |_| Ok(()))
    }

    /// Ends a lease as [`lease_revoke`](Self::lease_revoke) does, if `may` says so: it is asked in the same transaction,
    /// which it can read, so no key gets onto the lease in between.
    ///
    /// # Errors
    ///
    /// Of the write: what `may` refuses with, and [`Error::LeaseNotFound`].
    pub fn lease_revoke_if<E>(
        &self,
        id: LeaseId,
        may: impl FnOnce(&Txn<'_, '_, '_>) -> Result<(), E> + Send + 'static,
    ) -> Write<Committed<u64>, E>
    where
        E: From<Error> + Send + 'static,
    {
        let leases = Arc::clone(&self.inner.leases);
        let settled: Settled = Box::new(move |written| {
            if written {
                leases.revoked(id);
            }
        });
        self.write(Some(settled), move |group| {
            let outcome = group.txn(|txn| {
                may(&Txn::new(txn)).map_err(Carried::Own)?;
                Ok(txn.lease_revoke(id)?)
            });
            let outcome = outcome.map_err(Carried::into_own)?;
            Ok(Committed::new(outcome, group.current_revision()))
        })
    }

    /// Gives a lease its full time again, and tells it. Writes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseNotFound`] when there is no such lease, or its end is being written.
    pub fn lease_keep_alive(&self, id: LeaseId) -> Result<std::time::Duration, Error> {
        self.inner.leases.keep_alive(id).ok_or(Error::LeaseNotFound { id })
    }

    /// A lease with what is left of its time, and its keys.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseNotFound`].
    pub fn lease(&self, id: LeaseId) -> Result<LeaseStatus, Error> {
        let found = || {
            let lease = self.inner.mvcc.lease(id)?;
            let keys = self.inner.mvcc.lease_keys(id)?;
            let remaining = self.inner.leases.remaining(id).unwrap_or_default();
            Some(LeaseStatus { id, ttl_seconds: lease.ttl_seconds, remaining, keys })
        };
        found().ok_or(Error::LeaseNotFound { id })
    }

    /// All leases, by id.
    #[must_use]
    pub fn leases(&self) -> Vec<LeaseId> {
        self.inner.mvcc.leases().into_iter().map(|lease| lease.id).collect()
    }

    /// All leases whose time runs, the one that ends first before the others.
    #[must_use]
    pub fn leases_by_end(&self) -> Vec<LeaseId> {
        self.inner.leases.by_end()
    }

    /// Forgets every version that nobody can read at main revision `revision` or above. It is durable and enforced when
    /// this is done; the space is freed afterwards, in small slices along with other commits.
    ///
    /// # Errors
    ///
    /// Of the write: [`Error::Compacted`] when it was compacted there already; [`Error::FutureRevision`].
    pub fn compact(&self, revision: u64) -> Write<()> {
        self.write(None, move |group| Ok(group.schedule_compaction(revision)?))
    }

    /// Watches. What is owed from the past comes first, then every change as it is committed: each once, in order.
    ///
    /// A receiver that is slow or far behind costs its outbox, and slows nobody.
    ///
    /// # Errors
    ///
    /// [`Error::NoRanges`], [`Error::TokenRefused`], [`Error::Closed`]. A start below the compact revision is no error
    /// here: the watch begins, and ends at once with [`End::Compacted`](crate::End::Compacted).
    pub fn watch(&self, options: &WatchOptions) -> Result<Watch, Error> {
        Watch::open(&self.inner.place, options, self.current_revision())
    }

    /// A stream for many watches, which share one outbox. Its bound is the store's setting, unless one is given.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn watch_stream(&self, outbox_bytes_max: Option<usize>) -> Result<WatchStream, Error> {
        // Weak, because a stream that outlives its store must not keep the folder: it is told that the store is closed.
        let inner = Arc::downgrade(&self.inner);
        let current_revision =
            Arc::new(move || inner.upgrade().map_or(0, |inner| inner.mvcc.current_revision()));
        WatchStream::open(self.inner.place.clone(), outbox_bytes_max, current_revision)
    }

    /// Lists the ranges, and watches them from there: nothing between is lost. The start that `options` name is not
    /// looked at.
    ///
    /// # Errors
    ///
    /// As [`Store::watch`] and [`View::range`].
    pub fn list_then_watch(&self, options: &WatchOptions) -> Result<Listed, Error> {
        // The watch is registered before the list is read, so a long list does not let it fall behind compaction. Where
        // compaction overtakes the list itself, both begin again.
        const TRIES: usize = 16;
        let mut tries = 1;
        loop {
            let view = self.view()?;
            let watch = self.watch(&options.clone().start_at(view.revision() + 1))?;
            match list(&view, options.ranges()) {
                Ok(records) => return Ok(Listed { view, records, watch }),
                Err(Error::Compacted { .. }) if tries < TRIES => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Everybody who watches: what, where they stand, how far behind, and how much is queued.
    pub fn watchers(&self) -> Answer<Vec<WatcherStatus>> {
        let (reply, answer) = promise();
        self.inner.place.feed.command(Command::Watchers(reply));
        Answer::new(answer)
    }

    /// Counts and sizes of everything, but of those who watch: no waiting.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let inner = &self.inner;
        Stats::new(
            inner.mvcc.stats(),
            &inner.committer.counts,
            &inner.reads,
            inner.budget.used_bytes(),
            inner.place.feed.has_panicked(),
        )
    }

    /// Counts and sizes of everything that has to do with watching.
    pub fn watch_gauges(&self) -> Answer<Gauges> {
        let (reply, answer) = promise();
        self.inner.place.feed.command(Command::Gauges(reply));
        Answer::new(answer)
    }

    /// Copies the store, as it is at one revision, into a new file, while writes go on. Returns the copy's bytes. Blocks
    /// for as long as the copy takes.
    ///
    /// # Errors
    ///
    /// [`Error::Other`] when the file exists already or cannot be written.
    pub fn backup(&self, to: impl AsRef<Path>) -> Result<u64, Error> {
        Ok(self.inner.mvcc.backup(to.as_ref())?)
    }

    /// Brings everything that was committed to the disk, for the durabilities that do not do so by themselves.
    ///
    /// # Errors
    ///
    /// [`Error::Other`] when the disk fails.
    pub fn sync(&self) -> Result<(), Error> {
        Ok(self.inner.mvcc.sync()?)
    }

    /// Closes the store for every handle: refuses new writes, does what was accepted, ends every watch. The folder is
    /// free once the last handle and the last [`View`] are dropped.
    pub fn close(&self) {
        self.inner.close();
    }
}

impl Inner {
    fn start(&self, settings: &Settings) -> Result<(), Error> {
        let (clock, feed) = (&settings.clock, &self.place.feed);
        let (read_requests, requests) = mpsc::channel();
        let driver = Driver::new(
            self.mvcc.clone(),
            Arc::clone(feed),
            read_requests,
            settings.engine(),
            Arc::clone(clock),
            settings.progress_interval,
        );
        let reader = Reader {
            mvcc: self.mvcc.clone(),
            feed: Arc::clone(feed),
            budget: Arc::clone(&self.budget),
            counts: Arc::clone(&self.reads),
        };
        let writer = Writer::new(
            Arc::clone(&self.committer),
            Arc::clone(&self.leases),
            Arc::clone(clock),
            settings.compaction,
            Arc::clone(feed),
        );
        let (turned_feed, turned_committer) = (Arc::downgrade(feed), Arc::downgrade(&self.committer));
        clock.on_turn(Arc::new(move || {
            if let (Some(feed), Some(committer)) = (turned_feed.upgrade(), turned_committer.upgrade()) {
                feed.turn();
                committer.turn();
            }
        }));
        self.spawn("watchful-driver", move || driver.run())?;
        self.spawn("watchful-reader", move || reader.run(&requests))?;
        self.spawn("watchful-writer", move || writer.run())
    }

    fn spawn(&self, name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), Error> {
        let thread = thread::Builder::new().name(name.to_owned()).spawn(run).map_err(Error::other)?;
        self.threads.lock().push(thread);
        Ok(())
    }

    /// The writer does what was accepted and then closes the feed, so that everything is published before the watchers
    /// are told that it is over.
    fn close(&self) {
        self.committer.close();
        if is_leading() {
            // In a transaction's closure this thread has what the writer waits for. The threads end by themselves.
            return;
        }
        for thread in std::mem::take(&mut *self.threads.lock()) {
            // A thread of ours that panicked has said so already, and there is nothing left to save here.
            let _ = thread.join();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("current_revision", &self.current_revision()).finish_non_exhaustive()
    }
}

fn list(view: &View, ranges: &[KeyRange]) -> Result<Vec<Record>, Error> {
    let mut records = Vec::new();
    for range in ranges {
        for turn in view.scan(range) {
            records.extend(turn?);
        }
    }
    Ok(records)
}

/// A lease id that nobody has, as good as surely: 63 random bits.
fn choose_lease() -> LeaseId {
    use std::hash::{BuildHasher, RandomState};
    let random = RandomState::new().hash_one(thread::current().id());
    LeaseId::try_from(random >> 1).unwrap_or(1).max(1)
}
