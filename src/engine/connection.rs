//! A configured provider and what was last made of its secret.

use std::sync::{Arc, Mutex, PoisonError};

use crate::{
    config::ProviderConfig,
    providers::AnyPlace,
    secrets::{Secret, SecretFault},
};

/// Where one provider removes people.
pub(super) type Places = Arc<Vec<AnyPlace>>;

/// One provider. What it keeps between departures (an access token, say) lives as long as its secret stays the same.
#[derive(Debug)]
pub(super) struct Connection {
    config: ProviderConfig,
    connected: Mutex<Option<(Arc<Secret>, Places)>>,
}

impl Connection {
    pub(super) fn new(config: ProviderConfig) -> Self {
        Self { config, connected: Mutex::new(None) }
    }

    pub(super) fn config(&self) -> &ProviderConfig {
        &self.config
    }

    pub(super) fn name(&self) -> &str {
        &self.config.name
    }

    pub(super) fn secret_name(&self) -> &str {
        &self.config.secret
    }

    /// The provider's places with this secret.
    pub(super) fn places(&self, secret: &Arc<Secret>) -> Result<Places, SecretFault> {
        let mut connected = self.connected.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, places)) = connected.as_ref().filter(|(known, _)| known == secret) {
            return Ok(places.clone());
        }
        let places = Arc::new(self.config.settings.connect(secret)?);
        *connected = Some((secret.clone(), places.clone()));
        Ok(places)
    }
}
