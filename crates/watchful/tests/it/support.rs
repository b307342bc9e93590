//! What the tests share: it is in `watchful-harness`, because the long trials share it too.

pub(crate) use watchful_harness::{
    PATIENCE, Receiver, Twin, answered, block_on, check, check_budgets, check_nothing_is_left, eventually,
    everything, gauges, get, lines, narrow, request, rows_at, settings, watch_options,
};
