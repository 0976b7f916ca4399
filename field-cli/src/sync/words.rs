//! What a sync says, in Indonesian and English.

use crate::{attachments::Sent, show};
use client_core::{
    Answered, Load, Status,
    transport::{Progress, Sending, Stage, Traffic},
};
use std::{net::SocketAddr, time::Duration};
use sync_protocol::{engine::device::Report, pass::Pass};

/// The words of one language.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Words {
    English,
    Indonesian,
}

impl Words {
    /// Indonesian for who asks for it, else English.
    pub(crate) fn of(language: &str) -> &'static Self {
        let name = language.to_lowercase();
        if name == "id" || name.contains("indonesia") { &Self::Indonesian } else { &Self::English }
    }

    /// One line: what it does, how many records of how many, the bytes, the time that is left.
    pub(super) fn progress(self, progress: &Progress, with_hub: bool) -> String {
        let Progress { stage, traffic, records_sent, records, left } = progress;
        let (up, down) = (self.bytes(traffic.up), self.bytes(traffic.down));
        let mut line = match self {
            Self::English => {
                let what = match stage {
                    Stage::Sending => "Sending",
                    Stage::Receiving => "Receiving",
                    Stage::Fetching => "Fetching a questionnaire",
                    Stage::Sent => "All sent",
                };
                let at = if with_hub { "hub" } else { "server" };
                format!("{what}: {records_sent} of {records} records on the {at}, {up} sent, {down} received")
            }
            Self::Indonesian => {
                let what = match stage {
                    Stage::Sending => "Mengirim",
                    Stage::Receiving => "Menerima",
                    Stage::Fetching => "Mengambil kuesioner",
                    Stage::Sent => "Semua terkirim",
                };
                let at = if with_hub { "hub" } else { "server" };
                format!("{what}: {records_sent} dari {records} data di {at}, {up} terkirim, {down} diterima")
            }
        };
        if let Some(left) = left {
            line.push_str(&self.left(*left));
        }
        line
    }

    fn left(self, left: Duration) -> String {
        let seconds = left.as_secs().saturating_add(1);
        let (number, is_minutes) = if seconds < 100 { (seconds, false) } else { (seconds.div_ceil(60), true) };
        match (self, is_minutes) {
            (Self::English, false) => format!(", about {number} s left"),
            (Self::English, true) => format!(", about {number} min left"),
            (Self::Indonesian, false) => format!(", sekitar {number} detik lagi"),
            (Self::Indonesian, true) => format!(", sekitar {number} menit lagi"),
        }
    }

    /// Kilobytes with one place, as each language writes it.
    fn bytes(self, bytes: u64) -> String {
        let tenths = bytes.div_ceil(100);
        let point = if self == Self::English { '.' } else { ',' };
        format!("{}{point}{} KB", tenths / 10, tenths % 10)
    }

    /// When the next try is, in local time.
    pub(super) fn waiting(self, until: i64, failures: u32) -> String {
        let (hour, minute) = (until / 3_600_000 % 24, until / 60_000 % 60);
        match (self, failures) {
            (Self::English, 0) => format!("Syncs at {hour:02}:{minute:02} by itself. Leave the program running."),
            (Self::English, _) => format!("Tries again at {hour:02}:{minute:02}. Nothing is lost."),
            (Self::Indonesian, 0) => {
                format!("Sinkronisasi otomatis pukul {hour:02}.{minute:02}. Biarkan program berjalan.")
            }
            (Self::Indonesian, _) => format!("Mencoba lagi pukul {hour:02}.{minute:02}. Tidak ada yang hilang."),
        }
    }

    /// What came of photos and files.
    pub(super) fn photos(self, sent: &Sent) -> String {
        let Sending { files, sent: done, refused, failed, lost, .. } = sent.sending;
        let mut text = String::new();
        if files > 0 {
            text.push_str(&match self {
                Self::English => format!("\n{done} of {files} photos and files are on the server."),
                Self::Indonesian => format!("\n{done} dari {files} foto dan berkas ada di server."),
            });
        }
        if refused > 0 {
            text.push_str(&match self {
                Self::English => format!("\n{refused} are not taken there: `attachments` says which."),
                Self::Indonesian => format!("\n{refused} tidak diterima: lihat `attachments`."),
            });
        }
        if lost > 0 {
            text.push_str(&match self {
                Self::English => {
                    format!("\n{lost} are lost on this device: take them again if you can; `attachments` says which.")
                }
                Self::Indonesian => {
                    format!("\n{lost} hilang di perangkat ini: ambil lagi jika bisa; lihat `attachments`.")
                }
            });
        }
        if failed > 0 {
            text.push_str(&match self {
                Self::English => format!("\n{failed} failed and are tried again next time."),
                Self::Indonesian => format!("\n{failed} gagal dan akan dicoba lagi lain kali."),
            });
        }
        match (self, &sent.stopped) {
            (_, None) => {}
            (Self::English, Some(error)) => text.push_str(&format!("\nPhotos and files: {error}")),
            (Self::Indonesian, Some(error)) if error.is_unreachable() => {
                text.push_str("\nFoto dan berkas lain menunggu sambungan yang lebih baik.");
            }
            (Self::Indonesian, Some(error)) => text.push_str(&format!("\nFoto dan berkas: {error}")),
        }
        text
    }

    /// A hub has begun to listen. Where it does so on every address, which of them phones reach is not known here.
    pub(crate) fn listening(self, at: SocketAddr) -> String {
        let (here, port) = (at.ip(), at.port());
        match self {
            Self::English => {
                let host = if here.is_unspecified() { "<this device's address>".to_owned() } else { here.to_string() };
                format!("This device is a hub. Phones nearby sync with: tenun-field sync --hub http://{host}:{port}")
            }
            Self::Indonesian => {
                let host = if here.is_unspecified() { "<alamat perangkat ini>".to_owned() } else { here.to_string() };
                format!("Perangkat ini menjadi hub. HP di sekitar: tenun-field sync --hub http://{host}:{port}")
            }
        }
    }

    /// A hub that has heard nothing from the server since it became one.
    pub(crate) fn tells_nothing(self) -> &'static str {
        match self {
            Self::English => "Sync with the server once more: before that it has nothing of others to tell phones.",
            Self::Indonesian => {
                "Sinkronkan sekali lagi dengan server: sebelum itu tidak ada data orang lain untuk HP di sekitar."
            }
        }
    }

    /// Somebody synced with the hub, at this local time; so many changes wait for the server.
    pub(crate) fn synced(self, local_ms: i64, answered: &Answered, waiting: u64) -> String {
        let (hour, minute) = (local_ms / 3_600_000 % 24, local_ms / 60_000 % 60);
        let Answered { pass: Pass { enumerator, name, .. }, kept, told, .. } = answered;
        match self {
            Self::English => format!(
                "{hour:02}:{minute:02}  {enumerator} ({name}): {kept} changes kept, {told} told. \
                 {waiting} changes wait for the server."
            ),
            Self::Indonesian => format!(
                "{hour:02}.{minute:02}  {enumerator} ({name}): {kept} perubahan disimpan, {told} disampaikan. \
                 {waiting} perubahan menunggu server."
            ),
        }
    }

    /// What a hub carries, device by device.
    pub(crate) fn load(self, load: &[Load]) -> String {
        let waiting: u64 = load.iter().map(|load| load.waiting).sum();
        let mut text = match self {
            Self::English if waiting > 0 => format!("{waiting} changes of others wait for the server: sync soon."),
            Self::English => "Nothing of others waits for the server.".to_owned(),
            Self::Indonesian if waiting > 0 => {
                format!("{waiting} perubahan orang lain menunggu server: segera sinkronkan.")
            }
            Self::Indonesian => "Tidak ada perubahan orang lain yang menunggu server.".to_owned(),
        };
        for Load { enumerator, name, changes, waiting, .. } in load {
            text.push_str(&match self {
                Self::English => format!("\n{enumerator} ({name}): {waiting} of {changes} changes wait"),
                Self::Indonesian => format!("\n{enumerator} ({name}): {waiting} dari {changes} perubahan menunggu"),
            });
        }
        text
    }

    /// What came of the sync, and the receipt.
    pub(super) fn done(self, report: &Report, traffic: &Traffic, status: &Status) -> String {
        let (up, down) = (self.bytes(traffic.up), self.bytes(traffic.down));
        let Report { round_trips, acked, pulled, .. } = report;
        match self {
            Self::English => format!(
                "{acked} changes sent, {pulled} received, in {round_trips} round trips ({up} up, {down} down).\n{}",
                show::receipt(status)
            ),
            Self::Indonesian => {
                let mut text = format!(
                    "{acked} perubahan terkirim, {pulled} diterima, dalam {round_trips} putaran (kirim {up}, terima {down}).\n\
                     {} dari {} wawancara aman di server, {} di antaranya dalam cadangan.\n\
                     {} perubahan tersimpan, {} belum sampai di server.",
                    status.interviews_on_server,
                    status.interviews,
                    status.interviews_backed_up,
                    status.saved,
                    status.unsent
                );
                if status.files_unsent > 0 {
                    text.push_str(&format!(
                        "\n{} foto dan berkas hanya ada di perangkat ini: simpan sampai terkirim.",
                        status.files_unsent
                    ));
                }
                if let Some(hub) = &status.hub {
                    text.push_str(&format!(
                        "\nDi hub {hub}: {} dari {} wawancara. Di hub belum berarti aman di server.",
                        status.interviews_on_hub, status.interviews
                    ));
                }
                if let Some(receipt) = &status.receipt {
                    text.push_str(&format!("\nTanda terima {receipt}: halaman koordinator menunjukkan yang sama."));
                }
                if status.conflicts > 0 {
                    text.push_str(&format!("\n{} catatan berbeda jawaban: lihat `conflicts`.", status.conflicts));
                }
                if status.returned > 0 {
                    text.push_str(&format!(
                        "\n{} wawancara dikembalikan untuk diperbaiki: lihat `interviews`.",
                        status.returned
                    ));
                }
                if status.quarantined > 0 {
                    text.push_str(&format!("\n{} perubahan menunggu koordinator.", status.quarantined));
                }
                if status.displaced > 0 {
                    text.push_str(&format!(
                        "\n{} simpanan hanya ada di perangkat ini: beri tahu koordinator.",
                        status.displaced
                    ));
                }
                text
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_says_records_bytes_and_the_time_that_is_left_in_both_languages() {
        let progress = Progress {
            stage: Stage::Sending,
            traffic: Traffic { up: 17_010, down: 120 },
            records_sent: 3,
            records: 20,
            left: Some(Duration::from_millis(6_800)),
        };
        let english = "Sending: 3 of 20 records on the server, 17.1 KB sent, 0.2 KB received, about 7 s left";
        assert_eq!(Words::of("en").progress(&progress, false), english);
        let indonesian = "Mengirim: 3 dari 20 data di server, 17,1 KB terkirim, 0,2 KB diterima, sekitar 7 detik lagi";
        assert_eq!(Words::of("Bahasa Indonesia (id)").progress(&progress, false), indonesian);
        let later = Progress { left: Some(Duration::from_secs(150)), ..progress };
        assert!(Words::English.progress(&later, false).ends_with("about 3 min left"));
        assert!(!Words::English.progress(&Progress { left: None, ..progress }, true).contains("left"));
    }
}
