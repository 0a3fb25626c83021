//! Strict serializability of transactions that append to lists and read them, after Elle (Kingsbury and Alvaro).
//!
//! Every value is appended once, so a list says in which order its appends took effect, and a read which of them it saw.
//! That gives the graph of what must come before what: an append before the next one to the list (ww), before the reads
//! that saw it (wr), a read before the append it did not see (rw), and whatever was answered before whatever was asked
//! later. The history is strictly serializable if the graph has no cycle; a cycle is a proof that it is not.

use std::collections::{BTreeMap, HashMap, HashSet};

/// A transaction, by times in nanoseconds of one clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    /// When it was asked.
    pub invoked: u64,
    /// When it was answered with success; `None` if it was not.
    pub returned: Option<u64>,
    /// Refused: nothing of it may ever be seen.
    pub aborted: bool,
    /// What it appended to which list. No list twice.
    pub appends: Vec<(String, u64)>,
    /// Which lists it read, as they were before its own appends.
    pub reads: Vec<(String, Vec<u64>)>,
    /// The read of all lists after everything else.
    pub is_final: bool,
}

/// Why one comes before another.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Reason {
    Overwritten,
    Read,
    NotSeen,
    Time,
}

/// The graph. Behind the transactions come moments, which stand for "everything answered until then".
struct Graph {
    after: Vec<Vec<(usize, Reason)>>,
    edges: usize,
}

impl Graph {
    fn put(&mut self, before: usize, after: usize, reason: Reason) {
        if before != after {
            self.after[before].push((after, reason));
            self.edges += 1;
        }
    }
}

/// Judges a history. Returns the number of dependencies.
///
/// # Errors
/// What is wrong: a list that can not be, or a cycle.
pub fn check(history: &[Transaction]) -> Result<usize, String> {
    let appended = appends(history)?;
    let lists = longest(history)?;
    let mut graph = Graph { after: vec![Vec::new(); history.len()], edges: 0 };
    for (key, list) in &lists {
        let mut seen = HashSet::new();
        for value in list {
            let by = appended
                .get(&(key.as_str(), *value))
                .ok_or_else(|| format!("{key} has {value}, which nobody appended"))?;
            if history[*by].aborted {
                return Err(format!("{key} has {value}, which was refused: {:?}", history[*by]));
            }
            if !seen.insert(value) {
                return Err(format!("{key} has {value} twice: {list:?}"));
            }
        }
        for pair in list.windows(2) {
            graph.put(appended[&(key.as_str(), pair[0])], appended[&(key.as_str(), pair[1])], Reason::Overwritten);
        }
    }
    if history.iter().any(|transaction| transaction.is_final) {
        everything_acknowledged_is_there(history, &lists)?;
    }
    for (at, transaction) in history.iter().enumerate() {
        for (key, read) in &transaction.reads {
            let list = &lists[key];
            if let Some(last) = read.last() {
                graph.put(appended[&(key.as_str(), *last)], at, Reason::Read);
            }
            if let Some(next) = list.get(read.len()) {
                graph.put(at, appended[&(key.as_str(), *next)], Reason::NotSeen);
            }
        }
    }
    unseen(history, &appended, &lists, &mut graph);
    in_time(history, &mut graph);
    match cycle(&graph) {
        Some(cycle) => Err(explain(history, &cycle)),
        None => Ok(graph.edges),
    }
}

/// Who appended which value to which list.
fn appends(history: &[Transaction]) -> Result<HashMap<(&str, u64), usize>, String> {
    let mut appended = HashMap::new();
    for (at, transaction) in history.iter().enumerate() {
        for (key, value) in &transaction.appends {
            if appended.insert((key.as_str(), *value), at).is_some() {
                return Err(format!("no judgement: {value} was appended to {key} twice"));
            }
        }
    }
    Ok(appended)
}

