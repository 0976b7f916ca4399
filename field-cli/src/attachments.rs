//! Photos and files in the terminal: an answer is the path of a file; `sync` sends them, `attachments` tells where they are.

use crate::{Answer, Field, sync::Telling};
use client_core::{
    Error, FileProblem, Whereabouts,
    transport::{Http, Sending},
};
use questionnaire::Questionnaire;
use serde_json::{Value as Json, json};
use std::path::Path as File;
use sync_protocol::{Hash, Missing, Path, RecordId, Value, attachment::tidy_name};

/// Whether a text that answers a question names a file: not where it takes the answer away or says why there is none.
pub(crate) fn is_file(questionnaire: &Questionnaire, path: &Path, text: &str) -> bool {
    let says_why = text.is_empty() || text.strip_prefix('@').is_some_and(|word| Missing::from_word(word).is_some());
    !says_why && questionnaire.question_at(path).is_some_and(|question| question.kind.is_attachment())
}

/// Takes a file in as an answer.
pub(crate) fn take(device: &mut Field, record: RecordId, path: &Path, file: &str) -> Result<Value, Error> {
    let bytes = read(device, record, path, file)?;
    device.take(record, path, file, bytes)
}

/// Reads a file, unless it is too large to be an answer.
pub(crate) fn read(device: &mut Field, record: RecordId, path: &Path, file: &str) -> Result<Vec<u8>, Error> {
    let failed = |error: std::io::Error| {
        let is_there = error.kind() != std::io::ErrorKind::NotFound;
        if is_there { FileProblem::Storage(error.kind().to_string()) } else { FileProblem::NotThere(file.to_owned()) }
    };
    let size = std::fs::metadata(file).map_err(failed)?.len();
    device.check_file(record, path, size)?;
    Ok(std::fs::read(file).map_err(failed)?)
}

/// What came of sending: how far it got, and what stopped it.
pub(crate) struct Sent {
    /// How far it got.
    pub(crate) sending: Sending,
    thumbnails: u64,
    /// What stopped it.
    pub(crate) stopped: Option<Error>,
}

impl Sent {
    /// What came of this try and of those before.
    pub(crate) fn after(mut self, before: &Self) -> Self {
        let Sending { sent, refused, lost, up, .. } = before.sending;
        self.sending.files += sent + refused;
        self.sending.sent += sent;
        self.sending.refused += refused;
        self.sending.lost += lost;
        self.sending.up += up;
        self.thumbnails += before.thumbnails;
        self
    }
}

/// Sends photos and files, then fetches small pictures of what others photographed. A line that is too bad for them is no
/// failure of the sync; as long as each try gets further, it is tried again.
pub(crate) async fn send(device: &mut Field, telling: Telling) -> Sent {
    let nothing = || Sent { sending: Sending::default(), thumbnails: 0, stopped: None };
    let mut before = nothing();
    loop {
        let mut sent = nothing();
        sent.stopped = exchange(device, telling, &mut sent).await.err();
        let is_further = sent.sending.sent > 0;
        telling.after_photos(&sent.sending);
        sent = sent.after(&before);
        if !sent.stopped.as_ref().is_some_and(Error::is_unreachable) || !is_further {
            return sent;
        }
        before = sent;
    }
}

async fn exchange(device: &mut Field, telling: Telling, sent: &mut Sent) -> Result<(), Error> {
    let http = Http::new()?;
    let done = http.send_attachments(device, |now| {
        sent.sending = now;
        telling.photos(&now);
    });
    let done = done.await;
    // What failed by itself keeps no small picture from being fetched.
    if done.as_ref().is_err_and(Error::is_unreachable) {
        return done.map(drop);
    }
    sent.thumbnails += http.fetch_thumbnails(device).await?;
    done.map(drop)
}

/// What came of sending, for scripts.
pub(crate) fn json(sent: Sent) -> Json {
    let stopped = sent.stopped.map(|error| json!({ "kind": crate::exit(&error).1, "message": error.to_string() }));
    json!({
        "files": sent.sending.files, "sent": sent.sending.sent, "refused": sent.sending.refused,
        "failed": sent.sending.failed, "lost": sent.sending.lost,
        "bytes_up": sent.sending.up, "thumbnails": sent.thumbnails, "stopped": stopped,
    })
}

/// Where the bytes of all attachments are.
pub(crate) fn list(device: &mut Field) -> Result<Answer, Error> {
    let lines = device.attachments()?;
    let mut text = String::new();
    for line in &lines {
        let name = line.name.as_deref().unwrap_or("");
        let at = match &line.at {
            Whereabouts::ToSend => "to be sent".to_owned(),
            Whereabouts::Sent => "on the server".to_owned(),
            Whereabouts::Refused(code) => format!("not taken by the server ({code})"),
            Whereabouts::Lost => "its bytes are not on this device any more".to_owned(),
            Whereabouts::Fetched => "here".to_owned(),
            Whereabouts::Thumbnail => "a small picture is here".to_owned(),
            Whereabouts::Elsewhere => "on the server, or still to come there".to_owned(),
        };
        text.push_str(&format!("{}  {}  {}  {}  {name}  {at}\n", line.record, line.sha256, line.media, line.size));
    }
    if lines.is_empty() {
        text.push_str("No photos or files.");
    }
    Ok(Answer::new(text.trim_end(), json!({ "attachments": lines })))
}

/// Fetches an original and writes it to a file.
pub(crate) async fn get(device: &mut Field, hash: &str, to: Option<&File>) -> Result<Answer, Error> {
    let hash: Hash = hash.parse()?;
    let named = device.attachments()?.into_iter().find(|line| line.sha256 == hash);
    let named = named.ok_or_else(|| Error::BadAnswer(format!("no record on this device names {hash}")))?;
    let bytes = Http::new()?.fetch_original(device, hash).await?;
    let name = named.name.as_deref().and_then(tidy_name).unwrap_or_else(|| hash.to_string());
    let file = to.map_or_else(|| File::new(&name).to_owned(), File::to_owned);
    std::fs::write(&file, &bytes).map_err(|error| FileProblem::Storage(error.kind().to_string()))?;
    let file = file.display().to_string();
    Ok(Answer::new(&file, json!({ "file": file, "size": bytes.len() })))
}
