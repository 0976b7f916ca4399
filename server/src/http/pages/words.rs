//! Every word of the pages, in Indonesian and English; a word without a translation does not compile.
//!
//! `{}` stands for what the page puts there. A unit of counting has its singular and plural as `one|many`.

use sync_protocol::problem::Code;

/// A language of the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    /// Bahasa Indonesia, if nothing else is asked for.
    Indonesian,
    /// English.
    English,
}

impl Language {
    /// The language's code, as browsers and questionnaires write it.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Indonesian => "id",
            Self::English => "en",
        }
    }

    /// Reads a code such as `en` or `id-ID`.
    pub(super) fn from_code(code: &str) -> Option<Self> {
        match code.split('-').next()?.trim().to_ascii_lowercase().as_str() {
            "id" | "in" => Some(Self::Indonesian),
            "en" => Some(Self::English),
            _ => None,
        }
    }

    /// The other language, with its own name.
    pub(super) fn other(self) -> (Self, &'static str) {
        match self {
            Self::Indonesian => (Self::English, "English"),
            Self::English => (Self::Indonesian, "Bahasa Indonesia"),
        }
    }

    /// The words of this language.
    pub(super) fn words(self) -> &'static Words {
        match self {
            Self::Indonesian => &INDONESIAN,
            Self::English => &ENGLISH,
        }
    }
}

/// Puts a text where `{}` stands.
pub(super) fn fill(words: &str, text: impl std::fmt::Display) -> String {
    words.replacen("{}", &text.to_string(), 1)
}

/// Counts in words: `one|many`, or one form for both.
pub(super) fn counted(count: u64, unit: &str) -> String {
    let (one, many) = unit.split_once('|').unwrap_or((unit, unit));
    format!("{count} {}", if count == 1 { one } else { many })
}

macro_rules! words {
    ($($name:ident: $indonesian:literal, $english:literal;)*) => {
        /// The words of one language.
        #[derive(Debug)]
        pub(super) struct Words {
            $(pub(super) $name: &'static str,)*
        }
        static INDONESIAN: Words = Words { $($name: $indonesian,)* };
        static ENGLISH: Words = Words { $($name: $english,)* };
    };
}

macro_rules! problems {
    ($($code:ident: $indonesian:literal;)*) => {
        /// What a problem is called; English is the protocol's own title.
        pub(super) fn problem(code: Code, language: Language) -> &'static str {
            match (language, code) {
                (Language::English, code) => code.title(),
                $((Language::Indonesian, Code::$code) => $indonesian,)*
            }
        }
    };
}

