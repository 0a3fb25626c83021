//! The text format that Prometheus and what speaks like it scrape (`text/plain; version=0.0.4`).

use std::fmt::Write as _;

use crate::{Distribution, Kind, Label, Point, Reading, Samples};

/// The `Content-Type` of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Writes all families.
#[must_use]
pub fn write(samples: &Samples) -> String {
    let mut text = String::with_capacity(samples.len().saturating_mul(128));
    for family in samples.families() {
        let (name, kind) = (family.name.name, family.name.kind);
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        push(&mut text, format_args!("# HELP {name} "));
        escape(family.name.help, false, &mut text);
        push(&mut text, format_args!("\n# TYPE {name} {kind}\n"));
        for point in &family.points {
            match &point.reading {
                Reading::Number(value) => line(&mut text, (name, ""), point, None, *value),
                Reading::Distribution(distribution) => histogram(&mut text, name, point, distribution),
            }
        }
    }
    text
}

fn histogram(text: &mut String, name: &str, point: &Point, read: &Distribution) {
    let mut below = 0_u64;
    let bounds = read.bounds.iter().map(|bound| format!("{bound}")).chain(["+Inf".to_owned()]);
    for (bound, count) in bounds.zip(&read.counts) {
        below = below.saturating_add(*count);
        line(text, (name, "_bucket"), point, Some(&bound), below as f64);
    }
    line(text, (name, "_sum"), point, None, read.sum);
    line(text, (name, "_count"), point, None, below as f64);
}

fn line(text: &mut String, (name, suffix): (&str, &str), point: &Point, bound: Option<&str>, value: f64) {
    text.push_str(name);
    text.push_str(suffix);
    let mut open = false;
    let labels = point.labels.iter().map(|(label, value)| (*label, Label::as_str(value)));
    for (label, value) in labels.chain(bound.map(|bound| ("le", bound))) {
        text.push(if open { ',' } else { '{' });
        open = true;
        text.push_str(label);
        text.push_str("=\"");
        escape(value, true, text);
        text.push('"');
    }
    if open {
        text.push('}');
    }
    if value.is_nan() {
        text.push_str(" NaN\n");
    } else if value.is_infinite() {
        text.push_str(if value > 0.0 { " +Inf\n" } else { " -Inf\n" });
    } else {
        push(text, format_args!(" {value}\n"));
    }
}

/// Escapes a text, and quotes in it where it stands in quotes.
fn escape(value: &str, quoted: bool, text: &mut String) {
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '"' if quoted => text.push_str("\\\""),
            character => text.push(character),
        }
    }
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    let written = text.write_fmt(arguments);
    debug_assert!(written.is_ok(), "writing to a string does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Histogram, Name};

    #[test]
    fn families_are_written_as_prometheus_reads_them() {
        let mut samples = Samples::new();
        let requests = Name::counter("requests_total", "How many\nrequests");
        samples.labelled(requests, [("table", Label::from("a\"b\\c\nd".to_owned()))], 3_u64);
        samples.number(Name::gauge("open", "What is open"), f64::INFINITY);
        samples.labelled(requests, [("table", Label::from("x")), ("kind", Label::from("y"))], 0.5);
        samples.declare(Name::counter("never_total", "What never happened"));
        let histogram = Histogram::new(&[1_000_000, 2_500_000]);
        [1, 1_500_000, 3_000_000].into_iter().for_each(|value| histogram.record(value));
        let took = Name::histogram("took_seconds", "How long it took");
        samples.point(took, vec![("a", "b".into())], Reading::Distribution(histogram.read(1e-9)));
        samples.point(took, Vec::new(), Reading::Distribution(Distribution::default()));
        let expected = "# HELP requests_total How many\\nrequests\n\
            # TYPE requests_total counter\n\
            requests_total{table=\"a\\\"b\\\\c\\nd\"} 3\n\
            requests_total{table=\"x\",kind=\"y\"} 0.5\n\
            # HELP open What is open\n\
            # TYPE open gauge\n\
            open +Inf\n\
            # HELP never_total What never happened\n\
            # TYPE never_total counter\n\
            # HELP took_seconds How long it took\n\
            # TYPE took_seconds histogram\n\
            took_seconds_bucket{a=\"b\",le=\"0.001\"} 1\n\
            took_seconds_bucket{a=\"b\",le=\"0.0025\"} 2\n\
            took_seconds_bucket{a=\"b\",le=\"+Inf\"} 3\n\
            took_seconds_sum{a=\"b\"} 0.004500001\n\
            took_seconds_count{a=\"b\"} 3\n\
            took_seconds_sum 0\n\
            took_seconds_count 0\n";
        assert_eq!(write(&samples), expected);
        assert_eq!(samples.len(), 5);
    }
}
