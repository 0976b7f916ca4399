//! What a record says of a photo, a recording or a file: its hash, size and media type. The bytes travel apart.
//!
//! On the wire an attachment is an ordinary answer of fields (`docs/PROTOCOL.md`, section 15): merging and hashing know
//! nothing of it. It is told by its shape alone, so that also a server that lacks the questionnaire knows what is named.

use crate::{change::Op, ids::Hash, value::Value};
use std::{fmt, str::FromStr};

/// Longest media type and longest name, in bytes.
const TYPE_MAX: usize = 100;
const NAME_MAX: usize = 255;

/// One attachment as a record names it.
///
/// Its text form is `sha256 size type`, and the name where there is one: what expressions, screens and command lines hold.
///
/// ```
/// use sync_protocol::attachment::Attachment;
/// let text = format!("{} 12 image/jpeg rumah 3.jpg", "ab".repeat(32));
/// let photo: Attachment = text.parse().unwrap();
/// assert_eq!(photo.name.as_deref(), Some("rumah 3.jpg"));
/// assert_eq!(Attachment::from_value(&photo.to_value()).unwrap().to_string(), text);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attachment {
    /// SHA-256 of the bytes: what the attachment is known by.
    pub hash: Hash,
    /// How many bytes.
    pub size: u64,
    /// The media type, in lower case and without parameters.
    pub media: String,
    /// What the file was called, for people; never a path.
    pub name: Option<String>,
}

impl Attachment {
    /// Reads an answer as an attachment; none for any other answer.
    #[must_use]
    pub fn from_value(value: &Value) -> Option<Self> {
        let Value::Fields(fields) = value else { return None };
        let text = |name: &str| match fields.get(name) {
            Some(Value::Text(text)) => Some(text.as_str()),
            Some(Value::Integer(_) | Value::Choices(_) | Value::Fields(_) | Value::Missing(_)) | None => None,
        };
        let size = match fields.get("size") {
            Some(Value::Integer(size)) => u64::try_from(*size).ok()?,
            Some(Value::Text(_) | Value::Choices(_) | Value::Fields(_) | Value::Missing(_)) | None => return None,
        };
        let media = text("type").filter(|media| is_media_type(media))?.to_owned();
        let name = match text("name") {
            Some(name) if is_name(name) => Some(name.to_owned()),
            None if !fields.contains_key("name") => None,
            Some(_) | None => return None,
        };
        Some(Self { hash: text("sha256")?.parse().ok()?, size, media, name })
    }

    /// The answer that names it.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let size = i64::try_from(self.size).unwrap_or(i64::MAX);
        let mut fields = vec![
            ("sha256".to_owned(), Value::text(self.hash.to_string())),
            ("size".to_owned(), Value::Integer(size)),
            ("type".to_owned(), Value::text(self.media.as_str())),
        ];
        fields.extend(self.name.as_deref().map(|name| ("name".to_owned(), Value::text(name))));
        Value::Fields(fields.into_iter().collect())
    }

    /// The attachments that some operations name.
    pub fn of_ops(ops: &[Op]) -> impl Iterator<Item = Self> {
        ops.iter().filter_map(|op| match op {
            Op::Set { value, .. } => Self::from_value(value),
            Op::AddRow { .. } | Op::RemoveRow { .. } | Op::Note { .. } | Op::Void { .. } => None,
        })
    }
}

impl fmt::Display for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.hash, self.size, self.media)?;
        self.name.iter().try_for_each(|name| write!(f, " {name}"))
    }
}

/// A text that names no attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an attachment is written `sha256 size type name`")]
pub struct NoAttachment;

impl FromStr for Attachment {
    type Err = NoAttachment;

    fn from_str(text: &str) -> Result<Self, NoAttachment> {
        let mut parts = text.splitn(4, ' ');
        let mut next = || parts.next().ok_or(NoAttachment);
        let (hash, size, media) = (next()?, next()?, next()?);
        let attachment = Self {
            hash: hash.parse().map_err(|_ignored| NoAttachment)?,
            size: size.parse().map_err(|_ignored| NoAttachment)?,
            media: media.to_owned(),
            name: parts.next().map(str::to_owned),
        };
        let whole = is_media_type(&attachment.media) && attachment.name.as_deref().is_none_or(is_name);
        if whole && i64::try_from(attachment.size).is_ok() { Ok(attachment) } else { Err(NoAttachment) }
    }
}

/// Whether a text is a media type as records name them: `type/subtype` in lower case, without parameters.
#[must_use]
pub fn is_media_type(text: &str) -> bool {
    let is_token = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$&-^_.+".contains(&byte))
    };
    text.len() <= TYPE_MAX && text.split_once('/').is_some_and(|(kind, of)| is_token(kind) && is_token(of))
}

/// Makes a name of what a file is called: the part behind the last separator, without what no screen should show.
///
/// ```
/// use sync_protocol::attachment::tidy_name;
/// assert_eq!(tidy_name("/sdcard/DCIM/a b.jpg").as_deref(), Some("a b.jpg"));
/// assert_eq!(tidy_name("\u{7}"), None);
/// ```
#[must_use]
pub fn tidy_name(file: &str) -> Option<String> {
    let last = file.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut name = String::new();
    for letter in last.trim().chars().filter(|letter| is_shown(*letter)) {
        if name.len() + letter.len_utf8() > NAME_MAX {
            break;
        }
        name.push(letter);
    }
    Some(name).filter(|name| is_name(name))
}

/// Neither a control character, nor one that turns the reading direction so that `gpj.exe` reads as a picture.
fn is_shown(letter: char) -> bool {
    !letter.is_control()
        && !matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= NAME_MAX
        && text.trim() == text
        && text.chars().all(|letter| is_shown(letter) && letter != '/' && letter != '\\')
}

