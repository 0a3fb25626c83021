//! Linearizability of single items: is there an order of all operations in which each takes effect at one moment
//! between its call and its answer, and says what it said?
//!
//! Just-in-time linearization (Wing and Gong, Lowe): events are walked through in the order of time with all states
//! that are possible so far, each with which of the operations under way have taken effect in it. When an answer comes,
//! the states in which its operation could not have taken effect fall away; when none is left, there is no such order.
//! What has no answer may take effect at any time or never. Operations that change nothing take effect as soon as they
//! can, which is never worse.

use std::collections::{BTreeMap, HashSet};

/// An operation on one item, by times in nanoseconds of one clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The item.
    pub key: String,
    /// When it was asked.
    pub invoked: u64,
    /// When it was answered; `None` if never.
    pub returned: Option<u64>,
    /// What it was and what was said.
    pub kind: Kind,
}

/// A value; `None` is an item that is not there.
pub type State = Option<u64>;

/// What an operation was and what was said.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A read of this value.
    Read(State),
    /// An unconditional put (or a deletion), and what it says was there before, if it was answered.
    Write {
        /// What it leaves.
        new: State,
        /// What was there, if that was told.
        old: Option<State>,
    },
    /// A put under the condition that the value is `old`; whether it was done, if it was answered.
    CompareAndSet {
        /// What must be there.
        old: State,
        /// What it leaves.
        new: u64,
        /// Whether the condition held.
        done: Option<bool>,
    },
}

impl Kind {
    /// The state after it took effect in `state`; `None` if it could not have said what it said.
    fn step(self, state: State) -> Option<State> {
        match self {
            Self::Read(value) => (value == state).then_some(state),
            Self::Write { new, old } => old.is_none_or(|old| old == state).then_some(new),
            Self::CompareAndSet { old, new, done } => match (old == state, done) {
                (true, None | Some(true)) => Some(Some(new)),
                (false, None | Some(false)) => Some(state),
                _ => None,
            },
        }
    }

    /// Whether it never changes anything.
    const fn is_idle(self) -> bool {
        matches!(self, Self::Read(_) | Self::CompareAndSet { done: Some(false), .. })
    }
}

/// The most operations under way at a time, those without an answer among them.
const MAX_UNDER_WAY: usize = 128;
/// The most possible states at a time, beyond which no judgement is made.
const MAX_CONFIGURATIONS: usize = 2_000_000;

/// A possible past: the state, and which of the operations under way have taken effect.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
struct Configuration {
    state: State,
    done: u128,
}

/// Judges the histories of all items.
///
/// # Errors
/// The first item that is not linearizable, with the operations around the moment where no order is left.
pub fn check_all(operations: Vec<Operation>) -> Result<(), String> {
    let mut by_key: BTreeMap<String, Vec<Operation>> = BTreeMap::new();
    for operation in operations {
        by_key.entry(operation.key.clone()).or_default().push(operation);
    }
    by_key.values().try_for_each(|history| check(history))
}

/// Judges the history of one item, which is not there at the beginning.
///
/// # Errors
/// When it is not linearizable, or too much hangs in the air for a judgement.
pub fn check(history: &[Operation]) -> Result<(), String> {
    // Answers before calls at the same nanosecond: an order is demanded only of what is certainly one after the other.
    let mut events: Vec<(u64, bool, usize)> = Vec::with_capacity(history.len() * 2);
    for (at, operation) in history.iter().enumerate() {
        events.push((operation.invoked, false, at));
        if let Some(returned) = operation.returned {
            events.push((returned.max(operation.invoked), true, at));
        }
    }
    events.sort_unstable();
    let mut under_way: Vec<Option<usize>> = Vec::new();
    let mut slots = vec![0_usize; history.len()];
    let mut possible = HashSet::from([Configuration { state: None, done: 0 }]);
    for (_, answered, at) in events {
        if !answered {
            let slot = under_way.iter().position(Option::is_none).unwrap_or_else(|| {
                under_way.push(None);
                under_way.len() - 1
            });
            if slot >= MAX_UNDER_WAY {
                return Err(format!(
                    "no judgement: more than {MAX_UNDER_WAY} operations hang in the air at {}",
                    history[at].key
                ));
            }
            under_way[slot] = Some(at);
            slots[at] = slot;
            continue;
        }
        let bit = 1_u128 << slots[at];
        let reached = reach(history, &under_way, &possible, bit)?;
        if reached.is_empty() {
            return Err(explain(history, at, &possible));
        }
        possible = reached.into_iter().map(|past| Configuration { done: past.done & !bit, ..past }).collect();
        under_way[slots[at]] = None;
    }
    Ok(())
}

