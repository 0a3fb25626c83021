//! The judgement: what a request does is held against the caller's policies and the resource's own.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use partita_auth::PrincipalKind;
use partita_auth::policy::{self, Access, DocumentKind, Policy};
use partita_db::{Table, TableArn};
use partita_model::{ErrorCode, Refusal};

use super::conditions::{Asked, RETURN_VALUES, returns};
use super::named::{Named, Place};
use crate::failure::Failure;
use crate::operations::Context;

/// What is asked of policies that ask for nothing.
static NO_KEYS: LazyLock<policy::Context> = LazyLock::new(policy::Context::default);

/// A resource as policies know it.
struct Resource<'a> {
    arn: Cow<'a, str>,
    account: Cow<'a, str>,
    index: bool,
    policy: Option<Arc<Policy>>,
}

impl Context<'_> {
    /// Refuses a request of which not all is allowed. Without authentication all is.
    ///
    /// # Errors
    /// `AccessDeniedException` for the first action that is not allowed.
    pub(crate) async fn authorize(&self, named: &[Named<'_>]) -> Result<(), Failure> {
        if self.caller.principal.is_none() {
            return Ok(());
        }
        if named.is_empty() {
            return Err(Failure::internal("the request does not say what it does"));
        }
        for named in named {
            self.authorize_one(named).await?;
        }
        Ok(())
    }

    async fn authorize_one(&self, named: &Named<'_>) -> Result<(), Failure> {
        let table = match &named.place {
            Place::Table(name) | Place::Index(name, _) => self.database.find_table(&self.caller.scope, name).await?,
            Place::TableOrStream(arn) => self.database.find_table(&self.caller.scope, arn).await?,
            _ => None,
        };
        let resource = self.resource(&named.place, table.as_deref()).await?;
        self.decide(named, table.as_deref(), &resource)
    }

    fn decide(&self, named: &Named<'_>, table: Option<&Table>, resource: &Resource<'_>) -> Result<(), Failure> {
        let Some(principal) = &self.caller.principal else { return Ok(()) };
        let attached = &self.caller.attached;
        let own = resource.policy.as_deref();
        let policies =
            || attached.identity.iter().chain(&attached.boundary).chain(&attached.session).map(Arc::as_ref).chain(own);
        let ask = |keys: &policy::Context| {
            let access = Access {
                principal,
                action: named.action,
                resource: &resource.arn,
                resource_account: &resource.account,
                context: keys,
            };
            match policy::evaluate(&access, attached, own) {
                policy::Decision::Allowed => Ok(()),
                policy::Decision::Denied(reason) => {
                    let message = reason.message(&principal.arn(), named.action, &resource.arn);
                    Err(Refusal::new(ErrorCode::AccessDeniedException, message))
                }
            }
        };
        // No policy of its own locks an account out of its resource ("DeleteResourcePolicy").
        let is_way_out = named.action == "dynamodb:DeleteResourcePolicy"
            && principal.kind == PrincipalKind::Root
            && *principal.account == *resource.account;
        if is_way_out {
            return Ok(());
        }
        if policies().all(|policy| policy.keys().next().is_none()) {
            return Ok(ask(&NO_KEYS)?);
        }
        let region = region_of(&resource.arn).unwrap_or(&self.caller.scope.region);
        let asked = Asked { context: self, named, table, account: &resource.account, region, index: resource.index };
        let mut keys = policy::Context::default();
        for key in policies().flat_map(Policy::keys) {
            if keys.get(key).is_none() {
                asked.answer(key, &mut keys)?;
            }
        }
        ask(&keys)?;
        // The item as it was is shown by either parameter, so each value has to be allowed.
        if keys.get(RETURN_VALUES).is_some() {
            for value in returns(&named.details).into_iter().skip(1) {
                keys.set(RETURN_VALUES, value);
                ask(&keys)?;
            }
        }
        Ok(())
    }

    /// Whether the caller could still change a resource's policy if it were this one.
    pub(crate) fn keeps_control(&self, arn: &str, policy: Policy) -> bool {
        let account = TableArn::parse(arn).map_or("", |arn| arn.account);
        let policy = Some(Arc::new(policy));
        let resource = Resource { arn: Cow::Borrowed(arn), account: Cow::Borrowed(account), index: false, policy };
        self.decide(&Named::new("dynamodb:PutResourcePolicy", Place::TableOrStream(arn)), None, &resource).is_ok()
    }

    async fn resource<'a>(&'a self, place: &'a Place<'_>, table: Option<&'a Table>) -> Result<Resource<'a>, Failure> {
        let scope = &self.caller.scope;
        let own =
            |arn: Cow<'a, str>| Resource { arn, account: Cow::Borrowed(&scope.account), index: false, policy: None };
        Ok(match place {
            Place::Any => own(Cow::Borrowed("*")),
            Place::GlobalTable(name) => {
                own(Cow::Owned(format!("arn:aws:dynamodb::{}:global-table/{name}", scope.account)))
            }
            Place::Trigger(name) => {
                own(Cow::Owned(format!("arn:aws:partita:{}:{}:trigger/{name}", scope.region, scope.account)))
            }
            Place::RootKey(key_id) => own(Cow::Owned(match self.database.root_key_arn(key_id, scope).await {
                Some(arn) => arn,
                // What is not there is refused after this; a policy may name it all the same.
                None if key_id.starts_with("arn:") => (*key_id).to_owned(),
                None if key_id.starts_with("alias/") => {
                    format!("arn:aws:kms:{}:{}:{key_id}", scope.region, scope.account)
                }
                None => format!("arn:aws:kms:{}:{}:key/{key_id}", scope.region, scope.account),
            })),
            Place::Bucket(name) => own(Cow::Owned(format!("arn:aws:s3:::{name}"))),
            Place::Objects(name, prefix) => own(Cow::Owned(format!("arn:aws:s3:::{name}/{prefix}*"))),
            Place::Below(arn) => below(arn).unwrap_or_else(|| own(Cow::Borrowed(*arn))),
            Place::Stream(arn) => self.stream(arn).await?.unwrap_or_else(|| own(Cow::Borrowed(arn))),
            Place::TableOrStream(arn) => match TableArn::parse(arn) {
                Some(TableArn { rest: Some(_), .. }) => {
                    self.stream(arn).await?.unwrap_or_else(|| own(Cow::Borrowed(*arn)))
                }
                Some(_) => self.table_or_index(arn, None, table)?,
                // What is no ARN is refused for it; nothing is done to it.
                None => own(Cow::Borrowed(*arn)),
            },
            Place::Table(name) => self.table_or_index(name, None, table)?,
            Place::Index(name, index) => self.table_or_index(name, Some(index), table)?,
        })
    }

    fn table_or_index<'a>(
        &'a self,
        name: &'a str,
        index: Option<&str>,
        table: Option<&'a Table>,
    ) -> Result<Resource<'a>, Failure> {
        let known = table.and_then(|table| match index {
            None => Some(table.arn()),
            Some(index) => table.index(index).map(|(_, index)| index.arn.as_str()),
        });
        let (account, arn) = match (known, TableArn::parse(name)) {
            (Some(arn), _) => (table.map_or("", |table| table.record.account.as_str()), Cow::Borrowed(arn)),
            // Whatever form the name has, what is judged is the form that policies have.
            (None, parsed) => {
                let (region, account, name) = match &parsed {
                    Some(arn) => (arn.region, arn.account, arn.table),
                    None => (self.caller.scope.region.as_ref(), self.caller.scope.account.as_ref(), name),
                };
                let mut arn = format!("arn:aws:dynamodb:{region}:{account}:table/{name}");
                if let Some(index) = index {
                    arn.push_str("/index/");
                    arn.push_str(index);
                }
                (account, Cow::Owned(arn))
            }
        };
        let policy = table.map(attached_policy).transpose()?.flatten();
        Ok(Resource { arn, account: Cow::Borrowed(account), index: index.is_some(), policy })
    }

    /// A stream with its own policy; `None` when the text names none.
    async fn stream<'a>(&'a self, arn: &'a str) -> Result<Option<Resource<'a>>, Failure> {
        let Some(resource) = below(arn) else { return Ok(None) };
        let policy = self.database.stream_policy(arn).await?.map(|kept| parsed(&kept.document)).transpose()?;
        Ok(Some(Resource { policy, ..resource }))
    }
}

