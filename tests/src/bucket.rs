//! A bucket that speaks as much S3 as an object store asks for, on this machine, for tests.

use anyhow::{Context, Result};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
};

/// The least that a part may have, but for the last one: what S3 asks for.
const PART_MIN: usize = 5 << 20;

/// What a bucket holds, and what is being put into it part by part.
#[derive(Debug, Default)]
struct Held {
    objects: BTreeMap<String, Vec<u8>>,
    /// By the upload's name: each part by its number.
    parts: BTreeMap<String, BTreeMap<u32, Vec<u8>>>,
    /// How many objects came in parts.
    in_parts: usize,
}

type Objects = Arc<Mutex<Held>>;

/// The bucket; its threads end with the process.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// Its address.
    pub url: String,
    objects: Objects,
}

impl Bucket {
    /// Opens an empty one.
    ///
    /// # Errors
    /// If the operating system gives no socket.
    pub fn open() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}", listener.local_addr()?);
        let objects = Objects::default();
        let shared = objects.clone();
        std::thread::spawn(move || {
            for line in listener.incoming().flatten() {
                let objects = shared.clone();
                std::thread::spawn(move || while matches!(answer(&line, &objects), Ok(true)) {});
            }
        });
        Ok(Self { url, objects })
    }

    /// What it holds, by key.
    #[must_use]
    pub fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner).objects.clone()
    }

    /// How many objects came in parts.
    #[must_use]
    pub fn in_parts(&self) -> usize {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner).in_parts
    }
}

/// Answers one request; false once the line has ended.
fn answer(line: &TcpStream, objects: &Objects) -> Result<bool> {
    let mut reader = BufReader::new(line);
    let mut first = String::new();
    if reader.read_line(&mut first)? == 0 {
        return Ok(false);
    }
    let (mut length, mut range, mut signed) = (0, None, false);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim().split_once(':') else { break };
        match (name.to_ascii_lowercase().as_str(), value.trim()) {
            ("content-length", value) => length = value.parse()?,
            ("range", value) => range = value.strip_prefix("bytes=").map(str::to_owned),
            ("authorization", value) => signed = value.starts_with("AWS4-HMAC-SHA256 "),
            _other => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut words = first.split(' ');
    let (method, target) = (words.next().context("a method")?, words.next().context("a target")?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let key = path.trim_start_matches('/').split_once('/').map_or("", |(_, key)| key).to_owned();
    let mut held = objects.lock().unwrap_or_else(PoisonError::into_inner);
    let (status, headers, out) = if signed {
        match (method, query) {
            ("GET", query) if query.contains("list-type=2") => ("200 OK", String::new(), list(&held.objects)),
            (method, query) if query.contains("uploadId=") || query.starts_with("uploads") => {
                ("200 OK", String::new(), in_parts(&mut held, method, query, key, body)?)
            }
            ("POST", "delete") => {
                for part in String::from_utf8_lossy(&body).split("<Key>").skip(1) {
                    held.objects.remove(part.split("</Key>").next().unwrap_or_default());
                }
                ("200 OK", String::new(), b"<DeleteResult></DeleteResult>".to_vec())
            }
            ("PUT", _) => {
                held.objects.insert(key, body);
                ("200 OK", String::new(), Vec::new())
            }
            ("DELETE", _) => {
                held.objects.remove(&key);
                ("204 No Content", String::new(), Vec::new())
            }
            _get => match held.objects.get(&key) {
                Some(found) => part(found, range.as_deref()),
                None => ("404 Not Found", String::new(), b"<Error><Code>NoSuchKey</Code></Error>".to_vec()),
            },
        }
    } else {
        ("403 Forbidden", String::new(), b"<Error><Code>AccessDenied</Code></Error>".to_vec())
    };
    drop(held);
    let mut line = line;
    let fixed = "etag: \"1\"\r\nlast-modified: Tue, 24 Nov 2026 00:00:00 GMT\r\n";
    write!(line, "HTTP/1.1 {status}\r\n{fixed}{headers}content-length: {}\r\n\r\n", out.len())?;
    if method != "HEAD" {
        line.write_all(&out)?;
    }
    Ok(true)
}

/// An object that comes in parts: begun, sent, put together, or given up.
fn in_parts(held: &mut Held, method: &str, query: &str, key: String, body: Vec<u8>) -> Result<Vec<u8>> {
    let value = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let Some(upload) = value("uploadId").map(str::to_owned) else {
        let upload = format!("u{}", held.parts.len());
        held.parts.insert(upload.clone(), BTreeMap::new());
        let begun =
            format!("<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>");
        return Ok(begun.into_bytes());
    };
    match method {
        "PUT" => {
            let number = value("partNumber").context("a part's number")?.parse()?;
            held.parts.get_mut(&upload).context("an upload that was begun")?.insert(number, body);
            Ok(Vec::new())
        }
        "POST" => {
            let parts = held.parts.remove(&upload).context("an upload that was begun")?;
            let small = parts.values().rev().skip(1).any(|part| part.len() < PART_MIN);
            anyhow::ensure!(!small, "a part that is not the last is too small");
            held.objects.insert(key, parts.into_values().flatten().collect());
            held.in_parts += 1;
            Ok(b"<CompleteMultipartUploadResult><ETag>1</ETag></CompleteMultipartUploadResult>".to_vec())
        }
        _other => {
            held.parts.remove(&upload);
            Ok(Vec::new())
        }
    }
}

fn part(found: &[u8], range: Option<&str>) -> (&'static str, String, Vec<u8>) {
    // What it can't read as a range it passes over; some count no further than a signed number.
    let span = range.and_then(|range| range.split_once('-'));
    let span = span.and_then(|(start, end)| Some((start.parse().ok()?, end.parse::<i64>().ok()?)));
    let Some((start, end)) = span.and_then(|(start, end)| Some((start, usize::try_from(end).ok()? + 1))) else {
        return ("200 OK", String::new(), found.to_vec());
    };
    let end = end.min(found.len());
    let span = format!("content-range: bytes {start}-{}/{}\r\n", end.saturating_sub(1), found.len());
    ("206 Partial Content", span, found.get(start..end).unwrap_or_default().to_vec())
}

fn list(held: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let mut out = String::from("<ListBucketResult><IsTruncated>false</IsTruncated>");
    for (key, bytes) in held {
        let size = bytes.len();
        out.push_str(&format!(
            "<Contents><Key>{key}</Key><LastModified>2026-11-24T00:00:00.000Z</LastModified><ETag>\"1\"</ETag><Size>{size}</Size></Contents>"
        ));
    }
    out.push_str("</ListBucketResult>");
    out.into_bytes()
}
