"""The promises of docker-compose.yml, its GPU override and the Dockerfile, without Docker."""

from __future__ import annotations

import json
import re
import tomllib
from fnmatch import fnmatch
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from pydantic import SecretStr

import settings
from settings.secrets import file_of
from tests.peers import ROOT, run_hilum

ROLES = {"listener": "listen", "worker": "work", "deliver": "deliver", "scheduler": "schedule"}

Service = dict[str, Any]


class _Loader(yaml.SafeLoader):
    """Knows Compose's own tag for what an override takes away."""


_Loader.add_constructor("!reset", lambda loader, node: loader.construct_sequence(node))


def load(file: str) -> dict[str, Any]:
    """Read a compose file with its merge keys resolved."""
    return cast(dict[str, Any], yaml.load((ROOT / file).read_text(encoding="utf-8"), _Loader))


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The compose file."""
    return load("docker-compose.yml")


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, Service]:
    """Its services."""
    return cast(dict[str, Service], compose["services"])


@pytest.fixture(scope="module")
def dockerfile() -> list[list[str]]:
    """The Dockerfile's instructions, each split into words."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    return [line.split() for line in text.splitlines() if line and not line.startswith("#")]


def instructions(dockerfile: list[list[str]], name: str) -> list[list[str]]:
    """Return the words after each instruction of this name."""
    return [words[1:] for words in dockerfile if words[0] == name]


def interpolated(value: str) -> str:
    """Put in the default of a variable, or SECRET where it must be set (compose's own rules)."""
    return re.sub(r"\$\{\w+(?::-([^}]*)|:\?[^}]*)?\}", lambda found: found[1] or "SECRET", value)


# --- docker-compose.yml ----------------------------------------------------------------------


def test_every_role_is_a_service_of_the_same_image(services: dict[str, Service]) -> None:
    assert {name: services[name]["command"] for name in ROLES} == {
        name: [command] for name, command in ROLES.items()
    }
    assert len({services[name]["image"] for name in ROLES}) == 1
    assert all(services[name]["build"]["context"] == "." for name in ROLES)
    assert set(services) - set(ROLES) == {"database", "orthanc", "dicomweb", "console"}


def test_every_service_has_a_health_check_and_restarts(services: dict[str, Service]) -> None:
    for name, service in services.items():
        check = service["healthcheck"]
        assert check["test"][0] == "CMD", f"{name}: a check without a shell"
        assert {"interval", "timeout", "retries", "start_period"} <= set(check), name
        assert service["restart"] == "unless-stopped", name


def test_nothing_starts_before_what_it_needs_is_healthy(services: dict[str, Service]) -> None:
    for name in ROLES:
        needs = services[name]["depends_on"]
        assert all(need["condition"] == "service_healthy" for need in needs.values())
        assert set(needs) == ({"database"} if name == "listener" else {"database", "listener"})


def test_only_named_volumes_are_used(compose: dict[str, Any]) -> None:
    named = set(compose["volumes"])
    used = set()
    for name, service in compose["services"].items():
        for volume in service["volumes"]:
            source, _, target = volume.partition(":")
            assert re.fullmatch(r"[a-z][a-z-]*", source), f"{name}: {volume} is no named volume"
            assert target.startswith("/")
            used.add(source)
    assert used == named


def test_no_image_is_a_moving_target(
    services: dict[str, Service], dockerfile: list[list[str]]
) -> None:
    images = [service["image"] for service in services.values()]
    images += [service["image"] for service in load("docker-compose.gpu.yml")["services"].values()]
    images += [words[0] for words in instructions(dockerfile, "FROM")]
    for image in images:
        assert re.search(r":\d+\.\d+", image), f"{image} names no version"
        assert "latest" not in image


