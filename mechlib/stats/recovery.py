"""How much of what an attack can bring back it did bring back, against facts that nobody ever knew."""

from __future__ import annotations

import numpy as np

from mechlib.stats.bootstrap import DRAWS, Values, overall, redrawn, stacked
from mechlib.stats.interval import Interval

# Where the attack leaves known and never-known facts this close, there is nothing to normalise by.
LEAST_GAP = 0.2


def recovery(attacked: Values, null: Values, reference: Values, seed: int = 0, draws: int = DRAWS) -> Interval | None:
    """Normalised recovery ``(attacked - null) / (reference - null)``, a ratio of means over forget sets; 1 is all of it, 0 none.

    ``attacked`` holds the edited model after the attack, ``reference`` the unedited model after the
    same attack on the same facts in the same order, ``null`` never-known facts after it, as many as
    there are: what the attack teaches by itself. ``None`` where ``reference - null`` is below
    ``LEAST_GAP``: the recovery is undefined.

    The percentile interval draws forget sets, then facts; a fact is drawn for ``attacked`` and
    ``reference`` together. A draw whose denominator is not positive has no ratio and counts at both
    ends, so that it can only widen the interval; above 2.5 % of such draws the interval has no end.
    Raises ``ValueError`` if the three hold different forget sets, without a draw, and as ``stacked`` does.
    """
    if draws < 1:
        raise ValueError(f"{draws} draws: an interval needs at least one")
    known, unknown = stacked(attacked, reference), stacked(null)
    if attacked.keys() != null.keys():
        raise ValueError("the never-known facts come from other forget sets")
    (after, most), (least,) = overall(known), overall(unknown)
    if most - least < LEAST_GAP:
        return None
    generator = np.random.default_rng(seed)
    chosen = generator.integers(len(known), size=(draws, len(known)))
    tops, floor = redrawn(known, chosen, generator), redrawn(unknown, chosen, generator)[:, 0]
    above, reach = tops[:, 0] - floor, tops[:, 1] - floor
    ratios = np.divide(above, reach, out=np.full(draws, np.nan), where=reach > 0)
    # No interpolation: between a number and infinity there is none.
    low = np.quantile(np.nan_to_num(ratios, nan=-np.inf), 0.025, method="lower")
    high = np.quantile(np.nan_to_num(ratios, nan=np.inf), 0.975, method="higher")
    return Interval(float((after - least) / (most - least)), float(low), float(high))
