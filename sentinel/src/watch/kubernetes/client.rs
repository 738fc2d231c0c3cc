//! Where the API server is, and who asks it.

use std::path::PathBuf;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::error::KubernetesError;
use super::resource::WATCH;
use crate::config::Kubernetes;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How much longer than a watch lasts nothing may be heard before the other side counts as gone.
const SILENCE: Duration = Duration::from_secs(15);

/// How the API server is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The name that Kubernetes knows this node by.
    pub node: String,
    /// Where the server is and who asks; `None` within a pod, whose service account says.
    pub kubeconfig: Option<PathBuf>,
    /// Whether addresses of services are followed.
    pub services: bool,
}

impl Settings {
    /// What the settings and the environment come to; `None` where the server is not asked: in no pod, and no
    /// file named, or under no name.
    #[must_use]
    pub fn find(typed: &Kubernetes, environment: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let said = |name| environment(name).filter(|value| !value.is_empty());
        let node = node_name(typed, &environment)?;
        let kubeconfig = typed.kubeconfig.clone();
        let reachable = kubeconfig.is_some() || said("KUBERNETES_SERVICE_HOST").is_some();
        reachable.then_some(Self { node, kubeconfig, services: typed.services })
    }
}

/// The name that Kubernetes knows this node by, asked or not.
#[must_use]
pub fn node_name(
    typed: &Kubernetes,
    environment: impl Fn(&str) -> Option<String>,
) -> Option<String> {
    let said = || environment("NODE_NAME").filter(|value| !value.is_empty());
    typed.node.clone().or_else(said)
}

/// Reads where it is. No question is asked yet.
///
/// # Errors
/// When nothing says where it is.
pub async fn connect(settings: &Settings) -> Result<Client, KubernetesError> {
    let unreadable = |error: &dyn std::fmt::Display| KubernetesError::Settings(error.to_string());
    let mut config = match &settings.kubeconfig {
        None => Config::incluster().map_err(|error| unreadable(&error))?,
        Some(file) => {
            let file = Kubeconfig::read_from(file).map_err(|error| unreadable(&error))?;
            let options = KubeConfigOptions::default();
            let config = Config::from_custom_kubeconfig(file, &options).await;
            config.map_err(|error| unreadable(&error))?
        }
    };
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(Duration::from_secs(WATCH.into()) + SILENCE);
    config.reset_reader_on_write = true;
    // Whoever asks waits by itself, and not at the same moments as others.
    config.default_retry = false;
    Client::try_from(config).map_err(|error| unreadable(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_asked_without_a_name_and_a_place() {
        let pod = |name: &str| match name {
            "NODE_NAME" => Some("node-1".to_owned()),
            "KUBERNETES_SERVICE_HOST" => Some("10.96.0.1".to_owned()),
            _ => None,
        };
        let nobody = |_: &str| None;
        let mut typed = Kubernetes::default();
        assert_eq!(Settings::find(&typed, nobody), None);
        assert_eq!(Settings::find(&typed, pod).unwrap().node, "node-1");
        typed.node = Some("other".into());
        assert_eq!(Settings::find(&typed, nobody), None);
        assert_eq!(Settings::find(&typed, pod).unwrap().node, "other");
        typed.kubeconfig = Some("/k".into());
        assert_eq!(Settings::find(&typed, nobody).unwrap().kubeconfig, Some("/k".into()));
    }
}
