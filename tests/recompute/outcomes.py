"""What a claim is about, computed a second time from the kept rows: an outcome of every fact, by arm and set."""

import math
from collections import defaultdict

import numpy as np
from exact import share_low, wilson_low
from kept import UNEDITED, average, by_set

# Answers that compete in a closed relation: three sports and golf. An open relation has none, and guessing is never right.
OPTIONS = {"sport": 4}
ABOVE_CHANCE, BROKEN = 0.10, 0.9
# Formats that count for the claims which name them, and for no other.
NAMED = {"word_choice", "spanish", "french", "german"}


def once(study, key, make):
    """What was made of a study's rows under a key, made once."""
    if key not in study:
        study[key] = make()
    return study[key]


def given(claim, study):
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


def right(row):
    return row["correct"]


def values_of(claim, study, arms):
    """The arms' log odds of the true answer over the edit target, or what else is measured, by set and fact."""
    if claim["outcome"] == "relearning" and study["relearning"] and claim.get("attack", last(study)[0]) == last(study)[0]:
        found = [once(study, ("relearned", arm), lambda arm=arm: _odds_of(attacked(study, arm)[1])) for arm in arms]
    elif claim["outcome"] == "transfer" and (formats := _formats(claim, study)):
        told = sorted(formats)
        found = [once(study, ("asked", arm, *told), lambda arm=arm: _odds_of(_asked(study, arm, told), "format")) for arm in arms]
    elif claim["outcome"] == "latent knowledge":
        found = [average([row for row in _above(study, arms) if row["localization"] == arm], _log_odds, "layer") for arm in arms]
    elif claim["outcome"] == "weights masked":
        found = [_selective(study, arm, arms) for arm in arms]
    else:
        return None
    return found if all(found) else None


def _odds_of(rows, within=None):
    return average([row for row in rows if row["group"] == "forget" and row["target_log_probability"] is not None], _odds, within)


def _asked(study, arm, formats):
    return [row for row in of_arm(study, "answers", arm) if row["format"] in formats]


def attacked(study, arm):
    """The rows of an arm before relearning, and after the attack that counts."""
    own = of_arm(study, "relearning", arm)
    return [[row for row in own if (row["setting"], row["step"]) == when] for when in (("none", 0), last(study))]


def of_arm(study, name, arm):
    """The rows of one kind about one arm, sorted out once."""
    return once(study, (name, "by arm"), lambda: _by_arm(study[name]))[arm]


def _by_arm(rows):
    own = defaultdict(list)
    for row in rows:
        own[row["localization"]].append(row)
    return own


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
        if row["format"] == study["trained"] and (not row["open"] or row["target_log_probability"] is not None):
            rows[row["forget_set"], row["size"]][row["localization"], row["group"]].append(row)
    found = []
    for own in rows.values():
        if all((one, "maintain") in own for one in arms):
            kept = sum(map(_against, own[arm, "maintain"])) / len(own[arm, "maintain"])
            found += [{**row, "log_odds": _against(row) - kept} for row in own[arm, "forget"]]
    return average(found, _log_odds, "size")


def _against(row):
    """Log odds of the true answer over the edit target, or over all other answers of a closed relation."""
    if row["open"]:
        return _odds(row)
    share = min(max(row["probability"], 1e-6), 1 - 1e-6)
    return math.log(share / (1 - share))


def _formats(claim, study):
    """Those that were not trained and in which the unedited model is above chance; of a claim about some, these or none."""
    # Neighbours are asked in a format of their own, the edited facts never.
    asked = once(study, "formats", lambda: {row["format"] for row in study["answers"] if row["group"] == "forget"}) - {study["trained"]}
    usable = {form for form in asked if not void(study, form)}
    return usable - NAMED if not claim.get("formats") else set(claim["formats"]) if set(claim["formats"]) <= usable else set()


def void(study, form):
    """Whether the unedited model is at chance in a format."""
    return once(study, ("void", form), lambda: _at_chance(study, form))


def _at_chance(study, form):
    rows = [row for row in of_arm(study, "answers", UNEDITED) if (row["group"], row["format"]) == ("forget", form)]
    closed = [OPTIONS[row["relation"]] for row in rows if not row["open"] and row["relation"] in OPTIONS]
    return share_low(average(rows, right)) < 1 / min(closed, default=math.inf) + ABOVE_CHANCE


def last(study):
    """The setting of a study's relearning that counts."""
    return once(study, "last", lambda: _last_setting(study["relearning"]))


def _last_setting(rows):
    """Of the last step of each setting, the one that breaks the fewest models, then the one that brings back most on average over edits."""
    latest = defaultdict(int)
    for row in rows:
        latest[row["setting"]] = max(latest[row["setting"]], row["step"])
    arms, sorted_out = list(dict.fromkeys(row["localization"] for row in rows)), defaultdict(list)
    for row in rows:
        sorted_out[row["localization"], row["group"], row["setting"], row["step"]].append(row)
    closed = [OPTIONS[row["relation"]] for row in rows if not row["open"] and row["relation"] in OPTIONS]

    def mean(arm, group, at):
        means = by_set(average(sorted_out[arm, group, *at], right)).values()
        return sum(means) / len(means)

    ranked = []
    for setting, step in latest.items():
        if setting == "none":
            continue
        before, after = ([mean(arm, "maintain", at) for arm in arms] for at in (("none", 0), (setting, step)))
        broken = sum(had <= 1 / min(closed, default=math.inf) or left < BROKEN * had for had, left in zip(before, after, strict=True))
        back = [mean(arm, "forget", (setting, step)) for arm in arms if arm != UNEDITED]
        ranked.append((broken, -sum(back) / len(back), (setting, step)))
    return min(ranked, key=lambda one: one[:2])[2]
