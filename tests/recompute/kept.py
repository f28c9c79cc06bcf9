"""Kept rows as studies, told apart by what each run says was asked: plain json, and nothing of mechlib."""

import gzip
import json
import math
import re
from collections import defaultdict

# As many facts a forget set are the scaling study's, which is another task.
SCALED = 192
UNEDITED = "unedited"
SITES = ("early_mlps", "late_mlps")


def read(folder):
    """Every kept run by its id."""
    read = [json.loads(gzip.decompress(path.read_bytes())) for path in sorted(folder.glob("*/*.json.gz"))]
    found = {one["about"]["id"]: one for one in read}
    for run in found.values():
        # An edit whose change was rescaled afterwards was trained as the one that it was made of.
        if stage(run) == "rescaled":
            trained = found[_inputs(run)["edit"]]
            run["about"] = {**run["about"], "asked": trained["about"]["asked"]}
        # Where facts were planted is what an edit of them is named after.
        if stage(run) == "edit" and "planted" in _inputs(run):
            run["site"] = settings(found[_inputs(run)["planted"]])["site"]
    return found


def studies(runs):
    """One dictionary a study with its ``task``, ``trained`` format, ``answers`` and ``relearning`` rows, ``trains`` and ``ids``; with
    what the unedited model answers about all facts: ``known``, sure above a ``threshold``, and ``beyond``, by other formats.

    Edits are of one study if they ask for the same but for localization, forget set, seed, learning rate and coefficient; with
    several settings of relearning there is one study for each.
    """
    groups = defaultdict(dict)
    for key, run in runs.items():
        if stage(run) == "edit":
            groups[_study_of(run)][key] = run
    for edits in [whole for group in groups.values() for whole in _whole(group)]:
        first = next(iter(edits.values()))
        asked = {key: run for key, run in runs.items() if stage(run) in ("answers", "attack") and _belongs(run, first, edits)}
        answers = {key: run for key, run in asked.items() if stage(run) == "answers" and "n_maintain" not in settings(run)}
        attacks = defaultdict(dict)
        for key, run in asked.items():
            if stage(run) == "attack" and settings(run)["attack"] == "relearning" and "labels" not in settings(run)["settings"]:
                attacks[json.dumps(settings(run)["settings"], sort_keys=True)][key] = run
        for attack in attacks.values() or [{}]:
            found = _study(edits, answers, attack)
            inside, zeroed = _inside(runs, edits, first)
            yield {**found, **_unedited(runs, edits), "inside": _probes(inside, edits), "zeroed": _zeroed(zeroed, runs),
                   "ids": found["ids"] | inside.keys() | zeroed.keys()}


def _unedited(runs, edits):
    """What the unedited model knows, and its answers in every format in which it was asked without a forget set: of the most facts."""
    about = settings(next(iter(edits.values())))["about"]
    known = {_inputs(run)["known"] for run in edits.values()} & runs.keys()
    beyond = {}
    for run in runs.values():
        if stage(run) == "known" and settings(run)["subject"] == about["subject"] and "planted" not in _inputs(run):
            form = settings(run)["format"]["key"]
            beyond[form] = max(beyond.get(form, []), run["rows"], key=len)
    rows = [row for key in sorted(known) for row in runs[key]["rows"]]
    return {"known": rows, "threshold": about["splits"]["threshold"], "beyond": beyond}


def _inside(runs, edits, first):
    """Runs that looked inside the edits or the unedited model, and those that set weights to zero of the same facts at the same places."""
    inside = {key: run for key, run in runs.items() if stage(run) == "latent" and _belongs(run, first, edits)}
    places = {(json.dumps(settings(one)["about"], sort_keys=True), arm(one, {key: one})[0]) for key, one in edits.items()}
    zeroed = {key: run for key, run in runs.items() if stage(run) == "zeroed" and _place(run, runs) in places}
    return inside, zeroed


def _place(run, runs):
    chosen = runs.get(_inputs(run)["localize"])
    return json.dumps(settings(run)["about"], sort_keys=True), chosen and chosen["about"]["value"]["name"]


def _probes(inside, edits):
    """Probes at the end of the prompt. Rows of earlier versions have no log odds."""
    return [row for run in inside.values() for row in _rows(run, edits)
            if (row["audit"], row.get("position")) == ("probe", "prompt") and "log_odds" in row]  # fmt: skip


def _zeroed(zeroed, runs):
    """Answers with weights at zero, of as many as the mask reaches."""
    return [{"localization": _place(run, runs)[1], "forget_set": settings(run)["about"]["forget_set"], **row}
            for run in zeroed.values() for row in run["rows"] if row["size"] <= run["about"]["value"]["masked"]]  # fmt: skip


def _whole(edits):
    """The edits of one study, or of several that share some: for each choice of forget sets that an arm has, all arms that have these."""
    sets = defaultdict(set)
    for key, run in edits.items():
        name, number, _ = arm(run, {key: run})
        sets[name].add(number)
    for wanted in sorted({tuple(sorted(own)) for own in sets.values()}, reverse=True):
        among = {name for name, own in sets.items() if own.issuperset(wanted)}
        yield {key: run for key, run in edits.items() if (found := arm(run, {key: run}))[0] in among and found[1] in wanted}


