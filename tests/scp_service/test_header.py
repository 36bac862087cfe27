"""What is read of a received data set, whatever it is encoded in and whatever is wrong with it."""

from __future__ import annotations

import struct
import tracemalloc
import zlib

import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
)
from pynetdicom.dsutils import encode_file_meta

from scp_service.encoded import TooLargeError, UnreadableError
from scp_service.header import file_head, is_uid, read_header, text
from settings import TRANSFER_SYNTAXES
from settings.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from tests.scp_service.films import cr, encode

LIMIT = 10_000_000
KEYWORDS = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyDate",
    "AccessionNumber",
    "Modality",
    "StationName",
    "StudyDescription",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "SeriesInstanceUID",
)


def explicit(tag: tuple[int, int], vr: bytes, value: bytes) -> bytes:
    """Encode an element with a short length in Explicit VR Little Endian."""
    return struct.pack("<HH2sH", *tag, vr, len(value)) + value


@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian,
        ExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
    ],
)
def test_every_value_is_read_in_every_encoding(syntax: str) -> None:
    dataset = cr()
    header = read_header(encode(dataset, syntax), syntax, max_bytes=LIMIT)
    for keyword in KEYWORDS:
        assert text(header, keyword) == str(dataset[keyword].value), keyword


@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES)
def test_every_syntax_that_is_offered_is_read(syntax: str) -> None:
    dataset = cr()
    header = read_header(encode(dataset, syntax), syntax, max_bytes=LIMIT)
    assert text(header, "StudyInstanceUID") == dataset.StudyInstanceUID


def test_pixels_are_never_touched() -> None:
    encoded = encode(cr())
    cut = encoded.index(b"\xe0\x7f\x10\x00") + 12
    assert read_header(encoded[:cut], ExplicitVRLittleEndian, max_bytes=LIMIT)
    nonsense = encoded[:cut] + b"\xff" * 50
    assert read_header(nonsense, JPEG2000Lossless, max_bytes=LIMIT)


def test_only_what_is_filed_is_kept() -> None:
    header = read_header(encode(cr()), ExplicitVRLittleEndian, max_bytes=LIMIT)
    assert {element.keyword for element in header} == set(KEYWORDS)


@pytest.mark.parametrize("length", [LIMIT, 100_000_000])
def test_a_deflated_bomb_is_stopped_at_the_limit(length: int) -> None:
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    bomb = packer.compress(encode(cr()) + b"\0" * length) + packer.flush()
    assert len(bomb) < 200_000
    tracemalloc.start()
    try:
        with pytest.raises(TooLargeError, match="inflates to more than is allowed"):
            read_header(bomb, DeflatedExplicitVRLittleEndian, max_bytes=LIMIT)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


def test_a_deflated_data_set_of_just_the_limit_is_read() -> None:
    for more in range(50):
        dataset = cr(StudyDescription="x" * more)
        size = len(encode(dataset))
        packed = encode(dataset, DeflatedExplicitVRLittleEndian)
        assert read_header(packed, DeflatedExplicitVRLittleEndian, max_bytes=size)
        with pytest.raises(TooLargeError):
            read_header(packed, DeflatedExplicitVRLittleEndian, max_bytes=size - 1)


def test_a_deflated_data_set_whose_header_is_cut_off_is_unreadable() -> None:
    packed = encode(cr(), DeflatedExplicitVRLittleEndian)
    with pytest.raises(UnreadableError):
        read_header(packed[:30], DeflatedExplicitVRLittleEndian, max_bytes=LIMIT)


def test_pixels_that_are_cut_off_cost_no_film_deflated_or_not() -> None:
    for syntax in (ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian):
        encoded = encode(cr(), syntax)
        assert read_header(encoded[:-50], syntax, max_bytes=LIMIT)


def test_what_is_not_deflated_is_unreadable() -> None:
    with pytest.raises(UnreadableError, match="cannot be inflated"):
        read_header(encode(cr()), DeflatedExplicitVRLittleEndian, max_bytes=LIMIT)


def test_of_a_large_deflated_data_set_no_more_than_its_header_is_held() -> None:
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    packed = packer.compress(encode(cr()) + b"\0" * 200_000_000) + packer.flush()
    tracemalloc.start()
    try:
        assert read_header(packed, DeflatedExplicitVRLittleEndian, max_bytes=300_000_000)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


