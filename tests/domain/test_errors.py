from domain.errors import ShoalError


def tree(root: type[ShoalError]) -> list[type[ShoalError]]:
    return [root, *(each for child in root.__subclasses__() for each in tree(child))]


def test_every_error_that_a_caller_may_see_has_a_code_of_its_own() -> None:
    published = [each for each in tree(ShoalError) if each.__module__ == "domain.errors"]
    codes = [each.code for each in published if "code" in vars(each)]
    assert len(codes) == len(set(codes)) > 10
