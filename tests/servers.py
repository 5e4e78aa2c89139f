"""Real servers for the tests: private ones, started from installed programs on free ports of 127.0.0.1.

A private server can be killed and started again on the same port with the same data. Where the program is not
installed but a server runs on this machine, that one is used, and only the tests that would have to kill it are left
out. Where there is neither, tests are skipped with the reason; in CI they fail. The fixtures are in
``server_fixtures.py``; what a sink must live through is in ``contracts/broker_contract.py``.
"""

import os
import secrets
import select
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import pytest
from certificates import Certificates

#: Tries of a twentieth of a second until a server must answer: RabbitMQ needs ten seconds on a busy machine.
_TRIES = 1200
#: Seconds until a killed process must be gone.
_GONE = 30.0
_POSTGRES = Path("/usr/lib/postgresql")


def unable(reason: str) -> NoReturn:
    """Leave a test out; a missing server is no reason to pass in CI."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def free_port() -> int:
    """Return a port that nobody has, and below those that outgoing connections take (32768 and up).

    A server that was killed finds it free when it comes back.
    """
    while True:
        port = 20_000 + secrets.randbelow(10_000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


@dataclass(eq=False)
class Server:
    """A server on this machine; private ones have a command and can be killed."""

    port: int
    #: Says whether it answers at its port, by a first exchange of bytes.
    answers: Callable[[socket.socket], bool]
    #: How it is started; empty for one that was running anyway.
    command: Sequence[str] = ()
    #: Its own folder: configuration, data, log.
    folder: Path = Path()
    environment: dict[str, str] = field(default_factory=dict)
    #: The port for TLS, where one was asked for.
    tls_port: int = 0
    #: How to get the program, for those who have not.
    hint: str = ""
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, unless it runs, and wait until it answers."""
        if not self.command or (self._process is not None and self._process.poll() is None):
            return
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        for _ in range(_TRIES):
            if self.is_there():
                return
            try:
                self._process.wait(timeout=0.05)  # the pause between two tries, and the end of them if it failed
            except subprocess.TimeoutExpired:
                continue
            break
        self.kill()
        pytest.fail(f"{self.command[0]} does not start: {(self.folder / 'server.log').read_text('utf-8')[-2000:]}")

    def kill(self) -> None:
        """End it as a power cut does: SIGKILL to it and its children."""
        if not self.command:
            unable(f"only a server of one's own can be killed: {self.hint}")
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGSTOP)  # it starts no more children while they are looked for
            _end(_family(self._process.pid))
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Kill it and start it again, on the same port with the same data."""
        self.kill()
        self.start()

    def is_there(self) -> bool:
        """Say whether it answers."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as line:
                line.settimeout(2)
                return self.answers(line)
        except OSError:
            return False


@contextmanager
def redis(*lines: str, tls: Certificates | None = None) -> Iterator[Server]:
    """Redis that writes each command to disk before it answers; ``lines`` are further ones of its configuration."""
    with _prepared("redis-server", 6379, _redis_answers, "apt-get install redis-server", bool(lines or tls)) as server:
        more = [f"port {server.port}", "bind 127.0.0.1", f"dir {server.folder}", 'save ""', "appendonly yes"]
        more += ["appendfsync always", *lines]
        if tls:
            server.tls_port = free_port()
            more += [f"tls-port {server.tls_port}", f"tls-cert-file {tls.server}", f"tls-key-file {tls.server_key}"]
            more += [f"tls-ca-cert-file {tls.ca}", "tls-auth-clients optional"]
        _configured(server, "redis.conf", more, "{program}", "{config}")
        yield server


