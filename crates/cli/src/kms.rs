//! Root keys in a key management service that speaks AWS KMS's JSON API: data keys are made, opened and wrapped anew there,
//! and root keys never come here.
//!
//! Source: "AWS KMS API Reference": GenerateDataKey, Decrypt, ReEncrypt, DescribeKey. Credentials come from the
//! environment, by the names the SDKs use.

use std::sync::RwLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, Request};
use partita_auth::sigv4::{SecretKey, Signer};
use partita_client::{Bounds, Client};
use partita_db::{DataKey, KeyAnswer, KeyContext, KeyError, KeyResult, KeyService, Scope, WrappedKey};
use serde_json::{Value, json};

/// How long the service may take, and the most of an answer that is read.
const BOUNDS: Bounds =
    Bounds { connect: Duration::from_secs(2), total: Duration::from_secs(5), max_response_bytes: 64 << 10 };
/// How often a request is tried that the service did not answer.
const ATTEMPTS: u32 = 3;
/// The pause before it is tried again.
const PAUSE: Duration = Duration::from_millis(150);
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
/// What is wrong with the request's sender, or only for now: no word on the key.
const NOT_ABOUT_THE_KEY: [&str; 9] = [
    "ThrottlingException",
    "LimitExceededException",
    "DependencyTimeoutException",
    "KMSInternalException",
    "UnrecognizedClientException",
    "InvalidSignatureException",
    "ExpiredTokenException",
    "MissingAuthenticationTokenException",
    "IncompleteSignatureException",
];

/// A key management service.
#[derive(Debug)]
pub struct Kms {
    client: Client,
    signer: Signer,
    endpoint: String,
    /// The key of tables that ask for none, as the command line names it.
    default_key: String,
    /// The same by its ARN, once it is known.
    default_arn: RwLock<Option<String>>,
}

impl Kms {
    /// The service at an endpoint. `credential` reads the environment.
    ///
    /// # Errors
    /// When the environment has no credentials, or data keys would come over a network in the clear.
    pub fn new(
        client: Client,
        endpoint: &str,
        region: &str,
        default_key: &str,
        credential: impl Fn(&str) -> Option<String>,
    ) -> KeyResult<Self> {
        if !is_private(endpoint) {
            return Err(KeyError::Setup(format!(
                "--kms-endpoint {endpoint}: data keys come from there, so it has to be an https:// address, or an \
                 http:// one of this machine"
            )));
        }
        let needed = |name| {
            credential(name).ok_or_else(|| KeyError::Setup(format!("a KMS needs credentials: {name} is not set")))
        };
        let signer = Signer {
            access_key: needed("AWS_ACCESS_KEY_ID")?,
            secret: SecretKey::new(&needed("AWS_SECRET_ACCESS_KEY")?),
            session_token: credential("AWS_SESSION_TOKEN"),
            region: region.to_owned(),
            service: "kms".to_owned(),
        };
        Ok(Self {
            client,
            signer,
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            default_key: default_key.to_owned(),
            default_arn: RwLock::new(None),
        })
    }

    fn default_arn(&self) -> Option<String> {
        self.default_arn.read().ok()?.clone()
    }

    /// The ARN of a key that may be used.
    async fn describe(&self, key_id: &str) -> KeyResult<String> {
        let answer = self.ask("DescribeKey", &json!({ "KeyId": key_id })).await?;
        let metadata = |name| answer.get("KeyMetadata")?.get(name)?.as_str();
        let arn = metadata("Arn").ok_or_else(|| malformed("DescribeKey"))?;
        match metadata("KeyState") {
            Some("Enabled" | "Updating") | None => Ok(arn.to_owned()),
            Some("Disabled") => Err(KeyError::refused("DisabledException", format!("{arn} is disabled."))),
            Some(state) => Err(KeyError::refused("KMSInvalidStateException", format!("{arn} is {state}."))),
        }
    }

    async fn ask(&self, operation: &'static str, input: &Value) -> KeyResult<Value> {
        let mut attempt = 1;
        loop {
            match self.ask_once(operation, input).await {
                Err(KeyError::Unreachable(_)) if attempt < ATTEMPTS => tokio::time::sleep(PAUSE * attempt).await,
                answer => return answer,
            }
            attempt += 1;
        }
    }

    async fn ask_once(&self, operation: &'static str, input: &Value) -> KeyResult<Value> {
        let unreachable = |error: &dyn std::fmt::Display| KeyError::Unreachable(format!("{operation}: {error}"));
        let mut request = Request::post(format!("{}/", self.endpoint))
            .header(CONTENT_TYPE, "application/x-amz-json-1.1")
            .header(TARGET, format!("TrentService.{operation}"))
            .body(Bytes::from(input.to_string()))
            .map_err(|error| KeyError::Setup(format!("the KMS endpoint is no address: {error}")))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        self.signer.sign(&mut request, now).map_err(|error| KeyError::Setup(error.to_string()))?;
        let response = self.client.send(request, BOUNDS).await.map_err(|error| unreachable(&error))?;
        let status = response.status();
        let answer: Value = serde_json::from_slice(response.body()).unwrap_or_default();
        if status.is_success() {
            return Ok(answer);
        }
        let code = answer.get("__type").and_then(Value::as_str).unwrap_or_default();
        let code = code.rsplit_once('#').map_or(code, |(_, code)| code);
        if !status.is_client_error() || code.is_empty() || NOT_ABOUT_THE_KEY.contains(&code) {
            return Err(unreachable(&format_args!("status {}, {code}", status.as_u16())));
        }
        let message =
            ["message", "Message"].iter().find_map(|name| answer.get(*name)?.as_str()).unwrap_or("no message");
        Err(KeyError::refused(code, message.chars().take(500).collect::<String>()))
    }

