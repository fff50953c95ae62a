"""The judging page asks for all of its modules at once, so that it is usable sooner; the list must be whole."""

import re

from app.settings import ROOT

SCRIPTS = ROOT / "static" / "js"


def imported(name, found):
    for module in re.findall(
        r'^import .* from "\./([\w-]+)\.js";$', (SCRIPTS / f"{name}.js").read_text(), re.MULTILINE
    ):
        if module not in found:
            found.add(module)
            imported(module, found)
    return found


def test_every_module_of_the_page_is_preloaded_and_no_other():
    listed = re.findall(r'^  "([\w-]+)",$', (ROOT / "templates/judging/_modules.html").read_text(), re.MULTILINE)
    assert listed == sorted(imported("judging", set()))
