//! Who watches this key? Run with `cargo run -p watchful-watcher-index --example who_watches`.

use watchful_revision::{EmptyRange, KeyRange};
use watchful_watcher_index::{GroupId, WatcherIndex};

fn main() -> Result<(), EmptyRange> {
    let index = WatcherIndex::new();
    let watched = [
        KeyRange::key("app/web/port"),
        KeyRange::prefix("app/web/"),
        KeyRange::prefix("app/"),
        KeyRange::between("app/a", "app/m")?,
        KeyRange::from_key("b"),
        KeyRange::everything(),
    ];
    for (number, range) in (0..).zip(&watched) {
        index.insert(range, GroupId(number));
        println!("group {number} watches {range}");
    }

    for key in ["app/web/port", "app/db/size", "zoo", "a"] {
        println!("{key:14} is watched by {}", watchers(&index, key));
    }

    index.remove(&KeyRange::prefix("app/"), GroupId(2));
    println!("without group 2, app/db/size is watched by {}", watchers(&index, "app/db/size"));
    println!("{} ranges take about {} bytes", index.len(), index.memory_bytes());
    Ok(())
}

fn watchers(index: &WatcherIndex, key: &str) -> String {
    let mut found = Vec::new();
    index.stab(key.as_bytes(), &mut found);
    found.sort();
    let names: Vec<_> = found.iter().map(|GroupId(number)| number.to_string()).collect();
    names.join(", ")
}
