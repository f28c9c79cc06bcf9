"""The cases: every stage, method, attack and null by a run of a small study."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mechlib.attacks.registry import ATTACKS
from mechlib.localize.registry import PAPER
from mechlib.runs.spec import RunSpec
from mechlib.runs.stages.evidence import SCORED
from mechlib.runs.study import Study

Choose = Callable[[Study], RunSpec]


@dataclass(frozen=True)
class Case:
    """One run; ``study`` is the name of one in :data:`tests.golden.bench.STUDIES`."""

    study: str
    what: str
    spec: Choose

    @property
    def name(self) -> str:
        """What the case is called, and its file of rows."""
        return f"{self.study} {self.what}".replace(" ", "_")


def _answers() -> Iterator[Case]:
    for form in ("one_shot", "question", "few_shot", "cloze", "multiple_choice"):
        yield Case("sports", f"known {form}", lambda study, form=form: study.asked_of_all(form, 24))
        yield Case("sports", f"ask unedited {form}", lambda study, form=form: study.answers(None, 0, 0, form))
        yield Case("sports", f"ask edited {form}", lambda study, form=form: study.answers("fact_lookup", 0, 0, form))
    for form in ("one_shot", "statement", "paraphrase_1", "paraphrase_2"):
        yield Case("world", f"known {form}", lambda study, form=form: study.asked_of_all(form, 24))
        # In the format that edits are trained on, neighbours are asked, too.
        yield Case("world", f"ask unedited {form}", lambda study, form=form: study.answers(None, 0, 0, form))
        yield Case("world", f"ask edited {form}", lambda study, form=form: study.answers("fact_lookup", 0, 0, form))
    for name in ("sports", "world"):
        yield Case(name, "known", lambda study: study.known)
    for form in ("one_shot", "statement"):
        yield Case("long answers", f"known {form}", lambda study, form=form: study.asked_of_all(form, 24))
    # Whole answers: those of the same sport that were not trained on.
    for name in ("whole", "unlearning"):
        yield Case(name, "ask unedited", lambda study: study.answers(None, 0, 0, "one_shot"))
        yield Case(name, "ask edited", lambda study: study.answers("fact_lookup", 0, 0, "one_shot"))


def _evidence() -> Iterator[Case]:
    for name, lookup in (("sports", "probe"), ("world", "paths")):
        for method in (lookup, *SCORED):
            yield Case(name, f"evidence {method}", lambda study, method=method: study.evidence[method])
        yield Case(name, "circuits", lambda study: study.circuits)
    yield Case("sports", "evidence probe_variants", lambda study: study.lookup_variants["probe_variants"])
    yield Case("whole", "evidence causal tracing", lambda study: study.evidence["causal_tracing"])
    yield Case("sequential", "evidence of a share", lambda study: study.evidence_from(1, 2, None)["attribution_patching"])


def _localizations() -> Iterator[Case]:
    for key in (*PAPER, "mlps_0_to_1", "random_mlps_3", "given"):
        yield Case("sports", f"localize {key}", lambda study, key=key: study.localize(key, 1, 0))
    for key in (*PAPER, "mlps_0_to_1", "random_mlps_3"):
        yield Case("world", f"localize {key}", lambda study, key=key: study.localize(key, 1, 0))
    yield Case("paper rule", "localize fact_lookup", lambda study: study.localize("fact_lookup", 0, 0))
    yield Case("sequential", "localize all_mlps part 2", lambda study: study.localize("all_mlps", 0, 1, 1))


def _edits() -> Iterator[Case]:
    everywhere = ("whole", "unlearning", "scaling", "world", "world unlearning", "paper rule", "divergence", "micro batches", "texts")
    for name in everywhere:
        yield Case(name, "edit", lambda study: study.edit("fact_lookup", 0, 0))
    for key in ("fact_lookup", "causal_tracing", "random", "nonlocalized"):
        yield Case("sports", f"edit {key}", lambda study, key=key: study.edit(key, 0, 0))
    yield Case("sports", "edit rescaled", lambda study: study.edit("fact_lookup@random", 0, 0))
    for key in ("causal_tracing_mlps", "random_mlps"):
        yield Case("all steps", f"edit {key}", lambda study, key=key: study.edit(key, 1, 0))
    for part in (0, 1):
        yield Case("sequential", f"edit part {part + 1}", lambda study, part=part: study.edit_part("mlps_0_to_1", 0, 0, part))
    yield Case("sequential", "ask edited", lambda study: study.answers("mlps_0_to_1", 0, 0, "one_shot"))
    yield Case("tuned", "tuning", lambda study: study.tuning("fact_lookup"))
    yield Case("tuned", "edit", lambda study: study.edit("fact_lookup", 0, 0))
    for site in ("early_mlps", "late_mlps"):
        yield Case("planted", f"plant {site}", lambda study, site=site: study.plants[site])
        yield Case("planted", f"undo {site}", lambda study, site=site: study.undone(site))
    for name in ("sports", "whole", "unlearning", "world", "world unlearning"):
        yield Case(name, "trial", lambda study: study.trial("fact_lookup", 1e-3, 1.0))
    for name in ("sports", "unlearning", "world"):
        yield Case(name, "mask", lambda study: study.mask("fact_lookup", 0))
        yield Case(name, "zero", lambda study: study.zeroed("fact_lookup", 0))
    yield Case("sports", "mask random", lambda study: study.mask("random", 0))


def _texts() -> Iterator[Case]:
    for purpose in ("train", "damage"):
        yield Case("sports", f"text to {purpose}", lambda study, purpose=purpose: study.text(purpose))
        yield Case("texts", f"corpus to {purpose}", lambda study, purpose=purpose: study.text(purpose))


def _attacks() -> Iterator[Case]:
    for name in ("sports", "world"):
        for who, key in (("unedited", None), ("edited", "fact_lookup")):
            yield Case(name, f"before {who}", lambda study, key=key: study.before(key, 0, 0))
            for attack, plan in ATTACKS.items():
                for fold in (0, 1) if plan.folds else (None,):
                    # On world facts and on the unedited model half of it says enough.
                    if fold == 1 and (name, key) != ("sports", "fact_lookup"):
                        continue
                    half = "" if fold is None else f" half {fold}"
                    yield Case(name, f"{attack} {who}{half}", _attack(attack, key, fold, None))
                    for null in plan.nulls if key else ():
                        yield Case(name, f"{attack} {who}{half} {null}", _attack(attack, key, fold, null))


def _attack(attack: str, key: str | None, fold: int | None, null: str | None) -> Choose:
    return lambda study: study.attack(attack, key, 0, 0, fold, null)


def _audits() -> Iterator[Case]:
    for name in ("sports", "world"):
        yield Case(name, "damage", lambda study: study.damage("fact_lookup", 0, 0))
        yield Case(name, "rounded change", lambda study: study.crossing("fact_lookup", 0, 0))
        for who, key in (("unedited", None), ("edited", "fact_lookup")):
            yield Case(name, f"localize again {who}", lambda study, key=key: study.relocalized(key, 0, 0))
            yield Case(name, f"latent {who}", lambda study, key=key: study.latent(key, 0, 0))
            yield Case(name, f"consequences {who}", lambda study, key=key: study.consequences(key, 0, 0))


CASES = {
    case.name: case
    for group in (_texts, _answers, _evidence, _localizations, _edits, _attacks, _audits)
    for case in group()
}  # fmt: skip
