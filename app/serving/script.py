"""The planned servers as a shell script: to read, or to run on a machine without Tuneshift."""

import shlex
from collections.abc import Sequence

from app.serving.plan import ServerPlan

_HEAD = """\
#!/bin/sh
# {what}
# It starts every server, waits for them, and ends them when it is ended. Set VLLM_API_KEY first if they want a key.
pids=
trap 'kill $pids 2>/dev/null; wait; exit' INT TERM EXIT
"""


def script(plans: Sequence[ServerPlan], *, what: str, one_by_one: bool) -> str:
    """Write the commands, a server each, under the comment `what`.

    `one_by_one` waits for each server before the next: on a shared card each measures free memory while it starts.
    """
    parts = [_HEAD.format(what=what)]
    for number, server in enumerate(plans, 1):
        # A name may hold anything, a line feed too.
        names = " ".join(", ".join(server.served).split())
        heading = f"# {number} of {len(plans)}: {names} at {server.url}"
        parts.append(f'\n{heading}\n{_command(server)} &\npids="$pids $!"\n')
        if one_by_one and number < len(plans):
            health = shlex.quote(f"{server.url.removesuffix('/v1')}/health")
            parts.append(f"until curl -fs -o /dev/null {health}; do sleep 2; done\n")
    return "".join([*parts, "\nwait\n"])


def _command(server: ServerPlan) -> str:
    """One line per flag, quoted for a shell."""
    lines = ["env " + " ".join(f"{name}={shlex.quote(value)}" for name, value in server.environment)]
    for word in server.command:
        if word.startswith("--") or word == server.command[0]:
            lines.append(shlex.quote(word))
        else:
            lines[-1] += f" {shlex.quote(word)}"
    return " \\\n  ".join(lines)
