//! The queue, as SQS's wire has it: <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-making-api-requests-json.html>.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, SystemTime},
};

use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider, future},
};
use aws_types::{SdkConfig, region::Region};
use offboard::{
    outbound::Client,
    queue::{Message, Queue},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::Instant,
};

use crate::{flow::doubles::Sqs, support::Double};

const NO_ANSWER: &str =
    "nothing answered at the endpoint: check the network, AWS_REGION and, if it is set, AWS_ENDPOINT_URL";

fn messages(count: usize) -> Vec<Message> {
    let message = |n| Message { departure: format!("idp/{n}"), delay: Duration::from_secs(60) };
    (0..count).map(message).collect()
}

fn depth_of(count: &str) -> Value {
    json!({"Attributes": {"ApproximateNumberOfMessages": count}})
}

async fn depth(answers: &[(u16, Value)]) -> (Result<usize, String>, usize) {
    let (double, url) = Double::start().await;
    answers.iter().for_each(|(status, body)| _ = double.then(*status, body.clone()));
    let depth = Sqs::client(&url).depth().await.map_err(|error| error.to_string());
    (depth, double.calls().len())
}

#[tokio::test]
async fn message_is_sent_in_a_signed_call_of_the_endpoint() {
    let (double, url) = Double::start().await;
    double.then(200, json!({"Successful": [{"Id": "0"}, {"Id": "1"}]}));
    let delays = [Duration::from_secs(60), Duration::from_secs(3600)];
    let message = |delay| Message { departure: "idp/\u{e9}".to_owned(), delay };
    Sqs::client(&url).send(&delays.map(message)).await.unwrap();
    let [call] = double.calls().try_into().unwrap();
    assert_eq!((call.method.as_str(), call.path.as_str()), ("POST", "/"));
    assert_eq!(call.headers["x-amz-target"], "AmazonSQS.SendMessageBatch");
    assert_eq!(call.headers["content-type"], "application/x-amz-json-1.0");
    let signature = call.headers["authorization"].to_str().unwrap();
    assert!(signature.contains("/eu-west-1/sqs/aws4_request"), "{signature}");
    let body = r#"{"departure":"idp/\u00e9"}"#;
    let entry = |id: &str, delay: u64| json!({"Id": id, "MessageBody": body, "DelaySeconds": delay});
    let queue = format!("{url}/123456789012/offboard");
    assert_eq!(call.json(), json!({"QueueUrl": queue, "Entries": [entry("0", 60), entry("1", 900)]}));
}

#[tokio::test]
async fn error_that_may_pass_is_tried_once_more() {
    let kind = |kind: &str| json!({ "__type": kind });
    for (status, body, code) in [
        (500, kind("com.amazon.coral.service#InternalFailure"), "InternalFailure"),
        (503, kind("ServiceUnavailable"), "ServiceUnavailable"),
        (502, json!("a gateway's page"), "http_502"),
        (429, Value::Null, "http_429"),
        (400, kind("com.amazonaws.sqs#RequestThrottled"), "RequestThrottled"),
        (400, kind("com.amazonaws.sqs#KmsThrottled"), "KmsThrottled"),
        (400, kind("ThrottlingException"), "ThrottlingException"),
        (400, kind("SlowDown"), "SlowDown"),
        (400, kind("RequestTimeout"), "RequestTimeout"),
    ] {
        let error = (status, body);
        assert_eq!(depth(&[error.clone(), (200, depth_of("7"))]).await, (Ok(7), 2), "{code}");
        let message = Err(format!("the queue cannot be used: {code}"));
        assert_eq!(depth(&[error.clone(), error, (200, depth_of("7"))]).await, (message, 2), "{code}");
    }
}

#[tokio::test]
async fn refusal_is_not_tried_again_and_says_what_to_do() {
    const NO_QUEUE: &str = "there is no queue at this URL in this AWS account and region";
    const NOT_ALLOWED: &str = "the IAM policy of these AWS credentials does not allow the call";
    for (status, kind, message) in [
        (400, "com.amazonaws.sqs#QueueDoesNotExist", format!("QueueDoesNotExist ({NO_QUEUE})")),
        (
            400,
            "AWS.SimpleQueueService.NonExistentQueue",
            format!("AWS.SimpleQueueService.NonExistentQueue ({NO_QUEUE})"),
        ),
        (403, "com.amazon.coral.service#AccessDeniedException", format!("AccessDeniedException ({NOT_ALLOWED})")),
        (400, "a.b#AccessDenied:http://example.com/a#b", format!("AccessDenied ({NOT_ALLOWED})")),
        (400, "KMS.DisabledException", "KMS.DisabledException".to_owned()),
        // What is no code is not shown.
        (400, "dana@example.com is not known", "http_400".to_owned()),
        (404, "", "http_404".to_owned()),
        (200, "", "an answer without a count".to_owned()),
    ] {
        let error = (status, json!({ "__type": kind, "message": "dana@example.com" }));
        let message = Err(format!("the queue cannot be used: {message}"));
        assert_eq!(depth(&[error, (200, depth_of("7"))]).await, (message, 1), "{kind}");
    }
    let list = depth(&[(200, json!([]))]).await;
    assert_eq!(list, (Err("the queue cannot be used: an answer that was not understood".to_owned()), 1));
}

