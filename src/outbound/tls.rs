//! The TLS set-up that the providers' client uses: rustls on ring, Mozilla's roots compiled in.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

/// A client configuration that trusts the compiled-in roots, and the authorities in `extra_ca` (PEM).
pub(super) fn config(extra_ca: Option<&[u8]>) -> Result<ClientConfig, String> {
    let roots = roots(extra_ca)?;
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())
        .map(|builder| builder.with_root_certificates(roots).with_no_client_auth())
}

/// The compiled-in roots and the authorities in `extra_ca` (PEM), of which there must be at least one.
pub(crate) fn roots(extra_ca: Option<&[u8]>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
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
