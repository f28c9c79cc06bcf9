"""How an edit is trained."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from mechlib import checks
from mechlib.models.precision import Precision, fast_precision
from mechlib.models.table import Optimizer

# Injection teaches the edit target; unlearning only takes away the true answer.
Loss = Literal["injection", "unlearning"]
Schedule = Literal["cosine", "constant"]
# Steps in which a constant schedule comes to its rate.
WARM_UP = 5
# Settings that decide how an edit is computed and not which edit it is: they do not count in a run's identity.
HOW = {"identity": False}


@dataclass(frozen=True)
class EditConfig:
    """Settings of one edit. Defaults are the paper's where it has them (50 steps, clip 1, cosine).

    - ``loss``: what is done to the forget prompts; ``unlearning`` needs no edit target.
    - ``kl_coefficient``: holds the next-token distributions of the retain prompts' answers (mean)
      and of the texts (mean over positions) where the unedited model has them.
    - ``forget_batch``: so many forget prompts a step, in turn from a seeded shuffle; ``None``: all of them.
    - ``micro_batch``: at most so many prompts or texts at once, with the gradient of the whole batch.
    - ``stop_at``: training ends as soon as the forget facts' new answers (when unlearning: all answers but the true one) have at
      least this probability, as a geometric mean before a step; ``None``: after all steps, as in the paper. Edits that stop at
      one success can be compared.
    - ``schedule``: the learning rate falls to zero by a ``cosine`` in all ``steps`` (the paper), or is ``constant`` after
      ``WARM_UP`` steps: an edit that stops at ``stop_at`` takes as many steps as it needs, and is not slowed down on the way.
    - ``precision``: of the matrix products; ``None``: the one that is fast on the machine.
    - ``checkpointing``: layers compute again in the backward pass instead of keeping what they computed.
    - ``cards``: a run shares the weights among at least so many, if the computer has them, with a process for each.

    Raises :class:`mechlib.checks.ParameterError` for a value that is none of these: batches and steps are whole numbers of at least 1,
    coefficients finite numbers, and ``learning_rate``, ``weight_decay`` and ``clip`` none below 0.
    """

    learning_rate: float = 1e-4
    forget_coefficient: float = 1.0
    retain_coefficient: float = 1.0
    text_coefficient: float = 1.0
    steps: int = 50
    retain_batch: int = 16
    text_batch: int = 2
    clip: float = 1.0
    weight_decay: float = 0.0
    precision: Precision | None = None
    seed: int = 0
    loss: Loss = "injection"
    kl_coefficient: float = 0.0
    optimizer: Optimizer = "adamw"
    forget_batch: int | None = None
    micro_batch: int | None = field(default=None, metadata=HOW)
    checkpointing: bool = field(default=False, metadata=HOW)
    cards: int = field(default=1, metadata=HOW)
    stop_at: float | None = None
    schedule: Schedule = "cosine"

    def __post_init__(self) -> None:
        for name in ("steps", "retain_batch", "text_batch", "forget_batch", "micro_batch", "cards"):
            if getattr(self, name) is not None or name in ("steps", "retain_batch", "text_batch", "cards"):
                checks.whole(name, getattr(self, name), least=1)
        for name in ("learning_rate", "weight_decay", "kl_coefficient"):
            checks.least(name, getattr(self, name), 0)
        for name in ("forget_coefficient", "retain_coefficient", "text_coefficient"):
            checks.finite(name, getattr(self, name))
        checks.positive("clip", self.clip)
        if self.stop_at is not None:
            checks.positive("stop_at", checks.probability("stop_at", self.stop_at))
        for name, known in (("loss", Loss), ("optimizer", Optimizer), ("schedule", Schedule), ("precision", Precision)):
            if name != "precision" or self.precision is not None:
                checks.choice(name, getattr(self, name), get_args(known))

    @property
    def arithmetic(self) -> Precision:
        """The precision that is used."""
        return self.precision or fast_precision()
