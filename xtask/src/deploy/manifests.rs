//! `deploy/kubernetes/sentinel.yaml` is what the chart renders with its own values.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process;
use crate::project;
use crate::term;

const RELEASE: &str = "sentinel";
const NAMESPACE: &str = "kube-system";
const HEAD: &str = "\
# For `kubectl apply -f`. Rendered from deploy/helm/sentinel by `cargo xtask manifests`: change it there.
";
/// What is asked of Helm's own library where there is no `helm`: the rendered files by name, as JSON.
const LIBRARY: &str = "import helm_python, json, sys
chart = helm_python.Chart.load(sys.argv[1])
chart.validate_schema({})
print(json.dumps(chart.render(values={}, name=sys.argv[2], namespace=sys.argv[3])))";

pub(super) fn verb(check: bool) -> Result<()> {
    let Some(files) = render()? else {
        let how = "install `helm`, or Helm's library for Python (the package helm-python-sdk; PYTHON names its interpreter)";
        if check {
            term::say(format!("skipped: manifests, nothing here renders charts: {how}"));
            return Ok(());
        }
        bail!("nothing here renders charts: {how}");
    };
    let path = project::root().join("deploy/kubernetes/sentinel.yaml");
    let text = join(&files);
    if !check {
        return fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()));
    }
    if fs::read_to_string(&path).unwrap_or_default() != text {
        bail!("{} is not what the chart renders: run `cargo xtask manifests`", path.display());
    }
    Ok(())
}

/// Rendered files by their name; `None` where nothing renders.
fn render() -> Result<Option<BTreeMap<String, String>>> {
    let chart = project::root().join("deploy/helm/sentinel");
    if let Some(helm) = process::find("helm") {
        let mut command = Command::new(helm);
        command.args(["template", RELEASE, "--namespace", NAMESPACE]).arg(&chart);
        return Ok(Some(split(&process::output(&mut command)?)));
    }
    let python = std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
    let knows = Command::new(&python).args(["-c", "import helm_python"]).output();
    if !knows.is_ok_and(|output| output.status.success()) {
        return Ok(None);
    }
    let mut command = Command::new(python);
    command.args(["-c", LIBRARY]).arg(&chart).args([RELEASE, NAMESPACE]);
    let files: BTreeMap<String, String> = serde_json::from_str(&process::output(&mut command)?)?;
    Ok(Some(files))
}

/// `helm template` puts the files one after another, each behind a line that names it.
fn split(text: &str) -> BTreeMap<String, String> {
    let mut files = BTreeMap::<String, String>::new();
    for part in text.split("---\n# Source: ").skip(1) {
        let (name, body) = part.split_once('\n').unwrap_or((part, ""));
        let file = files.entry(name.trim().to_owned()).or_default();
        if !file.is_empty() {
            file.push_str("---\n");
        }
        file.push_str(body);
    }
    files
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
    fn both_ways_to_render_give_one_text() {
        let printed = "---\n# Source: s/templates/a.yaml\nkind: DaemonSet\n---\n# Source: s/templates/b.yaml\nkind: ConfigMap\n";
        let files = BTreeMap::from([
            ("s/templates/a.yaml".to_owned(), "kind: DaemonSet\n".to_owned()),
            ("s/templates/b.yaml".to_owned(), "\nkind: ConfigMap\n".to_owned()),
            ("s/templates/c.yaml".to_owned(), "\n".to_owned()),
        ]);
        assert_eq!(join(&split(printed)), join(&files));
        assert_eq!(join(&files), format!("{HEAD}kind: ConfigMap\n---\nkind: DaemonSet\n"));
    }
}
