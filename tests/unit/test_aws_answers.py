"""sinks/aws_answers.py: what codes mean, partial failures, and how events are put into calls."""

import orjson
import pytest

from salesforce_poller.model import Verdict
from salesforce_poller.sinks import aws_answers

LATER, REFUSED, ACCEPTED = Verdict.TRY_LATER, Verdict.REFUSED, Verdict.ACCEPTED


@pytest.mark.parametrize(
    ("code", "status", "verdict", "general"),
    [
        ("ThrottlingException", 400, LATER, False),
        ("RequestThrottled", 403, LATER, False),
        ("KMS.ThrottlingException", 400, LATER, False),
        ("InternalFailure", 0, LATER, False),
        ("ServiceUnavailable", 503, LATER, False),
        ("RequestTimeTooSkewed", 403, LATER, False),
        ("502", 502, LATER, False),
        ("AccessDeniedException", 400, REFUSED, True),
        ("InvalidClientTokenId", 403, REFUSED, True),
        ("SignatureDoesNotMatch", 403, REFUSED, True),
        ("ExpiredToken", 400, REFUSED, True),
        ("KMS.DisabledException", 400, REFUSED, True),
        ("AWS.SimpleQueueService.NonExistentQueue", 400, REFUSED, True),
        ("QueueDoesNotExist", 400, REFUSED, True),
        ("ResourceNotFoundException", 400, REFUSED, True),
        ("NotFound", 404, REFUSED, True),
        ("403", 403, REFUSED, True),
        ("BatchRequestTooLong", 400, REFUSED, False),
        ("InvalidMessageContents", 400, REFUSED, False),
        ("ValidationException", 400, REFUSED, False),
    ],
)
def test_a_code_is_about_the_moment_the_sink_or_the_event(
    code: str, status: int, verdict: Verdict, *, general: bool
) -> None:
    """Each of the three has its own words for the same things."""
    receipt = aws_answers.of_code(code, "because", status)
    assert (receipt.verdict, receipt.general, receipt.detail) == (verdict, general, f"{code}: because")


def test_each_entry_has_an_answer_of_its_own() -> None:
    """Of SQS and SNS: in any order, and one that is not named at all was not accepted."""
    answer = {
        "Successful": [{"Id": "2", "MessageId": "m2"}],
        "Failed": [
            {"Id": "0", "Code": "InternalError", "Message": "try again", "SenderFault": False},
            {"Id": "3", "Code": "InvalidMessageContents", "SenderFault": True},
        ],
    }
    receipts = aws_answers.by_id(answer, 4)
    assert [each.verdict for each in receipts] == [LATER, LATER, ACCEPTED, REFUSED]
    assert [each.reference for each in receipts] == ["InternalError", "", "m2", "InvalidMessageContents"]


def test_eventbridge_answers_in_the_order_of_the_entries() -> None:
    """An entry is accepted when it got an id; a short answer leaves the rest open."""
    answer = {"FailedEntryCount": 1, "Entries": [{"EventId": "e0"}, {"ErrorCode": "ThrottlingException"}]}
    assert [each.verdict for each in aws_answers.by_place(answer, 3)] == [ACCEPTED, LATER, LATER]


def test_no_more_than_ten_entries_and_so_many_bytes_go_into_a_call() -> None:
    """What is too large by itself goes alone, and nothing is left out or moved."""
    assert list(aws_answers.parcels([1] * 23, 100)) == [[*range(10)], [*range(10, 20)], [20, 21, 22]]
    assert list(aws_answers.parcels([40, 60, 1, 200, 99], 100)) == [[0, 1], [2], [3], [4]]
    assert list(aws_answers.parcels([], 100)) == []


def test_letters_outside_of_xml_are_written_as_escapes() -> None:
    """The JSON stays the same, and all else as it is."""
    event = {"Name": "a\x00\x0b\x7f\ufffe\uffff🚀", "Other": "ü"}
    text = aws_answers.text(orjson.dumps(event))
    assert orjson.loads(text) == event
    assert all(letter in "\t\n\r" or " " <= letter <= "\ufffd" or letter >= "\U00010000" for letter in text)
