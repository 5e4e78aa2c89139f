"""The daemon and the quick orgs as processes of their own, and what the machine says of them.

Figures of processor time and memory come from /proc, so that these benchmarks run on Linux only.
"""

import asyncio
import compileall
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console

import salesforce_poller

_TICKS = os.sysconf("SC_CLK_TCK")
#: Letters of a daemon's log that are shown where it ends by itself; -9 without a word is the system's want of memory.
_SAID = 2_000
#: Seconds that a daemon may take to end.
_ENDS_WITHIN = 20


def cpu_of(pid: int) -> float:
    """Return the seconds of processor time that a process has used, all its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory_of(pid: int, *, peak: bool = False) -> float:
    """Return the megabytes (10^6) that a process has in memory, or has had at most."""
    wanted = "VmHWM:" if peak else "VmRSS:"
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(wanted))


@cache
def as_installed() -> None:
    """Compile the program, as pip does: where Python may not keep that itself, each start takes 0.3 s for it."""
    compileall.compile_dir(Path(salesforce_poller.__file__).parent, quiet=1)


@dataclass(frozen=True, slots=True)
class QuickOrgs:
    """A running ``quick_org.py``."""

    process: asyncio.subprocess.Process
    ports: Sequence[int]

    async def told(self) -> Mapping[str, Any]:
        """Ask what it was asked so far, and what that cost it."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(b"\n")
        found: Mapping[str, Any] = orjson.loads(await self.process.stdout.readline())
        return found


@asynccontextmanager
async def quick_orgs(count: int, *more: str) -> AsyncIterator[QuickOrgs]:
    """Run so many quick orgs; ``more`` are arguments of its command."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.quick_org",
        str(count),
        *more,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**28,
    )
    assert process.stdin
    assert process.stdout
    try:
        if not (ports := await process.stdout.readline()):
            raise RuntimeError(
                f"the orgs ended before they began, with {await process.wait()}; what they said is above"
            )
        yield QuickOrgs(process, orjson.loads(ports))
    finally:
        process.stdin.close()
        await process.wait()


@asynccontextmanager
async def daemon(config: Path, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the daemon as a user would, with its log beside the configuration."""
    as_installed()
    with (config.parent / "daemon.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "salesforce_poller",
            "run",
            "--config",
            str(config),
            stdout=log,
            stderr=log,
            env={**os.environ, **environment},
        )
    try:
        yield process
    except BaseException:
        if process.returncode is not None:
            told = (config.parent / "daemon.log").read_text(encoding="utf-8")
            Console(stderr=True).print(f"the daemon ended with {process.returncode}: {told[-_SAID:]}", markup=False)
        raise
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _ENDS_WITHIN)
        except TimeoutError:
            process.kill()
            await process.wait()


def org_lines(name: str, port: int, objects: Sequence[str], every: str, *, scheme: str = "http") -> str:
    """Return the lines of the configuration that watch a quick org's objects."""
    lines = [
        f"[orgs.{name}]",
        f'login_url = "{scheme}://127.0.0.1:{port}"',
        'client_id = "bench"',
        'client_secret = "bench"',
        f'defaults = {{ every = "{every}" }}',
        *(f"[orgs.{name}.objects.{one}]" for one in objects),
    ]
    return "\n".join(lines) + "\n"


def certificates(folder: Path) -> tuple[Path, Path, Path]:
    """Make an authority in a folder, and a certificate for this machine: the files of both, and of the latter's key."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))  # where they are made
    from certificates import make

    made = make(folder / "certificates")
    return made.ca, made.server, made.server_key