def with_more(more: bytes) -> bytes:
    """Encode a film that has more before its patient's name."""
    encoded = encode(cr())
    at = encoded.index(struct.pack("<HH", 0x0010, 0x0010))
    return encoded[:at] + more + encoded[at:]


SEQUENCE = struct.pack("<HH2sxxI", 0x0008, 0x1140, b"SQ", 0xFFFFFFFF)
SEQUENCE_ENDS = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
TINY = explicit((0x0009, 0x1001), b"LO", b"")


@pytest.mark.parametrize(
    "more",
    [
        pytest.param(TINY * 100_000, id="elements"),
        pytest.param(
            SEQUENCE + struct.pack("<HHI", 0xFFFE, 0xE000, 0) * 100_000 + SEQUENCE_ENDS, id="items"
        ),
        pytest.param(
            SEQUENCE
            + struct.pack("<HHI", 0xFFFE, 0xE000, 100_000 * len(TINY))
            + TINY * 100_000
            + SEQUENCE_ENDS,
            id="elements of an item",
        ),
        pytest.param(
            (SEQUENCE + struct.pack("<HHI", 0xFFFE, 0xE000, 0) * 100 + SEQUENCE_ENDS) * 1000,
            id="items of many sequences",
        ),
    ],
)
@pytest.mark.parametrize("deflated", [False, True])
def test_a_header_of_countless_elements_is_given_up_early(more: bytes, deflated: bool) -> None:
    """A megabyte of them would take the listener a third of a second, a large data set minutes."""
    encoded, syntax = with_more(more), ExplicitVRLittleEndian
    if deflated:
        packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
        encoded, syntax = packer.compress(encoded) + packer.flush(), DeflatedExplicitVRLittleEndian
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableError, match="too many elements or sequence items"):
            read_header(encoded, syntax, max_bytes=LIMIT)
        assert tracemalloc.get_traced_memory()[1] < 12_000_000
    finally:
        tracemalloc.stop()


def test_a_header_of_a_thousand_elements_is_read() -> None:
    encoded = with_more(TINY * 1000)
    assert read_header(encoded, ExplicitVRLittleEndian, max_bytes=LIMIT)


@pytest.mark.parametrize("length", [1_000_000, 100_000_000])
@pytest.mark.parametrize("deflated", [False, True])
def test_a_value_without_length_is_not_taken_into_memory_whole(length: int, deflated: bool) -> None:
    start = struct.pack("<HH2sxxI", 0x0009, 0x1001, b"OB", 0xFFFFFFFF)
    encoded, syntax = with_more(start + bytes(length) + SEQUENCE_ENDS), ExplicitVRLittleEndian
    if deflated:
        packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
        encoded, syntax = packer.compress(encoded) + packer.flush(), DeflatedExplicitVRLittleEndian
    tracemalloc.start()
    try:
        if length == 1_000_000:
            assert read_header(encoded, syntax, max_bytes=200_000_000)
        else:
            with pytest.raises(UnreadableError, match=r"far too long|too many|in one go"):
                read_header(encoded, syntax, max_bytes=200_000_000)
        assert tracemalloc.get_traced_memory()[1] < 40_000_000
    finally:
        tracemalloc.stop()


def test_a_value_that_nobody_asks_for_may_be_as_long_as_it_likes() -> None:
    encoded = with_more(struct.pack("<HH2sxxI", 0x0009, 0x1001, b"OB", 20_000_000))
    at = encoded.index(struct.pack("<HH", 0x0010, 0x0010))
    encoded = encoded[:at] + bytes(20_000_000) + encoded[at:]
    tracemalloc.start()
    try:
        assert read_header(memoryview(encoded), ExplicitVRLittleEndian, max_bytes=LIMIT)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
@pytest.mark.filterwarnings("ignore:Expected explicit VR")
def test_zeros_are_no_data_set(syntax: str) -> None:
    with pytest.raises(UnreadableError, match="group 0000"):
        read_header(bytes(1_000_000), syntax, max_bytes=LIMIT)


