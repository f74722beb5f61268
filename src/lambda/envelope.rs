//! Mends what an envelope must not hold: `lambda_http` panics on it.

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, header};
use lambda_http::{aws_lambda_events::query_map::QueryMap, request::LambdaRequest};

/// The longest path that becomes a URI; a longer one is no route of ours.
const LONGEST_PATH: usize = 4096;

/// Makes an envelope harmless; says whether it was whole. A body that is no base64, though the envelope says so, is
/// dropped: no signature fits what is left. Nothing here reads the query, and the host only serves to build a URI that is not read.
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

fn mend_body(is_base64: bool, body: &mut Option<String>) -> bool {
    let whole = !is_base64 || body.as_ref().is_none_or(|body| BASE64_STANDARD.decode(body).is_ok());
    if !whole {
        *body = None;
    }
    whole
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

/// A REST API and a load balancer list each header in two maps; a header that was sent twice must still differ from a single one.
fn once(single: &mut HeaderMap, multiple: &HeaderMap) {
    for name in multiple.keys() {
        single.remove(name);
    }
}
