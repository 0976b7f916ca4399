//! Pictures before they are kept: scaled to what the questionnaire asks for, and without what the camera wrote into them.

mod strip;

use crate::error::FileProblem;
use image::{
    DynamicImage, ExtendedColorType, ImageDecoder, ImageEncoder, ImageFormat, ImageReader,
    codecs::{jpeg::JpegEncoder, png::PngEncoder},
    imageops::FilterType,
    metadata::Orientation,
};
use std::io::Cursor;

/// JPEG's quality of a picture that was scaled.
const QUALITY: u8 = 85;
/// Most bytes that a picture may take when it is decoded: what a phone of 2 GB can spare.
const DECODED_MAX: u64 = 256 << 20;

/// What is asked for of a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The longest edge, in pixels.
    pub(crate) max_pixels: Option<u32>,
    /// Place, time and device stay in it.
    pub(crate) keeps_metadata: bool,
}

/// Makes of a picture what is asked for; gives its bytes and its media type. What is no picture of a known kind stays as it
/// is.
pub(crate) fn prepare(bytes: Vec<u8>, media: &str, wanted: Wanted) -> Result<(Vec<u8>, String), FileProblem> {
    let format = match media {
        "image/jpeg" => ImageFormat::Jpeg,
        "image/png" => ImageFormat::Png,
        "image/webp" => ImageFormat::WebP,
        _other => return Ok((bytes, media.to_owned())),
    };
    let ((width, height), turned) = {
        let mut decoder = reader(&bytes, format)?;
        (decoder.dimensions(), decoder.orientation().unwrap_or(Orientation::NoTransforms))
    };
    let edge = wanted.max_pixels.filter(|most| width.max(height) > *most);
    // Only a JPEG can say how it is turned without what else stands there.
    let turn = !wanted.keeps_metadata && turned != Orientation::NoTransforms && format != ImageFormat::Jpeg;
    if edge.is_some() || turn {
        return encode(&bytes, format, edge, wanted.keeps_metadata);
    }
    if wanted.keeps_metadata {
        return Ok((bytes, media.to_owned()));
    }
    let stripped = match media {
        "image/jpeg" => strip::jpeg(&bytes),
        "image/png" => strip::png(&bytes),
        _webp => strip::webp(&bytes),
    };
    Ok((stripped.ok_or(FileProblem::Unreadable)?, media.to_owned()))
}

fn reader(bytes: &[u8], format: ImageFormat) -> Result<impl ImageDecoder + '_, FileProblem> {
    let decoder = ImageReader::with_format(Cursor::new(bytes), format).into_decoder();
    let mut decoder = decoder.map_err(|_ignored| FileProblem::Unreadable)?;
    let mut limits = image::Limits::no_limits();
    limits.max_alloc = Some(DECODED_MAX);
    if decoder.total_bytes() > DECODED_MAX || decoder.set_limits(limits).is_err() {
        return Err(FileProblem::TooManyPixels);
    }
    Ok(decoder)
}

