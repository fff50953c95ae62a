"""Turn the modules of a page into one script a browser runs from a file, where modules may not be loaded.

It understands the few forms our own modules use and refuses any other, so that what it writes is what was meant:
`import { a, b as c } from "./file.js";`, `import "./file.js";`, and `export` before a function, class or constant.
"""

import base64
import hashlib
import re
from pathlib import Path

from markupsafe import Markup

_IMPORT = re.compile(r'^import\s+(?:\{(?P<names>[^}]*)\}\s*from\s+)?"\./(?P<file>[\w.-]+)";[ \t]*\n', re.MULTILINE)
_EXPORT = re.compile(r"^export\s+(?=(?:async\s+)?(?:function\*?|class|const)\s+(?P<name>[\w$]+))", re.MULTILINE)
_LEFT_OVER = re.compile(r"^\s*(?:import|export)\b|\bimport\s*[(.]", re.MULTILINE)
# Any of these would end a script element early, or change how its text is read.
_ENDS_SCRIPT = re.compile(r"</script|<!--", re.IGNORECASE)


def bundle(folder: Path, entries: list[str], *, shadow: dict[str, tuple[str, str]] | None = None) -> str:
    """Join modules and all they import into one script that runs them in the order a browser would.

    `shadow` gives the modules other globals: `{"fetch": ("offline.js", "fetchOffline")}`. Raises ValueError for a form
    it does not understand and for modules that import each other in a circle.
    """
    shadow = shadow or {}
    order: dict[str, str] = {}
    for file in [*(file for file, _ in shadow.values()), *entries]:
        _visit(folder, file, order, waiting=())
    first = dict.fromkeys(name for file, _ in shadow.values() for name in _needed(folder, file))
    lines = ['(() => {\n"use strict";', "const $modules = {};", *(order.pop(file) for file in first)]
    lines += ["(() => {", *(f'const {name} = $modules["{file}"].{export};' for name, (file, export) in shadow.items())]
    return "\n".join([*lines, *order.values(), "})();", "})();", ""])


def inline_script(code: str) -> tuple[Markup, str]:
    """Return a script element and the source that a content security policy allows it by."""
    if _ENDS_SCRIPT.search(code):
        raise ValueError("a script that holds </script or <!-- cannot stand in a page")
    return Markup("<script>{}</script>").format(Markup(code)), _source(code)  # noqa: S704 - our own files


def inline_style(code: str) -> tuple[Markup, str]:
    """Return a style element and the source that a content security policy allows it by."""
    if "</style" in code.lower():
        raise ValueError("a style sheet that holds </style cannot stand in a page")
    return Markup("<style>{}</style>").format(Markup(code)), _source(code)  # noqa: S704 - our own files


def _source(code: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}'"


def _visit(folder: Path, file: str, order: dict[str, str], *, waiting: tuple[str, ...]) -> None:
    """Add a module after everything it imports."""
    if file in order:
        return
    if file in waiting:
        raise ValueError(f"modules import each other in a circle: {' > '.join([*waiting, file])}")
    code = (folder / file).read_text(encoding="utf-8")
    for found in _IMPORT.finditer(code):
        _visit(folder, found["file"], order, waiting=(*waiting, file))
    order[file] = _module(file, code)


def _needed(folder: Path, file: str) -> list[str]:
    found: dict[str, str] = {}
    _visit(folder, file, found, waiting=())
    return list(found)


def _module(file: str, code: str) -> str:
    """Wrap one module in a function of its own, which returns what it exports."""
    exports = [found["name"] for found in _EXPORT.finditer(code)]
    body = _EXPORT.sub("", _IMPORT.sub(_binding, code))
    if left := _LEFT_OVER.search(body):
        line = body[left.start() :].strip().splitlines()[0]
        raise ValueError(f"{file}: this form of import or export is not understood: {line}")
    return f'$modules["{file}"] = (() => {{\n{body.strip()}\nreturn {{ {", ".join(exports)} }};\n}})();'


def _binding(found: re.Match[str]) -> str:
    if found["names"] is None:
        return ""
    names = [name.strip().replace(" as ", ": ") for name in found["names"].split(",") if name.strip()]
    return f'const {{ {", ".join(names)} }} = $modules["{found["file"]}"];\n'
