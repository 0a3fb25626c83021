//! What the operating system says of a process: its CPU time and its memory. Linux only.

use std::fs;
use std::io;
use std::time::Duration;

/// User and system time of a process and all its threads so far. Counted in steps of 10 ms.
pub fn cpu_time(pid: u32) -> io::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The command's name may contain anything but is in parentheses; user and system time are fields 14 and 15.
    let ticks: u64 = stat
        .rsplit_once(')')
        .map(|(_, fields)| fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()))
        .map_or(0, Iterator::sum);
    Ok(Duration::from_secs(ticks) / u32::try_from(rustix::param::clock_ticks_per_second()).unwrap_or(100))
}

/// Resident memory of a process in bytes.
pub fn resident_bytes(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let kilobytes: u64 = line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0);
    Ok(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_taken_time_and_memory() {
        let began = std::time::Instant::now();
        let mut sum = 0u64;
        while began.elapsed() < Duration::from_millis(60) {
            sum = std::hint::black_box(sum).wrapping_add(1);
        }
        assert!(cpu_time(std::process::id()).unwrap() > Duration::ZERO);
        assert!(resident_bytes(std::process::id()).unwrap() > 1 << 20);
    }
}
