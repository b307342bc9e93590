//! Everything that can happen around the engine, one step after the other, in any order.
//!
//! Whoever makes the steps, by a property test's strategies or out of a fuzzer's bytes, runs them here and is judged by the
//! same model.

use std::fmt;

use watchful_sync::{StreamId, WatchSpec};
use watchful_testkit::Op;

use crate::world::{CHUNK_BYTES_MAX, World};

/// One thing that happens. A stream, a read or a revision that is not there means the nearest that is, or nothing.
#[derive(Clone, Debug)]
pub enum Step {
    /// The writer commits a transaction.
    Commit {
        /// Its operations.
        ops: Vec<Op>,
        /// How the engine hears of it.
        fate: Fate,
    },
    /// The engine takes so many batches out of the writer's queue.
    Feed {
        /// How many, if there are as many.
        batches: usize,
    },
    /// The queue is full, and what was in it is lost to the engine.
    DropQueue,
    /// The engine hears of the newest revision alone.
    TellPublished,
    /// The store is compacted.
    Compact {
        /// So many revisions behind the newest.
        back: u64,
        /// Whether the engine hears of it at once.
        told: bool,
    },
    /// The engine hears of a compaction that it had not heard of.
    TellCompacted,
    /// A receiver comes.
    Attach {
        /// What it asks for; the engine may give it more.
        outbox_bytes_max: usize,
    },
    /// A receiver goes.
    Detach {
        /// Which.
        stream: usize,
    },
    /// A watch is asked for.
    Watch {
        /// On which receiver.
        stream: usize,
        /// Its name, which may be taken.
        id: i64,
        /// What it is to be; `start` says from where.
        spec: WatchSpec,
        /// From where.
        start: Start,
    },
    /// A watch is cancelled, if it is there.
    Cancel {
        /// On which receiver.
        stream: usize,
        /// Its name.
        id: i64,
    },
    /// A receiver takes items out of its outbox, and does not say so.
    Receive {
        /// Which.
        stream: usize,
        /// How many, if there are as many.
        items: usize,
    },
    /// A receiver says what it has taken out.
    Report {
        /// Which.
        stream: usize,
    },
    /// A read of history goes on, and is not done with that.
    ReadSome {
        /// Which.
        read: usize,
        /// By how many rows.
        rows: usize,
    },
    /// A read of history comes back.
    Answer {
        /// Which.
        read: usize,
    },
    /// A receiver asks for progress.
    AskProgress {
        /// Which.
        stream: usize,
        /// Of a revision so far ahead.
        ahead: u64,
    },
    /// It is time for progress to be told.
    Tick,
    /// A revision cannot be read from now on.
    Damage {
        /// So many behind the newest.
        back: u64,
    },
    /// Nothing but the engine's turn.
    Turn,
}

/// How the engine hears of a transaction.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    /// Not yet: its batch is in the queue.
    Queued,
    /// At once.
    Fed,
    /// The queue was full: it hears of the revision alone.
    Dropped,
}

/// From where a watch starts.
#[derive(Clone, Copy, Debug)]
pub enum Start {
    /// So many revisions behind the newest.
    Back(u64),
    /// So far from the compact revision.
    AtCompact(i64),
    /// So many revisions ahead of the newest.
    Ahead(u64),
}

/// Steps, and whether the engine has a turn after each.
#[derive(Clone)]
pub struct Schedule(pub Vec<(Step, bool)>);

/// One step a line.
impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|(step, turn)| write!(f, "\n{step:?}{}", if *turn { "" } else { ", and no turn" }))
    }
}

impl Schedule {
    /// Takes every step, then comes to rest, and checks every promise on the way and at the end.
    ///
    /// # Panics
    ///
    /// Where one is broken.
    pub fn run(self) {
        let mut world = World::new();
        world.attach(0);
        world.attach(3 * CHUNK_BYTES_MAX);
        for (step, turn) in self.0 {
            take(&mut world, step);
            if turn {
                world.turn();
            }
        }
        world.settle();
        // Bring in those who wait for the future.
        for _ in 0..6 {
            world.put("a b");
        }
        world.check_end();
    }
}

fn take(world: &mut World, step: Step) {
    match step {
        Step::Commit { ops, fate } => commit_one(world, &ops, fate),
        Step::Feed { batches } => (0..batches).for_each(|_| _ = world.feed()),
        Step::DropQueue => world.drop_queue(),
        Step::TellPublished => world.tell_published(),
        Step::Compact { back, told } => {
            world.compact_untold(world.model.current_revision().saturating_sub(back));
            if told {
                world.tell_compacted();
            }
        }
        Step::TellCompacted => world.tell_compacted(),
        Step::Attach { outbox_bytes_max } => _ = world.attach(outbox_bytes_max),
        Step::ReadSome { read, rows } if !world.reads.is_empty() => {
            let at = read % world.reads.len();
            world.reads[at].go_on(rows, &world.model, world.damaged);
        }
        Step::Answer { read } if !world.reads.is_empty() => world.answer_at(read % world.reads.len()),
        Step::ReadSome { .. } | Step::Answer { .. } | Step::Turn => {}
        Step::Tick => world.tick(),
        Step::Damage { back } => {
            world.damaged = Some(world.model.current_revision().saturating_sub(back).max(2));
        }
        Step::Detach { stream }
        | Step::Watch { stream, .. }
        | Step::Cancel { stream, .. }
        | Step::Receive { stream, .. }
        | Step::Report { stream }
        | Step::AskProgress { stream, .. } => {
            if let Some(stream) = stream_at(world, stream) {
                take_on(world, stream, step);
            }
        }
    }
}

fn commit_one(world: &mut World, ops: &[Op], fate: Fate) {
    if world.commit(ops).is_none() {
        return;
    }
    match fate {
        Fate::Queued => {}
        Fate::Fed => while world.feed() {},
        Fate::Dropped => world.drop_queue(),
    }
}

fn take_on(world: &mut World, stream: StreamId, step: Step) {
    match step {
        Step::Detach { .. } => world.detach(stream),
        Step::Watch { id, mut spec, start, .. } => {
            spec.start_revision = resolve(world, start);
            world.watch_quietly(stream, id, spec);
        }
        Step::Cancel { id, .. } => world.cancel_quietly(stream, id),
        Step::Receive { items, .. } => world.receive(stream, items),
        Step::Report { .. } => world.report(stream),
        Step::AskProgress { ahead, .. } => {
            world.ask_progress_quietly(stream, world.model.current_revision() + ahead);
        }
        other => panic!("{other:?} is not about a stream"),
    }
}

fn resolve(world: &World, start: Start) -> u64 {
    let current_revision = world.model.current_revision();
    match start {
        Start::Back(back) => current_revision.saturating_sub(back).max(1),
        Start::AtCompact(by) => world.model.compact_revision().saturating_add_signed(by).max(1),
        Start::Ahead(ahead) => current_revision + ahead,
    }
}

fn stream_at(world: &World, at: usize) -> Option<StreamId> {
    let attached = world.attached();
    (!attached.is_empty()).then(|| attached[at % attached.len()])
}
