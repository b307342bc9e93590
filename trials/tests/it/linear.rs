//! The near-linear checker of the testkit against `stateright`'s tester, which tries every order: on small histories of
//! every kind, right ones and wrong ones, both must say the same.

use proptest::collection::vec;
use proptest::prelude::*;
use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};
use watchful_revision::{Event, KeyRange, Revision};
use watchful_testkit::linear::{Answer, Call, check};
use watchful_testkit::{Compare, CompareTarget, Comparison, Model, Op, OpResult, Row, Txn};

/// A store as `stateright` wants it: what is asked, and what is answered, with the revision.
#[derive(Clone, Debug)]
struct Sequential(Model);

impl SequentialSpec for Sequential {
    type Op = Vec<Op>;
    type Ret = (u64, Vec<OpResult>);

    fn invoke(&mut self, ops: &Vec<Op>) -> (u64, Vec<OpResult>) {
        let applied = self.0.apply(ops).unwrap();
        (self.0.current_revision(), applied.results)
    }
}

/// Tries every order.
fn tries_all(calls: &[Call]) -> bool {
    let mut moments: Vec<(u64, usize, bool)> = Vec::new();
    for (number, call) in calls.iter().enumerate() {
        moments.push((call.sent, number, true));
        moments.extend(call.answer.as_ref().map(|answer| (answer.at, number, false)));
    }
    moments.sort_by_key(|(at, ..)| *at);
    let mut tester = LinearizabilityTester::new(Sequential(Model::new()));
    for (_, number, is_sent) in moments {
        // A thread of its own each, which says no more than the times do.
        if is_sent {
            tester.on_invoke(number, calls[number].ops.clone()).unwrap();
        } else {
            let answer = calls[number].answer.as_ref().unwrap();
            tester.on_return(number, (answer.revision, answer.results.clone())).unwrap();
        }
    }
    tester.is_consistent()
}

/// How a call goes: what it asks, when it is sent, takes effect and is answered, if it does and is.
#[derive(Clone, Debug)]
struct Sketch {
    ops: Vec<Op>,
    times: [u16; 3],
    has_effect: bool,
    is_answered: bool,
}

fn key() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("a"), Just("b")]
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let put = || (key(), 0..3_u8).prop_map(|(key, value)| Op::put(key, value.to_string()));
    let txn = (key(), 0..3_u64, put(), key()).prop_map(|(key, version, put, other)| {
        Op::Txn(Txn {
            compares: vec![Compare::key(key, Comparison::Equal, CompareTarget::Version(version))],
            then_ops: vec![put],
            else_ops: vec![Op::delete(other)],
        })
    });
    prop_oneof![
        4 => put(),
        2 => key().prop_map(Op::delete),
        3 => key().prop_map(|key| Op::range(KeyRange::key(key))),
        1 => Just(Op::range(KeyRange::everything())),
        2 => txn,
    ]
    .prop_map(|op| vec![op])
}

fn sketch() -> impl Strategy<Value = Sketch> {
    (ops(), any::<[u16; 3]>(), proptest::bool::weighted(0.8), proptest::bool::weighted(0.8)).prop_map(
        |(ops, mut times, has_effect, is_answered)| {
            times.sort_unstable();
            Sketch { ops, times, has_effect: has_effect || is_answered, is_answered }
        },
    )
}

/// Something that a store may do wrong, to one of the answers.
#[derive(Clone, Debug)]
enum Wrong {
    /// It tells another revision.
    Revision(u64),
    /// It answers later or earlier than it did.
    Answered(u16),
    /// It was sent later than it was.
    Sent(u16),
    /// It says what another call was told.
    Results(usize),
    /// It was done, and nobody else saw anything of it.
    Lost,
}

fn wrong() -> impl Strategy<Value = Wrong> {
    prop_oneof![
        (1..7_u64).prop_map(Wrong::Revision),
        any::<u16>().prop_map(Wrong::Answered),
        any::<u16>().prop_map(Wrong::Sent),
        (0..7_usize).prop_map(Wrong::Results),
        Just(Wrong::Lost),
    ]
}