words! {
    // The frame.
    skip: "Langsung ke isi", "Skip to content";
    menu: "Menu", "Menu";
    progress: "Kemajuan", "Progress";
    records: "Data", "Records";
    quarantine: "Karantina", "Quarantine";
    exports: "Ekspor", "Export";
    log_out: "Keluar", "Log out";
    times_are: "Semua waktu dalam WITA (UTC+8).", "All times are WITA (UTC+8).";
    failed: "Tidak berhasil", "This did not work";
    back_home: "Kembali ke halaman kemajuan", "Back to progress";

    // Logging in.
    log_in: "Masuk", "Log in";
    log_in_lead: "Ruang kerja koordinator survei.", "The survey coordinators' desk.";
    account: "Nama pengguna", "User name";
    password: "Kata sandi", "Password";
    wrong_password: "Nama pengguna atau kata sandi salah.", "Wrong user name or password.";
    foreign_form: "Formulir ini datang dari situs lain. Buka halaman ini langsung, lalu coba lagi.",
        "This form came from another site. Open this page directly, then try again.";

    // Things.
    household: "Rumah tangga", "Household";
    households: "Rumah tangga", "Households";
    interview: "Wawancara", "Interview";
    interviews: "Wawancara", "Interviews";
    finished: "Selesai", "Finished";
    unfinished: "Belum selesai", "Unfinished";
    conflict: "konflik", "conflict";
    conflicts: "Konflik", "Conflicts";
    area: "Wilayah", "Area";
    areas: "Wilayah", "Areas";
    enumerator: "Pencacah", "Enumerator";
    enumerators: "Pencacah", "Enumerators";
    device: "Perangkat", "Device";
    devices: "Perangkat", "Devices";
    round: "Putaran", "Round";
    round_n: "putaran {}", "round {}";
    questionnaire: "Kuesioner", "Questionnaire";
    answers: "Jawaban", "Answers";
    changes: "Perubahan", "Changes";
    last_change: "Terakhir diterima", "Last received";
    unnamed: "(tanpa nama)", "(no name)";
    no_area: "(tanpa wilayah)", "(no area)";
    office: "kantor", "office";

    // Progress.
    no_data: "Belum ada data. Begitu HP pertama menyinkronkan, angkanya muncul di sini.",
        "No data yet. The figures appear here once the first phone has synced.";
    in_quarantine: "Di karantina", "In quarantine";
    of_interviews: "dari {} wawancara", "of {} interviews";
    last_seen: "Terakhir terlihat", "Last seen";
    never: "belum pernah", "never";
    clock: "Jam perangkat", "Device clock";
    clock_right: "tepat", "right";
    clock_ahead: "{} di depan", "{} ahead";
    clock_behind: "{} di belakang", "{} behind";
    unsent: "Belum terkirim", "Unsent";
    unsent_when: "menurut sinkron terakhir", "as told at the last sync";
    receipt: "Bukti", "Receipt";
    receipt_what: "sama dengan yang tampil di perangkat bila semuanya sudah sampai", "the device shows the same when all that it sent is here";
    copied: "HP disalin: {}", "copied phone: {}";
    carried: "hub, membawa perubahan: {}", "hub, changes brought: {}";
    revoked: "dicabut", "revoked";
    app: "Aplikasi", "App";

    // Lists.
    filter: "Saring", "Filter";
    filter_clear: "Hapus saringan", "Clear filter";
    all: "Semua", "All";
    all_of: "Seluruh {}", "All of {}";
    kind: "Jenis", "Kind";
    search_name: "Cari nama", "Search name";
    status: "Keadaan", "Status";
    only_conflicts: "Hanya yang berkonflik", "Only with conflicts";
    only_out_of_scope: "Hanya di luar wilayah tugas", "Only out of scope";
    name: "Nama", "Name";
    marks: "Tanda", "Marks";
    none_found: "Tidak ada yang cocok dengan saringan ini.", "Nothing matches this filter.";
    next_page: "Halaman berikutnya", "Next page";
    first_page: "Halaman pertama", "First page";
    without_void: "Tanpa yang dibatalkan", "Without void ones";
    only_void: "Hanya yang dibatalkan", "Only void ones";
    of_one_household: "Hanya dari satu rumah tangga.", "Only of one household.";
    out_of_scope: "di luar wilayah tugas", "out of scope";
    void: "dibatalkan", "void";
    kept_despite_void: "dibatalkan, tetapi diubah di perangkat lain", "voided, but edited on another device";
    attention: "dipertahankan: {}", "kept: {}";
    kept_row: "Baris ini dihapus pada satu perangkat, tetapi diubah pada perangkat lain; karena itu dipertahankan.",
        "This row was removed on one device but edited on another, so it was kept.";
    parked: "tidak ditanyakan lagi", "not asked any more";
    n_conflicts: "konflik", "conflict|conflicts";
    n_broken: "aturan dilanggar", "broken rule|broken rules";
    only_broken: "Hanya yang melanggar aturan", "Only with broken rules";
    unchecked: "belum diperiksa", "not checked yet";
    n_unchecked: "belum diperiksa", "not checked yet";
    n_changes: "perubahan", "change|changes";

    // One record.
    first_saved_by: "Pertama disimpan oleh", "First saved by";
    conflicts_lead: "Beberapa orang memberi jawaban yang berbeda tanpa melihat jawaban yang lain. Pilih yang benar; \
        semua HP menerima keputusan ini pada sinkron berikutnya. Nilai lain tetap ada dalam riwayat.",
        "Several people gave different answers without seeing each other's. Choose the right one; all phones receive \
        the decision at their next sync. The other values stay in the history.";
    broken_rules: "Aturan dilanggar", "Broken rules";
    broken_lead: "Menurut kuesioner, jawaban-jawaban ini tidak mungkin semuanya benar. Tidak ada yang ditolak atau diubah: \
        tanyakan kepada yang mengisinya. Setelah diperbaiki, tanda ini hilang sendiri.",
        "By the questionnaire, these answers can't all be right. Nothing was rejected or changed: ask those who gave them. \
        A mark goes away by itself once it is mended.";
    broken_constraint: "tidak memenuhi syarat", "breaks its rule";
    broken_required: "wajib diisi", "must be answered";
    missing_answers: "Wajib diisi, tetapi kosong", "Required, but missing";
    asked_because: "ditanyakan karena", "asked because of";
    broken_choice: "bukan pilihan yang ditawarkan", "not among the choices";
    broken_type: "bukan nilai yang sah", "no value of its type";
    keep_this: "Simpan yang ini", "Keep this one";
    shown_meanwhile: "ditampilkan sementara", "shown meanwhile";
    device_time: "Jam perangkat", "Device time";
    received: "Diterima", "Received";
    not_yet: "belum", "not yet";
    clock_warning: "Jam perangkat salah ({}); sebenarnya kira-kira {}",
        "The device's clock was wrong ({}); really about {}";
    history: "Riwayat", "History";
    history_of: "Riwayat jawaban", "History of an answer";
    personal: "data pribadi", "personal data";
    other_answers: "Jawaban lain", "Other answers";
    all_answers: "Semua jawaban", "All answers";
    no_answers: "Belum ada jawaban.", "No answers yet.";
    row: "Baris", "Row";
    files: "Foto dan berkas", "Photos and files";
    files_here: "{} sudah ada", "{} here";
    files_to_come: "{} belum tiba", "{} still to come";
    files_refused: "{} tidak diterima", "{} not taken";
    files_lost: "{} hilang di perangkat", "{} lost on the device";
    to_come: "belum tiba", "still to come";
    file_refused: "tidak diterima", "not taken";
    file_lost: "hilang di perangkat", "lost on the device";
    file_lost_why: "Perangkat yang mengambilnya tidak memilikinya lagi: kembalikan wawancara ini jika perlu diambil lagi.", "The device that took it has it no more: return the interview if it should be taken again.";
    n_bytes: "{} bita", "{} bytes";
    remarks: "Catatan", "Remarks";
    no_remarks: "Belum ada catatan.", "No remarks yet.";
    remark_label: "Catatan baru (dapat dibaca oleh pencacah)", "New remark (enumerators can read it)";
    remark_add: "Tambah catatan", "Add remark";
    same_as: "Rumah tangga yang sama", "The same household";
    same_as_why: "Terdaftar dua kali: kedua riwayat tetap ada, dan tautan dapat dilepas.",
        "Registered twice: both histories stay, and the link can be taken back.";
    same_as_first: "mewakili semuanya", "stands for all";
    same_as_label: "Nomor rumah tangga yang lain", "The other household's id";
    link_add: "Tautkan", "Link";
    link_remove: "Lepaskan tautan", "Unlink";
    linked_done: "Ditautkan.", "Linked.";
    unlinked_done: "Tautan dilepas.", "Unlinked.";
    void_reason: "Alasan pembatalan", "Reason for voiding";
    of_this_household: "Rumah tangga ini", "This household";
    this_page: "halaman ini", "this page";
    kept_done: "Disimpan. Keputusan dikirim ke semua HP pada sinkron berikutnya.",
        "Saved. The decision goes to all phones at their next sync.";
    remark_done: "Catatan ditambahkan.", "Remark added.";
    stale: "Sementara itu nilai lain masuk. Lihat lagi sebelum memutuskan.",
        "Another value arrived meanwhile. Look again before you decide.";
    not_asked: "tidak ditanyakan", "not asked";
    refused: "menolak menjawab", "refused";
    dont_know: "tidak tahu", "does not know";
    cleared: "dikosongkan", "cleared";

    // The review of an interview.
    review: "Pemeriksaan", "Review";
    to_review: "Menunggu pemeriksaan", "To review";
    draft: "belum selesai", "not finished";
    submitted: "diserahkan", "submitted";
    in_review: "diperiksa", "in review";
    returned: "dikembalikan", "returned";
    corrected: "diperbaiki", "corrected";
    approved: "disetujui", "approved";
    returned_all: "Dikembalikan", "Returned";
    approved_all: "Disetujui", "Approved";
    changed_since: "berubah sejak keputusan", "changed since the decision";
    take: "Mulai periksa", "Take into review";
    approve: "Setujui", "Approve";
    withdraw: "Tarik kembali keputusan", "Take the decision back";
    return_it: "Kembalikan ke pencacah", "Return to the enumerator";
    return_for_this: "Kembalikan karena jawaban ini", "Return because of this answer";
    void_it: "Batalkan wawancara", "Void the interview";
    remarks_answered: "Semua catatan dijawab", "All remarks answered";
    reopened: "Jawaban berubah setelah disetujui", "Answers changed after the approval";
    discarded: "Dibatalkan oleh lapangan setelah diputuskan", "Voided by the field after a decision";
    revived: "Berlaku lagi: diubah oleh yang belum melihat pembatalan", "Counts again: edited by somebody who had not seen the void";
    recalled: "Pengembalian ditemukan lagi setelah pemulihan server", "Return found again after the server was restored";
    by_server: "server", "the server";
    waits_for: "Menunggu perbaikan oleh", "Waits to be corrected by";
    waits_for_nobody: "Tidak ada pencacah yang bertugas di wilayah rumah tangga ini: tugaskan wilayahnya, baru HP menerima pengembalian ini.",
        "No enumerator works in this household's area: assign the area, so that a phone is told of the return.";
    synced_since: "HP sudah sinkron sejak itu", "their phone has synced since";
    not_synced_since: "HP belum sinkron sejak itu", "their phone has not synced since";
    remark_answered: "dijawab", "answered";
    remark_open: "belum dijawab", "not answered yet";
    remark_unseen: "tanpa melihat catatan", "without having seen the remark";
    field_remarks: "Catatan pencacah", "Enumerators' remarks";
    different_since: "Berubah sejak keputusan {}", "Different since the decision of {}";
    answer: "Jawaban", "Answer";
    before: "Sebelum", "Before";
    after: "Sesudah", "After";
    who: "Siapa, kapan", "Who, when";
    yes: "ya", "yes";
    remark_about: "Tentang", "About";
    whole_interview: "Seluruh wawancara", "The whole interview";
    what_to_correct: "Apa yang harus diperbaiki (dibaca oleh pencacah)", "What is to be corrected (the enumerator reads it)";
    conflicts_first: "Putuskan dulu jawaban yang berkonflik; setelah itu wawancara dapat disetujui.",
        "Decide the answers in conflict first; then the interview can be approved.";
    approve_selected: "Setujui yang dipilih", "Approve the chosen ones";
    approved_n: "{} disetujui.", "{} approved.";
    not_approved_n: "{} tidak: sementara itu berubah, diputuskan, atau ada konflik. Lihat satu per satu.",
        "{} were not: they changed meanwhile, were decided, or are in conflict. Look at each.";
    review_log: "Riwayat pemeriksaan", "Log of the review";
    reviewed_done: "Keputusan disimpan.", "The decision is saved.";

    // The history of an answer.
    current: "berlaku", "current";
    replaced: "diganti", "replaced";
    replaced_by: "Diganti oleh", "Replaced by";
    newest_first: "Yang terbaru di atas. Tidak ada nilai yang pernah hilang.", "Newest first. No value is ever lost.";
    back_to_record: "Kembali ke {}", "Back to {}";
    by_change: "perubahan {}", "change {}";

    // Quarantine.
    quarantine_lead: "Perubahan ini tersimpan aman, tetapi belum diterapkan. Perbaiki sebabnya, lalu lepaskan.",
        "These changes are kept safely but are not applied yet. Mend the cause, then release them.";
    branches: "Cabang dari ponsel salinan", "Branches of copied phones";
    branches_lead: "Ponsel ini disalin atau dipulihkan. Bila kembali, ia mengirim ulang sendiri; bila hilang, lepaskan di sini.",
        "These phones were copied or restored. One that returns sends its answers again by itself; release here what is lost.";
    changes_waiting: "perubahan menunggu", "change waits|changes wait";
    quarantine_empty: "Tidak ada yang menunggu.", "Nothing waits here.";
    why: "Sebab", "Why";
    from: "Dari", "From";
    release: "Lepaskan", "Release";
    release_done: "Dilepaskan dan diterapkan.", "Released and applied.";
    unknown: "tidak diketahui", "unknown";

    // Exports.
    exports_lead: "Satu berkas CSV untuk wawancara dan satu untuk tiap daftar. Konflik dan aturan yang dilanggar ada dalam kolom tersendiri.",
        "One CSV file for interviews and one per roster. Conflicts and broken rules stand in columns of their own.";
    exports_empty: "Belum ada kuesioner. Operator memuatnya dengan perintah.",
        "No questionnaire yet. The operator loads one by command.";
    version: "versi {}", "version {}";
    file: "Berkas", "File";
    codes: "Kode", "Codes";
    labels: "Label: {}", "Labels: {}";
    with_personal: "Dengan data pribadi (nama, NIK, alamat, koordinat)",
        "With personal data (names, ID numbers, addresses, coordinates)";
    personal_warning: "Hanya untuk yang berhak. Simpan terenkripsi dan hapus setelah dipakai (UU 27/2022).",
        "Only for those entitled to it. Keep it encrypted and delete it after use (Law 27/2022).";
    untitled: "tanpa judul", "untitled";

    // Spans of time, and numbers.
    unit_year: "tahun", "year|years";
    unit_day: "hari", "day|days";
    unit_hour: "jam", "hour|hours";
    unit_minute: "menit", "minute|minutes";
    ago: "{} lalu", "{} ago";
    just_now: "baru saja", "just now";
    months: "Jan Feb Mar Apr Mei Jun Jul Agu Sep Okt Nov Des", "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec";
    time_separator: ".", ":";
    thousands: ".", ",";
    decimal_mark: ",", ".";
}

