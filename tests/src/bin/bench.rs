//! `make bench`: every figure that an issue names, measured in one run. `JSON=1` adds one JSON line.
//!
//! Arguments pick parts: `merge`, `store`, `validate`, `workbook`, `device`, `growth`, `line`, `http`, `photos`, `hub`. `BENCH_DIR` says on which disk (a RAM disk
//! where only the program is meant), `BENCH_HOUSEHOLDS` how many households 200 devices send over HTTP.

use anyhow::Result;
use end_to_end::bench::{self, device, growth, hub, ingest, line, photos, validate, workbook};

fn main() -> Result<()> {
    let is_set = |name: &str| std::env::var(name).is_ok_and(|value| !value.is_empty() && value != "0");
    let ram = std::path::PathBuf::from("/dev/shm");
    let fallback = if ram.is_dir() { ram } else { std::env::temp_dir() };
    let folder = std::env::var_os("BENCH_DIR").map_or(fallback, Into::into);
    let households = std::env::var("BENCH_HOUSEHOLDS").ok().and_then(|text| text.parse().ok()).unwrap_or(100_000);
    eprintln!("measuring on {}; run nothing else beside it", folder.display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let is_wanted = |part: &str| wanted.is_empty() || wanted.iter().any(|name| name == part);
    let mut figures = Vec::new();
    if is_wanted("merge") {
        ingest::merge(&mut figures)?;
    }
    if is_wanted("store") {
        eprintln!("the store alone, against bare rows");
        ingest::store_alone(&folder, &mut figures)?;
    }
    if is_wanted("validate") {
        eprintln!("the rules, and their queue beside ingest");
        validate::measure(&folder, &mut figures)?;
    }
    if is_wanted("workbook") {
        eprintln!("loading workbooks, beside pyxform");
        workbook::measure(&mut figures)?;
    }
    if is_wanted("device") {
        eprintln!("one device");
        runtime.block_on(device::measure(&folder, &mut figures))?;
    }
    if is_wanted("line") {
        eprintln!("nights over a line like 2G");
        runtime.block_on(line::measure(&folder, &mut figures))?;
    }
    if is_wanted("growth") {
        eprintln!("a long history");
        runtime.block_on(growth::measure(&folder, &mut figures))?;
    }
    if is_wanted("http") {
        eprintln!("200 devices over HTTP, {households} households");
        runtime.block_on(ingest::over_http(&folder, households, &mut figures))?;
    }
    if is_wanted("photos") {
        eprintln!("50 devices upload photos while 50 others sync answers");
        runtime.block_on(photos::measure(&folder, &mut figures))?;
    }
    if is_wanted("hub") {
        eprintln!("a hub serves 30 phones");
        runtime.block_on(hub::measure(&folder, &mut figures))?;
    }
    bench::print(&figures, is_set("JSON"));
    Ok(())
}
