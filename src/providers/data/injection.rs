//! Values that want to be more than values.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::Instant,
};

use super::own_kind;
use crate::{
    outbound::{Client, Http, Limits},
    outcome::{Failure, Outcome},
    providers::{Account, ProviderKind, Removal},
    secrets::Secret,
};

/// Every place where a value of an account can stand.
const EVERYWHERE: &str = r#"title = "Acme"
page = "https://acme.example.com"
effect = "-"
permission = "-"
status = "verified-docs"
actions = ["delete"]
[secret]
key = "API key"
[http]
base_url = "https://acme.example.com"
headers = { x-key = "{key}" }
[find.user]
get = "/users"
items = ""
id = "/id"
email = "/email"
[remove.delete]
user = [
    { delete = "/users/{id}:suspend/end", query = { plain = "{id}" }, expect = 204 },
    { post = "/users/", query = { scim = 'id eq "{id:scim}" and x', odata = "id eq '{id:odata}'", soql = "Id = '{id:soql}' LIMIT 1" }, json = { a = ["{id}"], b = 'x "{id:scim}"' }, expect = 204 },
    { post = "/graphql", graphql = "mutation($id:ID!){drop(id:$id){success}}", variables = { id = "{id}" }, expect = 204 },
]
"#;

/// What a removal sends, as the server reads it, and what comes of it.
async fn sent(id: &str) -> (Vec<(String, Value)>, Result<Removal, Failure>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/base", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let mut requests = Vec::new();
        while let Ok(Ok((mut stream, _))) = tokio::time::timeout(Duration::from_millis(300), listener.accept()).await {
            let mut bytes = Vec::new();
            let (head, body) = loop {
                stream.read_buf(&mut bytes).await.unwrap();
                let text = String::from_utf8(bytes.clone()).unwrap();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
                if body.len() >= length.parse::<usize>().unwrap() {
                    break (head.to_owned(), body.to_owned());
                }
            };
            stream.write_all(b"HTTP/1.1 204 -\r\nconnection: close\r\n\r\n").await.unwrap();
            let target = head.split(' ').nth(1).unwrap().to_owned();
            requests.push((target, serde_json::from_str(&body).unwrap_or(Value::Null)));
        }
        requests
    });
    let kind: &ProviderKind = own_kind("acme", EVERYWHERE, "acme.toml").unwrap();
    let config = crate::settings::Section::new("providers.acme".to_owned(), toml::de::DeTable::parse("").unwrap());
    let mut reporter = crate::settings::Reporter { text: "", diagnostics: Default::default() };
    let configured = kind.configure(kind.actions[0], config, &mut reporter).unwrap();
    let tenants = configured.connect(&Secret::parse("s", r#"{"key": "k"}"#).unwrap()).unwrap();
    let limits = Limits { timeout: Duration::from_secs(2), attempts: 1 };
    let client = Client::new(None, false).unwrap();
    let http = Http::new(client, base.parse().unwrap(), limits, Instant::now() + Duration::from_secs(9));
    let account = Account { id: id.to_owned(), ..Account::default() };
    let removal = tenants[0].provider.remove(&http, &account).await;
    (server.await.unwrap(), removal)
}

#[tokio::test]
async fn value_stays_a_value_in_every_place() {
    let values = [
        "plain",
        "\"",
        "a/b",
        "../../zones",
        "..",
        "?x=1",
        "#x",
        "a%2fb",
        "%2e%2e",
        "a\\b",
        "'",
        "' OR '1'='1",
        "\" or id pr",
        "\\\" or id pr",
        "\\' OR Id != '",
        "{id}",
        "{\"a\": 1}",
        "$id){drop(id:\"other\")}",
        "a&b=c;d",
        "a+b c",
        "ü…",
        "x\\",
    ];
    for id in values {
        let (requests, removal) = sent(id).await;
        assert_eq!(removal.map(|removal| removal.now), Ok(Outcome::Deleted), "{id}");
        let [(first, _), (second, body), (third, graphql)] = requests.as_slice() else { panic!("{id}: {requests:?}") };
        let (path, query) = first.split_once('?').unwrap();
        let segments: Vec<_> = path.split('/').collect();
        assert_eq!(segments.len(), 5, "{id}: {path}");
        let decoded = percent_encoding::percent_decode_str(segments[3]).decode_utf8().unwrap();
        assert_eq!(
            (segments[1], segments[2], &*decoded, segments[4]),
            ("base", "users", &*format!("{id}:suspend"), "end")
        );
        let pairs =
            |query: &str| -> Vec<(String, String)> { form_urlencoded::parse(query.as_bytes()).into_owned().collect() };
        assert_eq!(pairs(query), [("plain".to_owned(), id.to_owned())]);
        let (path, query) = second.split_once('?').unwrap();
        let scim = id.replace('\\', "\\\\").replace('"', "\\\"");
        let (odata, soql) = (id.replace('\'', "''"), id.replace('\\', "\\\\").replace('\'', "\\'"));
        let expected = [
            ("odata", format!("id eq '{odata}'")),
            ("scim", format!("id eq \"{scim}\" and x")),
            ("soql", format!("Id = '{soql}' LIMIT 1")),
        ];
        assert_eq!(path, "/base/users/");
        assert_eq!(pairs(query), expected.map(|(name, value)| (name.to_owned(), value)));
        assert_eq!(*body, json!({"a": [id], "b": format!("x \"{scim}\"")}), "{id}");
        let document = "mutation($id:ID!){drop(id:$id){success}}";
        assert_eq!((third.as_str(), graphql), ("/base/graphql", &json!({"query": document, "variables": {"id": id}})));
    }
}

#[tokio::test]
async fn value_that_cannot_stand_anywhere_is_not_sent() {
    for (id, reason) in [
        ("", "unusable_value"),
        ("a\r\nx-admin: 1", "unusable_value"),
        ("a\0", "unusable_value"),
        ("\u{85}", "unusable_value"),
        (&"x".repeat(300), "unusable_id"),
    ] {
        let (requests, removal) = sent(id).await;
        assert_eq!((requests.len(), removal.map_err(|failure| failure.reason)), (0, Err(reason.to_owned())), "{id:?}");
    }
}
