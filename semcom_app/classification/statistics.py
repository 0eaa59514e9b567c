"""How sure a measured share is."""

from __future__ import annotations

import math

from semcom_phy.errors import ConfigurationError

_Z95 = 1.959963984540054  # 97.5 % quantile of the normal distribution


def wilson_interval(successes: int, trials: int, z: float = _Z95) -> tuple[float, float]:
    """Wilson score interval of a binomial share, 95 % with the default z.

    Raises ConfigurationError unless 0 ≤ successes ≤ trials and trials > 0.
    """
    if not 0 <= successes <= trials or trials == 0:
        raise ConfigurationError(f"{successes} successes of {trials} trials have no interval")
    share = successes / trials
    centre = share + z * z / (2 * trials)
    spread = z * math.sqrt(share * (1.0 - share) / trials + z * z / (4.0 * trials * trials))
    scale = 1.0 + z * z / trials
    # Rounding must not exclude 0 and 1 where nothing or everything succeeded.
    low = 0.0 if successes == 0 else max(0.0, (centre - spread) / scale)
    high = 1.0 if successes == trials else min(1.0, (centre + spread) / scale)
    return low, high