def test_no_secret_stands_in_the_file(services: dict[str, Service]) -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    for variable in ("POSTGRES_PASSWORD", "ORTHANC_PASSWORD"):
        assert f"${{{variable}:?" in text, f"{variable} must be asked for where it is not set"
    for service in services.values():
        for key, value in service["environment"].items():
            assert not re.search(r"://[^/@]*:[^/@]*@", value), f"{key} holds a password"
            if re.search(r"PASSWORD|USERS|TOKEN|SECRET", key):
                assert "SECRET" in interpolated(value), f"{key} holds a value of its own"


def test_the_settings_are_real_and_join_the_services(
    services: dict[str, Service], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    variables = {
        key: interpolated(value)
        for key, value in services["worker"]["environment"].items()
        if key.startswith("HILUM_")
    }
    loaded = settings.load(environ=variables)
    assert set(loaded.origins.values()) == set(variables), "a variable that sets nothing"
    (destination,) = loaded.settings.destinations
    assert destination.host in services
    orthanc = services[destination.host]
    assert orthanc["environment"]["ORTHANC__DICOM_AET"] == destination.ae_title
    assert destination.port == 4242, "the DICOM port of Orthanc's image"
    database = re.fullmatch(
        r"postgresql\+psycopg://(\w+)@(\w+):5432/(\w+)", variables["HILUM_DATABASE_URL"]
    )
    assert database
    user, host, name = database.groups()
    environment = services[host]["environment"]
    assert (environment["POSTGRES_USER"], environment["POSTGRES_DB"]) == (user, name)
    assert services["worker"]["environment"]["PGPASSWORD"] == environment["POSTGRES_PASSWORD"]
    for role in ROLES:
        assert services[role]["environment"] == services["worker"]["environment"]


def test_only_where_films_come_in_is_open_to_the_network(services: dict[str, Service]) -> None:
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert published == {
        "listener": ["11112:11112"],
        "dicomweb": ["8081:8081"],
        "console": ["127.0.0.1:8080:8080"],
        "orthanc": ["127.0.0.1:8042:8042"],
    }
    assert settings.Settings().listener.port == 11112
    assert settings.Settings().dicomweb.port == 8081
    assert settings.Settings().console.port == 8080


def test_stow_rs_starts_only_when_asked_for_and_only_with_a_token(
    services: dict[str, Service], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    web, worker = services["dicomweb"], services["worker"]
    assert (web["profiles"], web["command"]) == (["dicomweb"], ["dicomweb"])
    assert (web["image"], web["depends_on"]) == (worker["image"], worker["depends_on"])
    variables = {
        key: interpolated(value)
        for key, value in web["environment"].items()
        if key.startswith("HILUM_")
    }
    assert worker["environment"].items() <= web["environment"].items()
    with pytest.raises(settings.SettingsError, match="a token is needed"):
        settings.load(environ={**variables, "HILUM_DICOMWEB__TOKEN": ""})
    loaded = settings.load(environ=variables).settings
    assert (loaded.dicomweb.host, loaded.dicomweb.is_guarded) == ("0.0.0.0", True)


def test_the_console_starts_only_when_asked_for_and_answers_where_it_is_published(
    services: dict[str, Service], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    web, worker = services["console"], services["worker"]
    assert (web["profiles"], web["command"]) == (["console"], ["console"])
    assert (web["image"], web["depends_on"]) == (worker["image"], worker["depends_on"])
    assert worker["environment"].items() <= web["environment"].items()
    variables = {
        key: interpolated(value)
        for key, value in web["environment"].items()
        if key.startswith("HILUM_")
    }
    assert settings.load(environ=variables).settings.console.host == "0.0.0.0"


def test_the_cluster_puts_haproxy_in_front_of_listeners_that_believe_it_alone(
    services: dict[str, Service], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    override = load("docker-compose.cluster.yml")
    over = override["services"]
    assert set(over) == {"haproxy", "listener", "worker"}
    assert over["listener"]["ports"] == [], "HAProxy takes the port"
    assert over["haproxy"]["ports"] == services["listener"]["ports"]
    assert all(over[name]["deploy"]["replicas"] >= 2 for name in ("listener", "worker"))

    loaded = settings.load(environ=over["listener"]["environment"]).settings
    address = over["haproxy"]["networks"]["default"]["ipv4_address"]
    assert loaded.listener.proxy_protocol_from == (address,)
    (pool,) = override["networks"]["default"]["ipam"]["config"]
    assert ip_address(address) in ip_network(pool["subnet"])
    assert ip_address(address) not in ip_network(pool["ip_range"]), "another one may get it"

    (config,) = over["haproxy"]["configs"]
    file = ROOT / override["configs"][config["source"]]["file"]
    text = file.read_text(encoding="utf-8")
    assert f"listener:{settings.Settings().listener.port} check" in text
    assert f"bind :{settings.Settings().listener.port}" in text
    assert re.search(r":\d+\.\d+\.\d+-", over["haproxy"]["image"])


def test_in_a_bucket_every_service_of_hilum_uses_it_and_waits_for_it(
    services: dict[str, Service], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    override = load("docker-compose.s3.yml")
    over = override["services"]
    ours = {name for name, service in services.items() if "build" in service}
    assert set(over) == ours | {"s3"}
    (image,) = {over[name]["image"] for name in ours}
    taken = {service["image"] for service in services.values()}
    taken |= {each["image"] for each in load("docker-compose.gpu.yml")["services"].values()}
    assert image not in taken, "it would replace another image"
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    server, store = over["s3"], over["s3"]["environment"]
    for name in ours:
        given = over[name]["build"]["args"]["EXTRAS"].split(",")
        assert "s3" in given
        assert set(given) <= set(extras["optional-dependencies"])
        assert over[name]["depends_on"] == {"s3": {"condition": "service_healthy"}}
        own = over[name]["environment"]
        variables = {
            key: interpolated(value)
            for key, value in (services[name]["environment"] | own).items()
            if key.startswith("HILUM_")
        }
        loaded = settings.load(environ=variables)
        assert set(own) <= set(loaded.origins.values()), "a variable that sets nothing"
        storage = loaded.settings.storage
        assert loaded.settings.storage_url == f"s3://{store['GARAGE_DEFAULT_BUCKET']}"
        assert own["HILUM_STORAGE__ACCESS_KEY"] == store["GARAGE_DEFAULT_ACCESS_KEY"]
        config = tomllib.loads((ROOT / override["configs"]["garage"]["file"]).read_text())
        port = config["s3_api"]["api_bind_addr"].rpartition(":")[2]
        assert storage.endpoint_url == f"http://s3:{port}"
        assert storage.region == config["s3_api"]["s3_region"]
    assert server["configs"] == [{"source": "garage", "target": "/etc/garage.toml"}]


def test_the_buckets_secret_key_comes_to_hilum_as_a_file() -> None:
    override = load("docker-compose.s3.yml")
    over = override["services"]
    (secret,) = override["secrets"]
    asked = over["s3"]["environment"]["GARAGE_DEFAULT_SECRET_KEY"]
    assert asked.startswith(f"${{{override['secrets'][secret]['environment']}:?")
    for name in set(over) - {"s3"}:
        assert over[name]["secrets"] == [secret]
        key = over[name]["environment"]["HILUM_STORAGE__SECRET_KEY"]
        assert file_of(SecretStr(key)) == Path("/run/secrets") / secret
    for key, value in over["s3"]["environment"].items():
        if re.search(r"KEY|SECRET", key):
            assert interpolated(value) == "SECRET", f"{key} holds a value of its own"


def test_the_store_makes_its_bucket_and_has_on_disk_what_it_acknowledged() -> None:
    override = load("docker-compose.s3.yml")
    server = override["services"]["s3"]
    assert re.search(r":v\d+\.\d+\.\d+$", server["image"]), "no moving target"
    assert "ports" not in server
    assert "--default-bucket" in server["command"]
    check = server["healthcheck"]["test"]
    bucket = server["environment"]["GARAGE_DEFAULT_BUCKET"]
    assert check == ["CMD", "/garage", "bucket", "info", bucket]
    config = tomllib.loads((ROOT / override["configs"]["garage"]["file"]).read_text())
    assert config["data_fsync"] is config["metadata_fsync"] is True
    (volume,) = server["volumes"]
    source, _, target = volume.partition(":")
    assert source in override["volumes"]
    assert config["data_dir"].startswith(f"{target}/")
    assert config["metadata_dir"].startswith(f"{target}/")
    assert not any("secret" in key or "token" in key for key in config), "it stands in the file"


def test_the_override_gives_the_worker_a_gpu_and_changes_nothing_else(
    services: dict[str, Service],
) -> None:
    override = load("docker-compose.gpu.yml")
    assert set(override) == {"services"}
    assert set(override["services"]) == {"worker"}
    worker = override["services"]["worker"]
    assert set(worker) == {"image", "build", "deploy"}
    (device,) = worker["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
    assert worker["image"] != services["worker"]["image"], "it would replace the image of the CPU"
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(worker["build"]["args"]["EXTRAS"].split(",")) <= set(extras["optional-dependencies"])


# --- Dockerfile ------------------------------------------------------------------------------


def test_the_image_holds_every_room_and_no_development_tools(dockerfile: list[list[str]]) -> None:
    copied = {source for words in instructions(dockerfile, "COPY") for source in words[:-1]}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    patterns = project["packages"]["find"]["include"]
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    installed = {name for name in packages if any(fnmatch(name, p) for p in patterns)}
    modules = {f"{module}.py" for module in project["py-modules"]}
    assert installed | modules <= copied
    assert not {"tests", "bench", "."} & copied
    (extras,) = [words[0] for words in instructions(dockerfile, "ARG")]
    assert extras == "EXTRAS=postgres"
    (install,) = [words for words in instructions(dockerfile, "RUN") if "-c" in words]
    assert install[-3:] == ["-c", "constraints.txt", '".[${EXTRAS}]"']


def test_what_is_copied_passes_the_ignore_file(dockerfile: list[list[str]]) -> None:
    first, *rules = (ROOT / ".dockerignore").read_text().split()
    assert first == "*"
    let_in = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    sources = {
        source
        for words in instructions(dockerfile, "COPY")
        if not words[0].startswith("--from")
        for source in words[:-1]
    }
    assert sources == let_in
    assert all((ROOT / source).exists() for source in sources)


def test_the_image_runs_as_a_user_that_owns_its_data(dockerfile: list[list[str]]) -> None:
    (user,) = instructions(dockerfile, "USER")[0]
    assert user.isdigit()
    assert int(user) != 0
    text = " ".join(word for words in dockerfile for word in words)
    assert f"useradd --system --uid {user}" in text
    folder = "/var/lib/hilum"
    assert instructions(dockerfile, "VOLUME") == [[folder]]
    assert f"install -d -o hilum -g hilum -m 0700 {folder}" in text
    assert f"HILUM_DATA_DIR={folder}" in text
    assert instructions(dockerfile, "HEALTHCHECK")
    assert instructions(dockerfile, "ENTRYPOINT") == [['["hilum"]']]


def test_every_hilum_command_that_is_called_exists(
    services: dict[str, Service], dockerfile: list[list[str]], tmp_path: Path
) -> None:
    check = " ".join(instructions(dockerfile, "HEALTHCHECK")[0]).partition("CMD ")[2]
    calls = [json.loads(check)[1:], json.loads(instructions(dockerfile, "CMD")[-1][0])]
    calls += [services[name]["command"] for name in ROLES]
    calls += [services[name]["healthcheck"]["test"][2:] for name in ROLES]
    for call in {tuple(call) for call in calls}:
        shown = run_hilum([call[0], "--help"], folder=tmp_path)
        assert shown.returncode == 0, shown.stderr
        for option in [word for word in call if word.startswith("--")]:
            assert option in shown.stdout, f"hilum {call[0]} knows no {option}"
