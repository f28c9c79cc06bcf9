"""A reproducibility card: code, data, splits, seeds, hardware, software and setup, each from what runs recorded or a study declares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

import mechlib
from mechlib.attacks.registry import ATTACKS
from mechlib.report import numerals
from mechlib.report.book_studies import declared_studies, study_behind
from mechlib.report.card import count
from mechlib.report.reproduce import command
from mechlib.report.tables import named
from mechlib.runs.manifest import manifest
from mechlib.runs.study import Study

_SHORT = 8
_UNKNOWN = "not recorded"
# By study, how its runs were computed.
Behind = Mapping[Study, Sequence[Mapping[str, Any]]]


def card(study: Study, behind: Behind) -> pd.DataFrame:
    """One line a field. ``behind``: the studies that were run; where none was, machine and software are this one's."""
    manifests = [how for own in behind.values() for how in own]
    where = count(len(manifests), "kept run") if manifests else "no kept run: this machine, now"
    manifests = manifests or [manifest(0.0)]
    fields = {
        "code": f"mechlib {mechlib.__version__}; computed at commits {_each(_commit(how) for how in manifests)} ({where})",
        "model": f"{study.model_spec.name} ({study.model_spec.location}, {study.model_spec.licence or 'licence: see its page'}), "
                 f"weights in {study.model_spec.dtype}",
        "data": _lines(_table, study, behind),
        "general text": _lines(_texts, study, behind),
        "splits": _lines(_splits, study, behind),
        "seeds": _lines(_seeds, study, behind),
        "hardware": _each(f"{how.get('machine') or _UNKNOWN}, {_threads(how)} a run" for how in manifests),
        "precision": _each(str(how.get("precision") or _UNKNOWN) for how in manifests),
        "software": _each(_software(how) for how in manifests),
        "time": f"{sum(how.get('seconds', 0.0) for how in manifests) / 3600:.1f} hours of one process",
        "setup": "make execute installs what requirements.lock pins, computes what is missing, executes pages and builds the book. "
                 f"These rows:\n{_lines(_command, study, behind)}",
        "attack": _lines(_attack, study, behind),
    }  # fmt: skip
    return pd.DataFrame([{"field": name, "value": value} for name, value in fields.items()])


def _lines(say: Callable[[Study], str], study: Study, behind: Behind) -> str:
    """What is said of each study, a line each; studies of which the same is said share it."""
    return "\n".join(dict.fromkeys(map(say, list(behind) or [study])))


def _table(study: Study) -> str:
    table, relations = study.table, len({fact.relation for fact in study.table})
    return f"{study.kind.label}: {numerals.count(len(table))} facts, relations: {relations}, digest {table.fingerprint[:_SHORT]}"


def _texts(study: Study) -> str:
    about = study.text("train").settings
    source = about.corpus.source if about.corpus else "the model's own samples"
    return f"{about.count} texts of {about.length} tokens to train on, others to measure damage: {source}"


def _splits(study: Study) -> str:
    found = study.splits
    sets = f"{count(found.n_sets, 'forget set')} of {found.set_size}"
    sets = sets if found.set_size else f"{count(found.n_sets, 'answer')} with all facts that have it"
    known = f"of the facts known ({named(study.known_format or study.kind.domain.known_format)}, above {found.threshold:g})"
    return (f"{study.kind.label}: {known}: {sets}, {found.n_localize} to localize, {found.n_validate} to choose hyperparameters on, "
            f"{found.n_test} to maintain and test")  # fmt: skip


def _seeds(study: Study) -> str:
    repeated = f"{count(study.size.n_seeds, 'repetition')} of an edit"
    return f"seed {study.seed}, {repeated}; each forget set draws its own order of training and adapters"


def _attack(study: Study) -> str:
    settings = ", ".join(f"{name.replace('_', ' ')} {_plain(value)}" for name, value in study.relearning)
    halves = "each half is taught in turn" if study.size.n_folds > 1 else "one half is taught"
    return f"{ATTACKS['relearning'].label}: {settings}; {halves}, the other is held back"


def _plain(value: Any) -> str:
    return " and ".join(map(numerals.plain, value)) if isinstance(value, tuple | list) else numerals.plain(value)


def _command(study: Study) -> str:
    own = study_behind(study, declared_studies())
    return command("", own.key if own else "", study.model, study.profile, {})


def _threads(how: Mapping[str, Any]) -> str:
    return count(how["threads"], "thread") if how.get("threads") else f"{_UNKNOWN} how many threads"


def _commit(how: Mapping[str, Any]) -> str:
    return str(how.get("commit") or _UNKNOWN)[:_SHORT] + (" with changes" if how.get("dirty") else "")


def _software(how: Mapping[str, Any]) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in how.get("packages", {}).items())
    return f"Python {how.get('python') or _UNKNOWN}: {packages or _UNKNOWN}"


def _each(values: Any) -> str:
    """What there is, the commonest first."""
    return "; ".join(value for value, _ in Counter(values).most_common())
