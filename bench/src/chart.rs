//! The chart: for each row one bar per server, its length the server's processor time per operation.

use std::fmt::Write;

use crate::report::Findings;
use crate::target::Target;
use crate::workload::Row;

const BAR: f64 = 13.0;
const LEFT: f64 = 190.0;
const RIGHT: f64 = 830.0;
/// Bars end here, in microseconds; longer ones are cut off and say so.
const LONGEST: f64 = 400.0;

/// The chart of the measurements at this many connections, as SVG.
pub fn svg(findings: &Findings, rows: &[Row], connections: usize) -> String {
    let mut body = String::new();
    let mut top = 46.0;
    for row in rows {
        let bars: Vec<_> = Target::ALL
            .into_iter()
            .filter_map(|target| Some((target, findings.summaries.get(&(row.id, connections, target))?)))
            .collect();
        if bars.is_empty() {
            continue;
        }
        put(&mut body, format_args!(r#"<text x="8" y="{:.0}" font-weight="bold">{}</text>"#, top + 10.0, row.title));
        top += 16.0;
        for (target, summary) in bars {
            let cpu = summary.cpu.median;
            let width = cpu.min(LONGEST) / LONGEST * (RIGHT - LEFT);
            let base = top + BAR - 3.0;
            let cut = if cpu > LONGEST { " (cut off)" } else { "" };
            put(
                &mut body,
                format_args!(
                    r#"<text x="{:.0}" y="{base:.0}" text-anchor="end">{}</text><rect x="{LEFT}" y="{top:.0}" width="{width:.1}" height="{:.0}" fill="{}"/><text x="{:.1}" y="{base:.0}">{cpu:.1}{cut}</text>"#,
                    LEFT - 6.0,
                    target.title(),
                    BAR - 2.0,
                    colour(target),
                    LEFT + width + 5.0,
                ),
            );
            top += BAR;
        }
        top += 10.0;
    }
    format!(
        concat!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 940 {height:.0}" font-family="system-ui, sans-serif" font-size="11" fill="#222">"##,
            r##"<rect width="940" height="{height:.0}" fill="#fff"/>"##,
            r#"<text x="8" y="22" font-size="15" font-weight="bold">Server CPU per operation in microseconds, {connections} connections (shorter is better)</text>"#,
            "{body}</svg>\n"
        ),
        height = top + 6.0,
        connections = connections,
        body = body
    )
}

const fn colour(target: Target) -> &'static str {
    match target {
        Target::Bare => "#9aa0a6",
        Target::PartitaMemory => "#0b7a5f",
        Target::PartitaSync => "#35a384",
        Target::PartitaNone => "#7cc7b0",
        Target::DynoxideMemory => "#b5651d",
        Target::DynoxideDisk => "#d69a5f",
        Target::DynamoDbLocal => "#4a6fa5",
        Target::Dynalite => "#8e5a9c",
    }
}

fn put(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = out.write_fmt(arguments);
}
