"""`checkpoints.toml`: which checkpoints there are. Everything wrong is refused on reading, with file, entry and field.

```toml
[[checkpoint]]
name = "lft"
role = "lft"                    # base, lft, sft or other
base = "base"                   # may be left out when the file has one base
adapter = "demo/lft"            # LoRA; paths are relative to this file
engine = "local"                # or "http://127.0.0.1:8001/v1", or a list of such: replicas that answer alike
```
"""

import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeVar, get_args
from urllib.parse import urlsplit

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from app.engines.tokenizer import TEMPLATES, Template, Tokenizer, compare, load_tokenizer
from app.engines.weight_files import check_adapter, model_shapes
from app.errors import ConfigurationError, NotFoundError

Role = Literal["base", "lft", "sft", "other"]
ROLES: tuple[Role, ...] = get_args(Role)
LOCAL = "local"

T = TypeVar("T", bound=str)

_FIELDS = (
    "name",
    "role",
    "model",
    "adapter",
    "base",
    "revision",
    "engine",
    "served_name",
    "template",
    "tuning_set",
    "tokenizer",
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One entry, complete and checked.

    `model` is a folder, or for an HTTP engine whatever that server calls the weights. `base` is the name of the base
    to compare with (its own for a base). `tokenizer` is the folder to read the tokenizer from. `engine` is "local" or
    the first address; `replicas` are all addresses where there are several.
    """

    name: str
    role: Role
    model: str
    adapter: Path | None
    base: str
    revision: str | None
    engine: str
    served_name: str
    template: Template
    tuning_set: Path | None
    tokenizer: Path
    replicas: tuple[str, ...] = ()

    @property
    def is_local(self) -> bool:
        """Whether the in-process engine runs it."""
        return self.engine == LOCAL

    @property
    def servers(self) -> tuple[str, ...]:
        """The addresses of the servers that answer for it; none for the in-process engine."""
        return () if self.is_local else self.replicas or (self.engine,)


@dataclass(frozen=True, slots=True)
class Registry:
    """The checkpoints of one file, by name, in its order."""

    path: Path
    checkpoints: Mapping[str, Checkpoint]

    def get(self, name: str) -> Checkpoint:
        """Return a checkpoint. Raises NotFoundError listing the known names."""
        if name not in self.checkpoints:
            known = ", ".join(self.checkpoints)
            raise NotFoundError(f"There is no checkpoint {name!r}.", remedy=f"{self.path} knows: {known}.")
        return self.checkpoints[name]

    def base_of(self, name: str) -> str:
        """Return the name of the base a checkpoint is compared with; a base is its own."""
        return self.get(name).base


def load_registry(path: Path) -> Registry:
    """Read and check a registry. Raises ConfigurationError for the first thing wrong in it."""
    entries = _read(path)
    names = _names(path, entries)
    checkpoints: dict[str, Checkpoint] = {}
    tokenizers: dict[Path, Tokenizer] = {}
    # Bases first: the others are checked against them.
    for position in sorted(range(len(entries)), key=lambda n: entries[n].get("role") != "base"):
        with _located(path, position, names[position]):
            checkpoint = _checkpoint(entries[position], path.parent.resolve(), bases=checkpoints, cache=tokenizers)
        checkpoints[checkpoint.name] = checkpoint
    return Registry(path=path, checkpoints=MappingProxyType({name: checkpoints[name] for name in names}))


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise ConfigurationError(
            f"{path} does not exist.", remedy="Run make demo, or name a registry with --checkpoints FILE."
        )
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not TOML: {error}.", remedy="Correct that line.") from error
    entries = content.pop("checkpoint", None)
    if content:
        raise ConfigurationError(
            f"{path}: unknown key {next(iter(content))!r}.", remedy="Only [[checkpoint]] is known."
        )
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise ConfigurationError(f"{path} names no checkpoint.", remedy="Add a [[checkpoint]] entry.")
    return entries


def _names(path: Path, entries: list[dict[str, Any]]) -> list[str]:
    names: list[str] = []
    for position, entry in enumerate(entries):
        name = entry.get("name")
        with _located(path, position, str(name or "")):
            if not isinstance(name, str) or not name.strip():
                raise ConfigurationError("name: it is missing.", remedy="Give every checkpoint a name.")
            if name in names:
                raise ConfigurationError(
                    f"name: entry {names.index(name) + 1} has the same name.", remedy="Names must differ; rename one."
                )
        names.append(name)
    return names


@contextmanager
def _located(path: Path, position: int, name: str) -> Iterator[None]:
    """Put file and entry in front of what went wrong inside."""
    try:
        yield
    except ConfigurationError as error:
        where = f'{path}: [[checkpoint]] {position + 1}, "{name}"'
        raise ConfigurationError(f"{where}: {error.message}", remedy=error.remedy) from error


def _checkpoint(
    entry: Mapping[str, Any], folder: Path, *, bases: Mapping[str, Checkpoint], cache: dict[Path, Tokenizer]
) -> Checkpoint:
    _check_fields(entry)
    role = _choice(entry, "role", ROLES)
    base = _base(entry, role, bases)
    engine, *others = engines = _engines(entry, base)
    model = _model(entry, folder, base=base, engine=engine)
    adapter = _adapter(entry, folder, base=base, model=model, engine=engine)
    source = _tokenizer_folder(entry, folder, model=model, base=base)
    tokenizer = _tokenizer(source, cache)
    if base is not None and (difference := compare(_tokenizer(base.tokenizer, cache), tokenizer)):
        raise ConfigurationError(
            f"tokenizer: it is not the one of {base.name!r}: {difference}.",
            remedy="Shift compares ids, so base and tuned need one tokenizer; only extra ids are fine.",
        )
    return Checkpoint(
        name=entry["name"],
        role=role,
        model=model,
        adapter=adapter,
        base=entry["name"] if base is None else base.name,
        revision=entry.get("revision"),
        engine=engine,
        served_name=entry.get("served_name", entry["name"]),
        template=_template(entry, tokenizer),
        tuning_set=_optional_path(entry, "tuning_set", folder),
        tokenizer=source,
        replicas=tuple(engines) if others else (),
    )


def _check_fields(entry: Mapping[str, Any]) -> None:
    for field, value in entry.items():
        if field not in _FIELDS:
            raise ConfigurationError(f"{field}: unknown key.", remedy=f"Known keys: {', '.join(_FIELDS)}.")
        if field == "engine" and isinstance(value, list):
            continue
        if not isinstance(value, str) or not value:
            raise ConfigurationError(f"{field}: it must be text, not {value!r}.", remedy="Put the value in quotes.")


def _choice(entry: Mapping[str, Any], field: str, known: tuple[T, ...]) -> T:
    value = entry.get(field)
    for choice in known:
        if value == choice:
            return choice
    said = "it is missing" if value is None else f"{value!r} is unknown"
    raise ConfigurationError(f"{field}: {said}.", remedy=f"Use one of {', '.join(known)}.")


def _engines(entry: Mapping[str, Any], base: Checkpoint | None) -> list[str]:
    """Return "local" alone or the addresses; an adapter that names neither runs where its base does."""
    named = entry.get("engine")
    if named is None:
        return list(base.servers or (LOCAL,)) if base is not None and "adapter" in entry else [LOCAL]
    if named == LOCAL:
        return [LOCAL]
    addresses = [_address(one) for one in (named if isinstance(named, list) else [named])]
    if not addresses:
        raise ConfigurationError("engine: the list is empty.", remedy='Name at least one address, or use "local".')
    for place, address in enumerate(addresses):
        if address in addresses[:place]:
            raise ConfigurationError(
                f"engine: {address!r} is listed twice.", remedy="List each replica once; every one is a server."
            )
    return addresses


def _address(named: Any) -> str:
    try:
        address = urlsplit(named if isinstance(named, str) else "")
    except ValueError:  # an open bracket
        address = urlsplit("")
    if address.scheme not in {"http", "https"} or not address.hostname or not named.rstrip("/").endswith("/v1"):
        raise ConfigurationError(
            f"engine: {named!r} is neither local nor an address.",
            remedy='Use "local" or an address ending in /v1, such as "http://127.0.0.1:8001/v1", or a list of those.',
        )
    return str(named).rstrip("/")


def _base(entry: Mapping[str, Any], role: Role, bases: Mapping[str, Checkpoint]) -> Checkpoint | None:
    if role == "base":
        if "base" in entry:
            raise ConfigurationError("base: a base has none.", remedy="Remove the key, or correct the role.")
        return None
    known = [name for name, checkpoint in bases.items() if checkpoint.role == "base"]
    listed = f"Bases in this file: {', '.join(known) or 'none; add one'}."
    if "base" in entry:
        if entry["base"] not in known:
            raise ConfigurationError(f"base: {entry['base']!r} is not a checkpoint of role base.", remedy=listed)
        return bases[entry["base"]]
    if "adapter" in entry:
        raise ConfigurationError("base: an adapter needs one.", remedy=f"Name the base it was made for. {listed}")
    if len(known) != 1:
        raise ConfigurationError("base: it is missing, and the file does not have exactly one.", remedy=listed)
    return bases[known[0]]


def _model(entry: Mapping[str, Any], folder: Path, *, base: Checkpoint | None, engine: str) -> str:
    if "adapter" in entry and base is not None and "model" not in entry:
        return base.model
    if "model" not in entry:
        raise ConfigurationError("model: it is missing.", remedy="Name the folder of the weights.")
    found = _find_model(entry["model"], folder, entry.get("revision"))
    if engine != LOCAL:
        return str(found or entry["model"])
    if found is None:
        raise ConfigurationError(
            f"model: {folder / entry['model']} does not exist.",
            remedy="Correct the path, or, for a model of a hub, download it first.",
        )
    with _field("model"):
        model_shapes(found)
    return str(found)


def _find_model(model: str, folder: Path, revision: str | None) -> Path | None:
    """Return the folder of a path or of a hub id already downloaded; nothing is fetched from here."""
    path = (folder / Path(model).expanduser()).resolve()
    if path.is_dir():
        return path
    try:
        return Path(snapshot_download(model, revision=revision, local_files_only=True))
    except (HFValidationError, LocalEntryNotFoundError, HfHubHTTPError):
        return None


def _adapter(
    entry: Mapping[str, Any], folder: Path, *, base: Checkpoint | None, model: str, engine: str
) -> Path | None:
    adapter = _optional_path(entry, "adapter", folder)
    if adapter is None:
        return None
    if base is None:
        raise ConfigurationError("adapter: a base has none.", remedy="Remove the key, or correct the role.")
    if model != base.model:
        raise ConfigurationError(
            f"model: an adapter runs on its base's weights, {base.model}.", remedy="Remove the key model."
        )
    if Path(base.model).is_dir():
        with _field("adapter"):
            facts = check_adapter(adapter, Path(base.model), base_name=base.model)
        if engine != LOCAL and "lm_head" in facts.targets:
            raise ConfigurationError(
                "adapter: it changes lm_head, which a vLLM server drops without a word.",
                remedy='Use engine = "local", or merge the adapter and register the result.',
            )
    return adapter


def _optional_path(entry: Mapping[str, Any], field: str, folder: Path) -> Path | None:
    if field not in entry:
        return None
    path = (folder / Path(entry[field]).expanduser()).resolve()
    if not path.exists():
        raise ConfigurationError(f"{field}: {path} does not exist.", remedy=f"Correct the path; it starts at {folder}.")
    return path


def _tokenizer_folder(entry: Mapping[str, Any], folder: Path, *, model: str, base: Checkpoint | None) -> Path:
    named = _optional_path(entry, "tokenizer", folder)
    if named is not None:
        return named
    if Path(model).is_dir():
        return Path(model)
    if "adapter" in entry and base is not None:
        return base.tokenizer
    raise ConfigurationError(
        f"tokenizer: {model!r} is not a folder here, so its tokenizer is unknown.",
        remedy="Name a folder with tokenizer.json and tokenizer_config.json.",
    )


def _tokenizer(folder: Path, cache: dict[Path, Tokenizer]) -> Tokenizer:
    if folder not in cache:
        with _field("tokenizer"):
            cache[folder] = load_tokenizer(folder)
    return cache[folder]


def _template(entry: Mapping[str, Any], tokenizer: Tokenizer) -> Template:
    if "template" not in entry:
        return tokenizer.default_template
    template = _choice(entry, "template", TEMPLATES)
    if template == "chat" and tokenizer.default_template != "chat":
        raise ConfigurationError(
            f"template: {tokenizer.folder} has no chat template.", remedy='Use "alpaca" or "none", or add the template.'
        )
    return template


@contextmanager
def _field(field: str) -> Iterator[None]:
    try:
        yield
    except ConfigurationError as error:
        raise ConfigurationError(f"{field}: {error.message}", remedy=error.remedy) from error