#[tokio::test]
async fn message_that_is_refused_is_an_error_and_the_other_batches_are_sent() {
    for (code, shown) in [("InternalError", "InternalError"), ("dana@example.com", "refused")] {
        let (double, url) = Double::start().await;
        let failed = json!([{"Id": "3", "SenderFault": false, "Code": code, "Message": "dana@example.com"}]);
        double.then(200, json!({"Successful": [], "Failed": failed}));
        (0..9).for_each(|_| _ = double.then(200, json!({"Successful": [], "Failed": []})));
        let sent = Sqs::client(&url).send(&messages(95)).await;
        assert_eq!(sent.unwrap_err().to_string(), format!("the queue cannot be used: {shown}"));
        let calls = double.calls();
        let mut sizes: Vec<_> = calls.iter().map(|call| call.json()["Entries"].as_array().unwrap().len()).collect();
        sizes.sort();
        assert_eq!(sizes, [5, 10, 10, 10, 10, 10, 10, 10, 10, 10]);
    }
}

/// Answers every second connection, and closes the others when the request has come.
async fn serve_every_second(body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        for is_answered in [false, true].into_iter().cycle() {
            let (mut stream, _) = listener.accept().await.unwrap();
            let read = stream.read(&mut [0; 4096]).await.unwrap();
            assert!(read > 0);
            if is_answered {
                let answer = format!("HTTP/1.1 200 -\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    });
    url
}

#[tokio::test]
async fn connection_that_is_lost_is_made_anew_and_one_that_is_refused_is_no_connection() {
    let url = serve_every_second(r#"{"Attributes": {"ApproximateNumberOfMessages": "7"}}"#).await;
    assert_eq!(Sqs::client(&url).depth().await, Ok(7));
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let refused = Sqs::client(&format!("http://{closed}")).depth().await.unwrap_err();
    assert_eq!(refused.to_string(), format!("the queue cannot be used: no connection ({NO_ANSWER})"));
}

#[tokio::test(start_paused = true)]
async fn endpoint_that_never_answers_is_a_time_out_after_two_attempts_of_three_seconds() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let queue = Sqs::client(&format!("http://{}", listener.local_addr().unwrap()));
    let started = Instant::now();
    let error = queue.depth().await.unwrap_err();
    assert_eq!(error.to_string(), format!("the queue cannot be used: time-out ({NO_ANSWER})"));
    let took = started.elapsed();
    assert!((Duration::from_secs(6)..Duration::from_secs(7)).contains(&took), "{took:?}");
}

#[test]
fn queue_without_a_region_says_so() {
    let client = Client::new(None, false).unwrap();
    let queue = Queue::new(&SdkConfig::builder().build(), &client, "https://example.com/1/a".to_owned(), None);
    assert_eq!(queue.unwrap_err().to_string(), "the queue cannot be used: no region");
}

/// Counts how often it is asked, and gives credentials that last for so long.
#[derive(Clone, Debug)]
struct Asked(Arc<AtomicU32>, Option<Duration>);

impl ProvideCredentials for Asked {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        self.0.fetch_add(1, Ordering::Relaxed);
        let expiry = self.1.map(|lasts| SystemTime::now() + lasts);
        future::ProvideCredentials::ready(Ok(Credentials::new("test", "test", None, expiry, "test")))
    }
}

#[tokio::test]
async fn credentials_are_asked_for_once_until_they_expire() {
    let (hour, second) = (Duration::from_secs(3600), Duration::from_secs(1));
    for (lasts, expected) in [(None, 1), (Some(hour), 1), (Some(second), 3)] {
        let (double, url) = Double::start().await;
        let provider = Asked(Arc::default(), lasts);
        let aws = SdkConfig::builder().region(Region::new("eu-west-1")).endpoint_url(&url);
        let aws = aws.credentials_provider(SharedCredentialsProvider::new(provider.clone())).build();
        let queue = Queue::new(&aws, &Client::new(None, false).unwrap(), url, None).unwrap();
        for _ in 0..3 {
            double.then(200, depth_of("7"));
            assert_eq!(queue.depth().await, Ok(7));
        }
        assert_eq!(provider.0.load(Ordering::Relaxed), expected, "{lasts:?}");
    }
}
