"""What is over when its `with` block is."""

from __future__ import annotations

from typing import Self


class Closing:
    """Closes itself at the end of a `with` block, however that ends."""

    def close(self) -> None:
        """Ends what it does; once more does no harm."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