@contextmanager
def nats(*lines: str, tls: Certificates | None = None, jetstream: bool = True) -> Iterator[Server]:
    """NATS, with JetStream unless it is not to have it; with ``tls``, its one port speaks TLS after the first line."""
    needs_own = bool(lines or tls or not jetstream)
    with _prepared("nats-server", 4222, _nats_answers, "apt-get install nats-server", needs_own) as server:
        more = [f"listen: 127.0.0.1:{server.port}", *lines]
        more += [f'jetstream {{ store_dir: "{server.folder}/data" }}'] if jetstream else []
        if tls:
            server.tls_port = server.port
            more += [f'tls {{ cert_file: "{tls.server}", key_file: "{tls.server_key}", ca_file: "{tls.ca}" }}']
        _configured(server, "nats.conf", more, "{program}", "-c", "{config}")
        yield server


@contextmanager
def mosquitto(*lines: str, tls: Certificates | None = None) -> Iterator[Server]:
    """Mosquitto, which passes on at once whatever it takes; anybody may enter, unless ``lines`` say otherwise."""
    with _prepared("mosquitto", 1883, _mqtt_answers, "apt-get install mosquitto", bool(lines or tls)) as server:
        more = ["per_listener_settings false", "persistence true", f"persistence_location {server.folder}/"]
        more += ["autosave_on_changes true", "autosave_interval 1", "max_inflight_messages 0", "set_tcp_nodelay true"]
        more += [] if any(each.startswith("allow_anonymous") for each in lines) else ["allow_anonymous true"]
        more += [*(["user root"] if os.geteuid() == 0 else []), *lines, f"listener {server.port} 127.0.0.1"]
        if tls:
            server.tls_port = free_port()
            more += [f"listener {server.tls_port} 127.0.0.1", f"cafile {tls.ca}", f"certfile {tls.server}"]
            more += [f"keyfile {tls.server_key}"]
        _configured(server, "mosquitto.conf", more, "{program}", "-c", "{config}")
        yield server


@contextmanager
def rabbitmq(*lines: str, tls: Certificates | None = None) -> Iterator[Server]:
    """RabbitMQ with nothing but AMQP; it needs eight seconds to start, so share one among many tests."""
    needs_own = bool(lines or tls)
    with _prepared("rabbitmq-server", 5672, _amqp_answers, "apt-get install rabbitmq-server", needs_own) as server:
        if not server.command:
            yield server
            return
        more = [f"listeners.tcp.local = 127.0.0.1:{server.port}", "log.console = true", *lines]
        if tls:
            server.tls_port = free_port()
            more += [f"listeners.ssl.local = 127.0.0.1:{server.tls_port}", f"ssl_options.cacertfile = {tls.ca}"]
            more += [f"ssl_options.certfile = {tls.server}", f"ssl_options.keyfile = {tls.server_key}"]
            more += ["ssl_options.verify = verify_none", "ssl_options.fail_if_no_peer_cert = false"]
        names, folder = free_port(), server.folder
        server.environment = {
            "RABBITMQ_NODENAME": f"poller{server.port}@localhost",
            "RABBITMQ_MNESIA_BASE": f"{folder}/data",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_PID_FILE": f"{folder}/pid",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "ERL_EPMD_PORT": str(names),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "HOME": str(folder),
        }
        (folder / "plugins").write_text("[].\n", encoding="utf-8")
        # Debian's own script changes to another user, for whom this folder is not; the one behind it does not.
        behind = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
        program = str(behind) if behind.exists() else "{program}"
        _configured(server, "rabbitmq.conf", more, program)
        try:
            yield server
        finally:  # the name server that Erlang starts stays behind, and does not go while a node is there
            server.kill()
            subprocess.run(["epmd", "-port", str(names), "-kill"], capture_output=True, check=False)


