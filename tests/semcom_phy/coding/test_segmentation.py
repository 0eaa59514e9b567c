import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semcom_phy.coding.crc import CRC24B, check
from semcom_phy.coding.qpp import BLOCK_SIZES
from semcom_phy.coding.segmentation import SegmentationPlan, block_checks, join_groups, plan, segment_groups
from semcom_phy.errors import ConfigurationError


@settings(deadline=None, max_examples=400)
@given(st.integers(1, 200_000))
def test_plan_follows_the_standard(bits: int) -> None:
    layout = plan(bits)
    assert layout.blocks == (1 if bits <= 6144 else -(-bits // 6120))
    assert layout.crc_length == (0 if layout.blocks == 1 else 24)
    assert layout.small_blocks + layout.large_blocks == layout.blocks == len(layout.sizes)
    assert layout.large_blocks >= 1
    assert set(layout.sizes) <= set(BLOCK_SIZES)
    total = bits + layout.blocks * layout.crc_length
    assert sum(layout.sizes) - total == layout.filler >= 0
    # K+ is the least size that C blocks could all have, K− the one below it.
    position = BLOCK_SIZES.index(layout.large_size)
    assert layout.blocks * layout.large_size >= total
    if position:
        assert layout.blocks * BLOCK_SIZES[position - 1] < total
    if layout.small_blocks:
        assert layout.small_size == BLOCK_SIZES[position - 1]
        assert layout.sizes[0] == layout.small_size
    # One more small block would be too few bits.
    if layout.blocks > 1:
        assert layout.filler < layout.large_size - BLOCK_SIZES[position - 1]
    # Filler never reaches the second block.
    assert layout.filler < layout.sizes[0]


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 200_000), st.integers(0, 2**32 - 1))
def test_segment_then_join(bits: int, seed: int) -> None:
    message = np.random.default_rng(seed).integers(0, 2, bits, dtype=np.uint8)
    layout = plan(bits)
    groups = segment_groups(message, layout)
    assert tuple(group.shape for group in groups) == layout.groups
    assert not groups[0][0, : layout.filler].any()
    for group in groups:
        if layout.crc_length:
            assert check(group, CRC24B).all()
        assert block_checks(group, layout).tolist() == [True] * len(group)
    restored = join_groups(groups, layout)
    np.testing.assert_array_equal(restored, message)
    assert restored.dtype == np.uint8
    soft = join_groups([(2.0 * group - 1.0).astype(np.float32) for group in groups], layout)
    np.testing.assert_array_equal(soft, 2.0 * message - 1.0)
    assert soft.dtype == np.float32


@pytest.mark.parametrize(
    ("bits", "expected"),
    [
        (1, SegmentationPlan(1, 1, 40, 1, 0, 0, 39, 0)),
        (40, SegmentationPlan(40, 1, 40, 1, 0, 0, 0, 0)),
        (6144, SegmentationPlan(6144, 1, 6144, 1, 0, 0, 0, 0)),
        # 6145 + 2·24 = 6193 = 3072 + 3136 − 15
        (6145, SegmentationPlan(6145, 2, 3136, 1, 3072, 1, 15, 24)),
        # 131096 + 22·24 = 131624 = 11·5952 + 11·6016 − 24
        (131096, SegmentationPlan(131096, 22, 6016, 11, 5952, 11, 24, 24)),
        (2 * 6120, SegmentationPlan(2 * 6120, 2, 6144, 2, 0, 0, 0, 24)),
    ],
)
def test_plans_worked_out_by_hand(bits: int, expected: SegmentationPlan) -> None:
    assert plan(bits) == expected


def test_a_damaged_block_is_named_and_still_delivered() -> None:
    layout = plan(20_000)
    message = np.random.default_rng(1).integers(0, 2, 20_000, dtype=np.uint8)
    groups = segment_groups(message, layout)
    groups[1][0, 10] ^= 1
    assert [block_checks(group, layout).tolist() for group in groups] == [[True, True], [False, True]]
    assert np.count_nonzero(join_groups(groups, layout) != message) == 1


def test_bad_requests() -> None:
    with pytest.raises(ConfigurationError, match="at least one"):
        plan(0)
    with pytest.raises(ConfigurationError, match="100 bits"):
        segment_groups(np.zeros(99, np.uint8), plan(100))
    with pytest.raises(ConfigurationError, match="shapes"):
        join_groups([np.zeros((1, 48), np.uint8)], plan(40))
