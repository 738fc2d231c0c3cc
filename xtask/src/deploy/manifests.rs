//! The chart: what it renders, what Helm and Kubernetes say of it, and that `deploy/kubernetes/sentinel.yaml`
//! is what it renders with its own values.

use std::collections::BTreeMap;
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
/// Asks Helm's own library.
const LIBRARY: &str = include_str!("chart.py");
/// The oldest and the newest Kubernetes whose schemas are at hand.
const OLDEST: &str = "1.25";
const NEWEST: &str = "1.37";
/// From here on pods have a field for AppArmor, which the plain manifests use.
const PLAIN_FROM: &str = "1.30";

const CHECKS: [&str; 6] = [
    "chart/as_it_is",
    "chart/everything_on",
    "chart/everything_off",
    "chart/for_an_old_cluster",
    "chart/misspelt_values_are_refused",
    "chart/plain_manifests_are_its_rendering",
];

/// What the library answers.
enum Answer {
    /// The values are none for this chart.
    Refused(String),
    /// Files by their names, and what is wrong with them.
    Rendered(BTreeMap<String, String>, Vec<String>),
}

/// Renders the chart into `deploy/kubernetes`, or compares.
pub(super) fn verb(check: bool) -> Result<()> {
    let path = project::root().join("deploy/kubernetes/sentinel.yaml");
    let text = join(&rendered(&json!({}), &[], None)?);
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
    if checks.prepare(&CHECKS, || installed(setup::chart_tools())).is_none() {
        return;
    }
    let [as_it_is, on, off, old, misspelt, plain] = CHECKS;
    checks.run(as_it_is, || rendered(&json!({}), &[PLAIN_FROM, NEWEST], None).map(drop));
    checks.run(on, || {
        let files = rendered(&everything_on(), &[PLAIN_FROM, NEWEST], None)?;
        demand(&files, &["kind: NetworkPolicy", "kind: PodMonitor", "privileged: true"])?;
        demand(&files, &["mode: enforce", "- /etc/sentinel/policies", "path: policies/shop.yaml"])
    });
    checks.run(off, || {
        let files = rendered(&everything_off(), &[PLAIN_FROM, NEWEST], None)?;
        let role = files.values().any(|text| text.contains("kind: ClusterRole"));
        if role { bail!("without Kubernetes the agent still has a role") } else { Ok(()) }
    });
    checks.run(old, || {
        let files = rendered(&json!({}), &[OLDEST], Some(OLDEST))?;
        demand(&files, &["container.apparmor.security.beta.kubernetes.io/sentinel: unconfined"])
    });
    checks.run(misspelt, || {
        for (values, word) in misspelt_values() {
            match ask(&values, &[], None)? {
                Answer::Refused(why) if why.contains(word) => {}
                Answer::Refused(why) => bail!("{values} is refused for another reason: {why}"),
                Answer::Rendered(..) => bail!("{values} is not refused"),
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

fn demand(files: &BTreeMap<String, String>, words: &[&str]) -> Result<()> {
    let missing = words.iter().find(|word| !files.values().any(|text| text.contains(**word)));
    missing.map_or(Ok(()), |word| bail!("`{word}` is not in what the chart renders"))
}

/// What the chart renders with these values, for a version of Kubernetes; a fault is an error.
fn rendered(
    values: &Value,
    versions: &[&str],
    render_for: Option<&str>,
) -> Result<BTreeMap<String, String>> {
    match ask(values, versions, render_for)? {
        Answer::Refused(why) => bail!("the chart refuses {values}: {why}"),
        Answer::Rendered(files, faults) if faults.is_empty() => Ok(files),
        Answer::Rendered(_, faults) => bail!("{}", faults.join("; ")),
    }
}

fn ask(values: &Value, versions: &[&str], render_for: Option<&str>) -> Result<Answer> {
    let chart = project::root().join("deploy/helm/sentinel");
    let mut command = Command::new(setup::chart_tools()?);
    command.args(["-c", LIBRARY]).arg(&chart).args([RELEASE, NAMESPACE, &values.to_string()]);
    command.args(versions);
    if let Some(version) = render_for {
        command.env("AS", format!("v{version}.0"));
    }
    let answer: Value = serde_json::from_str(&process::output(&mut command)?)?;
    if let Some(why) = answer.get("refused").and_then(Value::as_str) {
        return Ok(Answer::Refused(why.trim().to_owned()));
    }
    let part = |name: &str| answer.get(name).cloned().unwrap_or_default();
    Ok(Answer::Rendered(
        serde_json::from_value(part("files"))?,
        serde_json::from_value(part("faults"))?,
    ))
}

/// One text, empty files left out, what others refer to first.
fn join(files: &BTreeMap<String, String>) -> String {
    let mut parts: Vec<&str> =
        files.values().map(|text| text.trim()).filter(|text| !text.is_empty()).collect();
    parts.sort_by_key(|text| text.contains("kind: DaemonSet"));
    format!("{HEAD}{}\n", parts.join("\n---\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_refer_to_comes_first_and_empty_files_are_left_out() {
        let files = BTreeMap::from([
            ("s/templates/a.yaml".to_owned(), "kind: DaemonSet\n".to_owned()),
            ("s/templates/b.yaml".to_owned(), "\nkind: ConfigMap\n".to_owned()),
            ("s/templates/c.yaml".to_owned(), "\n".to_owned()),
        ]);
        assert_eq!(join(&files), format!("{HEAD}kind: ConfigMap\n---\nkind: DaemonSet\n"));
    }
}
