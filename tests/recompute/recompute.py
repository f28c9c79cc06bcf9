"""Every claim of the claims file, computed a second time from the kept rows: ``python tests/recompute/recompute.py`` prints each line.

It reads book/claims.toml and book/results/rows, and imports json, numpy and nothing of mechlib.
"""

import json
import math
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

import numpy as np
from exact import (
    ENOUGH,
    LEVEL,
    balanced,
    beyond,
    equivalent,
    first_effect,
    holm,
    least,
    share_low,
    sign_flip,
    student,
    upper_end,
    wilson_low,
)
from kept import UNEDITED, average, by_set, read, shared_weights, studies

ROOT = Path(__file__).parents[2]
# Answers that compete in a closed relation: three sports and golf. An open relation has none, and guessing is never right.
OPTIONS = {"sport": 4}
ABOVE_CHANCE, BROKEN = 0.10, 0.9
# Formats that count for the claims which name them, and for no other.
NAMED = {"word_choice", "spanish", "french", "german"}
# With fewer places edited, depth and lookup are not told apart.
PLACES = 10
# What the outcome of a claim begins with.
MEASURES = ("transfer", "relearning", "latent knowledge", "weights masked")
# What a comparison is called for which one change was rescaled.
EQUAL = " at equal norm"


def lines(claims, study):
    """Each comparison that is declared about the study's task: a dictionary, without ``gaps`` where it was not run."""
    found = [_line(claims["gates"], claim, rival, study) for claim in claims["claim"] if claim["task"] == study["task"]
             for rival in claim["rivals"]]  # fmt: skip
    for family in {one["family"] for one in found}:
        own = [one for one in found if one["family"] == family and one.get("p") is not None and one["stopped"] != "not a contrast"]
        adjusted = holm({number: one["p"] for number, one in enumerate(own)})
        for number, one in enumerate(own):
            one |= {"adjusted": adjusted[number], "of": len(own)}
    return [{**one, "verdict": _verdict(one)} for one in found]


def _verdict(one):
    if one["rule"] == "none":
        return "descriptive: no rule"
    if "gaps" not in one and "effect" not in one:
        return one.get("stopped") or "not run yet"
    if one["stopped"]:
        return one["stopped"]
    if "adjusted" not in one:
        return "no inference"
    if "effect" in one:
        effect, error, free = one["effect"]
        if one["adjusted"] <= LEVEL:
            return "supported" if effect < 0 else "contradicted"
        return "equivalent" if abs(effect) + student(0.95, free) * error < one["margin"] else "undecided"
    gaps = list(one["gaps"].values())
    if one["adjusted"] <= LEVEL:
        return "supported" if sum(gaps) < 0 else "contradicted"
    if equivalent(gaps, one["margin"]):
        return "equivalent"
    return "undecidable" if least(gaps) * one["of"] > LEVEL else "undecided"


def _line(gates, claim, rival, study):
    run = {row["localization"] for row in study["answers"]} - {UNEDITED}
    arms = _arms(claim, rival, run)
    line = {"claim": claim["key"], "rival": rival, "family": claim["family"], "rule": claim["rule"], "margin": claim.get("margin")}
    if any(share < gates["able"] for share in _given(claim, study)):
        return {**line, "stopped": "not testable"}
    if claim["rule"] == "mixed model":
        return {**line, **_at_equal_depth(gates, claim, study, run)}
    claim = {**claim, "outcome": next((one for one in MEASURES if claim["outcome"].startswith(one)), claim["outcome"])}
    values = _values(claim, study, arms) if run.issuperset(arms) else None
    if values is None:
        return line
    gaps = {}
    for number, facts in values[0].items():
        assert facts.keys() == values[1][number].keys(), (line, number)
        gaps[number] = math.fsum(facts[fact] - values[1][number][fact] for fact in facts) / len(facts)
    gaps = dict(sorted(gaps.items()))
    stopped = _stopped(gates, claim, study, arms)
    if claim["rule"] == "balanced" and len(gaps) >= ENOUGH:
        effect = balanced(gaps, study["sites"])
        return {**line, "effect": effect, "n_sets": len(gaps), "p": beyond(effect[0] / effect[1], effect[2]), "stopped": stopped}
    p = sign_flip(list(gaps.values())) if len(gaps) >= ENOUGH else None
    return {**line, "gaps": gaps, "p": p, "stopped": stopped}


