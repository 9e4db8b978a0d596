"""The bench that the platforms' tests use, for the runs whose requests are checked."""

from platforms.conftest import platform_bench

__all__ = ["platform_bench"]