/// Writes the picture anew: upright, scaled, with its colour profile and nothing else, unless all is to be kept.
fn encode(bytes: &[u8], format: ImageFormat, edge: Option<u32>, keep: bool) -> Result<(Vec<u8>, String), FileProblem> {
    let failed = |_| FileProblem::Unreadable;
    let mut decoder = reader(bytes, format)?;
    let turned = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let profile = decoder.icc_profile().ok().flatten();
    let mut exif = if keep { decoder.exif_metadata().ok().flatten() } else { None };
    if let Some(exif) = &mut exif {
        // The picture is upright from now on.
        let _ = Orientation::remove_from_exif_chunk(exif);
    }
    let mut picture = DynamicImage::from_decoder(decoder).map_err(failed)?;
    if let Some(edge) = edge {
        picture = picture.resize(edge, edge, FilterType::Triangle);
    }
    picture.apply_orientation(turned);
    let (width, height) = (picture.width(), picture.height());
    let mut out = Vec::new();
    let is_drawn = format == ImageFormat::Png || picture.color().has_alpha();
    let written = if is_drawn {
        let mut encoder = PngEncoder::new(&mut out);
        let _ = profile.map(|profile| encoder.set_icc_profile(profile));
        let _ = exif.map(|exif| encoder.set_exif_metadata(exif));
        encoder.write_image(picture.to_rgba8().as_raw(), width, height, ExtendedColorType::Rgba8)
    } else {
        let mut encoder = JpegEncoder::new_with_quality(&mut out, QUALITY);
        let _ = profile.map(|profile| encoder.set_icc_profile(profile));
        let _ = exif.map(|exif| encoder.set_exif_metadata(exif));
        encoder.write_image(picture.to_rgb8().as_raw(), width, height, ExtendedColorType::Rgb8)
    };
    written.map_err(failed)?;
    Ok((out, if is_drawn { "image/png" } else { "image/jpeg" }.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture whose left half is white, with a place written into it, and turned by a quarter.
    fn photo(width: u32, height: u32, orientation: u8) -> Vec<u8> {
        let picture =
            image::RgbImage::from_fn(width, height, |x, _| image::Rgb([if x < width / 2 { 255 } else { 0 }; 3]));
        let mut exif = b"II*\0\x08\0\0\0\x02\0\x12\x01\x03\0\x01\0\0\0".to_vec();
        exif.extend([orientation, 0, 0, 0]);
        exif.extend(b"\x0f\x01\x02\0\x08\0\0\0\x26\0\0\0\0\0\0\0KUPANG!\0");
        let mut bytes = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 90);
        encoder.set_exif_metadata(exif).unwrap();
        encoder.write_image(picture.as_raw(), width, height, ExtendedColorType::Rgb8).unwrap();
        // A small picture of it where the format has room for one …
        let at = bytes.windows(4).position(|part| part == b"\xff\xe0\0\x10").unwrap();
        bytes.splice(at + 2..at + 4, [0, 0x10 + 12]);
        bytes.splice(at + 16..at + 18, *b"\x02\x02KUPANG!KUPAN");
        // … and what some phones put behind the picture: a film.
        bytes.extend(b"....ftypmp42KUPANG!");
        bytes
    }

    fn holds(bytes: &[u8], secret: &[u8]) -> bool {
        bytes.windows(secret.len()).any(|part| part == secret)
    }

    fn shown(bytes: &[u8]) -> DynamicImage {
        let mut decoder = ImageReader::new(Cursor::new(bytes)).with_guessed_format().unwrap().into_decoder().unwrap();
        let turned = decoder.orientation().unwrap();
        let mut picture = DynamicImage::from_decoder(decoder).unwrap();
        picture.apply_orientation(turned);
        picture
    }

    #[test]
    fn a_picture_is_scaled_upright_and_says_no_more_where_it_was_taken() {
        let original = photo(800, 400, 6);
        assert!(holds(&original, b"KUPANG!"));
        let wanted = Wanted { max_pixels: Some(200), keeps_metadata: false };
        let (scaled, media) = prepare(original.clone(), "image/jpeg", wanted).unwrap();
        assert_eq!(media, "image/jpeg");
        assert!(!holds(&scaled, b"KUPANG!") && !holds(&scaled, b"Exif"));
        let picture = shown(&scaled);
        assert_eq!((picture.width(), picture.height()), (100, 200));
        // Turned by a quarter, what was left is on top.
        assert!(picture.to_luma8().get_pixel(50, 20)[0] > 200 && picture.to_luma8().get_pixel(50, 180)[0] < 50);

        let kept = Wanted { max_pixels: Some(200), keeps_metadata: true };
        let (kept, _) = prepare(original, "image/jpeg", kept).unwrap();
        assert!(holds(&kept, b"KUPANG!"));
        assert_eq!(shown(&kept).to_luma8().dimensions(), (100, 200));
    }

    #[test]
    fn a_picture_that_is_small_enough_keeps_its_pixels_and_its_turn() {
        let original = photo(80, 40, 6);
        let (stripped, _) = prepare(original.clone(), "image/jpeg", Wanted::default()).unwrap();
        assert!(!holds(&stripped, b"KUPANG!") && !holds(&stripped, b"ftyp"));
        assert_eq!(shown(&stripped), shown(&original));
        let all = Wanted { keeps_metadata: true, max_pixels: Some(100) };
        assert_eq!(prepare(original.clone(), "image/jpeg", all).unwrap().0, original);
    }

    #[test]
    fn what_is_no_picture_or_too_large_a_one_is_told() {
        assert_eq!(prepare(b"\xff\xd8\xffno".to_vec(), "image/jpeg", Wanted::default()), Err(FileProblem::Unreadable));
        let mut bomb = Vec::new();
        DynamicImage::new_luma8(17_000, 16_000).write_to(&mut Cursor::new(&mut bomb), ImageFormat::Png).unwrap();
        assert_eq!(prepare(bomb, "image/png", Wanted::default()), Err(FileProblem::TooManyPixels));
        let text = b"nama,umur".to_vec();
        assert_eq!(prepare(text.clone(), "text/csv", Wanted::default()), Ok((text, "text/csv".to_owned())));
    }

    #[test]
    fn png_and_webp_lose_their_words_and_keep_their_pixels() {
        let picture = DynamicImage::new_rgb8(9, 5);
        let exif = b"II*\0\x08\0\0\0\x01\0\x0f\x01\x02\0\x08\0\0\0\x1a\0\0\0\0\0\0\0KUPANG!\0".to_vec();
        let (mut drawn, mut packed) = (Vec::new(), Vec::new());
        let mut encoder = PngEncoder::new(&mut drawn);
        encoder.set_exif_metadata(exif.clone()).unwrap();
        encoder.write_image(picture.as_bytes(), 9, 5, ExtendedColorType::Rgb8).unwrap();
        let mut encoder = image::codecs::webp::WebPEncoder::new_lossless(&mut packed);
        encoder.set_exif_metadata(exif).unwrap();
        encoder.write_image(picture.as_bytes(), 9, 5, ExtendedColorType::Rgb8).unwrap();
        for (bytes, media) in [(drawn, "image/png"), (packed, "image/webp")] {
            assert!(holds(&bytes, b"KUPANG!"), "{media}");
            let (stripped, same) = prepare(bytes, media, Wanted::default()).unwrap();
            assert_eq!(same, media);
            assert!(!holds(&stripped, b"KUPANG!"), "{media}");
            assert_eq!(image::load_from_memory(&stripped).unwrap().to_rgb8(), picture.to_rgb8());
        }
    }
}
