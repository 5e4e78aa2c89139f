"""What is in deploy/ fits together, and fits the image and the program: users, ports, paths, probes, secrets."""

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from credentials import a_secret_key

from benchmarks import readers
from salesforce_poller import config
from salesforce_poller.units import GRACE

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
POLLER: dict[str, Any] = COMPOSE["services"]["poller"]
MANIFESTS: dict[str, Any] = {
    path.name: yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(KUBERNETES.glob("*.yaml"))
}
POD: dict[str, Any] = MANIFESTS["deployment.yaml"]["spec"]["template"]["spec"]
[CONTAINER] = POD["containers"]
MOUNTS = {one["mountPath"]: one["name"] for one in CONTAINER["volumeMounts"]}
#: How each way of running it configures it, and where that has its secrets.
CONFIGURATIONS = {
    "compose": ((DEPLOY / "poller.toml").read_text(encoding="utf-8"), "/run/secrets"),
    "kubernetes": (MANIFESTS["configmap.yaml"]["data"]["config.toml"], "/run/secrets/salesforce-poller"),
}
#: Secrets that are not just any text.
SECRETS = {
    "store-url": "postgresql://poller:hush@database/poller",
    "secret-key": a_secret_key(),
    "crm-webhook-secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
}


def said(word: str) -> list[str]:
    """Return what the lines of the image's last stage say that begin with a word."""
    last = DOCKERFILE.rpartition("\nFROM ")[2].replace("\\\n", " ")
    return [line.removeprefix(word).strip() for line in last.splitlines() if line.strip().startswith(f"{word} ")]


def secrets_of(text: str, folder: str) -> set[str]:
    """Return the names of the secrets that a configuration takes from files of this folder."""
    files = re.findall(r'\{ file = "([^"]+)" \}', text)
    assert all(str(Path(file).parent) == folder for file in files)
    return {Path(file).name for file in files}


def seconds(text: str) -> float:
    """Read a span of Compose's: "30s", "1m"."""
    return float(text[:-1]) * {"s": 1, "m": 60}[text[-1]]


@pytest.mark.parametrize("kind", CONFIGURATIONS)
def test_the_configuration_loads(kind: str, tmp_path: Path) -> None:
    """With its secrets in files; on PostgreSQL, as two replicas need it, reachable from outside and guarded."""
    text, folder = CONFIGURATIONS[kind]
    for name in secrets_of(text, folder):
        (tmp_path / name).write_text(SECRETS.get(name, "any text") + "\n")
    read = config.parse(text.replace(folder, str(tmp_path)), {})
    assert read.store.url == SECRETS["store-url"]
    assert read.store.keys
    assert read.http.token
    assert read.http.address == ("0.0.0.0", 8080)


def test_nothing_secret_stands_in_a_configuration() -> None:
    """Each credential is a file."""
    for text, _ in CONFIGURATIONS.values():
        org = tomllib.loads(text)["orgs"]["acme"]
        assert set(org["client_secret"]) == {"file"}


def test_every_secret_that_is_read_is_there() -> None:
    """And no other is handed to the program."""
    assert set(POLLER["secrets"]) == secrets_of(*CONFIGURATIONS["compose"])
    assert set(MANIFESTS["secret.example.yaml"]["stringData"]) == secrets_of(*CONFIGURATIONS["kubernetes"])
    wanted = {one for service in COMPOSE["services"].values() for one in service.get("secrets", ())}
    assert wanted == COMPOSE["secrets"].keys()
    [secret] = [one["secret"] for one in POD["volumes"] if "secret" in one]
    assert secret["secretName"] == MANIFESTS["secret.example.yaml"]["metadata"]["name"]
    assert secret["defaultMode"] == 0o440
    assert MOUNTS["/run/secrets/salesforce-poller"] == "secrets"


def test_secrets_stay_out_of_git_and_in_no_applied_file() -> None:
    """An example that is applied would replace the real one."""
    ignored = (DEPLOY / ".gitignore").read_text(encoding="utf-8").split()
    assert ignored == ["secrets/", "kubernetes/secret.yaml"]
    assert all(one["file"].startswith("./secrets/") for one in COMPOSE["secrets"].values())
    named = set(MANIFESTS["kustomization.yaml"]["resources"])
    assert named == MANIFESTS.keys() - {"kustomization.yaml", "secret.example.yaml"}


def test_users_paths_and_folders_are_those_of_the_image() -> None:
    """Nobody is root, nothing can be written but what is empty at each start."""
    [user] = re.findall(r"--uid (\d+)", DOCKERFILE)
    assert said("USER") == ["poller"]
    assert POLLER["user"] == f"{user}:{user}"
    pod = POD["securityContext"]
    assert (pod["runAsUser"], pod["runAsGroup"], pod["fsGroup"], pod["runAsNonRoot"]) == (*[int(user)] * 3, True)
    [path] = re.findall(r"SALESFORCE_POLLER_CONFIG=(\S+)", DOCKERFILE)
    assert [one["target"] for one in POLLER["configs"]] == [path]
    assert MOUNTS[str(Path(path).parent)] == "config"
    assert list(MANIFESTS["configmap.yaml"]["data"]) == [Path(path).name]
    assert path in said("CMD")[0]
    assert "command" not in POLLER
    assert "args" not in CONTAINER
    [folder] = said("WORKDIR")
    assert set(POLLER["tmpfs"]) == {"/tmp", folder}
    empty = {one["name"] for one in POD["volumes"] if "emptyDir" in one}
    assert {path for path, name in MOUNTS.items() if name in empty} == {"/tmp", folder}


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_services_can_do_little_and_come_back(name: str) -> None:
    """Each of them: nothing written, no privileges, a health check, a restart; nothing open beyond this machine."""
    service = COMPOSE["services"][name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] == "CMD"
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    assert re.search(r":v?\d", service["image"]), "a version"


