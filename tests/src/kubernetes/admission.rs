//! What a newer API server does with kinds that are defined: the part of it that can be built alone, beside a
//! [`Cluster`] that knows who asks.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::{ADMIN, Client, Cluster, free_port};
use crate::process::{Placement, Running, program};

const VARIABLE: &str = "SENTINEL_APIEXTENSIONS";
const NAME: &str = "apiextensions-apiserver";
const READY_WITHIN: Duration = Duration::from_secs(60);
/// What asks another server, which it has not got.
const WITHOUT: &str = "--disable-admission-plugins=ValidatingAdmissionPolicy,MutatingAdmissionPolicy,\
    ValidatingAdmissionWebhook,MutatingAdmissionWebhook,NamespaceLifecycle";

/// What is missing on this machine, if anything.
#[must_use]
pub fn missing() -> Option<&'static str> {
    program(VARIABLE, NAME).is_none().then_some(NAME)
}

/// It runs; dropped, it is gone.
#[derive(Debug)]
pub struct Admission {
    client: Client,
    _running: Running,
}

impl Admission {
    /// Starts it with the cluster's certificates and etcd, where it keeps what it knows to itself.
    ///
    /// # Errors
    /// When it does not start; its log is in the message.
    pub fn start(cluster: &Cluster) -> Result<Self> {
        let at = |name: &str| cluster.folder.path().join(name);
        let kubeconfig = cluster.admin_kubeconfig()?;
        let kubeconfig = kubeconfig.display();
        let port = free_port()?;
        let mut command = Command::new(program(VARIABLE, NAME).context(NAME)?);
        command.args([
            format!("--etcd-servers=http://127.0.0.1:{}", cluster.etcd_port),
            format!("--kubeconfig={kubeconfig}"),
            format!("--authentication-kubeconfig={kubeconfig}"),
            format!("--authorization-kubeconfig={kubeconfig}"),
            format!("--secure-port={port}"),
            format!("--tls-cert-file={}", at("tls.crt").display()),
            format!("--tls-private-key-file={}", at("tls.key").display()),
        ]);
        command.args(["--etcd-prefix=/newer", "--bind-address=127.0.0.1"]);
        command.args(["--authentication-skip-lookup", "--enable-priority-and-fairness=false"]);
        command.arg(WITHOUT);
        let log = fs::File::create(at("newer.log"))?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let running = Placement::default().spawn(command)?;
        let client = Client::new(port, &at("tls.crt"), ADMIN)?;
        let deadline = Instant::now() + READY_WITHIN;
        while let Err(error) = client.get("/readyz") {
            if Instant::now() > deadline {
                let log = fs::read_to_string(at("newer.log")).unwrap_or_default();
                let tail = log.len().saturating_sub(2000);
                bail!("not ready: {error:#}; its log ends:\n{}", log.get(tail..).unwrap_or(&log));
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(Self { client, _running: running })
    }

    /// Who may do everything.
    #[must_use]
    pub const fn admin(&self) -> &Client {
        &self.client
    }
}
