//! `sync`: now, or by night; and what it tells meanwhile.

mod words;

use crate::{Answer, Field, attachments};
use client_core::{
    Error, Host,
    night::{Next, Night, Window},
    transport::{Http, Meeting, Progress, Sending, Traffic},
};
use serde_json::json;
use std::{io::Write, time::Duration};
use sync_protocol::engine::device::Report;
pub(crate) use words::Words;

/// A phone that sleeps stops the clock that a program waits by: it looks at the wall again after this.
const NAP: i64 = 60_000;

/// Who hears of the steps of a sync.
#[derive(Clone, Copy)]
pub(crate) enum Telling {
    /// A line on the terminal that is written over again and again.
    People,
    /// A line of JSON for each step.
    Scripts,
    /// Only the end is told.
    Nobody,
}

impl Telling {
    fn progress(self, progress: &Progress, words: &Words, with_hub: bool) {
        match self {
            // What stood there may have been longer.
            Self::People => eprint!("\r{:<100}", words.progress(progress, with_hub)),
            Self::Scripts => eprintln!("{}", json!({ "progress": progress })),
            Self::Nobody => {}
        }
        // A terminal that went away stops no sync.
        let _ = std::io::stderr().flush();
    }

    /// How far photos and files have come.
    pub(crate) fn photos(self, now: &Sending) {
        match self {
            Self::People => {
                let (through, bytes) = (now.through.div_ceil(1000), now.bytes.div_ceil(1000));
                eprint!("\r{:<100}", format!("{} / {}, {through} / {bytes} KB", now.sent, now.files));
            }
            Self::Scripts => eprintln!("{}", json!({ "attachments": now })),
            Self::Nobody => {}
        }
    }

    /// Ends the line on which people saw how far photos and files have come.
    pub(crate) fn after_photos(self, now: &Sending) {
        if matches!(self, Self::People) && now.files + now.lost > 0 {
            eprintln!();
        }
    }

    fn waiting(self, until: i64, now: i64, failures: u32, words: &Words) {
        match self {
            Self::People => eprintln!("{}", words.waiting(until, failures)),
            Self::Scripts => eprintln!("{}", json!({ "waiting": { "ms": until - now, "failures": failures } })),
            Self::Nobody => {}
        }
    }

    fn failed(self, error: &Error) {
        match self {
            Self::People => eprintln!("\n{error}"),
            Self::Scripts => eprintln!("{}", json!({ "failed": error.to_string() })),
            Self::Nobody => {}
        }
    }
}

/// Syncs the device.
///
/// # Errors
/// What the sync fails with; by night the last failure, once the window is closed.
pub(crate) async fn run(
    device: &mut Field,
    night: Option<Window>,
    language: Option<&str>,
    telling: Telling,
    answers_only: bool,
) -> Result<Answer, Error> {
    let words = Words::of(language.unwrap_or_default());
    let http = Http::new()?;
    let mut night = match night {
        None => None,
        Some(window) => {
            // Whoever has no server yet is told now, not at midnight.
            device.server()?;
            Some((window, Night::plan(window, local_ms(device), random(device))))
        }
    };
    let done = match &mut night {
        None => http.sync(device, |progress| telling.progress(progress, words, false)).await,
        Some((window, night)) => by_night(&http, device, *window, night, telling, words).await,
    };
    if matches!(telling, Telling::People) {
        eprintln!();
    }
    let (report, traffic) = done?;
    // Whatever becomes of photos, the answers are there.
    let photos = match night {
        _ if answers_only => None,
        None => Some(attachments::send(device, telling).await),
        Some((_, mut night)) => Some(photos_by_night(device, &mut night, telling, words).await),
    };
    let status = device.status()?;
    let mut text = words.done(&report, &traffic, &status);
    text.push_str(&photos.as_ref().map(|photos| words.photos(photos)).unwrap_or_default());
    let photos = photos.map(attachments::json);
    let json = json!({
        "attachments": photos, "acked": report.acked, "pulled": report.pulled, "round_trips": report.round_trips, "forks": report.forks,
        "bytes_up": traffic.up, "bytes_down": traffic.down, "status": status,
    });
    Ok(Answer::new(text, json))
}

