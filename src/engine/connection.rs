//! A configured provider and what was last made of its secret.

use std::sync::{Arc, Mutex, PoisonError};

use crate::{
    config::ProviderConfig,
    outbound::Client,
    providers::Tenant,
    secrets::{Secret, SecretError},
};

/// Where one provider removes people.
pub(super) type Tenants = Arc<Vec<Tenant>>;

/// One provider. What it keeps between departures (an access token, say) lives as long as its secret stays the same.
#[derive(Debug)]
pub(super) struct Connection {
    config: ProviderConfig,
    client: Client,
    connected: Mutex<Option<(Arc<Secret>, Tenants)>>,
}

impl Connection {
    pub(super) fn new(config: ProviderConfig, client: Client) -> Self {
        Self { config, client, connected: Mutex::new(None) }
    }

    pub(super) fn config(&self) -> &ProviderConfig {
        &self.config
    }

    pub(super) fn client(&self) -> Client {
        self.client.clone()
    }

    pub(super) fn name(&self) -> &str {
        &self.config.name
    }

    /// Whether a person removes the account, and nothing is called.
    pub(super) fn is_manual(&self) -> bool {
        self.config.kind.is_manual()
    }

    /// The name of its secret; `None` if nothing is called.
    pub(super) fn secret_name(&self) -> Option<&str> {
        self.config.secret.as_deref()
    }

    /// The provider's tenants with this secret.
    pub(super) fn tenants(&self, secret: &Arc<Secret>) -> Result<Tenants, SecretError> {
        let mut connected = self.connected.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, tenants)) = connected.as_ref().filter(|(known, _)| known == secret) {
            return Ok(tenants.clone());
        }
        let tenants = Arc::new(self.config.settings.connect(secret)?);
        *connected = Some((secret.clone(), tenants.clone()));
        Ok(tenants)
    }
}
