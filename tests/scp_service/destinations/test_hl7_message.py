"""ORU^R01 messages, read by another HL7 library that is strict about the standard."""

from __future__ import annotations

from typing import Any

import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.core import Message
from hl7apy.parser import parse_message

from scp_service.answer import Outcome
from scp_service.destinations.document import Document
from scp_service.destinations.hl7.acknowledgement import answer_to, read_acknowledgement
from scp_service.destinations.hl7.message import ENCODINGS, Envelope, control_id, oru
from tests.scp_service.destinations.documents import FAILED, NEGATIVE, REVISED, document


def envelope(**changes: Any) -> Envelope:
    usual: dict[str, Any] = {
        "sending_application": "HILUM",
        "sending_facility": "",
        "receiving_application": "RIS",
        "receiving_facility": "HOSPITAL",
        "processing_id": "P",
        "version": "2.5.1",
        "charset": "UNICODE UTF-8",
        "accession_fields": ("OBR-3", "OBR-18"),
    }
    return Envelope(**{**usual, **changes})


def parsed(said: Document, **changes: Any) -> Message:
    """Build a message, and have hl7apy check it against its version of the standard."""
    chosen = envelope(**changes)
    text = oru(said, chosen).decode(ENCODINGS[chosen.charset])
    message = parse_message(text, validation_level=VALIDATION_LEVEL.STRICT, find_groups=True)
    assert message.validate()
    return message


def order(message: Message) -> Any:
    return message.oru_r01_patient_result.oru_r01_order_observation


def observations(message: Message) -> dict[str, Any]:
    """Return OBX segments by the code of what was observed."""
    found = [each.obx for each in order(message).oru_r01_observation]
    assert [each.obx_1.value for each in found] == [str(n + 1) for n in range(len(found))]
    return {each.obx_3.value.split("^")[0]: each for each in found}


def test_a_positive_study_is_told_with_its_finding_probability_and_sentence() -> None:
    message = parsed(document())
    said = observations(message)
    assert said["233604007"].obx_5.value == "52101004^Present^SCT"
    assert said["233604007"].obx_8.value == "A"
    assert said["122157"].obx_2.value == "NM"
    assert said["122157"].obx_5.value == "87.31"
    assert said["122157"].obx_6.value.startswith("%^")
    assert said["122157"].obx_7.value == "<42.00"
    assert said["121106"].obx_5.value.endswith("not verified by a physician")
    assert said["113014"].obx_5.value == "1.2.826.0.1.3680043.10.1.7"
    pid = message.oru_r01_patient_result.oru_r01_patient.pid
    assert (pid.pid_3.value, pid.pid_5.value) == ("P-7", "Phantom^Paula")
    assert (pid.pid_7.value, pid.pid_8.value) == ("19610902", "F")


@pytest.mark.parametrize("changes", [{}, NEGATIVE, FAILED, REVISED])
def test_no_result_is_ever_final(changes: dict[str, Any]) -> None:
    message = parsed(document(**changes))
    assert order(message).obr.obr_25.value in ("P", "C")
    assert {each.obx_11.value for each in observations(message).values()} <= {"P", "X", "O"}


def test_a_failed_study_reads_as_no_result_and_never_as_normal() -> None:
    said = observations(parsed(document(**FAILED)))
    assert "122157" not in said
    for code, value in (
        ("233604007", "373068000"),
        ("112033", "373068000"),
        ("121402", "371934000"),
    ):
        assert said[code].obx_5.value.startswith(value)
        assert said[code].obx_11.value == "X"
        assert not said[code].obx_8.value
    assert said["111017"].obx_5.value.startswith("111245^")
    assert said["121106"].obx_5.value.startswith("Not analysed")


def test_a_negative_study_has_no_abnormal_flag() -> None:
    said = observations(parsed(document(**NEGATIVE)))
    assert said["233604007"].obx_5.value == "272519000^Absent^SCT"
    assert not any(each.obx_8.value for each in said.values())


def test_a_revision_corrects_the_report_and_has_a_control_id_of_its_own() -> None:
    first, second = document(), document(**REVISED)
    assert order(parsed(first)).obr.obr_25.value == "P"
    assert order(parsed(second)).obr.obr_25.value == "C"
    assert control_id(first) != control_id(second)


def test_the_same_document_makes_the_same_message() -> None:
    assert oru(document(), envelope()) == oru(document(), envelope())


def test_the_accession_number_stands_where_the_site_wants_it() -> None:
    found = order(parsed(document(), accession_fields=("OBR-2", "OBR-18")))
    assert (found.orc.orc_2.value, found.orc.orc_3.value) == ("A7001", "")
    obr = found.obr
    assert (obr.obr_2.value, obr.obr_3.value, obr.obr_18.value) == ("A7001", "", "A7001")


