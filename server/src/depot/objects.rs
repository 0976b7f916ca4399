//! Objects: where the store is, how an object is named, bytes in and out.

use super::{Depot, DepotError, thumbnails};
use bytes::Bytes;
use futures_util::StreamExt;
use object_store::{
    GetOptions, ObjectStore, ObjectStoreExt, WriteMultipart, aws::AmazonS3Builder, local::LocalFileSystem, path::Path,
    prefix::PrefixStore,
};
use sha2::{Digest, Sha256};
use std::{
    fs::File,
    io::{ErrorKind, Read},
    ops::Range,
    sync::Arc,
};
use sync_protocol::Hash;
use tokio::sync::mpsc;

/// Bytes that are read or sent at once; a store like S3 takes parts of 5 MiB at least.
const PART: usize = 5 << 20;

/// Where the objects are.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Place {
    /// In the data directory.
    #[default]
    Folder,
    /// In a bucket that speaks S3, as `s3://bucket/prefix`; keys and endpoint come from the environment (`AWS_…`).
    Bucket(String),
}

impl Place {
    /// Reads what the setting says; nothing is the folder.
    ///
    /// # Errors
    /// If it is neither a folder nor a bucket's address.
    pub fn from_setting(text: Option<&str>) -> Result<Self, DepotError> {
        match text {
            None | Some("" | "folder") => Ok(Self::Folder),
            Some(address) if address.starts_with("s3://") && address.len() > 5 => Ok(Self::Bucket(address.to_owned())),
            Some(other) => Err(DepotError::Address(format!("`{other}` is neither `folder` nor `s3://bucket/prefix`"))),
        }
    }

    /// What the setting says.
    #[must_use]
    pub fn setting(&self) -> &str {
        match self {
            Self::Folder => "folder",
            Self::Bucket(address) => address,
        }
    }

    pub(super) fn open(&self, folder: &std::path::Path) -> Result<Arc<dyn ObjectStore>, DepotError> {
        match self {
            Self::Folder => {
                // A rename is on the disk when it returns.
                let store = LocalFileSystem::new_with_prefix(folder).map_err(DepotError::Store)?.with_fsync(true);
                Ok(Arc::new(store))
            }
            Self::Bucket(address) => {
                let (bucket, prefix) = address
                    .trim_start_matches("s3://")
                    .split_once('/')
                    .unwrap_or((address.trim_start_matches("s3://"), ""));
                let store = AmazonS3Builder::from_env().with_bucket_name(bucket).build().map_err(DepotError::Store)?;
                let prefix = Path::parse(prefix).map_err(|error| DepotError::Address(error.to_string()))?;
                Ok(if prefix.as_ref().is_empty() { Arc::new(store) } else { Arc::new(PrefixStore::new(store, prefix)) })
            }
        }
    }
}

/// The name of an object.
pub(super) fn key(hash: Hash) -> Path {
    let name = hash.to_string();
    let (shelf, _) = name.split_at(2);
    Path::from(format!("{shelf}/{name}"))
}

/// Bytes on their way out, with the size of the whole.
#[derive(Debug)]
pub struct Body {
    /// Size of the whole object.
    pub size: u64,
    /// The part that comes.
    pub range: Range<u64>,
    /// Its bytes; a sender that ends early has failed.
    pub parts: mpsc::Receiver<Result<Bytes, DepotError>>,
}