/// The longest state of each list that was read; all others must be beginnings of it.
fn longest(history: &[Transaction]) -> Result<BTreeMap<String, Vec<u64>>, String> {
    let mut lists: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for transaction in history {
        for (key, read) in &transaction.reads {
            let list = lists.entry(key.clone()).or_default();
            let (short, long) = if list.len() < read.len() { (&*list, read) } else { (read, &*list) };
            if !long.starts_with(short) {
                return Err(format!("{key} was read as {short:?} and as {long:?}: no order of appends gives both"));
            }
            if list.len() < read.len() {
                *list = read.clone();
            }
        }
    }
    Ok(lists)
}

fn everything_acknowledged_is_there(history: &[Transaction], lists: &BTreeMap<String, Vec<u64>>) -> Result<(), String> {
    let held: HashSet<(&str, u64)> =
        lists.iter().flat_map(|(key, list)| list.iter().map(|value| (key.as_str(), *value))).collect();
    for transaction in history {
        let there = transaction.appends.iter().filter(|(key, value)| held.contains(&(key.as_str(), *value))).count();
        if transaction.returned.is_some() && there < transaction.appends.len() {
            return Err(format!("an acknowledged append is lost: {transaction:?}"));
        }
        if there != 0 && there < transaction.appends.len() {
            return Err(format!("half of a transaction is there: {transaction:?}"));
        }
    }
    Ok(())
}

/// Appends that are certain and that no read saw come after everything that reads saw.
fn unseen(
    history: &[Transaction],
    appended: &HashMap<(&str, u64), usize>,
    lists: &BTreeMap<String, Vec<u64>>,
    graph: &mut Graph,
) {
    let mut whole_reads: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, transaction) in history.iter().enumerate() {
        for (key, _) in transaction.reads.iter().filter(|(key, read)| lists[key].len() == read.len()) {
            whole_reads.entry(key).or_default().push(at);
        }
    }
    for (at, transaction) in history.iter().enumerate().filter(|(_, transaction)| transaction.returned.is_some()) {
        for (key, value) in &transaction.appends {
            let list = lists.get(key).map(Vec::as_slice).unwrap_or_default();
            if list.contains(value) {
                continue;
            }
            if let Some(last) = list.last() {
                graph.put(appended[&(key.as_str(), *last)], at, Reason::Overwritten);
            }
            for reader in whole_reads.get(key.as_str()).into_iter().flatten() {
                graph.put(*reader, at, Reason::NotSeen);
            }
        }
    }
}

/// What was answered before another was asked comes before it: through a chain of moments, so that the graph stays small.
fn in_time(history: &[Transaction], graph: &mut Graph) {
    let mut answers: Vec<(u64, usize)> = Vec::new();
    for (at, transaction) in history.iter().enumerate() {
        if let Some(returned) = transaction.returned {
            answers.push((returned, at));
        }
    }
    answers.sort_unstable();
    let first = graph.after.len();
    graph.after.resize(first + answers.len(), Vec::new());
    for (number, (_, at)) in answers.iter().enumerate() {
        graph.put(*at, first + number, Reason::Time);
        if number > 0 {
            graph.put(first + number - 1, first + number, Reason::Time);
        }
    }
    for (at, transaction) in history.iter().enumerate() {
        let before = answers.partition_point(|(returned, _)| *returned < transaction.invoked);
        if before > 0 && !transaction.aborted {
            graph.put(first + before - 1, at, Reason::Time);
        }
    }
}

