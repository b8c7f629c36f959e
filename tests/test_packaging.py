"""The five root folders are the sub-packages of ``releve``, in the checkout and in the wheel."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

import releve

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("domain", "projections", "api", "fhir", "security")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETUPTOOLS = PYPROJECT["tool"]["setuptools"]


def run(*words: str | Path, cwd: Path = ROOT) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "RELEVE_"))}
    done = subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def folders_with_code() -> set[str]:
    return {
        "releve." + ".".join(path.parent.relative_to(ROOT).parts)
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("__init__.py")
    }


def test_every_sub_package_is_listed_for_the_wheel() -> None:
    assert folders_with_code() == set(SETUPTOOLS["packages"]) - {"releve"}


def test_each_folder_is_mapped_and_linked() -> None:
    for folder in FOLDERS:
        assert SETUPTOOLS["package-dir"][f"releve.{folder}"] == folder
        assert (ROOT / "src" / "releve" / folder).resolve() == ROOT / folder


def test_what_is_imported_is_this_checkout() -> None:
    assert Path(releve.__file__).resolve() == ROOT / "src" / "releve" / "__init__.py"


def test_fhir_resources_stays_importable_from_the_root() -> None:
    run(sys.executable, "-c", "import fhir.resources.R4B.patient, releve.fhir")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("wheel")
    source = tmp_path_factory.mktemp("source")
    for name in run("git", "ls-files", "-co", "--exclude-standard", "-z").split("\0"):
        path = ROOT / name
        if name and path.exists() and not path.is_dir():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, source / name, follow_symlinks=False)
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", target, source)
    (built,) = target.glob("*.whl")
    return built


@pytest.mark.slow
def test_the_wheel_holds_every_module_and_every_data_file(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    wanted = {
        f"releve/{path.relative_to(ROOT)}"
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert wanted - inside == set()
    assert "releve/py.typed" in inside


@pytest.mark.slow
def test_the_wheel_runs_where_nothing_else_is(wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "empty environment"
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    locked = ROOT / "requirements" / "runtime.txt"
    run(python, "-m", "pip", "install", "-q", "--require-hashes", "-r", locked, cwd=tmp_path)
    run(python, "-m", "pip", "install", "-q", "--no-deps", wheel, cwd=tmp_path)
    shown = run(home / "bin" / "releve", "--help", cwd=tmp_path)
    assert "briefing" in shown
    run(python, "-c", "import fhir.resources.R4B.patient, releve.fhir", cwd=tmp_path)
    run(python, "-m", "pip", "uninstall", "-q", "-y", "releve", cwd=tmp_path)
    run(python, "-c", "import fhir.resources.R4B.patient", cwd=tmp_path)