def _arms(claim, rival, run):
    """The two arms of a comparison: as they were edited, or the one that was rescaled to the norm of the other beside it."""
    first = claim["first"]
    if not claim["outcome"].endswith(EQUAL):
        return first, rival
    return (f"{first}@{rival}", rival) if f"{first}@{rival}" in run else (first, f"{rival}@{first}")


def _at_equal_depth(gates, claim, study, run):
    """The effect of sharing MLPs with fact lookup, over places of as many MLPs, the same in all sets, at equal depth and its square."""
    own = study["trains"].get(claim["first"], {})
    size, same = {one["parameters"] for one in own.values()}, {}
    for arm, sets in study["trains"].items():
        trained = {json.dumps(one["components"]) for one in sets.values()}
        mlps = all(name.endswith(".mlp") for one in sets.values() for name in one["components"])
        if arm in run and len(trained) == 1 and mlps and {one["parameters"] for one in sets.values()} == size:
            same[arm] = sets
    plain = {**claim, "outcome": claim["outcome"].removesuffix(" at equal depth")}
    found = {arm: by_set(values[0]) for arm in same if (values := _values(plain, study, [arm]))}
    if not found:
        return {}
    numbers = sorted(set.intersection(*(set(sets) for sets in found.values())))
    depth = {arm: np.mean([int(name[1:].partition(".")[0]) for name in next(iter(same[arm].values()))["components"]]) for arm in same}
    middle = np.mean(list(depth.values()))
    out = {arm: why for arm in found if (why := _stopped(gates, plain, study, [arm]))}
    used = [arm for arm in found if arm not in out]
    if len(used) < PLACES:
        return {}
    shared = {arm: np.mean([shared_weights(own[n], same[arm][n]) for n in own.keys() & same[arm].keys()]) for arm in used}
    terms = np.array([[shared[arm], depth[arm], (depth[arm] - middle) ** 2] for arm in used])
    effect = first_effect(np.array([[found[arm][number] for number in numbers] for arm in used]), terms)
    few = "not edited alike" if len(used) < gates["edited"] * len(found) else ""
    stopped = "void" if _void(study, study["trained"]) else few
    return {"effect": effect, "n_sets": len(numbers), "p": beyond(effect[0] / effect[1], effect[2]), "stopped": stopped}


def _given(claim, study):
    """In each of a claim's own formats that was asked, the share of the facts that the unedited model is sure of which it gives."""
    sure = {(row["relation"], row["subject"]) for row in study["known"] if _certainty(row) > study["threshold"]}
    for form in claim.get("formats", []):
        asked = [row["correct"] for row in study["beyond"].get(form, []) if (row["relation"], row["subject"]) in sure]
        if asked:
            yield sum(asked) / len(asked)


def _certainty(row):
    return math.exp(row["log_probability"]) if row["open"] else row["probability"]


def _odds(row):
    return row["log_probability"] - row["target_log_probability"]


def _right(row):
    return row["correct"]


def _values(claim, study, arms):
    """Both arms' log odds of the true answer over the edit target, by set and fact."""
    if claim["outcome"] == "relearning" and study["relearning"] and claim.get("attack", _last(study)[0]) == _last(study)[0]:
        at, within = _last(study), None
        rows = {arm: [row for row in _of_arm(study, "relearning", arm) if (row["setting"], row["step"]) == at] for arm in arms}
    elif claim["outcome"] == "transfer" and (formats := _formats(claim, study)):
        rows, within = {arm: [row for row in _of_arm(study, "answers", arm) if row["format"] in formats] for arm in arms}, "format"
    elif claim["outcome"] == "latent knowledge":
        found = [average([row for row in _above(study, arms) if row["localization"] == arm], _log_odds, "layer") for arm in arms]
        return found if all(found) else None
    elif claim["outcome"] == "weights masked":
        found = [_selective(study, arm, arms) for arm in arms]
        return found if all(found) else None
    else:
        return None
    asked = [[row for row in rows[arm] if row["group"] == "forget" and row["target_log_probability"] is not None] for arm in arms]
    found = [average(own, _odds, within) for own in asked]
    return found if all(found) else None