/// A cycle, if there is one.
fn cycle(graph: &Graph) -> Option<Vec<(usize, Reason)>> {
    // What nothing leads to is taken away until only cycles, and what they lead to, are left.
    let mut leading = vec![0_usize; graph.after.len()];
    for (after, _) in graph.after.iter().flatten() {
        leading[*after] += 1;
    }
    let mut free: Vec<usize> = (0..leading.len()).filter(|at| leading[*at] == 0).collect();
    while let Some(at) = free.pop() {
        for (after, _) in &graph.after[at] {
            leading[*after] -= 1;
            if leading[*after] == 0 {
                free.push(*after);
            }
        }
    }
    // Walking back from anything left never ends, so it comes around.
    let mut before: Vec<Option<(usize, Reason)>> = vec![None; leading.len()];
    for (at, afters) in graph.after.iter().enumerate().filter(|(at, _)| leading[*at] > 0) {
        for (after, reason) in afters {
            before[*after] = Some((at, *reason));
        }
    }
    let mut at = leading.iter().position(|count| *count > 0)?;
    let mut path: Vec<(usize, Reason)> = Vec::new();
    let mut seen = HashSet::new();
    while seen.insert(at) {
        let (previous, reason) = before[at]?;
        path.push((at, reason));
        at = previous;
    }
    let begin = path.iter().position(|(own, _)| *own == at)?;
    let mut cycle = path.split_off(begin);
    cycle.reverse();
    Some(cycle)
}

