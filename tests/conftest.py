"""How thoroughly laws are tried: a little at every run here, a lot in CI. And where the fixtures for all tests are.

``HYPOTHESIS_PROFILE=ci`` (or ``CI=true``) tries more, and prints a blob with which a failure can be tried again.
"""

import logging
import os
from collections.abc import Iterator

import pytest
import stores
import structlog
from hypothesis import HealthCheck, settings

#: Servers for whoever asks for one.
pytest_plugins = ["server_fixtures"]

# Examples that talk to a database take as long as they take; a slow machine is no defect of ours.
_patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("dev", _patient, max_examples=60)
settings.register_profile("ci", _patient, max_examples=600, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what is marked ``both_databases`` on both."""
    stores.parametrize(metafunc)


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Commands set up logging for the whole process; a test that runs one must not change what others hear."""
    root, processors = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.configure(**processors)
    root.handlers[:] = handlers
    root.setLevel(level)
