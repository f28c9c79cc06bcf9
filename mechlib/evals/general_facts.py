"""Facts that no edit was about: what a model can still do besides, where no benchmark can be had."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mechlib.evals.answers import Answer, answer_prompts
from mechlib.facts import Fact, FactError, PromptFormat, demonstration_subjects, prompts
from mechlib.models.language_model import LanguageModel


def general_facts(model: LanguageModel, facts: Iterable[Fact], form: PromptFormat, edited: Iterable[Fact]) -> Sequence[Answer]:
    """Ask facts of other relations than the edited ones, about other subjects: what an edit should not touch at all.

    ``facts`` are those that the unedited model knows, such as world facts where sports are edited.
    Raises :class:`FactError` if none is left or a relation lacks the wording.
    """
    edits = list(edited)
    relations = {fact.relation for fact in edits}
    subjects = {fact.subject for fact in edits} | demonstration_subjects()
    others = [fact for fact in facts if fact.relation not in relations and fact.subject not in subjects]
    if not others:
        raise FactError(f"no fact is left that is about something else than {', '.join(sorted(relations)) or 'nothing'}")
    # By first tokens: whether an answer moved shows there, and kept rows say so.
    return answer_prompts(model, prompts(others, form), group="general facts", whole=False)
