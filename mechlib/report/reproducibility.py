"""A reproducibility card: code, data, splits, seeds, hardware, software and setup, each from what runs recorded or a study declares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

import mechlib
from mechlib.attacks.registry import ATTACKS
from mechlib.report.judged import Judged
from mechlib.runs.manifest import manifest
from mechlib.runs.study import Study

_SHORT = 8
_UNKNOWN = "not recorded"


def card(study: Study, ours: Mapping[str, Judged]) -> pd.DataFrame:
    """One line a field. ``ours``: what was run, by task; where that is nothing, machine and software are this one's."""
    manifests = [how for one in ours.values() for how in one.manifests]
    where = f"{len(manifests)} kept runs" if manifests else "no kept run: this machine, now"
    manifests = manifests or [manifest(0.0)]
    fields = {
        "code": f"mechlib {mechlib.__version__}; computed at commits {_each(_commit(how) for how in manifests)} ({where})",
        "model": f"{study.model_spec.name} ({study.model_spec.location}, {study.model_spec.licence or 'licence: see its page'}), "
                 f"weights in {study.model_spec.dtype}",
        "data": "; ".join(_table(one) for one in _studies(study, ours)),
        "general text": "; ".join(dict.fromkeys(_texts(one) for one in _studies(study, ours))),
        "splits": "; ".join(_splits(one) for one in _studies(study, ours)),
        "seeds": "; ".join(dict.fromkeys(_seeds(one) for one in _studies(study, ours))),
        "hardware": _each(f"{how.get('machine') or _UNKNOWN}, {how.get('threads') or _UNKNOWN} threads a run" for how in manifests),
        "precision": _each(str(how.get("precision") or _UNKNOWN) for how in manifests),
        "software": _each(_software(how) for how in manifests),
        "time": f"{sum(how.get('seconds', 0.0) for how in manifests) / 3600:.1f} hours of one process",
        "setup": "make execute installs what requirements.lock pins, computes what is missing, executes every page and builds the book; "
                 f"these rows: {'; '.join(_command(one.study) for one in ours.values()) or _command(study)}",
        "attack": "; ".join(dict.fromkeys(_attack(one) for one in _studies(study, ours))),
    }  # fmt: skip
    return pd.DataFrame([{"field": name, "value": value} for name, value in fields.items()])


def _studies(study: Study, ours: Mapping[str, Judged]) -> Sequence[Study]:
    return [one.study for one in ours.values()] or [study]


def _table(study: Study) -> str:
    table, relations = study.table, len({fact.relation for fact in study.table})
    return f"{study.kind.label}: {len(table)} facts, relations: {relations}, digest {table.fingerprint[:_SHORT]}"


def _texts(study: Study) -> str:
    about = study.text("train").settings
    source = about.corpus.source if about.corpus else "the model's own samples"
    return f"{about.count} texts of {about.length} tokens to train on, others to measure damage: {source}"


def _splits(study: Study) -> str:
    found = study.splits
    sets = f"{found.n_sets} forget sets of {found.set_size}" if found.set_size else f"{found.n_sets} answers, each with all its facts"
    return (f"{study.kind.label}: of the facts known in {study.known_format} (above {found.threshold:g}): {sets}, {found.n_localize} to "
            f"localize, {found.n_validate} to choose hyperparameters on, {found.n_test} to maintain and test")  # fmt: skip


def _seeds(study: Study) -> str:
    return f"seed {study.seed}, {study.size.n_seeds} repetition(s) an edit; each forget set draws its own order of training and adapters"


def _attack(study: Study) -> str:
    settings = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in study.relearning)
    return f"{ATTACKS['relearning'].label}: {settings}; {study.size.n_folds} half (halves) held in turn"


def _command(study: Study) -> str:
    return f"make execute MODEL={study.model} PROFILE={study.profile} (each page's banner says what else was changed)"


def _commit(how: Mapping[str, Any]) -> str:
    return str(how.get("commit") or _UNKNOWN)[:_SHORT] + (" with changes" if how.get("dirty") else "")


def _software(how: Mapping[str, Any]) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in how.get("packages", {}).items())
    return f"Python {how.get('python') or _UNKNOWN}: {packages or _UNKNOWN}"


def _each(values: Any) -> str:
    """What there is, the commonest first."""
    return "; ".join(value for value, _ in Counter(values).most_common())