/// The media type that the bytes themselves show; the first few hundred are enough. None where they show none.
#[must_use]
pub fn sniff(bytes: &[u8]) -> Option<&'static str> {
    // What cheap phones record: the brand says 3GPP, whatever else the container could hold.
    if bytes.get(4..10) == Some(b"ftyp3g") {
        return Some("video/3gpp");
    }
    infer::get(bytes).map(|found| match found.mime_type() {
        // By RFC 7845 it is named by its container.
        "audio/opus" => "audio/ogg",
        "audio/x-wav" => "audio/wav",
        "audio/x-flac" => "audio/flac",
        "audio/m4a" => "audio/mp4",
        other => other,
    })
}

/// Pictures, recordings and films that a browser shows without running anything.
pub(crate) const PLAIN: &[&str] = &[
    "image/jpeg",
    "image/png",
    "image/webp",
    "image/gif",
    "audio/mpeg",
    "audio/mp4",
    "audio/ogg",
    "audio/wav",
    "audio/flac",
    "audio/aac",
    "audio/amr",
    "audio/3gpp",
    "audio/webm",
    "video/mp4",
    "video/webm",
    "video/3gpp",
    "video/ogg",
];

/// Whether bytes are what a plain media type says: a picture, a recording or a film that a browser may show in place.
/// Never anything that could hold a script.
///
/// ```
/// use sync_protocol::attachment::is_plain;
/// assert!(is_plain("image/png", b"\x89PNG\r\n\x1a\n"));
/// assert!(!is_plain("image/png", b"<svg onload='alert(1)'/>"));
/// assert!(!is_plain("image/svg+xml", b"<svg/>"));
/// ```
#[must_use]
pub fn is_plain(media: &str, bytes: &[u8]) -> bool {
    let shown = sniff(bytes);
    // A recording may stand in the same container as a film.
    let container = match media {
        "audio/mp4" => Some("video/mp4"),
        "audio/webm" => Some("video/webm"),
        "audio/3gpp" => Some("video/3gpp"),
        "video/3gpp" => Some("video/mp4"),
        _other => None,
    };
    PLAIN.contains(&media) && shown.is_some() && (shown == Some(media) || shown == container)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn photo(name: Option<&str>) -> Attachment {
        Attachment { hash: Hash([7; 32]), size: 9, media: "image/jpeg".into(), name: name.map(Into::into) }
    }

    #[test]
    fn an_attachment_is_told_by_its_shape_alone() {
        for attachment in [photo(None), photo(Some("rumah depan.jpg"))] {
            assert_eq!(Attachment::from_value(&attachment.to_value()), Some(attachment.clone()));
            assert_eq!(attachment.to_string().parse(), Ok(attachment));
        }
        let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let hash = "0".repeat(64);
        for other in [
            "\"photo.jpg\"".to_owned(),
            "null".to_owned(),
            r#"{"lat":1,"lon":2}"#.to_owned(),
            format!(r#"{{"sha256":"{hash}","size":-1,"type":"image/png"}}"#),
            format!(r#"{{"sha256":"{hash}","size":1,"type":"Image/PNG; a=b"}}"#),
            format!(r#"{{"sha256":"{}","size":1,"type":"image/png"}}"#, "0".repeat(62)),
            format!(r#"{{"sha256":"{hash}","size":1,"type":"image/png","name":"../a"}}"#),
        ] {
            assert_eq!(Attachment::from_value(&json(&other)), None, "{other}");
        }
    }

    #[test]
    fn a_name_holds_no_path_and_nothing_hidden() {
        assert_eq!(tidy_name("C:\\a\\b.png").as_deref(), Some("b.png"));
        assert_eq!(tidy_name("a\u{202e}gpj.exe").as_deref(), Some("agpj.exe"));
        assert_eq!(tidy_name("  ").as_deref(), None);
        assert!(tidy_name(&"é".repeat(400)).unwrap().len() <= NAME_MAX);
    }

    #[test]
    fn what_cheap_phones_record_is_known_and_taken() {
        let container = |brand: &[u8; 4]| [b"\0\0\0\x18ftyp", brand.as_slice(), b"\0\0\0\0isom3gp4"].concat();
        let voice = [&b"OggS\0\x02"[..], &[0; 22], b"OpusHead\x01\x01"].concat();
        let limits = crate::Limits::default();
        for (bytes, shown, media) in [
            (container(b"3gp4"), "video/3gpp", "video/3gpp"),
            (container(b"3gp5"), "video/3gpp", "audio/3gpp"),
            (container(b"3g2a"), "video/3gpp", "video/3gpp"),
            (voice, "audio/ogg", "audio/ogg"),
        ] {
            assert_eq!(sniff(&bytes), Some(shown));
            assert!(is_plain(media, &bytes) && limits.types.iter().any(|known| known == media), "{media}");
        }
    }

    #[test]
    fn only_what_a_browser_can_show_without_running_anything_is_plain() {
        let jpeg = [0xff, 0xd8, 0xff, 0xe0, 0, 16];
        assert!(is_plain("image/jpeg", &jpeg));
        assert!(!is_plain("image/png", &jpeg));
        for (media, bytes) in [
            ("text/html", &b"<!doctype html><script>1</script>"[..]),
            ("image/jpeg", b"<!doctype html><script>1</script>"),
            ("image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
            ("application/pdf", b"%PDF-1.7"),
            ("image/jpeg", b""),
        ] {
            assert!(!is_plain(media, bytes), "{media}");
        }
    }
}
