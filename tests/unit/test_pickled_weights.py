"""Weights that are Python programs (`.bin`, `.pt`) are never opened: safetensors alone are read."""

import pickle

import pytest

from app.engines.weight_files import check_adapter, model_shapes
from app.errors import ConfigurationError
from tests.unit.tiny_models import write_adapter, write_model


class Program:
    """What runs when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (open, (str(self.mark), "w"))


def swap(folder, name, pickled, mark):
    for path in folder.glob("*.safetensors"):
        path.unlink()
    (folder / pickled).write_bytes(pickle.dumps(Program(mark)))
    assert not (folder / name).exists()


@pytest.fixture
def mark(tmp_path):
    return tmp_path / "it-ran"


def test_the_bait_would_run(tmp_path, mark):
    pickle.loads(pickle.dumps(Program(mark))).close()
    assert mark.exists()


@pytest.mark.parametrize("pickled", ["pytorch_model.bin", "model.pt", "consolidated.00.pth"])
def test_a_model_that_is_a_pickle_is_refused_unopened(tmp_path, mark, pickled):
    folder = write_model(tmp_path / "base")
    swap(folder, "model.safetensors", pickled, mark)
    with pytest.raises(ConfigurationError, match="safetensors"):
        model_shapes(folder)
    assert not mark.exists()


def test_an_index_that_names_a_pickle_is_refused_unopened(tmp_path, mark):
    folder = write_model(tmp_path / "base")
    swap(folder, "model.safetensors", "pytorch_model.bin", mark)
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"w": "pytorch_model.bin"}}')
    with pytest.raises(ConfigurationError, match="safetensors"):
        model_shapes(folder)
    assert not mark.exists()


def test_an_adapter_that_is_a_pickle_is_refused_unopened(tmp_path, mark):
    base = write_model(tmp_path / "base")
    write_adapter(tmp_path / "lft", base)
    swap(tmp_path / "lft", "adapter_model.safetensors", "adapter_model.bin", mark)
    with pytest.raises(ConfigurationError, match="safetensors"):
        check_adapter(tmp_path / "lft", base)
    assert not mark.exists()


def test_the_local_engine_opens_no_pickle(tmp_path, mark):
    torch = pytest.importorskip("torch")
    from app.engines.local.weights import load_weights  # noqa: PLC0415  torch is not always there

    folder = write_model(tmp_path / "base")
    swap(folder, "model.safetensors", "pytorch_model.bin", mark)
    with pytest.raises(OSError, match="safetensors"):
        load_weights(folder, dtype=torch.float32, device="cpu")
    assert not mark.exists()
