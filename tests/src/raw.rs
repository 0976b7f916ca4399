//! A device that speaks the wire itself, so that it can say what an honest one would not.

use anyhow::{Context, Result};
use client_core::{Host, host::Fixed};
use serde_json::{Value as Json, json};
use sync_protocol::{
    Hash, ReplicaId,
    chain::{Batch, Carried, SecretKey},
    wire::{Reply, Request},
};

/// A device made of a replica, a key and a token.
#[derive(Clone, Debug)]
pub struct RawDevice {
    /// Its replica.
    pub replica: ReplicaId,
    /// Its key.
    pub key: SecretKey,
    /// Its token.
    pub token: String,
    /// The seq of the next change.
    pub next: u64,
    /// `h(next − 1)`.
    pub head: Hash,
    client: reqwest::Client,
}

/// What the server answered.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
    /// Its content type.
    pub content_type: String,
}

impl Answer {
    /// The reply, of a sync that went well.
    ///
    /// # Errors
    /// If it is none.
    pub fn reply(&self) -> Result<Reply> {
        Reply::from_bytes(&self.body)
            .with_context(|| format!("status {}: {}", self.status, String::from_utf8_lossy(&self.body)))
    }

    /// The code of a problem document.
    #[must_use]
    pub fn code(&self) -> String {
        let document: Json = serde_json::from_slice(&self.body).unwrap_or(Json::Null);
        document.get("code").and_then(Json::as_str).unwrap_or("").to_owned()
    }
}

impl RawDevice {
    /// Makes a replica whose key follows from a seed, and enrols it.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn enrol(url: &str, code: &str, seed: u64) -> Result<Self> {
        let mut random = Fixed::new(seed);
        let (mut id, mut secret) = ([0; 16], [0; 32]);
        random.random(&mut id);
        random.random(&mut secret);
        let replica = ReplicaId(uuid::Builder::from_random_bytes(id).into_uuid());
        let key = SecretKey::from_seed(secret);
        let client = reqwest::Client::new();
        let body = json!({ "code": code, "replica": replica, "key": key.public(), "name": "raw" }).to_string();
        let answer = client.post(format!("{url}/v1/enrol")).body(body).send().await?.error_for_status()?;
        let answer: Json = serde_json::from_slice(&answer.bytes().await?)?;
        let token = answer.get("token").and_then(Json::as_str).context("no token")?.to_owned();
        Ok(Self { replica, key, token, next: 1, head: Hash::default(), client })
    }

    /// Signs a batch of these bodies as the next changes, and counts them as sent.
    pub fn batch(&mut self, bodies: &[Vec<u8>]) -> Batch {
        let carried = bodies.iter().cloned().map(Carried::Bytes).collect();
        let batch = Batch::sign(self.replica, self.next, self.head, carried, &self.key);
        (self.next, self.head) = (batch.last() + 1, batch.after());
        batch
    }

    /// A request that holds these batches.
    #[must_use]
    pub fn request(&self, batches: Vec<Batch>) -> Request {
        Request::new(self.replica, 1_767_225_600_000, batches)
    }

    /// Sends a body as it is.
    ///
    /// # Errors
    /// If the server can't be reached.
    pub async fn send(&self, url: &str, body: Vec<u8>, coding: Option<&str>) -> Result<Answer> {
        let mut request = self.client.post(format!("{url}/v1/sync")).bearer_auth(&self.token);
        if let Some(coding) = coding {
            request = request.header("content-encoding", coding);
        }
        let answer = request.body(body).send().await?;
        let content_type = answer.headers().get("content-type").and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or("").to_owned();
        Ok(Answer { status: answer.status().as_u16(), content_type, body: answer.bytes().await?.to_vec() })
    }

    /// Sends batches and reads the reply.
    ///
    /// # Errors
    /// If the server can't be reached or does not answer with a reply.
    pub async fn push(&self, url: &str, batches: Vec<Batch>) -> Result<Reply> {
        self.send(url, self.request(batches).to_bytes(), None).await?.reply()
    }
}
