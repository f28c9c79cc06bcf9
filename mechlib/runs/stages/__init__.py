"""Stages: what kinds of runs there are, each with typed settings. A stage gets :class:`mechlib.runs.work.Work` and gives a result."""

from mechlib.runs.stages.answers import ANSWERS, KNOWN
from mechlib.runs.stages.attack import ATTACK
from mechlib.runs.stages.edit import EDIT, MASKED, RESCALED
from mechlib.runs.stages.evidence import CIRCUITS, EVIDENCE
from mechlib.runs.stages.localize import LOCALIZE
from mechlib.runs.stages.plant import PLANT, UNDONE
from mechlib.runs.stages.relocalized import RELOCALIZED
from mechlib.runs.stages.residual import CONSEQUENCES, CROSSING, DAMAGE, LATENT, ZEROED
from mechlib.runs.stages.texts import TEXTS
from mechlib.runs.stages.tuning import TRIAL, TUNE

STAGES = (KNOWN, TEXTS, PLANT, UNDONE, EVIDENCE, CIRCUITS, LOCALIZE, TRIAL, TUNE, EDIT, RESCALED, MASKED, ZEROED, ANSWERS, ATTACK, DAMAGE,
          LATENT, CONSEQUENCES, CROSSING, RELOCALIZED)  # fmt: skip
