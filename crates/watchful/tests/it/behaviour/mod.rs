//! What callers may rely on, case by case: one test a case, by subject. Each runs against the testkit's model too.
//!
//! Cases that belong to the server alone have no test here: texts of errors over the API; requests that are too large or
//! have too many operations; a key given twice in a request; ranges of negative revisions; the bounds of a lease's time
//! to live and the answer to a keep-alive of an unknown lease (here an error); `member add`; the alarm that goes with a
//! full quota; a watch from a negative revision; a watch of an empty pair of keys, or of the empty key (both become ranges
//! before they come here, see `watchful-revision`); responses cut to the request limit.

mod store;

mod transactions;

mod ranges;

mod leases;

mod compaction;

mod watch;
