//! A Kubernetes API server of the tests' own, with its own etcd, on loopback: certificates, service
//! accounts, RBAC and an audit log as in a cluster; no kubelet, no controllers.

mod admission;
mod client;
mod files;
mod node;
mod operator;

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

pub use admission::{Admission, missing as missing_for_admission};
pub use client::Client;
pub use node::{NODE, Node, agent_image, missing as missing_for_nodes};
pub use operator::Operator;

use crate::process::{Placement, Running, program};

const READY_WITHIN: Duration = Duration::from_secs(90);
/// Where pods find the server.
const SERVICE: &str = "10.96.0.1";
const SERVICE_PORT: u16 = 443;
/// Who may do everything.
const ADMIN: &str = "admin-of-the-tests";

/// What is missing on this machine, if anything.
#[must_use]
pub fn missing() -> Option<&'static str> {
    let absent = || etcd_program().is_none().then_some("etcd");
    server_program().is_none().then_some("kube-apiserver").or_else(absent)
}

fn server_program() -> Option<PathBuf> {
    program("SENTINEL_KUBE_APISERVER", "kube-apiserver")
}

fn etcd_program() -> Option<PathBuf> {
    program("SENTINEL_ETCD", "etcd")
}

/// A running API server; dropped, it and its etcd are gone.
#[derive(Debug)]
pub struct Cluster {
    server: Option<Running>,
    _etcd: Running,
    port: u16,
    etcd_port: u16,
    /// Whether it has nodes.
    has_nodes: bool,
    client: Client,
    /// Dropped last.
    folder: TempDir,
}

/// A service account's permission: verb, API group and resource (with its part, `a/b`).
pub type Permission = (String, String, String);

impl Cluster {
    /// Starts one.
    ///
    /// # Errors
    /// When it does not start; its log is in the message.
    pub fn start() -> Result<Self> {
        Self::start_at(free_port()?, false)
    }

    /// The same with a kubelet to come: at the address that pods are told, which the calling thread's
    /// network namespace gets.
    ///
    /// # Errors
    /// As for [`Cluster::start`].
    pub fn start_for_nodes() -> Result<Self> {
        let address = format!("{SERVICE}/32");
        let given = Command::new("ip").args(["addr", "add", &address, "dev", "lo"]).status()?;
        ensure!(given.success(), "no address for the server");
        Self::start_at(SERVICE_PORT, true)
    }

