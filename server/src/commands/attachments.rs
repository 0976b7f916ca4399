//! Commands about the bytes of photos and files: sweep orphans away, move all to another place.

use super::lock;
use anyhow::{Context, Result};
use clap::Subcommand;
use server::{
    depot::{Depot, Place},
    domain::{
        Failure,
        attachments::{self, Moved, Swept},
        backup,
    },
    state::{ATTACHMENTS, depot, now_ms},
    store,
};
use std::path::{Path, PathBuf};

/// What can be done with attachments.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Delete attachments that no change names, once their devices can't name them any more.
    SweepAttachments {
        /// The data directory.
        #[arg(long)]
        data: PathBuf,
        /// Keep what came within so many days, and what a device has that has not synced, with nothing left to send, later
        /// than so many days after it came.
        #[arg(long, default_value_t = 30)]
        days: u32,
        /// Only say what would be deleted.
        #[arg(long)]
        dry_run: bool,
    },
    /// Copy the bytes of all attachments to another place and use that from then on; not while a server runs.
    MoveAttachments {
        /// The data directory.
        #[arg(long)]
        data: PathBuf,
        /// `folder` for the data directory, or `s3://bucket/prefix`; keys and endpoint stand in the environment (`AWS_…`).
        #[arg(long)]
        to: String,
        /// Go on without those whose bytes are missing or rotten: records say *still to come* of them until a phone gives them
        /// again.
        #[arg(long)]
        give_up_lacking: bool,
    },
}

/// Runs a command about attachments.
pub(super) fn run(command: Command) -> Result<()> {
    match command {
        Command::SweepAttachments { data, days, dry_run } => sweep(&data, days, dry_run),
        Command::MoveAttachments { data, to, give_up_lacking } => move_to(&data, &to, give_up_lacking),
    }
}

fn sweep(data: &Path, days: u32, dry_run: bool) -> Result<()> {
    let mut conn = super::open(data)?;
    let _held = backup::lock(data)?;
    let depot = depot(data, &mut conn, None)?;
    let keep_ms = i64::from(days).saturating_mul(86_400_000);
    let Swept { deleted, kept } = attachments::sweep(&mut conn, &depot, now_ms(), keep_ms, dry_run)?;
    let bytes: u64 = deleted.iter().map(|row| row.size).sum();
    let word = if dry_run { "would be deleted" } else { "deleted" };
    println!("{} attachments {word}, {bytes} bytes; {kept} kept that a change in no view names", deleted.len());
    Ok(())
}

/// Goes on with a sweep that was broken off, if there was one, once nobody else holds the bytes.
pub(super) fn finish_sweep(data: &Path) -> Result<()> {
    let mut conn = super::open(data)?;
    if store::in_transaction(&mut conn, |tx| tx.attachments_swept())?.is_empty() {
        return Ok(());
    }
    let _held = backup::lock(data)?;
    let depot = depot(data, &mut conn, None)?;
    Ok(attachments::finish_sweep(&mut conn, &depot)?)
}

fn move_to(data: &Path, to: &str, give_up_lacking: bool) -> Result<()> {
    let place = Place::from_setting(Some(to))?;
    let mut conn = super::open(data)?;
    let _serving = lock(data)?;
    let _held = backup::lock(data)?;
    let from = depot(data, &mut conn, None)?;
    let to = Depot::open(data, place, None).context("the new place can't be reached")?;
    let Moved { copied, there, lacking } =
        attachments::copy_all(&mut conn, &from, &to, &data.join("moving.unfinished"))?;
    for one in &lacking {
        eprintln!("lacking {one}");
    }
    anyhow::ensure!(
        lacking.is_empty() || give_up_lacking,
        "{copied} copied, {there} were there, {} lacking: nothing was switched. Is the old place whole, and within reach? Then go on without \
         them: --give-up-lacking",
        lacking.len()
    );
    store::in_transaction(&mut conn, |tx| {
        attachments::give_up(tx, &lacking)?;
        Ok::<_, Failure>(tx.set_meta(ATTACHMENTS, to.place().setting())?)
    })?;
    println!("{copied} attachments copied, {there} were there; what the old place holds can be deleted");
    Ok(())
}
