"""What is installed elsewhere is whole: the migrations and the simulator's grammar travel in the wheel."""

import zipfile
from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parent.parent


def test_the_wheel_holds_everything_the_program_reads(tmp_path: Path) -> None:
    """Data files beside the code are easily forgotten."""
    [wheel] = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in (*(ROOT / "migrations").rglob("*.py"), ROOT / "migrations" / "script.py.mako"):
        assert f"salesforce_poller/{path.relative_to(ROOT)}" in names
    for path in (ROOT / "salesforce_poller").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert str(path.relative_to(ROOT)) in names
