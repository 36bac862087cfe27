"""Which readings are urgent, so that their studies go first."""

from __future__ import annotations

from inference.bundle import Bundle
from inference.reading import Finding, Reading
from settings import Priority


def is_urgent(reading: Reading, bundle: Bundle, rule: Priority) -> bool:
    """Tell whether a reading is a positive finding at or above the point that `rule` names.

    A bundle's operating points are thresholds on its calibrated probability; where the bundle is
    set to a site's prevalence, they are adjusted as the reading is. A number is compared with the
    probability as it is reported.
    """
    if not rule.positive_first or reading.finding is not Finding.OPACITY:
        return False
    return reading.pneumonia >= _least(bundle, rule)


def unknown_point(bundle: Bundle, rule: Priority) -> str | None:
    """Say that the bundle lacks the operating point that `rule` names; None where all is well.

    Every positive finding is urgent then: rather too many go first than one too few.
    """
    point = rule.operating_point
    if not rule.positive_first or not isinstance(point, str) or point in bundle.operating_points:
        return None
    known = ", ".join(sorted(bundle.operating_points))
    return (
        f"{bundle.label} has no operating point {point!r}, so every positive study is urgent;"
        f" set priority.operating_point to one of {known}, or to a probability"
    )


def _least(bundle: Bundle, rule: Priority) -> float:
    if isinstance(rule.operating_point, float):
        return rule.operating_point
    named = bundle.operating_points.get(rule.operating_point or "")
    if named is None:
        return 0.0
    shift = bundle.prior_shift
    return named.threshold if shift is None else shift(named.threshold)
