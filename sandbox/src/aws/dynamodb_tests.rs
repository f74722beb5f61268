use serde_json::Value;

use super::*;
use crate::mock::call;

/// What the table says to a call: the status and the error's type, or what is not known.
fn ask(table: &mut DynamoDb, target: &str, body: &Value) -> Result<(u16, String), String> {
    let target = format!("DynamoDB_20120810.{target}");
    let headers = [
        ("content-type", MEDIA_TYPE),
        ("x-amz-target", target.as_str()),
        ("authorization", "AWS4-HMAC-SHA256 Credential=k/20260101/eu-central-1/dynamodb/aws4_request"),
    ];
    let answer = table.answer(&call("POST", "/", &headers, &body.to_string())).map_err(|Unknown(what)| what)?;
    Ok((answer.status(), answer.document()["__type"].as_str().unwrap_or_default().to_owned()))
}

fn update(expression: &str, condition: &str) -> Value {
    json!({
        "TableName": "t", "Key": {"id": {"S": "a"}}, "UpdateExpression": expression, "ConditionExpression": condition,
        "ExpressionAttributeNames": {"#n": "n"}, "ExpressionAttributeValues": {":v": {"N": "1"}},
    })
}

#[test]
fn expression_in_another_form_is_unknown() {
    let mut table = DynamoDb::new("t");
    for (expression, condition, what) in [
        ("SET n = :v", "attribute_not_exists(#n)", "n where a name's placeholder"),
        ("SET #n = :v", "attribute_exists(#n)", "attribute_exists where a name's placeholder"),
        ("SET #n = :v, #n = :v", "#n = :v", "an update of n twice"),
        ("SET #n = :v SET #n = :v", "#n = :v", "an update of n twice"),
        ("SET #n = :w", "#n = :v", ":w where a value's placeholder"),
        ("SET #n = :v", "#n > :v", "'>' in an expression"),
        ("SET #n = :v", "#n = :v #n = :v", "#n after a condition"),
        ("ADD #n :v", "#n = :v", "ADD or DELETE of something"),
        ("REMOVE #n", "attribute_not_exists(#n)", "placeholder :v is not used"),
    ] {
        let unknown = ask(&mut table, "UpdateItem", &update(expression, condition)).expect_err(expression);
        assert!(unknown.starts_with(what), "{expression}, {condition}: {unknown}");
    }
    assert!(table.items().is_empty());
}

#[test]
fn request_that_dynamodb_refuses_is_refused_by_the_same_name() {
    let mut table = DynamoDb::new("t");
    let first = update("SET #n = :v", "attribute_not_exists(#n)");
    let mut elsewhere = first.clone();
    elsewhere["TableName"] = json!("u");
    let text = |length: usize| {
        let mut large = update("SET #n = :v", "attribute_not_exists(#n)");
        large["ExpressionAttributeValues"][":v"] = json!({"S": "x".repeat(length)});
        large
    };
    let part = json!({ "Update": first });
    let transaction =
        |parts: &[&Value]| json!({ "TransactItems": parts, "ClientRequestToken": parts.len().to_string() });
    for (target, body, expected) in [
        ("UpdateItem", elsewhere, (400, "ResourceNotFoundException")),
        ("UpdateItem", text(MAX_ITEM), (400, "ValidationException")),
        ("TransactWriteItems", transaction(&[&part, &part]), (400, "ValidationException")),
        ("TransactWriteItems", transaction(&[&part]), (200, "")),
        // Sent again because its answer was lost.
        ("TransactWriteItems", transaction(&[&part]), (200, "")),
        ("UpdateItem", first.clone(), (400, "ConditionalCheckFailedException")),
    ] {
        let (status, kind) = ask(&mut table, target, &body).expect(target);
        assert_eq!((status, kind.as_str()), expected, "{target}");
    }
    let inconsistent = json!({ "TableName": "t", "Key": {"id": {"S": "a"}}, "ConsistentRead": false });
    assert_eq!(ask(&mut table, "GetItem", &inconsistent), Err("a read that is not consistent".to_owned()));
}
