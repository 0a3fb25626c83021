//! The service: answers whole requests from a database.

use std::sync::Arc;

use http::header::HOST;
use partita_auth::policy::Attached;
use partita_db::{Database, Scope};
use partita_expr::ParseCache;

use crate::caller::Caller;
use crate::http::{Call, Request, Response, error_response, response_type, route};
use crate::identity::Identity;
use crate::operations::{self, Context};

/// How many parsed expressions are kept.
const CACHED_EXPRESSIONS: usize = 4_096;
/// How many bytes parsed expressions take at most.
const CACHED_EXPRESSION_BYTES: u64 = 16 << 20;

/// DynamoDB's API over one database. Shared by all connections.
pub struct Service {
    database: Database,
    expressions: ParseCache,
    default_region: String,
    /// The policies of callers who are not asked who they are: none.
    unattached: Arc<Attached>,
}

impl Service {
    /// The service over `database`; requests whose credentials name no region are in `default_region`.
    #[must_use]
    pub fn new(database: Database, default_region: impl Into<String>) -> Self {
        Self {
            database,
            expressions: ParseCache::new(CACHED_EXPRESSIONS, CACHED_EXPRESSION_BYTES),
            default_region: default_region.into(),
            unattached: Arc::default(),
        }
    }

    /// Answers a request.
    pub async fn answer(&self, request: &Request) -> Response {
        let call = match route(request) {
            Ok(call) => call,
            Err(response) => return *response,
        };
        let Identity { region, account } = Identity::of(request, &self.default_region);
        let mut caller = Caller::unauthenticated(Scope { account, region }, Arc::clone(&self.unattached));
        caller.source = request.peer.map(|peer| peer.ip());
        let context = Context {
            database: &self.database,
            expressions: &self.expressions,
            caller,
            host: request.headers.get(HOST).and_then(|host| host.to_str().ok()).map(str::to_owned),
        };
        let answer = match call {
            Call::Dynamodb(operation) => operations::execute(&context, operation, &request.body).await,
            Call::Trigger(operation) => operations::execute_on_triggers(&context, operation, &request.body).await,
        };
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
}
