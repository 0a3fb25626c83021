//! What a failed delivery means for a shard: try again after a pause, halve the batch, or give records up. Pure: the time
//! and the chance of the pause are given.

use std::time::Duration;

use partita_db::trigger::{Failing, Piece, Progress, TriggerSettings};

/// The pause after the first failure, at most; it doubles with each that follows.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Why a delivery failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The receiver could not be reached, or said that it can not take anything now. It says nothing of the records, so
    /// it counts as no attempt and halves nothing.
    Unavailable(String),
    /// The receiver had the records and failed.
    Failed(String),
}

impl Fault {
    /// What went wrong, in words.
    pub fn reason(&self) -> &str {
        match self {
            Self::Unavailable(reason) | Self::Failed(reason) => reason,
        }
    }
}

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Try what is first now after a pause.
    Retry(Duration),
    /// Give the records up: they were tried this often.
    GiveUp(u32),
}

/// A delivery that failed.
#[derive(Clone, Copy, Debug)]
pub struct Failure<'a> {
    /// The sequence numbers of the records, in order; at least one.
    pub records: &'a [&'a str],
    /// When, in milliseconds since the epoch.
    pub now_ms: u64,
    /// A number from 0 up to 1 that spreads the pauses of many shards.
    pub chance: f64,
}

/// All records up to `last` are dealt with.
pub fn moved_on(progress: &mut Progress, last: &str) {
    // Sequence numbers all have the same length, so their text has their order.
    progress.after = Some(last.to_owned());
    if let Some(failing) = &mut progress.failing {
        failing.pieces.retain(|piece| piece.last.as_str() > last);
        failing.failures = 0;
        if failing.pieces.is_empty() {
            progress.failing = None;
        }
    }
}

/// A delivery failed: notes it and says what to do.
pub fn failed(progress: &mut Progress, settings: &TriggerSettings, failure: Failure<'_>, fault: &Fault) -> Verdict {
    let failing = note(progress, failure, fault.reason());
    let pause = pause(failing.failures, failure.chance);
    let Some(front) = failing.pieces.first_mut() else { return Verdict::Retry(pause) };
    if matches!(fault, Fault::Unavailable(_)) {
        return Verdict::Retry(pause);
    }
    let half = failure.records.len() / 2;
    if settings.bisect
        && let Some(last_of_first) = half.checked_sub(1).and_then(|at| failure.records.get(at))
    {
        // Halving is not an attempt: the halves have all of theirs.
        front.attempts = 0;
        failing.pieces.insert(0, Piece { last: (*last_of_first).to_owned(), attempts: 0 });
        failing.failures = 1;
        return Verdict::Retry(self::pause(1, failure.chance));
    }
    front.attempts = front.attempts.saturating_add(1);
    if settings.max_retries.is_some_and(|most| front.attempts > most) {
        Verdict::GiveUp(front.attempts)
    } else {
        Verdict::Retry(pause)
    }
}

/// Records could not be given up: notes it and says how long to wait.
pub fn stuck(progress: &mut Progress, failure: Failure<'_>, reason: &str) -> Duration {
    let failing = note(progress, failure, reason);
    pause(failing.failures, failure.chance)
}

fn note<'p>(progress: &'p mut Progress, failure: Failure<'_>, reason: &str) -> &'p mut Failing {
    let failing = progress.failing.get_or_insert_default();
    if failing.pieces.is_empty()
        && let Some(last) = failure.records.last()
    {
        failing.pieces.push(Piece { last: (*last).to_owned(), attempts: 0 });
    }
    failing.failures = failing.failures.saturating_add(1);
    failing.failed_ms = failure.now_ms;
    reason.clone_into(&mut failing.error);
    failing
}

/// How many of the first records are older than the trigger permits.
pub fn too_old(settings: &TriggerSettings, times_ms: impl Iterator<Item = u64>, now_ms: u64) -> usize {
    let Some(most) = settings.max_age_seconds else { return 0 };
    times_ms.take_while(|time_ms| now_ms.saturating_sub(*time_ms) > u64::from(most) * 1000).count()
}

