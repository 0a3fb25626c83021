//! The service: answers whole requests from a database.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use partita_auth::policy::Attached;
use partita_db::{Database, Scope};
use partita_expr::ParseCache;
use partita_model::{ErrorCode, Refusal};

use crate::audit::Audit;
use crate::authenticate::{self, Authentication};
use crate::caller::Caller;
use crate::dax::{self, DaxCluster};
use crate::failure::Failure;
use crate::http::{Call, Request, Response, error_response, response_type, route};
use crate::iam::{self, Issuers};
use crate::identities::Identities;
use crate::identity::Identity;
use crate::operations::{self, Context};
use crate::request::is_json;
use crate::scaling::{self, ScalingOperation};
use crate::sight::{Observed, Sight};

/// How many parsed expressions are kept.
const CACHED_EXPRESSIONS: usize = 4_096;
/// How many bytes parsed expressions take at most.
const CACHED_EXPRESSION_BYTES: u64 = 16 << 20;

/// DynamoDB's API over one database. Shared by all connections.
pub struct Service {
    pub(crate) database: Database,
    pub(crate) expressions: ParseCache,
    pub(crate) default_region: String,
    /// `None` when nobody is asked who they are.
    pub(crate) authentication: Option<Authentication>,
    issuers: Issuers,
    /// The policies of callers who are not asked who they are: none.
    pub(crate) unattached: Arc<Attached>,
    /// Where calls are told; `None` costs nothing.
    pub(crate) audit: Option<Audit>,
    pub(crate) sight: Sight,
    /// The node that the management API of DAX shows, where there is one.
    pub(crate) dax: OnceLock<DaxCluster>,
}

/// The caller of a request for the audit log, once known; `None` when nothing is told.
type Known<'a> = Option<&'a OnceLock<Caller>>;

impl Service {
    /// The service over `database`; requests whose credentials name no region are in `default_region`.
    #[must_use]
    pub fn new(database: Database, default_region: impl Into<String>) -> Self {
        Self {
            database,
            expressions: ParseCache::new(CACHED_EXPRESSIONS, CACHED_EXPRESSION_BYTES),
            default_region: default_region.into(),
            authentication: None,
            issuers: Issuers::default(),
            unattached: Arc::default(),
            audit: None,
            sight: Sight::new(),
            dax: OnceLock::new(),
        }
    }

    /// The same, telling each call in an audit log.
    #[must_use]
    pub fn audited(mut self, audit: Audit) -> Self {
        self.audit = Some(audit);
        self
    }

    /// The same, telling of requests as `sight` does.
    #[must_use]
    pub fn seen(mut self, sight: Sight) -> Self {
        self.sight = sight;
        self
    }

    /// What is counted of requests.
    #[must_use]
    pub const fn sight(&self) -> &Sight {
        &self.sight
    }

    /// The same, answering only requests that are signed with one of these identities' access keys.
    #[must_use]
    pub fn authenticated(mut self, identities: Identities) -> Self {
        self.authentication = Some(Authentication::new(identities));
        self
    }

    /// Whether there is anyone whose requests are answered: everyone without authentication, and whoever has an access
    /// key with it.
    ///
    /// # Errors
    /// `InternalServerError` if the store can not be read.
    pub async fn has_signers(&self) -> Result<bool, Failure> {
        match &self.authentication {
            Some(authentication) => authentication.identities.any(&self.database).await,
            None => Ok(true),
        }
    }

    /// The same with issuers whose tokens roles can be assumed with.
    #[must_use]
    pub fn with_issuers(mut self, issuers: Issuers) -> Self {
        self.issuers = issuers;
        self
    }

    /// Who asks. With authentication, the request must be signed for one of `services`.
    ///
    /// # Errors
    /// Those of [`Authentication::caller`].
    async fn caller(&self, request: &Request, services: &[&str], known: Known<'_>) -> Result<Caller, Failure> {
        let caller = match &self.authentication {
            Some(authentication) => authentication.caller(&self.database, request, services).await?,
            None => self.anonymous(request),
        };
        if let Some(known) = known {
            known.get_or_init(|| caller.clone());
        }
        Ok(caller)
    }

