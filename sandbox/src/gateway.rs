//! A small API Gateway: any HTTP request becomes an event, the function's answer becomes HTTP again.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    sync::atomic::{AtomicU64, Ordering},
};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use time::OffsetDateTime;
use tokio::net::TcpListener;

use crate::{
    aws::lambda_runtime::RuntimeApi,
    envelope::{self, Answer, Request},
};

/// The largest body that an HTTP API takes.
const LARGEST_BODY: usize = 10 * 1024 * 1024;

#[derive(Clone)]
struct Gateway {
    function: RuntimeApi,
    requests: Arc<AtomicU64>,
}

/// Starts a gateway in front of one function.
pub async fn start(host: IpAddr, port: u16, function: RuntimeApi) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((host, port)).await?;
    let address = listener.local_addr()?;
    let router = Router::new()
        .fallback(pass)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(Gateway { function, requests: Arc::default() });
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

async fn pass(State(gateway): State<Gateway>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let now = OffsetDateTime::now_utc();
    let number = gateway.requests.fetch_add(1, Ordering::Relaxed);
    let request_id = format!("{:08x}-0000-4000-8000-{number:012x}", now.unix_timestamp());
    let headers = headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    let request = Request {
        method: method.to_string(),
        path: uri.path().to_owned(),
        query: uri.query().unwrap_or_default().to_owned(),
        headers: headers.collect(),
        body: body.to_vec(),
    };
    let said = gateway.function.invoke(request_id.clone(), envelope::event(&request, &request_id, now)).await;
    let answer = said.ok().and_then(|said| envelope::answer(&said));
    http(answer.unwrap_or_else(|| envelope::refusal(500, "Internal Server Error")))
}

fn http(answer: Answer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, answer.body).into_response();
    response.headers_mut().clear();
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().append(name, value);
        }
    }
    response
}