def _of_arm(study, name, arm):
    """The rows of one kind about one arm, sorted out once."""
    if (name, "by arm") not in study:
        own = study[name, "by arm"] = defaultdict(list)
        for row in study[name]:
            own[row["localization"]].append(row)
    return study[name, "by arm"][arm]


def _log_odds(row):
    return row["log_odds"]


def _above(study, arms):
    """Rows of probes in layers above the last that either arm edited, in which probes can be read in these arms and the unedited model."""
    rows = [row for row in study["inside"] if row["localization"] in (UNEDITED, *arms)]
    runs = defaultdict(dict)
    for row in rows:
        shares = [row[name] / row["held_out_total"] for name in ("held_out_correct", "control_correct")]
        runs[row["localization"], row["layer"]][row["forget_set"], row.get("seed", 0)] = (*shares, row["held_out_total"])
    told = set()
    for place, own in runs.items():
        share, control = (float(np.mean([one[n] for one in own.values()])) for n in (0, 1))
        if wilson_low(share, min(one[2] for one in own.values())) >= control + ABOVE_CHANCE:
            told.add(place)
    layers = {row["layer"] for row in rows if all((arm, row["layer"]) in told for arm in (UNEDITED, *arms))}
    last = {number: max(int(name[1:].partition(".")[0]) for arm in arms for name in study["trains"][arm][number]["components"])
            for number in study["trains"][arms[0]].keys() & study["trains"][arms[1]].keys()}  # fmt: skip
    return [row for row in rows if row["layer"] in layers and row["forget_set"] in last and row["layer"] > last[row["forget_set"]]]


def _selective(study, arm, arms):
    """Log odds of each fact to forget beyond the mean of those to maintain, over the numbers of zeroed weights that all arms reach."""
    rows = defaultdict(lambda: defaultdict(list))
    for row in study["zeroed"]:
        if row["format"] == study["trained"] and row["target_log_probability"] is not None:
            rows[row["forget_set"], row["size"]][row["localization"], row["group"]].append(row)
    found = []
    for own in rows.values():
        if all((one, "maintain") in own for one in arms):
            kept = sum(map(_odds, own[arm, "maintain"])) / len(own[arm, "maintain"])
            found += [{**row, "log_odds": _odds(row) - kept} for row in own[arm, "forget"]]
    return average(found, _log_odds, "size")


def _formats(claim, study):
    """Those that were not trained and in which the unedited model is above chance; of a claim about some, these or none."""
    # Neighbours are asked in a format of their own, the edited facts never.
    asked = {row["format"] for row in study["answers"] if row["group"] == "forget"} - {study["trained"]}
    usable = {form for form in asked if not _void(study, form)}
    return usable - NAMED if not claim.get("formats") else set(claim["formats"]) if set(claim["formats"]) <= usable else set()


def _void(study, form):
    """Whether the unedited model is at chance in a format, looked for once."""
    if ("void", form) not in study:
        study["void", form] = _at_chance(study, form)
    return study["void", form]


def _at_chance(study, form):
    rows = [row for row in _of_arm(study, "answers", UNEDITED) if (row["group"], row["format"]) == ("forget", form)]
    closed = [OPTIONS[row["relation"]] for row in rows if not row["open"] and row["relation"] in OPTIONS]
    return share_low(average(rows, _right)) < 1 / min(closed, default=math.inf) + ABOVE_CHANCE


def _last(study):
    """The setting of a study's relearning that counts, looked for once."""
    if "last" not in study:
        study["last"] = last_setting(study["relearning"])
    return study["last"]


