//! A URL that credentials are sent to.

use std::net::IpAddr;

use reqwest::Url;
use serde::Deserialize;

/// An `https` URL; on a loopback address `http` will do.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct BaseUrl(Url);

impl BaseUrl {
    /// The URL itself.
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// Returns whether requests to it stay on this machine.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.0)
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse();
    host == "localhost" || address.is_ok_and(|address: IpAddr| address.is_loopback())
}

impl TryFrom<String> for BaseUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        // The text is left out: it may hold a password.
        let url = Url::parse(&text).map_err(|error| format!("not a URL: {error}"))?;
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&url) => {}
            _ => {
                return Err(
                    "a URL that credentials are sent to must be https (http on a loopback address only)".to_owned()
                );
            }
        }
        if url.host_str().is_none() || !url.username().is_empty() || url.password().is_some() {
            return Err("a base URL has a host, and neither user nor password".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("a base URL has neither query nor fragment".to_owned());
        }
        Ok(Self(url))
    }
}
