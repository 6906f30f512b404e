// SPDX-License-Identifier: GPL-2.0

//! The file `regions`: a line for each region, its number and `name=value`.

use std::collections::BTreeMap;

/// Bytes of a page.
pub const PAGE: u64 = 4096;

/// What a line says.
#[derive(Clone, Debug)]
pub struct Region {
    pub id: u64,
    /// In the order in which they are asked.
    pub drivers: Vec<String>,
    /// From -20 to 20: memory pressure takes the lowest first.
    pub priority: i64,
    counters: BTreeMap<String, u64>,
}

impl Region {
    /// Returns a counter; 0 for one that the module does not have.
    pub fn get(&self, name: &str) -> u64 {
        self.counters.get(name).copied().unwrap_or(0)
    }

    /// Returns the size in pages.
    pub fn pages(&self) -> u64 {
        self.get("size").div_ceil(PAGE)
    }

    /// Returns the bytes that a byte of the store stands for; `None` with nothing
    /// stored. Pages that are a repeated word are in the store of nobody, but
    /// nobody counts those that are swapped now: they make it larger.
    pub fn ratio(&self) -> Option<f64> {
        let stored = self.get("stored_bytes");
        (stored != 0).then(|| (self.get("swapped") * PAGE) as f64 / stored as f64)
    }
}

/// Parses the file.
pub fn parse(text: &str) -> Result<Vec<Region>, String> {
    text.lines().map(parse_line).collect()
}

fn parse_line(line: &str) -> Result<Region, String> {
    let wrong = || format!("a line of \"regions\" that is none: {line}");
    let mut words = line.split_whitespace();
    let id = words.next().and_then(|word| word.parse().ok());
    let mut region = Region {
        id: id.ok_or_else(wrong)?,
        drivers: Vec::new(),
        priority: 0,
        counters: BTreeMap::new(),
    };
    for word in words {
        let (name, value) = word.split_once('=').ok_or_else(wrong)?;
        match (name, value.parse()) {
            ("driver", _) => region.drivers.push(value.to_string()),
            ("priority", _) => region.priority = value.parse().map_err(|_| wrong())?,
            (_, Ok(number)) => {
                region.counters.insert(name.to_string(), number);
            }
            // A word, as that of integrity=.
            _ => {}
        }
    }
    Ok(region)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::tests::RECORDED;

    #[test]
    fn recorded_lines_are_read() {
        let regions = parse(RECORDED[0]).unwrap();
        assert_eq!(regions.len(), RECORDED[0].lines().count());
        assert_eq!(parse("7 priority=-3").unwrap()[0].priority, -3);
        assert!(parse("7 priority=low").is_err());
        for region in &regions {
            assert!(region.id > 0);
            assert!(!region.drivers.is_empty());
            assert!(region.pages() > 0);
            assert!(region.get("resident") <= region.pages());
        }
    }

    #[test]
    fn lines_of_all_kinds() {
        let regions = parse("7 integrity=none driver=ram driver=file size=8193 x=1\n").unwrap();
        assert_eq!(regions[0].id, 7);
        assert_eq!(regions[0].drivers, ["ram", "file"]);
        assert_eq!(regions[0].pages(), 3);
        assert_eq!(regions[0].get("x"), 1);
        assert_eq!(regions[0].get("y"), 0);
        assert_eq!(regions[0].ratio(), None);
        assert_eq!(parse("").unwrap().len(), 0);
        assert!(parse("x driver=ram").is_err());
        assert!(parse("1 driver").is_err());
        assert!(parse("\n").is_err());
    }
}
