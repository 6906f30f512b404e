// SPDX-License-Identifier: GPL-2.0

//! The table: a line for each region.

use crate::regions::{
    Region,
    PAGE, //
};
use std::{
    cmp::Ordering,
    time::Duration, //
};

/// What the table is sorted by.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Sort {
    Region,
    Size,
    Resident,
    Stored,
    Ratio,
    Out,
    In,
    Refaults,
    Waits,
}

/// What counts the pages that left memory.
const LEFT: [&str; 3] = ["swapouts", "clean_drops", "same_filled"];

/// A line. What is counted comes in total or per second.
struct Row {
    id: u64,
    driver: String,
    priority: i64,
    size: f64,
    resident: f64,
    limit: Option<f64>,
    stored: f64,
    ratio: Option<f64>,
    out: f64,
    swapins: f64,
    refaults: f64,
    waits: f64,
    waited_ms: f64,
}

impl Row {
    /// `counted` returns what there is to say about a counter.
    fn new(region: &Region, counted: impl Fn(&str) -> f64) -> Self {
        let limit = region.get("limit");
        Self {
            id: region.id,
            driver: region.drivers.join(","),
            priority: region.priority,
            size: region.get("size") as f64,
            resident: (region.get("resident") * PAGE) as f64,
            limit: (limit < u64::MAX - PAGE).then_some(limit as f64),
            stored: region.get("stored_bytes") as f64,
            ratio: region.ratio(),
            out: LEFT.iter().map(|name| counted(name)).sum(),
            swapins: counted("swapins"),
            refaults: counted("refaults"),
            waits: counted("limit_waits") + counted("munmap_waits"),
            waited_ms: counted("munmap_wait_ns") / 1e6,
        }
    }

    fn compare(&self, other: &Self, by: Sort) -> Ordering {
        let key = |row: &Self| match by {
            Sort::Region => -(row.id as f64),
            Sort::Size => row.size,
            Sort::Resident => row.resident,
            Sort::Stored => row.stored,
            Sort::Ratio => row.ratio.unwrap_or(0.0),
            Sort::Out => row.out,
            Sort::In => row.swapins,
            Sort::Refaults => row.refaults,
            Sort::Waits => row.waits,
        };
        key(other)
            .total_cmp(&key(self))
            .then(self.id.cmp(&other.id))
    }
}

/// What happened since the regions are there.
pub fn totals(regions: &[Region], sort: Sort) -> String {
    let rows = regions
        .iter()
        .map(|region| Row::new(region, |name| region.get(name) as f64));
    show(rows.collect(), sort, "")
}

/// What happens in a second, from two looks that are `took` apart.
pub fn rates(before: &[Region], now: &[Region], took: Duration, sort: Sort) -> String {
    let rows = now.iter().map(|region| {
        let old = before.iter().find(|old| old.id == region.id);
        Row::new(region, |name| {
            let was = old.map_or(0, |old| old.get(name));
            region.get(name).saturating_sub(was) as f64 / took.as_secs_f64()
        })
    });
    show(rows.collect(), sort, "/s")
}

fn show(mut rows: Vec<Row>, sort: Sort, per: &str) -> String {
    rows.sort_by(|a, b| a.compare(b, sort));
    let mut text = format!(
        "{:>6} {:<10} {:>3} {:>8} {:>8} {:>8} {:>8} {:>6} {:>9} {:>9} {:>10} {:>8} {:>11}\n",
        "REGION",
        "DRIVER",
        "PRI",
        "SIZE",
        "RESIDENT",
        "LIMIT",
        "STORED",
        "RATIO",
        format!("OUT{per}"),
        format!("IN{per}"),
        format!("REFAULTS{per}"),
        format!("WAITS{per}"),
        format!("MUNMAP-MS{per}"),
    );
    for row in &rows {
        text += &format!(
            "{:>6} {:<10} {:>3} {:>8} {:>8} {:>8} {:>8} {:>6} {:>9.0} {:>9.0} {:>10.0} {:>8.0} {:>11.1}\n",
            row.id,
            row.driver,
            row.priority,
            bytes(row.size),
            bytes(row.resident),
            row.limit.map_or("-".to_string(), bytes),
            bytes(row.stored),
            row.ratio
                .map_or("-".to_string(), |ratio| format!("{ratio:.1}")),
            row.out,
            row.swapins,
            row.refaults,
            row.waits,
            row.waited_ms
        );
    }
    text
}

