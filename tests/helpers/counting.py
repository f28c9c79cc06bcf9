"""Counts what a device would be asked to do: operations, and questions that the processor waits for."""

from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

# Their results are numbers, or as long as the values decide: an accelerator must be done before the processor can go on.
_WAITS = ("_local_scalar_dense", "_unique2", "nonzero", "masked_select", "equal", "tolist")


class Operations(TorchDispatchMode):
    """Within the block, ``count`` operations are dispatched, and ``waits`` times something is asked that has to be waited for."""

    def __init__(self):
        super().__init__()
        self.by_name = Counter()
        self._patch = pytest.MonkeyPatch()

    def __enter__(self):
        own = torch.Tensor.tolist

        def counted(tensor):
            self.by_name["tolist"] += 1
            return own(tensor)

        self._patch.setattr(torch.Tensor, "tolist", counted)  # it reads memory directly, which no dispatcher sees
        return super().__enter__()

    def __exit__(self, *error):
        self._patch.undo()
        return super().__exit__(*error)

    def __torch_dispatch__(self, function, types, given=(), named=None):
        name = function.overloadpacket.__name__
        self.by_name[name] += 1
        if name.startswith("index"):  # a mask is looked through for where it is true
            indices = given[1] if isinstance(given[1], (list, tuple)) else ()
            self.by_name["nonzero"] += sum(each is not None and each.dtype == torch.bool for each in indices)
        return function(*given, **(named or {}))

    @property
    def count(self):
        return sum(self.by_name.values())

    @property
    def waits(self):
        return sum(self.by_name[name] for name in _WAITS)
