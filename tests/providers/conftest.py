"""Gives a contract's sample test one case per file of its format's folder."""

import pytest

from tests.providers.contract import Contract, samples


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Spread the `sample` argument over the files of the class's folder."""
    suite = metafunc.cls
    if "sample" in metafunc.fixturenames and suite is not None and issubclass(suite, Contract):
        metafunc.parametrize("sample", samples(suite.folder))
