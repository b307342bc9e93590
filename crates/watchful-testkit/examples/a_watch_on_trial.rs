//! A history of a watch on trial: what the model says it was owed, and what the checkers say of one that lost an event.
//!
//! Run it with `cargo run -p watchful-testkit --example a_watch_on_trial`.

use watchful_testkit::{Model, Observation, Observed, WatchSpec, checkers, script};

const SCRIPT: &str = "
    put config/port 80
    put config/host a.example
    txn { if version config/port = 1; put config/port 8080; del config/host }
    put other 1";

fn main() {
    let mut model = Model::new();
    println!("the store's answers:\n{}", script::run(&mut model, SCRIPT));

    let spec = WatchSpec::new(script::parse_range("config/*"), 2).with_prev_kv();
    println!("what a watch of config/* is owed:");
    for event in model.events(&spec.ranges, spec.filters, 2, model.current_revision()) {
        println!("  {event}");
    }

    let right = Observed::ideal(&spec, &model);
    println!("\na receiver that saw it all:");
    report(&spec, &right, &model);

    let lossy: Observed = right.observations().iter().map(without_deletes).collect();
    println!("\na receiver that lost the delete:");
    report(&spec, &lossy, &model);
}

fn without_deletes(observation: &Observation) -> Observation {
    let mut observation = observation.clone();
    if let Observation::Batch(batch) = &mut observation {
        batch.events.retain(|event| !event.value().is_empty());
    }
    observation
}

fn report(spec: &WatchSpec, observed: &Observed, model: &Model) {
    match checkers::check_all(spec, observed, model) {
        Ok(()) => println!("  every promise was kept"),
        Err(violations) => violations.iter().for_each(|violation| println!("  {violation}")),
    }
}
