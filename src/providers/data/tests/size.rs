//! How large an answer may be.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::Instant,
};

use super::GOOD;
use crate::{
    outbound::{Client, Http, Limits},
    person::{Email, Identity},
    providers::{Account, data::own_kind},
    secrets::Secret,
    settings::{Reporter, Section},
};

/// A server that answers everything with one account and a padding of this many bytes. Returns its URL.
async fn server(padding: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let account = format!(r#"{{"id": "1", "email": "ann@example.com", "padding": "{}"}}"#, "x".repeat(padding));
    let body = format!(r#"{{"users": [{account}], "more": false, "user": {account}}}"#);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let head = format!("HTTP/1.1 200 -\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
            let _ = stream.write_all((head + &body).as_bytes()).await;
        }
    });
    url
}

/// What a look-up and a removal come to: how many accounts, and the reasons of failures.
async fn come_to(text: &str, padding: usize) -> (Result<usize, String>, Result<(), String>) {
    let kind = own_kind("acme", text, "acme.toml").unwrap();
    let table = Section::new("providers.acme".to_owned(), toml::de::DeTable::parse("tenant = \"a\"").unwrap());
    let mut reporter = Reporter { text: "", diagnostics: Default::default() };
    let product = kind.configure(kind.actions[0], table, &mut reporter).unwrap();
    let tenants = product.connect(&Secret::parse("s", r#"{"key": "k"}"#).unwrap()).unwrap();
    let provider = &tenants[0].provider;
    let limits = Limits { timeout: Duration::from_secs(5), attempts: 1 };
    let base = server(padding).await.parse().unwrap();
    let http = Http::new(Client::new(None, false).unwrap(), base, limits, Instant::now() + Duration::from_secs(9));
    let email = Email::parse("ann@example.com").unwrap();
    let found = provider.look_up().unwrap().find(&http, Identity::Email(&email)).await;
    let removed = provider.remove(&http, &Account { id: "1".to_owned(), ..Account::default() }).await;
    (
        found.map(|accounts| accounts.len()).map_err(|failure| failure.reason),
        removed.map(|_| ()).map_err(|failure| failure.reason),
    )
}

#[tokio::test]
async fn answer_over_1_mib_is_read_for_a_list_alone() {
    let list = GOOD.replace("expect = 204", "expect = 200");
    let paged = "page = { count = \"pages\", from = 1, more = \"/more\" }\n";
    let object =
        list.replace("items = \"/users\"", "object = \"/user\"").replace(paged, "").replace(", page = \"{page}\"", "");
    let large = || "answer_too_large".to_owned();
    assert_eq!(come_to(&list, 10).await, (Ok(1), Ok(())));
    assert_eq!(come_to(&list, 1024 * 1024).await, (Ok(1), Err(large())));
    assert_eq!(come_to(&object, 10).await, (Ok(1), Ok(())));
    assert_eq!(come_to(&object, 1024 * 1024).await, (Err(large()), Err(large())));
}
