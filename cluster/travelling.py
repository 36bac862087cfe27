"""The configuration, as it travels to the machines of a cluster: in messages and memory alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from settings import CONFIG_VARIABLE, Loaded, SettingsError
from settings.exposed import secret_variables

_OURS, _OF_THE_STORE = "HILUM_", "AWS_"
_OF_THIS_PROCESS = frozenset({CONFIG_VARIABLE, "HILUM_ROLE", "HILUM_SUPERVISOR"})


@dataclass(frozen=True, slots=True)
class Travelling:
    """The text of the configuration file and the variables beside it, as they are here.

    They stay apart, because what the console changes lies between the two.
    """

    file: str = field(repr=False)
    variables: Mapping[str, str] = field(repr=False)


def pack(loaded: Loaded, environment: Mapping[str, str]) -> Travelling:
    """Pack what `loaded` was made of, with the variables that its secrets stand in.

    `environment` holds what was given on the command line, as for child processes. Files that the
    configuration names do not travel: they are to be at the same place everywhere.

    Raises:
        SettingsError: the configuration file cannot be read (any more).
    """
    secrets = set(secret_variables(loaded.settings))
    variables = {
        name: value
        for name, value in environment.items()
        if (name.startswith((_OURS, _OF_THE_STORE)) or name in secrets)
        and name not in _OF_THIS_PROCESS
    }
    return Travelling(_text(loaded), variables)


def _text(loaded: Loaded) -> str:
    if loaded.config_file is None:
        return ""
    try:
        return loaded.config_file.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{loaded.config_file}: cannot be read: {error.strerror}") from None
