//! Mends what an envelope must not hold: `lambda_http` panics on it.

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, header};
use lambda_http::{aws_lambda_events::query_map::QueryMap, request::LambdaRequest};

/// The longest path that becomes a URI; a longer one is no route of ours.
const LONGEST_PATH: usize = 4096;

/// Makes an envelope harmless. A body that is no base64, though the envelope says so, stays the text that it is: no
/// signature fits it. Nothing here reads the query, and the host only serves to build a URI that nobody reads.
pub(super) fn mend(request: &mut LambdaRequest) {
    match request {
        LambdaRequest::ApiGatewayV2(event) => {
            mend_body(&mut event.is_base64_encoded, event.body.as_deref());
            mend_path(&mut event.raw_path);
            mend_headers(&mut event.headers);
            event.request_context.domain_name = None;
            event.request_context.stage = None;
            event.raw_query_string = None;
            event.query_string_parameters = QueryMap::default();
        }
        LambdaRequest::ApiGatewayV1(event) => {
            mend_body(&mut event.is_base64_encoded, event.body.as_deref());
            mend_path(&mut event.path);
            mend_headers(&mut event.headers);
            mend_headers(&mut event.multi_value_headers);
            event.request_context.domain_name = None;
            event.request_context.stage = None;
            event.query_string_parameters = QueryMap::default();
            event.multi_value_query_string_parameters = QueryMap::default();
            once(&mut event.headers, &event.multi_value_headers);
        }
        LambdaRequest::Alb(event) => {
            mend_body(&mut event.is_base64_encoded, event.body.as_deref());
            mend_path(&mut event.path);
            mend_headers(&mut event.headers);
            mend_headers(&mut event.multi_value_headers);
            event.query_string_parameters = QueryMap::default();
            event.multi_value_query_string_parameters = QueryMap::default();
            once(&mut event.headers, &event.multi_value_headers);
        }
        _ => {}
    }
}

fn mend_body(is_base64: &mut bool, body: Option<&str>) {
    *is_base64 &= body.is_none_or(|body| BASE64_STANDARD.decode(body).is_ok());
}

fn mend_path(path: &mut Option<String>) {
    let usable = path.as_ref().is_some_and(|path| path.starts_with('/') && path.len() <= LONGEST_PATH);
    if !usable {
        *path = Some("/".to_owned());
    }
}

fn mend_headers(headers: &mut HeaderMap) {
    headers.remove(header::HOST);
    headers.remove("x-forwarded-proto");
}

/// A REST API and a load balancer tell each header in two maps; a doubled header must still be told from a single one.
fn once(single: &mut HeaderMap, multiple: &HeaderMap) {
    for name in multiple.keys() {
        single.remove(name);
    }
}
