//! Which documents are policies, and what is said of those that are not.

use crate::policy::{DocumentKind, MAX_DOCUMENT, Policy};

fn refusal(text: &str, kind: DocumentKind) -> String {
    match Policy::parse(&text.replace('\'', "\""), kind) {
        Ok(_) => "taken".to_owned(),
        Err(error) => error.0,
    }
}

/// A document of one statement.
fn one(statement: &str) -> String {
    format!("{{'Version':'2012-10-17','Statement':{{{statement}}}}}")
}

const GOOD: &str = "'Effect':'Allow','Action':'s3:ListBucket','Resource':'arn:aws:s3:::example_bucket'";

#[test]
fn words_for_policies_of_identities() {
    let statement = |own: &str, other: &str| GOOD.replace(own, other);
    let resource = |arn: &str| statement("arn:aws:s3:::example_bucket", arn);
    let action = |name: &str| statement("s3:ListBucket", name);
    let with = |element: &str| format!("{GOOD},{element}");
    let path = "IAM resource path must either be \"*\" or start with user/, federated-user/, role/, group/, instance-profile/, \
                mfa/, server-certificate/, policy/, sms-mfa/, saml-provider/, oidc-provider/, report/, access-report/.";
    let syntax = "Syntax errors in policy.";
    let legacy = "The policy failed legacy parsing";
    let actions = "Policy statement must contain actions.";
    let resources = "Policy statement must contain resources.";
    let vendor = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.";
    let colon = "Actions/Condition can contain only one colon.";
    let principal = "Policy document should not specify a principal.";
    for (text, expected) in [
        (one(GOOD), "taken"),
        ("This is not a json document".to_owned(), syntax),
        (String::new(), syntax),
        ("[]".to_owned(), syntax),
        ("{}".to_owned(), syntax),
        (format!("{{'Version':'2013-10-17','Statement':{{{GOOD}}}}}"), syntax),
        (format!("{{'Version':2012,'Statement':{{{GOOD}}}}}"), syntax),
        (format!("{{'Version':'2012-10-17','Version':'2012-10-17','Statement':{{{GOOD}}}}}"), syntax),
        ("{'Version':'2012-10-17'}".to_owned(), syntax),
        ("{'Version':'2012-10-17','Statement':['afd']}".to_owned(), syntax),
        ("{'Version':'2012-10-17','Statement':[]}".to_owned(), syntax),
        (format!("{{'Version':'2012-10-17','Statement':{{{GOOD}}},'Extra field':'value'}}"), syntax),
        (format!("{{'Version':'2012-10-17','Id':['x'],'Statement':{{{GOOD}}}}}"), syntax),
        (format!("{{'Version':'2012-10-17','Id':'x y','Statement':[{{{GOOD}}}]}}"), "taken"),
        (one(&with("'Extra field':'value'")), syntax),
        (one(&with("'effect':'Allow'")), syntax),
        (one(&statement("Allow", "invalid")), syntax),
        (one(&statement("Allow", "denY")), legacy),
        (one("'Action':'s3:ListBucket','Resource':'*'"), syntax),
        (one("'Effect':'Allow'"), actions),
        (one("'Effect':'Allow','Resource':'arn:aws:s3:::example_bucket'"), actions),
        (one("'Effect':'Allow','Action':[],'Resource':'*'"), actions),
        (one("'Effect':'Allow','Action':'s3:ListBucket'"), resources),
        (one("'Effect':'Allow','Action':'s3:ListBucket','Resource':[]"), resources),
        (one("'Effect':'Allow','Action':'invalid'"), vendor),
        (one(&action("invalid")), vendor),
        (one("'Effect':'Allow','NotAction':'','Resource':'*'"), vendor),
        (one(&action("a a:ListBucket")), "Vendor a a is not valid"),
        (one(&action("dyn*:GetItem")), "Vendor dyn* is not valid"),
        (one(&action("s3:List:Bucket")), colon),
        (one(&action("iam: asdf safdsf af ")), "taken"),
        (one(&action("*")), "taken"),
        (one(&action("*:*")), "taken"),
        (one(&resource("invalid resource")), "Resource invalid resource must be in ARN format or \"*\"."),
        (one(&resource("")), "Resource  must be in ARN format or \"*\"."),
        (
            one("'Effect':'Allow','Action':'s:3:ListBucket','Resource':'sdfsadf'"),
            "Resource sdfsadf must be in ARN format or \"*\".",
        ),
        (
            one(&resource("a:bsdfdsafsad")),
            "Partition \"bsdfdsafsad\" is not valid for resource \"arn:bsdfdsafsad:*:*:*:*\".",
        ),
        (one(&resource("a:b:cadfsdf")), "Partition \"b\" is not valid for resource \"arn:b:cadfsdf:*:*:*\"."),
        (one(&resource("a:b:c:d:e:f:g:h")), "Partition \"b\" is not valid for resource \"arn:b:c:d:e:f:g:h\"."),
        (
            one(&resource("aws:s3:::example_bucket")),
            "Partition \"s3\" is not valid for resource \"arn:s3:::example_bucket:*\".",
        ),
        (one(&resource("arn:${P}:s3:::x")), "Partition \"${P}\" is not valid for resource \"arn:${P}:s3:::x\"."),
        (one(&resource("arn:aws-cn:s3:::x")), "taken"),
        (one(&resource("arn:aws:iam:::example_bucket")), path),
        (one(&resource("arn:aws:iam:::user/example_bucket")), "taken"),
        (one(&resource("arn:aws:iam::111122223333:*")), "taken"),
        (one(&resource("arn:aws:s3::example_bucket")), legacy),
        (one(&resource("arn:aws::::example_bucket")), legacy),
        (one(&resource("arn:aws::fdsasf")), legacy),
        (one("'Effect':'Allow','Resource':'arn:aws:s3::example_bucket'"), legacy),
        (one("'Effect':'Allow','Action':'s3:x','NotResource':'arn:aws:s3::example_bucket'"), legacy),
        (one(&resource("arn:aws")), "Resource vendor must be fully qualified and cannot contain regexes."),
        (one(&resource("arn:aws:dyn*:::x")), "Resource vendor must be fully qualified and cannot contain regexes."),
        (one(&resource("arn:aws:fdsasf")), "taken"),
        (one(&resource("arn:aws:invalid-service:us-east-1::example_bucket")), "taken"),
        (
            one(&resource("arn:aws:iam:us-east-1::example_bucket")),
            "IAM resource arn:aws:iam:us-east-1::example_bucket cannot contain region information.",
        ),
        (
            one(&resource("arn:aws:s3:us-east-1::example_bucket")),
            "Resource arn:aws:s3:us-east-1::example_bucket can not contain region information.",
        ),
        (one("'Effect':'Allow','Action':'s3:x','Resource':{'a':'*'}"), syntax),
        (one("'Effect':'Deny','Action':'s3:x','Resource':['adfdf',{}]"), syntax),
        (one("'Effect':'Deny','Action':[[]],'Resource':'*'"), syntax),
        (one("'Effect':'Deny','Action':{},'Resource':'*'"), syntax),
        (one(&with("'NotResource':[]")), syntax),
        (one(&with("'NotAction':'iam:x'")), syntax),
        (one(&with("'Principal':'*'")), principal),
        (one(&with("'NotPrincipal':{'AWS':'*'}")), principal),
        (one(&with("'Condition':[]")), syntax),
        (one(&with("'Condition':'a'")), syntax),
        (one(&with("'Condition':{}")), "taken"),
        (one(&with("'Condition':{'a':'b'}")), syntax),
        (one(&with("'Condition':{'a':{}}")), "taken"),
        (one(&with("'Condition':{'x':{'a':'1'}}")), syntax),
        (one(&with("'Condition':{'ForAnyValue::StringEqualsIfExists':{'a':'asf'}}")), syntax),
        (one(&with("'Condition':{'ForAllValues:StringEquals':{'aws:TagKeys':'Department'}}")), "taken"),
        (one(&with("'Condition':{'DateGreaterThan':[]}")), syntax),
        (one(&with("'Condition':{'DateGreaterThan':{'a':{}}}")), syntax),
        (one(&with("'Condition':{'DateGreaterThan':{'a':[]}}")), "taken"),
        (one(&with("'Condition':{'DateGreaterThan':{'a':'sdfdsf'}}")), legacy),
        (one(&with("'Condition':{'DateLessThanEquals':{'a':'234-13'}}")), legacy),
        (one(&with("'Condition':{'DateLessThanEquals':{'a':'2016-12-13t2:00:00.593194+1'}}")), legacy),
        (one(&with("'Condition':{'DateLessThanEquals':{'a':'2016-12-13t2:00:00.1999999999+10:59'}}")), legacy),
        (one(&with("'Condition':{'DateLessThan':{'a':'9223372036854775808'}}")), legacy),
        (one(&with("'Condition':{'Bool':{'aws:SecureTransport':true},'NumericEquals':{'x':[1,2.5]}}")), "taken"),
        (one(&with("'Condition':{'Bool':{'aws:SecureTransport':null}}")), syntax),
        (one(&with("'Condition':{'NullIfExists':{'a':'true'}}")), syntax),
        (one(&with("'Condition':{'StringEquals':{'a':'1'},'StringEquals':{'b':'2'}}")), syntax),
        (one(&with("'Sid':{}")), syntax),
        (one(&with("'Sid':'A1'")), "taken"),
        (one(&with("'Sid':''")), "taken"),
        (
            one(&with("'Sid':'A 1'")),
            "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*",
        ),
        (
            format!("{{'Version':'2012-10-17','Statement':[{{'Sid':'sdf',{GOOD}}},{{'Sid':'sdf','Effect':'Allow'}}]}}"),
            "Statement IDs (SID) in a single policy must be unique.",
        ),
        (format!("{{'Version':'2012-10-17','Statement':[{{'Sid':'',{GOOD}}},{{'Sid':'',{GOOD}}}]}}"), "taken"),
        (format!("{{'Version':'2012-10-17','Statement':[{{'Effect':'Deny'}},{{{GOOD}}}]}}"), actions),
    ] {
        assert_eq!(refusal(&text, DocumentKind::Identity), expected, "{text}");
        assert_eq!(refusal(&text, DocumentKind::Managed), expected, "{text}, managed");
    }
}

