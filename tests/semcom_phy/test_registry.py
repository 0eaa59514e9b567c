import pytest

from semcom_phy.channels import CHANNELS
from semcom_phy.errors import ConfigurationError, SemcomError
from semcom_phy.modulation import MODULATIONS
from semcom_phy.registry import Registry, nearest


@pytest.fixture
def fruit() -> Registry[int]:
    registry: Registry[int] = Registry("fruit")
    registry.register("pear")(1)
    registry.register("apple")(2)
    return registry


def test_entries_come_back_by_name(fruit: Registry[int]) -> None:
    assert fruit["pear"] == 1
    assert fruit["apple"] == 2
    assert "pear" in fruit
    assert "plum" not in fruit
    assert list(fruit) == ["pear", "apple"]
    assert fruit.names() == ["apple", "pear"]


def test_register_returns_the_entry_unchanged(fruit: Registry[int]) -> None:
    marker = 12345678
    assert fruit.register("plum")(marker) is marker


def test_a_name_is_registered_once(fruit: Registry[int]) -> None:
    with pytest.raises(ValueError, match="fruit 'pear' is registered twice"):
        fruit.register("pear")(3)
    assert fruit["pear"] == 1


def test_unknown_name_suggests_the_nearest_and_lists_all(fruit: Registry[int]) -> None:
    with pytest.raises(ConfigurationError) as failure:
        fruit["aple"]
    assert str(failure.value) == "unknown fruit 'aple'. Did you mean 'apple'? Known: apple, pear"
    assert isinstance(failure.value, SemcomError)
    assert failure.value.__suppress_context__


def test_nothing_is_suggested_when_nothing_is_near(fruit: Registry[int]) -> None:
    with pytest.raises(ConfigurationError) as failure:
        fruit["zzzz"]
    assert "Did you mean" not in str(failure.value)
    assert nearest("zzzz", ["apple", "pear"]) == ""


@pytest.mark.parametrize(
    ("registry", "typo", "meant"),
    [(CHANNELS, "raleigh", "rayleigh"), (CHANNELS, "agwn", "awgn"), (MODULATIONS, "bspk", "bpsk")],
)
def test_typos_in_the_real_registries(registry: Registry, typo: str, meant: str) -> None:
    with pytest.raises(ConfigurationError, match=f"Did you mean '{meant}'"):
        registry[typo]
