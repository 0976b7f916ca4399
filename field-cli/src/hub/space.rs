//! What is left on the hub's disk: its leader's own answers need it more than guests do.

use std::{io, path::Path};

/// Bytes that are free on the disk of a file, for this process.
#[cfg(unix)]
fn free(file: &Path) -> io::Result<u64> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Where the operating system is not asked, nothing is held back.
#[cfg(not(unix))]
fn free(_file: &Path) -> io::Result<u64> {
    Ok(u64::MAX)
}

/// Whether less than so many bytes are free; where nobody knows, they are taken to be.
pub(super) fn is_scarce(file: &Path, keep_free: u64) -> bool {
    free(file).is_ok_and(|free| free < keep_free)
}
