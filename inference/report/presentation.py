"""The regions of a film as a Grayscale Softcopy Presentation State (PS3.3 A.33.1).

A viewer that knows presentation states draws the boxes over the film itself, and can take them away
again. A film without boxes has none, and a colour film cannot have one: the report speaks of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from pydicom.dataset import Dataset
from pydicom.uid import GrayscaleSoftcopyPresentationStateStorage

from inference.pixels import pixel_aspect
from inference.report import explicit, words
from inference.report.equipment import new_result
from inference.report.grayscale import grayscale
from inference.report.header import FilmHeader
from inference.report.job import StudyJob
from inference.report.regions import Region
from inference.report.study import Film
from inference.report.uids import Namer

SERIES_NUMBER = 9003
LAYER = "OPACITIES"

_AMBER = (52435, 37612, 52769)
"""The overlay's amber, sRGB 255, 184, 32, as PCS-Values of CIELab (PS3.3 C.10.7.1.1)."""
_NOTE_TOP_LEFT, _NOTE_BOTTOM_RIGHT = (0.02, 0.86), (0.98, 0.99)
"""Where the note stands, in shares of the displayed area."""


def build_presentation(
    film: Film,
    shown: Dataset,
    regions: Sequence[Region],
    number: int,
    job: StudyJob,
    namer: Namer,
) -> explicit.Elements:
    """Return the presentation of `film` with `regions` as instance `number` of its series.

    `shown` is the film's whole header but for its pixels.
    """
    header = film.header
    state = new_result(header, job.device, job.recorded_at)
    state |= explicit.attributes(
        SOPClassUID=GrayscaleSoftcopyPresentationStateStorage,
        SOPInstanceUID=namer.instance("gsps", header.sop_instance_uid),
        SeriesInstanceUID=namer.series("gsps"),
        SeriesNumber=SERIES_NUMBER,
        InstanceNumber=number,
        Modality="PR",
        SeriesDescription=words.series_description("boxes", job.device),
        BodyPartExamined="CHEST",  # the defined term, whatever the film calls it
        ContentLabel=LAYER,
        ContentDescription=f"Opacities by an algorithm, {words.NOT_VERIFIED}",
        PresentationCreationDate=explicit.text(state, "InstanceCreationDate"),
        PresentationCreationTime=explicit.text(state, "InstanceCreationTime"),
        ContentCreatorName=[],
    )
    return {
        **state,
        **grayscale(shown),
        **_relationship(header),
        **_drawn(film, shown, regions, job),
    }


def _relationship(header: FilmHeader) -> explicit.Added:
    """Name the film as what is presented (PS3.3 C.11.11)."""
    series = explicit.sequences(ReferencedImageSequence=[_reference(header)])
    series |= explicit.attributes(SeriesInstanceUID=header.series_instance_uid)
    return explicit.sequences(ReferencedSeriesSequence=[explicit.item(series)])


def _drawn(film: Film, shown: Dataset, regions: Sequence[Region], job: StudyJob) -> explicit.Added:
    """Return displayed area, layer and annotations (PS3.3 C.10.4, C.10.7, C.10.5)."""
    layer = explicit.attributes(
        GraphicLayer=LAYER,
        GraphicLayerOrder="1",
        GraphicLayerDescription="Opacities by an algorithm",
    ) | explicit.numbers(GraphicLayerRecommendedDisplayCIELabValue=_AMBER)
    annotation = explicit.attributes(GraphicLayer=LAYER) | explicit.sequences(
        ReferencedImageSequence=[_reference(film.header)],
        TextObjectSequence=[*map(_label, regions), _note(film, job)],
        GraphicObjectSequence=map(_outline, regions),
    )
    return explicit.sequences(
        DisplayedAreaSelectionSequence=[_area(film, shown)],
        GraphicLayerSequence=[explicit.item(layer)],
        GraphicAnnotationSequence=[explicit.item(annotation)],
    )


def _outline(region: Region) -> bytes:
    """Return the box as a closed polyline that is not filled (PS3.3 C.10.5.1.2)."""
    points = region.corners
    return explicit.item(
        explicit.attributes(
            GraphicAnnotationUnits="PIXEL",
            GraphicDimensions=2,
            NumberOfGraphicPoints=len(points),
            GraphicType="POLYLINE",
            GraphicFilled="N",
            TrackingID=region.label,
            TrackingUID=region.tracking_uid,
        )
        | explicit.numbers(GraphicData=[coordinate for point in points for coordinate in point])
    )


def _label(region: Region) -> bytes:
    """Return the name and score of a box, at its upper left corner."""
    return explicit.item(
        explicit.attributes(
            UnformattedTextValue=f"{region.label}: {words.percent(region.box.score)}",
            AnchorPointAnnotationUnits="PIXEL",
            AnchorPointVisibility="N",
            TrackingID=region.label,
            TrackingUID=region.tracking_uid,
        )
        | explicit.numbers(AnchorPoint=region.corners[0])
    )


def _note(film: Film, job: StudyJob) -> bytes:
    """Return what was found, by what, and what that is worth, at the foot of the film."""
    lines = (words.headline(film.reading), *words.legend(film.reading, job.device))
    return explicit.item(
        explicit.attributes(
            UnformattedTextValue="\r\n".join(lines),
            BoundingBoxAnnotationUnits="DISPLAY",
            BoundingBoxTextHorizontalJustification="LEFT",
        )
        | explicit.numbers(
            BoundingBoxTopLeftHandCorner=_NOTE_TOP_LEFT,
            BoundingBoxBottomRightHandCorner=_NOTE_BOTTOM_RIGHT,
        )
    )


def _area(film: Film, shown: Dataset) -> bytes:
    """Return the whole film as the displayed area, its pixels in their own shape."""
    aspect = Fraction(pixel_aspect(shown)).limit_denominator(1000)
    return explicit.item(
        explicit.sequences(ReferencedImageSequence=[_reference(film.header)])
        | explicit.numbers(
            DisplayedAreaTopLeftHandCorner=(1, 1),
            DisplayedAreaBottomRightHandCorner=(film.reading.columns, film.reading.rows),
        )
        | explicit.attributes(
            PresentationSizeMode="SCALE TO FIT",
            PresentationPixelAspectRatio=[str(aspect.numerator), str(aspect.denominator)],
        )
    )


def _reference(header: FilmHeader) -> bytes:
    return explicit.reference(header.sop_class_uid, header.sop_instance_uid)
