//! Commands about copies of the data: take one, prove one, bring one back.

use super::lock;
use anyhow::{Context, Result, bail};
use clap::Subcommand;
use server::{
    domain::backup::{self, Verified},
    state::now_ms,
};
use std::path::{Path, PathBuf};

/// How many photos that a copy lacks are named in the last line of a command; all are in its output.
const NAMED: usize = 5;

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
            let verified = backup::verify(&file).with_context(|| format!("{}", file.display()))?;
            print(&verified);
            complain(&verified)
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
    complain(&taken.verified)
}

/// Ends a command that did all it could with what a person must look at: a copy counts, and lacks photos.
fn complain(verified: &Verified) -> Result<()> {
    let lacking = &verified.lacking;
    if lacking.is_empty() {
        return Ok(());
    }
    let named: Vec<String> = lacking.iter().take(NAMED).map(ToString::to_string).collect();
    let more = if lacking.len() > NAMED { "; and more, all listed above" } else { "" };
    bail!(
        "all answers are in the copy, and it counts, but it lacks {} photos or files: {}{more}",
        lacking.len(),
        named.join("; ")
    )
}

fn restore(data: &Path, from: &Path) -> Result<()> {
    std::fs::create_dir_all(data).with_context(|| format!("{} can't be made", data.display()))?;
    let _held = lock(data)?;
    let restored = backup::restore(data, from, now_ms())?;
    print(&restored.verified);
    if !restored.verified.lacking.is_empty() {
        println!("their records say that these are still to come; the phones that have them send them again");
    }
    if let Some(aside) = restored.aside {
        println!("what was there is in {}", aside.display());
    }
    println!("epoch {} begins: start the server, and let every device sync", restored.epoch);
    Ok(())
}

fn print(verified: &Verified) {
    let Verified { heads, changes, batches, epoch, attachments, lacking, end: _ } = verified;
    println!(
        "sound: {changes} changes of {} replicas in {batches} signed batches, {attachments} attachments, epoch {epoch}",
        heads.len()
    );
    for lacking in lacking {
        println!("without {lacking}");
    }
}
