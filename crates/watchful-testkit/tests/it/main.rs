//! The testkit's own tests: the model does what `behaviour` promises, and every checker refuses a history that was
//! broken on purpose.

mod model;

mod reads;

mod leases;

mod watch_checkers;

mod model_checkers;

mod store_checkers;

mod joined;

mod properties;

mod script;

mod support;
