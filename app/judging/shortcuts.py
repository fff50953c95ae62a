"""The keys a person chose for themselves: which actions have one, and which keys may be chosen. Pure."""

from collections.abc import Mapping

from app.errors import InvalidInputError

# Single keys only: digits rate the row that has the focus, and combinations such as Ctrl+Enter stay as they are.
# Undo has none, because a key pressed by mistake must take nothing back.
DEFAULT_KEYS: dict[str, str] = {
    "next_row": "j",
    "previous_row": "k",
    "mark": "m",
    "skip": "s",
    "flag": "f",
    "guidelines": "g",
    "raw": "r",
    "link_scroll": "l",
    "help": "?",
    "redo": "y",
}


def checked_shortcuts(sent: object) -> dict[str, str]:
    """Check a map of actions to keys and return it in the order of the actions; an empty one means the defaults.

    Raises InvalidInputError naming the action: one that is not there, a key that is not one printable character, a
    digit, or a key that two actions would share, counting the defaults of those that are not in the map.
    """
    if not isinstance(sent, Mapping):
        raise InvalidInputError('Shortcuts are sent as {"action": "key"}.')
    for action, key in sent.items():
        if action not in DEFAULT_KEYS:
            raise InvalidInputError(
                f"{action[:40]!r} has no shortcut.", remedy=f"These have: {', '.join(DEFAULT_KEYS)}."
            )
        _check_key(action, key)
    keys = DEFAULT_KEYS | dict(sent)
    taken: dict[str, str] = {}
    for action, key in keys.items():
        if key.casefold() in taken:
            raise InvalidInputError(
                f"{action}: the key {key!r} is already that of {taken[key.casefold()]}.", remedy="Choose another key."
            )
        taken[key.casefold()] = action
    return {action: keys[action] for action in DEFAULT_KEYS if action in sent}


def _check_key(action: str, key: object) -> None:
    if not isinstance(key, str) or len(key) != 1 or not key.isprintable() or key.isspace():
        raise InvalidInputError(f"{action}: a key is one printable character, such as 'm'.")
    if key.isnumeric():
        raise InvalidInputError(f"{action}: digits rate, so they cannot be shortcuts.", remedy="Choose a letter.")
