//! The chart: what it renders, what Helm and Kubernetes say of it, and that `deploy/kubernetes/sentinel.yaml`
//! is what it renders with its own values.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::ladder::{Checks, installed};
use crate::process;
use crate::project;
use crate::setup;

const RELEASE: &str = "sentinel";
const NAMESPACE: &str = "kube-system";
const HEAD: &str = "\
# For `kubectl apply -f`. Rendered from deploy/helm/sentinel by `cargo xtask manifests`: change it there.
";
/// What Kubernetes takes.
const SCHEMAS: &str = include_str!("schemas.py");
/// The oldest and the newest Kubernetes whose schemas are at hand.
const OLDEST: &str = "1.25";
const NEWEST: &str = "1.37";
/// From here on pods have a field for AppArmor, which the plain manifests use.
const PLAIN_FROM: &str = "1.30";

const CHECKS: [&str; 7] = [
    "chart/helm_lints_it",
    "chart/as_it_is",
    "chart/everything_on",
    "chart/everything_off",
    "chart/for_an_old_cluster",
    "chart/misspelt_values_are_refused",
    "chart/plain_manifests_are_its_rendering",
];

/// Renders the chart into `deploy/kubernetes`, or compares.
pub(super) fn verb(check: bool) -> Result<()> {
    let path = project::root().join("deploy/kubernetes/sentinel.yaml");
    let text = plain(&rendered(&json!({}), PLAIN_FROM)?);
    if !check {
        return fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()));
    }
    if fs::read_to_string(&path).unwrap_or_default() != text {
        bail!("{} is not what the chart renders: run `cargo xtask manifests`", path.display());
    }
    Ok(())
}

/// The chart with its own values, with the others, with wrong ones.
pub(super) fn checks(checks: &mut Checks) {
    let tools = || Ok((installed(setup::helm())?, installed(setup::schemas())?));
    if checks.prepare(&CHECKS, tools).is_none() {
        return;
    }
    let [lint, as_it_is, on, off, old, misspelt, plain] = CHECKS;
    checks.run(lint, || {
        [json!({}), everything_on(), everything_off()]
            .iter()
            .try_for_each(|values| helm(&["lint", "--strict", "--quiet"], &[], values).map(drop))
    });
    checks.run(as_it_is, || fits(&json!({}), &[PLAIN_FROM, NEWEST]).map(drop));
    checks.run(on, || {
        let text = fits(&everything_on(), &[PLAIN_FROM, NEWEST])?;
        demand(&text, &["kind: NetworkPolicy", "kind: PodMonitor", "privileged: true"])?;
        demand(&text, &["mode: enforce", "- /etc/sentinel/policies", "path: policies/shop.yaml"])
    });
    checks.run(off, || {
        let text = fits(&everything_off(), &[PLAIN_FROM, NEWEST])?;
        let role = text.contains("kind: ClusterRole");
        if role { bail!("without Kubernetes the agent still has a role") } else { Ok(()) }
    });
    checks.run(old, || {
        let text = fits(&json!({}), &[OLDEST])?;
        demand(&text, &["container.apparmor.security.beta.kubernetes.io/sentinel: unconfined"])
    });
    checks.run(misspelt, || {
        for (values, word) in misspelt_values() {
            match rendered(&values, PLAIN_FROM).map_err(|error| format!("{error:#}")) {
                Err(why) if why.contains("schema") && why.contains(word) => {}
                Err(why) => bail!("{values} is refused for another reason: {why}"),
                Ok(_) => bail!("{values} is not refused"),
            }
        }
        Ok(())
    });
    checks.run(plain, || verb(true));
}

