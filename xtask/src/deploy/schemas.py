"""What the schemas of these versions of Kubernetes do not take in the objects on standard input, a line each."""

import sys

import kubernetes_validate
import yaml

# Of kinds that a cluster gets from elsewhere there are no schemas here.
FOREIGN = {"PodMonitor"}

objects = [one for one in yaml.safe_load_all(sys.stdin) if one and one["kind"] not in FOREIGN]
for version in sys.argv[1:]:
    for one in objects:
        try:
            kubernetes_validate.validate(one, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            path = ".".join(str(part) for part in error.path)
            print(f"Kubernetes {version}: {one['kind']} {path}: {error.message}")
