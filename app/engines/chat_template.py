"""Render a tokenizer's own chat template, exactly as transformers would, without importing transformers.

Templates are programs from a model folder, so they run in Jinja's immutable sandbox.
"""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from app.errors import ConfigurationError

Render = Callable[[str], str]


class _GenerationBlock(Extension):
    """Accept `{% generation %}`, which marks text for training masks and changes nothing in the text."""

    tags = {"generation"}  # noqa: RUF012 - the base class declares it per instance

    def parse(self, parser: jinja2.parser.Parser) -> jinja2.nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.Scope(body, lineno=line)


def _refuse(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _tojson(value: object, *, ensure_ascii: bool = False, indent: int | None = None, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, **options)


def _environment() -> ImmutableSandboxedEnvironment:
    # Prompts are not HTML: escaping would change what the model reads.
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationBlock, loopcontrols]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _refuse
    # Local time without a zone is what transformers gives templates that print a date.
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)  # noqa: DTZ005
    return environment


def find_template(folder: Path, config: Mapping[str, Any]) -> str | None:
    """Return the source of a tokenizer's chat template: the file beside it first, then its configuration."""
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    source = config.get("chat_template")
    if isinstance(source, list):
        named = {entry.get("name"): entry.get("template") for entry in source}
        source = named.get("default")
    return source if isinstance(source, str) else None


def compile_template(source: str, variables: Mapping[str, str], *, where: Path) -> Render:
    """Return a function from one user message to the whole text, ending where the assistant's turn begins.

    `variables` are the special tokens a template may name. Raises ConfigurationError for a template that cannot be
    compiled now or rendered later.
    """
    remedy = "Correct chat_template.jinja, or set template to alpaca or none in the registry."
    try:
        template = _environment().from_string(source)
    except jinja2.TemplateError as error:
        raise ConfigurationError(f"{where}: the chat template cannot be compiled: {error}.", remedy=remedy) from error

    def render(message: str) -> str:
        messages = [{"role": "user", "content": message}]
        try:
            return template.render(messages=messages, add_generation_prompt=True, **variables)
        except (jinja2.TemplateError, TypeError, ValueError, LookupError) as error:
            raise ConfigurationError(f"{where}: the chat template failed: {error}.", remedy=remedy) from error

    return render
