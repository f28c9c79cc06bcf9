"""Who finds facts that were planted at many places, computed a second time from the kept rows: plain json, and nothing of mechlib."""

import json
import re
from collections import defaultdict

from kept import settings, stage

PLACE = re.compile(r"site_(\d+)_of_\d+")


def sought(runs):
    """One dictionary a study: what each method ``missed`` at each place, what share of the taught facts was ``learned`` there, ``ids``."""
    groups = defaultdict(lambda: {"task": "planted-places", "missed": defaultdict(dict), "learned": {}, "ids": set()})
    for key, run in runs.items():
        for lookup in _probes(run, runs):
            planted, known = (runs[_inputs(lookup)[role]] for role in ("planted", "known"))
            place = int(PLACE.fullmatch(settings(planted)["site"])[1])
            study = groups[_asked(run, lookup, planted)]
            there, mine = (set(value["components"]) for value in (planted["about"]["value"]["localization"], run["about"]["value"]))
            study["missed"][run["about"]["value"]["name"]][place] = len(there - mine) / len(there)
            taught = [row["correct"] for row in known["rows"] if row["taught"]]
            study["learned"][place] = sum(taught) / len(taught)
            study["ids"].add(key)
    return list(groups.values())


def _probes(run, runs):
    """The kept probes that a localization was chosen from, or by whose size, if they are of a model with facts planted at a place."""
    inputs = [runs[one] for one in _inputs(run).values() if one in runs] if stage(run) == "localize" else []
    for one in inputs:
        whole = stage(one) == "evidence" and {_inputs(one).get("planted"), _inputs(one)["known"]} <= runs.keys()
        if whole and PLACE.fullmatch(settings(runs[_inputs(one)["planted"]])["site"]):
            yield one


def _inputs(run):
    return run["about"]["asked"]["inputs"]


def _asked(run, lookup, planted):
    """What tells studies apart: what was taught and how, and how methods looked for it."""
    plant = {**settings(planted), "site": PLACE.fullmatch(settings(planted)["site"])[0].partition("_of_")[2]}
    return json.dumps([plant, settings(lookup), settings(run)["rule"]], sort_keys=True)
