"""Where a stage's edits are trained: in this process, or in one for each card where a model or its edit needs several."""

from __future__ import annotations

from collections.abc import Sequence

from mechlib.components import Localization
from mechlib.edit.config import EditConfig
from mechlib.edit.delta import Delta
from mechlib.edit.train import Step, edit
from mechlib.facts import Prompt
from mechlib.models.language_model import LanguageModel
from mechlib.models.spread import cards_of, on_processor
from mechlib.runs.work import S, Work


def trained(
    work: Work[S],
    model: LanguageModel,
    localization: Localization,
    forget: Sequence[Prompt],
    retain: Sequence[Prompt],
    texts: Sequence[Sequence[int]],
    config: EditConfig,
) -> tuple[Delta, list[Step]]:
    """The edit of :func:`mechlib.edit.train.edit`, in as many processes as the model lies on cards, or as ``config`` asks for."""
    cards = cards_of(model, config.cards)
    if len(cards) == 1:
        return edit(model, localization, forget, retain, texts, config, work.context.progress)
    from mechlib.edit.processes import edit_in_processes  # what most machines never need takes its time

    # After other parts of an edit the model has matrices of its own beside those of the unedited one.
    with on_processor(work.model):
        return edit_in_processes(model, localization, forget, retain, texts, config, cards, work.context.progress, work.folder)
