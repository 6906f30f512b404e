// SPDX-License-Identifier: GPL-2.0

//! The heat map as a picture: time goes right, pages go down.

use crate::map::Cell;
use std::time::Duration;

/// What was seen at one time.
pub struct Look {
    pub at: Duration,
    pub cells: Vec<Cell>,
}

/// From nothing to all in memory.
const WARMTH: [&str; 6] = [
    "#3b6fb6", "#8fb8de", "#fbe3a1", "#f9b25e", "#ee7038", "#c81d25",
];
const EMPTY: &str = "#eeeeee";
const LOST: &str = "#000000";

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 256.0;
/// Around the map, for what is written.
const LEFT: f64 = 70.0;
const TOP: f64 = 28.0;
const BELOW: f64 = 48.0;

/// Draws the looks at a region of `pages` pages.
pub fn draw(id: u64, pages: u64, looks: &[Look]) -> String {
    let (width, height) = (LEFT + WIDTH + 20.0, TOP + HEIGHT + BELOW);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"11\" shape-rendering=\"crispEdges\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"{LEFT}\" y=\"18\" font-size=\"13\">region {id}: where its {pages} pages are</text>\n"
    );
    let wide = WIDTH / looks.len().max(1) as f64;
    for (i, look) in looks.iter().enumerate() {
        text += &column(LEFT + i as f64 * wide, wide, &look.cells);
    }
    text += &axes(pages, looks);
    text += &legend();
    text + "</svg>\n"
}

/// One look: a rectangle for each run of cells of one colour.
fn column(x: f64, wide: f64, cells: &[Cell]) -> String {
    let high = HEIGHT / cells.len().max(1) as f64;
    let mut text = String::new();
    let mut row = 0;
    for run in cells.chunk_by(|a, b| colour(a) == colour(b)) {
        text += &format!(
            "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"{wide:.1}\" height=\"{:.1}\" fill=\"{}\"/>\n",
            TOP + row as f64 * high,
            run.len() as f64 * high,
            colour(&run[0])
        );
        row += run.len();
    }
    text
}

fn colour(cell: &Cell) -> &'static str {
    match cell.warmth() {
        None => EMPTY,
        Some(_) if cell.poisoned != 0 => LOST,
        Some(warmth) => WARMTH[(warmth * (WARMTH.len() - 1) as f64).ceil() as usize],
    }
}

fn axes(pages: u64, looks: &[Look]) -> String {
    let seconds = looks.last().map_or(0.0, |look| look.at.as_secs_f64());
    let mut text = String::new();
    for part in 0..=4 {
        let share = f64::from(part) / 4.0;
        text += &format!(
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\n",
            LEFT - 6.0,
            TOP + share * HEIGHT + 4.0,
            (pages as f64 * share) as u64
        );
        text += &format!(
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{:.1} s</text>\n",
            LEFT + share * WIDTH,
            TOP + HEIGHT + 16.0,
            seconds * share
        );
    }
    text
}

fn legend() -> String {
    let y = TOP + HEIGHT + 28.0;
    let mut entries = vec![(EMPTY, "empty"), (WARMTH[0], "stored")];
    entries.extend(WARMTH[1..5].iter().map(|colour| (*colour, "")));
    entries.extend([(WARMTH[5], "in memory"), (LOST, "lost")]);
    let mut text = String::new();
    let mut x = LEFT;
    for (colour, name) in entries {
        text += &format!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"12\" height=\"12\" fill=\"{colour}\"/>\n\
             <text x=\"{}\" y=\"{}\">{name}</text>\n",
            x + 16.0,
            y + 10.0
        );
        x += if name.is_empty() { 14.0 } else { 80.0 };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::tests::recorded;

    fn looks(count: u64) -> Vec<Look> {
        let look = |i| Look {
            at: Duration::from_millis(500 * i),
            cells: recorded(64),
        };
        (0..count).map(look).collect()
    }

    #[test]
    fn what_is_opened_is_closed() {
        let text = draw(3, 4096, &looks(4));
        assert!(text.starts_with("<svg ") && text.ends_with("</svg>\n"));
        let lines = text.lines().filter(|line| !line.starts_with("</svg"));
        for line in lines.skip(1) {
            assert!(line.ends_with("/>") || line.ends_with("</text>"), "{line}");
        }
        assert!(text.contains("region 3: where its 4096 pages are"));
        assert!(text.contains(">1.5 s<"));
    }

    #[test]
    fn a_column_covers_all_its_cells() {
        let text = column(0.0, 10.0, &recorded(64));
        let high: f64 = text
            .split("height=\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap().parse::<f64>().unwrap())
            .sum();
        // Each is rounded.
        assert!((high - HEIGHT).abs() < 0.05 * text.lines().count() as f64 + 0.01);
        assert!(text.contains(WARMTH[0]));
    }

    #[test]
    fn colours_go_from_cold_to_warm() {
        let of = |young, stored| {
            colour(&Cell {
                young,
                stored,
                ..Cell::default()
            })
        };
        assert_eq!(of(0, 0), EMPTY);
        assert_eq!(of(0, 5), WARMTH[0]);
        assert_eq!(of(1, 99), WARMTH[1]);
        assert_eq!(of(5, 0), WARMTH[5]);
    }

    #[test]
    fn nothing_seen_is_a_picture_too() {
        assert!(draw(1, 0, &[]).ends_with("</svg>\n"));
    }
}
