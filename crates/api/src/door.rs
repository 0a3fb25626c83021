//! Requests that come by another door than HTTP: the protocol of DAX. They are whole, as JSON, and their callers have
//! proved themselves for a connection. They are decoded, judged and executed by what does it for HTTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use partita_auth::sigv4::Proof;
use partita_db::{Database, Scope};
use partita_model::{ErrorCode, Refusal};

use crate::authenticate::{now, refusal};
use crate::authorize::{Body, Judged};
use crate::caller::Caller;
use crate::failure::Failure;
use crate::generated::inputs::{BatchGetItemInput, GetItemInput, QueryInput, ScanInput};
use crate::generated::operations::Operation;
use crate::http::{AMZ_JSON, Call, Request, Response, Secured, error_response};
use crate::identity::Identity;
use crate::operations::{self, Context};
use crate::service::Service;
use crate::sight::Observed;

const UNRECOGNIZED: partita_auth::sigv4::SignatureError = partita_auth::sigv4::SignatureError::UnrecognizedClient;

/// How a connection has come.
#[derive(Clone, Debug)]
pub struct Way {
    /// The client's address.
    pub peer: SocketAddr,
    /// How it is secured; `None` in the clear.
    pub secured: Option<Secured>,
}

/// What a client proves itself with for a connection. Nothing prints it.
#[derive(Clone, Copy)]
pub struct Claimed<'a> {
    /// The id of its access key.
    pub access_key: &'a str,
    /// The signature in hexadecimal.
    pub signature: &'a str,
    /// The text that is signed.
    pub string_to_sign: &'a [u8],
    /// The token of temporary credentials.
    pub session_token: Option<&'a str>,
}

/// Who a connection belongs to. Nothing prints it.
#[derive(Clone)]
pub struct Pass {
    scope: Scope,
    /// `None` where nobody is asked.
    proved: Option<Proved>,
}

#[derive(Clone)]
struct Proved {
    access_key: Arc<str>,
    session_token: Option<Arc<str>>,
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// What is asked for.
    pub operation: Operation,
    /// The request, as JSON.
    pub body: &'a [u8],
}

impl Service {
    /// The database.
    #[must_use]
    pub const fn database(&self) -> &Database {
        &self.database
    }

    /// Whether callers are asked who they are, and judged by policies.
    #[must_use]
    pub const fn asks_who(&self) -> bool {
        self.authentication.is_some()
    }

    /// Whether calls on items are told in an audit log.
    #[must_use]
    pub fn tells_data(&self) -> bool {
        self.audit.as_ref().is_some_and(crate::Audit::tells_data)
    }

    /// The pass of a connection whose client says nothing of itself; `None` where it has to.
    #[must_use]
    pub fn open_pass(&self) -> Option<Pass> {
        let Identity { region, account } = Identity::named(None, None, &self.default_region);
        (!self.asks_who()).then_some(Pass { scope: Scope { account, region }, proved: None })
    }

    /// The pass of a connection. Without authentication, what the client names is believed.
    ///
    /// # Errors
    /// `IncompleteSignatureException`, `InvalidSignatureException`, `UnrecognizedClientException` or
    /// `ExpiredTokenException`; `InternalServerError` if the store can not be read.
    pub async fn pass(&self, claimed: Claimed<'_>) -> Result<Pass, Failure> {
        let now = now();
        let proof = Proof::read(claimed.string_to_sign, claimed.session_token, now);
        let Some(authentication) = &self.authentication else {
            let region = Proof::named_region(claimed.string_to_sign);
            let Identity { region, account } = Identity::named(region, Some(claimed.access_key), &self.default_region);
            return Ok(Pass { scope: Scope { account, region }, proved: None });
        };
        let proof = proof.map_err(refusal)?;
        let found = authentication.identities.find(&self.database, claimed.access_key, claimed.session_token).await?;
        let credential = found.filter(|found| found.active).ok_or_else(|| refusal(UNRECOGNIZED))?;
        proof
            .verify(claimed.access_key, claimed.signature, &credential.secret, &authentication.keys)
            .map_err(refusal)?;
        if credential.expires.is_some_and(|end| end <= now) {
            return Err(refusal(partita_auth::sigv4::SignatureError::ExpiredToken));
        }
        authentication.identities.note_use(&self.database, claimed.access_key, proof.region(), "dax");
        Ok(Pass {
            scope: Scope { account: Arc::clone(&credential.principal.account), region: proof.region().into() },
            proved: Some(Proved {
                access_key: claimed.access_key.into(),
                session_token: claimed.session_token.map(Into::into),
            }),
        })
    }

