"""docker-compose.yml as Compose reads it: variables filled in, the services of chosen profiles kept."""

import re

import yaml

from app.settings import ROOT

FILE = ROOT / "docker-compose.yml"
PROFILES = ("gpu", "cpu-vllm", "postgres", "proxy")
_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::-(?P<default>[^}]*))?\}")


def filled(value, variables):
    """Replace ${NAME:-default} in every string."""
    if isinstance(value, str):
        return _VARIABLE.sub(lambda m: variables.get(m["name"]) or m["default"] or "", value)
    if isinstance(value, list):
        return [filled(entry, variables) for entry in value]
    if isinstance(value, dict):
        return {key: filled(entry, variables) for key, entry in value.items()}
    return value


def resolved(*profiles, **variables):
    """The project with these profiles, whatever else is declared left as it is."""
    project = filled(yaml.safe_load(FILE.read_text()), variables)
    kept = {
        name: service
        for name, service in project["services"].items()
        if not service.get("profiles") or set(service["profiles"]) & set(profiles)
    }
    return project | {"services": kept}
