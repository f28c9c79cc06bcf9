"""Does an edit survive quantization? Many do not: their changes are smaller than a bucket (Zhang et al. 2025).

Weights only, and only the matrices of attention and MLP: norms are vectors, and the embedding, to
which Gemma's unembedding is tied, stays as precise as it is. Computing is not quantized: a matrix is
replaced by what its codes stand for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mechlib.attacks.attack import Attack, Attacked, Knowledge
from mechlib.components import modules
from mechlib.errors import MechlibError
from mechlib.models.language_model import LanguageModel


class SchemeError(MechlibError, ValueError):
    """A scheme of quantization that this module does not have."""


@dataclass(frozen=True)
class Scheme:
    """A weight becomes the nearest of ``codes`` times the largest absolute weight of its block.

    ``block`` weights along a row (the input dimension) share a scale, the last block of a row may be
    shorter; ``None``: the whole row. With ``runs_on`` blocks run on from one row into the next.
    """

    codes: tuple[float, ...]
    block: int | None
    runs_on: bool = False


def _even(levels: int) -> tuple[float, ...]:
    return tuple(level / levels for level in range(-levels, levels + 1))


# Quantiles of a normal distribution, as equally likely as can be with an exact zero (Dettmers et al. 2023, appendix E).
NORMAL_FLOAT = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)  # fmt: skip
# Evenly spaced codes are symmetric: a zero stays zero, and a zero point would make a step narrower by a fifteenth only.
# "bfloat16" is the control: 16 bits (bfloat16), which next to nothing should depend on.
SCHEMES: Mapping[str, Scheme | None] = {
    "bfloat16": None,
    "int8": Scheme(_even(127), None),
    "int4_128": Scheme(_even(7), 128),
    "int4_64": Scheme(_even(7), 64),
    "nf4": Scheme(NORMAL_FLOAT, 64, runs_on=True),
}


def quantization(model: LanguageModel, knowledge: Knowledge, seed: int, *, schemes: Sequence[str]) -> Iterator[Attacked]:
    """The model quantized in one scheme after the other: a copy each time, ``model`` is only read.

    Raises :class:`SchemeError` for a scheme that is none of ``SCHEMES``.
    """
    del knowledge, seed  # rounding asks for no facts and draws nothing
    if not schemes or isinstance(schemes, str):
        raise SchemeError(f"schemes={schemes!r}: give a list of {', '.join(SCHEMES)}")
    for scheme in schemes:
        _check(scheme)
    for scheme in schemes:
        yield Attacked(scheme, 0, _quantized_copy(model, scheme))


def _quantized_copy(model: LanguageModel, scheme: str) -> LanguageModel:
    """A copy with quantized matrices of its own that shares everything else."""
    twin = model.shared_copy()
    for name in _matrices(model):
        linear = twin.module(name)
        linear.weight = nn.Parameter(quantized(linear.weight.detach(), scheme), requires_grad=False)
    return twin


def _matrices(model: LanguageModel) -> list[str]:
    """All matrices of attention and MLPs, each once: some models pack several into one."""
    arch = model.architecture
    return list(dict.fromkeys(block.parameter for component in modules(arch) for block in component.weights(arch)))


@dataclass(frozen=True)
class Crossing:
    """What rounding in one scheme does to a change of weights.

    ``changed`` weights are others than before, and ``crossed`` of these have another code. ``kept``: the share of the change that is left,
    the rounded change projected on it (1: all of it, on average; 0: rounding undoes it).
    """

    scheme: str
    changed: int
    crossed: int
    kept: float


def crossings(before: LanguageModel, after: LanguageModel, schemes: Sequence[str]) -> list[Crossing]:
    """What each scheme leaves of the difference between two models, over all matrices that it rounds.

    Raises :class:`SchemeError` for a scheme that is none of ``SCHEMES``. Where nothing was changed, ``kept`` is 1.
    """
    for scheme in schemes:
        _check(scheme)
    return [_crossing(before, after, scheme) for scheme in schemes]


def _crossing(before: LanguageModel, after: LanguageModel, scheme: str) -> Crossing:
    changed = crossed = 0
    along = square = 0.0
    for name in _matrices(before):
        old, new = (one.module(name).weight.detach() for one in (before, after))
        moved = old != new
        if not (count := int(moved.sum())):
            continue
        (before_rounded, before_codes), (after_rounded, after_codes) = (_rounded(one, scheme) for one in (old, new))
        changed, crossed = changed + count, crossed + int((moved & (before_codes != after_codes)).sum())
        change = new.float() - old.float()
        along += float(((after_rounded.float() - before_rounded.float()) * change).sum(dtype=torch.float64))
        square += float(change.square().sum(dtype=torch.float64))
    return Crossing(scheme, changed, crossed, along / square if square else 1.0)


def quantized(weight: Float[Tensor, "row column"], scheme: str) -> Float[Tensor, "row column"]:
    """A matrix, quantized and dequantized, in its own precision; raises :class:`SchemeError`."""
    return _rounded(weight, scheme)[0]


def _rounded(weight: Tensor, scheme: str) -> tuple[Tensor, Tensor]:
    """A matrix, quantized and dequantized, in its own precision, and the number of each weight's code (in bfloat16 the value itself)."""
    if (chosen := _check(scheme)) is None:
        near = weight.bfloat16().to(weight.dtype)
        return near, near
    scaled, scale = _blocks(weight, chosen)
    codes, nearest = torch.tensor(chosen.codes, device=weight.device), _nearest(scaled, chosen)
    return _matrix(codes[nearest] * scale, weight, chosen).to(weight.dtype), _matrix(nearest, weight, chosen)


def _check(scheme: str) -> Scheme | None:
    if scheme not in SCHEMES:
        raise SchemeError(f"there is no scheme '{scheme}' (there are: {', '.join(SCHEMES)})")
    return SCHEMES[scheme]


def _blocks(weight: Tensor, scheme: Scheme) -> tuple[Float[Tensor, "row block column"], Float[Tensor, "row block 1"]]:
    """Blocks of weights, scaled to between -1 and 1, and their scales."""
    rows = weight.float().reshape(1, -1) if scheme.runs_on else weight.float()
    size = scheme.block or rows.shape[1]
    # Zeros that fill up the last block do not count for its largest weight.
    blocks = nn.functional.pad(rows, (0, -rows.shape[1] % size)).unflatten(1, (-1, size))
    scale = blocks.abs().amax(-1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
    return blocks / scale, scale


def _nearest(scaled: Tensor, scheme: Scheme) -> Tensor:
    """The number of each weight's code."""
    codes = torch.tensor(scheme.codes, device=scaled.device)
    return torch.bucketize(scaled, (codes[1:] + codes[:-1]) / 2, out_int32=True)


def _matrix(blocks: Tensor, like: Tensor, scheme: Scheme) -> Tensor:
    """Blocks put together again."""
    width = like.numel() if scheme.runs_on else like.shape[1]
    return blocks.flatten(1)[:, :width].reshape(like.shape)


QUANTIZATION = Attack(
    "quantization", "Quantization", 1, quantization,
    "Weights of all attention layers and MLPs rounded to 8 or 4 bits; embeddings and norms stay.",
    {"quick": {"schemes": ["int4_64", "nf4"]}, "full": {"schemes": ["bfloat16", "int8", "int4_128", "int4_64", "nf4"]}},
    seconds=6, effort=lambda given: len(given["schemes"]),
)  # fmt: skip
