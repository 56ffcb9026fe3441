"""Batches as scripts for PyTorch ask for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from jstyle.drop_in.data_loading import DataLoader, Dataset
from jstyle.errors import InputError
from jstyle.runtime import jt


class Numbers(Dataset):
    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        return {"pixels": jt.array(np.full((2, 3), index, np.float32)), "row": index, "text": f"no. {index}"}


def read_rows(loader: DataLoader) -> list[int]:
    return [int(row) for batch in loader for row in batch["row"].numpy()]


def test_each_example_comes_once_an_epoch_in_whole_batches_and_a_rest() -> None:
    loader = DataLoader(Numbers(7), batch_size=3, num_workers=2, pin_memory=True)
    batches = list(loader)
    assert len(loader) == len(batches) == 3 and read_rows(loader) == list(range(7))
    assert batches[0]["pixels"].shape == [3, 2, 3] and batches[2]["text"] == ["no. 6"]
    whole = DataLoader(Numbers(7), batch_size=3, drop_last=True)
    assert len(whole) == 2 and read_rows(whole) == list(range(6))


def test_the_order_is_drawn_anew_each_epoch_and_repeated_by_the_seed() -> None:
    loader = DataLoader(Numbers(30), shuffle=True)
    jt.set_global_seed(1)
    epochs = [read_rows(loader) for _ in range(2)]
    jt.set_global_seed(1)
    assert read_rows(loader) == epochs[0] != epochs[1]
    assert sorted(epochs[1]) == list(range(30))


def test_collate_fn_makes_the_batch() -> None:
    loader = DataLoader(Numbers(4), batch_size=2, collate_fn=lambda examples: [e["row"] for e in examples])
    assert list(loader) == [[0, 1], [2, 3]]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"batch_size": 0}, "batch_size must be"),
        ({"colate_fn": list}, "did you mean collate_fn"),
        ({"sampler": 1}, "'sampler'"),
    ],
)
def test_arguments_that_cannot_be_are_told(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        DataLoader(Numbers(4), **arguments)


def test_an_empty_data_set_is_told() -> None:
    with pytest.raises(InputError, match="is empty"):
        DataLoader(Numbers(0))