problems! {
    MalformedJson: "Ini bukan JSON yang benar.";
    DuplicateKey: "Satu kunci muncul dua kali.";
    TooDeep: "JSON bertingkat terlalu dalam.";
    NotUtf8: "Teks ini bukan UTF-8.";
    WrongType: "Ada isian yang kurang atau salah bentuknya.";
    BadPred: "Perubahan ini menggantikan perubahan yang datang sesudahnya.";
    ChangeTooLarge: "Perubahan ini terlalu besar.";
    ValueTooLong: "Jawaban teks terlalu panjang.";
    TooManyRows: "Daftar berisi terlalu banyak baris.";
    UnknownQuestionnaire: "Kuesioner ini tidak ada di server.";
    UnknownArea: "Wilayah ini tidak ada di server.";
    UnknownQuestion: "Kuesioner tidak punya pertanyaan ini.";
    WrongValueType: "Nilai tidak cocok dengan jenis pertanyaan.";
    BadSignature: "Tanda tangan kiriman bukan dari perangkatnya.";
    Fork: "Riwayat perangkat ini bercabang: HP disalin atau dipulihkan.";
    Gap: "Perubahan sebelumnya belum tiba; kiriman ini disimpan sampai lengkap.";
    WrongReplica: "Basis data ini bukan milik perangkat tersebut.";
    ReplicaTaken: "Nama basis data ini sudah dipakai perangkat lain; perangkat mengambil nama baru sendiri.";
    Purged: "Data ini dihapus dengan keputusan hukum yang tercatat.";
    Escrow: "Perangkat dicabut: perubahannya disimpan terpisah.";
    Unauthorised: "Silakan masuk dahulu.";
    Forbidden: "Ini tidak diizinkan.";
    BadDeviceCode: "Kode sekali pakai salah, sudah dipakai, atau kedaluwarsa.";
    UnsupportedProtocol: "Versi protokol ini tidak dikenal.";
    RequestTooLarge: "Permintaan terlalu besar.";
    BadEncoding: "Pemampatan isi rusak atau tidak dikenal.";
    CutOff: "Kiriman terputus; bagian yang utuh sudah disimpan.";
    BadQuery: "Alamat atau saringan ini tidak dimengerti.";
    NotFound: "Yang dicari tidak ada di sini.";
    Stale: "Yang ditampilkan sudah berubah sementara itu: lihat lagi.";
    NoSpace: "Server sekarang tidak punya tempat untuk foto dan berkas; jawaban tetap diterima.";
    ReviewState: "Langkah ini tidak mungkin dalam keadaan pemeriksaan sekarang.";
    Busy: "Server sedang sibuk: coba lagi nanti.";
    AttachmentTooLarge: "Lampiran lebih besar daripada yang boleh.";
    AttachmentType: "Lampiran berjenis ini tidak diterima di sini.";
    ChecksumMismatch: "Isi yang diterima berbeda dari yang diumumkan.";
    WrongOffset: "Unggahan berlanjut pada bita yang lain.";
    UploadExpired: "Unggahan tidak selesai pada waktunya: mulai lagi.";
    UnsupportedUpload: "Unggahan di sini memakai tus 1.0.0.";
    Internal: "Server gagal; tidak ada yang disimpan setengah-setengah.";
}
