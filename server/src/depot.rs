//! Where the bytes of attachments are: an object store, and the uploads under way beside it.
//!
//! An object is named by the SHA-256 of its bytes and never changes. What is heavy here (hashing, writing, decoding
//! pictures) runs on threads of its own, so that it holds up neither the writer nor the threads that answer devices.
//! Which device may do what is decided in `domain/attachments.rs`.

pub mod incoming;
mod objects;
mod space;
mod thumbnails;
pub mod upload;

pub(crate) use objects::hash_of;
pub use objects::{Body, Place};
pub use space::Reserve;
pub use thumbnails::Thumbnail;

use incoming::Incoming;
use object_store::{ObjectStore, ObjectStoreExt};
use std::{path::PathBuf, sync::Arc};
use sync_protocol::Hash;
use tokio::{runtime::Runtime, sync::Semaphore};
use upload::Upload;

/// The folder in the data directory: objects, and uploads under way.
pub const FOLDER: &str = "attachments";
/// Uploads under way, beside the objects, so that giving one its name is a rename.
const INCOMING: &str = "incoming";
/// Threads that hash and write; a third one decodes a picture.
const THREADS: usize = 3;

/// What went wrong with the bytes of attachments.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DepotError {
    /// A file failed.
    #[error("a file of an attachment failed ({})", .0.kind())]
    Io(#[from] std::io::Error),
    /// The object store failed.
    #[error("the store of attachments failed: {0}")]
    Store(object_store::Error),
    /// The store's address makes no sense.
    #[error("the store of attachments: {0}")]
    Address(String),
    /// A task ended early.
    #[error("a task about an attachment ended inside the server")]
    Ended,
    /// Nobody answers where the objects are.
    #[error("the store of attachments can't be reached")]
    Unreached,
    /// There is no such object.
    #[error("the bytes of an attachment are not here")]
    Missing,
    /// The bytes have another hash than the one announced.
    #[error("the bytes of an attachment have another hash than the one announced")]
    OtherHash,
}

impl From<object_store::Error> for DepotError {
    fn from(error: object_store::Error) -> Self {
        if matches!(error, object_store::Error::NotFound { .. }) { Self::Missing } else { Self::Store(error) }
    }
}