impl Depot {
    /// Where the objects are.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.shared.place
    }

    /// Moves a file to the place of its hash in the folder. Good bytes that are there already stay. Blocks.
    pub(super) fn rename_to(&self, file: &std::path::Path, hash: Hash) -> Result<(), DepotError> {
        let to = self.shared.folder.join(key(hash).as_ref());
        let shelf = to.parent().unwrap_or(&self.shared.folder);
        if let Ok(mut there) = File::open(&to) {
            if hash_of(&mut there).is_ok_and(|found| found == hash) {
                // Whoever put it there may have failed behind that.
                File::open(shelf)?.sync_all()?;
                return match std::fs::remove_file(file) {
                    Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
                    Ok(()) | Err(_) => Ok(()),
                };
            }
            // What rotten bytes show is no picture of these.
            thumbnails::forget(&self.shared.thumbnails, hash)?;
        }
        match std::fs::rename(file, &to) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                std::fs::create_dir_all(shelf)?;
                File::open(&self.shared.folder)?.sync_all()?;
                std::fs::rename(file, &to)?;
            }
            renamed => renamed?,
        }
        // A rename is on the disk once its folder is.
        Ok(File::open(shelf)?.sync_all()?)
    }

    /// Moves a file into the store, to the place of its hash. Good bytes that are there already stay.
    pub(super) async fn put_file(&self, file: &std::path::Path, hash: Hash) -> Result<(), DepotError> {
        if !self.holds(hash).await {
            self.put_from(File::open(file)?, hash).await?;
        }
        Ok(std::fs::remove_file(file)?)
    }

    /// Puts the bytes of a file in the place of a hash that they are known to have.
    async fn put_from(&self, mut file: File, hash: Hash) -> Result<(), DepotError> {
        thumbnails::forget(&self.shared.thumbnails, hash)?;
        let size = file.metadata()?.len();
        if size <= u64::try_from(PART).unwrap_or(u64::MAX) {
            let mut whole = Vec::new();
            let whole = self
                .run(move |_| {
                    file.read_to_end(&mut whole)?;
                    Ok::<_, DepotError>(whole)
                })
                .await?;
            self.shared.store.put(&key(hash), whole.into()).await?;
            return Ok(());
        }
        let upload = self.shared.store.put_multipart(&key(hash)).await?;
        let mut writer = WriteMultipart::new_with_chunk_size(upload, PART);
        loop {
            let (part, rest) = self
                .run(move |_| {
                    let mut part = Vec::with_capacity(PART);
                    let taken = Read::by_ref(&mut file).take(u64::try_from(PART).unwrap_or(u64::MAX));
                    let mut taken = taken;
                    taken.read_to_end(&mut part)?;
                    Ok::<_, DepotError>((part, file))
                })
                .await?;
            file = rest;
            if part.is_empty() {
                break;
            }
            writer.wait_for_capacity(2).await?;
            writer.put(Bytes::from(part));
        }
        writer.finish().await?;
        Ok(())
    }

    /// Reads an object, or a part of it.
    ///
    /// # Errors
    /// [`DepotError::Missing`], or if the store fails.
    pub async fn read(&self, hash: Hash, range: Option<Range<u64>>) -> Result<Body, DepotError> {
        let store = self.shared.store.clone();
        self.task(async move {
            let options = GetOptions { range: range.map(Into::into), ..GetOptions::default() };
            let found = store.get_opts(&key(hash), options).await?;
            let (send, parts) = mpsc::channel(2);
            let (size, range) = (found.meta.size, found.range.clone());
            tokio::spawn(async move {
                let mut stream = found.into_stream();
                while let Some(part) = stream.next().await {
                    if send.send(part.map_err(DepotError::from)).await.is_err() {
                        // Whoever asked has gone.
                        return;
                    }
                }
            });
            Ok(Body { size, range, parts })
        })
        .await
    }

    /// The first bytes of an object: what it shows itself to be.
    ///
    /// # Errors
    /// [`DepotError::Missing`], or if the store fails.
    pub async fn beginning(&self, hash: Hash) -> Result<Bytes, DepotError> {
        self.whole(hash, Some(0..512)).await
    }

    pub(super) async fn whole(&self, hash: Hash, range: Option<Range<u64>>) -> Result<Bytes, DepotError> {
        let store = self.shared.store.clone();
        self.task(async move {
            let options = GetOptions { range: range.map(Into::into), ..GetOptions::default() };
            Ok(store.get_opts(&key(hash), options).await?.bytes().await?)
        })
        .await
    }

    /// Reads an object, shows `look` its parts, and says whether its bytes have the hash that they are named by.
    async fn hashes(&self, hash: Hash, mut look: impl FnMut(&[u8]) -> std::io::Result<()>) -> Result<bool, DepotError> {
        let mut body = self.read(hash, None).await?;
        let mut digest = Sha256::new();
        while let Some(part) = body.parts.recv().await {
            let part = part?;
            digest.update(&part);
            look(&part)?;
        }
        Ok(Hash(digest.finalize().into()) == hash)
    }

    /// Whether an object is there with the bytes that it is named by. What has others, or can't be read, counts as not
    /// there: whoever has the right bytes may put them in its place.
    pub async fn holds(&self, hash: Hash) -> bool {
        self.hashes(hash, |_| Ok(())).await.unwrap_or(false)
    }

    /// Copies an object into a file, and says whether its bytes have the hash that they are named by.
    ///
    /// # Errors
    /// [`DepotError::Missing`], [`DepotError::OtherHash`], or if a file or the store fails.
    pub async fn copy_to(&self, hash: Hash, to: &std::path::Path) -> Result<(), DepotError> {
        let mut file = File::create(to)?;
        let fits = self.hashes(hash, |part| std::io::Write::write_all(&mut file, part)).await?;
        file.sync_all()?;
        if fits { Ok(()) } else { Err(DepotError::OtherHash) }
    }

    /// Puts a file in the place of its hash, unless the right bytes are there; its own are hashed before.
    ///
    /// # Errors
    /// [`DepotError::OtherHash`], or if a file or the store fails.
    pub async fn bring(&self, hash: Hash, from: &std::path::Path) -> Result<bool, DepotError> {
        if self.holds(hash).await {
            return Ok(false);
        }
        if hash_of(&mut File::open(from)?)? != hash {
            return Err(DepotError::OtherHash);
        }
        self.put_from(File::open(from)?, hash).await?;
        Ok(true)
    }

    /// The hashes of all objects.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn objects(&self) -> Result<Vec<(Hash, u64)>, DepotError> {
        let store = self.shared.store.clone();
        self.task(async move {
            let mut found = Vec::new();
            let mut listed = store.list(None);
            while let Some(object) = listed.next().await {
                let object = object?;
                let name = object.location.filename().and_then(|name| name.parse::<Hash>().ok());
                if let Some(hash) = name.filter(|hash| object.location == key(*hash)) {
                    found.push((hash, object.size));
                }
            }
            Ok(found)
        })
        .await
    }
}

/// Hashes what can be read.
///
/// # Errors
/// If it can't be read.
pub(crate) fn hash_of(source: &mut impl Read) -> std::io::Result<Hash> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 128 << 10];
    loop {
        match source.read(&mut buffer)? {
            0 => return Ok(Hash(digest.finalize().into())),
            read => digest.update(buffer.get(..read).unwrap_or_default()),
        }
    }
}
