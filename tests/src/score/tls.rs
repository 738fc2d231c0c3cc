//! Keys for the sessions: made anew at every run, for this host alone.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

/// The name that clients ask for, where they ask.
const NAME: &str = "service.test";

/// Both sides' settings.
pub(super) struct Keys {
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
        let provider = Arc::new(default_provider());
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key.into())?;
        let mut roots = RootCertStore::empty();
        roots.add(certificate)?;
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut without_name = client.clone();
        without_name.enable_sni = false;
        Ok(Self {
            server: Arc::new(server),
            with_name: Arc::new(client),
            without_name: Arc::new(without_name),
        })
    }

    /// One session's ends. A miner asks for no name, as XMRig does; others do.
    pub(super) fn session(&self, asks: bool) -> Result<(ClientConnection, ServerConnection)> {
        let config = if asks { &self.with_name } else { &self.without_name };
        let name = ServerName::try_from(NAME).context("the name is none")?;
        let client = ClientConnection::new(Arc::clone(config), name)?;
        Ok((client, ServerConnection::new(Arc::clone(&self.server))?))
    }
}