    /// Somebody whom nobody asks who they are.
    fn anonymous(&self, request: &Request) -> Caller {
        let Identity { region, account } = Identity::of(request, &self.default_region);
        let mut caller = Caller::unauthenticated(Scope { account, region }, Arc::clone(&self.unattached));
        caller.source = request.peer.map(|peer| peer.ip());
        caller.secure = request.secured.is_some();
        caller
    }

    /// Answers a request.
    pub async fn answer(&self, request: &Request) -> Response {
        let observed = Observed::default();
        if self.audit.is_none() && !self.sight.tells() {
            return self.respond(request, None, &observed).await;
        }
        let began = Instant::now();
        let known = OnceLock::new();
        let response = self.respond(request, Some(&known), &observed).await;
        if let Some(audit) = &self.audit {
            audit.record(request, known.get(), &Identity::of(request, &self.default_region).region, &response);
        }
        if self.sight.tells() {
            self.sight.tell(request, (known.get(), &observed), began.elapsed(), &response);
        }
        response
    }

    async fn respond(&self, request: &Request, known: Known<'_>, observed: &Observed) -> Response {
        let began = Instant::now();
        if iam::is_query(request) {
            let rooms = iam::Rooms { database: &self.database, issuers: &self.issuers };
            let authenticate = |services| self.caller(request, services, known);
            return Box::pin(iam::answer(rooms, request, authenticate, self.anonymous(request))).await;
        }
        if let Some(operation) = scaling::operation(request) {
            return Box::pin(self.answer_scaling(operation, request, known, observed)).await;
        }
        if self.dax.get().is_some() && dax::is_call(request) {
            let caller = self.caller(request, dax::SERVICES, known).await;
            return Box::pin(self.answer_dax(request, caller)).await;
        }
        let call = match route(request) {
            Ok(call) => call,
            Err(response) => {
                self.sight.count_unknown();
                return *response;
            }
        };
        let services = match call {
            Call::InsightReport => authenticate::CLOUDWATCH,
            Call::Dynamodb(_) | Call::Trigger(_) | Call::AdvanceClock => authenticate::DYNAMODB,
        };
        let answer = match self.caller(request, services, known).await {
            Ok(caller) => self.execute(call, caller, request, observed).await,
            // DynamoDB looks at the form of a body before it looks for a signature. Who is let in need not wait for that.
            Err(_) if !request.body.is_empty() && !is_json(&request.body) => {
                Err(Refusal::new(ErrorCode::SerializationException, "").into())
            }
            Err(failure) => {
                let code = failure.refusal.code.name();
                tracing::debug!(request_id = request.request_id, peer = ?request.peer, code, "not authenticated");
                Err(failure)
            }
        };
        self.sight.count(call, observed, began.elapsed(), &answer);
        match answer {
            Ok(body) => Response::new(200, response_type(request), body),
            Err(mut failure) => {
                if let Some(detail) = failure.detail.take() {
                    tracing::error!(request_id = request.request_id, operation = call.name(), detail, "failed inside");
                    failure.refusal.message = format!("Internal server error, request {}", request.request_id).into();
                }
                error_response(&failure, response_type(request))
            }
        }
    }

    /// Answers a request of Application Auto Scaling.
    async fn answer_scaling(
        &self,
        operation: Option<ScalingOperation>,
        request: &Request,
        known: Known<'_>,
        observed: &Observed,
    ) -> Response {
        match self.caller(request, scaling::SERVICES, known).await {
            Ok(caller) => {
                let (database, expressions) = (&self.database, &self.expressions);
                let context = Context { database, expressions, caller, headers: &request.headers, observed };
                scaling::answer(&context, operation, request).await
            }
            Err(failure) => scaling::error(failure.into(), request),
        }
    }

    async fn execute(
        &self,
        call: Call,
        caller: Caller,
        request: &Request,
        observed: &Observed,
    ) -> Result<Vec<u8>, Failure> {
        let (database, expressions) = (&self.database, &self.expressions);
        let context = Context { database, expressions, caller, headers: &request.headers, observed };
        match call {
            Call::Dynamodb(operation) => operations::execute(&context, operation, &request.body).await,
            Call::Trigger(operation) => operations::execute_on_triggers(&context, operation, &request.body).await,
            Call::InsightReport => Box::pin(operations::insight_report(&context, &request.body)).await,
            Call::AdvanceClock => operations::advance_clock(&context, &request.body).await,
        }
    }
}