fn explain(history: &[Transaction], cycle: &[(usize, Reason)]) -> String {
    let mut text =
        String::from("not strictly serializable, each of these comes before the next, and the last before the first:");
    for (at, reason) in cycle.iter().filter(|(at, _)| *at < history.len()).take(12) {
        let why = match reason {
            Reason::Overwritten => "appended after the one before",
            Reason::Read => "read the one before",
            Reason::NotSeen => "appended what the one before did not see",
            Reason::Time => "asked after the one before was answered",
        };
        text.push_str(&format!("\n  ({why}) {:?}", history[*at]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(invoked: u64, returned: u64, appends: &[(&str, u64)]) -> Transaction {
        let appends = appends.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect();
        Transaction { invoked, returned: Some(returned), appends, ..Transaction::default() }
    }

    fn read(invoked: u64, returned: u64, reads: &[(&str, &[u64])]) -> Transaction {
        let reads = reads.iter().map(|(key, list)| ((*key).to_owned(), list.to_vec())).collect();
        Transaction { invoked, returned: Some(returned), reads, ..Transaction::default() }
    }

    fn last(reads: &[(&str, &[u64])]) -> Transaction {
        Transaction { is_final: true, ..read(1_000, 1_001, reads) }
    }

    #[test]
    fn good_histories_are_accepted() {
        let good: &[&[Transaction]] = &[
            &[],
            &[append(0, 1, &[("x", 1), ("y", 2)]), read(2, 3, &[("x", &[1]), ("y", &[2])])],
            &[
                append(0, 9, &[("x", 1), ("y", 2)]),
                read(1, 3, &[("x", &[]), ("y", &[])]),
                read(4, 5, &[("x", &[1]), ("y", &[2])]),
            ],
            // Without an answer: seen, or not.
            &[
                Transaction { returned: None, ..append(0, 0, &[("x", 1)]) },
                read(5, 6, &[("x", &[])]),
                read(7, 8, &[("x", &[1])]),
            ],
            &[Transaction { returned: None, ..append(0, 0, &[("x", 1)]) }, last(&[("x", &[])])],
        ];
        for history in good {
            check(history).unwrap();
        }
    }

    #[test]
    fn bad_histories_are_refused() {
        let aborted = Transaction { returned: None, aborted: true, ..append(0, 0, &[("x", 1)]) };
        let bad: &[(&str, &[Transaction])] = &[
            ("half a transaction", &[append(0, 9, &[("x", 1), ("y", 2)]), read(1, 3, &[("x", &[1]), ("y", &[])])]),
            (
                "half a transaction in the end",
                &[
                    Transaction { returned: None, ..append(0, 0, &[("x", 1), ("y", 2)]) },
                    last(&[("x", &[1]), ("y", &[])]),
                ],
            ),
            ("a stale read", &[append(0, 1, &[("x", 1)]), read(2, 3, &[("x", &[])]), read(4, 5, &[("x", &[1])])]),
            ("a lost append", &[append(0, 1, &[("x", 1)]), last(&[("x", &[])])]),
            ("a list that no read mentions", &[append(0, 1, &[("x", 1)]), last(&[])]),
            ("something refused", &[aborted, read(2, 3, &[("x", &[1])])]),
            ("something from nowhere", &[read(2, 3, &[("x", &[1])])]),
            ("something twice", &[append(0, 1, &[("x", 1)]), read(2, 3, &[("x", &[1, 1])])]),
            (
                "two orders",
                &[
                    append(0, 1, &[("x", 1)]),
                    append(0, 1, &[("x", 2)]),
                    read(2, 3, &[("x", &[1])]),
                    read(2, 3, &[("x", &[2])]),
                ],
            ),
            (
                "a long fork",
                &[
                    append(0, 9, &[("x", 1)]),
                    append(0, 9, &[("y", 2)]),
                    read(0, 9, &[("x", &[1]), ("y", &[])]),
                    read(0, 9, &[("x", &[]), ("y", &[2])]),
                ],
            ),
            (
                "write skew",
                &[
                    Transaction { reads: vec![("y".to_owned(), vec![])], ..append(0, 9, &[("x", 1)]) },
                    Transaction { reads: vec![("x".to_owned(), vec![])], ..append(0, 9, &[("y", 2)]) },
                    last(&[("x", &[1]), ("y", &[2])]),
                ],
            ),
            (
                "appends against time",
                &[append(0, 1, &[("x", 1)]), append(2, 3, &[("x", 2)]), read(4, 5, &[("x", &[2, 1])])],
            ),
            (
                "a lost update",
                &[
                    Transaction { reads: vec![("x".to_owned(), vec![])], ..append(0, 9, &[("x", 1)]) },
                    Transaction { reads: vec![("x".to_owned(), vec![])], ..append(0, 9, &[("x", 2)]) },
                    last(&[("x", &[1, 2])]),
                ],
            ),
        ];
        for (name, history) in bad {
            assert!(check(history).is_err(), "{name} was accepted");
        }
    }

    /// A history that was executed one by one, with calls and answers around.
    fn executed(random: &mut fastrand::Rng, count: u64) -> Vec<Transaction> {
        let mut lists: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        let (mut history, mut value) = (Vec::new(), 0);
        for now in (100..).step_by(10).take(usize::try_from(count).unwrap()) {
            let mut transaction = Transaction {
                invoked: now - random.u64(0..60),
                returned: Some(now + random.u64(0..60)),
                ..Transaction::default()
            };
            let keys: HashSet<String> = (0..random.u8(1..4)).map(|_| random.u8(0..4).to_string()).collect();
            let (reads, writes) = [(true, false), (false, true), (true, true)][random.usize(0..3)];
            for key in keys {
                let list = lists.entry(key.clone()).or_default();
                if reads {
                    transaction.reads.push((key.clone(), list.clone()));
                }
                if writes {
                    value += 1;
                    list.push(value);
                    transaction.appends.push((key, value));
                }
            }
            history.push(transaction);
        }
        history.push(Transaction {
            invoked: u64::MAX - 1,
            returned: Some(u64::MAX),
            is_final: true,
            reads: lists.into_iter().collect(),
            ..Transaction::default()
        });
        history
    }

    #[test]
    fn what_was_executed_one_by_one_is_accepted_and_a_read_that_misses_something_old_is_found() {
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..200 {
            let mut history = executed(&mut random, 200);
            check(&history).unwrap();
            let stale = history.iter_mut().rev().skip(1).find_map(|transaction| {
                transaction.reads.iter_mut().map(|(_, list)| list).find(|list| list.len() > 40)
            });
            if let Some(list) = stale {
                list.truncate(5);
                assert!(check(&history).is_err());
            }
        }
    }
}
