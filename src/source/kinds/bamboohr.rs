//! BambooHR writes a field's value bare, or under `value`: its pages show both.
//! <https://documentation.bamboohr.com/docs/field-based-webhooks>,
//! <https://documentation.bamboohr.com/docs/global-webhooks>.

use serde_json::{Value, json};

use crate::{
    source::{Unreadable, json::document},
    webhook::Verified,
};

/// The body, every field of every employee with its value under `value`.
pub(super) fn normalize(verified: &Verified) -> Result<Vec<Value>, Unreadable> {
    let mut body = document(verified.body())?;
    let employees = body.get_mut("employees").and_then(Value::as_array_mut);
    for employee in employees.into_iter().flatten() {
        let fields = employee.get_mut("fields").and_then(Value::as_object_mut);
        for (_, field) in fields.into_iter().flatten() {
            if !field.is_object() {
                *field = json!({ "value": field.take() });
            }
        }
    }
    Ok(vec![body])
}
