//! The condition keys of a request, each computed only when a policy asks for it.

use std::time::{SystemTime, UNIX_EPOCH};

use http::header::{REFERER, USER_AGENT};
use partita_auth::policy;
use partita_db::{Table, TableRecord};
use partita_expr::partiql::{Plan, Returning, StatementKind};
use partita_model::Refusal;

use super::expressions;
use super::named::{Details, Items, Named, Returns, Selects};
use crate::operations::Context;

/// `dynamodb:ReturnValues` in lower case.
pub(super) const RETURN_VALUES: &str = "dynamodb:returnvalues";
const NONE: &str = "NONE";

/// What condition keys are computed from.
pub(super) struct Asked<'a> {
    pub context: &'a Context<'a>,
    pub named: &'a Named<'a>,
    pub table: Option<&'a Table>,
    /// The resource's account.
    pub account: &'a str,
    /// The resource's region: an ARN may name another one than the request is signed for.
    pub region: &'a str,
    /// The name of the index that the resource is.
    pub index: bool,
}

impl Asked<'_> {
    /// Puts the value of a key, given in lower case, into the request's keys, if the request has it. Those of the
    /// principal are not here: they are the evaluation's.
    ///
    /// # Errors
    /// When the request can not be understood so far, and so would be refused in any case.
    pub(super) fn answer(&self, key: &str, keys: &mut policy::Context) -> Result<(), Refusal> {
        match key.split_once(':') {
            Some(("dynamodb", name)) => self.own(key, name, keys),
            Some(("aws", name)) => {
                self.global(key, name, keys);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn own(&self, key: &str, name: &str, keys: &mut policy::Context) -> Result<(), Refusal> {
        let details = &self.named.details;
        let partition = |place| match self.table {
            Some(table) => expressions::partition_values(self.context.expressions, table, details, place),
            None => Ok(None),
        };
        let many = match name {
            "leadingkeys" | "firstpartitionkeyvalues" => partition(0)?,
            "secondpartitionkeyvalues" => partition(1)?,
            "thirdpartitionkeyvalues" => partition(2)?,
            "fourthpartitionkeyvalues" => partition(3)?,
            "attributes" => expressions::attributes(self.context.expressions, details)?,
            _ => None,
        };
        if let Some(many) = many {
            keys.set_all(key, many);
            return Ok(());
        }
        let one = match name {
            "select" => self.select(),
            "returnvalues" => returns(details).first().copied(),
            "returnconsumedcapacity" => consumed(details),
            "enclosingoperation" => self.named.enclosing,
            "fulltablescan" => self.full_table_scan()?.map(|scans| if scans { "true" } else { "false" }),
            _ => None,
        };
        if let Some(one) = one {
            keys.set(key, one);
        }
        Ok(())
    }

    /// What is returned of the items read: as the request says, or else as it follows from the rest of it.
    fn select(&self) -> Option<&str> {
        let (given, projects) = match &self.named.details {
            Details::Items(Items { select: Selects::Read(given), projection, attributes_to_get, .. }) => {
                (*given, projection.is_some() || attributes_to_get.is_some())
            }
            Details::Statement(stated) if stated.statement.kind() == StatementKind::Select => {
                (None, stated.statement.selects_attributes())
            }
            _ => return None,
        };
        Some(match given {
            Some(given) => given,
            None if projects => "SPECIFIC_ATTRIBUTES",
            None if self.index => "ALL_PROJECTED_ATTRIBUTES",
            None => "ALL_ATTRIBUTES",
        })
    }

    /// Whether a SELECT reads the whole table or index.
    fn full_table_scan(&self) -> Result<Option<bool>, Refusal> {
        match (&self.named.details, self.table) {
            (Details::Statement(stated), Some(table)) if stated.statement.kind() == StatementKind::Select => {
                Ok(expressions::plan(table, stated)?.map(|plan| plan == Plan::Scan))
            }
            _ => Ok(None),
        }
    }

    fn global(&self, key: &str, name: &str, keys: &mut policy::Context) {
        let caller = &self.context.caller;
        match name {
            "sourceip" => {
                if let Some(source) = caller.source {
                    keys.set(key, source.to_string());
                }
            }
            "securetransport" => keys.set(key, if caller.secure { "true" } else { "false" }),
            "currenttime" | "epochtime" => keys.set(key, seconds_now().to_string()),
            "useragent" => set_if(keys, key, self.context.header(USER_AGENT)),
            "referer" => set_if(keys, key, self.context.header(REFERER)),
            "requestedregion" => keys.set(key, self.region),
            "resourceaccount" => keys.set(key, self.account),
            "tagkeys" => match &self.named.details {
                Details::Tags(tags) => {
                    keys.set_all(key, tags.iter().filter_map(|tag| tag.key.clone()).collect());
                }
                Details::TagKeys(names) => keys.set_all(key, names.to_vec()),
                _ => {}
            },
            _ => self.tag(key, name, keys),
        }
    }

    fn tag(&self, key: &str, name: &str, keys: &mut policy::Context) {
        if let Some(tag) = name.strip_prefix("requesttag/")
            && let Details::Tags(tags) = &self.named.details
        {
            let found = tags.iter().find(|given| is(given.key.as_deref(), tag));
            set_if(keys, key, found.and_then(|given| given.value.as_deref()));
        }
        if let Some(tag) = name.strip_prefix("resourcetag/")
            && let Some(TableRecord { tags, .. }) = self.table.map(|table| &table.record)
        {
            // Tag keys in condition keys are compared without regard to case.
            let found = tags.iter().find(|(given, _)| is(Some(given), tag));
            set_if(keys, key, found.map(|(_, value)| value.as_str()));
        }
    }
}

fn is(given: Option<&str>, lower: &str) -> bool {
    given.is_some_and(|given| given.to_lowercase() == lower.to_lowercase())
}

fn set_if(keys: &mut policy::Context, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        keys.set(key, value);
    }
}

fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn consumed<'r>(details: &Details<'r>) -> Option<&'r str> {
    match details {
        Details::Items(items) => items.consumed,
        Details::Statement(stated) => Some(stated.consumed.unwrap_or(NONE)),
        _ => None,
    }
}

/// What a write returns: `ReturnValues`, and beside it what it returns when its condition fails, if that is more than
/// nothing. Each has to be allowed.
pub(super) fn returns<'r>(details: &Details<'r>) -> Vec<&'r str> {
    let (values, on_failure) = match details {
        Details::Items(Items { returns: Returns { values: Some(values), on_failure }, .. }) => (*values, *on_failure),
        Details::Statement(stated) => {
            let values = match (stated.statement.kind(), stated.statement.returning()) {
                (StatementKind::Select, _) => return Vec::new(),
                (_, None) => NONE,
                (_, Some(Returning::AllOld)) => "ALL_OLD",
                (_, Some(Returning::AllNew)) => "ALL_NEW",
                (_, Some(Returning::ModifiedOld)) => "UPDATED_OLD",
                (_, Some(Returning::ModifiedNew)) => "UPDATED_NEW",
            };
            (values, stated.on_failure)
        }
        _ => return Vec::new(),
    };
    let mut all = vec![values];
    all.extend(on_failure.filter(|on_failure| *on_failure != NONE && *on_failure != values));
    all
}
