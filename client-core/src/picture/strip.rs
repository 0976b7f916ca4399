//! Takes out of a picture what is no picture (place, time, device, thumbnails, films behind the end), without touching its
//! pixels. What may stay is listed: what nobody knows of goes.

use image::metadata::Orientation;

/// A JPEG (ITU-T T.81, annex B) without its application data and remarks; how it is turned stays.
pub(super) fn jpeg(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = bytes.get(..2).filter(|start| *start == [0xff, 0xd8])?.to_vec();
    let mut at = 2;
    let mut turned = Orientation::NoTransforms;
    let (mut head, mut body) = (Vec::new(), Vec::new());
    loop {
        // Fill bytes may stand before a marker.
        while bytes.get(at..at + 2)? == [0xff, 0xff] {
            at += 1;
        }
        let [0xff, marker] = *bytes.get(at..at + 2)? else { return None };
        match marker {
            0xd9 => break,
            0x01 | 0xd0..=0xd7 => at += 2,
            _ => {
                let length = usize::from(u16::from_be_bytes(bytes.get(at + 2..at + 4)?.try_into().ok()?));
                let segment = bytes.get(at..at + 2 + length)?;
                let content = segment.get(4..)?;
                at += segment.len();
                if let Some(exif) = content.strip_prefix(b"Exif\0\0").filter(|_| marker == 0xe1) {
                    turned = Orientation::from_exif_chunk(exif).unwrap_or(turned);
                }
                let stays = match marker {
                    0xe0 => content.starts_with(b"JFIF\0"),
                    0xe2 => content.starts_with(b"ICC_PROFILE\0"),
                    0xee => content.starts_with(b"Adobe"),
                    0xe1..=0xef | 0xfe => false,
                    _ => true,
                };
                if stays && marker == 0xe0 {
                    // Without the small picture that may follow: both its sides are 0.
                    head.extend(b"\xff\xe0\x00\x10");
                    head.extend_from_slice(content.get(..12)?);
                    head.extend([0, 0]);
                } else if stays {
                    body.extend_from_slice(segment);
                }
                if marker == 0xda {
                    let scan = scan_length(bytes.get(at..)?)?;
                    body.extend_from_slice(bytes.get(at..at + scan)?);
                    at += scan;
                }
            }
        }
    }
    out.extend(head);
    if turned != Orientation::NoTransforms {
        // An Exif block with one entry: how the picture is turned.
        out.extend(b"\xff\xe1\x00\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0");
        out.extend([turned.to_exif(), 0, 0, 0, 0, 0, 0, 0]);
    }
    out.extend(body);
    out.extend([0xff, 0xd9]);
    Some(out)
}

/// How many bytes of coded data stand before the next marker that is none of the scan's own.
fn scan_length(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += bytes.get(at..)?.iter().position(|byte| *byte == 0xff)?;
        match bytes.get(at + 1)? {
            0x00 | 0xd0..=0xd7 => at += 2,
            0xff => at += 1,
            _ => return Some(at),
        }
    }
}

/// A PNG (ISO/IEC 15948) with its picture and colours alone.
pub(super) fn png(bytes: &[u8]) -> Option<Vec<u8>> {
    const STAYS: &[&[u8]] =
        &[b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP", b"sBIT", b"pHYs", b"acTL", b"fcTL", b"fdAT"];
    let mut out = bytes.get(..8).filter(|start| *start == b"\x89PNG\r\n\x1a\n")?.to_vec();
    let mut at = 8;
    loop {
        let length = usize::try_from(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?)).ok()?;
        let chunk = bytes.get(at..at.checked_add(length)?.checked_add(12)?)?;
        let kind = chunk.get(4..8)?;
        // A chunk whose name begins with a capital is part of the picture itself.
        if kind.first()?.is_ascii_uppercase() || STAYS.contains(&kind) {
            out.extend_from_slice(chunk);
        }
        at += chunk.len();
        if kind == b"IEND" {
            return Some(out);
        }
    }
}

/// A WebP (RFC 9649) with its picture and colours alone.
pub(super) fn webp(bytes: &[u8]) -> Option<Vec<u8>> {
    const STAYS: &[&[u8]] = &[b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF", b"ICCP"];
    if bytes.get(..4)? != b"RIFF" || bytes.get(8..12)? != b"WEBP" {
        return None;
    }
    let end = usize::try_from(u32::from_le_bytes(bytes.get(4..8)?.try_into().ok()?)).ok()?.checked_add(8)?;
    let (mut body, mut at) = (b"WEBP".to_vec(), 12);
    while at < end.min(bytes.len()) {
        let kind = bytes.get(at..at + 4)?;
        let length = usize::try_from(u32::from_le_bytes(bytes.get(at + 4..at + 8)?.try_into().ok()?)).ok()?;
        let padded = length.checked_add(length & 1)?.checked_add(8)?;
        let chunk = bytes.get(at..(at.checked_add(padded)?).min(bytes.len()))?;
        if kind == b"VP8X" {
            let mut chunk = chunk.to_vec();
            // It says that there is Exif (8) and XMP (4): there is none any more.
            *chunk.get_mut(8)? &= !0x0c;
            body.extend(chunk);
        } else if STAYS.contains(&kind) {
            body.extend_from_slice(chunk);
        }
        at += padded;
    }
    let mut out = b"RIFF".to_vec();
    out.extend(u32::try_from(body.len()).ok()?.to_le_bytes());
    out.extend(body);
    Some(out)
}
