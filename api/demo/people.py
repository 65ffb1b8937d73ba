"""The people of the demonstration: customers and staff, with the gaps that real lists have.

Pure, and the same for the same seed, so that two runs show the same story. Held by `tests/api/test_demo.py`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FIRST_NAMES = _names(
    "Ada Aisha Alejandro Amara Anders Anna Antonio Beatriz Ben Björn Carlos Chiara Chloé Daniel Darius Deepa Dmitri "
    "Elena Elif Emeka Emma Erik Esther Fatima Felix Finn Gabriela George Giulia Grace Hana Hannah Hassan Hiroshi "
    "Ines Ingrid Isaac Ivan Jamal James Jasmin Jin Joana João Josephine Julia Kaito Karim Katarzyna Kofi Lars Laura "
    "Leila Lena Liam Lin Lucía Luca Magnus Maja Marek María Mateo Maya Mei Mina Mohamed Nadia Naomi Nia Nikolai "
    "Noah Nora Olga Oliver Omar Pablo Paula Pedro Petra Priya Rafael Rahel Ravi Rosa Ruth Samuel Sara Sofia Stefan "
    "Tariq Tatiana Thandi Theo Tomás Ursula Valentina Victor Wei Yara Yusuf Zainab Zoë"
)

LAST_NAMES = _names(
    "Abe Achebe Adeyemi Ahmed Almeida Andersen Aziz Bakker Bauer Becker Bianchi Brown Castillo Chen Cohen Costa "
    "Dahl Das Diallo Dubois Eriksen Evans Farah Fernández Fischer Fontaine García Green Gupta Haddad Hall Hansen "
    "Hoffmann Horvat Hussain Ibrahim Ito Ivanova Jansen Johansson Jones Kamau Kaplan Kaya Keller Khan Kim King "
    "Kowalski Kumar Larsen Laurent Lee Lehmann Li López Maier Martin Mbeki Mensah Meyer Molina Moreau Müller "
    "Nakamura Nguyen Nielsen Novák Nowak Okafor Okoye Oliveira Nkrumah Park Patel Pereira Petrov Popescu Quinn "
    "Rahman Ramos Reyes Ricci Romano Rossi Roux Sánchez Santos Sato Schmidt Schneider Silva Singh Smith Sokolov "
    "Suzuki Svensson Tanaka Thomas Torres Usman Vargas Vogel Wagner Walker Wang Weber White Wood Yamamoto Yildiz "
    "Young Zhang Zimmermann"
)

CUSTOMER, STAFF = "customer", "staff"
ACTIVE, LEFT = "active", "left"
DEPARTMENTS = ("Sales", "Support", "Logistics", "Finance", "Engineering", "Events")
INTERESTS = (
    "cycling",
    "cooking",
    "football",
    "gardening",
    "hiking",
    "history",
    "jazz",
    "painting",
    "sailing",
    "theatre",
)

_PLAIN_LETTERS = str.maketrans("éèëöøüñíáãó", "eeeoouniaao")
_FIRST_BIRTHDAY, _LAST_BIRTHDAY = date(1936, 1, 1), date(2007, 12, 31)


@dataclass(slots=True, kw_only=True)
class Person:
    """One contact as the demonstration knows it. `id` is what the server calls it, once it does."""

    key: str
    attributes: dict[str, Any]
    id: str = field(default="", compare=False)


def people(seed: int) -> Iterator[Person]:
    """People without end; a longer list begins like a shorter one."""
    chance = random.Random(f"people {seed}")  # noqa: S311  # a story, no secret
    number = 0
    while True:
        number += 1
        yield _person(chance, number)


def birthdate(chance: random.Random) -> str:
    days = (_LAST_BIRTHDAY - _FIRST_BIRTHDAY).days
    return (_FIRST_BIRTHDAY + timedelta(days=chance.randrange(days))).isoformat()


def email_of(person: Person) -> str:
    """An address that fits the name and is nobody's: the domains are reserved for examples."""
    names = (person.attributes["first_name"], person.attributes["last_name"])
    first, last = (name.lower().translate(_PLAIN_LETTERS) for name in names)
    domain = "staff.example.org" if person.attributes["role"] == STAFF else "example.com"
    return f"{first}.{last}.{person.key[1:].lstrip('0')}@{domain}"


def _person(chance: random.Random, number: int) -> Person:
    staff = chance.random() < 0.2
    attributes: dict[str, Any] = {
        "first_name": chance.choice(FIRST_NAMES),
        "last_name": chance.choice(LAST_NAMES),
        "role": STAFF if staff else CUSTOMER,
    }
    person = Person(key=f"C{number:06}", attributes=attributes)
    if chance.random() < (0.95 if staff else 0.82):
        attributes["email"] = email_of(person)
    if chance.random() < 0.6:
        attributes["phone"] = f"+1 202-555-{chance.randrange(100, 200):04}"
    if chance.random() < 0.35:
        attributes["birthdate"] = birthdate(chance)
    if staff:
        attributes["department"] = chance.choice(DEPARTMENTS)
        attributes["status"] = ACTIVE if chance.random() < 0.8 else LEFT
    if chance.random() < 0.5:
        attributes["interests"] = sorted(chance.sample(INTERESTS, chance.randint(1, 3)))
    if chance.random() < 0.7:
        attributes["newsletter"] = chance.random() < 0.6
    return person