#[test]
fn managed_policies_are_of_version_2012() {
    let old = "Policy document must be version 2012-10-17 or greater.";
    for version in ["", "'Version':'2008-10-17',"] {
        let text = format!("{{{version}'Statement':{{{GOOD}}}}}");
        assert_eq!(refusal(&text, DocumentKind::Managed), old);
        assert_eq!(refusal(&text, DocumentKind::Identity), "taken");
        let text = text.replace("Allow", "denY");
        assert_eq!(refusal(&text, DocumentKind::Managed), old, "before legacy parsing");
    }
}

#[test]
fn words_for_trust_policies() {
    let good = "'Effect':'Allow','Principal':{'AWS':'111122223333'},'Action':'sts:AssumeRole'";
    let principal = |text: &str| good.replace("{'AWS':'111122223333'}", text);
    for (text, expected) in [
        (one(good), "taken"),
        (format!("{{'Version':'2008-10-17','Statement':[{{{good}}}]}}"), "taken"),
        ("{".to_owned(), "This policy contains invalid Json"),
        ("[]".to_owned(), "This policy contains invalid Json"),
        (format!("{{'Version':'x','Statement':{{{good}}}}}"), "The policy must contain a valid version string"),
        ("{'Version':'2012-10-17','Statement':[]}".to_owned(), "Could not parse the policy: Statement is empty!"),
        ("{'Version':'2012-10-17'}".to_owned(), "Could not parse the policy: Statement is empty!"),
        (one(&format!("{good},'Foo':1")), "Unknown field Foo"),
        (one(&good.replace("'Effect':'Allow',", "")), "Missing required field Effect"),
        (one(&good.replace("Allow", "Permit")), "Invalid effect: Permit"),
        (one("'Effect':'Allow','Action':'sts:AssumeRole'"), "Missing required field Principal"),
        (one(&principal("{}")), "Missing required field Principal cannot be empty!"),
        (one(&principal("'*'")), "Principal must be a JSON object."),
        (one(&principal("{'AWS':'*'}")), "taken"),
        (
            one(&principal("{'AWS':'arn:aws:iam::111122223333:user/*'}")),
            "Invalid principal in policy: \"AWS\":\"arn:aws:iam::111122223333:user/*\"",
        ),
        (one(&principal("{'AWS':'12345'}")), "Invalid principal in policy: \"AWS\":\"12345\""),
        (
            one(&principal("{'AWS':'arn:aws:iam::111122223333:group/g'}")),
            "Invalid principal in policy: \"AWS\":\"arn:aws:iam::111122223333:group/g\"",
        ),
        (one(&principal("{'Nobody':'x'}")), "Invalid principal in policy: \"Nobody\""),
        (one(&principal("{'AWS':{}}")), "Syntax error in policy."),
        (one(&principal("{'Federated':'cognito-identity.amazonaws.com'}")), "taken"),
        (one(&good.replace("'Principal'", "'NotPrincipal'")), "Allow with NotPrincipal is not allowed."),
        (
            one(&good.replace("'Principal'", "'NotPrincipal'").replace("Allow", "Deny")),
            "AssumeRole policy must not contain NotPrincipal field.",
        ),
        (one("'Effect':'Allow','Principal':{'AWS':'111122223333'}"), "Missing required field Action"),
        (one(&good.replace("sts:AssumeRole", "iam:x")), "AssumeRole policy may only specify STS AssumeRole actions."),
        (one(&good.replace("sts:AssumeRole", "*")), "AssumeRole policy may only specify STS AssumeRole actions."),
        (one(&format!("{good},'Resource':'*'")), "Has prohibited field Resource"),
        (one(&format!("{good},'NotResource':'*'")), "AssumeRole policy must not contain resources."),
        (one(&format!("{good},'Condition':{{'X':{{'a':'b'}}}}")), "Syntax error in policy."),
        (
            format!("{{'Statement':[{{'Sid':'a',{good}}},{{'Sid':'a',{good}}}]}}"),
            "The Statement Ids in the policy are not unique",
        ),
    ] {
        assert_eq!(refusal(&text, DocumentKind::Trust), expected, "{text}");
    }
}

