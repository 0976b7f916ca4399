//! Photos in tests: a questionnaire that asks for them, pictures to take, and a tus client that can be cut at any byte.

use crate::{field::Enumerator, survey::Survey};
use anyhow::{Context, Result};
use base64::{Engine, engine::general_purpose::STANDARD};
use image::{ExtendedColorType, ImageEncoder, codecs::jpeg::JpegEncoder};
use rust_xlsxwriter::Workbook;
use sha2::{Digest, Sha256};
use std::{
    io::{Read, Write},
    net::TcpStream,
};
use sync_protocol::{Attachment, HouseholdId, RecordId, Value};

/// The questionnaire that asks for photos.
pub const FORM: &str = "photos@1";

/// A household of an area with an interview that asks for photos, on an enumerator's device.
///
/// # Errors
/// If the device fails.
pub fn interview(person: &mut Enumerator, area: &str) -> Result<(HouseholdId, RecordId)> {
    let author = person.code.clone();
    let fields = [("area", Value::text(area)), ("head", Value::text("Maria Lay"))];
    let household = person.device.register_household(&author, &fields)?;
    let record = person.device.start_interview(household, "1", &FORM.parse()?, &author)?;
    Ok((household, record))
}

/// Publishes the questionnaire: `house` is scaled to 400 pixels, `sign` stays as it is, `raw` keeps its metadata; a
/// recording, a film, a file; photos in a roster.
///
/// # Errors
/// If it can't be loaded.
pub fn publish(survey: &Survey) -> Result<()> {
    let rows = [
        ["image", "house", "House", "max-pixels=400"],
        ["signature", "sign", "Signature", ""],
        ["image", "raw", "As it is", "metadata=keep"],
        ["audio", "voice", "Voice", ""],
        ["video", "film", "Film", ""],
        ["file", "paper", "Paper", ""],
        ["begin_repeat", "room", "Room", ""],
        ["image", "inside", "Inside", "max-pixels=400"],
        ["end_repeat", "", "", ""],
        ["text", "words", "Words", ""],
    ];
    let mut book = Workbook::new();
    let sheet = book.add_worksheet().set_name("survey")?;
    sheet.write_row(0, 0, ["type", "name", "label", "parameters"])?;
    for (at, row) in (1..).zip(rows) {
        sheet.write_row(at, 0, row)?;
    }
    let settings = [["form_id", "version"], ["photos", "1"]];
    book.add_worksheet().set_name("settings")?.write_row_matrix(0, 0, settings)?;
    let file = survey.file("photos.xlsx");
    book.save(&file)?;
    survey.office.run("questionnaire load", &[&file.display().to_string()])?;
    Ok(())
}

/// A JPEG that no other seed makes.
///
/// # Panics
/// Never: a picture in memory can be written.
#[must_use]
pub fn jpeg(seed: u32, width: u32, height: u32) -> Vec<u8> {
    let picture = image::RgbImage::from_fn(width, height, |x, y| {
        // Noise, so that the file is as large as a photo's.
        let noise = (x ^ seed).wrapping_mul(2_654_435_761).wrapping_add(y.wrapping_mul(40_503)).to_le_bytes();
        image::Rgb([noise[1], noise[2], noise[3]])
    });
    let mut bytes = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut bytes, 80);
    let written = encoder.write_image(picture.as_raw(), width, height, ExtendedColorType::Rgb8);
    assert!(written.is_ok(), "a picture in memory can be written");
    bytes
}

/// The hash of some bytes.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An answer that names some bytes.
///
/// # Errors
/// If the media type is none.
pub fn named(bytes: &[u8], media: &str, name: &str) -> Result<Value> {
    let text = format!("{} {} {media} {name}", sha256(bytes), bytes.len());
    Ok(text.parse::<Attachment>()?.to_value())
}

/// What the server answered.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers, in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Where the upload goes on.
    #[must_use]
    pub fn offset(&self) -> Option<usize> {
        self.header("upload-offset")?.parse().ok()
    }

    /// The code of a problem document.
    #[must_use]
    pub fn code(&self) -> String {
        let document: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        document.get("code").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
    }
}

/// A tus client made of a socket.
#[derive(Debug, Clone)]
pub struct Tus {
    address: String,
    token: String,
}

