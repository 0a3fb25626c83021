//! The writing of objects of unknown length: in parts, with one part in memory. Objects that fit into one are put.

use std::fmt::Write as _;

use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode};

use super::ask::{Ask, Refusal};
use super::{Bucket, accept, etag, xml};
use crate::error::{ObjectError, Result};
use crate::store::Stored;

/// The length of a part in bytes. All parts but the last have it, as some services want.
const PART_BYTES: usize = 16 << 20;
/// The most parts that S3 takes.
const MOST_PARTS: usize = 10_000;

/// An object that is being written.
#[derive(Debug)]
pub(crate) struct Multipart {
    bucket: Bucket,
    key: String,
    /// The service's name for it, once something has been sent.
    upload: Option<String>,
    /// The entity tags of the parts that have been sent.
    parts: Vec<String>,
    next: BytesMut,
    sent: u64,
}

impl Multipart {
    pub(crate) fn new(bucket: Bucket, key: String) -> Self {
        Self { bucket, key, upload: None, parts: Vec::new(), next: BytesMut::new(), sent: 0 }
    }

    pub(crate) async fn write(&mut self, mut bytes: Bytes) -> Result<()> {
        while !bytes.is_empty() {
            let room = PART_BYTES - self.next.len();
            self.next.extend_from_slice(&bytes.split_to(room.min(bytes.len())));
            if self.next.len() == PART_BYTES {
                self.send_part().await?;
            }
        }
        Ok(())
    }

    async fn send_part(&mut self) -> Result<()> {
        if self.parts.len() == MOST_PARTS {
            return Err(ObjectError::Unavailable(format!("{}: longer than 10,000 parts", self.key)));
        }
        let upload = match &self.upload {
            Some(upload) => upload.clone(),
            None => self.start().await?,
        };
        let part = self.next.split().freeze();
        self.sent += part.len() as u64;
        let mut ask = Ask::new(Method::PUT, Some(&self.key));
        ask.query.push(("partNumber", (self.parts.len() + 1).to_string()));
        ask.query.push(("uploadId", upload));
        ask.body = part;
        let response =
            self.bucket.ask(&ask, accept).await.map_err(|refusal| self.bucket.explain(refusal, &self.key))?;
        let etag = etag(&response);
        if etag.is_empty() {
            return Err(ObjectError::Unavailable(format!("{} takes no parts", self.bucket.shown())));
        }
        self.parts.push(etag);
        Ok(())
    }

    async fn start(&mut self) -> Result<String> {
        let mut ask = Ask::new(Method::POST, Some(&self.key));
        ask.query.push(("uploads", String::new()));
        self.bucket.ask_for_encryption(&mut ask);
        let response =
            self.bucket.ask(&ask, accept).await.map_err(|refusal| self.bucket.explain(refusal, &self.key))?;
        let unnamed = || ObjectError::Unavailable(format!("{} starts no upload", self.bucket.shown()));
        let upload = xml::upload_id(response.body()).ok_or_else(unnamed)?;
        self.upload = Some(upload.clone());
        Ok(upload)
    }

    pub(crate) async fn finish(mut self) -> Result<Stored> {
        if self.upload.is_none() {
            let (bucket, key, value) = (self.bucket.clone(), self.key.clone(), self.next.split().freeze());
            return bucket.put(&key, value).await;
        }
        if !self.next.is_empty() {
            self.send_part().await?;
        }
        let stored = self.complete().await?;
        self.upload = None;
        Ok(stored)
    }

    async fn complete(&self) -> Result<Stored> {
        let mut body = String::from("<CompleteMultipartUpload>");
        for (index, etag) in self.parts.iter().enumerate() {
            // Writing to memory can not fail.
            let _ = write!(body, "<Part><ETag>\"{etag}\"</ETag><PartNumber>{}</PartNumber></Part>", index + 1);
        }
        body.push_str("</CompleteMultipartUpload>");
        let mut ask = Ask::new(Method::POST, Some(&self.key));
        ask.query.push(("uploadId", self.upload.clone().unwrap_or_default()));
        ask.body = body.into();
        match self.bucket.ask(&ask, accept).await {
            Ok(response) => Ok(Stored { etag: xml::etag(response.body()).unwrap_or_default() }),
            // An earlier attempt whose answer was lost may have completed it.
            Err(Refusal::Status { status: StatusCode::NOT_FOUND, code, .. })
                if code == "NoSuchUpload"
                    && self.bucket.head(&self.key).await.is_ok_and(|head| head.size == self.sent) =>
            {
                Ok(Stored { etag: String::new() })
            }
            Err(refusal) => Err(self.bucket.explain(refusal, &self.key)),
        }
    }

    pub(crate) async fn abort(mut self) -> Result<()> {
        match self.upload.take() {
            Some(upload) => abort(&self.bucket, &self.key, upload).await,
            None => Ok(()),
        }
    }
}

async fn abort(bucket: &Bucket, key: &str, upload: String) -> Result<()> {
    let mut ask = Ask::new(Method::DELETE, Some(key));
    ask.query.push(("uploadId", upload));
    match bucket.ask(&ask, accept).await {
        Ok(_) | Err(Refusal::Status { status: StatusCode::NOT_FOUND, .. }) => Ok(()),
        Err(refusal) => Err(bucket.explain(refusal, key)),
    }
}

impl Drop for Multipart {
    /// Parts that belong to no object are paid for until they are removed.
    fn drop(&mut self) {
        if let Some(upload) = self.upload.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (bucket, key) = (self.bucket.clone(), std::mem::take(&mut self.key));
            runtime.spawn(async move {
                if let Err(error) = abort(&bucket, &key, upload).await {
                    tracing::warn!(%error, "parts of an object that was given up could not be removed");
                }
            });
        }
    }
}