@pytest.mark.parametrize(("priority", "code"), [("urgent", "A"), ("routine", "R")])
def test_the_priority_is_told_where_old_and_new_receivers_look(priority: str, code: str) -> None:
    found = order(parsed(document(report__priority=priority)))
    assert found.obr.obr_5.value == code
    assert found.obr.obr_27.value == f"^^^^^{code}"
    assert found.oru_r01_timing_qty.tq1.tq1_9.value == code


def test_version_2_4_has_no_segment_that_came_later() -> None:
    assert b"TQ1" not in oru(document(), envelope(version="2.4"))
    parsed(document(), version="2.4")


@pytest.mark.parametrize("charset", ["UNICODE UTF-8", "8859/1"])
def test_names_keep_their_letters(charset: str) -> None:
    message = parsed(document(patient__name="Größe^Jörg^^Dr.^MSc"), charset=charset)
    pid = message.oru_r01_patient_result.oru_r01_patient.pid
    assert pid.pid_5.value == "Größe^Jörg^^MSc^Dr."
    assert message.msh.msh_18.value == charset


def test_a_name_in_several_scripts_has_a_repetition_for_each() -> None:
    said = oru(document(patient__name="Yamada^Tarou=山田^太郎=やまだ^たろう"), envelope())
    assert "|Yamada^Tarou^^^^^^A~山田^太郎^^^^^^I~やまだ^たろう^^^^^^P|" in said.decode()


def test_a_character_that_the_set_does_not_have_becomes_a_question_mark() -> None:
    assert b"|Gr??e^J?rg|" in oru(document(patient__name="Größe^Jörg"), envelope(charset="ASCII"))


def test_delimiters_in_values_are_escaped() -> None:
    said = document(
        patient__id="4|7~1&\\1", study__accession_number="A^1\rOBX|9", patient__name="=^"
    )
    message = oru(said, envelope()).decode()
    assert "|4\\F\\7\\R\\1\\T\\\\E\\1|" in message
    assert "|A\\S\\1\\.br\\OBX\\F\\9|" in message
    assert message.count("\rOBX|") == 8


def test_what_the_films_do_not_say_stays_empty() -> None:
    nothing = dict.fromkeys(("date", "time", "accession_number", "referring_physician"))
    said = document(**{f"study__{each}": value for each, value in nothing.items()})
    message = oru(said, envelope()).decode()
    assert "PV1" not in message
    assert "\rORC|RE\r" in message


@pytest.mark.parametrize(
    ("text", "outcome", "reason"),
    [
        ("MSA|AA|X", Outcome.STORED, ""),
        ("MSA|CA|X", Outcome.STORED, ""),
        ("MSA|AE|X", Outcome.REFUSED, "it answered AE"),
        (
            "MSA|AE|X|Ann Other is dead\rERR||PID^1^3|204^Unknown key^HL70357|E||||Ann Other",
            Outcome.REFUSED,
            "it answered AE (error 204 at PID-3)",
        ),
        (
            "MSA|AE|X\rERR|PID^1^5^101&Missing",
            Outcome.REFUSED,
            "it answered AE (error 101 at PID-5)",
        ),
        ("MSA|AE|X\rERR||Ann Other|Ann Other^x", Outcome.REFUSED, "it answered AE"),
        ("MSA|AE|X\rERR|||207^Internal", Outcome.TEMPORARY, "it answered AE (error 207)"),
        ("MSA|AR|X\rERR|||206", Outcome.TEMPORARY, "it answered AR (error 206)"),
        ("MSA|AR|X", Outcome.REJECTED, "it answered AR"),
        ("MSA|??|X", Outcome.REFUSED, "it answered a code that no acknowledgement has"),
    ],
)
def test_an_acknowledgement_means_what_its_code_says_and_quotes_nobody(
    text: str, outcome: Outcome, reason: str
) -> None:
    answer = answer_to(
        read_acknowledgement(f"MSH|^~\\&|RIS||HILUM||||ACK|1|P|2.5\r{text}\r".encode())
    )
    assert (answer.outcome, answer.reason) == (outcome, reason)


@pytest.mark.parametrize("block", [b"", b"hello", b"MSH|^~\\&|RIS\r", b"\xff" * 9, b"MSA|AA|1\r"])
def test_what_is_no_acknowledgement_is_not_taken_for_one(block: bytes) -> None:
    with pytest.raises(ValueError, match="no HL7 acknowledgement"):
        read_acknowledgement(block)