def _study(edits, answers, attacks):
    trained = settings(next(iter(edits.values())))["about"]["format"]["key"]
    prompting = [row for run in answers.values() for row in _rows(run, edits)]
    trains = defaultdict(dict)
    for run in edits.values():
        name, number, _ = arm(run, {run["about"]["id"]: run})
        trains[name][number] = run["about"]["value"]["localization"]
    return {
        "task": _task(next(iter(edits.values())), prompting), "trained": trained, "answers": prompting,
        "relearning": [row for run in attacks.values() for row in _rows(run, edits)], "trains": dict(trains),
        "sites": {settings(run)["about"]["forget_set"]: run["site"] for run in edits.values() if "site" in run},
        "ids": {*edits, *answers, *attacks},
    }  # fmt: skip


def stage(run):
    return run["about"]["asked"]["stage"]


def settings(run):
    return run["about"]["asked"]["settings"]


def _inputs(run):
    return run["about"]["asked"]["inputs"]


def arm(run, edits):
    """Localization, forget set and seed of an edit, or of what was asked of it; two repetitions never have one seed."""
    edit = edits.get(_inputs(run).get("edit") if stage(run) != "edit" else run["about"]["id"])
    about = settings(run).get("about") or settings(run)["asked"]["about"]
    if edit is None:
        return UNEDITED, about["forget_set"], 0
    name = edit["about"]["value"]["localization"]["name"]
    if name in SITES and edit.get("site") in SITES:
        name = "planted_site" if name == edit["site"] else "other_site"
    return name, about["forget_set"], settings(edit)["training"]["seed"]


def _rows(run, edits):
    name, number, seed = arm(run, edits)
    extra = {} if stage(run) != "attack" else {"attack": settings(run)["attack"], "fold": settings(run).get("fold")}
    return [{"localization": name, "forget_set": number, "seed": seed, **extra, **row} for row in run["rows"]]


def _study_of(edit):
    asked = settings(edit)
    about = {name: value for name, value in asked["about"].items() if name != "forget_set"}
    free = ("learning_rate", "forget_coefficient", "seed")
    training = {name: value for name, value in asked["training"].items() if name not in free}
    # Models with facts planted at one site or the other are of one study; those with facts planted everywhere are of another.
    same = {role: _inputs(edit).get(role) for role in (("texts",) if "site" in edit else ("known", "texts"))}
    same["planted"] = "site" in edit and ("somewhere" if edit["site"] in SITES else "everywhere")
    floor = {name: value for name, value in asked.get("floor", {}).items() if name != "seed"}
    return json.dumps([about, asked["part"], training, same, floor, "tune" in _inputs(edit)], sort_keys=True)


def _belongs(run, edit, edits):
    """Of one of the edits; or of the unedited model, about the same facts."""
    if "edit" in _inputs(run):
        return _inputs(run)["edit"] in edits
    about = settings(run).get("about") or settings(run)["asked"]["about"]
    own, known = settings(edit)["about"], {(settings(one)["about"]["forget_set"], _inputs(one)["known"]) for one in edits.values()}
    return all(about[name] == own[name] for name in ("subject", "splits")) and (about["forget_set"], _inputs(run)["known"]) in known


def _task(edit, rows):
    """The task that a claim names, or ``None`` for those that no claim is about."""
    asked, relations = settings(edit), {row["relation"] for row in rows}
    split = asked["about"]["splits"]
    if split["forget"] != "sets" or asked["training"]["loss"] != "injection" or asked["part"][1] != 1 or split["set_size"] >= SCALED:
        return None
    if "site" in edit:
        return "planted-facts" if edit["site"] in SITES else "planted-everywhere"
    return "sports-athlete-editing" if relations == {"sport"} else "counterfact-editing"


def shared_weights(one, other):
    """Weighted Jaccard index of what two localizations train."""
    mine, theirs = _units(one), _units(other)
    both = sum(weight for unit, weight in mine.items() if unit in theirs)
    return both / sum({**mine, **theirs}.values())


def _units(found):
    """Each row or column that is trained, with the number of its weights: MLPs by neuron, attention by head and shared head."""
    arch = found["provenance"]["architecture"]
    groups = arch["n_heads"], arch["n_key_value_heads"]
    units = {}
    for name in found["components"]:
        layer, kind, index = re.fullmatch(r"L(\d+)\.([a-z]+)(\d*)", name).groups()
        wanted = {"mlp": [("neuron", arch["d_mlp"])], "attn": [("head", groups[0]), ("kv", groups[1])]}.get(kind, [(kind, None)])
        for part, count in wanted:
            width = (2 if "gated" in arch else 3) * arch["d_model"] if part == "neuron" else 2 * arch["d_model"] * arch["d_head"]
            units |= {(layer, part, number): width for number in ([int(index)] if count is None else range(count))}
    return units


def average(rows, outcome, within=None):
    """One number a fact by forget set: rows averaged, within each format first if ``within`` is its column."""
    cells = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for row in rows:
        cells[row["forget_set"]][row["subject"], row.get("relation")][row[within] if within else 0].append(float(outcome(row)))
    return {number: {fact: _mean(map(_mean, parts.values())) for fact, parts in facts.items()} for number, facts in cells.items()}


def by_set(values):
    """The mean over facts of each forget set."""
    return {number: _mean(facts.values()) for number, facts in values.items()}


def _mean(values):
    several = list(values)
    return math.fsum(several) / len(several)
