//! Turns at work that is costly: so many at once, and the others wait in lanes, which are served in turn.
//!
//! With one queue, whoever floods it makes everybody wait. With lanes, by who asks and as whom, a flood fills its own:
//! beside a lane with a hundred waiting, somebody who is alone in another waits for two, not for a hundred.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// How many lanes there are. Those who ask are spread over them by a hash that nobody outside can foretell.
pub(super) const LANES: usize = 256;

/// How many may wait in one lane: as many clients of one name as may well start at once.
const LANE_WAITING_MAX: usize = 128;

/// Gives turns.
#[derive(Debug)]
pub(super) struct Turns {
    queues: Arc<Mutex<Queues>>,
}

#[derive(Debug)]
struct Queues {
    free: usize,
    lanes: Vec<VecDeque<oneshot::Sender<Turn>>>,
    /// The lanes in which somebody waits, the next one first.
    order: VecDeque<usize>,
}

/// One's turn. Dropped, it is the next one's.
#[derive(Debug)]
pub(super) struct Turn {
    /// None of a turn that was never taken.
    queues: Option<Arc<Mutex<Queues>>>,
}

/// Too many wait in that lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Turns {
    pub(super) fn new(at_once: usize) -> Self {
        let lanes = (0..LANES).map(|_| VecDeque::new()).collect();
        Self { queues: Arc::new(Mutex::new(Queues { free: at_once.max(1), lanes, order: VecDeque::new() })) }
    }

    /// Waits for a turn.
    pub(super) async fn take(&self, lane: usize) -> Result<Turn, Full> {
        match self.ask(lane)? {
            Asked::Now(turn) => Ok(turn),
            Asked::Later(turn) => turn.await.map_err(|_| Full),
        }
    }

    fn ask(&self, lane: usize) -> Result<Asked, Full> {
        let mut queues = self.queues.lock();
        if queues.free > 0 {
            queues.free -= 1;
            return Ok(Asked::Now(Turn { queues: Some(Arc::clone(&self.queues)) }));
        }
        let lane = lane % LANES;
        let waiting = queues.lanes.get_mut(lane).ok_or(Full)?;
        if waiting.len() >= LANE_WAITING_MAX {
            // Those who have gone make room.
            waiting.retain(|waits| !waits.is_closed());
        }
        let (is_first, is_full) = (waiting.is_empty(), waiting.len() >= LANE_WAITING_MAX);
        if is_full {
            return Err(Full);
        }
        let (give, turn) = oneshot::channel();
        waiting.push_back(give);
        if is_first && !queues.order.contains(&lane) {
            queues.order.push_back(lane);
        }
        Ok(Asked::Later(turn))
    }
}

enum Asked {
    Now(Turn),
    Later(oneshot::Receiver<Turn>),
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(queues) = self.queues.take() else { return };
        let mut turn = Turn { queues: Some(Arc::clone(&queues)) };
        let mut waiting = queues.lock();
        while let Some(next) = waiting.next() {
            match next.send(turn) {
                Ok(()) => return,
                Err(back) => turn = back,
            }
        }
        // Nobody waits. This turn must not look for the next one again.
        turn.queues = None;
        waiting.free += 1;
    }
}

impl Queues {
    /// The first of the next lane, which then goes to the end.
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        let lane = self.order.pop_front()?;
        let waiting = self.lanes.get_mut(lane)?;
        let next = waiting.pop_front();
        if !waiting.is_empty() {
            self.order.push_back(lane);
        }
        next.or_else(|| self.next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn later(turns: &Turns, lane: usize) -> oneshot::Receiver<Turn> {
        match turns.ask(lane) {
            Ok(Asked::Later(turn)) => turn,
            _ => panic!("lane {lane} waits"),
        }
    }

    #[tokio::test]
    async fn lanes_are_served_in_turn_whatever_waits_in_one() {
        let turns = Turns::new(1);
        let running = turns.take(0).await.unwrap();
        let mut flood: Vec<_> = (0..5).map(|_| later(&turns, 1)).collect();
        let mut alone = later(&turns, 2);
        drop(running);
        let first = flood[0].try_recv().unwrap();
        assert!(alone.try_recv().is_err() && flood[1].try_recv().is_err());
        drop(first);
        let second = alone.try_recv().unwrap();
        drop(second);
        assert!(flood[1].try_recv().is_ok());
    }

    #[tokio::test]
    async fn a_lane_has_a_bound_and_those_who_have_gone_make_room() {
        let turns = Turns::new(2);
        let _running = (turns.take(0).await.unwrap(), turns.take(0).await.unwrap());
        let mut waiting: Vec<_> = (0..LANE_WAITING_MAX).map(|_| later(&turns, 3)).collect();
        assert_eq!(turns.take(3).await.unwrap_err(), Full);
        let _other = later(&turns, 4);
        waiting.pop();
        drop(later(&turns, 3));
    }

    #[tokio::test]
    async fn a_turn_that_nobody_waits_for_is_free_again() {
        let turns = Turns::new(1);
        let running = turns.take(0).await.unwrap();
        drop((later(&turns, 1), later(&turns, 1), later(&turns, 2)));
        drop(running);
        drop(turns.take(5).await.unwrap());
        let running = turns.take(6).await.unwrap();
        let waits = later(&turns, 7);
        drop(running);
        // Given, and not taken: it goes on.
        drop(waits);
        assert_eq!(turns.queues.lock().free, 1);
    }
}
