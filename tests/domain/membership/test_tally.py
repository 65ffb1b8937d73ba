import random

from bson import ObjectId

from domain.membership.tally import MOST_CANDIDATES, Tally, checksum_of, made_up_of


def ids(count: int, seed: int = 1) -> list[ObjectId]:
    chance = random.Random(seed)
    return [ObjectId(chance.randbytes(12)) for _ in range(count)]


def joined(contacts: list[ObjectId]) -> Tally:
    return Tally().after_all((contact, True) for contact in contacts)


def test_a_tally_depends_on_who_is_in_and_not_on_how_it_came_about() -> None:
    one, two, three = ids(3)
    assert joined([one, two]) == joined([two, one]) == joined([one, three, two]).after(three, joined=False)
    assert joined([one, two]).size == 2
    assert joined([one, two]) != joined([one, three])
    assert joined([one]).after(one, joined=False) == Tally()


def test_a_checksum_is_a_whole_number_as_the_database_keeps_them() -> None:
    checksums = [checksum_of(contact) for contact in ids(200)]
    assert len(set(checksums)) == 200
    assert all(-(2**63) <= checksum < 2**63 for checksum in checksums)
    assert min(checksums) < 0 < max(checksums)


def test_who_makes_up_a_difference_is_found_among_as_many_as_are_allowed() -> None:
    for seed in range(50):
        candidates = ids(MOST_CANDIDATES, seed)
        wanted = frozenset(random.Random(seed).sample(candidates, seed % MOST_CANDIDATES))
        assert made_up_of(joined(list(wanted)).checksum, candidates) == wanted


def test_what_no_choice_makes_up_is_not_explained() -> None:
    *candidates, other = ids(9)
    assert made_up_of(checksum_of(other), candidates) is None
    assert made_up_of(checksum_of(other), []) is None
    assert made_up_of(0, candidates) == frozenset()


def test_more_candidates_than_a_checksum_can_tell_apart_are_not_tried() -> None:
    candidates = ids(MOST_CANDIDATES + 1)
    assert made_up_of(checksum_of(candidates[0]), candidates) is None