/// All pasts in which the operation with this bit has taken effect, from those that are possible.
fn reach(
    history: &[Operation],
    under_way: &[Option<usize>],
    possible: &HashSet<Configuration>,
    wanted: u128,
) -> Result<HashSet<Configuration>, String> {
    let idle = |past: Configuration| {
        let mut done = past.done;
        for (slot, at) in under_way.iter().enumerate() {
            if let Some(at) = at
                && history[*at].kind.is_idle()
                && history[*at].kind.step(past.state).is_some()
            {
                done |= 1 << slot;
            }
        }
        Configuration { done, ..past }
    };
    let mut reached = HashSet::new();
    let mut seen: HashSet<Configuration> = possible.iter().map(|past| idle(*past)).collect();
    let mut open: Vec<Configuration> = seen.iter().copied().collect();
    while let Some(past) = open.pop() {
        if past.done & wanted != 0 {
            // Nothing more needs to happen before this answer.
            reached.insert(past);
            continue;
        }
        for (slot, at) in under_way.iter().enumerate() {
            let Some(at) = at else { continue };
            let kind = history[*at].kind;
            if past.done & (1 << slot) != 0 || kind.is_idle() {
                continue;
            }
            if let Some(state) = kind.step(past.state) {
                let next = idle(Configuration { state, done: past.done | 1 << slot });
                if seen.insert(next) {
                    open.push(next);
                }
            }
        }
        if seen.len() > MAX_CONFIGURATIONS {
            return Err("no judgement: too many pasts are possible".to_owned());
        }
    }
    Ok(reached)
}

