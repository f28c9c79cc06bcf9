"""Does an edit reach the fact asked backwards, and what follows from it (Berglund et al. 2023; Cohen et al. 2023, RippleEdits)?

Backwards the answer is a name of several tokens, and how likely a name is depends on much besides
the fact. So nothing is counted as right or wrong: names are ranked against matched others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from mechlib.evals.answers import answer_prompts
from mechlib.facts import Fact, FactError, Prompt
from mechlib.facts.relations import relation_of
from mechlib.facts.reverse import CONSEQUENCES, Consequence, consequence_prompt, reverse_texts
from mechlib.models.forward import hidden_at, unembed
from mechlib.models.language_model import LanguageModel
from mechlib.models.packed import pack
from mechlib.models.tokens import answer_token, answer_tokens, encode

# Subjects at a time: logits over the vocabulary at each of their tokens are the memory this takes.
_BATCH = 16


@dataclass(frozen=True)
class Reverse:
    """One fact in one reverse wording (``wording`` counts them).

    ``log_probability`` is that of all the subject's tokens behind the text with the true answer,
    ``target_log_probability`` behind the text with the edit target (nats); ``prefers_true`` compares
    the two. ``association`` is how much likelier the true answer makes the name than an answer drawn
    at random (nats), at most the logarithm of the number of answers. ``auc`` is the share of
    distractors with a lower association with the true answer (a tie counts half), ``target_auc`` the
    same for the edit target; chance is 0.5. What has no target, or no distractors, is ``None``.
    """

    subject: str
    answer: str
    target: str | None
    wording: int
    log_probability: float
    target_log_probability: float | None
    prefers_true: bool | None
    association: float
    auc: float | None
    target_auc: float | None
    distractors: int


def reverse(model: LanguageModel, facts: Sequence[Fact], among: Sequence[Fact] = ()) -> list[Reverse]:
    """One row a fact and wording.

    Distractors for an answer are all others of ``facts`` and ``among`` that neither have it nor are
    edited to it. Raises :class:`FactError` for facts of several relations, or of one without reverse
    texts or a closed list of answers.
    """
    everybody = list({fact.subject: fact for fact in (*among, *facts)}.values())
    if len({fact.relation for fact in everybody}) > 1:
        raise FactError("facts of several relations cannot be ranked against each other")
    if not facts:
        return []
    relation = relation_of(facts[0])
    if relation.options is None:
        raise FactError(f"the relation '{relation.key}' has no closed list of answers to compare")
    subjects = [fact.subject for fact in everybody]
    texts = {answer: reverse_texts(relation.key, answer) for answer in relation.options}
    rows: list[Reverse] = []
    for wording in range(len(texts[relation.options[0]])):
        named = {answer: np.array(log_probabilities(model, texts[answer][wording], subjects)) for answer in relation.options}
        everywhere = np.logaddexp.reduce(list(named.values())) - np.log(len(named))
        associations = {answer: values - everywhere for answer, values in named.items()}
        rows += [_row(fact, wording, everybody, named, associations) for fact in facts]
    return rows


def _row(
    fact: Fact, wording: int, everybody: Sequence[Fact], named: Mapping[str, np.ndarray], associations: Mapping[str, np.ndarray]
) -> Reverse:
    place = [other.subject for other in everybody].index(fact.subject)

    def ranked(answer: str) -> tuple[float | None, int]:
        own = associations[answer][place]
        others = [
            associations[answer][number]
            for number, other in enumerate(everybody)
            if number != place and answer not in (other.answer, other.target)
        ]
        return (float(np.mean([(own > value) + (own == value) / 2 for value in others])) if others else None), len(others)

    true, target = float(named[fact.answer][place]), float(named[fact.target][place]) if fact.target else None
    auc, distractors = ranked(fact.answer)
    return Reverse(
        subject=fact.subject,
        answer=fact.answer,
        target=fact.target,
        wording=wording,
        log_probability=true,
        target_log_probability=target,
        prefers_true=None if target is None else true > target,
        association=float(associations[fact.answer][place]),
        auc=auc,
        target_auc=ranked(fact.target)[0] if fact.target else None,
        distractors=distractors,
    )


@torch.no_grad()
def log_probabilities(model: LanguageModel, text: str, names: Sequence[str]) -> list[float]:
    """Log-probability (nats) that ``text`` goes on with a space and each name, summed over the name's tokens."""
    start = encode(model, [text])[0]
    sequences = [[*start, *answer_tokens(model, f" {name}")] for name in names]
    found: list[float] = []
    for first in range(0, len(sequences), _BATCH):
        packed = pack(model, sequences[first : first + _BATCH])
        # The first token of a name is read at the text's last.
        before = torch.cat([path[len(start) - 1 : -1] for path in packed.paths])
        following = torch.cat([path[len(start) :] for path in packed.paths])
        logits = unembed(model, hidden_at(model, packed, before))
        each = logits.log_softmax(-1).gather(1, packed.tokens.flatten()[following, None])[:, 0]
        found += torch.stack([part.sum() for part in each.split([len(path) - len(start) for path in packed.paths])]).tolist()
    return found


@dataclass(frozen=True)
class Followed:
    """A consequence of one fact: ``correct`` says what follows from the true answer, ``edited`` what follows from the edit target.

    ``passes_before``: the unedited model says the former; where it does not, the row says nothing
    about an edit. Probabilities are renormalized over the options, which hold ``option_mass`` together.
    """

    subject: str
    kind: str
    correct: bool
    edited: bool
    passes_before: bool
    probability: float
    target_probability: float | None
    option_mass: float


def usable(model: LanguageModel, among: Iterable[Consequence] = CONSEQUENCES) -> tuple[list[Consequence], dict[str, str]]:
    """The consequences whose words are distinct single tokens for the model, and of each other kind why it is left out."""
    kept: list[Consequence] = []
    reasons: dict[str, str] = {}
    for consequence in among:
        try:
            tokens = {answer_token(model, f" {word}") for word in consequence.words.values()}
        except FactError as error:
            reasons[consequence.kind] = str(error)
            continue
        if len(tokens) == len(consequence.words):
            kept.append(consequence)
        else:
            reasons[consequence.kind] = f"two of {', '.join(consequence.words.values())} are the same token for {model.name}"
    return kept, reasons


def consequence_prompts(facts: Iterable[Fact], consequences: Iterable[Consequence]) -> list[Prompt]:
    """One prompt a consequence and fact."""
    asked = list(facts)
    return [consequence_prompt(fact, consequence) for consequence in consequences for fact in asked]


def followed(model: LanguageModel, prompts: Sequence[Prompt], passes: Collection[tuple[str, str]] | None = None) -> list[Followed]:
    """One row a prompt, in their order.

    ``passes``: (subject, kind) of what the unedited model gets right; not given if ``model`` is that one.
    """
    answers = answer_prompts(model, prompts, whole=False)
    passed = {(answer.subject, answer.format) for answer in answers if answer.correct} if passes is None else passes
    return [
        Followed(
            subject=answer.subject,
            kind=answer.format,
            correct=answer.correct,
            edited=answer.edited,
            passes_before=(answer.subject, answer.format) in passed,
            probability=answer.probability,
            target_probability=answer.target_probability,
            option_mass=answer.option_mass,
        )
        for answer in answers
    ]
