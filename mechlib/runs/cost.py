"""What a run is expected to take: its declared seconds, those of the embedded model on one core, for a model's sizes and a machine.

A sixth of a declared second multiplies matrices in bfloat16 and the rest is everything else: norms, casts, softmax, Python. That is
how a step of an edit was measured on the reference core. Products grow with a model's weights, the rest with its layers and the width
of its residual stream.
"""

from __future__ import annotations

from mechlib.components import Architecture
from mechlib.models.precision import Precision
from mechlib.runs.memory import Sizes
from mechlib.runs.rates import Rates

# The core on which seconds were declared: its products as measured; its norms so that runs on another core, whose rates were measured too,
# took as much longer as they did there (the median of 198 runs: 1.3). One NVIDIA H200: its products as measured, its norms so that a step
# of the embedded model's edit takes the 60 ms that it took there and 1.5 s on the core, whatever the width. Its float32 was not measured.
CORE = Rates("the reference core", float32=1.4e11, bfloat16=1e12, launch=0.0, number=1.6e-6)
CARD = Rates("one H200", float32=7.84e14 / 16, bfloat16=7.84e14, launch=4.9e-5, number=0.0)
EMBEDDED = Sizes(Architecture(18, 4, 1, 640, 256, 2048), 262_144, tied=True)
_PRODUCTS = 1 / 6


def factor(sizes: Sizes, precision: Precision, rates: Rates) -> float:
    """Seconds that a declared second comes to. How long prompts are counts little: most of their tokens are shared and computed once."""
    width = sizes.architecture.d_model
    layers = sizes.architecture.n_layers / EMBEDDED.architecture.n_layers
    products = sizes.localizable / EMBEDDED.localizable * CORE.bfloat16 / rates.product(precision)
    rest = layers * (rates.launch + rates.number * width) / CORE.small(EMBEDDED.architecture.d_model)
    return _PRODUCTS * products + (1 - _PRODUCTS) * rest
