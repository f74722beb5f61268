//! What the endpoint says of itself (RFC 7643 5 to 7): only what is kept and supported.

use serde_json::{Value, json};

use super::{
    path::{CORE, ENTERPRISE},
    query::MAX_RESULTS,
};

/// Returns `/ServiceProviderConfig`.
pub(super) fn service_provider_config(base: &str) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "documentationUri": "https://www.rfc-editor.org/rfc/rfc7644",
        "patch": {"supported": true},
        "bulk": {"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": true, "maxResults": MAX_RESULTS},
        "changePassword": {"supported": false},
        "sort": {"supported": false},
        "etag": {"supported": false},
        "authenticationSchemes": [{
            "type": "oauthbearertoken",
            "name": "Bearer token",
            "description": "A static token in the header Authorization",
            "specUri": "https://www.rfc-editor.org/rfc/rfc6750",
            "primary": true,
        }],
        "meta": {"resourceType": "ServiceProviderConfig", "location": format!("{base}/ServiceProviderConfig")},
    })
}

/// Returns the one resource type.
pub(super) fn resource_types(base: &str, has_employee_number: bool) -> Vec<Value> {
    let extensions: Vec<_> =
        has_employee_number.then(|| json!({"schema": ENTERPRISE, "required": false})).into_iter().collect();
    vec![json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
        "id": "User",
        "name": "User",
        "description": "A person whom the identity provider manages",
        "endpoint": "/Users",
        "schema": CORE,
        "schemaExtensions": extensions,
        "meta": {"resourceType": "ResourceType", "location": format!("{base}/ResourceTypes/User")},
    })]
}

/// Returns the schemas of what is kept.
pub(super) fn schemas(base: &str, has_employee_number: bool) -> Vec<Value> {
    let user = vec![
        json!({"required": true, "uniqueness": "server", "name": "userName", "description": "Name at the identity provider"}),
        json!({"type": "complex", "name": "name", "description": "Parts of the name", "subAttributes": [
            attribute(json!({"name": "formatted", "description": "The whole name"})),
            attribute(json!({"name": "givenName", "description": "Given name"})),
            attribute(json!({"name": "familyName", "description": "Family name"})),
        ]}),
        json!({"name": "displayName", "description": "The name as it is shown"}),
        json!({"type": "boolean", "required": true, "name": "active", "description": "Whether the person is active; one who no longer is has left"}),
        json!({"type": "complex", "multiValued": true, "name": "emails", "description": "E-mail addresses", "subAttributes": [
            attribute(json!({"name": "value", "description": "The address"})),
            attribute(json!({"name": "type", "description": "What it is for", "canonicalValues": ["work", "home", "other"]})),
            attribute(json!({"type": "boolean", "name": "primary", "description": "Whether it is the main one"})),
        ]}),
    ];
    let mut schemas = vec![schema(base, CORE, "User", "What is kept of a person", user)];
    if has_employee_number {
        let number = vec![json!({"name": "employeeNumber", "description": "Personnel number"})];
        schemas.push(schema(base, ENTERPRISE, "EnterpriseUser", "What is kept of an employee", number));
    }
    schemas
}

fn schema(base: &str, id: &str, name: &str, description: &str, attributes: Vec<Value>) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
        "id": id,
        "name": name,
        "description": description,
        "attributes": attributes.into_iter().map(attribute).collect::<Vec<_>>(),
        "meta": {"resourceType": "Schema", "location": format!("{base}/Schemas/{id}")},
    })
}

/// Adds what most attributes have in common.
fn attribute(own: Value) -> Value {
    let mut attribute = json!({
        "type": "string", "multiValued": false, "required": false, "caseExact": false, "mutability": "readWrite",
        "returned": "default", "uniqueness": "none",
    });
    for (key, value) in own.as_object().into_iter().flatten() {
        attribute[key] = value.clone();
    }
    if attribute["type"] != "string" {
        for key in ["caseExact", "uniqueness"] {
            attribute.as_object_mut().and_then(|fields| fields.remove(key));
        }
    }
    attribute
}
