"""Names for the scenes: people, companies and what they do.

Read by `scenes`; all of it is made up.
"""

import random
from dataclasses import dataclass

FIRST_NAMES = (
    *("Amara", "Anton", "Aoife", "Beatriz", "Callum", "Chidi", "Clara", "Daniyar", "Elif", "Emeka", "Farah"),
    *("Freya", "Gustavo", "Hana", "Henrik", "Ines", "Ivo", "Jamal", "Johanna", "Kaito", "Katya", "Leandro"),
    *("Linh", "Mateus", "Mei", "Nadia", "Noor", "Oskar", "Pooja", "Rafael", "Runa", "Sanjay", "Selma"),
    *("Thabo", "Tomas", "Ulla", "Valentina", "Wei", "Yasmin", "Zofia"),
)
LAST_NAMES = (
    *("Abebe", "Almeida", "Andersen", "Aziz", "Bakker", "Banerjee", "Castillo", "Chukwu", "Costa", "Demir"),
    *("Duarte", "Eriksson", "Farrell", "Fischer", "Gallagher", "Haddad", "Hoang", "Ito", "Jansen", "Kaya"),
    *("Kovacs", "Kruger", "Lemaire", "Lindgren", "Mbeki", "Mehta", "Moreau", "Nakamura", "Novak", "O'Brien"),
    *("Okonkwo", "Park", "Petrov", "Quispe", "Rossi", "Santos", "Schneider", "Silva", "Tanaka", "Wójcik"),
)
COMPANY_NAMES = (
    *("Alder", "Basalt", "Bluefin", "Brightwater", "Cobalt", "Copperfield", "Driftwood", "Ember", "Fairwind"),
    *("Fjord", "Granite", "Harbour", "Heron", "Juniper", "Kestrel", "Lantern", "Larkspur", "Meridian", "Northgate"),
    *("Obsidian", "Orchard", "Quarry", "Redwood", "Saltmarsh", "Sparrow", "Thistle", "Tidewater", "Willow"),
)
COMPANY_KINDS = ("Logistics", "Foods", "Textiles", "Robotics", "Energy", "Clinics", "Media", "Tools", "Bikes", "Labs")
TITLES = ("Buyer", "CFO", "CTO", "Founder", "Head of IT", "Operations Manager", "Plant Manager", "VP Sales")
COUNTRIES = ("Brazil", "Denmark", "France", "Germany", "India", "Ireland", "Japan", "Kenya", "Spain", "Turkey")


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who might buy something."""

    first: str
    last: str
    company: str
    title: str
    country: str
    phone: str

    @property
    def email(self) -> str:
        """An address at the company."""
        name = f"{self.first}.{self.last}".lower().replace("'", "").replace("ó", "o")
        return f"{name}@{self.company.split()[0].lower()}.example"

    def lead(self) -> dict[str, object]:
        """As the fields of a lead."""
        return {**self.contact(), "Company": self.company, "Country": self.country}

    def contact(self) -> dict[str, object]:
        """As the fields of a contact."""
        return {
            "FirstName": self.first,
            "LastName": self.last,
            "Title": self.title,
            "Email": self.email,
            "Phone": self.phone,
        }


def somebody(rng: random.Random) -> Person:
    """A new person."""
    return Person(
        rng.choice(FIRST_NAMES),
        rng.choice(LAST_NAMES),
        company(rng),
        rng.choice(TITLES),
        rng.choice(COUNTRIES),
        phone(rng),
    )


def company(rng: random.Random) -> str:
    """A company's name."""
    return f"{rng.choice(COMPANY_NAMES)} {rng.choice(COMPANY_KINDS)}"


def phone(rng: random.Random) -> str:
    """A number that rings nowhere."""
    return f"+1 555 01{rng.randint(0, 99):02d} {rng.randint(1000, 9999)}"
