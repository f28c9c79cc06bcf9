"""The tensors of a network, each replaced by another: on other devices, in a file, or without values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mechlib.models.language_model import LanguageModel


def replace_tensors(network: nn.Module, other: Callable[[Tensor], Tensor]) -> None:
    """Let a network have what ``other`` gives for each of its tensors; what several modules share (an unembedding can be tied to
    the embedding) they share still, and no weight asks for a gradient.
    """
    made: dict[Tensor, Tensor] = {}
    for module in network.modules():
        for name, tensor in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
            if tensor not in made:
                new = other(tensor).detach()
                made[tensor] = nn.Parameter(new, requires_grad=False) if isinstance(tensor, nn.Parameter) else new
            setattr(module, name, made[tensor])


def write_tensors(model: LanguageModel, path: Path) -> LanguageModel:
    """Write all tensors of a model to a file (safetensors), and give the model without their values, for :func:`read_tensors`.

    Raises ``OSError`` or ``SafetensorError`` if they cannot be written.
    """
    save_file({name: tensor.detach().contiguous() for name, tensor in _tensors(model).items()}, path)
    bare = model.shared_copy()
    replace_tensors(bare.network, lambda tensor: tensor.to("meta"))
    return bare


def read_tensors(bare: LanguageModel, path: Path) -> LanguageModel:
    """Give a model its tensors back, in the computer's memory: processes that read the same file share its pages."""
    with safe_open(path, framework="pt") as file:
        values = {tensor: file.get_tensor(name) for name, tensor in _tensors(bare).items()}
    replace_tensors(bare.network, lambda tensor: values[tensor])
    return bare


def _tensors(model: LanguageModel) -> dict[str, Tensor]:
    return {**dict(model.network.named_parameters()), **dict(model.network.named_buffers())}
