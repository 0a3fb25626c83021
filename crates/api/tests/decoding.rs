//! No bytes make the decoder panic, and it says the same of the same request however it is written.

use partita_api::generated::inputs::{
    BatchWriteItemInput, CreateTableInput, PutItemInput, QueryInput, TransactWriteItemsInput, UpdateItemInput,
};
use partita_api::request;
use proptest::prelude::*;

const REQUESTS: &[&str] = &[
    r##"{"TableName":"Users","KeySchema":[{"AttributeName":"UserID","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"UserID","AttributeType":"S"}],"ProvisionedThroughput":{"ReadCapacityUnits":5,"WriteCapacityUnits":5}}"##,
    r##"{"TableName":"Users","Item":{"UserID":{"S":"12345"},"n":{"N":"-1.5e10"},"b":{"B":"YWJj"},"m":{"M":{"l":{"L":[{"NULL":true},{"BOOL":false}]}}},"ss":{"SS":["a","b"]},"ns":{"NS":["1","2"]},"bs":{"BS":["YQ=="]}},"ReturnValues":"ALL_OLD","ConditionExpression":"attribute_not_exists(#a)","ExpressionAttributeNames":{"#a":"UserID"}}"##,
    r##"{"TableName":"Users","KeyConditionExpression":"UserID = :u","ExpressionAttributeValues":{":u":{"S":"\u00e4\ud83d\ude00"}},"Limit":10,"ScanIndexForward":false}"##,
    r##"{"RequestItems":{"Users":[{"PutRequest":{"Item":{"UserID":{"S":"1"}}}},{"DeleteRequest":{"Key":{"UserID":{"S":"2"}}}}]},"ReturnConsumedCapacity":"TOTAL"}"##,
    r##"{"TransactItems":[{"Update":{"TableName":"Users","Key":{"UserID":{"S":"1"}},"UpdateExpression":"SET a = :a","ExpressionAttributeValues":{":a":{"N":"1"}}}}],"ClientRequestToken":"t"}"##,
    r##"{"TableName":"Users","Key":{"UserID":{"S":"1"}},"AttributeUpdates":{"a":{"Action":"ADD","Value":{"N":"1"}}},"Expected":{"b":{"Exists":false}}}"##,
];

/// Everything that can be said of a body, by each of some operations.
fn verdicts(body: &[u8]) -> [Result<bool, String>; 6] {
    fn verdict<T: partita_api::Input>(body: &[u8]) -> Result<bool, String> {
        let decoded = request::read::<T>(body).map_err(|refusal| refusal.to_string())?;
        Ok(decoded.values.check().is_ok())
    }
    [
        verdict::<CreateTableInput>(body),
        verdict::<PutItemInput>(body),
        verdict::<QueryInput>(body),
        verdict::<BatchWriteItemInput>(body),
        verdict::<TransactWriteItemsInput>(body),
        verdict::<UpdateItemInput>(body),
    ]
}

#[test]
fn each_request_is_taken_by_its_operation() {
    for (request, operation) in REQUESTS.iter().zip([0, 1, 2, 3, 4, 5]) {
        assert_eq!(verdicts(request.as_bytes())[operation], Ok(true), "{request}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_answered(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = verdicts(&body);
    }

    #[test]
    fn arbitrary_text_of_json_characters_is_answered(body in r#"[\[\]{}",:0-9a-zSNBLM\\u. -]{0,120}"#) {
        let _ = verdicts(body.as_bytes());
    }

    #[test]
    fn damaged_requests_are_answered(
        which in 0..REQUESTS.len(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 1..6),
    ) {
        let mut body = REQUESTS[which].as_bytes().to_vec();
        for (at, byte, kind) in damage {
            if body.is_empty() {
                break;
            }
            let at = at.index(body.len());
            match kind {
                0 => body[at] = byte,
                1 => body.insert(at, byte),
                _ => body.truncate(at),
            }
        }
        let _ = verdicts(&body);
    }

    #[test]
    fn white_space_and_unknown_members_change_nothing(
        which in 0..REQUESTS.len(),
        space in "[ \t\r\n]{0,3}",
        junk in prop_oneof![Just("{}"), Just("[[],{\"a\":[1,2.5e1]}]"), Just("null"), Just("\"\\u0000\""), Just("-0.1E-2")],
    ) {
        let plain = REQUESTS[which];
        let spaced = plain.replace(',', &format!("{space},{space}")).replace('{', &format!("{space}{{{space}"));
        prop_assert_eq!(verdicts(spaced.as_bytes()), verdicts(plain.as_bytes()));
        let extended = plain.replacen('{', &format!("{{\"Unknown\":{junk},"), 1);
        prop_assert_eq!(verdicts(extended.as_bytes()), verdicts(plain.as_bytes()));
    }
}
