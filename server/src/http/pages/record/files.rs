//! Photos and files on a page: a small picture that leads to the original, a player, or a link for saving.

use crate::{
    domain::attachments::{AttachmentDetail, State},
    http::pages::{
        values::grouped,
        words::{Language, fill},
    },
};
use maud::{Markup, html};
use sync_protocol::{RecordId, problem::Code};

/// One attachment of a record, with where its bytes are.
pub(in crate::http::pages) fn file(record: RecordId, attachment: &AttachmentDetail, language: Language) -> Markup {
    let words = language.words();
    let address = format!("/records/{record}/attachments/{}", attachment.sha256);
    let short: String = attachment.sha256.to_string().chars().take(12).collect();
    let name = attachment.name.as_deref().unwrap_or(&short);
    let media = attachment.media.as_str();
    html! {
        @match attachment.state {
            State::Here => {
                @if media.starts_with("image/") {
                    a href=(address) { img class="thumbnail" src={ (address) "/thumbnail" } alt=(name) loading="lazy"; }
                } @else if media.starts_with("audio/") {
                    audio controls preload="none" src=(address) {}
                } @else if media.starts_with("video/") {
                    video class="thumbnail" controls preload="none" src=(address) {}
                }
                " " a href=(address) { (name) }
            }
            State::ToCome => { (name) " " span class="tag warn" { (words.to_come) } }
            State::Lost => { (name) " " span class="tag bad" title=(words.file_lost_why) { (words.file_lost) } }
            State::Refused => {
                (name) " " span class="tag bad" title=[refusal(attachment, language)] { (words.file_refused) }
            }
        }
        " " small class="code" { (media) ", " (fill(words.n_bytes, size(attachment.size, language))) }
    }
}

/// Why it was not taken.
fn refusal(attachment: &AttachmentDetail, language: Language) -> Option<&'static str> {
    let code = Code::ALL.iter().find(|code| Some(code.as_str()) == attachment.code.as_deref())?;
    Some(crate::http::pages::words::problem(*code, language))
}

fn size(bytes: u64, language: Language) -> String {
    grouped(i64::try_from(bytes).unwrap_or(i64::MAX), language)
}
