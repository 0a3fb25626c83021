//! The managed policies of AWS's that exist in every account.

/// A managed policy that exists in every account and can not be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuiltinPolicy {
    /// Its id, which is AWS's.
    pub id: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// The document.
    pub document: &'static str,
}

/// What the ARNs of these policies begin with.
const ARN_PREFIX: &str = "arn:aws:iam::aws:policy/";

/// All of them, in the order of their names.
pub const BUILTIN_POLICIES: &[BuiltinPolicy] = &[
    BuiltinPolicy {
        id: "ANPAIWMBCKSKIEE64ZLYK",
        name: "AdministratorAccess",
        description: "Everything, on everything.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#,
    },
    BuiltinPolicy {
        id: "ANPAINUGF2JSOSUY76KYA",
        name: "AmazonDynamoDBFullAccess",
        description: "Everything in DynamoDB.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"dynamodb:*","Resource":"*"}]}"#,
    },
    BuiltinPolicy {
        id: "ANPAIY2XFNA232XJ6J7X2",
        name: "AmazonDynamoDBReadOnlyAccess",
        description: "Reading in DynamoDB.",
        document: concat!(
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["#,
            r#""dynamodb:BatchGetItem","dynamodb:Describe*","dynamodb:GetItem","dynamodb:GetRecords","#,
            r#""dynamodb:GetResourcePolicy","dynamodb:GetShardIterator","dynamodb:List*","dynamodb:PartiQLSelect","#,
            r#""dynamodb:Query","dynamodb:Scan"],"Resource":"*"}]}"#
        ),
    },
];

impl BuiltinPolicy {
    /// Its ARN.
    #[must_use]
    pub fn arn(&self) -> String {
        format!("{ARN_PREFIX}{}", self.name)
    }
}

/// The built-in policy with an ARN.
#[must_use]
pub fn builtin_policy(arn: &str) -> Option<&'static BuiltinPolicy> {
    let name = arn.strip_prefix(ARN_PREFIX)?;
    BUILTIN_POLICIES.iter().find(|policy| policy.name == name)
}
