//! The wording of broken constraints, as the service was measured to have it.

use super::*;
use crate::generated::inputs::*;
use crate::request;

fn message<T: Input>(json: &str) -> String {
    match request::read::<T>(json.as_bytes()) {
        Ok(decoded) => {
            decoded.values.check().map_or_else(|refusal| refusal.message.into_owned(), |()| "accepted".to_owned())
        }
        Err(refusal) => refusal.message.into_owned(),
    }
}

const RETURN_CONSUMED_CAPACITY: &str = "Value 'INVALID' at 'returnConsumedCapacity' failed to satisfy constraint: Member must satisfy enum value set: [INDEXES, TOTAL, NONE]";
const RETURN_VALUES: &str = "Failed to satisfy constraint: Member must satisfy enum value set: [ALL_OLD, UPDATED_OLD, ALL_NEW, UPDATE_NEW, NONE]";
const NO_KEY: &str = "Value null at 'key' failed to satisfy constraint: Member must not be null";

fn one(finding: &str) -> String {
    format!("1 validation error detected: {finding}")
}

#[test]
fn names_of_tables_to_work_on() {
    let put =
        |name: &str| message::<PutItemInput>(&format!(r#"{{"TableName":{name},"Item":{{}},"ReturnValues":"NONE"}}"#));
    assert_eq!(put("null"), one("Value null at 'tableName' failed to satisfy constraint: Member must not be null"));
    assert_eq!(
        put(r#""""#),
        one("Value at 'TableName' failed to satisfy constraint: Member must have length greater than or equal to 1")
    );
    let long = "a".repeat(256);
    assert_eq!(
        put(&format!("\"{long}\"")),
        one(&format!(
            "Value '{long}' at 'tableName' failed to satisfy constraint: Member must have length less than or equal to 255"
        ))
    );
    assert_eq!(
        put(r#""bad table!@#""#),
        one(
            "Value 'bad table!@#' at 'tableName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"
        )
    );
    assert_eq!(put(r#""ab""#), "accepted");
    assert_eq!(put(r#""arn:aws:dynamodb:us-east-1:000000000000:table/Users""#), "accepted");
    assert_eq!(
        message::<ScanInput>(r#"{"TableName":""}"#),
        one("Value '' at 'tableName' failed to satisfy constraint: Member must have length greater than or equal to 1")
    );
}

#[test]
fn names_of_tables_to_manage() {
    let create = |name: &str| {
        message::<CreateTableInput>(&format!(
            r#"{{"TableName":{name},"AttributeDefinitions":[],"KeySchema":[{{"AttributeName":"a","KeyType":"HASH"}}]}}"#
        ))
    };
    assert_eq!(create("null"), "The parameter 'TableName' is required but was not present in the request");
    assert_eq!(
        create(r#""ab""#),
        one(
            "Value 'ab' at 'tableName' failed to satisfy constraint: Member must have length greater than or equal to 3"
        )
    );
    assert_eq!(create(r#""abc""#), "accepted");
    assert_eq!(
        message::<DescribeTableInput>("{}"),
        "The parameter 'TableName' is required but was not present in the request"
    );
}

#[test]
fn enumerations_of_writes_are_listed_in_the_services_order() {
    assert_eq!(
        message::<PutItemInput>(
            r#"{"TableName":"abc","Item":{},"ReturnValues":"INVALID","ReturnConsumedCapacity":"INVALID","ReturnItemCollectionMetrics":"INVALID"}"#
        ),
        format!(
            "3 validation errors detected: {RETURN_CONSUMED_CAPACITY}; {RETURN_VALUES}; Value 'INVALID' at 'returnItemCollectionMetrics' failed to satisfy constraint: Member must satisfy enum value set: [SIZE, NONE]"
        )
    );
    assert_eq!(
        message::<DeleteItemInput>(
            r#"{"TableName":"abc","Key":{},"ReturnValues":"INVALID","ReturnConsumedCapacity":"INVALID"}"#
        ),
        format!("2 validation errors detected: {RETURN_CONSUMED_CAPACITY}; {RETURN_VALUES}")
    );
    assert_eq!(
        message::<UpdateItemInput>(
            r#"{"TableName":"abc","Key":{},"ReturnValues":"INVALID","ReturnConsumedCapacity":"INVALID"}"#
        ),
        one(RETURN_VALUES)
    );
    assert_eq!(
        message::<QueryInput>(r#"{"TableName":"abc","Select":"INVALID_VALUE"}"#),
        one(
            "Value 'INVALID_VALUE' at 'select' failed to satisfy constraint: Member must satisfy enum value set: [SPECIFIC_ATTRIBUTES, COUNT, ALL_ATTRIBUTES, ALL_PROJECTED_ATTRIBUTES]"
        )
    );
    assert_eq!(
        message::<QueryInput>(r#"{"TableName":"abc","Select":"BOGUS","ConditionalOperator":"XOR"}"#),
        "Failed to satisfy constraint: Member must satisfy enum value set: [ALL, OR]"
    );
}

#[test]
fn a_missing_member_brings_the_older_form_of_all_others() {
    assert_eq!(
        message::<UpdateItemInput>(r#"{"TableName":"","ReturnConsumedCapacity":"INVALID","ReturnValues":"INVALID"}"#),
        format!(
            "4 validation errors detected: {RETURN_CONSUMED_CAPACITY}; \
             Value '' at 'tableName' failed to satisfy constraint: Member must have length greater than or equal to 1; \
             Value 'INVALID' at 'returnValues' failed to satisfy constraint: Member must satisfy enum value set: [ALL_NEW, UPDATED_OLD, ALL_OLD, NONE, UPDATED_NEW]; \
             {NO_KEY}"
        )
    );
    assert_eq!(
        message::<UpdateItemInput>(r#"{"TableName":"abc","ConditionalOperator":"XOR"}"#),
        format!(
            "2 validation errors detected: {NO_KEY}; Value 'XOR' at 'conditionalOperator' failed to satisfy constraint: Member must satisfy enum value set: [OR, AND]"
        )
    );
}

#[test]
fn an_empty_table_name_is_reported_alone() {
    assert_eq!(
        message::<PutItemInput>(r#"{"TableName":"","Item":{},"ReturnValues":"INVALID"}"#),
        one("Value at 'TableName' failed to satisfy constraint: Member must have length greater than or equal to 1")
    );
}

#[test]
fn numbers_out_of_range() {
    assert_eq!(
        message::<QueryInput>(r#"{"TableName":"abc","Limit":0}"#),
        one("Value at 'Limit' failed to satisfy constraint: Member must have value greater than or equal to 1")
    );
    assert_eq!(
        message::<ScanInput>(r#"{"TableName":"abc","Limit":0}"#),
        one("Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1")
    );
    assert_eq!(
        message::<ListTablesInput>(r#"{"Limit":101}"#),
        one("Value '101' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 100")
    );
}

#[test]
fn batches_and_their_sizes() {
    assert_eq!(
        message::<BatchGetItemInput>(r#"{"RequestItems":{}}"#),
        one("Value at 'RequestItems' failed to satisfy constraint: Member must have length greater than or equal to 1")
    );
    assert_eq!(
        message::<BatchGetItemInput>(r#"{"RequestItems":{"abc":{"Keys":[]}}}"#),
        one(
            "Value at 'RequestItems.abc.member.Keys' failed to satisfy constraint: Member must have length greater than or equal to 1"
        )
    );
    assert_eq!(
        message::<BatchGetItemInput>(
            r#"{"RequestItems":{"bad!name":{"Keys":[{"pk":{"S":"a"}}]}},"ReturnConsumedCapacity":"INVALID"}"#
        ),
        format!(
            r#"2 validation errors detected: Value '{{"bad!name":{{"Keys":[{{"pk":{{"S":"a"}}}}]}}}}' at 'requestItems' failed to satisfy constraint: Map keys must satisfy constraint: [Member must have length less than or equal to 255, Member must have length greater than or equal to 3, Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+]; {RETURN_CONSUMED_CAPACITY}"#
        )
    );
    assert_eq!(
        message::<BatchWriteItemInput>(r#"{"RequestItems":{}}"#),
        "The requestItems parameter is required for BatchWriteItem"
    );
    let write = r#"{"PutRequest":{"Item":{"pk":{"S":"a"}}}}"#;
    assert_eq!(
        message::<BatchWriteItemInput>(&format!(
            r#"{{"RequestItems":{{"bad!name":[{write}]}},"ReturnConsumedCapacity":"INVALID"}}"#
        )),
        one(RETURN_CONSUMED_CAPACITY)
    );
    let many = format!(r#"{{"RequestItems":{{"abc":[{}]}}}}"#, vec![write; 26].join(","));
    let value = "AttributeValue(s=a, n=null, b=null, iNT=null, dECIMAL=null, dOUBLE=null, sS=null, nS=null, bS=null, iNTSET=null, dECIMALSET=null, dOUBLESET=null, m=null, l=null, nULL=null, bOOL=null)";
    let echoed = format!(
        "WriteRequest(putRequest=PutRequest(item={{pk={value}}}, workloadProfileName=null), deleteRequest=null)"
    );
    assert_eq!(
        message::<BatchWriteItemInput>(&many),
        one(&format!(
            "Value '{{abc=[{}]}}' at 'requestItems' failed to satisfy constraint: Map value must satisfy constraint: [Member must have length less than or equal to 25, Member must have length greater than or equal to 1]",
            vec![echoed; 26].join(", ")
        ))
    );
}

#[test]
fn key_schemas_of_tables() {
    let create = |schema: &str| {
        message::<CreateTableInput>(&format!(
            r#"{{"TableName":"abc","AttributeDefinitions":[],"KeySchema":[{schema}],"BillingMode":"PAY_PER_REQUEST"}}"#
        ))
    };
    let element = |name: &str, kind: &str| format!(r#"{{"AttributeName":"{name}","KeyType":"{kind}"}}"#);
    assert_eq!(
        create(&[element("pk", "HASH"), element("sk", "RANGE"), element("extra", "RANGE")].join(",")),
        one(
            "Value '[KeySchemaElement(attributeName=pk, keyType=HASH), KeySchemaElement(attributeName=sk, keyType=RANGE), KeySchemaElement(attributeName=extra, keyType=RANGE)]' at 'keySchema' failed to satisfy constraint: Member must have length less than or equal to 2"
        )
    );
    assert_eq!(
        create(&element("pk", "INVALID")),
        one(
            "Value 'INVALID' at 'keySchema.1.member.keyType' failed to satisfy constraint: Member must satisfy enum value set: [HASH, RANGE]"
        )
    );
    let short = |kind: &str, name: &str| {
        format!(r#""{kind}":[{{"IndexName":"{name}","KeySchema":[{}],"Projection":{{}}}}]"#, element("a", "HASH"))
    };
    assert_eq!(
        message::<CreateTableInput>(&format!(
            r#"{{"TableName":"abc","AttributeDefinitions":[],"KeySchema":[{}],{},{}}}"#,
            element("pk", "HASH"),
            short("LocalSecondaryIndexes", "l1"),
            short("GlobalSecondaryIndexes", "g1")
        )),
        "2 validation errors detected: Value 'g1' at 'globalSecondaryIndexes.1.member.indexName' failed to satisfy constraint: Member must have length greater than or equal to 3; Value 'l1' at 'localSecondaryIndexes.1.member.indexName' failed to satisfy constraint: Member must have length greater than or equal to 3"
    );
    assert_eq!(
        message::<CreateTableInput>(
            r#"{"TableName":"abc","AttributeDefinitions":[{"AttributeName":"a","AttributeType":"INVALID"}],"KeySchema":[{"AttributeName":"a","KeyType":"HASH"}],"ProvisionedThroughput":{"ReadCapacityUnits":-1}}"#
        ),
        "3 validation errors detected: Value 'INVALID' at 'attributeDefinitions.1.member.attributeType' failed to satisfy constraint: Member must satisfy enum value set: [B, N, S]; Value null at 'provisionedThroughput.writeCapacityUnits' failed to satisfy constraint: Member must not be null; Value '-1' at 'provisionedThroughput.readCapacityUnits' failed to satisfy constraint: Member must have value greater than or equal to 1"
    );
}

#[test]
fn at_most_ten_constraints_are_listed() {
    let listed = message::<CreateTableInput>(&format!(
        r#"{{"TableName":"abc","AttributeDefinitions":[{}],"KeySchema":[]}}"#,
        vec!["{}"; 50].join(",")
    ));
    assert!(
        listed
            .starts_with("10 validation errors detected: Value null at 'attributeDefinitions.1.member.attributeName'")
    );
    assert_eq!(listed.matches("Member must not be null").count(), 10);
}

#[test]
fn a_repeated_value_is_cut_off() {
    let huge = format!(r#"{{"TableName":"{}"}}"#, "ä".repeat(1 << 20));
    assert!(message::<ScanInput>(&huge).len() < 200_000);
    let keys = format!(
        r#"{{"RequestItems":{{"abc":[{}]}}}}"#,
        vec![r#"{"PutRequest":{"Item":{"a":{"S":"b"}}}}"#; 100_000].join(",")
    );
    assert!(message::<BatchWriteItemInput>(&keys).len() < 200_000);
}
