//! What the terminal says around an interview, in Indonesian and English.

use client_core::FileProblem;

/// The words of one language.
pub(super) struct Words {
    pub(super) help: &'static str,
    pub(super) keys: &'static str,
    pub(super) now: &'static str,
    pub(super) read_only: &'static str,
    pub(super) conflict: &'static str,
    pub(super) by: &'static str,
    pub(super) more: &'static str,
    pub(super) no_choice: &'static str,
    pub(super) several: &'static str,
    pub(super) kept: &'static str,
    pub(super) constraint: &'static str,
    pub(super) missing: &'static str,
    pub(super) choice: &'static str,
    pub(super) rows_missing: &'static str,
    pub(super) rows: &'static str,
    pub(super) no_row: &'static str,
    pub(super) end: &'static str,
    pub(super) all_done: &'static str,
    pub(super) wrong: &'static str,
    pub(super) all_well: &'static str,
    pub(super) finished: &'static str,
    pub(super) left: &'static str,
    pub(super) noted: &'static str,
    /// Before the coordinator's name.
    pub(super) remark_by: &'static str,
    pub(super) to_answer: &'static str,
    pub(super) answered: &'static str,
    pub(super) no_remark: &'static str,
    pub(super) refused: &'static str,
    pub(super) dont_know: &'static str,
    pub(super) not_asked: &'static str,
    pub(super) languages: &'static str,
    /// Around the most bytes that a file may have.
    pub(super) file: &'static str,
    says: fn(&FileProblem) -> String,
}

impl Words {
    /// What is wrong with a file.
    pub(super) fn about_file(&self, problem: &FileProblem) -> String {
        (self.says)(problem)
    }
}

/// Bytes as people count them.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..10_240 => format!("{bytes} B"),
        10_240..10_485_760 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

fn in_english(problem: &FileProblem) -> String {
    problem.to_string()
}

fn in_indonesian(problem: &FileProblem) -> String {
    match problem {
        FileProblem::TooLarge { size, most } => {
            format!("berkas ini {size} bita, paling banyak {most}: perkecil atau persingkat")
        }
        FileProblem::Type(media) => {
            format!("berkas berjenis {media} tidak diterima di sini: setel kamera ke JPEG, atau pilih berkas lain")
        }
        FileProblem::TooMany(most) => format!("satu wawancara memuat paling banyak {most} berkas: hapus satu dulu"),
        FileProblem::Unreadable => "gambar ini tidak terbaca: ambil sekali lagi".to_owned(),
        FileProblem::TooManyPixels => "gambar ini terlalu besar bagi perangkat: ambil yang lebih kecil".to_owned(),
        FileProblem::NotTaken => "berkas ini belum diambil pada perangkat ini: pilih berkasnya sendiri".to_owned(),
        FileProblem::NotThere(file) => format!("tidak ada berkas {file}: periksa alamat berkasnya"),
        FileProblem::Storage(why) => format!("berkas tidak dapat dibaca atau disimpan ({why}): periksa sisa ruang"),
        other => other.to_string(),
    }
}

const ENGLISH: Words = Words {
    help: "\
Enter       keep the answer, go on            <    go back
:r  :d  :c  refused, don't know, clear        :p   what is wrong; go to the first of it
:g NAME     go to a question                  :n TEXT   add a remark
:a TEXT     answer the coordinator's remark   :l [NAME]   language
:f          finish                            :q   leave, go on later
Several choices are written with blanks between them. Part of a label finds its choice.",
    keys: ":? for help",
    now: "answer",
    read_only: "can't be changed here",
    conflict: "answered differently by several; what you type decides",
    by: "by",
    more: "more; type part of the name",
    no_choice: "no choice is called",
    several: "several choices match",
    kept: "Kept as it is: correct it, or Enter to go on.",
    constraint: "not as the questionnaire asks for",
    missing: "no answer yet",
    choice: "not among the choices",
    rows_missing: "fewer than were counted",
    rows: "+ adds one, a number opens it, -number removes it, Enter goes on",
    no_row: "there is no such row",
    end: "This is the end. :f finishes the interview, < goes back.",
    all_done: "With :f you say that all remarks above are done; :g NAME goes to a question.",
    wrong: "still wrong or missing",
    all_well: "Nothing is wrong or missing.",
    finished: "Finished. It goes to the server with the next sync.",
    left: "Left. It opens here again.",
    noted: "Remark saved.",
    remark_by: "Remark by",
    to_answer: "correct it, or :a TEXT answers",
    answered: "answered",
    no_remark: "there is no remark to answer here, or nothing was said",
    refused: "refused",
    dont_know: "don't know",
    not_asked: "not asked",
    languages: "languages",
    file: "a file: type its path; at most",
    says: in_english,
};

const INDONESIAN: Words = Words {
    help: "\
Enter       simpan apa adanya, lanjut         <    kembali
:r  :d  :c  menolak, tidak tahu, hapus        :p   apa yang salah; ke yang pertama
:g NAMA     ke suatu pertanyaan               :n TEKS   tambah catatan
:a TEKS     jawab catatan koordinator         :l [NAMA]   bahasa
:f          selesai                           :q   keluar, lanjut nanti
Beberapa pilihan ditulis dengan spasi di antaranya. Sebagian label cukup untuk memilih.",
    keys: ":? untuk bantuan",
    now: "jawaban",
    read_only: "tidak dapat diubah di sini",
    conflict: "dijawab berbeda oleh beberapa orang; yang Anda ketik menentukan",
    by: "oleh",
    more: "lagi; ketik sebagian namanya",
    no_choice: "tidak ada pilihan bernama",
    several: "beberapa pilihan cocok",
    kept: "Disimpan apa adanya: perbaiki, atau Enter untuk lanjut.",
    constraint: "tidak sesuai aturan kuesioner",
    missing: "belum dijawab",
    choice: "bukan salah satu pilihan",
    rows_missing: "kurang dari yang dihitung",
    rows: "+ menambah, nomor membuka, -nomor menghapus, Enter lanjut",
    no_row: "baris itu tidak ada",
    end: "Ini akhir. :f menyelesaikan wawancara, < kembali.",
    all_done: "Dengan :f Anda menyatakan semua catatan di atas sudah beres; :g NAMA menuju pertanyaan.",
    wrong: "masih salah atau kosong",
    all_well: "Tidak ada yang salah atau kosong.",
    finished: "Selesai. Akan terkirim pada sinkronisasi berikutnya.",
    left: "Ditinggalkan. Nanti terbuka di sini lagi.",
    noted: "Catatan disimpan.",
    remark_by: "Catatan dari",
    to_answer: "perbaiki, atau jawab dengan :a TEKS",
    answered: "sudah dijawab",
    no_remark: "di sini tidak ada catatan untuk dijawab, atau tidak ada teksnya",
    refused: "menolak",
    dont_know: "tidak tahu",
    not_asked: "tidak ditanyakan",
    languages: "bahasa",
    file: "berkas: ketik jalurnya; paling banyak",
    says: in_indonesian,
};

impl Words {
    /// The words that go with a language of a questionnaire: Indonesian where it is that, else English.
    pub(super) fn of(language: &str) -> &'static Self {
        let name = language.to_lowercase();
        if name == "id" || name.contains("(id)") || name.contains("indonesia") { &INDONESIAN } else { &ENGLISH }
    }
}
