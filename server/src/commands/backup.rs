//! Commands about copies of the data: take one, prove one, bring one back.

use super::lock;
use anyhow::{Context, Result};
use clap::Subcommand;
use server::{
    domain::backup::{self, Verified},
    state::now_ms,
};
use std::path::{Path, PathBuf};

/// What can be done with copies.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Copy the data as it is now into a folder, beside a running server or without one, and prove the copy.
    Backup {
        /// The data directory.
        #[arg(long)]
        data: PathBuf,
        /// The folder; made if it is not there. It should be on another disk.
        #[arg(long)]
        to: PathBuf,
        /// How many copies to keep; older ones are removed once the new one is proved.
        #[arg(long, default_value_t = 7)]
        keep: usize,
    },
    /// Prove a copy: the file is sound, every replica's chain is whole, every batch is signed by its author, and every photo
    /// and file beside it has its hash.
    VerifyBackup {
        /// The copy.
        file: PathBuf,
    },
    /// Bring a copy back into a data directory that no server runs on; what was there is moved aside.
    Restore {
        /// The data directory.
        #[arg(long)]
        data: PathBuf,
        /// The copy.
        #[arg(long)]
        from: PathBuf,
    },
}

/// Runs a command about copies.
pub(super) fn run(command: Command) -> Result<()> {
    match command {
        Command::Backup { data, to, keep } => take(&data, &to, keep),
        Command::VerifyBackup { file } => {
            print(&backup::verify(&file).with_context(|| format!("{}", file.display()))?);
            Ok(())
        }
        Command::Restore { data, from } => restore(&data, &from),
    }
}

fn take(data: &Path, to: &Path, keep: usize) -> Result<()> {
    let taken = backup::take(data, to, keep, now_ms(), |part| eprint!("\r{:.0}%", part * 100.0))?;
    eprintln!("\r100%");
    println!("{}", taken.file.display());
    print(&taken.verified);
    for file in taken.removed {
        println!("removed {file}");
    }
    for file in taken.vanished {
        eprintln!("tenun-server: {file} is not there any more: what it made safe counts no more");
    }
    Ok(())
}

fn restore(data: &Path, from: &Path) -> Result<()> {
    std::fs::create_dir_all(data).with_context(|| format!("{} can't be made", data.display()))?;
    let _held = lock(data)?;
    let restored = backup::restore(data, from, now_ms())?;
    print(&restored.verified);
    if let Some(aside) = restored.aside {
        println!("what was there is in {}", aside.display());
    }
    println!("epoch {} begins: start the server, and let every device sync", restored.epoch);
    Ok(())
}

fn print(verified: &Verified) {
    let Verified { heads, changes, batches, epoch, attachments, end: _ } = verified;
    println!(
        "sound: {changes} changes of {} replicas in {batches} signed batches, {attachments} attachments, epoch {epoch}",
        heads.len()
    );
}