#[test]
fn words_for_policies_of_resources() {
    let good = "'Effect':'Allow','Principal':{'AWS':'111122223333'},'Action':'dynamodb:GetItem','Resource':'*'";
    let invalid = |words: &str| format!("One or more parameter values were invalid: Invalid policy document: {words}");
    let unbounded = "Resource-based policy grants unbounded access in one or more elements. Please revise the policy to ensure \
                     least-privilege form of access";
    let nobody = "One or more parameter values were invalid: Invalid principal in policy document.";
    let principal = |text: &str| good.replace("{'AWS':'111122223333'}", text);
    let everyone = |condition: &str| one(&format!("{},'Condition':{{{condition}}}", principal("'*'")));
    for (text, expected) in [
        (one(good), "taken".to_owned()),
        (one(&good.replace("Allow", "allow")), "taken".to_owned()),
        ("{not json".to_owned(), invalid("This policy contains invalid Json")),
        (String::new(), invalid("This policy contains invalid Json")),
        ("{'Statement':[]}".to_owned(), invalid("Could not parse the policy: Statement is empty!")),
        (one(&good.replace(",'Resource':'*'", "")), invalid("Missing required field Resource")),
        (one(&good.replace("'Action':'dynamodb:GetItem',", "")), invalid("Missing required field Action")),
        (one(&good.replace("'Principal':{'AWS':'111122223333'},", "")), invalid("Missing required field Principal")),
        (one(&good.replace("'Effect':'Allow',", "")), invalid("Missing required field Effect")),
        (one(&good.replace("'Principal'", "'NotPrincipal'")), invalid("Allow with NotPrincipal is not allowed.")),
        (one(&good.replace("'Principal'", "'NotPrincipal'").replace("Allow", "Deny")), "taken".to_owned()),
        (one(&principal("'111122223333'")), invalid("Syntax error in policy.")),
        (one(&principal("{'AWS':'arn:aws:iam::111122223333:user/a*'}")), nobody.to_owned()),
        (one(&principal("{'AWS':'arn:aws:s3:::x'}")), nobody.to_owned()),
        (one(&principal("'*'")), unbounded.to_owned()),
        (one(&principal("{'AWS':'*'}")), unbounded.to_owned()),
        (one(&principal("'*'").replace("Allow", "Deny")), "taken".to_owned()),
        (everyone("'StringEquals':{'aws:PrincipalAccount':'111122223333'}"), "taken".to_owned()),
        (everyone("'StringEquals':{'aws:PrincipalAccount':'1111*'}"), unbounded.to_owned()),
        (everyone("'StringEquals':{'aws:PrincipalAccount':'${aws:PrincipalTag/x}'}"), unbounded.to_owned()),
        (everyone("'StringNotEquals':{'aws:PrincipalAccount':'111122223333'}"), unbounded.to_owned()),
        (everyone("'StringEqualsIfExists':{'aws:SourceVpce':'vpce-1'}"), unbounded.to_owned()),
        (everyone("'StringEquals':{'aws:SourceVpce':'vpce-1'}"), "taken".to_owned()),
        (everyone("'ArnLike':{'aws:PrincipalArn':'arn:aws:iam::111122223333:user/John'}"), "taken".to_owned()),
        (everyone("'ArnLike':{'aws:PrincipalArn':'arn:aws:iam::111122223333:user/*'}"), unbounded.to_owned()),
        (everyone("'Bool':{'aws:PrincipalIsAWSService':'true'}"), "taken".to_owned()),
        (everyone("'Bool':{'aws:PrincipalIsAWSService':'false'}"), unbounded.to_owned()),
        (everyone("'IpAddress':{'aws:SourceIp':'10.0.0.0/8'}"), unbounded.to_owned()),
        (
            format!("{{'Statement':[{{'Sid':'a',{good}}},{{'Sid':'a',{good}}}]}}"),
            invalid("The Statement Ids in the policy are not unique"),
        ),
    ] {
        assert_eq!(refusal(&text, DocumentKind::Resource), expected, "{text}");
    }
}

#[test]
fn documents_are_bounded() {
    let text = one(GOOD);
    let long = |length: usize| format!("{text}{}", " ".repeat(length - text.len()));
    assert_eq!(refusal(&long(MAX_DOCUMENT), DocumentKind::Identity), "taken");
    assert_eq!(refusal(&long(MAX_DOCUMENT + 1), DocumentKind::Identity), "Syntax errors in policy.");
}

#[test]
fn actions_that_there_are_not() {
    let policy = Policy::parse(
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Resource":"*",
            "Action":["dynamodb:GetItem","dynamodb:GETITEM","dynamodb:Put*","dynamodb:ListStreams","*"]}}"#,
        DocumentKind::Resource,
    )
    .unwrap();
    assert_eq!(policy.actions_outside(&["dynamodb:GetItem", "dynamodb:PutItem"]), ["dynamodb:ListStreams"]);
}
