"""Run alone, by path, with the vLLM environment's Python: become the server, and end when the starter ends.

Usage: launch.py STARTER_PID NAME=VALUE ... -- COMMAND ...
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Ask Linux for a signal at the starter's death, then replace this process by the command."""
    split = arguments.index("--")
    starter, *assignments = arguments[:split]
    command = arguments[split + 1 :]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != int(starter):  # it ended before the line above
            return
    environment = dict(os.environ)  # noqa: TID251  these are the server's, not Tuneshift's settings
    # It would override the cache size on the command line.
    environment.pop("VLLM_CPU_KVCACHE_SPACE", None)
    for assignment in assignments:
        name, _, value = assignment.partition("=")
        environment[name] = value
    os.execve(command[0], command, environment)  # noqa: S606  the command is the plan's


if __name__ == "__main__":
    main(sys.argv[1:])