@pytest.mark.parametrize("tag", [(0x0010, 0x0010), (0x0020, 0x000D)])
def test_an_identifying_value_of_megabytes_is_not_converted(tag: tuple[int, int]) -> None:
    encoded = encode(cr())
    at = encoded.index(struct.pack("<HH", *tag))
    value = b"1.2\\" * 1_000_000
    element = struct.pack("<HH2sxxI", *tag, b"UN", len(value)) + value
    with pytest.raises(UnreadableError, match="far too long"):
        read_header(encoded[:at] + element + encoded[at:], ExplicitVRLittleEndian, max_bytes=LIMIT)


def nested(depth: int) -> bytes:
    """Encode a data set whose sequences of undefined length lie `depth` deep."""
    start = struct.pack("<HH2s2sI", 0x0008, 0x1115, b"SQ", b"\0\0", 0xFFFFFFFF)
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    end = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    encoded = encode(cr(AccessionNumber=None, Modality=None, StationName=None))
    at = encoded.index(struct.pack("<HH", 0x0008, 0x1030))
    return encoded[:at] + (start + item) * depth + end * depth + encoded[at:]


@pytest.mark.parametrize("depth", [1, 50])
def test_nested_sequences_are_passed_over(depth: int) -> None:
    assert read_header(nested(depth), ExplicitVRLittleEndian, max_bytes=LIMIT)


@pytest.mark.parametrize("depth", [1_000, 50_000])
def test_sequences_without_end_are_unreadable_and_no_crash(depth: int) -> None:
    with pytest.raises(UnreadableError, match=r"RecursionError|OSError|too many"):
        read_header(nested(depth), ExplicitVRLittleEndian, max_bytes=LIMIT)


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\0" * 1000,
        b"\xff" * 1000,
        b"GET / HTTP/1.1\r\nHost: example\r\n\r\n",
        bytes(range(256)) * 40,
        struct.pack("<HH2s2sI", 0x0008, 0x1115, b"SQ", b"\0\0", 0x7FFFFFFF),
        struct.pack("<HH2sH", 0x0008, 0x0018, b"UI", 0xFFFE) + b"1.2",
    ],
)
@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian]
)
def test_garbage_is_unreadable(garbage: bytes, syntax: str) -> None:
    with pytest.raises(UnreadableError):
        read_header(garbage, syntax, max_bytes=LIMIT)


def test_every_cut_is_read_or_unreadable() -> None:
    encoded = encode(cr())
    read = 0
    for length in range(0, len(encoded), 3):
        try:
            read_header(encoded[:length], ExplicitVRLittleEndian, max_bytes=LIMIT)
            read += 1
        except UnreadableError:
            continue
    assert read > 0


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID"])
@pytest.mark.parametrize("value", [None, "", "../../etc/passwd", "1.2\\1.3", "1." + "2" * 63])
def test_a_data_set_without_its_uids_is_unreadable(keyword: str, value: str | None) -> None:
    dataset = cr()
    if value is None:
        delattr(dataset, keyword)
        encoded = encode(dataset)
    else:
        tag = dataset[keyword].tag
        old = str(dataset[keyword].value).encode()
        even = value.encode() + b"\0" * (len(value) % 2)
        before = explicit((tag.group, tag.element), b"UI", old + b"\0" * (len(old) % 2))
        encoded = encode(dataset)
        assert before in encoded
        encoded = encoded.replace(before, explicit((tag.group, tag.element), b"UI", even))
    with pytest.raises(UnreadableError, match=f"no valid {keyword}"):
        read_header(encoded, ExplicitVRLittleEndian, max_bytes=LIMIT)


def test_no_value_is_quoted_by_a_warning(capfd: pytest.CaptureFixture[str]) -> None:
    """pydicom would warn of both, with the value in its message; here, warnings are errors."""
    encoded = encode(cr()).replace(b"20240301", b"CANARY-1").replace(b"19700101", b"CANARY-2")
    read_header(encoded, ExplicitVRLittleEndian, max_bytes=LIMIT)
    assert "CANARY" not in "".join(capfd.readouterr())


