// SPDX-License-Identifier: GPL-2.0

//! The heat map in a terminal: time goes down, pages go across.

use crate::{
    map::Cell,
    regions::{
        Region,
        PAGE, //
    },
};
use std::time::Duration;

/// What the lines mean, and where the pages are.
pub fn head(id: u64, pages: u64, columns: u64) -> String {
    let columns = columns.min(pages).max(1) as usize;
    let last = format!("page {}", pages.saturating_sub(1));
    let rest = columns.saturating_sub(last.len());
    format!(
        "region {id}: {} MiB, {} pages a column; in memory: ░ some ▒ half ▓ most █ all, · stored, X lost\n\
         {:>8} {:<rest$}{last}\n",
        (pages * PAGE) >> 20,
        pages.div_ceil(columns as u64),
        "seconds",
        "page 0",
    )
}

/// One look.
pub fn line(at: Duration, cells: &[Cell], region: &Region) -> String {
    let cells: String = cells.iter().map(letter).collect();
    format!(
        "{:>8.1} {cells} {:.0}% resident\n",
        at.as_secs_f64(),
        (region.get("resident") * 100) as f64 / region.pages().max(1) as f64
    )
}

fn letter(cell: &Cell) -> char {
    match cell.warmth() {
        None => ' ',
        Some(_) if cell.poisoned != 0 => 'X',
        Some(0.0) => '·',
        Some(warmth) if warmth < 0.375 => '░',
        Some(warmth) if warmth < 0.625 => '▒',
        Some(warmth) if warmth < 1.0 => '▓',
        Some(_) => '█',
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        map::tests::recorded,
        regions, //
    };

    #[test]
    fn letters_say_how_much_is_in_memory() {
        let of = |young, stored| {
            letter(&Cell {
                young,
                stored,
                empty: 5,
                ..Cell::default()
            })
        };
        let all: String = [(0, 0), (0, 8), (1, 7), (4, 4), (7, 1), (8, 0)]
            .map(|(young, stored)| of(young, stored))
            .iter()
            .collect();
        assert_eq!(all, " ·░▒▓█");
        let lost = Cell {
            poisoned: 1,
            young: 100,
            ..Cell::default()
        };
        assert_eq!(letter(&lost), 'X');
    }

    #[test]
    fn a_line_has_a_letter_for_each_cell() {
        let region = &regions::parse("3 driver=ram size=1048576 resident=64").unwrap()[0];
        let cells = recorded(64);
        let line = line(Duration::from_millis(1234), &cells, region);
        assert!(line.starts_with("     1.2 "));
        assert!(line.ends_with(" 25% resident\n"));
        let drawn: String = line.chars().skip(9).take(64).collect();
        assert_eq!(drawn, cells.iter().map(letter).collect::<String>());
        assert!(drawn.contains('·') && drawn.contains(['░', '▒', '▓', '█']));
    }

    #[test]
    fn the_head_is_as_wide_as_the_lines() {
        let head = head(1, 4096, 64);
        let pages = head.lines().nth(1).unwrap();
        assert_eq!(pages.chars().count(), 9 + 64);
        assert!(pages.ends_with("page 4095"));
    }
}