    /// The caller of a connection's next request, as its access key and policies are now.
    ///
    /// # Errors
    /// `UnrecognizedClientException` or `ExpiredTokenException` when the key has been taken away or has ended since.
    pub async fn caller_with(&self, pass: &Pass, way: &Way) -> Result<Caller, Failure> {
        let mut caller = Caller::unauthenticated(pass.scope.clone(), Arc::clone(&self.unattached));
        caller.source = Some(way.peer.ip());
        caller.secure = way.secured.is_some();
        let Some(authentication) = &self.authentication else { return Ok(caller) };
        let proved = pass.proved.as_ref().ok_or_else(|| refusal(UNRECOGNIZED))?;
        let found =
            authentication.identities.find(&self.database, &proved.access_key, proved.session_token.as_deref()).await?;
        let credential = found.filter(|found| found.active).ok_or_else(|| refusal(UNRECOGNIZED))?;
        if credential.expires.is_some_and(|end| end <= now()) {
            return Err(refusal(partita_auth::sigv4::SignatureError::ExpiredToken));
        }
        caller.principal = Some(credential.principal);
        caller.attached = credential.attached;
        caller.access_key = Some(Arc::clone(&proved.access_key));
        Ok(caller)
    }

    /// Decodes, checks and judges a read, and does not execute it.
    ///
    /// # Errors
    /// Those of the operation up to `AccessDeniedException`.
    pub async fn admit(&self, caller: &Caller, asked: Asked<'_>) -> Result<(), Failure> {
        let (headers, observed) = (HeaderMap::new(), Observed::default());
        let context = self.context(caller.clone(), &headers, &observed);
        let body = Body::new(asked.body);
        match asked.operation {
            Operation::GetItem => admit::<GetItemInput>(&context, body).await,
            Operation::BatchGetItem => admit::<BatchGetItemInput>(&context, body).await,
            Operation::Query => admit::<QueryInput>(&context, body).await,
            Operation::Scan => admit::<ScanInput>(&context, body).await,
            other => Err(Failure::internal(format!("{} can not be judged without being executed", other.name()))),
        }
    }

    /// Judges and executes a request.
    ///
    /// # Errors
    /// Those of the operation. What went wrong inside is in `detail`.
    pub async fn execute_for(&self, caller: &Caller, asked: Asked<'_>) -> Result<Vec<u8>, Failure> {
        self.execute_and_count(caller.clone(), asked).await
    }

    /// Executes a read that has been admitted, for everyone who asks for the same.
    ///
    /// # Errors
    /// Those of the operation.
    pub async fn execute_admitted(&self, scope: &Scope, asked: Asked<'_>) -> Result<Vec<u8>, Failure> {
        self.execute_and_count(Caller::unauthenticated(scope.clone(), Arc::clone(&self.unattached)), asked).await
    }

    async fn execute_and_count(&self, caller: Caller, asked: Asked<'_>) -> Result<Vec<u8>, Failure> {
        let (began, headers, observed) = (Instant::now(), HeaderMap::new(), Observed::default());
        let context = self.context(caller, &headers, &observed);
        let answer = operations::execute(&context, asked.operation, asked.body).await;
        self.sight.count(Call::Dynamodb(asked.operation), &observed, began.elapsed(), &answer);
        answer
    }

    fn context<'a>(&'a self, caller: Caller, headers: &'a HeaderMap, observed: &'a Observed) -> Context<'a> {
        Context { database: &self.database, expressions: &self.expressions, caller, headers, observed }
    }

    /// Tells of a request in the audit log, if there is one and it is for such.
    pub fn tell(&self, caller: &Caller, way: &Way, request: Asked<'_>, outcome: Result<(), &Failure>, id: &str) {
        let Some(audit) = self.audit.as_ref().filter(|audit| audit.tells_data()) else { return };
        let mut told = Request::new(Method::POST, Uri::from_static("/"));
        told.body = request.body.to_vec().into();
        told.peer = Some(way.peer);
        told.secured = way.secured;
        id.clone_into(&mut told.request_id);
        let target = format!("DynamoDB_20120810.{}", request.operation.name());
        if let Ok(target) = HeaderValue::try_from(target) {
            told.headers.insert(HeaderName::from_static("x-amz-target"), target);
        }
        let response = match outcome {
            Ok(()) => Response::new(200, AMZ_JSON, Vec::new()),
            Err(failure) => error_response(failure, AMZ_JSON),
        };
        audit.record(&told, Some(caller), &caller.scope.region, &response);
    }
}

async fn admit<T: Judged + Sync>(context: &Context<'_>, body: Body<'_>) -> Result<(), Failure> {
    context.read::<T>(body).await.map(drop)
}

/// `ResourceNotFoundException`, where a table's key is asked for that is not there.
#[must_use]
pub fn no_such_table() -> Failure {
    Refusal::new(ErrorCode::ResourceNotFoundException, "Requested resource not found").into()
}