    fn root<'a>(&'a self, root: Option<&'a str>) -> &'a str {
        root.unwrap_or(&self.default_key)
    }
}

impl KeyService for Kms {
    fn kind(&self) -> &'static str {
        "KMS"
    }

    fn prepare(&self, _new: bool) -> KeyAnswer<'_, ()> {
        Box::pin(async move {
            let arn = self.describe(&self.default_key).await?;
            if let Ok(mut known) = self.default_arn.write() {
                *known = Some(arn);
            }
            Ok(())
        })
    }

    fn resolve<'a>(&'a self, key_id: &'a str) -> KeyAnswer<'a, String> {
        Box::pin(self.describe(key_id))
    }

    fn arn(&self, root: Option<&str>, _scope: &Scope) -> String {
        root.map(str::to_owned).or_else(|| self.default_arn()).unwrap_or_else(|| self.default_key.clone())
    }

    fn generate<'a>(&'a self, root: Option<&'a str>, context: &'a KeyContext) -> KeyAnswer<'a, (DataKey, WrappedKey)> {
        Box::pin(async move {
            let input = json!({ "KeyId": self.root(root), "KeySpec": "AES_256", "EncryptionContext": context });
            let answer = self.ask("GenerateDataKey", &input).await?;
            Ok((plain(&answer, "GenerateDataKey")?, wrapped(&answer, "GenerateDataKey")?))
        })
    }

    fn unwrap<'a>(&'a self, wrapped: &'a WrappedKey, context: &'a KeyContext) -> KeyAnswer<'a, DataKey> {
        Box::pin(async move {
            // AWS's service refuses to open what a disabled key has wrapped; others have to be asked about the key.
            self.describe(&wrapped.root).await?;
            let input = json!({
                "CiphertextBlob": STANDARD.encode(&wrapped.bytes),
                "KeyId": wrapped.root,
                "EncryptionContext": context,
            });
            plain(&self.ask("Decrypt", &input).await?, "Decrypt")
        })
    }

    fn rewrap<'a>(
        &'a self,
        from: &'a WrappedKey,
        root: Option<&'a str>,
        context: &'a KeyContext,
    ) -> KeyAnswer<'a, WrappedKey> {
        Box::pin(async move {
            let input = json!({
                "CiphertextBlob": STANDARD.encode(&from.bytes),
                "SourceKeyId": from.root,
                "SourceEncryptionContext": context,
                "DestinationKeyId": self.root(root),
                "DestinationEncryptionContext": context,
            });
            wrapped(&self.ask("ReEncrypt", &input).await?, "ReEncrypt")
        })
    }

    /// The service turns keys over by itself, under the same ARN; what changes here is which key is asked for.
    fn is_newest(&self, wrapped: &WrappedKey, root: Option<&str>) -> bool {
        match root.map(str::to_owned).or_else(|| self.default_arn()) {
            Some(arn) => wrapped.root == arn,
            None => true,
        }
    }

    fn has_changed(&self) -> bool {
        false
    }
}

/// Whether what is sent to an endpoint stays between the two: over TLS, or on this machine.
fn is_private(endpoint: &str) -> bool {
    let Ok(uri) = endpoint.parse::<http::Uri>() else { return false };
    let host = uri.host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match uri.scheme_str() {
        Some("https") => true,
        Some("http") => {
            host.eq_ignore_ascii_case("localhost")
                || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        _ => false,
    }
}

fn plain(answer: &Value, operation: &str) -> KeyResult<DataKey> {
    let bytes = answer.get("Plaintext").and_then(Value::as_str).and_then(|text| STANDARD.decode(text).ok());
    bytes.and_then(|bytes| DataKey::from_slice(&bytes)).ok_or_else(|| malformed(operation))
}

fn wrapped(answer: &Value, operation: &str) -> KeyResult<WrappedKey> {
    let bytes = answer.get("CiphertextBlob").and_then(Value::as_str).and_then(|text| STANDARD.decode(text).ok());
    let root = answer.get("KeyId").and_then(Value::as_str).map(str::to_owned);
    bytes.zip(root).map(|(bytes, root)| WrappedKey { root, bytes }).ok_or_else(|| malformed(operation))
}

fn malformed(operation: &str) -> KeyError {
    KeyError::Unreachable(format!("{operation}: the answer is not one of a KMS"))
}

#[cfg(test)]
mod tests {
    use super::is_private;

    #[test]
    fn data_keys_come_over_tls_or_from_this_machine() {
        for endpoint in [
            "https://kms.eu-central-1.amazonaws.com",
            "http://127.0.0.1:5000",
            "http://[::1]:1",
            "http://LocalHost:4566",
        ] {
            assert!(is_private(endpoint), "{endpoint}");
        }
        for endpoint in [
            "http://kms.internal",
            "http://127.0.0.1.example.com",
            "http://localhost@example.com",
            "http://10.0.0.1:1",
            "example.com",
            "",
        ] {
            assert!(!is_private(endpoint), "{endpoint}");
        }
    }
}
