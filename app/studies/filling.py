"""Fill the set-up form from a preset: what it asks, how arms are paired, and, where nothing was chosen, who answers."""

from collections.abc import Mapping

from app.studies.forms import ROWS, SetupForm, act, dimension_rows
from app.studies.presets import PRESETS, Preset
from app.studies.rules import DEFAULT_GUIDELINES


def fill(form: SetupForm, key: str, roles: Mapping[str, str]) -> SetupForm:
    """Fill in a preset; an unknown one changes nothing. `roles` are the registry's checkpoints with their roles.

    What was typed under name, prompts, arms and guidelines of one's own is kept.
    """
    preset = PRESETS.get(key)
    if preset is None:
        return form
    questions = preset.questions
    form = form.with_typed(
        preset=key,
        pairing=preset.pairs,
        strength="yes" if questions.strength else "",
        acceptability="yes" if questions.acceptability else "",
        spans="yes" if questions.spans else "",
        evidence="yes" if preset.evidence else "",
        recognised=questions.recognised,
        overlap=str(preset.overlap),
    )
    untouched = {"", DEFAULT_GUIDELINES.strip(), *(one.guidelines.strip() for one in PRESETS.values())}
    if form.typed["guidelines"].strip() in untouched:
        form = form.with_typed(guidelines=preset.guidelines)
    form = form.with_rows("dimension", dimension_rows(questions.dimensions))
    return form if form.rows["arm"] else _answering(form, preset, roles)


def _answering(form: SetupForm, preset: Preset, roles: Mapping[str, str]) -> SetupForm:
    names = [name for role in preset.roles for name, its in roles.items() if its == role]
    for name in names:
        form = act(form, "add-arm")
        *others, last = form.rows["arm"]
        form = form.with_rows("arm", (*others, {**dict.fromkeys(ROWS["arm"], ""), **last, "checkpoint": name}))
    return form.with_typed(against=names[0] if names and preset.pairs == "against" else "")
