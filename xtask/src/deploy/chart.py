"""What Helm and Kubernetes say of the chart: CHART RELEASE NAMESPACE VALUES KUBERNETES... to JSON on standard output.

`refused`: why these values are no values for it. Otherwise `files`: what it renders, by name, and `faults`: what a strict
lint finds, and what the schemas of these versions of Kubernetes do not know. Helm's library renders for the version it was
made for; `AS` in the environment is put in its place.
"""

import json
import os
import pathlib
import shutil
import sys
import tempfile

import helm_python
import kubernetes_validate
import yaml

# Of kinds that a cluster gets from elsewhere there are no schemas here.
FOREIGN = {"PodMonitor"}
WARNING = 2


def faults_of(files, versions):
    objects = [(name, one) for name, text in files.items() for one in yaml.safe_load_all(text) if one]
    for version in versions:
        for name, one in objects:
            if one["kind"] in FOREIGN:
                continue
            try:
                kubernetes_validate.validate(one, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                path = ".".join(str(part) for part in error.path)
                yield f"{name}, Kubernetes {version}: {one['kind']} {path}: {error.message}"


def main(folder, release, namespace, values, *versions):
    values = json.loads(values)
    with tempfile.TemporaryDirectory() as copy:
        chart = pathlib.Path(shutil.copytree(folder, pathlib.Path(copy) / "sentinel"))
        if "AS" in os.environ:
            for template in (chart / "templates").iterdir():
                text = template.read_text()
                template.write_text(text.replace(".Capabilities.KubeVersion.Version", json.dumps(os.environ["AS"])))
        said = helm_python.lint(str(chart), values, strict=True)
        loaded = helm_python.Chart.load(str(chart))
        try:
            loaded.validate_schema(values)
        except helm_python.HelmValuesError as error:
            return {"refused": str(error)}
        files = loaded.render(values=values, name=release, namespace=namespace)
    faults = [f"lint: {one['path']}: {one['error']}" for one in said["messages"] if one["severity"] >= WARNING]
    faults += [f"lint: {error}" for error in said["errors"]]
    return {"files": files, "faults": faults + list(faults_of(files, versions))}


print(json.dumps(main(*sys.argv[1:])))
