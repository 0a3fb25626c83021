//! What is asked: the tables with their data, and one request after another for each row of the comparison.

use std::fmt::Write;
use std::sync::Arc;

/// A table of the comparison, filled before anything is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// How many partitions it has.
    pub partitions: u64,
    /// How many items each has; 0 where there is no sort key and so one item.
    pub items: u64,
    /// The size of an item in bytes, roughly.
    pub item_bytes: usize,
    /// Whether it has three global secondary indexes that carry everything, and a stream with both images.
    pub indexed: bool,
}

const SMALL: Table = Table { name: "small", partitions: 10_000, items: 0, item_bytes: 100, indexed: false };
/// The table of most rows: 10,000 items of 1 KB.
pub const MIDDLE: Table = Table { name: "middle", partitions: 10_000, items: 0, item_bytes: 1024, indexed: false };
const LARGE: Table = Table { name: "large", partitions: 2_000, items: 0, item_bytes: 10 * 1024, indexed: false };
const TENS: Table = Table { name: "tens", partitions: 1_000, items: 10, item_bytes: 1024, indexed: false };
const HUNDREDS: Table = Table { name: "hundreds", partitions: 100, items: 100, item_bytes: 1024, indexed: false };
const INDEXED: Table = Table { name: "indexed", partitions: 10_000, items: 0, item_bytes: 1024, indexed: true };

/// What one request of a row does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Get,
    Put,
    /// Of an item that is there, on condition that it is.
    ConditionalPut,
    /// `ADD hits :one`.
    Count,
    /// The same, always of one item.
    CountHot,
    /// All items of one partition.
    Query,
    /// A page of a megabyte of which one item in a hundred passes the filter.
    Scan,
    BatchWrite,
    BatchGet,
    /// Two puts, an update and a check.
    Transact,
    /// One of the standard mixes of the Yahoo! Cloud Serving Benchmark, over Zipfian keys.
    Ycsb(char),
}

/// One row of the comparison.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its name on the command line.
    pub id: &'static str,
    /// Its name in the report.
    pub title: &'static str,
    /// Whether a goal is set for it, so that it is in the default run.
    pub goal: bool,
    table: Table,
    work: Work,
}

const fn row(id: &'static str, title: &'static str, goal: bool, table: Table, work: Work) -> Row {
    Row { id, title, goal, table, work }
}

/// All rows.
pub const ROWS: [Row; 26] = [
    row("get", "GetItem 1 KB", true, MIDDLE, Work::Get),
    row("put", "PutItem 1 KB", true, MIDDLE, Work::Put),
    row("count", "UpdateItem counter", true, MIDDLE, Work::Count),
    row("hot", "UpdateItem hot key", true, MIDDLE, Work::CountHot),
    row("query10", "Query of 10", true, TENS, Work::Query),
    row("indexed", "PutItem, 3 GSIs and stream", true, INDEXED, Work::Put),
    row("get100b", "GetItem 100 B", false, SMALL, Work::Get),
    row("get10k", "GetItem 10 KB", false, LARGE, Work::Get),
    row("put100b", "PutItem 100 B", false, SMALL, Work::Put),
    row("put10k", "PutItem 10 KB", false, LARGE, Work::Put),
    row("count100b", "UpdateItem counter 100 B", false, SMALL, Work::Count),
    row("hot100b", "UpdateItem hot key 100 B", false, SMALL, Work::CountHot),
    row("condition", "Conditional PutItem 1 KB", false, MIDDLE, Work::ConditionalPut),
    row("query1", "Query of 1", false, MIDDLE, Work::Query),
    row("query100", "Query of 100", false, HUNDREDS, Work::Query),
    row("scan", "Scan of 1 MB, filtered", false, TENS, Work::Scan),
    row("batchwrite", "BatchWriteItem of 25", false, MIDDLE, Work::BatchWrite),
    row("batchget", "BatchGetItem of 100", false, SMALL, Work::BatchGet),
    row("transact", "TransactWriteItems of 4", false, MIDDLE, Work::Transact),
    row("ycsba", "YCSB A", false, MIDDLE, Work::Ycsb('a')),
    row("ycsbb", "YCSB B", false, MIDDLE, Work::Ycsb('b')),
    row("ycsbc", "YCSB C", false, MIDDLE, Work::Ycsb('c')),
    row("ycsbd", "YCSB D", false, MIDDLE, Work::Ycsb('d')),
    row("ycsbe", "YCSB E", false, HUNDREDS, Work::Ycsb('e')),
    row("ycsbf", "YCSB F", false, MIDDLE, Work::Ycsb('f')),
    row("get-more", "GetItem 1 KB of ten million", false, MILLIONS, Work::Get),
];

