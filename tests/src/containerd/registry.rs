//! A registry of images with a certificate of its own, in the calling thread's network namespace.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

use crate::process::{Placement, Running, program};

/// The one that is named, or the one on the path.
const VARIABLE: &str = "SENTINEL_REGISTRY";
const NAME: &str = "docker-registry";
const READY_WITHIN: Duration = Duration::from_secs(20);

/// What is missing on this machine, if anything.
#[must_use]
pub fn missing() -> Option<&'static str> {
    program(VARIABLE, NAME).is_none().then_some(NAME)
}

/// A running registry; dropped, it and its images are gone.
#[derive(Debug)]
pub struct Registry {
    address: SocketAddr,
    _running: Running,
    folder: TempDir,
}

impl Registry {
    /// Starts one that listens here.
    ///
    /// # Errors
    /// When it does not start; its log is in the message.
    pub fn start(address: SocketAddr) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("sentinel-registry-").tempdir()?;
        let at = |name: &str| folder.path().join(name);
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new([address.ip().to_string()])?.self_signed(&key)?;
        fs::write(at("tls.crt"), certificate.pem())?;
        fs::write(at("tls.key"), key.serialize_pem())?;
        fs::write(at("config.yml"), config(folder.path(), address))?;
        let mut command = Command::new(program(VARIABLE, NAME).context(NAME)?);
        let log = fs::File::create(at("log"))?;
        command.arg("serve").arg(at("config.yml"));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let running = Placement::default().spawn(command)?;
        let deadline = Instant::now() + READY_WITHIN;
        while let Err(error) = TcpStream::connect(address) {
            if Instant::now() > deadline {
                let log = fs::read_to_string(at("log")).unwrap_or_default();
                bail!("the registry is not ready: {error}; its log:\n{log}");
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(Self { address, _running: running, folder })
    }

    /// Its name in an image's, `ADDRESS:PORT`.
    #[must_use]
    pub fn name(&self) -> String {
        self.address.to_string()
    }

    /// What shows that it is the one.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("tls.crt")
    }
}

fn config(folder: &Path, address: SocketAddr) -> String {
    let folder = folder.display();
    format!(
        "version: 0.1\nlog: {{level: warn, accesslog: {{disabled: true}}}}\n\
         storage: {{filesystem: {{rootdirectory: {folder}/images}}}}\n\
         http: {{addr: '{address}', tls: {{certificate: {folder}/tls.crt, key: {folder}/tls.key}}}}\n"
    )
}
