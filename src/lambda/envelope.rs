//! Mends what an envelope must not hold: `lambda_http` panics on it.

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, header};
use lambda_http::{aws_lambda_events::query_map::QueryMap, request::LambdaRequest};
use percent_encoding::percent_decode_str;

use crate::scim::{self, Envelope};

/// The longest path that becomes a URI; a longer one is no route of ours.
const LONGEST_PATH: usize = 4096;

/// Makes an envelope harmless; says whether it was whole. A body that is no base64, though the envelope says so, is
/// dropped: no signature fits what is left. Query and host only serve to build a URI that is not read; [`read`] keeps them.
pub(super) fn mend(request: &mut LambdaRequest) -> bool {
    match request {
        LambdaRequest::ApiGatewayV2(event) => {
            let whole = mend_body(event.is_base64_encoded, &mut event.body);
            mend_path(&mut event.raw_path);
            mend_headers(&mut event.headers);
            event.request_context.domain_name = None;
            event.request_context.stage = None;
            event.raw_query_string = None;
            event.query_string_parameters = QueryMap::default();
            whole
        }
        LambdaRequest::ApiGatewayV1(event) => {
            let whole = mend_body(event.is_base64_encoded, &mut event.body);
            mend_path(&mut event.path);
            mend_headers(&mut event.headers);
            mend_headers(&mut event.multi_value_headers);
            event.request_context.domain_name = None;
            event.request_context.stage = None;
            event.query_string_parameters = QueryMap::default();
            event.multi_value_query_string_parameters = QueryMap::default();
            once(&mut event.headers, &event.multi_value_headers);
            whole
        }
        LambdaRequest::Alb(event) => {
            let whole = mend_body(event.is_base64_encoded, &mut event.body);
            mend_path(&mut event.path);
            mend_headers(&mut event.headers);
            mend_headers(&mut event.multi_value_headers);
            event.query_string_parameters = QueryMap::default();
            event.multi_value_query_string_parameters = QueryMap::default();
            once(&mut event.headers, &event.multi_value_headers);
            whole
        }
        _ => true,
    }
}

/// Returns what SCIM needs of an envelope, and [`mend`] takes out.
pub(super) fn read(request: &LambdaRequest) -> Envelope {
    match request {
        LambdaRequest::ApiGatewayV2(event) => {
            let query = event.raw_query_string.as_deref().unwrap_or_default();
            let query = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
            let host = event.request_context.domain_name.clone();
            Envelope { query, host: host.filter(|host| is_host(host)), stage: String::new() }
        }
        LambdaRequest::ApiGatewayV1(event) => {
            let whole = event.request_context.path.as_deref().unwrap_or_default();
            let stage = event.path.as_deref().and_then(|path| whole.strip_suffix(path)).unwrap_or_default();
            let host = event.request_context.domain_name.clone();
            let query = pairs(&event.multi_value_query_string_parameters, &event.query_string_parameters);
            Envelope { query, host: host.filter(|host| is_host(host)), stage: stage.to_owned() }
        }
        LambdaRequest::Alb(event) => {
            let headers = event.headers.get(header::HOST).or(event.multi_value_headers.get(header::HOST));
            let host = headers.and_then(|host| host.to_str().ok()).map(str::to_owned);
            let encoded = pairs(&event.multi_value_query_string_parameters, &event.query_string_parameters);
            // A load balancer hands the query over as it was sent.
            let decoded = |text: String| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
            let query = encoded.into_iter().map(|(name, value)| (decoded(name), decoded(value)));
            Envelope { query: query.collect(), host: host.filter(|host| is_host(host)), stage: String::new() }
        }
        _ => Envelope::default(),
    }
}

fn pairs(several: &QueryMap, single: &QueryMap) -> Vec<(String, String)> {
    let all = if several.is_empty() { single } else { several };
    all.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// A host is shown to the caller in addresses: nothing but a name and a port.
fn is_host(text: &str) -> bool {
    !text.is_empty()
        && text.len() < 256
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:".contains(&byte))
}

fn mend_body(is_base64: bool, body: &mut Option<String>) -> bool {
    let whole = !is_base64 || body.as_ref().is_none_or(|body| BASE64_STANDARD.decode(body).is_ok());
    if !whole {
        *body = None;
    }
    whole
}

/// Replaces a path that becomes no URI by one that leads nowhere, at the same endpoint: its errors are of another form.
fn mend_path(path: &mut Option<String>) {
    let usable = path.as_ref().is_some_and(|path| path.starts_with('/') && path.len() <= LONGEST_PATH);
    if !usable {
        let route = path.as_deref().and_then(scim::route);
        let nowhere = route.map(|route| route.nowhere()).filter(|path| path.len() <= LONGEST_PATH);
        *path = Some(nowhere.unwrap_or_else(|| "/".to_owned()));
    }
}

fn mend_headers(headers: &mut HeaderMap) {
    headers.remove(header::HOST);
    headers.remove("x-forwarded-proto");
}

/// A REST API and a load balancer list each header in two maps; a header that was sent twice must still differ from a single one.
fn once(single: &mut HeaderMap, multiple: &HeaderMap) {
    for name in multiple.keys() {
        single.remove(name);
    }
}
