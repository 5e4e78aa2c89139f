"""Where Salesforce's documentation is silent, the simulator has switches instead of opinions.

Given to `Org`; read by `transactions` and `replication`. A client that is right with every setting is right.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Undocumented:
    """The open questions, each with the answer this org gives."""

    cascade_stamps: bool = True
    """A child deleted along with its parent gets a new SystemModstamp."""
    reparenting_stamps: bool = True
    """A child that a merge gives to the winner gets a new SystemModstamp."""
    deleted_lists_undeleted: bool = True
    """getDeleted goes on listing a record that was undeleted since."""
    record_count_error: float = 0.0
    """How far the counts of /limits/recordCount may be off, as a share; Salesforce only says "approximate"."""
