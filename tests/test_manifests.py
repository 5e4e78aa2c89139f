"""What is in deploy/ passes the validators of those who read it: Kubernetes' own schemas, and Compose's."""

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

DEPLOY = Path(__file__).parent.parent / "deploy"
#: Each manifest but the one that is kustomize's own.
MANIFESTS = [path for path in sorted((DEPLOY / "kubernetes").glob("*.yaml")) if path.stem != "kustomization"]
#: Versions of Kubernetes: the oldest that knows all we use, and the newest whose schemas we have.
VERSIONS = ("1.27", "1.37")


def read(path: Path) -> Any:
    """Read a file of YAML, which has one document."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def accepted(compose: Path) -> subprocess.CompletedProcess[str]:
    """Ask whether a file is one of Compose's; without a network, the schema is the checker's."""
    asked = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(compose)]
    return subprocess.run(asked, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_kubernetes_knows_every_key(path: Path, version: str) -> None:
    """Strictly: a key that it does not know is an error."""
    kubernetes_validate.validate(read(path), version, strict=True)


def test_a_slip_of_the_finger_in_a_manifest_is_found() -> None:
    """A key that is not there, and a value of another type."""
    good = read(DEPLOY / "kubernetes" / "deployment.yaml")
    for key, value in (("replica", 2), ("replicas", "two")):
        bad = copy.deepcopy(good)
        bad["spec"][key] = value
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(bad, VERSIONS[-1], strict=True)


def test_compose_knows_every_key() -> None:
    """By the Compose specification."""
    done = accepted(DEPLOY / "compose.yaml")
    assert done.returncode == 0, done.stdout


def test_a_slip_of_the_finger_in_the_compose_file_is_found(tmp_path: Path) -> None:
    """A key that is not there."""
    bad = read(DEPLOY / "compose.yaml")
    bad["services"]["poller"]["read_olny"] = True
    (tmp_path / "compose.yaml").write_text(yaml.safe_dump(bad), encoding="utf-8")
    done = accepted(tmp_path / "compose.yaml")
    assert done.returncode == 1
    assert "read_olny" in done.stdout
