//! Lambda's own API, as far as it invokes the one function: `aws lambda invoke`.
//! <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>

use std::io;

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderName, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::net::TcpListener;

use crate::aws::lambda_runtime::RuntimeApi;

const FUNCTION_ERROR: HeaderName = HeaderName::from_static("x-amz-function-error");

/// Starts it on loopback, for no other machine has to invoke the function. Returns its URL.
///
/// # Errors
/// If no port can be listened on.
pub async fn start(function: RuntimeApi) -> io::Result<String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let unknown = async || StatusCode::NOT_IMPLEMENTED;
    let router = Router::new()
        .route("/2015-03-31/functions/{name}/invocations", post(invoke))
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        .with_state(function);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(url)
}

async fn invoke(State(function): State<RuntimeApi>, body: Bytes) -> Response {
    let Ok(event) = serde_json::from_slice::<Value>(&body) else {
        let refusal = json!({ "Type": "User", "Message": "Could not parse request body into json" });
        return (StatusCode::BAD_REQUEST, refusal.to_string()).into_response();
    };
    let now = OffsetDateTime::now_utc().unix_timestamp_nanos();
    match function.invoke(format!("invocation-{now}"), event).await {
        Ok(said) => said.to_string().into_response(),
        Err(error) => ([(FUNCTION_ERROR, "Unhandled")], error).into_response(),
    }
}
