"""Weights of an edit in shares: each process holds a part of every layer, and gathers a layer while it computes it (FSDP2).

Masters, gradients and the optimizer's states are in the same shares. What is outside the layers (embeddings, final norm,
unembedding) never trains and is read at many places: it is whole in each process.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Shaped
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, Shard, distribute_tensor

from mechlib.components import Localization
from mechlib.edit.trainable import Share, Trainable, first_layer, make_master, trained_blocks
from mechlib.models.language_model import LanguageModel
from mechlib.models.precision import Precision, in_precision
from mechlib.models.tensors import replace_tensors


@dataclass(frozen=True)
class Sharded(Trainable):
    """The weights that train are tensors of all processes of ``mesh``; originals stay whole in the computer's memory."""

    mesh: DeviceMesh = field(kw_only=True)

    @cached_property
    def own(self) -> list[nn.Parameter]:
        """The rows of each matrix that are this process's; an optimizer need not know of the others."""
        return [nn.Parameter(weight.to_local().detach()) for weight in self._shares]

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """Let an optimizer of ``own`` take one step."""
        for own, weight in zip(self.own, self._shares, strict=True):
            own.grad = weight.grad.to_local() if isinstance(weight.grad, DTensor) else None
        optimizer.step()
        for own in self.own:
            own.grad = None

    @property
    def _shares(self) -> list[DTensor]:
        return [weight for weight in self.weights.values() if isinstance(weight, DTensor)]

    def placed(self, whole: Shaped[Tensor, "row column"]) -> Shaped[Tensor, "row column"]:
        """The rows of a matrix that are this process's, as a tensor of all processes; each has the whole, so none is sent."""
        return distribute_tensor(whole.to(self.model.device), self.mesh, [Shard(0)], src_data_rank=None)

    def whole(self, part: Shaped[Tensor, "*shape"]) -> Shaped[Tensor, "*shape"]:
        """All rows, or the one number; all processes have to ask."""
        return part.full_tensor() if isinstance(part, DTensor) else part

    def summed(self, losses: Mapping[str, Tensor], names: Sequence[str]) -> dict[str, Tensor]:
        """The losses of all processes together; one that a process has no part of is 0 there."""
        nothing = torch.zeros((), device=self.model.device)
        together = torch.stack([losses.get(name, nothing) for name in names])
        distributed.all_reduce(together)
        return dict(zip(names, together, strict=True))

    @contextmanager
    def originals_aside(self) -> Generator[None]:
        """They are."""
        yield


def sharded(model: LanguageModel, localization: Localization, precision: Precision, mesh: DeviceMesh, device: torch.device) -> Sharded:
    """As :func:`mechlib.edit.trainable.trainable`, in shares: all processes of ``mesh`` have to ask, each for its own ``device``.

    ``model`` stays where it is, which should be the computer's memory. Raises :class:`EditError` for an empty localization, or none.
    """
    blocks, originals = trained_blocks(model, localization), model.parameters
    twin = in_precision(model, precision)
    # Tensors of its own around the memory that it shares: what is moved then leaves other networks alone.
    replace_tensors(twin.network, Tensor.detach)
    names = {twin.module(block.parameter): block.parameter for block in blocks}
    for layer in twin.layers:
        # Layer by layer: no process ever holds the masters of more than one.
        for module in layer.modules():
            if module in names:
                make_master(module, originals[names[module]], precision)
        _share(layer, mesh)
    outside = [tensor for tensor in (*twin.network.parameters(), *twin.network.buffers()) if not isinstance(tensor, DTensor)]
    for tensor in outside:
        tensor.data = tensor.data.to(device)
    # It has no weights of its own, and so the layers know what comes before and after them.
    fully_shard(twin.network.base_model, mesh=mesh, ignored_params={tensor for tensor in outside if isinstance(tensor, nn.Parameter)})
    return Sharded(twin, model, blocks, first_layer(localization), Share(mesh.get_rank(), mesh.size()), mesh=mesh)


def _share(layer: nn.Module, mesh: DeviceMesh) -> None:
    shared = fully_shard(layer, mesh=mesh)
    assert isinstance(shared, FSDPModule)
    # Losses are shares of a step's mean, so gradients add up.
    shared.set_force_sum_reduction_for_comms(True)
    shared.set_gradient_divide_factor(1.0)
