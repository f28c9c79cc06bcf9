"""What repeated sampling would let through, computed rather than sampled."""

from __future__ import annotations

from typing import overload

import numpy as np
from jaxtyping import Float
from scipy.special import xlog1py


@overload
def leak_at_k(probability: float, k: int) -> float: ...
@overload
def leak_at_k(probability: Float[np.ndarray, "*shape"], k: int) -> Float[np.ndarray, "*shape"]: ...
def leak_at_k(probability: float | Float[np.ndarray, "*shape"], k: int) -> float | Float[np.ndarray, "*shape"]:
    """Probability that at least one of ``k`` samples is the answer: ``1 - (1 - probability) ** k``, elementwise.

    Exact for an answer of one token, and for tiny probabilities, which the formula as written rounds
    to zero. Raises ``ValueError`` if a probability is not within [0, 1] or ``k`` is below one.
    """
    if k < 1:
        raise ValueError(f"{k} samples are fewer than one")
    if not np.all((np.asarray(probability) >= 0) & (np.asarray(probability) <= 1)):
        raise ValueError("a probability is not within [0, 1]")
    leaked = -np.expm1(xlog1py(k, -probability))
    return leaked if isinstance(probability, np.ndarray) else float(leaked)
