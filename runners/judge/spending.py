"""What calls cost: a cap that holds under concurrency, and a forecast before the first call."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from warehouse.errors import WorkError

TOKENS_PER_PRICE = 1_000_000
"""Prices are per million tokens."""
BYTES_PER_TOKEN = 3
"""What forecasts guess: between English (about 4) and Chinese (about 2)."""


class SpendCapReachedError(WorkError):
    """The next call might cost more than what is left."""


@dataclass(frozen=True, kw_only=True)
class Prices:
    """Prices per million tokens, in the currency of the cap (no currency is presumed)."""

    prompt: float
    completion: float

    def cost(self, n_prompt_tokens: float, n_completion_tokens: float) -> float:
        """Return the price of one call."""
        return (
            n_prompt_tokens * self.prompt + n_completion_tokens * self.completion
        ) / TOKENS_PER_PRICE


@dataclass(frozen=True, kw_only=True)
class CostEstimate:
    """Forecast of a batch of calls.

    Attributes
    ----------
    n_calls, n_cached : int
        Calls to make, and requests that the cache answers.
    n_prompt_tokens : int
        A guess from their bytes (`BYTES_PER_TOKEN`).
    n_completion_tokens_at_most : int or None
        All replies as long as they may be; None if a request sets no limit.
    cost, cost_at_most : float or None
        With the guessed prompt and the longest replies, and the sum of what is reserved for each
        call; None without prices or limit.
    """

    n_calls: int
    n_cached: int
    n_prompt_tokens: int
    n_completion_tokens_at_most: int | None
    cost: float | None
    cost_at_most: float | None


class Budget:
    """A spend cap that many threads share.

    A call first reserves what it may cost at most, and settles what it did cost afterwards. What is
    spent and reserved together never exceeds the cap, so no number of calls at once can.

    Parameters
    ----------
    limit : float or None
        The cap; None for no cap.
    spent : float
        What earlier runs have spent of it.
    """

    def __init__(self, limit: float | None = None, *, spent: float = 0.0) -> None:
        self.limit = limit
        self.spent = spent
        self._reserved = 0.0
        self._changed = threading.Condition()

    def reserve(self, amount: float) -> None:
        """Set `amount` aside; wait for other calls to settle if it doesn't fit beside them.

        Raises
        ------
        SpendCapReachedError
            If it doesn't fit though no other call is under way.
        """
        with self._changed:
            while self.limit is not None and self.spent + self._reserved + amount > self.limit:
                if self._reserved <= 0:
                    raise SpendCapReachedError(
                        f"The next call may cost {amount:.6g}, and {self.spent:.6g} of the cap of "
                        f"{self.limit:g} is spent; raise max_cost to go on. What is done is kept."
                    )
                self._changed.wait()
            self._reserved += amount

    def settle(self, reserved: float, cost: float) -> None:
        """Replace a reservation by what the call cost."""
        with self._changed:
            self._reserved -= reserved
            # Sums of floats leave dust, which must not pass for a call under way.
            if self._reserved < 1e-12:
                self._reserved = 0.0
            self.spent += cost
            self._changed.notify_all()