/// Syncs the device with a hub.
///
/// # Errors
/// What the sync fails with.
pub(crate) async fn with_hub(
    device: &mut Field,
    hub: &str,
    language: Option<&str>,
    telling: Telling,
) -> Result<Answer, Error> {
    let words = Words::of(language.unwrap_or_default());
    let done = Http::new()?.sync_with_hub(device, hub, |progress| telling.progress(progress, words, true)).await;
    if matches!(telling, Telling::People) {
        eprintln!();
    }
    let Meeting { hub, report, traffic } = done?;
    let status = device.status()?;
    let json = json!({
        "hub": hub, "acked": report.acked, "pulled": report.pulled, "round_trips": report.round_trips,
        "bytes_up": traffic.up, "bytes_down": traffic.down, "status": status,
    });
    Ok(Answer::new(words.done(&report, &traffic, &status), json))
}

async fn by_night(
    http: &Http,
    device: &mut Field,
    window: Window,
    night: &mut Night,
    telling: Telling,
    words: &Words,
) -> Result<(Report, Traffic), Error> {
    let mut last = Error::Unreachable(format!("the hours of {window} are over"));
    while comes(device, night, telling, words).await {
        let before = device.to_send()?.1;
        let error = match http.sync(device, |progress| telling.progress(progress, words, false)).await {
            Ok(done) => return Ok(done),
            Err(error) if error.is_unreachable() || matches!(error, Error::Syncing) => error,
            Err(error) => return Err(error),
        };
        let is_further = device.to_send()?.1 < before;
        put_off(device, night, &error, is_further, telling);
        last = error;
    }
    Err(last)
}

/// Sends photos and files once the answers are there: again and again, until they are there, too, or the hours are over.
async fn photos_by_night(device: &mut Field, night: &mut Night, telling: Telling, words: &Words) -> attachments::Sent {
    let mut sent = attachments::send(device, telling).await;
    let mut is_further = sent.sending.up > 0;
    while let Some(error) = sent.stopped.as_ref().filter(|error| error.is_unreachable()) {
        put_off(device, night, error, is_further, telling);
        if !comes(device, night, telling, words).await {
            break;
        }
        let again = attachments::send(device, telling).await;
        is_further = again.sending.up > 0;
        sent = again.after(&sent);
    }
    sent
}

/// Waits for the next moment of a night; false where its hours are over.
async fn comes(device: &mut Field, night: &Night, telling: Telling, words: &Words) -> bool {
    loop {
        let now = local_ms(device);
        match night.next(now) {
            Next::Closed => return false,
            Next::Sync => return true,
            Next::Wait(until) => {
                telling.waiting(until, now, night.failures(), words);
                wait(device, until).await;
            }
        }
    }
}

/// Puts the next try off after a failure: for less long where something got through.
fn put_off(device: &mut Field, night: &mut Night, error: &Error, is_further: bool, telling: Telling) {
    telling.failed(error);
    if is_further {
        night.progressed();
    }
    let busy_s = if let Error::Busy { after_s } = error { Some(*after_s) } else { None };
    let busy_ms = busy_s.and_then(|seconds| i64::try_from(seconds.saturating_mul(1000)).ok());
    night.failed(local_ms(device), busy_ms, random(device));
}

async fn wait(device: &mut Field, until: i64) {
    loop {
        let left = until.saturating_sub(local_ms(device));
        let Ok(nap @ 1..) = u64::try_from(left.min(NAP)) else { return };
        tokio::time::sleep(Duration::from_millis(nap)).await;
    }
}

/// The device's local time, in milliseconds.
fn local_ms(device: &mut Field) -> i64 {
    let host = device.host();
    host.now_ms().saturating_add(i64::from(host.offset_minutes()) * 60_000)
}

fn random(device: &mut Field) -> u64 {
    let mut bytes = [0; 8];
    device.host().random(&mut bytes);
    u64::from_le_bytes(bytes)
}