def test_no_patient_data_is_in_what_is_said_of_an_error() -> None:
    encoded = encode(cr(PatientName="CANARY^NAME", PatientID="CANARY-ID", StudyInstanceUID=None))
    for broken in (encoded, encoded[: encoded.index(b"CANARY-ID") + 4]):
        with pytest.raises(UnreadableError) as caught:
            read_header(broken, ExplicitVRLittleEndian, max_bytes=LIMIT)
        assert "CANARY" not in str(caught.value)
        assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO_IR 100", "Müller^Jürgen"),
        ("ISO_IR 144", "Люкceмбypг"),
        ("ISO_IR 192", "Wang^XiaoDong=王^小东"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    ],
)
def test_names_of_all_scripts_are_read(charset: str | list[str], name: str) -> None:
    dataset = cr(SpecificCharacterSet=charset, PatientName=name)
    header = read_header(encode(dataset), ExplicitVRLittleEndian, max_bytes=LIMIT)
    assert text(header, "PatientName") == name


def test_characters_that_the_character_set_lacks_cost_no_film() -> None:
    encoded = encode(cr(PatientName="Muller^J")).replace(b"Muller^J", b"M\xfcller^J")
    header = read_header(encoded, ExplicitVRLittleEndian, max_bytes=LIMIT)
    assert text(header, "PatientName").endswith("ller^J")


@pytest.mark.filterwarnings("ignore:Unknown encoding")
def test_an_unknown_character_set_costs_no_film() -> None:
    dataset = cr()
    encoded = encode(dataset)
    odd = explicit((0x0008, 0x0005), b"CS", b"ISO_IR 4711 ")
    header = read_header(odd + encoded, ExplicitVRLittleEndian, max_bytes=LIMIT)
    assert text(header, "PatientName") == "Test^Film"


def test_values_against_the_rules_of_their_vr_cost_no_film() -> None:
    encoded = encode(cr(StudyDate="20240301", PatientSex="O"))
    for old, new in ((b"20240301", b"yestrday"), (b"PN\x09\0Test", b"PN\x09\0Tes\\")):
        encoded = encoded.replace(old, new)
    header = read_header(encoded, ExplicitVRLittleEndian, max_bytes=LIMIT)
    assert text(header, "StudyDate") == "yestrday"


def test_zero_bytes_and_spaces_are_taken_off_texts() -> None:
    encoded = encode(cr(PatientName="Test^Film")).replace(b"Test^Film", b"Te\0t^Fi\0 ")
    header = read_header(encoded, ExplicitVRLittleEndian, max_bytes=LIMIT)
    assert text(header, "PatientName") == "Tet^Fi"


def test_texts_are_cut_to_what_the_database_takes() -> None:
    header = Dataset()
    header.PatientID = "7" * 64
    assert text(header, "PatientID", 16) == "7" * 16
    assert text(header, "PatientName") == ""


def test_several_values_are_one_text() -> None:
    encoded = encode(cr(AccessionNumber="A\\B"))
    header = read_header(encoded, ExplicitVRLittleEndian, max_bytes=LIMIT)
    assert text(header, "AccessionNumber", 64)


def test_a_sequence_in_the_way_hides_nothing() -> None:
    item = Dataset()
    item.PatientID = "ANOTHER"
    dataset = cr(ReferencedPatientSequence=Sequence([item]), PatientID="MINE")
    header = read_header(encode(dataset), ExplicitVRLittleEndian, max_bytes=LIMIT)
    assert text(header, "PatientID") == "MINE"


@pytest.mark.parametrize("value", ["1", "1.2.840.10008.1.2", "2.25." + "1" * 59, "1.02.3", "0.0"])
def test_what_devices_send_as_uids_passes(value: str) -> None:
    assert is_uid(value)


@pytest.mark.parametrize(
    "value", ["", "1.2 ", "1.2\n", "1.2.a", "../evil", "1" * 65, "1.2\0", "１.２"]
)
def test_what_is_no_uid_does_not_pass(value: str) -> None:
    assert not is_uid(value)


@pytest.mark.parametrize(("uid", "title"), [("1.2.3", "ODD"), ("1.2.34", "EVEN"), ("1.2.3", "")])
def test_the_head_of_a_file_is_as_pydicom_writes_it(uid: str, title: str) -> None:
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID = uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    meta.SourceApplicationEntityTitle = title
    expected = b"\0" * 128 + b"DICM" + encode_file_meta(meta)
    assert (
        file_head(str(ComputedRadiographyImageStorage), uid, str(ExplicitVRLittleEndian), title)
        == expected
    )
