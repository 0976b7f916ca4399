//! What every request handler shares: the writer, the readers, the catalogue, who the server is.

use crate::{
    answers_first::AnswersFirst,
    depot::{Depot, Place, Reserve, upload::Upload},
    domain::{
        Failure, attachments,
        catalogue::Latest,
        identity::Identity,
        ingest::{self, Applied, World},
        prepare::Prepared,
    },
    readers::Readers,
    store::{self, StoreError, Tx},
    turns::Turns,
    validator::Validator,
    writer::{WriteError, Writer},
};
use std::{path::Path, sync::Arc};
use sync_protocol::{Limits, problem::Code};
use tokio::sync::Semaphore;

/// How much may be taken in at once, from body to reply, in parts of 64 KiB before compression: it bounds the memory
/// whatever the number of devices. Some fifty small nights share a commit, or four that bring a hundred interviews.
const AT_ONCE: usize = 52;

/// The running server; clones share it.
#[derive(Clone, Debug)]
pub struct Server {
    writer: Writer,
    readers: Readers,
    catalogue: Latest,
    /// The validating thread ends with the last clone.
    validator: Arc<Validator>,
    /// The bytes of attachments.
    pub depot: Depot,
    /// Who the server is.
    pub identity: Arc<Identity>,
    /// The sizes that bound requests.
    pub limits: Limits,
    /// Bounds what is taken in at once; a request takes as many permits as it has parts of 64 KiB.
    pub gate: Arc<Semaphore>,
    /// Keeps the requests of one device in order.
    pub turns: Turns,
    /// Has uploads of photos wait for answers.
    pub answers_first: AnswersFirst,
}

/// The server's clock, in milliseconds since 1970.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the place where the server reads its clock")]
pub fn now_ms() -> i64 {
    let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
}

impl Server {
    /// Opens a data directory, makes it if it is not there, and starts the threads that write and validate. Photos and files
    /// are taken as long as they leave the reserve of its disk alone.
    ///
    /// # Errors
    /// If the directory or its database can't be opened.
    pub fn open(data: &Path, limits: Limits, reserve: Reserve) -> Result<Self, Failure> {
        let io = |error: std::io::Error| Failure::problem(Code::Internal, format!("{}: {error}", data.display()));
        std::fs::create_dir_all(data).map_err(io)?;
        let mut conn = store::open_writer(data)?;
        let identity = store::in_transaction(&mut conn, Identity::load_or_make)?;
        let depot = depot(data, &mut conn, Some(reserve))?;
        depot.give_up_in_time(now_ms);
        let (readers, catalogue) = (Readers::new(data.to_owned()), Latest::default());
        let (writer, _ends_with_the_last_way_to_it) = Writer::start(conn).map_err(io)?;
        let validator = Validator::start(readers.clone(), writer.clone(), catalogue.clone()).map_err(io)?;
        Ok(Self {
            writer,
            readers,
            catalogue,
            validator: Arc::new(validator),
            depot,
            identity: Arc::new(identity),
            limits,
            gate: Arc::new(Semaphore::new(AT_ONCE)),
            turns: Turns::default(),
            answers_first: AnswersFirst::default(),
        })
    }

    /// Areas and questionnaires as they are now, with who the server is.
    ///
    /// # Errors
    /// If the store fails.
    pub fn world(&self, tx: Tx<'_>) -> Result<World, StoreError> {
        Ok(World { catalogue: self.catalogue.at(tx)?, identity: self.identity.clone(), limits: self.limits.clone() })
    }

    /// Looks at a snapshot, off the async threads.
    ///
    /// # Errors
    /// What `look` fails with.
    pub async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(Tx<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let readers = self.readers.clone();
        let looked = tokio::task::spawn_blocking(move || readers.read(look)).await;
        looked.unwrap_or_else(|_ended| Err(Failure::problem(Code::Internal, "the request ended inside the server")))
    }

    /// Takes a device's request in; returns once it is durable. What it merged is validated after that.
    ///
    /// # Errors
    /// If the store fails, or [`Code::Busy`].
    pub async fn ingest(&self, prepared: Prepared, world: World) -> Result<Applied, Failure> {
        let validator = self.validator.clone();
        let applied = self.writer.write_then(
            move |tx| ingest::apply(tx, prepared, &world, now_ms()),
            move |applied| validator.hand_over(std::mem::take(&mut applied.merged)),
        );
        applied.await.map_err(failure)
    }

    /// Takes the bytes of an upload in, if all have come: gives them their place, lists them, and makes sure that both are so.
    /// Doing it again does nothing. Takes the place at the upload meanwhile: whoever calls it has none.
    ///
    /// # Errors
    /// [`Code::ChecksumMismatch`], [`Code::Busy`], or if the store fails.
    pub async fn take_in(&self, upload: Arc<Upload>) -> Result<(), Failure> {
        let _alone = upload.enter().await;
        if upload.done().is_some() || upload.offset() < upload.info.length {
            return Ok(());
        }
        let hash = self.depot.place_upload(upload.clone()).await?;
        let listed = upload.clone();
        // Of photos nothing is validated: nobody is woken for it.
        let certain =
            self.writer.write(move |tx| attachments::list(tx, &listed, hash, now_ms())).await.map_err(failure)?;
        // A sweep may have deleted the bytes of the same name just before they were listed.
        if !certain && !self.depot.has(hash).await? {
            self.write(move |tx| Ok(tx.forget_attachment(hash)?)).await?;
            self.depot.discard(upload).await?;
            return Err(Failure::problem(Code::Busy, "begin the upload again"));
        }
        upload.set_done(hash, now_ms());
        Ok(())
    }

    /// Writes; returns once it is durable. What it left to validate is looked at after that.
    ///
    /// # Errors
    /// What `work` fails with, or [`Code::Busy`].
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(Tx<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let validator = self.validator.clone();
        self.writer.write_then(work, move |_done| validator.wake()).await.map_err(failure)
    }
}

/// The setting that says where the bytes of attachments are.
pub const ATTACHMENTS: &str = "attachments";

/// Opens the bytes of attachments where the store says that they are; a server alone takes uploads on, and says what it keeps
/// free.
///
/// # Errors
/// If they can't be reached.
pub fn depot(data: &Path, conn: &mut rusqlite::Connection, serves: Option<Reserve>) -> Result<Depot, Failure> {
    let setting = store::in_transaction(conn, |tx| tx.meta(ATTACHMENTS))?;
    let told = |error: crate::depot::DepotError| Failure::problem(Code::Internal, error.to_string());
    let place = Place::from_setting(setting.as_deref()).map_err(told)?;
    Depot::open(data, place, serves).map_err(told)
}

fn failure(error: WriteError<Failure>) -> Failure {
    match error {
        WriteError::Task(failure) => failure,
        WriteError::Store(error) => error.into(),
        WriteError::Busy | WriteError::Ended => Failure::problem(Code::Busy, "try again in a minute"),
    }
}
