//! Small pictures of pictures: made when first asked for, kept in a folder that may be deleted at any time.

use super::{Depot, DepotError};
use bytes::Bytes;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, codecs::jpeg::JpegEncoder, metadata::Orientation};
use std::{
    io::{self, Cursor},
    path::{Path, PathBuf},
};
use sync_protocol::Hash;

/// The longest edge, in pixels.
const EDGE: u32 = 256;
/// JPEG's quality: about 8 KB a picture.
const QUALITY: u8 = 70;
/// Most bytes that a picture may take when it is decoded: 26 megapixels in colour. What would take more has no thumbnail,
/// however small its file is.
const DECODED_MAX: u64 = 80 << 20;

/// What became of a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Thumbnail {
    /// A JPEG.
    Made(Bytes),
    /// It is no picture that can be decoded, or too large a one.
    None,
}

fn file(folder: &Path, hash: Hash) -> PathBuf {
    let name = hash.to_string();
    folder.join(name.get(..2).unwrap_or_default()).join(format!("{name}.jpg"))
}

/// Forgets the thumbnail of an object that is deleted.
pub(super) fn forget(folder: &Path, hash: Hash) -> io::Result<()> {
    match std::fs::remove_file(file(folder, hash)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

impl Depot {
    /// The thumbnail of an object; an empty file in the folder says that there is none.
    ///
    /// # Errors
    /// [`DepotError::Missing`], or if the store or a file fails.
    pub async fn thumbnail(&self, hash: Hash) -> Result<Thumbnail, DepotError> {
        let kept = file(&self.shared.thumbnails, hash);
        let at = kept.clone();
        let found = self.run(move |_| match std::fs::read(&at) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(DepotError::from(error)),
        });
        if let Some(bytes) = found.await? {
            return Ok(told(bytes));
        }
        let _one = self.shared.decoding.acquire().await.map_err(|_closed| DepotError::Ended)?;
        let original = self.whole(hash, None).await?;
        self.run(move |_| {
            let bytes = made(|| small(&original, EDGE));
            keep(&kept, &bytes)?;
            Ok(told(bytes))
        })
        .await
    }
}

/// What a decoder made; nothing where it failed or panicked over what somebody sent: it is not tried again.
fn made(decode: impl FnOnce() -> Option<Vec<u8>> + std::panic::UnwindSafe) -> Vec<u8> {
    std::panic::catch_unwind(decode).ok().flatten().unwrap_or_default()
}

fn told(bytes: Vec<u8>) -> Thumbnail {
    if bytes.is_empty() { Thumbnail::None } else { Thumbnail::Made(bytes.into()) }
}

/// Keeps a thumbnail; half a one is never seen.
fn keep(file: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let unfinished = file.with_extension("unfinished");
    std::fs::write(&unfinished, bytes)?;
    std::fs::rename(&unfinished, file)
}

/// Makes the small picture; none of what can't be decoded within the bounds.
fn small(bytes: &[u8], edge: u32) -> Option<Vec<u8>> {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().ok()?;
    if !matches!(reader.format()?, ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::WebP) {
        return None;
    }
    let mut decoder = reader.into_decoder().ok()?;
    let mut limits = image::Limits::no_limits();
    limits.max_alloc = Some(DECODED_MAX);
    if decoder.total_bytes() > DECODED_MAX || decoder.set_limits(limits).is_err() {
        return None;
    }
    let turned = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let picture = DynamicImage::from_decoder(decoder).ok()?;
    let mut small = if picture.width().max(picture.height()) > edge { picture.thumbnail(edge, edge) } else { picture };
    small.apply_orientation(turned);
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, QUALITY).encode_image(&small.to_rgb8()).ok()?;
    Some(jpeg)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        DynamicImage::new_luma8(width, height).write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).unwrap();
        bytes
    }

    #[test]
    fn a_thumbnail_is_small_and_keeps_the_proportions() {
        let made = small(&png(1200, 600), EDGE).unwrap();
        let shown = image::load_from_memory(&made).unwrap();
        assert_eq!((shown.width(), shown.height()), (256, 128));
    }

    #[test]
    fn a_picture_over_which_a_decoder_panics_has_no_thumbnail() {
        assert_eq!(made(|| panic!("a decoder that met something unforeseen")), Vec::<u8>::new());
        assert_eq!(made(|| Some(vec![1])), [1]);
    }

    #[test]
    fn a_small_file_that_would_fill_the_memory_has_no_thumbnail() {
        let bomb = png(16_000, 16_000);
        assert!(bomb.len() < 2 << 20, "{} bytes", bomb.len());
        assert_eq!(small(&bomb, EDGE), None);
        for other in [&b"<svg/>"[..], b"", &png(10, 10)[..20]] {
            assert_eq!(small(other, EDGE), None);
        }
    }
}
