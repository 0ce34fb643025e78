"""What load() says of a file that holds whole objects."""

import io

import pytest

from gittrack.compare import loading
from gittrack.errors import Unsupported


def test_a_whole_model_is_refused_in_one_short_sentence_that_names_its_class() -> None:
    torch = pytest.importorskip("torch")
    file = io.BytesIO()
    torch.save({"model": torch.nn.Linear(2, 2)}, file)
    with pytest.raises(Unsupported) as caught:
        loading.from_bytes("checkpoint.pt", file.getvalue(), {})
    assert caught.value.message == (
        "checkpoint.pt holds more than tensors and plain containers (objects of torch.nn.modules.linear.Linear), "
        "and to open it may run code"
    )