fn explain(history: &[Operation], at: usize, possible: &HashSet<Configuration>) -> String {
    let operation = &history[at];
    let mut states: Vec<State> = possible.iter().map(|past| past.state).collect();
    states.sort_unstable();
    states.dedup();
    let mut around: Vec<&Operation> = history
        .iter()
        .filter(|other| other.returned.is_none_or(|returned| returned >= operation.invoked.saturating_sub(5_000_000)))
        .filter(|other| operation.returned.is_none_or(|returned| other.invoked <= returned))
        .collect();
    around.sort_unstable_by_key(|other| other.invoked);
    around.truncate(40);
    format!(
        "{} is not linearizable: {operation:?} has no place; before it the value may have been {states:?}; around it {around:#?}",
        operation.key
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(invoked: u64, returned: impl Into<Option<u64>>, kind: Kind) -> Operation {
        Operation { key: "x".to_owned(), invoked, returned: returned.into(), kind }
    }

    fn put(new: u64) -> Kind {
        Kind::Write { new: Some(new), old: None }
    }

    fn set(old: State, new: u64, done: impl Into<Option<bool>>) -> Kind {
        Kind::CompareAndSet { old, new, done: done.into() }
    }

    #[test]
    fn good_histories_are_accepted() {
        let good: &[&[Operation]] = &[
            &[],
            &[operation(0, 1, Kind::Read(None)), operation(2, 3, put(1)), operation(4, 5, Kind::Read(Some(1)))],
            // While a write is under way a read may see it or not.
            &[operation(0, 10, put(1)), operation(1, 2, Kind::Read(None)), operation(3, 4, Kind::Read(Some(1)))],
            // Of two conditional writes one is done.
            &[
                operation(0, 9, set(None, 1, true)),
                operation(0, 9, set(None, 2, false)),
                operation(10, 11, Kind::Read(Some(1))),
            ],
            // What has no answer may take effect late, or never.
            &[operation(0, None, put(1)), operation(5, 6, Kind::Read(None)), operation(7, 8, Kind::Read(Some(1)))],
            &[operation(0, None, set(Some(9), 1, None)), operation(5, 6, Kind::Read(None))],
            &[
                operation(0, 1, put(1)),
                operation(2, 3, Kind::Write { new: None, old: Some(Some(1)) }),
                operation(4, 5, Kind::Read(None)),
            ],
        ];
        for history in good {
            check(history).unwrap();
        }
    }

    #[test]
    fn bad_histories_are_refused() {
        let bad: &[(&str, &[Operation])] = &[
            ("a stale read", &[operation(0, 1, put(1)), operation(2, 3, put(2)), operation(4, 5, Kind::Read(Some(1)))]),
            ("a lost write", &[operation(0, 1, put(1)), operation(2, 3, Kind::Read(None))]),
            ("a value from nowhere", &[operation(0, 1, Kind::Read(Some(7)))]),
            (
                "reads that go back",
                &[operation(0, 10, put(1)), operation(1, 2, Kind::Read(Some(1))), operation(3, 4, Kind::Read(None))],
            ),
            ("two winners", &[operation(0, 9, set(None, 1, true)), operation(0, 9, set(None, 2, true))]),
            ("a loser without reason", &[operation(0, 1, put(1)), operation(2, 3, set(Some(1), 2, false))]),
            (
                "a wrong old value",
                &[operation(0, 1, put(1)), operation(2, 3, Kind::Write { new: Some(2), old: Some(None) })],
            ),
            (
                "a lost update",
                &[
                    operation(0, 1, put(1)),
                    operation(2, 9, Kind::Write { new: Some(2), old: Some(Some(1)) }),
                    operation(2, 9, Kind::Write { new: Some(3), old: Some(Some(1)) }),
                ],
            ),
            (
                "a write twice",
                &[
                    operation(0, None, put(1)),
                    operation(1, 2, Kind::Read(Some(1))),
                    operation(3, 4, put(2)),
                    operation(5, 6, Kind::Read(Some(1))),
                ],
            ),
            (
                "undone after a crash",
                &[operation(0, None, put(1)), operation(1, 2, Kind::Read(Some(1))), operation(3, 4, Kind::Read(None))],
            ),
        ];
        for (name, history) in bad {
            assert!(check(history).is_err(), "{name} was accepted");
        }
    }

    /// Tries all orders and all choices of what without an answer took effect.
    fn by_force(history: &[Operation]) -> bool {
        fn go(history: &[Operation], left: &[usize], state: State) -> bool {
            if left.iter().all(|at| history[*at].returned.is_none()) {
                return true;
            }
            left.iter().any(|at| {
                let first = left
                    .iter()
                    .all(|other| history[*other].returned.is_none_or(|returned| returned >= history[*at].invoked));
                let rest: Vec<usize> = left.iter().copied().filter(|other| other != at).collect();
                first && history[*at].kind.step(state).is_some_and(|state| go(history, &rest, state))
            })
        }
        go(history, &(0..history.len()).collect::<Vec<_>>(), None)
    }

    #[test]
    fn it_judges_random_histories_as_trying_all_orders_does() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut verdicts = [0, 0];
        for _ in 0..30_000 {
            let state = |random: &mut fastrand::Rng| (random.u8(0..3) > 0).then(|| random.u64(0..3));
            let history: Vec<Operation> = (0..random.usize(1..7))
                .map(|_| {
                    let invoked = random.u64(0..20);
                    let returned = (random.u8(0..6) > 0).then(|| invoked + random.u64(1..12));
                    let kind = match random.u8(0..4) {
                        0 | 1 => Kind::Read(state(&mut random)),
                        2 => Kind::Write {
                            new: state(&mut random),
                            old: returned.filter(|_| random.bool()).map(|_| state(&mut random)),
                        },
                        _ => set(state(&mut random), random.u64(0..3), returned.map(|_| random.bool())),
                    };
                    operation(invoked, returned, kind)
                })
                // A read without an answer says nothing and is never recorded.
                .filter(|operation| operation.returned.is_some() || !matches!(operation.kind, Kind::Read(_)))
                .collect();
            let expected = by_force(&history);
            assert_eq!(check(&history).is_ok(), expected, "{history:#?}");
            verdicts[usize::from(expected)] += 1;
        }
        assert!(verdicts.iter().all(|count| *count > 3_000), "{verdicts:?}");
    }

    #[test]
    fn long_histories_of_many_clients_are_judged_and_one_wrong_answer_among_them_is_found() {
        let mut random = fastrand::Rng::with_seed(11);
        let (mut state, mut now, mut value) = (None, 0, 0);
        let mut history = Vec::new();
        // Each operation takes effect at its own moment, and its call and answer lie around that.
        for _ in 0..20_000 {
            now += 10;
            value += 1;
            let kind = match random.u8(0..3) {
                0 => Kind::Read(state),
                1 => Kind::Write { new: Some(value), old: Some(state) },
                _ => set(if random.bool() { state } else { Some(0) }, value, None),
            };
            let kind = match kind {
                Kind::CompareAndSet { old, new, .. } => set(old, new, old == state),
                other => other,
            };
            state = kind.step(state).unwrap();
            history.push(operation(now - random.u64(0..80).min(now), now + random.u64(0..80), kind));
        }
        check(&history).unwrap();
        let at = history.iter().rposition(|operation| matches!(operation.kind, Kind::Read(_))).unwrap();
        history[at].kind = Kind::Read(Some(1));
        assert!(check(&history).is_err());
    }
}
