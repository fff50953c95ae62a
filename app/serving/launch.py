"""Run alone, by path, with the vLLM environment's Python: become the server, and end when the starter ends.

Usage: launch.py STARTER_PID COMMAND ...
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(starter: str, *command: str) -> None:
    """Ask Linux for a signal at the starter's death, then replace this process by the command."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != int(starter):  # it ended before the line above
            return
    os.execv(command[0], command)  # noqa: S606  the command is the plan's


if __name__ == "__main__":
    main(*sys.argv[1:])