/// The history of a right store, and what it tells of it itself.
fn history(sketches: &[Sketch], lost: Option<usize>) -> (Vec<Call>, Vec<Event>) {
    let mut order: Vec<usize> = (0..sketches.len()).collect();
    order.sort_by_key(|number| (sketches[*number].times[1], *number));
    let (mut model, mut answers) = (Model::new(), vec![None; sketches.len()]);
    for number in order {
        let Sketch { ops, has_effect, .. } = &sketches[number];
        if *has_effect {
            let before = model.clone();
            let results = model.apply(ops).unwrap().results;
            answers[number] = Some((model.current_revision(), results));
            if lost == Some(number) {
                model = before;
            }
        }
    }
    // No two things happen at once: a call is sent before another is answered that has the same time.
    let at = |time: u16, kind: u64, number: usize| (u64::from(time) * 2 + kind) * 16 + number as u64;
    let call = |(number, sketch): (usize, &Sketch)| Call {
        ops: sketch.ops.clone(),
        sent: at(sketch.times[0], 0, number),
        answer: answers[number].clone().filter(|_| sketch.is_answered).map(|(revision, results)| Answer {
            at: at(sketch.times[2], 1, number),
            revision,
            results,
        }),
    };
    let last = model.current_revision();
    let events = model.events(&[KeyRange::everything()], Default::default(), 2, last);
    let events = events.iter().map(|event| event.to_event(false)).collect();
    (sketches.iter().enumerate().map(call).collect(), events)
}

fn spoil(sketches: &[Sketch], which: usize, wrong: Option<Wrong>) -> (Vec<Call>, Vec<Event>) {
    let which = which % sketches.len();
    let lost = matches!(wrong, Some(Wrong::Lost)).then_some(which);
    let (mut calls, events) = history(sketches, lost);
    let other = calls.clone();
    let Call { sent, answer: Some(answer), .. } = &mut calls[which] else { return (calls, events) };
    match wrong {
        Some(Wrong::Revision(revision)) => answer.revision = revision,
        Some(Wrong::Answered(time)) => answer.at = (*sent).max(u64::from(time) * 32) + 16,
        Some(Wrong::Sent(time)) => *sent = answer.at.min(u64::from(time) * 32 + 16) - 1,
        Some(Wrong::Results(from)) => {
            let from = &other[from % other.len()];
            if let Some(from) = &from.answer
                && other[which].ops.len() == 1
                && std::mem::discriminant(&from.results[0]) == std::mem::discriminant(&answer.results[0])
            {
                answer.results.clone_from(&from.results);
            }
        }
        Some(Wrong::Lost) | None => {}
    }
    (calls, events)
}

/// What may be wrong with what the store itself tells.
#[derive(Clone, Copy, Debug)]
enum Untrue {
    /// A revision is missing.
    Missing,
    /// Another value than any that was put.
    Value,
    /// A change that nobody made, after all others.
    TooMany,
}

fn untrue() -> impl Strategy<Value = Untrue> {
    prop_oneof![Just(Untrue::Missing), Just(Untrue::Value), Just(Untrue::TooMany)]
}

/// What the store tells is made untrue at one of its revisions. None where that leaves something that is true.
fn spoil_events(calls: &[Call], events: &[Event], at: usize, untrue: Untrue) -> Option<Vec<Event>> {
    let last = events.last()?.revision().main;
    let main = events[at % events.len()].revision().main;
    let told = calls.iter().filter_map(|call| call.answer.as_ref()).map(|answer| answer.revision).max();
    let put = |revision| {
        let row = Row {
            key: "a".into(),
            value: "nobody's".into(),
            create_revision: revision,
            revision: Revision::start_of(revision),
            version: 1,
            lease: 0,
        };
        Event::new(row.to_record(), None)
    };
    let mut spoilt: Vec<Event> = events.to_vec();
    match untrue {
        // Of the last call of all nobody may have heard: then it may as well not have been.
        Untrue::Missing if main == last && told.is_none_or(|told| told < last) => return None,
        Untrue::Missing => spoilt.retain(|event| event.revision().main != main),
        Untrue::Value => spoilt[at % events.len()] = put(main),
        Untrue::TooMany => spoilt.push(put(last + 1)),
    }
    // Nothing at all is no untruth.
    (!spoilt.is_empty()).then_some(spoilt)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(1_500)))]

    #[test]
    fn both_say_the_same(
        sketches in vec(sketch(), 1..7),
        which in 0..7_usize,
        wrong in proptest::option::weighted(0.8, wrong()),
        (at, untrue) in (0..7_usize, untrue()),
    ) {
        let is_right = wrong.is_none();
        let (calls, events) = spoil(&sketches, which, wrong);
        let (near, all) = (check(&calls, &[]), tries_all(&calls));
        prop_assert_eq!(near.is_ok(), all, "{:?}", near.err());
        prop_assert!(all || !is_right);
        // What the store tells leaves less to guess, and explains nothing that no order explains.
        let with_events = check(&calls, &events);
        prop_assert!(with_events.is_ok() || !is_right, "{:?}", with_events.err());
        prop_assert!(with_events.is_err() || all);
        if let Some(untrue) = spoil_events(&calls, &events, at, untrue) {
            prop_assert!(check(&calls, &untrue).is_err(), "{:?}", untrue);
        }
    }
}

