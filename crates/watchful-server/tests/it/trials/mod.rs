//! Trials: kill -9 in a write load, SIGTERM in one, refusals to start, a reader that does not read, a flood of
//! wrong passwords, a crowd, and clients that mean harm.

mod load;

mod kill;

mod crowd;

mod shutdown;

mod unread;

mod refusals;

mod slow_reader;

mod flood;

mod hostile;
