"""singer's tap-salesforce, as it is on PyPI, reading the canned org: the connector that a backlog is compared with.

It lives in a virtual environment of its own below the folder for temporary files, made when it is missing, and never in
the project's. Run by that environment's interpreter, this file is what stands between the tap and the org; all that is
changed of the tap is said in :func:`_inside`.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from subprocess import DEVNULL, run

RELEASE = "2.8.1"
_HOME = Path(tempfile.gettempdir()) / f"salesforce-poller-tap-salesforce-{RELEASE}"
#: What its README says, with REST queries: the way that our feed reads, too.
_CONFIG = {"client_id": "canned", "client_secret": "canned", "refresh_token": "canned", "api_type": "REST"}
#: Of the object in the catalog that it discovers: what changed since the bookmark, as a feed reads it.
_WANTED = {"selected": True, "replication-method": "INCREMENTAL", "replication-key": "SystemModstamp"}


def installed() -> Path:
    """Return the interpreter of its environment; makes that, with pip, where it is missing."""
    python = _HOME / "bin" / "python"
    if not (_HOME / "made").exists():
        for command in (["-m", "venv", "--clear", str(_HOME)], ["-m", "pip", "install", f"tap-salesforce=={RELEASE}"]):
            by = sys.executable if "venv" in command else str(python)
            run([by, *command], check=True, stdout=DEVNULL)  # noqa: S603  # Python's own tools
        (_HOME / "made").touch()
    return python


def read(url: str, begin: str, folder: Path) -> dict[str, float]:
    """Let it discover the org, and then read all of it into a file; returns what ``readers.py:Told`` is made of."""
    config, catalog, told = folder / "config.json", folder / "catalog.json", folder / "told.json"
    config.write_text(json.dumps({**_CONFIG, "start_date": begin, "select_fields_by_default": "true"}))
    command = [str(installed()), __file__, url, str(told), "--config", str(config)]
    with catalog.open("wb") as listed:
        run([*command, "--discover"], check=True, stdout=listed, stderr=DEVNULL)  # noqa: S603  # ourselves
    chosen = json.loads(catalog.read_bytes())
    for stream in chosen["streams"]:
        of_stream = next(each for each in stream["metadata"] if not each["breadcrumb"])["metadata"]
        of_stream.update(_WANTED)
    catalog.write_text(json.dumps(chosen))
    with (folder / "events.jsonl").open("wb") as events:
        run([*command, "--properties", str(catalog)], check=True, stdout=events, stderr=DEVNULL)  # noqa: S603  # ourselves
    found: dict[str, float] = json.loads(told.read_bytes())
    return found


def _inside() -> None:
    """Run the tap, in its own environment.

    Its one address that is not told by the org, the login host, becomes the org's; nothing else of it is touched.
    """
    import requests
    import tap_salesforce  # type: ignore[import-not-found]  # as above

    url, told = sys.argv[1:3]
    del sys.argv[1:3]
    plain = requests.Session.post

    def post(self: requests.Session, address: str, **options: object) -> requests.Response:
        return plain(self, address.replace("https://login.salesforce.com", url, 1), **options)  # type: ignore[arg-type]

    setattr(requests.Session, "post", post)  # noqa: B010  # mypy would not have it said otherwise
    began, spent = time.perf_counter(), time.process_time()
    tap_salesforce.main()
    sys.stdout.flush()
    took = {"seconds": time.perf_counter() - began, "processor": time.process_time() - spent}
    peak = int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
    Path(told).write_text(json.dumps({**took, "peak": peak * 1024 / 1e6}))
    os._exit(0)  # its timer for the next login would keep the process


if __name__ == "__main__":
    _inside()