/// Where a store's own events ended early, whatever was acknowledged after them was not compared with anything: a watch that
/// stays silent from some revision on passed.
#[test]
fn events_that_end_before_what_was_acknowledged_are_told() {
    let put = |value: &str, at, revision, prev| Call {
        ops: vec![Op::put("a", value)],
        sent: at,
        answer: Some(Answer { at: at + 1, revision, results: vec![OpResult::Put { prev }] }),
    };
    let row = |value: &str, revision, version| Row {
        key: "a".into(),
        value: value.to_owned().into_bytes().into(),
        create_revision: 2,
        revision: Revision::start_of(revision),
        version,
        lease: 0,
    };
    let calls = [put("1", 0, 2, None), put("2", 2, 3, Some(row("1", 2, 1)))];
    let events = [row("1", 2, 1), row("2", 3, 2)].map(|row| Event::new(row.to_record(), None));
    assert!(check(&calls, &events).is_ok());
    assert_eq!(check(&calls, &events[..1]).unwrap_err().revision, 3);
}

/// Two calls that nobody was answered could both have made the first event, and only one of them the second after that. The
/// first that fitted was taken for the one that it was: a false alarm.
#[test]
fn of_two_calls_that_fit_either_may_have_been_first() {
    let put = Op::put("b", "1");
    let if_absent = Op::Txn(Txn {
        compares: vec![Compare::key("b", Comparison::Equal, CompareTarget::Version(0))],
        then_ops: vec![put.clone()],
        else_ops: vec![],
    });
    let unknown = |sent, op: &Op| Call { ops: vec![op.clone()], sent, answer: None };
    let mut model = Model::new();
    model.apply(std::slice::from_ref(&if_absent)).unwrap();
    model.apply(std::slice::from_ref(&put)).unwrap();
    let events = model.events(&[KeyRange::everything()], Default::default(), 2, 3);
    let events: Vec<Event> = events.iter().map(|event| event.to_event(false)).collect();
    for calls in [[unknown(0, &put), unknown(1, &if_absent)], [unknown(0, &if_absent), unknown(1, &put)]] {
        assert!(check(&calls, &events).is_ok());
    }
}

/// Both kinds are among what is tried, and not only by chance.
#[test]
fn right_and_wrong_histories_are_told_apart() {
    let row = |revision, version| Row {
        key: "a".into(),
        value: "1".into(),
        create_revision: 2,
        revision: Revision::new(revision, 0),
        version,
        lease: 0,
    };
    let put = |sent, at, revision, prev| Call {
        ops: vec![Op::put("a", "1")],
        sent,
        answer: Some(Answer { at, revision, results: vec![OpResult::Put { prev }] }),
    };
    let unknown = Call { ops: vec![Op::put("a", "1")], sent: 4, answer: None };
    let right = [put(0, 1, 2, None), unknown.clone(), put(5, 6, 4, Some(row(3, 2)))];
    assert!(check(&right, &[]).is_ok() && tries_all(&right));
    // What nobody was told of cannot have happened before it was sent.
    let early = [put(0, 1, 2, None), Call { sent: 7, ..unknown }, put(5, 6, 4, Some(row(3, 2)))];
    assert!(check(&early, &[]).is_err() && !tries_all(&early));
    // The later of two writes has the earlier revision.
    let back = [put(2, 3, 2, None), put(0, 1, 3, Some(row(2, 1)))];
    assert!(check(&back, &[]).is_err() && !tries_all(&back));
}
