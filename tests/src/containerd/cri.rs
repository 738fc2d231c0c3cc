//! What the kubelet does with a runtime, done by a test.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use prost::Message;
use tokio::runtime::Runtime;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

use super::messages::{
    ContainerConfig, CreateContainer, Empty, Exec, Executed, Id, LinuxPod, Named, PodConfig,
    PodMetadata, Pods, RunPod,
};

/// How long the runtime may take for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection to a runtime.
#[derive(Debug)]
pub struct Cri {
    runtime: Runtime,
    grpc: Grpc<Channel>,
}

/// A pod to make.
#[derive(Clone, Debug)]
pub struct PodSpec {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its uid.
    pub uid: String,
    /// Its labels; the kubelet's own are added.
    pub labels: Vec<(String, String)>,
    /// The cgroup that its containers' are made in.
    pub cgroup: String,
}

/// A pod that was made.
#[derive(Clone, Debug)]
pub struct Pod {
    /// The id of its sandbox.
    pub sandbox: String,
    config: PodConfig,
}

/// What a command in a container came to.
#[derive(Clone, Debug)]
pub struct Output {
    /// What it wrote.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
    /// How it ended.
    pub code: i32,
}

impl Cri {
    pub(super) fn connect(socket: &Path) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display()))?;
        let channel = runtime.block_on(endpoint.timeout(PATIENCE).connect())?;
        let mut cri = Self { runtime, grpc: Grpc::new(channel) };
        let _: Pods = cri.call("ListPodSandbox", Empty {})?;
        Ok(cri)
    }

    fn call<Q, R>(&mut self, name: &str, question: Q) -> Result<R>
    where
        Q: Message + Default + 'static,
        R: Message + Default + 'static,
    {
        let path: PathAndQuery = format!("/runtime.v1.RuntimeService/{name}").parse()?;
        let Self { runtime, grpc } = self;
        runtime.block_on(async {
            grpc.ready().await?;
            let codec = ProstCodec::<Q, R>::default();
            let answer = grpc.unary(tonic::Request::new(question), path, codec).await;
            Ok(answer.with_context(|| format!("{name} failed"))?.into_inner())
        })
    }

    /// Runs a pod's sandbox.
    ///
    /// # Errors
    /// When the runtime refuses.
    pub fn run_pod(&mut self, spec: &PodSpec) -> Result<Pod> {
        let own = [("name", &spec.name), ("namespace", &spec.namespace), ("uid", &spec.uid)];
        let own = own.map(|(key, value)| (format!("io.kubernetes.pod.{key}"), value.clone()));
        let labels: HashMap<String, String> = spec.labels.iter().cloned().chain(own).collect();
        let config = PodConfig {
            metadata: Some(PodMetadata {
                name: spec.name.clone(),
                uid: spec.uid.clone(),
                namespace: spec.namespace.clone(),
            }),
            hostname: spec.name.clone(),
            log_directory: std::env::temp_dir().display().to_string(),
            labels,
            linux: Some(LinuxPod { cgroup_parent: spec.cgroup.clone() }),
        };
        let made: Id = self.call("RunPodSandbox", RunPod { config: Some(config.clone()) })?;
        Ok(Pod { sandbox: made.id, config })
    }

    /// Runs a container in a pod; its id.
    ///
    /// # Errors
    /// When the runtime refuses.
    pub fn run(&mut self, pod: &Pod, name: &str, image: &str, command: &[&str]) -> Result<String> {
        let named = |name: &str| Some(Named { name: name.to_owned() });
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        let config = ContainerConfig { metadata: named(name), image: named(image), command };
        let (config, sandbox_config) = (Some(config), Some(pod.config.clone()));
        let pod_sandbox_id = pod.sandbox.clone();
        let request = CreateContainer { pod_sandbox_id, config, sandbox_config };
        let made: Id = self.call("CreateContainer", request)?;
        let _: Empty = self.call("StartContainer", made.clone())?;
        Ok(made.id)
    }

    /// Runs a command in a container.
    ///
    /// # Errors
    /// When the runtime refuses.
    pub fn exec(&mut self, container: &str, command: &[&str]) -> Result<Output> {
        let cmd = command.iter().map(|word| (*word).to_owned()).collect();
        let request = Exec { container_id: container.to_owned(), cmd, timeout: 40 };
        let done: Executed = self.call("ExecSync", request)?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Output { stdout: text(done.stdout), stderr: text(done.stderr), code: done.exit_code })
    }

    /// Ends a pod and all that is in it.
    ///
    /// # Errors
    /// When the runtime refuses.
    pub fn remove_pod(&mut self, sandbox: &str) -> Result<()> {
        let id = || Id { id: sandbox.to_owned() };
        let _: Empty = self.call("StopPodSandbox", id())?;
        let _: Empty = self.call("RemovePodSandbox", id())?;
        Ok(())
    }

    /// The sandboxes of all pods.
    ///
    /// # Errors
    /// When the runtime does not answer.
    pub fn pods(&mut self) -> Result<Vec<String>> {
        let all: Pods = self.call("ListPodSandbox", Empty {})?;
        Ok(all.items.into_iter().map(|pod| pod.id).collect())
    }
}
