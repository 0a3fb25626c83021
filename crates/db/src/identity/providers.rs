//! OpenID Connect providers: whose tokens roles can be assumed with.

use std::collections::BTreeMap;

use partita_engine::{Freshness, Key};

use super::entity::Provider;
use super::fault::{Fault, FaultCode, Outcome};
use super::limits::{MAX_CLIENT_IDS, MAX_PROVIDERS, MAX_TAGS, MAX_THUMBPRINTS};
use crate::error::Result;
use crate::{Database, keyspace};

/// A provider that is to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewProvider {
    /// The issuer: an `https` URL without query, checked.
    pub url: String,
    /// The audiences that tokens may name.
    pub client_ids: Vec<String>,
    /// Thumbprints of certificates.
    pub thumbprints: Vec<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// The ARN of a provider by its URL.
#[must_use]
pub fn provider_arn(account: &str, url: &str) -> String {
    let name = url.split_once("://").map_or(url, |(_, name)| name);
    format!("arn:aws:iam::{account}:oidc-provider/{name}")
}

fn provider_key(account: &str, arn: &str) -> Key {
    keyspace::identity(account, b'o', arn)
}

fn no_such_provider(arn: &str) -> Fault {
    Fault::missing(format!("OpenIDConnect Provider not found for arn {arn}"))
}

impl Database {
    /// Makes an OpenID Connect provider.
    ///
    /// # Errors
    /// `EntityAlreadyExists`, `LimitExceeded`.
    pub async fn create_provider(&self, account: &str, new: NewProvider) -> Outcome<Provider> {
        if self.count_identities(keyspace::identities(account, b'o')).await? >= MAX_PROVIDERS {
            return Err(Fault::quota("OpenIdConnectProvidersPerAccount", MAX_PROVIDERS));
        }
        for (name, count, most) in [
            ("ClientIdsPerOpenIdConnectProvider", new.client_ids.len(), MAX_CLIENT_IDS),
            ("ThumbprintsPerOpenIdConnectProvider", new.thumbprints.len(), MAX_THUMBPRINTS),
            ("TagsPerOpenIdConnectProvider", new.tags.len(), MAX_TAGS),
        ] {
            if count > most {
                return Err(Fault::quota(name, most));
            }
        }
        let NewProvider { url, client_ids, thumbprints, tags } = new;
        let key = provider_key(account, &provider_arn(account, &url));
        let provider = Provider { url, client_ids, thumbprints, created_ms: self.now_ms(), tags };
        self.change_identities(std::slice::from_ref(&key), |records| {
            if records.get::<Provider>(&key)?.is_some() {
                return Err(Fault::exists(format!("Provider with url {} already exists.", provider.url)));
            }
            records.put(&key, &provider)?;
            Ok(provider.clone())
        })
        .await
    }

    /// A provider, by its ARN.
    ///
    /// # Errors
    /// `NoSuchEntity`.
    pub async fn provider(&self, account: &str, arn: &str) -> Outcome<Provider> {
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let found = self.identity_at(&snapshot, &provider_key(account, arn)).await?;
        found.ok_or_else(|| no_such_provider(arn))
    }

    /// The providers of an account.
    ///
    /// # Errors
    /// An engine failure.
    pub async fn providers(&self, account: &str) -> Result<Vec<Provider>> {
        let prefix = keyspace::identities(account, b'o');
        Ok(self.identities_in(prefix, None, MAX_PROVIDERS, |_| true).await?.0)
    }

    /// Deletes a provider; nothing happens when there is none, as with IAM.
    ///
    /// # Errors
    /// `InvalidInput` when this is no ARN of a provider.
    pub async fn delete_provider(&self, account: &str, arn: &str) -> Outcome<()> {
        if !arn.starts_with(&format!("arn:aws:iam::{account}:oidc-provider/")) {
            return Err(Fault::new(FaultCode::InvalidInput, "Invalid ARN"));
        }
        let key = provider_key(account, arn);
        self.change_identities(std::slice::from_ref(&key), |records| {
            if records.get::<Provider>(&key)?.is_some() {
                records.delete(&key);
            }
            Ok(())
        })
        .await
    }
}