/// The way to the bytes of attachments; clones share it.
#[derive(Clone, Debug)]
pub struct Depot {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// None only while it is being dropped.
    runtime: Option<Runtime>,
    store: Arc<dyn ObjectStore>,
    place: Place,
    reserve: Reserve,
    folder: PathBuf,
    thumbnails: PathBuf,
    incoming: Incoming,
    /// One picture is decoded at a time: it bounds the memory.
    decoding: Semaphore,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // It may be dropped on a thread of another runtime, which must not wait.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Depot {
    /// Opens the bytes of a data directory; a server alone takes uploads on, as long as they leave its reserve alone.
    ///
    /// # Errors
    /// If a folder can't be made or the store's address makes no sense.
    pub fn open(data: &std::path::Path, place: Place, serves: Option<Reserve>) -> Result<Self, DepotError> {
        let folder = data.join(FOLDER);
        std::fs::create_dir_all(folder.join(INCOMING))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(THREADS)
            .thread_name("attachments")
            .enable_all()
            .build()?;
        let store = place.open(&folder)?;
        let incoming = Incoming::open(folder.join(INCOMING), serves.is_some())?;
        let reserve = serves.unwrap_or_default();
        let thumbnails = data.join("thumbnails");
        let shared = Shared {
            runtime: Some(runtime),
            store,
            place,
            reserve,
            folder,
            thumbnails,
            incoming,
            decoding: Semaphore::new(1),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Uploads under way.
    #[must_use]
    pub fn incoming(&self) -> &Incoming {
        &self.shared.incoming
    }

    /// Runs what blocks on the threads of attachments.
    ///
    /// # Errors
    /// What `work` fails with.
    pub async fn run<T, E>(&self, work: impl FnOnce(&Self) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DepotError> + Send + 'static,
    {
        let Some(runtime) = &self.shared.runtime else { return Err(DepotError::Ended.into()) };
        let depot = self.clone();
        runtime.spawn_blocking(move || work(&depot)).await.unwrap_or_else(|_ended| Err(DepotError::Ended.into()))
    }

    /// Runs a task on the runtime of attachments.
    async fn task<T: Send + 'static>(
        &self,
        task: impl Future<Output = Result<T, DepotError>> + Send + 'static,
    ) -> Result<T, DepotError> {
        let Some(runtime) = &self.shared.runtime else { return Err(DepotError::Ended) };
        runtime.spawn(task).await.unwrap_or(Err(DepotError::Ended))
    }

    /// Waits for a task from a thread that may block, of a command.
    ///
    /// # Errors
    /// What the task fails with.
    pub fn wait<T>(&self, task: impl Future<Output = Result<T, DepotError>>) -> Result<T, DepotError> {
        let Some(runtime) = &self.shared.runtime else { return Err(DepotError::Ended) };
        runtime.block_on(task)
    }

    /// Gives the bytes of a whole upload their place by their hash; safe on the disk when this returns. Doing it again
    /// does nothing.
    ///
    /// # Errors
    /// [`DepotError::OtherHash`]: the upload is gone then. Or if a file or the store fails.
    pub async fn place_upload(&self, upload: Arc<Upload>) -> Result<Hash, DepotError> {
        if let Some(hash) = upload.placed_as() {
            return Ok(hash);
        }
        if self.shared.place == Place::Folder {
            return self.run(move |depot| depot.place_in_folder(&upload)).await;
        }
        let depot = self.clone();
        self.task(async move {
            let whole = upload.clone();
            let hash = depot.run(move |depot| depot.hash_upload(&whole)).await?;
            depot.put_file(&upload.file, hash).await?;
            upload.placed();
            Ok(hash)
        })
        .await
    }

    /// The same for a thread that has just written the last bytes: in a folder that is a rename, for which no other thread
    /// has to be woken. Elsewhere nothing is done yet.
    ///
    /// # Errors
    /// As [`Depot::place_upload`].
    pub fn place_at_once(&self, upload: &Upload) -> Result<(), DepotError> {
        if self.shared.place == Place::Folder && upload.is_whole() {
            self.place_in_folder(upload)?;
        }
        Ok(())
    }

    fn place_in_folder(&self, upload: &Upload) -> Result<Hash, DepotError> {
        let hash = self.hash_upload(upload)?;
        if upload.placed_as().is_none() {
            self.rename_to(&upload.file, hash)?;
            upload.placed();
        }
        Ok(hash)
    }

    /// The hash of a whole upload; one that was announced with another is forgotten.
    fn hash_upload(&self, upload: &Upload) -> Result<Hash, DepotError> {
        let hash = upload.digest()?;
        if upload.info.hash.is_some_and(|announced| announced != hash) {
            self.incoming().remove(upload);
            return Err(DepotError::OtherHash);
        }
        Ok(hash)
    }

    /// Forgets an upload, with its bytes if they are not in their place.
    ///
    /// # Errors
    /// If the task ended early.
    pub async fn discard(&self, upload: Arc<Upload>) -> Result<(), DepotError> {
        self.run(move |depot| {
            depot.incoming().remove(&upload);
            Ok(())
        })
        .await
    }

    /// Whether the bytes are in their place.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn has(&self, hash: Hash) -> Result<bool, DepotError> {
        let store = self.shared.store.clone();
        self.task(async move {
            match store.head(&objects::key(hash)).await {
                Ok(_) => Ok(true),
                Err(object_store::Error::NotFound { .. }) => Ok(false),
                Err(error) => Err(error.into()),
            }
        })
        .await
    }

    /// Deletes the bytes; it is no error if they are not there.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn delete(&self, hash: Hash) -> Result<(), DepotError> {
        let depot = self.clone();
        self.task(async move {
            thumbnails::forget(&depot.shared.thumbnails, hash)?;
            match depot.shared.store.delete(&objects::key(hash)).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(error.into()),
            }
        })
        .await
    }
}
