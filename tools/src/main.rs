// SPDX-License-Identifier: GPL-2.0

//! swapvma-top: what regions do, from debugfs.
//!
//! Without a command, a table of the regions that is shown again and again;
//! `heat` shows where the pages of one region are over time.

mod heat;
mod map;
mod regions;
mod svg;
mod table;

use clap::{
    Parser,
    Subcommand, //
};
use std::{
    fs, io,
    io::{
        IsTerminal,
        Write, //
    },
    path::{
        Path,
        PathBuf, //
    },
    process::ExitCode,
    thread,
    time::{
        Duration,
        Instant, //
    },
};

/// Show what the regions of swapvma do.
#[derive(Parser)]
#[command(name = "swapvma-top")]
struct Options {
    #[command(subcommand)]
    command: Option<Command>,
    /// Seconds from one look to the next
    #[arg(long, global = true, default_value = "1", value_parser = seconds)]
    interval: Duration,
    /// Show the totals once and end
    #[arg(long)]
    once: bool,
    /// Tables to show; all until it is killed if there is no such number
    #[arg(long, global = true, value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Column to sort by, largest first
    #[arg(long, default_value = "region")]
    sort: table::Sort,
    /// The module's directory in debugfs
    #[arg(long, global = true, default_value = "/sys/kernel/debug/swapvma")]
    debugfs: PathBuf,
}

#[derive(Subcommand)]
enum Command {
    /// Show where the pages of a region are: a line for each look, a column for
    /// some pages
    Heat {
        /// Number of the region, as in the table
        region: u64,
        /// Columns
        #[arg(long, default_value = "64", value_parser = clap::value_parser!(u64).range(1..=1024))]
        columns: u64,
        /// Also write what was seen to FILE at the end, so give --count
        #[arg(long, value_name = "FILE", requires = "count")]
        svg: Option<PathBuf>,
    },
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_string())?;
    if !(0.01..=86400.0).contains(&seconds) {
        return Err("not from 0.01 to 86400".to_string());
    }
    Ok(Duration::from_secs_f64(seconds))
}

fn main() -> ExitCode {
    let options = Options::parse();
    let result = match &options.command {
        None => top(&options),
        Some(Command::Heat {
            region,
            columns,
            svg,
        }) => heat(&options, *region, *columns, svg.as_deref()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Who reads it has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("swapvma-top: {error}");
            ExitCode::FAILURE
        }
    }
}

fn read_regions(debugfs: &Path) -> io::Result<Vec<regions::Region>> {
    let path = debugfs.join("regions");
    let text = fs::read_to_string(&path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    regions::parse(&text).map_err(io::Error::other)
}

fn top(options: &Options) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let mut before = read_regions(&options.debugfs)?;
    if options.once {
        return out.write_all(table::totals(&before, options.sort).as_bytes());
    }
    let mut since = Instant::now();
    let is_terminal = out.is_terminal();
    let mut shown = 0;
    while options.count.is_none_or(|count| shown < count) {
        thread::sleep(options.interval);
        let now = read_regions(&options.debugfs)?;
        let took = since.elapsed();
        since = Instant::now();
        if is_terminal {
            // Home, and nothing below.
            out.write_all(b"\x1b[H\x1b[J")?;
        } else if shown != 0 {
            out.write_all(b"\n")?;
        }
        out.write_all(table::rates(&before, &now, took, options.sort).as_bytes())?;
        out.flush()?;
        before = now;
        shown += 1;
    }
    Ok(())
}

fn heat(options: &Options, id: u64, columns: u64, svg: Option<&Path>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let map = map::Map::open(&options.debugfs, id)?;
    let begin = Instant::now();
    let mut seen = Vec::new();
    let mut shown = 0;
    let mut pages = 0;
    while options.count.is_none_or(|count| shown < count) {
        if shown != 0 {
            thread::sleep(options.interval);
        }
        let regions = read_regions(&options.debugfs)?;
        let Some(region) = regions.iter().find(|region| region.id == id) else {
            if shown != 0 {
                break;
            }
            return Err(io::Error::other(format!("there is no region {id}")));
        };
        pages = region.pages();
        let at = begin.elapsed();
        let Some(cells) = map.look(pages, columns)? else {
            break;
        };
        if shown == 0 {
            out.write_all(heat::head(id, pages, columns).as_bytes())?;
        }
        out.write_all(heat::line(at, &cells, region).as_bytes())?;
        out.flush()?;
        if svg.is_some() {
            seen.push(svg::Look { at, cells });
        }
        shown += 1;
    }
    if let Some(path) = svg {
        fs::write(path, svg::draw(id, pages, &seen)).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        })?;
    }
    Ok(())
}
