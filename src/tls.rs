//! The TLS set-up of all calls: rustls on ring, roots compiled in.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

/// A client configuration that trusts `roots`, and the authorities in `extra_ca` (PEM), of which there must be at least one.
pub(crate) fn config(roots: RootCertStore, extra_ca: Option<&[u8]>) -> Result<ClientConfig, String> {
    let roots = with_extra(roots, extra_ca)?;
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())
        .map(|builder| builder.with_root_certificates(roots).with_no_client_auth())
}

/// Mozilla's roots.
pub(crate) fn mozilla_roots() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}

fn with_extra(mut roots: RootCertStore, extra_ca: Option<&[u8]>) -> Result<RootCertStore, String> {
    if let Some(pem) = extra_ca {
        let found = roots.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| format!("the extra authority is not PEM: {error}"))?;
            roots.add(certificate).map_err(|error| format!("the extra authority is not usable: {error}"))?;
        }
        if roots.len() == found {
            return Err("the extra authority's file holds no certificate".to_owned());
        }
    }
    Ok(roots)
}
