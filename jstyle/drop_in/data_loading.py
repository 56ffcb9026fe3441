"""``Dataset`` and ``DataLoader`` as scripts for PyTorch write them; Jittor's own loader takes no ``collate_fn``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Optional

import numpy as np

from jstyle.errors import InputError
from jstyle.runtime import jt
from jstyle.settings.messages import suggest

_ABOUT_SPEED = ("num_workers", "pin_memory", "prefetch_factor", "persistent_workers", "pin_memory_device", "timeout")
"""What changes no batch: everything is read in this process."""


class Dataset:
    """Examples by index: a subclass has ``__getitem__`` and ``__len__``."""

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError


class DataLoader:
    """Batches of a data set, epoch by epoch: each iteration is one.

    ``collate_fn`` makes a batch of a list of examples; without it numbers and arrays are stacked into Vars, and texts
    are listed. ``shuffle`` draws the order from NumPy's generator, which ``jt.set_global_seed`` seeds. ``num_workers``
    and its kin are about speed alone and change nothing. Raises InputError for an empty data set, a batch size that is
    none, and for arguments that are not known.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        collate_fn: Optional[Callable[[list[Any]], Any]] = None,
        drop_last: bool = False,
        **about_speed: Any,
    ) -> None:
        for name, value in about_speed.items():
            if name not in _ABOUT_SPEED and value is not None:
                known = ("batch_size", "shuffle", "collate_fn", "drop_last", *_ABOUT_SPEED)
                raise InputError(f"DataLoader: the argument {name!r} is not supported; {suggest(name, known)}")
        if not isinstance(batch_size, int) or batch_size < 1:
            raise InputError(f"DataLoader: batch_size must be a whole number from 1 on, not {batch_size!r}")
        if len(dataset) == 0:
            raise InputError("DataLoader: the data set is empty; check its folder")
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.collate_fn = collate_fn or stack_examples
        self.drop_last = drop_last

    def __len__(self) -> int:
        """The batches of an epoch."""
        whole, rest = divmod(len(self.dataset), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Any]:
        count = len(self.dataset)
        order = np.random.permutation(count) if self.shuffle else np.arange(count)
        for index in range(len(self)):
            rows = order[index * self.batch_size : (index + 1) * self.batch_size]
            yield self.collate_fn([self.dataset[row] for row in rows.tolist()])


def stack_examples(examples: Sequence[Any]) -> Any:
    """A batch of examples: arrays and numbers become a Var (batch, ...), texts a list; dictionaries and tuples keep
    their form.
    """
    first = examples[0]
    if isinstance(first, Mapping):
        return {key: stack_examples([example[key] for example in examples]) for key in first}
    if isinstance(first, (tuple, list)):
        return [stack_examples(column) for column in zip(*examples)]
    if isinstance(first, jt.Var):
        return jt.stack(list(examples))
    if isinstance(first, (np.ndarray, np.number, int, float)):
        return jt.array(np.stack([np.asarray(example) for example in examples]))
    return list(examples)