impl Tus {
    /// Speaks for a device.
    ///
    /// # Errors
    /// If the address is none.
    pub fn new(url: &str, token: &str) -> Result<Self> {
        let address = url.strip_prefix("http://").context("an address")?.to_owned();
        Ok(Self { address, token: token.to_owned() })
    }

    /// Sends a request of which only the first bytes of the body leave, and hangs up; without `cut` reads the answer.
    ///
    /// # Errors
    /// If the server can't be reached.
    pub fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        cut: Option<usize>,
    ) -> Result<Answer> {
        let mut line = TcpStream::connect(&self.address)?;
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", self.address);
        head.push_str(&format!("authorization: Bearer {}\r\ncontent-length: {}\r\n", self.token, body.len()));
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        line.write_all(format!("{head}\r\n").as_bytes())?;
        line.write_all(body.get(..cut.unwrap_or(body.len())).unwrap_or(body))?;
        if cut.is_some() {
            line.shutdown(std::net::Shutdown::Both)?;
            return Ok(Answer { status: 0, headers: Vec::new(), body: Vec::new() });
        }
        let mut answer = Vec::new();
        line.read_to_end(&mut answer)?;
        let end = answer.windows(4).position(|part| part == b"\r\n\r\n").context("an answer's head")?;
        let (head, body) = answer.split_at(end);
        let head = String::from_utf8_lossy(head);
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).context("a status")?.parse()?;
        let pairs = lines.filter_map(|line| line.split_once(':'));
        let headers = pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
        Ok(Answer { status, headers, body: body.get(4..).unwrap_or_default().to_vec() })
    }

    /// Begins an upload of some bytes; the path of the upload where it was begun.
    ///
    /// # Errors
    /// If the server can't be reached.
    pub fn create(&self, bytes: &[u8], media: &str) -> Result<(Answer, String)> {
        let answer = self.offer(bytes, media, "")?;
        let path = answer.header("location").unwrap_or_default().to_owned();
        Ok((answer, path))
    }

    /// Says that bytes which this device named are lost here.
    ///
    /// # Errors
    /// If the server can't be reached.
    pub fn give_up(&self, bytes: &[u8], media: &str) -> Result<Answer> {
        self.offer(bytes, media, ",lost")
    }

    fn offer(&self, bytes: &[u8], media: &str, more: &str) -> Result<Answer> {
        let metadata = format!("sha256 {},filetype {}{more}", STANDARD.encode(sha256(bytes)), STANDARD.encode(media));
        let length = bytes.len().to_string();
        let headers = [("tus-resumable", "1.0.0"), ("upload-length", length.as_str()), ("upload-metadata", &metadata)];
        self.call("POST", "/v1/uploads", &headers, b"", None)
    }

    /// Where an upload goes on.
    ///
    /// # Errors
    /// If the server can't be reached.
    pub fn head(&self, path: &str) -> Result<Answer> {
        self.call("HEAD", path, &[("tus-resumable", "1.0.0")], b"", None)
    }

    /// Goes on with an upload.
    ///
    /// # Errors
    /// If the server can't be reached.
    pub fn patch(
        &self,
        path: &str,
        offset: usize,
        part: &[u8],
        checksum: Option<&str>,
        cut: Option<usize>,
    ) -> Result<Answer> {
        let offset = offset.to_string();
        let mut headers = vec![
            ("tus-resumable", "1.0.0"),
            ("content-type", "application/offset+octet-stream"),
            ("upload-offset", offset.as_str()),
        ];
        headers.extend(checksum.map(|checksum| ("upload-checksum", checksum)));
        self.call("PATCH", path, &headers, part, cut)
    }

    /// Sends all of some bytes.
    ///
    /// # Errors
    /// If the server does not take them.
    pub fn upload(&self, bytes: &[u8], media: &str) -> Result<()> {
        let (begun, path) = self.create(bytes, media)?;
        if begun.offset() == Some(bytes.len()) {
            return Ok(());
        }
        let answer = self.patch(&path, 0, bytes, None, None)?;
        anyhow::ensure!(answer.status == 204, "{answer:?}");
        Ok(())
    }

    /// Asks for something.
    ///
    /// # Errors
    /// If the server can't be reached.
    pub fn get(&self, path: &str) -> Result<Answer> {
        self.call("GET", path, &[], b"", None)
    }
}
