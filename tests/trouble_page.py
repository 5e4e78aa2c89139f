"""The README's tables of troubles, as the program knows them; ``test_documents.py`` compares.

``python tests/trouble_page.py`` writes them anew.
"""

import re
from pathlib import Path

from salesforce_poller.salesforce.trouble_table import LOGIN, OURS, REST, Trouble

README = Path(__file__).parent.parent / "README.md"
_HEADS = {"the REST API answers": REST, "the login answers": LOGIN, "this program finds": OURS}
_ANY = {"HTTP_5XX": "any other 5xx", "OTHER": "anything else", "LOGIN_5XX": "any 5xx", "LOGIN_OTHER": "anything else"}
_ANY |= {"HTTP_REDIRECT": "301, 302, 303, 307, 308", "LOGIN_UNEXPLAINED": "nothing that explains it"}


def _answers(row: Trouble, *, found: bool) -> str:
    """Return what leads to a row."""
    if found or row.name in _ANY:
        return _ANY.get(row.name) or f"`{row.name}`"
    said = [*(f"`{code}`" for code in row.codes), *(f"“{piece}”" for piece in row.pieces)]
    if row.codes and row.pieces:
        said = [f"{said[0]} with {said[1]}"]
    return ", ".join([*map(str, row.statuses), *said])


def table(head: str) -> str:
    """Return the table with this head."""
    lines = [f"| {head} | that means | what happens | what you can do |", "|---|---|---|---|"]
    lines += [
        f"| {_answers(row, found=_HEADS[head] is OURS)} | {row.means} | {row.action.value} | {row.advice}"
        f"{f' ([help]({row.help_url}))' if row.help_url else ''} |"
        for row in _HEADS[head]
    ]
    return "\n".join(lines) + "\n"


def tables() -> dict[str, str]:
    """Return all of them, by head."""
    return {head: table(head) for head in _HEADS}


def written(text: str) -> str:
    """Return the README with its tables of troubles as they should be."""
    for head, wanted in tables().items():
        old = re.search(rf"^\| {re.escape(head)} \|(?:.*\n\|)*.*\n", text, flags=re.MULTILINE)
        assert old, head
        text = text.replace(old[0], wanted)
    return text


if __name__ == "__main__":
    README.write_text(written(README.read_text(encoding="utf-8")), encoding="utf-8")