/// The region that the ARN of one of DynamoDB's resources names.
fn region_of(arn: &str) -> Option<&str> {
    let (region, _) = arn.strip_prefix("arn:aws:dynamodb:")?.split_once(':')?;
    (!region.is_empty()).then_some(region)
}

/// A resource below a table, in the form that policies have.
fn below(arn: &str) -> Option<Resource<'_>> {
    let TableArn { region, account, table, rest } = TableArn::parse(arn)?;
    let rest = rest?;
    Some(Resource {
        arn: Cow::Owned(format!("arn:aws:dynamodb:{region}:{account}:table/{table}/{rest}")),
        account: Cow::Borrowed(account),
        index: false,
        policy: None,
    })
}

/// The table's own policy. It is parsed once for each reading of the table's record.
fn attached_policy(table: &Table) -> Result<Option<Arc<Policy>>, Failure> {
    let Some(kept) = &table.record.resource_policy else { return Ok(None) };
    if let Some(known) = table.beside.get().and_then(|known| Arc::clone(known).downcast::<Policy>().ok()) {
        return Ok(Some(known));
    }
    let policy = parsed(&kept.document)?;
    // Of two that parse at once either is kept; both are the same.
    table.beside.get_or_init(|| Arc::clone(&policy) as _);
    Ok(Some(policy))
}

fn parsed(document: &str) -> Result<Arc<Policy>, Failure> {
    let policy = Policy::parse(document, DocumentKind::Resource);
    policy.map(Arc::new).map_err(|error| Failure::internal(format!("a resource's policy can not be read: {error}")))
}