/// Returns an amount with the largest unit that leaves something before the
/// point.
fn bytes(amount: f64) -> String {
    let mut amount = amount;
    let mut units = ["B", "K", "M", "G", "T", "P"].iter();
    let mut unit = units.next().unwrap_or(&"");
    while amount >= 1024.0 {
        let Some(next) = units.next() else { break };
        amount /= 1024.0;
        unit = next;
    }
    match *unit {
        "B" => format!("{amount:.0}"),
        _ => format!("{amount:.1}{unit}"),
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::regions;

    /// Twice the file of a machine in use, a second apart.
    pub const RECORDED: [&str; 2] = [
        include_str!("../tests/regions.0"),
        include_str!("../tests/regions.1"),
    ];

    fn recorded() -> [Vec<Region>; 2] {
        RECORDED.map(|text| regions::parse(text).unwrap())
    }

    /// The words of the line of a region.
    fn line(text: &str, id: u64) -> Vec<String> {
        let id = id.to_string();
        let line = text
            .lines()
            .find(|line| line.split_whitespace().next() == Some(&id));
        let words = line.unwrap().split_whitespace();
        words.map(str::to_string).collect()
    }

    #[test]
    fn rates_are_differences_by_time() {
        let [before, now] = recorded();
        let text = rates(&before, &now, Duration::from_secs(2), Sort::Region);
        assert_eq!(text.lines().count(), now.len() + 1);
        for (old, new) in before.iter().zip(&now) {
            assert_eq!(old.id, new.id);
            let words = line(&text, new.id);
            let left = |region: &Region| LEFT.iter().map(|name| region.get(name)).sum::<u64>();
            let per_second = (left(new) - left(old)) as f64 / 2.0;
            assert_eq!(words[8], format!("{per_second:.0}"));
        }
        // Something was going on.
        let all = |regions: &[Region]| regions.iter().map(|r| r.get("swapins")).sum::<u64>();
        assert!(all(&now) > all(&before));
    }

    #[test]
    fn a_new_region_counts_from_nothing() {
        let [_, now] = recorded();
        let text = rates(&[], &now, Duration::from_secs(1), Sort::Region);
        let region = &now[0];
        assert_eq!(line(&text, region.id)[9], region.get("swapins").to_string());
        assert_eq!(text.replace("/s", "  ").split_whitespace().count(), {
            let text = totals(&now, Sort::Region);
            text.split_whitespace().count()
        });
    }

    #[test]
    fn the_largest_is_first() {
        let regions = regions::parse(
            "1 driver=a size=4096 swapouts=5\n2 driver=b size=8192 swapouts=4\n3 driver=c size=4096 swapouts=6\n",
        );
        let regions = regions.unwrap();
        let order = |sort| {
            let text = totals(&regions, sort);
            let ids = text.lines().skip(1).map(|line| {
                let id = line.split_whitespace().next().unwrap();
                id.parse::<u64>().unwrap()
            });
            ids.collect::<Vec<_>>()
        };
        assert_eq!(order(Sort::Region), [1, 2, 3]);
        assert_eq!(order(Sort::Size), [2, 1, 3]);
        assert_eq!(order(Sort::Out), [3, 1, 2]);
    }

    #[test]
    fn amounts_have_units() {
        assert_eq!(bytes(0.0), "0");
        assert_eq!(bytes(1023.0), "1023");
        assert_eq!(bytes(4096.0), "4.0K");
        assert_eq!(bytes(1.5 * 1048576.0), "1.5M");
        assert_eq!(bytes(2f64.powi(70)), "1048576.0P");
    }
}
