"""Words of headers, in the languages hospitals write them: is it a chest, is it a frontal view.

Only vocabulary and its look-up; what follows from a word is decided in `inference.eligibility`.
"""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum


class Part(StrEnum):
    """What a text says of the body part."""

    CHEST = "chest"
    OTHER = "other"
    ANIMAL = "animal"


class View(StrEnum):
    """What a text says of the view."""

    FRONTAL = "frontal"
    LATERAL = "lateral"
    OBLIQUE = "oblique"
    OTHER = "other"
    """Axial, lordotic, decubitus and such."""


def part_of(text: str) -> Part | None:
    """The body part that a description names; a chest among other parts is a chest."""
    plain = _plain(text)
    words = _words(plain)
    if _names(words, _ANIMALS):
        return Part.ANIMAL
    without_spine = plain
    for phrase in _NOT_CHEST_PHRASES:
        without_spine = without_spine.replace(phrase, " ")
    if any(stem in without_spine for stem in _CHEST_ANYWHERE):
        return Part.CHEST
    if _names(_words(without_spine), _CHEST_WORDS):
        return Part.CHEST
    if without_spine != plain or _names(words, _OTHER_WORDS):
        return Part.OTHER
    return None


def view_of(text: str) -> View | None:
    """The view that a description names; None where it names none, or a frontal and another one."""
    plain = _plain(text)
    words = _words(plain)
    found = {
        view
        for view, stems, anywhere in _VIEWS
        if _names(words, stems) or any(stem in plain for stem in anywhere)
    }
    if View.FRONTAL in found and len(found) > 1:
        return None
    return next((view for view in View if view in found), None)


def _plain(text: str) -> str:
    """Lower case without accents, so that spellings fall together."""
    decomposed = unicodedata.normalize("NFKD", text.casefold().translate(_LETTERS))
    kept = "".join(char for char in decomposed if unicodedata.category(char) != "Mn")
    return unicodedata.normalize("NFC", kept)


def _stems(words: str) -> tuple[str, ...]:
    return tuple(_plain(word) for word in words.split())


def _words(plain: str) -> list[str]:
    """Split at all but letters; "p.a." is one word and "C-spine" two."""
    return re.findall(r"[^\W\d_]+", plain.replace(".", ""))


def _names(words: list[str], stems: tuple[str, ...]) -> bool:
    """Whether one of the words is a stem, or begins with one that ends in "*"."""
    return any(
        word.startswith(stem[:-1]) if stem.endswith("*") else word == stem
        for word in words
        for stem in stems
    )


_LETTERS = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ı": "i", "æ": "ae", "œ": "oe"})

# Distinctive enough to be found inside compounds (Thoraxaufnahme, Rx-torace, 胸部正面).
_CHEST_ANYWHERE = _stems(
    "chest thorax torax thoraks toraks torace hrudnik hrudnic piersiow mellkas brystkasse "
    "brostkorg brustkorb akciger grudn грудн грудной гкл легких легкие θωρακ 胸部 胸片 胸 흉부 "
    "가슴 صدر חזה ทรวงอก छाती"
)
_CHEST_WORDS = _stems(
    "cxr chst lung lungs lunge* lunga* lungor* pulm* poumon* polmon* pluc* plic* keuhko* "
    "gogus nguc phoi paru* dada огк легк* thx"
)
# The chest's word in another part's name.
_NOT_CHEST_PHRASES = tuple(
    map(_plain, ("胸椎", "胸骨", "brustwirbel", "грудной отдел", "hrudni pater"))
)
_OTHER_WORDS = _stems(
    "hand hands wrist* elbow* shoulder* humer* forearm* finger* thumb* knee* patell* ankle* "
    "foot feet toe toes tibia* fibul* femur* femor* hip hips pelvi* abdom* skull* head face "
    "facial jaw* mandib* maxill* teeth tooth dental dent panoram* orthopan* opg sinus* spine "
    "spinal cspine lspine tspine sspine cervical lumb* sacr* coccy* breast* mammo* extremit* "
    "leg legs arm clavic* scapul* neck kub rib ribs heel calcan* nasal orbit* wholebody "
    "swallow* esophag* oesophag* colon enema urogra* bladder* kidney* "
    "becken* backen* schadel* kopf knie* hufte* fuss* handgelenk* ellenbogen* schulter* wirbel* "
    "lws hws bws unterschenkel* oberschenkel* unterarm* oberarm* rippe* "
    "poignet* coude* epaule* genou* cheville* pied* bassin* hanche* crane* rachis* "
    "mano manos muneca* codo* hombro* rodilla* tobillo* cadera* columna* craneo* cuello* "
    "polso* gomito* spalla* ginocchi* caviglia* piede* bacino* anca* cranio* colonna* rachide* "
    "mao punho* cotovelo* ombro* joelho* tornozelo* quadril* coluna* bacia* "
    "pols* elleboog* bekken* heup* voet* schedel* wervel* enkel* "
    "reka reki dlon* nadgarst* lokiec* kolan* stopa stopy miednic* biodr* czaszk* kregoslup* "
    "кист* локо* локт* плеч* колен* стоп* таз* череп* позвон* брюшн* живот* шейн* пояснич* "
    "кисть"
)
_ANIMALS = ("canine", "feline", "equine", "canis", "felis", "equus", "dog", "veterinary")

_VIEWS: tuple[tuple[View, tuple[str, ...], tuple[str, ...]], ...] = (
    (
        View.FRONTAL,
        _stems(
            "pa ap frontal* front face facing posteroant* anteropost* postero antero prosta "
            "прям* фас"
        ),
        ("正位", "正面", "정면"),
    ),
    (
        View.LATERAL,
        _stems(
            "lat lats later* latero* llat rlat seitlich* seitl profil perfil boczn* бок* "
            "боков* sagit*"
        ),
        tuple(map(_plain, ["侧位", "側位", "側面", "侧面", "측면"])),
    ),
    (
        View.OBLIQUE,
        _stems("obl obli obliq* oblic* schrag* skos* lao rao lpo rpo llo rlo кос*"),
        ("斜位",),
    ),
    (
        View.OTHER,
        _stems("decub* lld rld lordot* axial tangent* swimmer* scout* topogram*"),
        (),
    ),
)
