"""What a report says in plain words: a radiologist reads these. Pure functions, ASCII only."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from inference.reading import Device, Finding, Reading, Refusal
from inference.report.study import Study

NOT_VERIFIED = "not verified by a physician"
EVALUATION_ONLY = "for evaluation, not for clinical use"


def sentence(study: Study, device: Device) -> str:
    """Return the one sentence that a worklist shows of a study. It ends with NOT_VERIFIED."""
    parts = [_statement(study.finding, study.readings, study.refusals)]
    if study.readings and study.refusals:
        parts.append(f"{completion(study)} ({_reasons(study.refusals)})")
    parts.append(algorithm(device, study.readings))
    if device.evaluation_only:
        parts.append(EVALUATION_ONLY)
    parts.append(NOT_VERIFIED)
    return ascii_text("; ".join(parts))


def headline(reading: Reading) -> str:
    """Return what the overlay of one image says of it."""
    return ascii_text(_statement(reading.finding, [reading], []))


def legend(reading: Reading, device: Device) -> list[str]:
    """Return what else the overlay says: what read the film, and what that is worth."""
    parts = [algorithm(device, [reading])]
    if device.evaluation_only:
        parts.append(EVALUATION_ONLY)
    parts.append(NOT_VERIFIED)
    return [ascii_text(part[0].upper() + part[1:]) for part in parts]


def hidden(count: int, min_score: float) -> list[str]:
    """Return how many regions an overlay leaves out for their score, nothing where it shows all."""
    if count == 0:
        return []
    regions = "1 region" if count == 1 else f"{count} regions"
    return [f"{regions} scored below {percent(min_score)} not drawn"]


def algorithm(device: Device, readings: Sequence[Reading]) -> str:
    """Return name, version and operating point of the algorithm, and what it is adjusted to."""
    name = f"algorithm {device.name} {device.version}"
    if not readings:
        return name
    decisive = most_suspicious(readings)
    _, threshold = _percents(decisive.pneumonia, decisive.threshold)
    return f"{name}, threshold {threshold}{adjustment(device)}"


def adjustment(device: Device) -> str:
    """Return the prevalence that probabilities and threshold are adjusted to, if they are."""
    if device.prevalence is None:
        return ""
    return f", adjusted to a prevalence of {device.prevalence * 100:.3g} %"


def completion(study: Study) -> str:
    """Return how many images were not analysed, in at most 64 characters."""
    total = len(study.readings) + len(study.refusals)
    if not study.readings:
        return "no image could be analysed"
    verb = "was" if len(study.refusals) == 1 else "were"
    return f"{len(study.refusals)} of {total} images {verb} not analysed"


def series_description(kind: str, device: Device) -> str:
    """Return the description of a series of results, in at most 64 characters."""
    ending = f" {kind}, {NOT_VERIFIED}"
    return ascii_text(device.manufacturer)[: 64 - len(ending)] + ending


def percent(probability: float) -> str:
    """Return a probability (0 to 1) for people: whole percents, and never 0 % or 100 %."""
    if probability < 0.01:
        return "below 1 %"
    if probability > 0.99:
        return "above 99 %"
    return f"{probability * 100:.0f} %"


def most_suspicious(readings: Sequence[Reading]) -> Reading:
    """Return the reading with the highest probability of pneumonia, the first of equals."""
    return max(readings, key=lambda reading: reading.pneumonia)


def ascii_text(text: str) -> str:
    """Return `text` in ASCII, which every character set of DICOM holds, on one line.

    Accents are dropped, a few signs spelled out, anything else becomes a question mark.
    """
    for sign, spelled in _SPELLED.items():
        text = text.replace(sign, spelled)
    plain = unicodedata.normalize("NFKD", text)
    plain = "".join(character for character in plain if not unicodedata.combining(character))
    return " ".join(plain.encode("ascii", "replace").decode("ascii").split())


def _statement(finding: Finding, readings: Sequence[Reading], refusals: Sequence[Refusal]) -> str:
    if finding is Finding.FAILED:
        return f"Not analysed ({_reasons(refusals)}), so no statement about the lungs"
    decisive = most_suspicious(readings)
    probability, _ = _percents(decisive.pneumonia, decisive.threshold)
    likelihood = f"probability of pneumonia {probability}"
    if finding is Finding.OPACITY:
        return f"Lung opacity suspected: {likelihood}, {_regions(readings)}"
    none = f"No lung opacity found above the threshold ({likelihood})"
    if finding is Finding.ABNORMAL:
        return f"{none}, but the image does not look normal"
    return none


def _regions(readings: Sequence[Reading]) -> str:
    count = sum(len(reading.boxes) for reading in readings)
    if count == 0:
        return "no region marked"
    return f"{count} region{'' if count == 1 else 's'} marked"


def _reasons(refusals: Sequence[Refusal]) -> str:
    distinct = dict.fromkeys(refusal.reason.strip().rstrip(".") for refusal in refusals)
    return "; ".join(distinct)


def _percents(probability: float, threshold: float) -> tuple[str, str]:
    """Format both so that the one that is larger also reads as the larger."""
    coarse = percent(probability), percent(threshold)
    if coarse[0] != coarse[1] or probability == threshold:
        return coarse
    for digits in (1, 2, 3):
        fine = f"{probability * 100:.{digits}f} %", f"{threshold * 100:.{digits}f} %"
        if fine[0] != fine[1]:
            return fine
    return coarse


_SPELLED = {
    "\u00d7": "x",
    "\u2264": "<=",
    "\u2265": ">=",
    "\u2013": "-",
    "\u2014": "-",
    "\u2018": "'",
    "\u2019": "'",
    "\u201c": '"',
    "\u201d": '"',
    "\u2026": "...",
    "\u00b5": "u",
    "\u00df": "ss",
    "\u00e6": "ae",
    "\u00f8": "o",
}