    fn start_at(port: u16, has_nodes: bool) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("sentinel-kubernetes-").tempdir()?;
        files::write(folder.path(), ADMIN)?;
        let etcd_port = free_port()?;
        let etcd = etcd(folder.path(), etcd_port)?;
        let client = Client::new(port, &folder.path().join("tls.crt"), ADMIN)?;
        let mut this =
            Self { server: None, _etcd: etcd, port, etcd_port, has_nodes, client, folder };
        this.resume()?;
        Ok(this)
    }

    /// Who may do everything.
    #[must_use]
    pub const fn admin(&self) -> &Client {
        &self.client
    }

    /// Starts the server again after [`Cluster::interrupt`], with all that it knew.
    ///
    /// # Errors
    /// When it does not answer in time.
    pub fn resume(&mut self) -> Result<()> {
        let server = server_program().context("no kube-apiserver")?;
        let at = |name: &str| self.folder.path().join(name).display().to_string();
        let mut command = Command::new(server);
        command.args([
            format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port),
            format!("--secure-port={}", self.port),
            format!("--tls-cert-file={}", at("tls.crt")),
            format!("--tls-private-key-file={}", at("tls.key")),
            format!("--service-account-key-file={}", at("sa.pub")),
            format!("--service-account-signing-key-file={}", at("sa.key")),
            format!("--token-auth-file={}", at("tokens.csv")),
            format!("--audit-policy-file={}", at("audit.yaml")),
            format!("--audit-log-path={}", at("audit.log")),
            format!("--cert-dir={}", at("certs")),
        ]);
        command.args([
            "--advertise-address=10.77.0.1",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--authorization-mode=RBAC,Node",
            "--endpoint-reconciler-type=none",
        ]);
        command.args(match self.has_nodes {
            true => ["--bind-address=0.0.0.0", "--kubelet-preferred-address-types=InternalIP"],
            false => ["--bind-address=127.0.0.1", "--disable-admission-plugins=ServiceAccount"],
        });
        let log = fs::File::create(self.folder.path().join("server.log"))?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.server = Some(Placement::default().spawn(command)?);
        let deadline = Instant::now() + READY_WITHIN;
        while let Err(error) = self.client.get("/readyz") {
            if Instant::now() > deadline {
                let log = fs::read_to_string(self.folder.path().join("server.log"));
                let log = log.unwrap_or_default();
                let tail = log.len().saturating_sub(4000);
                bail!("not ready: {error:#}; its log ends:\n{}", log.get(tail..).unwrap_or(&log));
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Ends the server at once, as a power cut would, and keeps what it knows.
    pub fn interrupt(&mut self) {
        self.server = None;
    }

    /// A kubeconfig for a service account, as a pod of it would have a token.
    ///
    /// # Errors
    /// When the server gives no token.
    pub fn kubeconfig(&self, namespace: &str, account: &str) -> Result<PathBuf> {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token");
        let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"audiences": ["https://kubernetes.default.svc"]}});
        let answer = self.client.send("POST", &path, Some(&body))?;
        let token = answer.pointer("/status/token").and_then(Value::as_str).context("no token")?;
        let file = self.folder.path().join(format!("{namespace}-{account}.kubeconfig"));
        let config = self.config(token, namespace);
        fs::write(&file, config.to_string())?;
        Ok(file)
    }

    /// Who may do everything, at a keyboard.
    ///
    /// # Errors
    /// When there is no place for what is typed.
    pub fn operator(&self) -> Result<Operator> {
        Operator::new(self.admin_kubeconfig()?)
    }

    /// A kubeconfig for whoever may do everything.
    fn admin_kubeconfig(&self) -> Result<PathBuf> {
        let file = self.folder.path().join("admin.kubeconfig");
        fs::write(&file, self.config(ADMIN, "default").to_string())?;
        Ok(file)
    }

    fn config(&self, token: &str, namespace: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {
                "server": format!("https://127.0.0.1:{}", self.port),
                "certificate-authority": self.folder.path().join("tls.crt")}}],
            "users": [{"name": "test", "user": {"token": token}}],
            "contexts": [{"name": "test",
                "context": {"cluster": "test", "user": "test", "namespace": namespace}}],
        })
    }

    /// How often the status of an object was written, by whomever.
    ///
    /// # Errors
    /// When the audit log cannot be read.
    pub fn status_writes(&self, resource: &str, name: &str) -> Result<usize> {
        let log = fs::read_to_string(self.folder.path().join("audit.log"))?;
        let mut writes = BTreeSet::new();
        for event in log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            let text = |path| event.pointer(path).and_then(Value::as_str).unwrap_or_default();
            let of = [text("/objectRef/resource"), text("/objectRef/name")] == [resource, name];
            if of && text("/objectRef/subresource") == "status" && text("/verb") != "get" {
                writes.insert(text("/auditID").to_owned());
            }
        }
        Ok(writes.len())
    }

    /// What an account has asked for since the server was first started, each once; and the answers' codes
    /// that were no success.
    ///
    /// # Errors
    /// When the audit log cannot be read.
    pub fn asked(&self, user: &str) -> Result<(BTreeSet<Permission>, Vec<Value>)> {
        let log = fs::read_to_string(self.folder.path().join("audit.log"))?;
        let mut asked = BTreeSet::new();
        let mut refused = Vec::new();
        for line in log.lines() {
            let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
            let text = |path| event.pointer(path).and_then(Value::as_str).unwrap_or_default();
            if text("/user/username") != user {
                continue;
            }
            let part = text("/objectRef/subresource");
            let resource = match (text("/objectRef/resource"), part) {
                ("", _) => text("/requestURI").to_owned(),
                (resource, "") => resource.to_owned(),
                (resource, part) => format!("{resource}/{part}"),
            };
            let group = text("/objectRef/apiGroup").to_owned();
            asked.insert((text("/verb").to_owned(), group, resource));
            let code = event.pointer("/responseStatus/code").and_then(Value::as_u64);
            if code == Some(403) {
                refused.push(event.clone());
            }
        }
        ensure!(!asked.is_empty(), "{user} has asked for nothing");
        Ok((asked, refused))
    }
}

fn etcd(folder: &Path, port: u16) -> Result<Running> {
    let (clients, peers) =
        (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{}", free_port()?));
    let mut command = Command::new(etcd_program().context("no etcd")?);
    command.arg("--data-dir").arg(folder.join("etcd")).args([
        "--name=test",
        "--unsafe-no-fsync",
        &format!("--listen-client-urls={clients}"),
        &format!("--advertise-client-urls={clients}"),
        &format!("--listen-peer-urls={peers}"),
        &format!("--initial-advertise-peer-urls={peers}"),
        &format!("--initial-cluster=test={peers}"),
    ]);
    let log = fs::File::create(folder.join("etcd.log"))?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    Placement::default().spawn(command)
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
