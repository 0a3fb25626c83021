//! Whose tables: an account in a region, and the ARNs that name its resources.

use std::sync::Arc;

/// An account in a region: the name space that table names live in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(test, derive(Default))]
pub struct Scope {
    /// Twelve digits.
    pub account: Arc<str>,
    /// The region's name, such as `us-east-1`.
    pub region: Arc<str>,
}

/// The parts of a table's ARN, or of an ARN below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableArn<'a> {
    /// The region's name.
    pub region: &'a str,
    /// The account: twelve digits.
    pub account: &'a str,
    /// The table's name.
    pub table: &'a str,
    /// What follows the table's name and a slash: `index/…`, `stream/…`, `backup/…`.
    pub rest: Option<&'a str>,
}

impl<'a> TableArn<'a> {
    /// Reads an ARN of the form `arn:aws:dynamodb:region:account:table/name`, with or without more behind it.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.strip_prefix("arn:aws")?.splitn(5, ':');
        let (_partition, service) = (parts.next()?, parts.next()?);
        let (region, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
        let path = resource.strip_prefix("table/")?;
        let (table, rest) = match path.split_once('/') {
            Some((table, rest)) => (table, Some(rest)),
            None => (path, None),
        };
        (service == "dynamodb" && !table.is_empty()).then_some(Self { region, account, table, rest })
    }
}

impl Scope {
    /// A table's ARN.
    #[must_use]
    pub fn table_arn(&self, table: &str) -> String {
        format!("arn:aws:dynamodb:{}:{}:table/{table}", self.region, self.account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_are_read_back() {
        let scope = Scope { account: "000000000000".into(), region: "us-east-1".into() };
        let arn = scope.table_arn("Users");
        let parsed = TableArn::parse(&arn).unwrap();
        assert_eq!(
            (parsed.region, parsed.account, parsed.table, parsed.rest),
            ("us-east-1", "000000000000", "Users", None)
        );
        let index = format!("{arn}/index/by-name");
        assert_eq!(TableArn::parse(&index).unwrap().rest, Some("index/by-name"));
        for bad in [
            "Users",
            "arn:aws:s3:::bucket",
            "arn:aws:dynamodb:us-east-1:000000000000:table/",
            "arn:aws:dynamodb:x:y:stream/z",
        ] {
            assert_eq!(TableArn::parse(bad), None, "{bad}");
        }
    }
}
