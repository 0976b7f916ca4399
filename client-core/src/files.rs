//! Where a device keeps the bytes of attachments: beside its database, given by its host.

use std::{fmt::Debug, io};

/// Files by name; a name is one or two words of letters, digits, `-` and `.` with a `/` between.
///
/// A native device has a folder; a browser brings what it has.
pub trait Files: Debug + Send {
    /// Keeps a file; all of it or nothing, safe on the disk when this returns.
    ///
    /// # Errors
    /// If there is no space, or the host fails.
    fn put(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// How many bytes a file has; none if it is not there.
    ///
    /// # Errors
    /// If the host fails.
    fn size(&mut self, name: &str) -> io::Result<Option<u64>>;

    /// Reads a part of a file: at most so many bytes from an offset.
    ///
    /// # Errors
    /// If it is not there, or the host fails.
    fn read(&mut self, name: &str, from: u64, most: usize) -> io::Result<Vec<u8>>;

    /// Deletes a file; it is no error if it is not there.
    ///
    /// # Errors
    /// If the host fails.
    fn remove(&mut self, name: &str) -> io::Result<()>;
}

/// A device without a place for files: it takes no photos.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFiles;

impl Files for NoFiles {
    fn put(&mut self, _name: &str, _bytes: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn size(&mut self, _name: &str) -> io::Result<Option<u64>> {
        Ok(None)
    }

    fn read(&mut self, _name: &str, _from: u64, _most: usize) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn remove(&mut self, _name: &str) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(feature = "native")]
pub use folder::Folder;

#[cfg(feature = "native")]
mod folder {
    use super::Files;
    use std::{
        fs::File,
        io::{self, Read, Seek, SeekFrom, Write},
        path::{Path, PathBuf},
    };

    /// A folder beside the database: `FILE-attachments`.
    #[derive(Clone, Debug)]
    pub struct Folder {
        root: PathBuf,
    }

    impl Folder {
        /// The folder that belongs to a database; it is made with the first file.
        #[must_use]
        pub fn beside(database: &Path) -> Self {
            let mut root = database.as_os_str().to_owned();
            root.push("-attachments");
            Self { root: root.into() }
        }
    }

    impl Files for Folder {
        fn put(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
            let file = self.root.join(name);
            let folder = file.parent().ok_or(io::ErrorKind::InvalidInput)?;
            std::fs::create_dir_all(folder)?;
            let unfinished = file.with_extension("unfinished");
            let mut writer = File::create(&unfinished)?;
            writer.write_all(bytes)?;
            writer.sync_all()?;
            std::fs::rename(&unfinished, &file)?;
            // The name, and the folder's own, are on the disk only when their folders are.
            for folder in [Some(folder), folder.parent(), self.root.parent()].into_iter().flatten() {
                if !folder.as_os_str().is_empty() {
                    File::open(folder)?.sync_all()?;
                }
            }
            Ok(())
        }

        fn size(&mut self, name: &str) -> io::Result<Option<u64>> {
            match std::fs::metadata(self.root.join(name)) {
                Ok(found) => Ok(Some(found.len())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            }
        }

        fn read(&mut self, name: &str, from: u64, most: usize) -> io::Result<Vec<u8>> {
            let mut file = File::open(self.root.join(name))?;
            file.seek(SeekFrom::Start(from))?;
            let mut bytes = Vec::new();
            file.take(u64::try_from(most).unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
            Ok(bytes)
        }

        fn remove(&mut self, name: &str) -> io::Result<()> {
            match std::fs::remove_file(self.root.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                Ok(()) | Err(_) => Ok(()),
            }
        }
    }
}
