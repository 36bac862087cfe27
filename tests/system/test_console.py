"""`hilum console` as it is started and opened: the first password, the role, what doctor says."""

from __future__ import annotations

import re
from pathlib import Path

import httpx

from tests import peers
from tests.peers import wait_until


def settings_of(folder: Path, **values: str) -> dict[str, str]:
    return {"HILUM_DATA_DIR": str(folder / "data"), "HILUM_AUDIT__ENABLED": "true", **values}


def field(page: str) -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', page)
    assert found, page
    return found[1]


def test_the_first_password_is_printed_once_and_opens_the_console(tmp_path: Path) -> None:
    port = peers.free_port()
    env = settings_of(tmp_path, HILUM_CONSOLE__PORT=str(port))
    base = f"http://127.0.0.1:{port}"
    with peers.hilum_process(["console"], env, folder=tmp_path) as process:
        wait_until(lambda: f"The console is at {base}." in process.log(), "the console")
        shown = re.findall(r"user admin, password ([a-z0-9-]+)", process.log())
        assert len(shown) == 1
        with httpx.Client(base_url=base, trust_env=False) as client:
            assert client.get("/health").json()["status"] == "ok"
            assert client.get("/").headers["Location"] == "/login"
            form = {"name": "admin", "password": shown[0]}
            form["csrf"] = field(client.get("/login").text)
            assert client.post("/login", data=form).headers["Location"] == "/password"
            change = {
                "present": shown[0],
                "new": "a wholly other one",
                "again": "a wholly other one",
            }
            change["csrf"] = field(client.get("/password").text)
            assert client.post("/password", data=change).headers["Location"] == "/"
            assert "Worklist" in client.get("/").text
    with peers.hilum_process(["console"], env, folder=tmp_path) as process:
        wait_until(lambda: f"The console is at {base}." in process.log(), "the console")
        assert "password" not in process.log()


def test_users_are_made_and_removed_on_the_terminal(tmp_path: Path) -> None:
    env = settings_of(tmp_path)

    def hilum(*args: str) -> tuple[int, str]:
        done = peers.run_hilum(["user", *args], env, folder=tmp_path)
        return done.returncode, done.stdout + done.stderr

    (tmp_path / "password").write_text("a wholly own one\n")
    (tmp_path / "short").write_text("short\n")
    code, said = hilum("add", "Ann", "--role", "admin")
    assert code == 0
    assert re.search(r"ann is admin now\..*: [a-z0-9]{4}(-[a-z0-9]{4}){3}", said)
    assert hilum("add", "bob", "--password-file", "password") == (0, "bob is reader now.\n")
    assert "there is a user bob already" in hilum("add", "BOB")[1]
    assert "at least 12 characters" in hilum("password", "bob", "--password-file", "short")[1]
    assert hilum("role", "bob", "operator")[0] == 0
    listed = hilum("list")[1]
    assert re.search(r"ann .*admin.*first password", listed)
    assert re.search(r"bob .*operator.* password", listed)
    for last in (("remove", "ann"), ("role", "ann", "reader")):
        code, said = hilum(*last)
        assert (code, "ann is the only administrator" in said) == (2, True)
    assert hilum("remove", "bob")[0] == 0
    assert "there is no user bob" in hilum("remove", "bob")[1]
