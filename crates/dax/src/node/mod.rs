//! A node: answers whole requests, from its caches or by what executes requests over HTTP.

mod batches;
mod items;
mod reads;
mod transactions;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use partita_api::caller::Caller;
use partita_api::door::{Asked, Claimed, Pass, Way, no_such_table};
use partita_api::{Failure, Operation, Service};
use partita_db::{Database, Table, TableArn};
use partita_expr::{Bindings, ParsedProjection, Projection};
use partita_model::schema::KeyType;
use partita_model::{ErrorCode, Refusal};
use partita_server::RequestId;
use serde_json::Value;

use crate::advertise::Advertised;
use crate::answer;
use crate::cache::{Cache, Settings, Told};
use crate::cbor::{Malformed, Reader};
use crate::expression::{Expressions, Path};
use crate::fault::{self, Fault};
use crate::key::Key;
use crate::lists::Lists;
use crate::metrics::Metrics;
use crate::request::{self, Authorization, Method};
use crate::value::json_text;

/// How long a connection's proof holds. Clients prove themselves anew after half of it.
const PROOF_HOLDS: Duration = Duration::from_secs(5 * 60);

/// A node of DAX over a service. Shared by all connections.
pub struct Node {
    service: Arc<Service>,
    cache: Arc<Cache>,
    lists: Arc<Lists>,
    metrics: Arc<Metrics>,
    advertised: Advertised,
}

/// One connection, as requests see it.
pub struct Session {
    /// How it has come.
    pub way: Way,
    /// The address that it has come to.
    pub local: SocketAddr,
    pass: Option<Pass>,
    /// When the client has proved itself.
    proved: Instant,
    /// Why its last proof was refused.
    refused: Option<Fault>,
}

impl Session {
    /// Whether requests are taken from it at all.
    #[must_use]
    pub const fn is_admitted(&self) -> bool {
        self.pass.is_some()
    }
}

/// A request under way: whose it is, and over which connection.
#[derive(Clone, Copy)]
struct Turn<'a> {
    node: &'a Node,
    session: &'a Session,
    caller: &'a Caller,
}

impl Node {
    /// A node over `service`, whose caches are told of every change from now on.
    ///
    /// `None` if the database tells somebody else already: a second node would keep old items.
    #[must_use]
    pub fn new(service: Arc<Service>, settings: Settings, advertised: Advertised) -> Option<Arc<Self>> {
        let metrics = Arc::new(Metrics::default());
        let cache = Cache::new(settings, Arc::clone(&metrics));
        let database = service.database().clone();
        let clock = {
            let database = database.clone();
            move || database.now_ms()
        };
        let is_told = database.observe_items(Arc::new(Told { cache: Arc::clone(&cache), clock }));
        is_told.then(|| Arc::new(Self { lists: Arc::new(Lists::new(database)), service, cache, metrics, advertised }))
    }

    /// What is counted.
    #[must_use]
    pub const fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The caches.
    #[must_use]
    pub const fn cache(&self) -> &Arc<Cache> {
        &self.cache
    }

    fn database(&self) -> &Database {
        self.service.database()
    }

    /// A new connection.
    #[must_use]
    pub fn session(&self, way: Way, local: SocketAddr) -> Session {
        Session { way, local, pass: self.service.open_pass(), proved: Instant::now(), refused: None }
    }

    /// Answers one request; what `reader` holds is its values, complete. No answer follows a client's proof.
    pub async fn answer(&self, session: &mut Session, method: Method, mut reader: Reader<'_>) -> Option<Vec<u8>> {
        if method == Method::AuthorizeConnection {
            self.authorize(session, &mut reader).await;
            return None;
        }
        Metrics::count(&self.metrics.total_requests);
        let outcome = self.result(session, method, &mut reader).await;
        Some(match outcome {
            Ok(answer) => answer,
            Err(fault) => {
                let request_id = RequestId::random();
                let fault = self.counted(fault, method, request_id.as_str());
                self.failed(&fault, request_id.as_str()).await
            }
        })
    }

    /// Answers a request that can not be read further.
    #[must_use]
    pub fn malformed(&self, malformed: Malformed) -> Vec<u8> {
        Metrics::count(&self.metrics.error_requests);
        fault::write(&malformed.into(), RequestId::random().as_str(), |_, _| None)
    }

    async fn authorize(&self, session: &mut Session, reader: &mut Reader<'_>) {
        let outcome = async {
            let claim = Authorization::read(reader)?;
            let claimed = Claimed {
                access_key: &claim.access_key,
                signature: &claim.signature,
                string_to_sign: &claim.string_to_sign,
                session_token: claim.session_token.as_deref(),
            };
            Ok::<_, Fault>(self.service.pass(claimed).await?)
        };
        session.pass = None;
        session.proved = Instant::now();
        match outcome.await {
            Ok(pass) => {
                session.pass = Some(pass);
                session.refused = None;
            }
            Err(fault) => session.refused = Some(fault),
        }
    }

