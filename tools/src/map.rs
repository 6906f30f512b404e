// SPDX-License-Identifier: GPL-2.0

//! The file `map`: a letter for each page, reduced to cells of some pages each.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::Path, //
};

/// Bits of the offset that say which page it is; those above say which region.
const REGION_SHIFT: u32 = 37;

/// Pages that are looked at in one cell: more of them are sampled.
const LOOKS: u64 = 4096;

/// Places of a cell that samples come from.
const PIECES: u64 = 8;

/// How many pages of a cell are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    pub empty: u64,
    /// In memory and used since the clock last came by.
    pub young: u64,
    /// In memory, and the next to leave.
    pub aged: u64,
    /// On their way out of or into memory.
    pub moving: u64,
    pub stored: u64,
    pub poisoned: u64,
}

impl Cell {
    /// Adds pages by their letters.
    fn add(&mut self, letters: &[u8]) {
        for letter in letters {
            *match letter {
                b'D' | b'C' => &mut self.young,
                b'd' | b'c' => &mut self.aged,
                b'W' | b'R' => &mut self.moving,
                b's' | b'=' => &mut self.stored,
                b'X' => &mut self.poisoned,
                _ => &mut self.empty,
            } += 1;
        }
    }

    /// Returns how much of what is not empty is in memory, from 0 to 1; `None`
    /// if all is empty.
    pub fn warmth(&self) -> Option<f64> {
        let resident = self.young + self.aged + self.moving;
        let used = resident + self.stored + self.poisoned;
        (used != 0).then(|| resident as f64 / used as f64)
    }
}

/// The map of one region.
pub struct Map {
    file: File,
    region: u64,
}

impl Map {
    pub fn open(debugfs: &Path, region: u64) -> io::Result<Self> {
        let path = debugfs.join("map");
        let file = File::open(&path).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        })?;
        Ok(Self { file, region })
    }

    /// Looks at `pages` pages in `columns` cells; `None` if the region is gone.
    pub fn look(&self, pages: u64, columns: u64) -> io::Result<Option<Vec<Cell>>> {
        let look = |first: u64, letters: &mut [u8]| {
            let at = (self.region << REGION_SHIFT) + first;
            self.file.read_at(letters, at)
        };
        match cells(pages, columns, look) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            result => result.map(Some),
        }
    }
}

fn cells(
    pages: u64,
    columns: u64,
    look: impl Fn(u64, &mut [u8]) -> io::Result<usize>,
) -> io::Result<Vec<Cell>> {
    let columns = columns.min(pages).max(1);
    let mut cells = Vec::new();
    for column in 0..columns {
        let edge = |column| (u128::from(pages) * u128::from(column) / u128::from(columns)) as u64;
        let (first, end) = (edge(column), edge(column + 1));
        let mut cell = Cell::default();
        for (first, len) in pieces(first, end) {
            let mut letters = vec![0; len as usize];
            // Short where the region was made shorter.
            let len = look(first, &mut letters)?;
            cell.add(&letters[..len]);
        }
        cells.push(cell);
    }
    Ok(cells)
}

/// Returns what is looked at of pages `first` to `end - 1`: first page and number.
fn pieces(first: u64, end: u64) -> Vec<(u64, u64)> {
    if end - first <= LOOKS {
        return vec![(first, end - first)];
    }
    let step = (end - first) / PIECES;
    (0..PIECES)
        .map(|piece| (first + piece * step, LOOKS / PIECES))
        .collect()
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// The map of a region in use.
    pub const RECORDED: &[u8] = include_bytes!("../tests/map");

    pub fn recorded(columns: u64) -> Vec<Cell> {
        cells(RECORDED.len() as u64, columns, from(RECORDED)).unwrap()
    }

    fn from(map: &[u8]) -> impl Fn(u64, &mut [u8]) -> io::Result<usize> + '_ {
        |first, letters| {
            let rest = &map[(first as usize).min(map.len())..];
            let len = rest.len().min(letters.len());
            letters[..len].copy_from_slice(&rest[..len]);
            Ok(len)
        }
    }

    #[test]
    fn every_page_is_in_one_cell() {
        for columns in [4, 7, 64, 1024] {
            let mut sum = Cell::default();
            for cell in recorded(columns) {
                sum.empty += cell.empty;
                sum.young += cell.young;
                sum.aged += cell.aged;
                sum.moving += cell.moving;
                sum.stored += cell.stored;
                sum.poisoned += cell.poisoned;
            }
            let mut all = Cell::default();
            all.add(RECORDED);
            assert_eq!(sum, all);
            let count = |letters: &[u8]| RECORDED.iter().filter(|l| letters.contains(l)).count();
            assert_eq!(all.stored, count(b"s=") as u64);
            assert!(all.stored > 0 && all.young > 0);
        }
    }

    #[test]
    fn letters_are_told_apart() {
        let map = b"..DdCcWRs=X";
        let cells = cells(11, 1, from(map)).unwrap();
        let cell = cells[0];
        let known = (cell.empty, cell.young, cell.aged, cell.moving, cell.stored);
        assert_eq!((known, cell.poisoned), ((2, 2, 2, 2, 2), 1));
        assert_eq!(cell.warmth(), Some(6.0 / 9.0));
        assert_eq!(Cell::default().warmth(), None);
    }

    #[test]
    fn fewer_pages_than_columns() {
        let cells = cells(3, 64, from(b"Ds.")).unwrap();
        assert_eq!(cells.len(), 3);
        assert_eq!(cells[0].young + cells[1].stored + cells[2].empty, 3);
    }

    #[test]
    fn what_is_huge_is_sampled() {
        let pieces = pieces(1 << 30, 1 << 31);
        assert_eq!(pieces.iter().map(|(_, len)| len).sum::<u64>(), LOOKS);
        for pair in pieces.windows(2) {
            assert!(pair[0].0 + pair[0].1 <= pair[1].0);
        }
        let last = pieces[pieces.len() - 1];
        assert!(pieces[0].0 == 1 << 30 && last.0 + last.1 <= 1 << 31);
    }

    #[test]
    fn a_region_that_shrank() {
        let cells = cells(8, 2, from(b"DD")).unwrap();
        assert_eq!(cells[0].young, 2);
        assert_eq!(cells[1], Cell::default());
    }
}
