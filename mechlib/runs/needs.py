"""What pages ask for, by name: the runs, each with the columns that identify its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from mechlib.attacks.registry import ATTACKS
from mechlib.facts import FORMATS
from mechlib.localize.registry import localizer
from mechlib.runs.spec import RunSpec
from mechlib.runs.specs.asking import Specs
from mechlib.runs.specs.localizing import BY_POSITION, REDRAWN

Needed = Sequence[tuple[Mapping[str, Any], RunSpec]]
Arm = tuple[Mapping[str, Any], tuple[str, int, int]]


def _arms(study: Specs) -> list[Arm]:
    return [({"localization": key, "forget_set": number, "seed": seed}, (key, number, seed)) for key, number, seed in study.arms()]


def _unedited_and_edited(study: Specs) -> list[tuple[Mapping[str, Any], tuple[str | None, int, int]]]:
    before = [({"localization": "unedited", "forget_set": number, "seed": 0}, (None, number, 0)) for number in range(study.size.n_sets)]
    return [*before, *_arms(study)]


def _unedited(study: Specs, formats: tuple[str, ...]) -> Needed:
    return [
        ({"localization": "unedited", "forget_set": number, "seed": 0}, study.answers(None, number, 0, form))
        for number in range(study.size.n_sets)
        for form in formats
    ]


def _asked(study: Specs, formats: tuple[str, ...]) -> Needed:
    edited = [(arm, study.answers(*where, form)) for arm, where in _arms(study) for form in formats]
    return [*_unedited(study, formats), *edited]


def _known(study: Specs) -> Needed:
    if not study.sites:
        return [({}, study.known)]
    return [({"site": site}, run) for site, run in study.by_site.items()]


def _found(study: Specs) -> Needed:
    sites = enumerate(study.sites)  # the first forget sets are those of the sites in their order
    # Where every set has a place of its own, what each method finds is compared over places, and with what a draw finds.
    seekers = (*study.size.seekers, *(("random_mlps",) if study.kind.spread else ()))
    return [({"localization": key, "site": site}, study.localize(key, number, 0)) for number, site in sites for key in seekers]


def _formats(study: Specs) -> tuple[str, ...]:
    """Every format that is asked for, and the one that edits are trained on: without it nothing tells how well they did."""
    return tuple(dict.fromkeys((*(study.formats or ()), study.trained_format)))


def _evidence(study: Specs) -> Needed:
    wanted = {study.kind.domain.lookup, BY_POSITION, *(localizer(key).evidence for key in study.localizations or ())}
    return [({"evidence": name}, run) for name, run in study.evidence.items() if name in wanted]


def _methods(study: Specs) -> Needed:
    if study.kind.domain.lookup not in study.size.compared:
        return [(columns, run) for columns, run in _evidence(study) if columns["evidence"] != BY_POSITION]
    return [_of_evidence(study, name) for name in study.evidence if name != REDRAWN]


def _edits(study: Specs) -> Needed:
    return [
        ({**arm, "part": part}, study.edit_part(*where, part)) for arm, where in _arms(study) for part in range(study.parts)
    ]


def _localizations(study: Specs) -> Needed:
    return [({**arm, "part": part}, study.localize(*where, part)) for arm, where in _arms(study) for part in range(study.parts)]


def _of_evidence(study: Specs, name: str) -> tuple[Mapping[str, Any], RunSpec]:
    return {"evidence": name}, study.evidence[name]


def _by_set(study: Specs, run: Callable[[str, int], RunSpec]) -> Needed:
    sets = range(study.size.n_sets)
    return [({"localization": key, "forget_set": number}, run(key, number)) for number in sets for key in study.localizations or ()]


def _all(study: Specs) -> Iterator[tuple[Mapping[str, Any], tuple[str | None, int, int]]]:
    """Unedited and edited models, set after set: what is done of a long run is whole sets."""
    for seed in range(study.size.n_seeds):
        for number in range(study.size.n_attacked_sets):
            for key in (None, *(study.localizations or ())) if seed == 0 else study.localizations or ():
                yield {"localization": key or "unedited", "forget_set": number, "seed": seed}, (key, number, seed)


def _sampled(study: Specs, form: str) -> RunSpec:
    """A format asked of as many facts as are compared; the one that decides what is known was asked of all anyway."""
    return study.asked_of_all(form, None if form == study.known_format else study.size.n_asked)


def _attacked(study: Specs, name: str) -> Needed:
    folds = range(study.size.n_folds) if ATTACKS[name].folds else (None,)
    return [({**arm, "attack": name, "fold": fold}, study.attack(name, *where, fold)) for arm, where in _all(study) for fold in folds]


def _nulls(study: Specs, name: str) -> Needed:
    fold = 0 if ATTACKS[name].folds else None
    return [
        ({**arm, "attack": name, "fold": fold, "null": null}, study.attack(name, *where, fold, null))
        for arm, where in _all(study)
        if arm["forget_set"] < study.size.n_null_sets
        for null in _possible_nulls(study, name)[: study.size.n_nulls]
    ]


def _possible_nulls(study: Specs, name: str) -> list[str]:
    """All but those that permute answers, where everybody has the same one."""
    alike = study.kind.forget == "answers"
    return [null for null, changed in ATTACKS[name].nulls.items() if not (alike and changed.get("labels") == "permuted")]


def _audited(study: Specs, run: Callable[[Specs, str | None, int, int], RunSpec]) -> Needed:
    return [(arm, run(study, *where)) for arm, where in _all(study)]


NEEDS: dict[str, Callable[[Specs], Needed]] = {
    # every fact asked in the format that decides what is known; and in every format that is compared
    "know": _known,
    "asked": lambda study: [({"format": form}, _sampled(study, form)) for form in study.formats or ()],
    # the unedited model in formats that only some claims ask for
    "able": lambda study: [({"format": form}, _sampled(study, form)) for form in study.kind.beyond],
    # what the localizations are chosen from; everything that scores components
    "evidence": _evidence,
    "methods": _methods,
    # what fact lookup is chosen from, and where that is probes what others would choose it from
    "lookup_variants": lambda study: [({"evidence": name}, run) for name, run in study.lookup_variants.items()],
    # causal tracing with new noise in every run; circuits of the methods
    "redrawn": lambda study: [_of_evidence(study, REDRAWN)],
    "circuits": lambda study: [({}, study.circuits)],
    "localize": _localizations,
    # where every method finds planted facts, and what fact lookup finds them by
    "found": _found,
    "looked_up": lambda study: [({"site": site}, study.evidence_at[site][study.kind.domain.lookup]) for site in study.sites],
    "planted": lambda study: [({"site": site}, run) for site, run in study.plants.items()],
    "undone": lambda study: [({"site": site}, study.undone(site)) for site in study.plants],
    "tuning": lambda study: [({"localization": key}, study.tuning(key)) for key in study.localizations or ()],
    "trials": lambda study: [
        ({"localization": key}, trial) for key in study.localizations or () for trial in study.tuning(key).inputs.values()
    ],
    "edit": _edits,
    "masks": lambda study: _by_set(study, study.mask),
    "zeroed": lambda study: _by_set(study, study.zeroed),
    # the unedited model in the format that edits are trained on; and in each that they could be
    "unedited": lambda study: _unedited(study, (study.trained_format,)),
    "trainable": lambda study: _unedited(study, tuple(form for form in study.formats or () if not FORMATS[form].letters)),
    # the unedited model in every format; with it the edited ones in the format they were trained on, or in every format
    "baseline": lambda study: _unedited(study, _formats(study)),
    "trained": lambda study: _asked(study, (study.trained_format,)),
    "prompting": lambda study: _asked(study, _formats(study)),
    "damage": lambda study: [(arm, study.damage(*where)) for arm, where in _arms(study)],
    # every attack and its nulls, and the audits, of the unedited model and of all edits
    "attacks": lambda study: [run for name in ATTACKS for run in _attacked(study, name)],
    **{name: partial(_attacked, name=name) for name in ATTACKS},
    **{f"{name}_nulls": partial(_nulls, name=name) for name, attack in ATTACKS.items() if attack.nulls},
    # what rounding leaves of each edit's change; where methods find the facts before and after edits
    "crossing": lambda study: [(arm, study.crossing(*where)) for arm, where in _arms(study)],
    "relocalized": lambda study: [(arm, study.relocalized(*where)) for arm, where in _unedited_and_edited(study)],
    "latent": partial(_audited, run=Specs.latent),
    "ripple": partial(_audited, run=Specs.consequences),
}
