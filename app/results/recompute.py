"""Recompute every number of a study's results from the files of its export, and compare them with results.json.

Run it inside the unpacked export, with Python 3.11 or newer, numpy and scipy: `python recompute.py`. It reads only the
files beside it and the code in `code/`. It prints the numbers that differ by more than 1e-9, and ends with 1 if any do.
"""

import json
import sys
from pathlib import Path

_SHOWN = 50


def main(folder: Path) -> int:
    """Compare; returns 0 where every number agrees, 1 where one does not, 2 where files are missing."""
    sys.path.insert(0, str(folder / "code"))
    # Only now is there something to import them from.
    from app.results.report.files import read_folder  # noqa: PLC0415
    from app.results.report.found import found  # noqa: PLC0415
    from app.results.report.values import differences  # noqa: PLC0415

    try:
        stored = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        computed = found(read_folder(folder)).flat()
    except FileNotFoundError as error:
        sys.stderr.write(f"{error.filename} is missing: run this in the unpacked export.\n")
        return 2
    except ValueError as error:
        sys.stdout.write(f"The files contradict each other: {error}\n")
        return 1
    different = differences(stored, json.loads(json.dumps(computed)))
    for key, one, other in different[:_SHOWN]:
        sys.stdout.write(f"{key}\n  results.json: {one}\n  recomputed:   {other}\n")
    if different:
        sys.stdout.write(f"{len(different):,} of {len(stored):,} numbers differ by more than 1e-9.\n")
        return 1
    sys.stdout.write(f"All {len(stored):,} numbers agree to 1e-9.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parent))