def last_setting(rows):
    """Of the last step of each setting, the one that breaks the fewest models, then the one that brings back most on average over edits."""
    last = defaultdict(int)
    for row in rows:
        last[row["setting"]] = max(last[row["setting"]], row["step"])
    arms, sorted_out = list(dict.fromkeys(row["localization"] for row in rows)), defaultdict(list)
    for row in rows:
        sorted_out[row["localization"], row["group"], row["setting"], row["step"]].append(row)
    closed = [OPTIONS[row["relation"]] for row in rows if not row["open"] and row["relation"] in OPTIONS]

    def mean(arm, group, at):
        means = by_set(average(sorted_out[arm, group, *at], _right)).values()
        return sum(means) / len(means)

    ranked = []
    for setting, step in last.items():
        if setting == "none":
            continue
        before, after = ([mean(arm, "maintain", at) for arm in arms] for at in (("none", 0), (setting, step)))
        broken = sum(had <= 1 / min(closed, default=math.inf) or left < BROKEN * had for had, left in zip(before, after, strict=True))
        back = [mean(arm, "forget", (setting, step)) for arm in arms if arm != UNEDITED]
        ranked.append((broken, -sum(back) / len(back), (setting, step)))
    return min(ranked, key=lambda one: one[:2])[2]


def _stopped(gates, claim, study, arms):
    """The first gate that forbids a verdict about two arms, or about one by itself."""
    trains = [study["trains"][arm] for arm in arms]
    both = trains[0].keys() & trains[-1].keys()
    overlap = sum(shared_weights(trains[0][number], trains[1][number]) for number in both) / len(both) if len(arms) > 1 else 0.0
    asked = {arm: [row for row in _of_arm(study, "answers", arm) if row["format"] == study["trained"]] for arm in (UNEDITED, *arms)}
    ends = [_kept(asked[UNEDITED], asked[arm]) for arm in arms]
    learned = []
    if claim["outcome"] == "relearning":
        at = _last(study)
        for arm in arms:
            own = _of_arm(study, "relearning", arm)
            before, after = ([row for row in own if (row["setting"], row["step"]) == when] for when in (("none", 0), at))
            ends.append(_kept(before, after))
            learned.append(_taught([row for row in after if row["group"] == "relearned"]))
    if _void(study, study["trained"]):
        return "void"
    if overlap > gates["overlap"]:
        return "not a contrast"
    if claim["outcome"] == "weights masked":
        return ""
    if min(_edited(asked[arm], gates["success"]) for arm in arms) < gates["edited"]:
        return "not edited alike"
    if any(end < gates["kept"] for end in ends):
        return "model broken"
    return "attack failed" if any(share < gates["taught"] for share in learned) else ""


def _edited(rows, success):
    """Sets count alike, and within them repetitions: the share whose targets have this probability as a geometric mean."""
    targets = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row["group"] == "forget":
            targets[row["forget_set"]][row["seed"]].append(row["target_log_probability"])
    done = [[math.exp(sum(logs) / len(logs)) >= success for logs in seeds.values()] for seeds in targets.values()]
    return sum(sum(seeds) / len(seeds) for seeds in done) / len(done)


def _kept(before, after):
    """Upper end of what is kept of the maintain accuracy, over sets; nothing is kept where nothing was there or is maintained."""
    had, left = (by_set(average([row for row in rows if row["group"] == "maintain"], _right)) for rows in (before, after))
    return upper_end([left[number] / share if share else 0.0 for number, share in had.items()]) if had else -math.inf


def _taught(rows):
    values = average(rows, _right)
    if len(values) >= ENOUGH:
        return sum(by_set(values).values()) / len(values)
    facts = {fact for own in values.values() for fact in own}
    pooled = [[own[fact] for own in values.values() if fact in own] for fact in facts]
    return sum(sum(several) / len(several) for several in pooled) / len(pooled)


def main():
    claims = tomllib.loads((ROOT / "book" / "claims.toml").read_text(encoding="utf-8"))
    for study in studies(read(ROOT / "book" / "results" / "rows")):
        sys.stdout.write(f"{study['task']}, {len(study['ids'])} runs\n")
        for one in lines(claims, study):
            gaps = list(one.get("gaps", {}).values())
            if "effect" in one:
                said = f"{one['effect'][0]:+.3f} over {one['n_sets']} sets, p {one['p']:.4f}, Holm {one['adjusted']:.4f}"
                sys.stdout.write(f"  {one['claim']} - {one['rival']}: {one['verdict']} {said}\n")
                continue
            said = f"{sum(gaps) / len(gaps):+.3f} over {len(gaps)} sets, p {one['p']}, Holm {one.get('adjusted')}" if gaps else ""
            sys.stdout.write(f"  {one['claim']} - {one['rival']}: {one['verdict']} {said}\n")


if __name__ == "__main__":
    main()