    /// Counts a failure, and logs one that is the server's.
    fn counted(&self, fault: Fault, method: Method, request_id: &str) -> Fault {
        Metrics::count(&self.metrics.failed_requests);
        let Fault::Failed(mut failure) = fault else {
            Metrics::count(&self.metrics.error_requests);
            return fault;
        };
        match failure.refusal.code {
            ErrorCode::InternalServerError => Metrics::count(&self.metrics.fault_requests),
            ErrorCode::ThrottlingException
            | ErrorCode::ProvisionedThroughputExceededException
            | ErrorCode::RequestLimitExceeded => Metrics::count(&self.metrics.throttled_requests),
            _ => Metrics::count(&self.metrics.error_requests),
        }
        if let Some(detail) = failure.detail.take() {
            tracing::error!(request_id, method = ?method, detail, "failed inside");
            failure.refusal.message = format!("Internal server error, request {request_id}").into();
        }
        Fault::Failed(failure)
    }

    /// The answer that a request has failed. The items of a transaction's reasons go with all their attributes, because
    /// the tables are not known here any more; the client puts its key in again.
    async fn failed(&self, fault: &Fault, request_id: &str) -> Vec<u8> {
        let mut items = Vec::new();
        if let Fault::Failed(failure) = fault {
            for reason in fault::reasons(failure).into_iter().flatten() {
                let item = reason.get("Item").map(answer::item_of);
                items.push(match item {
                    Some(item) => {
                        let schema = partita_model::schema::KeySchema { partition: Vec::new(), sort: Vec::new() };
                        let list = self.lists.id_of(&item, &schema).await;
                        list.ok().map(|list| answer::stream_item(&item, &schema, list))
                    }
                    None => None,
                });
            }
        }
        fault::write(fault, request_id, |at, _| items.get(at).cloned().flatten())
    }

    async fn result(&self, session: &Session, method: Method, reader: &mut Reader<'_>) -> Result<Vec<u8>, Fault> {
        let Some(pass) = &session.pass else {
            return Err(session.refused.clone().unwrap_or(Fault::WhoAreYou));
        };
        if self.service.asks_who() && session.proved.elapsed() > PROOF_HOLDS {
            return Err(Fault::WhoAreYou);
        }
        let caller = self.service.caller_with(pass, &session.way).await?;
        let turn = Turn { node: self, session, caller: &caller };
        match method {
            Method::AuthorizeConnection => Err(Fault::WhoAreYou),
            Method::Endpoints => Ok(self.advertised.answer(session).await),
            Method::DefineKeySchema => turn.define_key_schema(reader).await,
            Method::DefineAttributeList => turn.define_attribute_list(reader).await,
            Method::DefineAttributeListId => turn.define_attribute_list_id(reader).await,
            Method::GetItem => turn.get_item(reader).await,
            Method::PutItem => Box::pin(turn.put_item(reader)).await,
            Method::UpdateItem => Box::pin(turn.update_item(reader)).await,
            Method::DeleteItem => Box::pin(turn.delete_item(reader)).await,
            Method::Query => Box::pin(turn.query(reader)).await,
            Method::Scan => Box::pin(turn.scan(reader)).await,
            Method::BatchGetItem => Box::pin(turn.batch_get(reader)).await,
            Method::BatchWriteItem => Box::pin(turn.batch_write(reader)).await,
            Method::TransactGetItems => Box::pin(turn.transact_get(reader)).await,
            Method::TransactWriteItems => Box::pin(turn.transact_write(reader)).await,
        }
    }
}