@contextmanager
def postgres(*lines: str, tls: Certificates | None = None) -> Iterator[Server]:
    """PostgreSQL with a user ``postgres`` whom it believes without a password, over TCP on 127.0.0.1."""
    programs = sorted(_POSTGRES.glob("*/bin"), key=lambda path: int(path.parent.name.partition(".")[0]))
    program = str(programs[-1] / "postgres") if programs else "postgres"
    hint = "apt-get install postgresql"
    with _prepared(program, 5432, _postgres_answers, hint, bool(lines or tls)) as server:
        if server.command:
            # It does not run as root, and what it owns must not be anybody else's.
            user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
            if user:
                shutil.chown(server.folder, "postgres", "postgres")
            data = server.folder / "data"
            initdb = [*user, str(Path(server.command[0]).with_name("initdb")), "-D", str(data)]
            made = [*initdb, "-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C"]
            subprocess.run(made, check=True, capture_output=True)
            more = [f"port = {server.port}", "listen_addresses = '127.0.0.1'", "unix_socket_directories = ''", *lines]
            if tls:
                _own_key(tls, data, user)
                server.tls_port = server.port
                more += ["ssl = on", "ssl_cert_file = 'server.pem'", "ssl_key_file = 'server.key'"]
            with (data / "postgresql.conf").open("a", encoding="utf-8") as config:
                config.write("\n".join(more) + "\n")
            server.command = (*user, server.command[0], "-D", str(data))
        server.start()
        yield server


def _own_key(tls: Certificates, data: Path, user: Sequence[str]) -> None:
    """Give PostgreSQL a key file that is its own, without which it refuses to start, and its certificate to read."""
    for own in (shutil.copy(tls.server, data / "server.pem"), shutil.copy(tls.server_key, data / "server.key")):
        Path(own).chmod(0o600)
        if user:
            shutil.chown(own, "postgres", "postgres")


@contextmanager
def _prepared(
    program: str, usual: int, answers: Callable[[socket.socket], bool], hint: str, needs_own: bool
) -> Iterator[Server]:
    """Give a server a folder and a port of its own, or find one that runs; what was started ends with the block."""
    path = shutil.which(program)
    if path is None:
        found = Server(usual, answers, hint=hint)
        if needs_own or not found.is_there():
            unable(f"{Path(program).name} is neither installed nor running here: {hint}")
        yield found
        return
    with tempfile.TemporaryDirectory(prefix=f"poller-{Path(program).name}-", ignore_cleanup_errors=True) as folder:
        server = Server(free_port(), answers, (path,), Path(folder), hint=hint)
        try:
            yield server
        finally:
            server.kill()


def _configured(server: Server, name: str, lines: Sequence[str], *command: str) -> None:
    """Write the configuration of a private server and start it."""
    if not server.command:
        return
    config = server.folder / name
    config.write_text("\n".join(lines) + "\n", encoding="utf-8")
    server.command = [each.format(program=server.command[0], config=config) for each in command]
    server.start()


def _family(pid: int) -> list[int]:
    """Return a process and all that it started, as far as the system tells."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
    except OSError:
        children = []
    return [pid, *(each for child in children for each in _family(int(child)))]


def _end(family: Sequence[int]) -> None:
    """Kill processes, and wait until they are gone: PostgreSQL does not start beside a child of its predecessor."""
    with ExitStack() as held:
        ends = []
        for pid in family:
            with suppress(ProcessLookupError):
                ends.append(os.pidfd_open(pid))
                held.callback(os.close, ends[-1])
                os.kill(pid, signal.SIGKILL)
        for end in ends:
            assert select.select([end], [], [], _GONE)[0], "a killed process does not end"


def _redis_answers(line: socket.socket) -> bool:
    line.sendall(b"PING\r\n")
    return line.recv(64).startswith((b"+PONG", b"-NOAUTH"))


def _nats_answers(line: socket.socket) -> bool:
    return line.recv(64).startswith(b"INFO ")


def _mqtt_answers(line: socket.socket) -> bool:
    line.sendall(b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x05\x00\x00\x00")
    return line.recv(1) == b"\x20"


def _amqp_answers(line: socket.socket) -> bool:
    line.sendall(b"AMQP\x00\x00\x09\x01")
    return line.recv(1) == b"\x01"


def _postgres_answers(line: socket.socket) -> bool:
    words = b"\x00\x03\x00\x00user\x00postgres\x00\x00"
    line.sendall((len(words) + 4).to_bytes(4, "big") + words)
    head = line.recv(1024)
    return head.startswith(b"R") or (head.startswith(b"E") and b"57P03" not in head)
