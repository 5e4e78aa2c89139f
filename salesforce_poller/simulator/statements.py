"""Statements as data: what the control API receives and scenes write down, carried out in a transaction.

Called by `control` and `scenes`; the forms are in the caption of `control`.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from salesforce_poller.simulator.transactions import Transaction

Statement = Mapping[str, Any]


def run(transaction: Transaction, statement: Statement) -> Any:
    """Carry out one statement and return what it gives, as JSON: ids, a number, the ids of a conversion, or None.

    Raises ValueError for an unknown one, KeyError for a missing part, ApiError for what the org refuses.
    """
    verb = statement["do"]
    if verb not in VERBS:
        raise ValueError(f"no statement is called {verb!r}; there are {', '.join(VERBS)}")
    return VERBS[verb](transaction, statement)


def _insert(transaction: Transaction, statement: Statement) -> str:
    return transaction.insert(statement["object"], **statement.get("fields", {}))


def _insert_many(transaction: Transaction, statement: Statement) -> list[str]:
    return transaction.insert_many(statement["object"], statement["records"])


def _update(transaction: Transaction, statement: Statement) -> None:
    transaction.update(statement["id"], **statement.get("fields", {}))


def _merge(transaction: Transaction, statement: Statement) -> None:
    transaction.merge(statement["id"], *statement["losers"])


def _convert(transaction: Transaction, statement: Statement) -> dict[str, Any]:
    return asdict(transaction.convert(statement["id"], opportunity_name=statement.get("opportunity_name")))


VERBS: dict[str, Callable[[Transaction, Statement], Any]] = {
    "insert": _insert,
    "insert_many": _insert_many,
    "update": _update,
    "delete": lambda transaction, statement: transaction.delete(statement["id"]),
    "undelete": lambda transaction, statement: transaction.undelete(statement["id"]),
    "purge": lambda transaction, statement: transaction.purge(statement["id"]),
    "hard_delete": lambda transaction, statement: transaction.hard_delete(statement["id"]),
    "merge": _merge,
    "convert": _convert,
    "restamp": lambda transaction, statement: transaction.restamp(statement["object"]),
}