impl Turn<'_> {
    async fn define_key_schema(self, reader: &mut Reader<'_>) -> Result<Vec<u8>, Fault> {
        let table = self.table(&reader.name()?).await?;
        let mut out = answer::success(64);
        out.map(table.key.len());
        for attribute in table.key.attributes() {
            out.text(&attribute.name);
            out.text(match attribute.key_type {
                KeyType::S => "S",
                KeyType::N => "N",
                KeyType::B => "B",
            });
        }
        Ok(out.into_bytes())
    }

    async fn define_attribute_list(self, reader: &mut Reader<'_>) -> Result<Vec<u8>, Fault> {
        let id = u64::try_from(reader.int()?).map_err(|_| Malformed("an attribute list's id is not below zero"))?;
        let names = self.node.lists.names(id).await?;
        let mut out = answer::success(16 * names.len());
        out.array(names.len());
        names.iter().for_each(|name| out.text(name));
        Ok(out.into_bytes())
    }

    async fn define_attribute_list_id(self, reader: &mut Reader<'_>) -> Result<Vec<u8>, Fault> {
        let names = request::attribute_names(reader)?;
        let id = self.node.lists.id(names).await?;
        let mut out = answer::success(16);
        out.uint(id);
        Ok(out.into_bytes())
    }

    /// A table. Its key is told to whoever in its account knows its name, as clients can not ask for anything without it;
    /// so a table of another account is not there.
    async fn table(self, name: &str) -> Result<Arc<Table>, Fault> {
        let arn = TableArn::parse(name).filter(|_| self.caller.principal.is_some());
        if arn.is_some_and(|arn| *arn.account != *self.caller.scope.account) {
            return Err(no_such_table().into());
        }
        Ok(self.node.database().table(&self.caller.scope, name).await?)
    }

    /// Whether a request needs to be there as JSON although it is answered from a cache.
    fn is_watched(self) -> bool {
        self.caller.principal.is_some() || self.node.service.tells_data()
    }

    /// Has a read judged that may be answered from a cache, and tells of it.
    async fn admit(self, operation: Operation, body: &[u8]) -> Result<(), Fault> {
        let asked = Asked { operation, body };
        let outcome =
            if self.caller.principal.is_some() { self.node.service.admit(self.caller, asked).await } else { Ok(()) };
        self.tell(asked, outcome.as_ref().map(drop));
        Ok(outcome?)
    }

    /// Judges, executes and tells of a request.
    async fn execute(self, operation: Operation, body: &[u8]) -> Result<Value, Fault> {
        let asked = Asked { operation, body };
        let outcome = self.node.service.execute_for(self.caller, asked).await;
        self.tell(asked, outcome.as_ref().map(drop));
        decoded(&outcome?)
    }

    fn tell(self, asked: Asked<'_>, outcome: Result<(), &Failure>) {
        if self.node.service.tells_data() {
            let id = RequestId::random();
            self.node.service.tell(self.caller, &self.session.way, asked, outcome, id.as_str());
        }
    }

    /// Where an item of a request lies; `None` for a key that DynamoDB will refuse.
    fn place(self, table: &Table, key: &Key) -> Option<Bytes> {
        let attributes = key.attributes(&table.key)?;
        let key = table.key_of_request(&self.node.database().key_secret(), &attributes).ok()?;
        Some(key.stored().clone())
    }

    fn now_ms(self) -> u64 {
        self.node.database().now_ms()
    }
}

/// An output's JSON.
fn decoded(body: &[u8]) -> Result<Value, Fault> {
    serde_json::from_slice(body)
        .map_err(|error| Failure::internal(format!("an output can not be read: {error}")).into())
}

/// A JSON object that begins with the table's name.
fn request_for(table: &str) -> Vec<u8> {
    let mut body = Vec::with_capacity(256);
    body.extend_from_slice(br#"{"TableName":"#);
    json_text(table, &mut body);
    body
}

/// Adds a member whose value is text.
fn add_text(body: &mut Vec<u8>, label: &str, text: &str) {
    add_label(body, label);
    json_text(text, body);
}

fn add_label(body: &mut Vec<u8>, label: &str) {
    body.push(b',');
    json_text(label, body);
    body.push(b':');
}

fn add_raw(body: &mut Vec<u8>, label: &str, json: &str) {
    add_label(body, label);
    body.extend_from_slice(json.as_bytes());
}

/// The paths of a request's projection, if it has one.
///
/// # Errors
/// When it is none, or DynamoDB would refuse it: nested paths are projected here, so they are judged here too.
fn projection(encoded: Option<&[u8]>) -> Result<Option<Vec<Path>>, Fault> {
    let Some(encoded) = encoded else { return Ok(None) };
    let paths = Expressions::projection(encoded)?;
    if paths.iter().any(|path| path.len() > 1) || has_twice(&paths) {
        // Names do not matter to the rules, so they need no placeholders here but their own.
        let mut expressions = Expressions::default();
        let text = expressions.paths(&paths)?;
        let names = expressions.into_names();
        let check = || -> Result<(), partita_expr::Error> {
            let parsed = Arc::new(ParsedProjection::parse(&text)?);
            let names = (!names.is_empty()).then_some(names);
            Projection::bind(&parsed, &mut Bindings::new(names, None)?).map(drop)
        };
        check().map_err(|error| Failure::from(Refusal::from(error)))?;
    }
    Ok(Some(paths))
}

fn has_twice(paths: &[Path]) -> bool {
    paths.iter().enumerate().any(|(at, path)| paths.iter().take(at).any(|before| before == path))
}

/// Counts hits or misses.
fn count(counter: &std::sync::atomic::AtomicU64, by: usize) {
    counter.fetch_add(by as u64, Ordering::Relaxed);
}
