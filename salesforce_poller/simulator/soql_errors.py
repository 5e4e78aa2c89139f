"""Refusing a query in Salesforce's words: a piece of the query, a caret under the culprit, and what is wrong with it.

Raised by `soql.py`, `query_plan.py` and `query_filter.py`; the server answers with it as with any `ApiError`.
"""

from salesforce_poller.simulator.errors import ApiError

BAD_REQUEST = 400
CONTEXT = 40
"""Characters of the query shown on either side of the culprit."""


class SoqlError(ApiError):
    """A query Salesforce would refuse; `code` is the errorCode, `message` the text. Always HTTP status 400."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(BAD_REQUEST, code, message)


def pointing(code: str, text: str, at: int, message: str) -> SoqlError:
    """The error for what stands at this place of the query, with the caret and the row and column (from 1)."""
    start = text.rfind("\n", 0, at) + 1
    end = text.find("\n", at)
    line = text[start : len(text) if end < 0 else end]
    column = at - start
    first = max(0, column - CONTEXT)
    excerpt = line[first : column + CONTEXT]
    caret = " " * (column - first) + "^"
    row = text.count("\n", 0, at) + 1
    return SoqlError(code, f"\n{excerpt}\n{caret}\nERROR at Row:{row}:Column:{column + 1}\n{message}")


def no_such_column(text: str, at: int, column: str, entity: str) -> SoqlError:
    """A field that does not exist, or that the user may not see."""
    message = (
        f"No such column '{column}' on entity '{entity}'. If you are attempting to use a custom field, be sure to "
        "append the '__c' after the custom field name. Please reference your WSDL or the describe call for the "
        "appropriate names."
    )
    return pointing("INVALID_FIELD", text, at, message)


def no_such_object(text: str, at: int, name: str) -> SoqlError:
    """An object that does not exist, or that the user may not see."""
    message = (
        f"sObject type '{name}' is not supported. If you are attempting to use a custom object, be sure to append "
        "the '__c' after the entity name. Please reference your WSDL or the describe call for the appropriate names."
    )
    return pointing("INVALID_TYPE", text, at, message)


def no_such_parent(text: str, at: int, relationship: str) -> SoqlError:
    """A child-to-parent relationship nobody knows."""
    message = (
        f"Didn't understand relationship '{relationship}' in field path. If you are attempting to use a custom "
        "relationship, be sure to append the '__r' after the custom relationship name. Please reference your WSDL "
        "or the describe call for the appropriate names."
    )
    return pointing("INVALID_FIELD", text, at, message)


def no_such_children(text: str, at: int, relationship: str) -> SoqlError:
    """A parent-to-child relationship nobody knows."""
    message = (
        f"Didn't understand relationship '{relationship}' in FROM part of query call. If you are attempting to use a "
        "custom relationship, be sure to append the '__r' after the custom relationship name. Please reference your "
        "WSDL or the describe call for the appropriate names."
    )
    return pointing("INVALID_TYPE", text, at, message)
