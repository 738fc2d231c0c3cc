//! Requests of a person with a token.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// Where objects of a kind are.
const PLACES: [(&str, &str); 13] = [
    ("Namespace", "/api/v1/namespaces"),
    ("Node", "/api/v1/nodes"),
    ("Pod", "/api/v1/namespaces/{}/pods"),
    ("ConfigMap", "/api/v1/namespaces/{}/configmaps"),
    ("DaemonSet", "/apis/apps/v1/namespaces/{}/daemonsets"),
    ("Deployment", "/apis/apps/v1/namespaces/{}/deployments"),
    ("Service", "/api/v1/namespaces/{}/services"),
    ("ServiceAccount", "/api/v1/namespaces/{}/serviceaccounts"),
    ("EndpointSlice", "/apis/discovery.k8s.io/v1beta1/namespaces/{}/endpointslices"),
    ("ClusterRole", "/apis/rbac.authorization.k8s.io/v1/clusterroles"),
    ("ClusterRoleBinding", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"),
    ("Role", "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles"),
    ("RoleBinding", "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings"),
];
const CUSTOM: [(&str, &str); 3] = [
    ("CustomResourceDefinition", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"),
    ("EgressPolicy", "/apis/sentinel.dev/v1alpha1/namespaces/{}/egresspolicies"),
    ("ClusterEgressPolicy", "/apis/sentinel.dev/v1alpha1/clusteregresspolicies"),
];

/// Asks the server.
#[derive(Debug)]
pub struct Client {
    runtime: Runtime,
    config: kube::Config,
}

impl Client {
    pub(super) fn new(port: u16, authority: &Path, token: &str) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let kubeconfig: Kubeconfig = serde_json::from_value(json!({
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {
                "server": format!("https://127.0.0.1:{port}"), "certificate-authority": authority}}],
            "users": [{"name": "test", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }))?;
        let options = KubeConfigOptions::default();
        let config =
            runtime.block_on(kube::Config::from_custom_kubeconfig(kubeconfig, &options))?;
        Ok(Self { runtime, config })
    }

    /// One request; the answer, where it is a success.
    ///
    /// # Errors
    /// When it is none: the server's words.
    pub fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let text = self.text(method, path, body)?;
        serde_json::from_str(&text).with_context(|| format!("{method} {path}: {text}"))
    }

    /// A page.
    ///
    /// # Errors
    /// When there is none.
    pub fn get(&self, path: &str) -> Result<String> {
        self.text("GET", path, None)
    }

    fn text(&self, method: &str, path: &str, body: Option<&Value>) -> Result<String> {
        let request = request(method, path, body)?;
        // A connection of its own: the server may have been another the last time.
        let answer = self.runtime.block_on(async {
            kube::Client::try_from(self.config.clone())?.request_text(request).await
        });
        answer.with_context(|| format!("{method} {path}"))
    }

    /// Makes an object.
    ///
    /// # Errors
    /// When the server refuses it: its words.
    pub fn create(&self, object: &Value) -> Result<Value> {
        self.send("POST", &place(object)?, Some(object))
    }

    /// Makes many objects, over one connection.
    ///
    /// # Errors
    /// When the server refuses any.
    pub fn create_all(&self, objects: &[Value]) -> Result<()> {
        self.runtime.block_on(async {
            let client = kube::Client::try_from(self.config.clone())?;
            for object in objects {
                let request = request("POST", &place(object)?, Some(object))?;
                client.request_text(request).await?;
            }
            Ok(())
        })
    }

    /// Changes an object: what is said replaces what was there.
    ///
    /// # Errors
    /// When the server refuses it.
    pub fn patch(&self, object: &Value, change: &Value) -> Result<Value> {
        self.send("PATCH", &own_place(object)?, Some(change))
    }

    /// The object as it is now.
    ///
    /// # Errors
    /// When it is not there.
    pub fn read(&self, object: &Value) -> Result<Value> {
        self.send("GET", &own_place(object)?, None)
    }

    /// Takes an object away.
    ///
    /// # Errors
    /// When the server refuses it.
    pub fn delete(&self, object: &Value) -> Result<Value> {
        let now = json!({"gracePeriodSeconds": 0});
        self.send("DELETE", &own_place(object)?, Some(&now))
    }

    /// Makes what a manifest has of these kinds; definitions are waited for.
    ///
    /// # Errors
    /// When the server refuses any.
    pub fn apply(&self, manifest: &str, kinds: &[&str]) -> Result<Vec<Value>> {
        let documents: Vec<Value> = serde_saphyr::from_multiple(manifest)?;
        let wanted = documents.into_iter().filter(|one| kinds.contains(&text(one, "/kind")));
        let wanted: Vec<Value> = wanted.collect();
        for object in &wanted {
            self.create(object)?;
            if text(object, "/kind") == "CustomResourceDefinition" {
                self.established(object)?;
            }
        }
        Ok(wanted)
    }

    fn established(&self, definition: &Value) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let now = self.read(definition)?;
            let conditions = now.pointer("/status/conditions").and_then(Value::as_array);
            let is =
                |one: &Value| text(one, "/type") == "Established" && text(one, "/status") == "True";
            if conditions.is_some_and(|all| all.iter().any(is)) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("not established: {now}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn request(method: &str, path: &str, body: Option<&Value>) -> Result<http::Request<Vec<u8>>> {
    let kind = match method {
        "PATCH" => "application/merge-patch+json",
        _ => "application/json",
    };
    let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
    let request = http::Request::builder().method(method).uri(path).header("content-type", kind);
    Ok(request.body(body)?)
}

fn text<'a>(object: &'a Value, path: &str) -> &'a str {
    object.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

fn place(object: &Value) -> Result<String> {
    let kind = text(object, "/kind");
    let found = PLACES.iter().chain(&CUSTOM).find(|(known, _)| *known == kind);
    let (_, path) = found.with_context(|| format!("where is a {kind}?"))?;
    Ok(path.replace("{}", text(object, "/metadata/namespace")))
}

fn own_place(object: &Value) -> Result<String> {
    Ok(format!("{}/{}", place(object)?, text(object, "/metadata/name")))
}
