//! Keys for the sessions: made anew at every run, for this host alone.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

/// The name that clients ask for, where they ask.
const NAME: &str = "service.test";

/// A server's settings, and those of its clients.
pub(super) struct Keys {
    certificate: CertificateDer<'static>,
    server: Arc<ServerConfig>,
    with_name: Arc<ClientConfig>,
    without_name: Arc<ClientConfig>,
}

impl Keys {
    /// A certificate that is its own authority.
    pub(super) fn new() -> Result<Self> {
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
        let certificate = made.cert.der().clone();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let server = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key.into())?;
        Ok(Self {
            server: Arc::new(server),
            with_name: Arc::new(trusting(&certificate, true)?),
            without_name: Arc::new(trusting(&certificate, false)?),
            certificate,
        })
    }

    /// What a client must trust, DER.
    pub(super) fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// The server's end of one session.
    pub(super) fn server(&self) -> Result<ServerConnection> {
        Ok(ServerConnection::new(Arc::clone(&self.server))?)
    }

    /// One session's ends. A miner asks for no name, as XMRig does; others do.
    pub(super) fn session(&self, asks: bool) -> Result<(ClientConnection, ServerConnection)> {
        let config = if asks { &self.with_name } else { &self.without_name };
        Ok((connection(Arc::clone(config))?, self.server()?))
    }
}

/// The client's end of a session with a server that has this certificate.
pub(super) fn client(certificate: &[u8], asks: bool) -> Result<ClientConnection> {
    let certificate = CertificateDer::from(certificate.to_vec());
    connection(Arc::new(trusting(&certificate, asks)?))
}

fn connection(config: Arc<ClientConfig>) -> Result<ClientConnection> {
    let name = ServerName::try_from(NAME).context("the name is none")?;
    Ok(ClientConnection::new(config, name)?)
}

fn trusting(certificate: &CertificateDer<'static>, asks: bool) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone())?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.enable_sni = asks;
    Ok(config)
}