/// The pause after this many failures in a row: half of it fixed, half by chance.
pub fn pause(failures: u32, chance: f64) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let longest = FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
    longest.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(at: usize) -> String {
        format!("1{at:039}")
    }

    fn settings(bisect: bool, max_retries: Option<u32>) -> TriggerSettings {
        TriggerSettings { bisect, max_retries, ..TriggerSettings::new("http://localhost/") }
    }

    fn refused() -> Fault {
        Fault::Failed("answered 500".to_owned())
    }

    /// What a receiver saw of records 0..count, and what was given up, when it fails on every batch with a bad record.
    struct Run {
        posts: Vec<Vec<usize>>,
        delivered: Vec<usize>,
        given_up: Vec<usize>,
    }

    fn run(settings: &TriggerSettings, count: usize, batch: usize, is_bad: impl Fn(usize) -> bool) -> Run {
        let numbers: Vec<String> = (0..count).map(number).collect();
        let mut progress = Progress::default();
        let mut run = Run { posts: Vec::new(), delivered: Vec::new(), given_up: Vec::new() };
        for _ in 0..100_000 {
            // As the worker reads: behind what is dealt with, up to the end of the first piece or of a batch.
            let first = numbers.iter().filter(|number| progress.after.as_ref() >= Some(number)).count();
            let end = match progress.failing.as_ref().and_then(|failing| failing.pieces.first()) {
                Some(piece) => numbers.iter().filter(|number| **number <= piece.last).count(),
                None => (first + batch).min(count),
            };
            if first == count {
                assert_eq!(progress.failing, None);
                return run;
            }
            let records: Vec<usize> = (first..end).collect();
            let sent: Vec<&str> = records.iter().map(|at| numbers[*at].as_str()).collect();
            run.posts.push(records.clone());
            if !records.iter().any(|record| is_bad(*record)) {
                moved_on(&mut progress, sent.last().unwrap());
                run.delivered.extend(records);
                continue;
            }
            let failure = Failure { records: &sent, now_ms: 1, chance: 0.5 };
            if let Verdict::GiveUp(_) = failed(&mut progress, settings, failure, &refused()) {
                moved_on(&mut progress, sent.last().unwrap());
                run.given_up.extend(records);
            }
        }
        panic!("it never ends");
    }

    #[test]
    fn bisection_gives_up_the_poison_record_alone() {
        let run = run(&settings(true, Some(2)), 100, 100, |record| record == 37);
        assert_eq!(run.given_up, [37]);
        assert_eq!(run.delivered, (0..100).filter(|record| *record != 37).collect::<Vec<_>>());
        // The first attempt and two retries.
        assert_eq!(run.posts.iter().filter(|post| **post == [37]).count(), 3);
        assert!(run.posts.len() < 20, "{:?}", run.posts);
    }

    #[test]
    fn without_bisection_the_whole_batch_is_given_up_after_its_retries() {
        let run = run(&settings(false, Some(3)), 30, 10, |record| record == 15);
        assert_eq!(run.given_up, (10..20).collect::<Vec<_>>());
        assert_eq!(run.posts.len(), 2 + 4);
    }

    #[test]
    fn no_retries_means_one_attempt() {
        let run = run(&settings(false, Some(0)), 3, 1, |_| true);
        assert_eq!(run.posts, [[0], [1], [2]]);
    }

    #[test]
    fn without_a_limit_nothing_is_given_up() {
        let (settings, mut progress) = (settings(false, None), Progress::default());
        let last = number(1);
        for attempt in 1..5000 {
            let failure = Failure { records: &[&last], now_ms: attempt, chance: 0.0 };
            assert!(matches!(failed(&mut progress, &settings, failure, &refused()), Verdict::Retry(_)));
        }
        assert_eq!(progress.failing.unwrap().pieces[0].attempts, 4999);
    }

    #[test]
    fn a_receiver_that_is_down_costs_no_attempt_and_halves_nothing() {
        let (settings, mut progress) = (settings(true, Some(0)), Progress::default());
        let (first, last) = (number(1), number(2));
        for _ in 0..10 {
            let failure = Failure { records: &[&first, &last], now_ms: 5, chance: 1.0 };
            let fault = Fault::Unavailable("connection refused".to_owned());
            assert!(matches!(failed(&mut progress, &settings, failure, &fault), Verdict::Retry(_)));
        }
        let failing = progress.failing.unwrap();
        assert_eq!(failing.pieces, [Piece { last, attempts: 0 }]);
        assert_eq!((failing.failures, failing.failed_ms, failing.error.as_str()), (10, 5, "connection refused"));
    }

    #[test]
    fn pauses_double_up_to_a_minute_and_vary_by_half() {
        for (failures, most) in [(1, 200), (2, 400), (5, 3200), (9, 51_200), (10, 60_000), (u32::MAX, 60_000)] {
            assert_eq!(pause(failures, 1.0), Duration::from_millis(most));
            assert_eq!(pause(failures, 0.0), Duration::from_millis(most / 2));
        }
    }

    #[test]
    fn only_the_first_records_can_be_too_old() {
        let settings = TriggerSettings { max_age_seconds: Some(60), ..settings(false, None) };
        let times = [0, 39_999, 40_000, 100_000, 0];
        assert_eq!(too_old(&settings, times.into_iter(), 100_000), 2);
        let unlimited = TriggerSettings { max_age_seconds: None, ..settings };
        assert_eq!(too_old(&unlimited, times.into_iter(), u64::MAX), 0);
    }

    #[test]
    fn progress_survives_being_stored() {
        let (settings, mut progress) = (settings(true, Some(5)), Progress::default());
        let numbers: Vec<String> = (0..8).map(number).collect();
        let sent: Vec<&str> = numbers.iter().map(String::as_str).collect();
        failed(&mut progress, &settings, Failure { records: &sent, now_ms: 7, chance: 0.5 }, &refused());
        let stored = serde_json::to_string(&progress).unwrap();
        assert_eq!(serde_json::from_str::<Progress>(&stored).unwrap(), progress);
    }

    proptest! {
        #[test]
        fn every_record_is_delivered_or_given_up_once_in_order(
            count in 1usize..80,
            batch in 1usize..40,
            bad in proptest::collection::vec(any::<bool>(), 80),
            bisect: bool,
            retries in 0u32..4,
        ) {
            let run = run(&settings(bisect, Some(retries)), count, batch, |record| bad[record]);
            prop_assert!(run.delivered.is_sorted() && run.given_up.is_sorted());
            let mut all: Vec<usize> = run.delivered.iter().chain(&run.given_up).copied().collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..count).collect::<Vec<_>>());
            if bisect {
                prop_assert!(run.given_up.iter().all(|record| bad[*record]));
            }
            // Nothing is posted before all in front of it is dealt with.
            let starts: Vec<usize> = run.posts.iter().map(|post| post[0]).collect();
            prop_assert!(starts.is_sorted());
        }
    }
}