fn everything_on() -> Value {
    json!({
        "config": { "mode": "enforce", "pin": "/sys/fs/bpf/sentinel" },
        "policies": { "shop.yaml": "apiVersion: sentinel.dev/v1alpha1\nkind: EgressPolicy\n" },
        "privileged": true,
        "networkPolicy": { "enabled": true, "from": [{ "podSelector": {} }] },
        "metrics": { "podMonitor": { "enabled": true, "labels": { "release": "prometheus" } } },
        "runtimeSocket": "/run/containerd/containerd.sock",
        "unpin": "/sys/fs/bpf/sentinel",
        "seLinuxOptions": { "type": "spc_t" },
        "image": { "digest": "sha256:0000000000000000000000000000000000000000000000000000000000000000" },
        "imagePullSecrets": [{ "name": "registry" }],
        "podLabels": { "tier": "node" },
        "podAnnotations": { "example.com/owner": "security" },
    })
}

fn everything_off() -> Value {
    json!({
        "kubernetes": { "enabled": false },
        "metrics": { "annotations": false, "address": "127.0.0.1" },
        "networkPolicy": { "enabled": true },
        "serviceAccount": { "create": false },
        "tolerations": [],
        "nodeSelector": {},
    })
}

/// Values that nobody meant, each with the word that the refusal must name.
fn misspelt_values() -> [(Value, &'static str); 4] {
    [
        (json!({ "config": { "mod": "enforce" } }), "mod"),
        (json!({ "config": { "mode": "enforced" } }), "mode"),
        (json!({ "privilegd": true }), "privilegd"),
        (json!({ "metrics": { "port": "9640" } }), "port"),
    ]
}

fn demand(text: &str, words: &[&str]) -> Result<()> {
    let missing = words.iter().find(|word| !text.contains(**word));
    missing.map_or(Ok(()), |word| bail!("`{word}` is not in what the chart renders"))
}

/// What helm makes of the chart with these values, for a version of Kubernetes.
fn rendered(values: &Value, version: &str) -> Result<String> {
    helm(&["template", RELEASE], &["--kube-version", version], values)
}

/// The same for each of these versions, held to its schemas; the first is returned.
fn fits(values: &Value, versions: &[&str]) -> Result<String> {
    let texts: Result<Vec<_>> = versions.iter().map(|version| rendered(values, version)).collect();
    let texts = texts?;
    for (version, text) in versions.iter().zip(&texts) {
        let mut reader = Command::new(setup::schemas()?);
        let faults = process::fed(reader.args(["-c", SCHEMAS, version]), text)?;
        if !faults.is_empty() {
            bail!("{faults}");
        }
    }
    texts.into_iter().next().context("no version was named")
}

/// A command of helm's about the chart with these values.
fn helm(verb: &[&str], options: &[&str], values: &Value) -> Result<String> {
    let mut helm = Command::new(setup::helm()?);
    // Whoever runs this may have plugins and settings.
    let home = project::scratch("helm-home")?;
    for variable in ["HELM_CONFIG_HOME", "HELM_CACHE_HOME", "HELM_DATA_HOME"] {
        helm.env(variable, &home);
    }
    helm.args(verb).arg(project::root().join("deploy/helm/sentinel"));
    helm.args(["--namespace", NAMESPACE, "--values", "-"]).args(options);
    process::fed(&mut helm, &values.to_string())
}

/// Without what helm says of where it is from.
fn plain(rendered: &str) -> String {
    let lines = rendered.lines().filter(|line| !line.starts_with("# Source: "));
    let text = lines.collect::<Vec<_>>().join("\n");
    let objects = text.split("---\n").map(str::trim).filter(|object| !object.is_empty());
    format!("{HEAD}{}\n", objects.collect::<Vec<_>>().join("\n---\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_manifests_say_nothing_of_templates() {
        let text = "---\n# Source: s/templates/a.yaml\nkind: ConfigMap\n\n---\n# Source: s/templates/b.yaml\n# Why.\nkind: DaemonSet\n";
        assert_eq!(plain(text), format!("{HEAD}kind: ConfigMap\n---\n# Why.\nkind: DaemonSet\n"));
    }
}
