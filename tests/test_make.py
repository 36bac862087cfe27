"""What `make` says where the machine lacks something, and what it leaves out the second time."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.peers import ROOT, require

Project = Path


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """The Makefile with what it looks at, and a PATH on which no Python lies."""
    require("make")
    folder = tmp_path / "project"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("sh", "make", "touch", "mkdir", "echo"):
        (tools / tool).symlink_to(str(shutil.which(tool)))
    return folder


def python(project: Project, name: str, *, version: str, venv: bool) -> None:
    """Put a Python of this version on the PATH; with `venv` it can make a virtual environment."""
    makes = (
        'mkdir -p "$3/bin"; printf "#!/bin/sh\\necho PIP \\$*\\n" >"$3/bin/python"\n'
        'printf "#!/bin/sh\\necho HILUM \\$*\\n" >"$3/bin/hilum"; /bin/chmod +x "$3"/bin/*'
    )
    file = project.parent / "bin" / name
    file.write_text(
        "#!/bin/sh\n"
        f'case "$*" in *version_info*) echo {version};;\n'
        f'*"import ensurepip"*) exit {0 if venv else 1};;\n'
        f'"-m venv "*) {makes};; *) exit 1;; esac\n'
    )
    file.chmod(0o755)


def make(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make with both outputs as one text, as a person sees it."""
    path = str(project.parent / "bin")
    return subprocess.run(
        [os.path.join(path, "make"), *arguments],  # noqa: PTH118 - a symlink, not its target
        cwd=project,
        env={"PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )


def first_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode != 0, done.stdout
    return done.stdout.splitlines()[0]


def test_without_python_the_first_line_says_which_is_needed_and_how_to_get_it(
    project: Project,
) -> None:
    line = first_line(make(project, "run"))
    assert "Python 3.11, 3.12 or 3.13 is needed, found: none" in line
    assert "apt install" in line
    assert "make PYTHON=" in line


def test_a_python_too_old_or_too_new_is_named(project: Project) -> None:
    python(project, "python3", version="3.9", venv=True)
    assert "is needed, found: 3.9." in first_line(make(project, "run"))
    python(project, "python3", version="3.14", venv=True)
    assert "is needed, found: 3.14." in first_line(make(project, "test"))


def test_a_missing_venv_module_is_named_with_the_package_that_has_it(project: Project) -> None:
    python(project, "python3", version="3.12", venv=False)
    line = first_line(make(project, "run"))
    assert line.startswith("Python 3.12 has no venv module")
    assert "apt install python3.12-venv" in line


def test_the_first_python_that_fits_is_taken_and_the_second_start_installs_nothing(
    project: Project,
) -> None:
    python(project, "python3.13", version="3.13", venv=False)
    python(project, "python3.12", version="3.12", venv=True)
    python(project, "python3", version="3.9", venv=True)
    done = make(project, "run")
    assert done.returncode == 0, done.stdout
    assert "PIP -m pip install" in done.stdout
    assert "-c constraints.txt --editable ." in done.stdout
    assert done.stdout.splitlines()[-1] == "HILUM demo"

    again = make(project, "run", "FILMS=/a folder/of films")
    assert again.stdout.splitlines() == ["HILUM demo --films /a folder/of films"]


def test_changed_requirements_are_installed_at_the_next_start(project: Project) -> None:
    python(project, "python3", version="3.11", venv=True)
    assert "PIP" in make(project, "run").stdout
    stamp = project / ".venv" / ".installed"
    for name in ("constraints.txt", "pyproject.toml"):
        for file in (stamp, project / ".venv" / "bin" / "python", *project.glob("*.*")):
            os.utime(file, (1000, 1000))
        assert "PIP" not in make(project, "run").stdout
        os.utime(project / name, (2000, 2000))
        assert "PIP" in make(project, "run").stdout, name
