//! What the process takes of the machine, under the names that Prometheus' own libraries have for it.

use std::fs;
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use partita_metrics::{Name, Samples};

const CPU: Name =
    Name::counter("process_cpu_seconds_total", "Processor time that the process has taken, by user and system");
const RESIDENT: Name = Name::gauge("process_resident_memory_bytes", "Memory of the process that is in RAM");
const VIRTUAL: Name = Name::gauge("process_virtual_memory_bytes", "Memory that the process has mapped");
const THREADS: Name = Name::gauge("process_threads", "Threads of the process");
const OPEN_FILES: Name = Name::gauge("process_open_fds", "Files and connections that are open");
const MAX_FILES: Name = Name::gauge("process_max_fds", "The most files and connections that may be open");
const START: Name = Name::gauge("process_start_time_seconds", "When the process began, in seconds since the epoch");
const TASKS: Name = Name::gauge("partita_runtime_tasks", "Tasks that are alive");
const WORKERS: Name = Name::gauge("partita_runtime_workers", "Threads that tasks run on");

static BEGAN: LazyLock<SystemTime> = LazyLock::new(SystemTime::now);

/// Notes that the process begins now.
pub fn begin() {
    LazyLock::force(&BEGAN);
}

/// Adds what the system tells of this process. What it does not tell is left out: there is `/proc` on Linux alone.
pub fn sample(samples: &mut Samples) {
    if let Some(Stat { ticks, threads, virtual_bytes, resident_pages }) = stat() {
        samples.number(CPU, ticks as f64 / rustix::param::clock_ticks_per_second() as f64);
        samples.number(THREADS, threads);
        samples.number(VIRTUAL, virtual_bytes);
        samples.number(RESIDENT, resident_pages.saturating_mul(rustix::param::page_size() as u64));
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        // One of them is the directory that is being read.
        samples.number(OPEN_FILES, files.count().saturating_sub(1));
    }
    let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    samples.number(MAX_FILES, most.unwrap_or(u64::MAX));
    samples.number(START, BEGAN.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64());
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        let runtime = runtime.metrics();
        samples.number(TASKS, runtime.num_alive_tasks());
        samples.number(WORKERS, runtime.num_workers());
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    ticks: u64,
    threads: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

fn stat() -> Option<Stat> {
    read_stat(&fs::read_to_string("/proc/self/stat").ok()?)
}

/// Reads `/proc/PID/stat`: the fields after the name in parentheses, which may itself have any characters.
fn read_stat(text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text.get(text.rfind(')')?.checked_add(2)?..)?.split_ascii_whitespace().collect();
    // The first of these is the third of the manual page, proc_pid_stat(5).
    let field = |number: usize| fields.get(number.checked_sub(3)?)?.parse::<u64>().ok();
    Some(Stat {
        ticks: field(14)?.checked_add(field(15)?)?,
        threads: field(20)?,
        virtual_bytes: field(23)?,
        resident_pages: field(24)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_stat_are_found_behind_any_name() {
        let text = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 9 0 100 4096000 321 18446744073709551615 1 1";
        let expected = Stat { ticks: 200, threads: 9, virtual_bytes: 4_096_000, resident_pages: 321 };
        assert_eq!(read_stat(text), Some(expected));
        assert_eq!(read_stat("7 (a"), None);
    }
}