/// The table of the row `get-more`, which only runs when it is asked for by name.
pub const MILLIONS: Table =
    Table { name: "millions", partitions: 10_000_000, items: 0, item_bytes: 1024, indexed: false };

impl Row {
    /// The table it works on.
    pub const fn table(&self) -> Table {
        self.table
    }

    /// The requests of this row.
    pub fn workload(&self) -> Workload {
        self.workload_on(self.table)
    }

    /// The requests of this row, on another table of the same kind.
    pub fn workload_on(&self, table: Table) -> Workload {
        let zipf = matches!(self.work, Work::Ycsb(_)).then(|| Arc::new(Zipf::new(table.partitions)));
        Workload { table, work: self.work, zipf }
    }
}

/// Makes the requests of one row.
#[derive(Clone)]
pub struct Workload {
    table: Table,
    work: Work,
    zipf: Option<Arc<Zipf>>,
}

impl Workload {
    /// Whether some requests are refused by nature: transactions that meet on an item.
    pub fn may_be_refused(&self) -> bool {
        self.work == Work::Transact
    }

    /// Writes the next request's body to `out` and returns its operation.
    pub fn request(&self, out: &mut String) -> &'static str {
        let mut random = fastrand::Rng::new();
        out.clear();
        let key = match &self.zipf {
            Some(zipf) => zipf.draw(&mut random),
            None => random.u64(..self.table.partitions),
        };
        match self.work {
            Work::Get => self.get(out, key),
            Work::Put => self.put(out, key, "", &mut random),
            Work::ConditionalPut => self.put(out, key, r#","ConditionExpression":"attribute_exists(pk)""#, &mut random),
            Work::Count => self.count(out, key),
            Work::CountHot => self.count(out, 0),
            Work::Query => self.query(out, key),
            Work::Scan => {
                text(
                    out,
                    format_args!(
                        r#"{{"TableName":"{}","FilterExpression":"hits = :h","ExpressionAttributeValues":{{":h":{{"N":"{}"}}}}}}"#,
                        self.table.name,
                        key % 100
                    ),
                );
                "Scan"
            }
            Work::BatchWrite => {
                text(out, format_args!(r#"{{"RequestItems":{{"{}":["#, self.table.name));
                let first = random.u64(..self.table.partitions - 25);
                for number in 0..25 {
                    let separator = if number == 0 { "" } else { "," };
                    text(out, format_args!(r#"{separator}{{"PutRequest":{{"Item":"#));
                    self.table.item(out, first + number, 0, &mut random);
                    out.push_str("}}");
                }
                out.push_str("]}}");
                "BatchWriteItem"
            }
            Work::BatchGet => {
                text(out, format_args!(r#"{{"RequestItems":{{"{}":{{"Keys":["#, self.table.name));
                let first = random.u64(..self.table.partitions - 100);
                for number in 0..100 {
                    let separator = if number == 0 { "" } else { "," };
                    text(out, format_args!(r#"{separator}{{"pk":{{"S":"key-{:010}"}}}}"#, first + number));
                }
                out.push_str("]}}}");
                "BatchGetItem"
            }
            Work::Transact => {
                let first = random.u64(..self.table.partitions - 4);
                let name = self.table.name;
                out.push_str(r#"{"TransactItems":["#);
                for number in 0..2 {
                    text(out, format_args!(r#"{{"Put":{{"TableName":"{name}","Item":"#));
                    self.table.item(out, first + number, 0, &mut random);
                    out.push_str("}},");
                }
                text(
                    out,
                    format_args!(
                        r#"{{"Update":{{"TableName":"{name}","Key":{{"pk":{{"S":"key-{:010}"}}}},"UpdateExpression":"ADD hits :one","ExpressionAttributeValues":{{":one":{{"N":"1"}}}}}}}},"#,
                        first + 2
                    ),
                );
                text(
                    out,
                    format_args!(
                        r#"{{"ConditionCheck":{{"TableName":"{name}","Key":{{"pk":{{"S":"key-{:010}"}}}},"ConditionExpression":"attribute_exists(pk)"}}}}]}}"#,
                        first + 3
                    ),
                );
                "TransactWriteItems"
            }
            Work::Ycsb(mix) => {
                let share = random.u8(..100);
                match mix {
                    'a' if share < 50 => self.put(out, key, "", &mut random),
                    'b' if share < 5 => self.put(out, key, "", &mut random),
                    // New items are read soonest: here the lowest keys are the newest.
                    'd' if share < 5 => self.put(out, key, "", &mut random),
                    'e' if share < 5 => self.put(out, key, "", &mut random),
                    'e' => self.query(out, key),
                    'f' if share < 50 => self.count(out, key),
                    _ => self.get(out, key),
                }
            }
        }
    }

    fn get(&self, out: &mut String, key: u64) -> &'static str {
        text(out, format_args!(r#"{{"TableName":"{}","Key":{{"pk":{{"S":"key-{key:010}"}}}}}}"#, self.table.name));
        "GetItem"
    }

    fn put(&self, out: &mut String, key: u64, condition: &str, random: &mut fastrand::Rng) -> &'static str {
        text(out, format_args!(r#"{{"TableName":"{}","Item":"#, self.table.name));
        let sort = random.u64(..self.table.items.max(1));
        self.table.item(out, key, sort, random);
        out.push_str(condition);
        out.push('}');
        "PutItem"
    }

    fn count(&self, out: &mut String, key: u64) -> &'static str {
        text(
            out,
            format_args!(
                r#"{{"TableName":"{}","Key":{{"pk":{{"S":"key-{key:010}"}}}},"UpdateExpression":"ADD hits :one","ExpressionAttributeValues":{{":one":{{"N":"1"}}}}}}"#,
                self.table.name
            ),
        );
        "UpdateItem"
    }

    fn query(&self, out: &mut String, key: u64) -> &'static str {
        text(
            out,
            format_args!(
                r#"{{"TableName":"{}","KeyConditionExpression":"pk = :p","ExpressionAttributeValues":{{":p":{{"S":"key-{key:010}"}}}}}}"#,
                self.table.name
            ),
        );
        "Query"
    }
}

impl Table {
    /// How many items it holds.
    pub const fn total(&self) -> u64 {
        self.partitions * if self.items == 0 { 1 } else { self.items }
    }

    /// The body of its CreateTable.
    pub fn creation(&self) -> String {
        let mut attributes = vec![("pk", "S")];
        let mut key = r#"{"AttributeName":"pk","KeyType":"HASH"}"#.to_owned();
        if self.items > 0 {
            attributes.push(("sk", "S"));
            key.push_str(r#",{"AttributeName":"sk","KeyType":"RANGE"}"#);
        }
        let mut more = String::new();
        if self.indexed {
            attributes.extend([("field1", "S"), ("field2", "S"), ("field3", "S")]);
            let index = |number: u8| {
                format!(
                    r#"{{"IndexName":"by{number}","KeySchema":[{{"AttributeName":"field{number}","KeyType":"HASH"}}],"Projection":{{"ProjectionType":"ALL"}}}}"#
                )
            };
            more = format!(
                r#","GlobalSecondaryIndexes":[{},{},{}],"StreamSpecification":{{"StreamEnabled":true,"StreamViewType":"NEW_AND_OLD_IMAGES"}}"#,
                index(1),
                index(2),
                index(3)
            );
        }
        let attributes: Vec<String> = attributes
            .iter()
            .map(|(name, kind)| format!(r#"{{"AttributeName":"{name}","AttributeType":"{kind}"}}"#))
            .collect();
        format!(
            r#"{{"TableName":"{}","BillingMode":"PAY_PER_REQUEST","AttributeDefinitions":[{}],"KeySchema":[{key}]{more}}}"#,
            self.name,
            attributes.join(",")
        )
    }

    /// The body of the BatchWriteItem that puts the items from number `from` on, at most 25.
    pub fn filling(&self, from: u64, random: &mut fastrand::Rng) -> String {
        let mut out = format!(r#"{{"RequestItems":{{"{}":["#, self.name);
        for number in from..self.total().min(from + 25) {
            if number > from {
                out.push(',');
            }
            out.push_str(r#"{"PutRequest":{"Item":"#);
            let each = self.items.max(1);
            self.item(&mut out, number / each, number % each, random);
            out.push_str("}}");
        }
        out.push_str("]}}");
        out
    }

    /// An item: the key, ten random texts, and a number below 100.
    fn item(&self, out: &mut String, key: u64, sort: u64, random: &mut fastrand::Rng) {
        const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 -";
        text(out, format_args!(r#"{{"pk":{{"S":"key-{key:010}"}},"#));
        if self.items > 0 {
            text(out, format_args!(r#""sk":{{"S":"row-{sort:06}"}},"#));
        }
        text(out, format_args!(r#""hits":{{"N":"{}"}}"#, random.u8(..100)));
        let length = (self.item_bytes.saturating_sub(20) / 10).saturating_sub("field0".len()).max(4);
        for number in 0..10 {
            text(out, format_args!(r#","field{number}":{{"S":""#));
            let mut left = length;
            while left > 0 {
                let mut bits = random.u64(..);
                for _ in 0..left.min(10) {
                    let letter = LETTERS.get(usize::try_from(bits & 63).unwrap_or(0)).copied().unwrap_or(b'A');
                    out.push(char::from(letter));
                    bits >>= 6;
                }
                left = left.saturating_sub(10);
            }
            out.push_str("\"}");
        }
        out.push('}');
    }
}

fn text(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = out.write_fmt(arguments);
}

/// Zipfian numbers with the exponent 0.99, low ones most often (Gray et al., "Quickly generating billion-record
/// synthetic databases").
struct Zipf {
    count: f64,
    zeta: f64,
    alpha: f64,
    eta: f64,
}

impl Zipf {
    const THETA: f64 = 0.99;

    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    fn new(count: u64) -> Self {
        let zeta: f64 = (1..=count).map(|rank| (rank as f64).powf(-Self::THETA)).sum();
        let zeta_of_two = 1.0 + 0.5f64.powf(Self::THETA);
        let count = count as f64;
        let eta = (1.0 - (2.0 / count).powf(1.0 - Self::THETA)) / (1.0 - zeta_of_two / zeta);
        Self { count, zeta, alpha: 1.0 / (1.0 - Self::THETA), eta }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to the count")]
    fn draw(&self, random: &mut fastrand::Rng) -> u64 {
        let uniform = random.f64();
        let scaled = uniform * self.zeta;
        if scaled < 1.0 {
            return 0;
        }
        if scaled < 1.0 + 0.5f64.powf(Self::THETA) {
            return 1;
        }
        let drawn = self.count * (self.eta * uniform - self.eta + 1.0).powf(self.alpha);
        (drawn as u64).min(self.count as u64 - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_have_about_the_size_they_are_meant_to_have() {
        for table in [SMALL, MIDDLE, LARGE, TENS] {
            let mut json = String::new();
            table.item(&mut json, 1, 1, &mut fastrand::Rng::with_seed(1));
            let quotes_and_types = 13 * 14;
            let bytes = json.len() - quotes_and_types;
            assert!(bytes.abs_diff(table.item_bytes) < table.item_bytes / 10 + 60, "{}: {bytes}", table.name);
        }
    }

    #[test]
    fn zipfian_draws_prefer_low_numbers_and_stay_in_range() {
        let zipf = Zipf::new(1_000);
        let mut random = fastrand::Rng::with_seed(1);
        let mut seen = vec![0u32; 1_000];
        for _ in 0..100_000 {
            seen[usize::try_from(zipf.draw(&mut random)).unwrap()] += 1;
        }
        assert!(seen[0] > seen[10] && seen[10] > seen[500]);
        assert!(seen[0] > 10_000 && seen[0] < 16_000, "{}", seen[0]);
    }

    #[test]
    fn no_two_rows_have_one_name() {
        let mut ids: Vec<_> = ROWS.iter().map(|row| row.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), ROWS.len());
    }
}