def test_the_pod_can_do_little() -> None:
    """What the standard "restricted" for pods asks, which the namespace enforces, and a root that cannot be written."""
    assert POD["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert POD["automountServiceAccountToken"] is False
    assert {"cpu", "memory"} <= CONTAINER["resources"]["requests"].keys()
    assert "memory" in CONTAINER["resources"]["limits"]
    enforced = MANIFESTS["namespace.yaml"]["metadata"]["labels"]
    assert enforced == {"pod-security.kubernetes.io/enforce": "restricted"}


def test_health_is_asked_where_it_is_served() -> None:
    """The same as the image asks; alive by /healthz, ready by /readyz, time enough to upgrade a schema."""
    [image] = re.findall(r"HEALTHCHECK .*?CMD (\[.*?\])\n", DOCKERFILE.replace("\\\n", ""))
    assert POLLER["healthcheck"]["test"] == ["CMD", *yaml.safe_load(image)]
    [port] = CONTAINER["ports"]
    assert (port["name"], port["containerPort"]) == ("http", 8080)
    asked = {name: CONTAINER[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert {name: one["path"] for name, one in asked.items()} == {
        "startup": "/healthz",
        "liveness": "/healthz",
        "readiness": "/readyz",
    }
    assert {one["port"] for one in asked.values()} == {"http"}
    startup = CONTAINER["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 600
    assert [one["targetPort"] for one in MANIFESTS["service.yaml"]["spec"]["ports"]] == ["http"]
    assert POLLER["ports"] == ["127.0.0.1:8080-8081:8080"]
    scraped = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    [job] = scraped["scrape_configs"]
    [found] = job["dns_sd_configs"]
    assert (found["names"], found["port"]) == (["poller"], 8080)
    assert Path(job["authorization"]["credentials_file"]).name in COMPOSE["services"]["prometheus"]["secrets"]


def test_there_is_time_to_stop() -> None:
    """Polling and delivery each have their grace, one after the other at worst, and then something to close."""
    wanted = 2 * GRACE.total_seconds() + 10
    assert POD["terminationGracePeriodSeconds"] >= wanted
    assert seconds(POLLER["stop_grace_period"]) >= wanted


def test_two_replicas_are_never_down_together_on_purpose() -> None:
    """While nodes are drained or a new version comes."""
    spec = MANIFESTS["deployment.yaml"]["spec"]
    assert (spec["replicas"], spec["strategy"]["rollingUpdate"]["maxUnavailable"]) == (2, 0)
    assert MANIFESTS["poddisruptionbudget.yaml"]["spec"]["minAvailable"] == 1
    assert POLLER["deploy"]["replicas"] == 2


def test_labels_and_names_meet() -> None:
    """Whoever selects pods selects these, in the same namespace; the image has the program's version."""
    labels = MANIFESTS["deployment.yaml"]["spec"]["template"]["metadata"]["labels"]
    for name in ("deployment.yaml", "poddisruptionbudget.yaml"):
        assert MANIFESTS[name]["spec"]["selector"]["matchLabels"] == labels
    assert MANIFESTS["service.yaml"]["spec"]["selector"] == labels
    [spread] = POD["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"] == labels
    [config_map] = [one["configMap"]["name"] for one in POD["volumes"] if "configMap" in one]
    assert config_map == MANIFESTS["configmap.yaml"]["metadata"]["name"]
    spaces = {one["metadata"]["namespace"] for one in MANIFESTS.values() if "namespace" in one.get("metadata", {})}
    assert spaces == {MANIFESTS["namespace.yaml"]["metadata"]["name"]}
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert POLLER["image"] == CONTAINER["image"] == f"salesforce-poller:{version}"
    [image] = MANIFESTS["kustomization.yaml"]["images"]
    assert (image["name"], image["newTag"]) == ("salesforce-poller", version)


def test_what_is_mounted_is_there() -> None:
    """All but the secrets, which are everybody's own."""
    mounted = [volume.split(":")[0] for one in COMPOSE["services"].values() for volume in one.get("volumes", ())]
    files = [one for one in mounted if one.startswith(".")] + [one["file"] for one in COMPOSE["configs"].values()]
    assert len(files) > 2
    for file in files:
        assert (DEPLOY / file).exists(), file
    assert {one for one in mounted if not one.startswith(".")} == COMPOSE["volumes"].keys()


def test_the_image_takes_what_the_build_needs() -> None:
    """Everything that is copied is there, and Docker is sent it."""
    copied = [
        path for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE) for path in line.split()[:-1]
    ]
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] == "!"}
    assert set(copied) == sent
    assert all((ROOT / path).exists() for path in copied)


def test_the_steps_that_make_secrets_make_all_of_them() -> None:
    """The page beside compose.yaml, followed by hand."""
    page = (DEPLOY / "README.md").read_text(encoding="utf-8")
    made = {Path(word).name for line in page.splitlines() for word in shlex.split(line.partition("> ")[2])[:1]}
    assert COMPOSE["secrets"].keys() <= made


def test_benchmarks_share_memory_out_as_the_image_does() -> None:
    """What they measure of memory is that of the image."""
    assert dict(re.findall(r"^ .*?(MALLOC_\w+)=(\d+)", DOCKERFILE, re.MULTILINE)) == readers.AS_IN_THE_IMAGE
